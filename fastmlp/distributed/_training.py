"""The client's part of training: collect gradients from workers, add them in a fixed order, and take steps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.optimize

from fastmlp.kernels._arrays import address
from fastmlp.kernels._link import entry
from fastmlp.kernels.layout import STOPPED, Hyper, record_of
from fastmlp.training._optimizer import take_step
from fastmlp.training._state import TrainingState
from fastmlp.training._stochastic import inverse_scaling

from ._partitions import Architecture, Sum, add, gradient

__all__ = ["Diverged", "Objective", "Progress", "minimize_lbfgs", "train"]


class Diverged(ArithmeticError):
    """The loss or the weights are not finite."""


def _broadcast(w: np.ndarray) -> np.ndarray:
    """Return the weights. As a separate task, they are sent once, and again if a worker is lost."""
    return w


@dataclass
class Objective:
    """Loss and gradient over the rows in the memory of the workers.

    Parameters
    ----------
    client : distributed.Client
    parts : list of Future of Partition
    lengths : sequence of int
        Number of rows of each partition.
    architecture : Architecture
    alpha, penalty
        As `alpha` and `penalty_scaling` of the estimators.
    loss_scale : float
        Factor of the reported loss, without the penalty.
    """

    client: Any
    parts: Sequence[Any]
    lengths: Sequence[int]
    architecture: Architecture
    alpha: float
    penalty: str
    loss_scale: float

    def __post_init__(self) -> None:
        self.starts = np.cumsum([0, *self.lengths])
        self.penalised = np.concatenate([np.repeat([True, False], (n * q, q)) for n, q in self.architecture.shapes])

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return int(self.starts[-1])

    def _sums(self, w: np.ndarray, rows: np.ndarray | None) -> Sum:
        """Return the mean over `rows` (None: all), partition by partition."""
        weights = self.client.submit(_broadcast, w, pure=False)
        if rows is None:
            asked: list[tuple[int, np.ndarray | None]] = [(p, None) for p in range(len(self.parts))]
        else:
            places = np.searchsorted(self.starts, rows, side="right") - 1
            asked = [(p, rows[places == p] - self.starts[p]) for p in np.unique(places).tolist()]
        futures = [
            self.client.submit(gradient, self.parts[p], weights, chosen, self.architecture, pure=False)
            for p, chosen in asked
        ]
        return add(self.client.gather(futures))

    def _strength(self, weight: float) -> float:
        return self.alpha if self.penalty == "sum" else self.alpha / weight

    def penalty_of(self, w: np.ndarray, weight: float) -> float:
        """Return the penalty at w for rows with the total weight `weight`."""
        matrices = w[self.penalised].astype(float)
        return 0.5 * self._strength(weight) * float(matrices @ matrices)

    def __call__(self, w: np.ndarray, rows: np.ndarray | None) -> tuple[float, float, np.ndarray] | None:
        """Return loss and gradient at w, with the penalty, after the weight of the rows; None if that is 0.

        Raises
        ------
        Diverged
            If the loss is not finite.
        """
        weight, loss, g = self._sums(w, rows)
        if weight == 0:
            return None
        if not math.isfinite(loss):
            raise Diverged
        return weight, loss + self.penalty_of(w, weight), g + self._strength(weight) * np.where(self.penalised, w, 0)

    def reported(self, w: np.ndarray, weight: float, J: float) -> float:
        """Return J as scikit-learn reports it: squared errors are averaged over the outputs."""
        penalty = self.penalty_of(w, weight)
        return (J - penalty) * self.loss_scale + penalty if self.loss_scale != 1 else J


@dataclass
class Progress:
    """Progress of training: the last finite weights and the state of the optimizer and of the stopping rule.

    Attributes
    ----------
    w : ndarray
        The last finite weights.
    state : TrainingState
    batch : int
        Number of finished mini-batches of the current epoch.
    """

    w: np.ndarray
    state: TrainingState
    batch: int = 0


def train(
    objective: Objective,
    progress: Progress,
    hyper: Hyper,
    random: np.random.RandomState,
    *,
    shuffle: bool,
    max_iter: int,
    power_t: float | None,
    report: Callable[[str], None],
) -> bool:
    """Train by mini-batches until scikit-learn's rules stop training; return whether this was before `max_iter`.

    Row orders are drawn as in scikit-learn, over the rows of all partitions, so the mini-batches are those of the local
    estimator. `progress` is updated, even if training ends with an error. `power_t` is the exponent of the 'invscaling'
    schedule, and None for other schedules.

    Raises
    ------
    Diverged
        `progress` has the last finite weights, epoch and mini-batch.
    """
    m, batch_size, state = objective.rows, hyper.batch, progress.state
    rate_init, record = state["rate"], record_of(hyper)
    watch = entry("watch", "float64")  # the same for all dtypes
    numbers = np.int32 if m <= np.iinfo(np.int32).max else np.int64
    order = np.arange(m, dtype=numbers)
    for _ in range(max_iter):
        if shuffle:
            permutation = np.arange(m, dtype=numbers)
            random.shuffle(permutation)
            if batch_size < m:  # the order of rows does not change a full batch
                order = order[permutation]
        total, progress.batch = 0.0, 0
        for start in range(0, m, batch_size):
            rows = order[start : start + batch_size]
            found = objective(progress.w, rows if batch_size < m else None)
            if found is not None:
                weight, J, g = found
                total += objective.reported(progress.w, weight, J) * len(rows)
                w = progress.w.copy()
                take_step(record, state, w, g.astype(w.dtype))
                if not np.isfinite(w).all():
                    raise Diverged
                progress.w = w
            progress.batch += 1
        loss = total / m
        state.loss_curve.append(loss)
        state.n_iter += 1
        state.t += m
        report(f"Iteration {state.n_iter}, loss = {loss:.8f}")
        if power_t is not None:
            state["rate"] = inverse_scaling(rate_init, state.t, power_t)
        watch(address(record), address(state.record), loss)
        if state["status"] == STOPPED:
            return True
    return False


def minimize_lbfgs(
    objective: Objective, progress: Progress, *, max_iter: int, max_fun: int, tol: float, report: Callable[[str], None]
) -> tuple[float, str | None]:
    """Minimise the objective over all rows with SciPy's L-BFGS-B, in float64.

    Returns
    -------
    loss : float
        The reported loss.
    complaint : str or None
        SciPy's message if it stopped without convergence.

    Raises
    ------
    Diverged
        If the cost of the initial weights is not finite.
    """
    best, weight = np.inf, 0.0

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best, weight
        try:
            found = objective(x, None)
        except Diverged:
            if weight == 0:
                raise
            return np.inf, np.zeros_like(x)
        assert found is not None  # the sum of all weights was checked
        weight, J, g = found
        if best > J:
            best, progress.w = J, x.copy()
        return J, g

    def after_iteration(intermediate_result: Any) -> None:
        progress.state.n_iter += 1
        report(f"Iteration {progress.state.n_iter}, loss = {intermediate_result.fun:.8f}")

    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    result = scipy.optimize.minimize(
        cost, progress.w, jac=True, method="L-BFGS-B", callback=after_iteration, options=options
    )
    progress.state.n_iter = int(result.nit)
    if np.isfinite(result.fun) and np.isfinite(result.x).all():
        best, progress.w = float(result.fun), result.x
    loss = objective.reported(progress.w, weight, best)
    return loss, None if result.success else str(result.message)
