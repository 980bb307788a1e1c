"""Training and evaluation of a network, in short calls of the kernel, between which Python handles interrupts."""

import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import DTypeLike

from fastmlp.kernels._arrays import NAMES, address
from fastmlp.kernels._link import entry, vector_bytes
from fastmlp.kernels.layout import (
    DIVERGED,
    EACH_EPOCH,
    EACH_STEP,
    MOMENTUM,
    RUNNING,
    UNCHANGED,
    Hyper,
    record_of,
    share_weights,
)
from fastmlp.kernels.tables import STORE

from ._blockwise import is_finite, sum_of_squares
from ._data import Data
from ._network import Array, Network
from ._row_order import RowOrder
from ._state import TrainingState
from ._team_size import TeamSize
from ._threads import Team
from ._workspace import NO_OPTIONS, LayerOptions, Workspace, chunk_rows, parts_of, strips_of

__all__ = ["NOT_FINITE", "Engine", "log_loss_cap"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
CALL_SECONDS = 0.05  # duration of a call; Ctrl-C takes effect between two calls of the kernel
# Cautious estimates for the length of the first call of a fit. They include the overhead of a tiny network.
FIRST_FLOPS_PER_SECOND, FIRST_SECONDS = 2e10, 2e-6
# Operations per step below which a second thread makes training slower (bench/scaling).
FLOPS_PER_THREAD = 400_000
# Waking the threads for a single gradient costs as much as the barriers of this many steps (bench/gradient).
STEPS_PER_CALL = 75
NOTHING = np.empty(0)


def log_loss_cap(dtype: DTypeLike) -> float:
    """Return the largest log loss of one unit, -log(eps): scikit-learn clips probabilities to [eps, 1 - eps]."""
    return float(-np.log(np.finfo(dtype).eps))


@dataclass
class Engine:
    """Training of a network on its data.

    Parameters
    ----------
    network : Network
    data : Data
        From `prepare_data`.
    w : ndarray of shape (sizes.w,)
        The weight vector, which is trained in place. It should be aligned and padded, see `_aligned`.
    stats : ndarray
        Running statistics of batch normalisation, which are updated in place.
    hyper : Hyper
        Its field `shuffle` is replaced according to `order`.
    state : TrainingState
        The state to continue from, which is updated in place.
    order : RowOrder, default=None
        None keeps the order of the rows.
    threads : int, default=1
        Upper bound of the number of threads. The attribute is the number of threads that the work is worth.
    layers : LayerOptions, default=NO_OPTIONS
        Dropout and multipliers of the learning rate.
    """

    network: Network
    data: Data
    w: Array
    stats: Array
    hyper: Hyper
    state: TrainingState
    order: RowOrder | None = None
    threads: int = 1
    layers: LayerOptions = NO_OPTIONS
    history: list[float] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        dtype, batch = self.w.dtype, self.hyper.batch
        if self.order is None:
            self.order = RowOrder(self.data.rows, batch, shuffle=False, random=None)
        self.hyper = self.hyper._replace(shuffle=self.order.mode, label_smoothing=self.network.label_smoothing)
        chunk = chunk_rows(self.network, batch, dtype.itemsize)
        flops = self.network.flops() * chunk
        self._pass_seconds = FIRST_SECONDS + flops / FIRST_FLOPS_PER_SECOND
        storing = self.hyper.optimizer == STORE
        work = self.network.flops() * batch // STEPS_PER_CALL if storing else flops
        self.threads = max(1, min(self.threads, work // FLOPS_PER_THREAD, chunk))
        self.workspace = Workspace(
            self.network,
            self.data,
            self.w,
            self.stats,
            self.state,
            self.order,
            chunk=chunk,
            threads=self.threads,
            keep_gradient=storing or chunk < batch or self.hyper.max_grad_norm < np.inf,
            layers=self.layers,
        )
        self._hyper = record_of(self.hyper)
        kind = self.network, chunk, dtype.name, self.data.sparse, self.hyper.optimizer, self.layers
        self._team_size = TeamSize.of(self.threads, kind)
        self._train, self._watch = (entry(name, NAMES[dtype]) for name in ("train", "watch"))
        self._last_finite = [np.empty_like(array) for array in self._trained()]
        self._fixed: dict[int, tuple[list[int], list[Array]]] = {}
        self.workspace.transpose_weights()

    @property
    def g(self) -> Array:
        """The gradient of the last full batch, if the optimizer is STORE."""
        return self.workspace.g

    @property
    def row_order(self) -> Array:
        """The order of the rows in the last epoch, which the next one shuffles; empty if rows are taken as they are."""
        assert self.order is not None
        return self.order.order

    @property
    def for_predictions(self) -> tuple[Array, Array]:
        """The weights and running statistics that predictions use: the averaged ones, if weights are averaged."""
        state = self.state
        return (state.average, state.average_stats) if state.average.size else (self.w, self.stats)

    def _arguments(self, size: int) -> list[int]:
        """Return the addresses that are the same in all calls of the kernel by a team of `size` threads."""
        if size not in self._fixed:
            plan = self.workspace.plan
            if size < self.threads:
                plan = plan._replace(strips=strips_of(plan.chunk, size), parts=parts_of(self.network, plan.chunk, size))
            table = self.workspace.table
            share = share_weights(table, size, vector_bytes() // self.w.itemsize)
            arrays = [table, record_of(plan), self.workspace.addresses, self._hyper, share]
            # The arrays are kept because kernels only get their addresses.
            self._fixed[size] = [address(array) for array in arrays], arrays
        return self._fixed[size][0]

    def _trained(self) -> list[Array]:
        """Return the arrays that the kernels change."""
        changed = [self.stats, self.state.average, self.state.average_stats]
        return changed if self.hyper.optimizer == STORE else [self.w, *changed]

    def run(self, team: Team, epochs: int, schedule: Array | None = None) -> int:
        """Train for `epochs` epochs, or until the stopping rule or divergence ends it.

        Parameters
        ----------
        team : Team
            At most `self.threads` threads.
        epochs : int
        schedule : ndarray of shape (epochs,) or (epochs * steps, 3), or None
            Learning rate after each epoch, or learning rate and factors of weight decay and dropout for each
            mini-batch, where `steps` is the number of mini-batches in an epoch. None means that the rate is constant
            or adaptive.

        Returns
        -------
        int
            RUNNING if all epochs are done, otherwise STOPPED or DIVERGED. `history` has the losses, even after Ctrl-C.
        """
        assert self.order is not None
        state = self.state
        if self._team_size.largest != team.size:
            self._team_size = TeamSize.of(team.size, self._team_size.work)
        done, status = 0, RUNNING
        while done < epochs and status == RUNNING:
            ahead = 1 if self.order.in_python else epochs - done
            if self.order.in_python and state["row"] == state["chunk_row"] == 0:
                self.order.next_epoch()
            losses = np.empty(ahead)
            changing, part = UNCHANGED, losses
            if schedule is not None:
                changing = EACH_STEP if schedule.ndim == 2 else EACH_EPOCH
                steps = len(schedule) // epochs
                part = np.ascontiguousarray(schedule[done * steps : (done + ahead) * steps], float)
            state["epoch"] = 0
            while state["epoch"] < ahead and status == RUNNING:
                first = state["epoch"]
                size, seconds = self._team_size.next(CALL_SECONDS)
                passes = max(1, int(seconds / self._pass_seconds))
                begin = time.perf_counter()
                self._remember()
                self.order.load()
                try:
                    cpu_seconds = team.run(
                        self._train,
                        passes,
                        *self._arguments(size),
                        address(team.signals),
                        address(state.record),
                        address(losses),
                        ahead,
                        address(part),
                        changing,
                        size=size,
                    )
                finally:
                    # Record the epochs even after Ctrl-C, which takes effect when the kernel has returned.
                    self.order.store()
                    self.history.extend(losses[first : state["epoch"]].tolist())
                    status = self._keep_finite(state["status"])
                seconds, passes = time.perf_counter() - begin, max(1, state["passes"])
                self._pass_seconds = seconds / passes
                self._team_size.record(size, seconds, cpu_seconds, passes)
            done += ahead
        return status

    def use_data(self, X: Array, Y: Array) -> None:
        """Train on other dense data of the same shapes and types, which the caller keeps."""
        self.workspace.set_data(X, Y)

    def release_data(self) -> None:
        """Keep no reference to the data, which `use_data` must replace before the next epoch."""
        if self.data.X.size:
            self.data = self.data._replace(X=NOTHING, Y=NOTHING, labels=NOTHING)
            self.workspace.memory = self.workspace.memory._replace(X=NOTHING, Y=NOTHING, labels=NOTHING)
        self.workspace.set_data(NOTHING, NOTHING)

    def observe(self, value: float) -> int:
        """Apply the stopping rule to a value that training should reduce, and return the status."""
        self._watch(address(self._hyper), address(self.state.record), value)
        return int(self.state["status"])

    def _remember(self) -> None:
        """Copy the arrays of `_trained`, which are finite, before a kernel changes them."""
        for kept, array in zip(self._last_finite, self._trained(), strict=True):
            kept[:] = array

    def _keep_finite(self, status: int) -> int:
        """Restore the arrays of `_remember` if the weights are not finite. Return the status."""
        if not is_finite(self.w):
            for kept, array in zip(self._last_finite, self._trained(), strict=True):
                array[:] = kept
            self.state["status"] = status = DIVERGED
        return status

    def restart(self) -> None:
        """Reset the progress of an evaluation that diverged before its end."""
        for name in ("row", "chunk_row", "status", "loss", "batch_loss", "weight"):
            self.state[name] = 0

    def evaluate(self, team: Team, w: Array | None = None) -> float:
        """Return the cost at `w`, or at the current weights. It may be infinite or NaN.

        This requires the optimizer STORE and a batch of all rows. The gradient is then in `g`.
        """
        if w is not None:
            self.w[:] = w
        self.workspace.transpose_weights()
        self.history.clear()
        self.run(team, 1)
        if self.diverged:
            self.restart()
            return np.inf
        return self.history[0]

    def settle_statistics(self) -> None:
        """Set the running statistics of batch normalisation to those of the whole batch at the current weights.

        L-BFGS updates them at every trial point of its line searches, and stops after few iterations.
        """
        if not self.network.batch_norm:
            return
        self.stats[:] = 0
        self.workspace.transpose_weights()  # L-BFGS may end at other weights than those it evaluated last
        with Team(self.threads) as team:
            self.run(team, 1)
        self.stats /= 1 - MOMENTUM

    def penalty(self) -> float:
        """Return the L2 penalty of the cost."""
        weighted = self.data.sample_weight
        total = float(weighted.sum(dtype=float)) if weighted.size else self.data.rows
        squares = sum(map(sum_of_squares, self.network.parts(self.w).coefs))
        return 0.5 * self.hyper.alpha * squares / (1.0 if self.hyper.penalty_sum else total)

    @property
    def diverged(self) -> bool:
        """Whether the loss or a weight is not finite."""
        return bool(self.state["status"] == DIVERGED)
