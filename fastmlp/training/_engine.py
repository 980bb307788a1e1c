"""Python's side of the training kernel: memory, team size, and calls short enough to interrupt."""

import math
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import DTypeLike

from fastmlp.kernels._link import linked_kernels
from fastmlp.kernels._simd import VECTOR_BYTES
from fastmlp.kernels._strips import STRIP
from fastmlp.kernels._struct import words_of
from fastmlp.kernels.layout import (
    BATCH_LOSS,
    BEST_LOSS,
    BETA_1_T,
    BETA_2_T,
    CHUNK_ROW,
    DIVERGED,
    DRAW,
    EPOCH,
    FLOATS,
    INTS,
    KEEP,
    KEEP_ORDER,
    KINDS,
    LOSS,
    PASSES,
    PRE,
    RATE,
    ROW,
    RUNNING,
    SHUFFLE,
    STATUS,
    UNITS,
    WEIGHT,
    Memory,
    Options,
    T,
    W,
    share_weights,
)
from fastmlp.kernels.normalisation import MOMENTUM
from fastmlp.kernels.optimizers import OPTIMIZERS, STORE
from fastmlp.kernels.reductions import LANES
from fastmlp.kernels.shuffling import KEYS
from fastmlp.kernels.train import train

from ._aligned import address, empty, zeros
from ._blockwise import is_finite, sum_of_squares
from ._network import Array, Network
from ._threads import Team

__all__ = [
    "Data",
    "Engine",
    "Hyper",
    "OptimizerState",
    "addresses_of",
    "csr_arrays",
    "log_loss_cap",
    "prepare_data",
    "strips_of",
]

CALL_SECONDS = 0.05  # Ctrl-C is noticed between two calls of the kernel
# Cautious: only the first call of a fit is planned with these. What surrounds the products of a tiny network counts.
FIRST_FLOPS_PER_SECOND, FIRST_SECONDS = 2e10, 2e-6
CHUNK_BYTES = 1 << 20  # activations of one chunk of a large batch: about a second-level cache
CHUNK_ROWS = 256  # and at least so many rows, whatever their width
# Fields of Memory that kernels do not write: a user's arrays may be mapped from a file, read-only.
ONLY_READ = ("X", "values", "Y", "sample_weight", "indptr", "indices", "labels")
SCRATCH = 8192  # elements of gradient that a thread holds in the first-level cache
# Operations of one step below which a second thread costs more than it brings (bench/scaling).
FLOPS_PER_THREAD = 400_000
# A gradient alone is one call of the team: to wake it costs as much as the barriers of so many steps (bench/gradient).
STEPS_PER_CALL = 75


@dataclass
class Hyper:
    """What the optimizer and the objective are told. Names and defaults as in `MLPClassifier`."""

    optimizer: str = "store"
    alpha: float = 0.0
    penalty: str = "mean"
    momentum: float = 0.9
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    adaptive: bool = False
    watch_loss: bool = False
    tol: float = 0.0
    patience: float = math.inf
    cap: float = math.inf
    loss_scale: float = 1.0


class Data(NamedTuple):
    """What is learnt from, as kernels take it: X dense or as CSR (the other is empty), targets, sample weights."""

    rows: int
    X: Array  # (m, d)
    indptr: Array  # (m + 1,) int64
    indices: Array  # (nnz,) int32, increasing within a row
    values: Array  # (nnz,)
    Y: Array  # (m, K), empty where there are labels
    labels: Array  # (m,) int32: exclusive classes 0..K-1
    sample_weight: Array  # (m,), empty: all ones


@dataclass
class OptimizerState:
    """What an optimizer remembers from one `partial_fit` to the next.

    Attributes
    ----------
    learning_rate : float
        The current rate of SGD; for Adam, of the last step with its bias corrections.
    beta_1_t, beta_2_t : float
        beta_1^t and beta_2^t after t steps.
    m, v : ndarray
        First moment or velocity, second moment; empty where the optimizer has none.
    """

    learning_rate: float
    m: Array
    v: Array
    beta_1_t: float = 1.0
    beta_2_t: float = 1.0

    @classmethod
    def new(cls, optimizer: str, size: int, dtype: DTypeLike, rate: float) -> "OptimizerState":
        """Return the state before the first step."""
        states = OPTIMIZERS[optimizer].states
        return cls(float(rate), zeros(size, dtype), zeros(size if states > 1 else 0, dtype))


_NO_RATES = np.empty(0)


def log_loss_cap(dtype: DTypeLike) -> float:
    """Largest log loss of one unit, -log(eps): what scikit-learn's clipping of probabilities amounts to."""
    return float(-np.log(np.finfo(dtype).eps))


def csr_arrays(X: Any, dtype: DTypeLike) -> tuple[Array, Array, Array]:
    """Return (indptr, indices, values) of a sparse matrix in the types of `Data`, sorted, without duplicates."""
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return (
        np.ascontiguousarray(X.indptr, np.int64),
        np.ascontiguousarray(X.indices, np.int32),
        np.ascontiguousarray(X.data, dtype),
    )


def prepare_data(X: Any, Y: Array, sample_weight: Array | None, dtype: DTypeLike) -> Data:
    """Bring validated data into the form that kernels take, without a copy where it has that form.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (m, d)
    Y : ndarray of shape (m, K), or of shape (m,) and an integer dtype: classes 0..K-1
    sample_weight : ndarray of shape (m,) or None
    dtype : dtype
        Of the computation.
    """
    dtype = np.dtype(dtype)
    empty = np.empty(0, dtype)
    indptr, indices, values = np.empty(0, np.int64), np.empty(0, np.int32), empty
    if scipy.sparse.issparse(X):
        indptr, indices, values = csr_arrays(X, dtype)
        dense = empty
    else:
        dense = np.ascontiguousarray(X, dtype)
    classes = Y.ndim == 1
    return Data(
        X.shape[0],
        dense,
        indptr,
        indices,
        values,
        empty if classes else np.ascontiguousarray(Y, dtype),
        np.ascontiguousarray(Y, np.int32) if classes else np.empty(0, np.int32),
        empty if sample_weight is None else np.ascontiguousarray(sample_weight, dtype),
    )


@cache
def _dtypes(dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    """The dtype of each array of Memory in a network of `dtype`."""
    return [np.dtype(str(kind)) if kind else dtype for kind, count in KINDS for _ in range(count)]


def addresses_of(memory: Memory, dtype: np.dtype[Any]) -> Array:
    """Return the addresses of the arrays of `memory`, having checked that each is what a kernel takes it for.

    An array without elements has the address 0: nothing may be read from it or written to it.
    """
    *arrays, linked = memory
    for name, array, kind in zip(Memory._fields, arrays, _dtypes(dtype), strict=False):
        flags = array.flags
        if array.dtype != kind or not flags.c_contiguous:
            raise TypeError(f"{name} must be a C-contiguous array of {kind}, got {array.dtype}")
        if not (flags.writeable or name in ONLY_READ):
            raise ValueError(f"{name} is written, but the array is read-only")
    return np.array([*(address(array) if array.size else 0 for array in arrays), *linked], dtype=np.int64)


def strips_of(rows: int, threads: int) -> int:
    """Return the samples of the largest share of `rows`, filled up to full strips."""
    return -(-(rows // threads + 1) // STRIP) * STRIP


def _chunk(network: Network, batch: int, itemsize: int) -> int:
    """Rows of one pass: the whole batch if it is small, else even parts of it that fit the cache.

    The loss is summed chunk by chunk, so the team's size may play no part here.
    """
    if network.batch_norm:
        return batch
    row = itemsize * (sum(network.units) + sum(q for _, q in network.shapes()))
    rows = max(CHUNK_ROWS, CHUNK_BYTES // row)
    return -(-batch // -(-batch // rows))


@dataclass
class Engine:
    """A network, its data, and the memory to train it in.

    Parameters
    ----------
    network : Network
    data : Data
        From `prepare_data`.
    w : ndarray of shape (sizes.w,)
        The weight vector; trained in place. It should have room behind it, see `_room`.
    hyper : Hyper
    batch : int
        Rows of a mini-batch, at most `data.rows`.
    shuffle : bool
        Whether each epoch takes the rows in a new order.
    state : OptimizerState
    threads : int
        Upper bound for the team.
    stats : ndarray
        Running statistics of batch normalisation; updated in place.
    random : RandomState or None
        Source of the row orders.
    keep_generator : bool
        Whether `random` belongs to the user, who sees how far it has moved.
    """

    network: Network
    data: Data
    w: Array
    hyper: Hyper
    batch: int
    shuffle: bool
    state: OptimizerState
    threads: int
    stats: Array
    random: np.random.RandomState | None = None
    keep_generator: bool = True
    ints: Array = field(init=False)
    floats: Array = field(init=False)
    history: list[float] = field(init=False, default_factory=list)
    _generator: dict[str, Any] = field(init=False, repr=False)  # the state of `random` when a call began

    def __post_init__(self) -> None:
        dtype, m = self.w.dtype, self.data.rows
        chunk = _chunk(self.network, self.batch, dtype.itemsize)
        # Row order does not change a full batch: only a generator that the user can see must move on.
        reorder = self.shuffle and self.batch < m
        mode = SHUFFLE if reorder else DRAW if self.shuffle and self.keep_generator else KEEP_ORDER
        self._python_shuffle = mode != KEEP_ORDER and not self._is_mersenne()
        self._like = np.empty(0, dtype)
        sparse, weighted = self.data.indptr.size > 0, self.data.sample_weight.size > 0
        draws = mode != KEEP_ORDER
        self._table, sizes = self.network.table(chunk, gather=reorder and not sparse)
        flops = self.network.flops() * chunk
        self._pass_seconds = FIRST_SECONDS + flops / FIRST_FLOPS_PER_SECOND
        storing = self.hyper.optimizer == "store"
        work = self.network.flops() * self.batch // STEPS_PER_CALL if storing else flops
        self.threads = max(1, min(self.threads, work // FLOPS_PER_THREAD, chunk))
        self._share = share_weights(self._table, self.threads, VECTOR_BYTES // dtype.itemsize)
        K, widest = self.network.units[-1], max(q for _, q in self.network.shapes())
        scratch = max(SCRATCH, 28 * widest)
        # The team may turn out smaller, and then every share of it is larger.
        strips = max(size * strips_of(chunk, size) for size in range(1, self.threads + 1))
        self.g = empty(sizes.w if storing or chunk < self.batch else 0, dtype)
        self._order = np.arange(m if reorder else 0, dtype=np.int32)
        self._random = np.empty(KEYS + 1, np.uint32)
        self._memory = Memory(
            X=self.data.X,
            values=self.data.values,
            Y=self.data.Y,
            sample_weight=self.data.sample_weight,
            w=self.w,
            transposed=zeros(sizes.transposed, dtype),
            m=self.state.m,
            v=self.state.v,
            g=self.g,
            stats=self.stats,
            A=empty(sizes.A, dtype),
            D=empty(sizes.D, dtype),
            H=empty(sizes.H, dtype),
            T=empty(2 * chunk * widest if self._table[:, KEEP].any() else 0, dtype),
            units=zeros(2 * (K + 1) * strips, dtype),
            row_weight=empty(chunk if weighted else 0, dtype),
            squares=np.zeros((sizes.blocks, LANES), dtype),
            scratch=empty(self.threads * scratch, dtype),
            zeros=zeros(widest, dtype),
            ones=np.ones(1, dtype),
            outputs=self._like,
            loss=empty(chunk, float),
            unit_loss=empty(strips, float),
            lanes=empty(LANES, float),
            indptr=self.data.indptr,
            cursor=np.empty((self.threads, chunk if sparse else 0), np.int64),
            rows=np.empty(chunk if sparse else 0, np.int64),
            indices=self.data.indices,
            labels=self.data.labels,
            order=self._order,
            picks=np.empty(m if draws else 0, np.int32),
            random=self._random,
            words=np.empty(KEYS, np.uint32),
            linked=linked_kernels(dtype.name, self.network.output, batch_norm=self.network.batch_norm, csr=sparse),
        )
        self._addresses = addresses_of(self._memory, dtype)
        h = self.hyper
        self._options = Options(
            rows=m,
            labelled=self.data.labels.size > 0,
            weighted=weighted,
            sparse=sparse,
            ordered=reorder,
            scratch=scratch,
            strips=strips_of(chunk, self.threads),
            predicting=False,
            cap=float(h.cap),
            loss_scale=float(h.loss_scale),
            optimizer=STORE if storing else OPTIMIZERS[h.optimizer].code,
            shuffle=KEEP_ORDER if self._python_shuffle else mode,
            batch=self.batch,
            chunk=chunk,
            alpha=float(h.alpha),
            penalty_sum=h.penalty == "sum",
            momentum=float(h.momentum),
            beta_1=float(h.beta_1),
            beta_2=float(h.beta_2),
            epsilon=float(h.epsilon),
            adaptive=h.adaptive,
            watch_loss=h.watch_loss,
            tol=float(h.tol),
            patience=float(h.patience),
            last=len(self._table) - 1,
            widest=widest,
        )
        self._words = words_of(self._options)
        self._draws = draws and not self._python_shuffle
        self.ints, self.floats = np.zeros(INTS, np.int64), np.zeros(FLOATS)
        self.floats[BEST_LOSS] = np.inf
        self.floats[RATE] = self.state.learning_rate
        self.floats[BETA_1_T], self.floats[BETA_2_T] = self.state.beta_1_t, self.state.beta_2_t
        self._finite, self._finite_stats = self.w.copy(), self.stats.copy()
        self.refresh()

    def refresh(self) -> None:
        """Take note of weights that were changed from outside."""
        for fan_in, row in zip(self._table[1:-1, UNITS], self._table[2:], strict=True):
            q, n = row[PRE], row[PRE] * fan_in
            transposed = self._memory.transposed[row[T] : row[T] + n].reshape(q, fan_in)
            transposed[:] = self.w[row[W] : row[W] + n].reshape(fan_in, q).T

    def _is_mersenne(self) -> bool:
        return self.random is not None and self.random.get_state(legacy=False)["bit_generator"] == "MT19937"

    def run(self, team: Team, epochs: int, rates: Array | None = None) -> int:
        """Train for `epochs` epochs, or until the stopping rule or divergence ends it.

        Parameters
        ----------
        team : Team
            Of `self.threads` ranks or fewer.
        epochs : int
        rates : ndarray of shape (epochs,) or None
            Learning rate after each epoch; None: constant or adaptive.

        Returns
        -------
        int
            RUNNING (all epochs done), STOPPED or DIVERGED. `history` has the losses, also after Ctrl-C.
        """
        share, words = self._share, self._words
        if team.size < self.threads:
            share = share_weights(self._table, team.size, VECTOR_BYTES // self.w.itemsize)
            words = words_of(self._options._replace(strips=strips_of(self._options.chunk, team.size)))
        done = 0
        status = RUNNING
        while done < epochs and status == RUNNING:
            ahead = 1 if self._python_shuffle else epochs - done
            if self._python_shuffle and self.ints[ROW] == self.ints[CHUNK_ROW] == 0:
                self._shuffle_in_python()
            losses = np.empty(ahead)
            self.ints[EPOCH] = 0
            while self.ints[EPOCH] < ahead and status == RUNNING:
                first = int(self.ints[EPOCH])
                passes = max(1, int(CALL_SECONDS / self._pass_seconds))
                begin = time.perf_counter()
                self._load_generator()
                try:
                    team.run(
                        train,
                        passes,
                        self._like,
                        self._addresses,
                        self._table,
                        share,
                        words,
                        team.signals,
                        self.ints,
                        self.floats,
                        losses,
                        _NO_RATES if rates is None else rates[done : done + ahead],
                    )
                finally:
                    # Also after Ctrl-C, which strikes when the kernel has returned: what it did is done.
                    self._store_generator()
                    self.history.extend(losses[first : self.ints[EPOCH]].tolist())
                    status = self._keep_finite(int(self.ints[STATUS]))
                self._pass_seconds = (time.perf_counter() - begin) / max(1, int(self.ints[PASSES]))
            done += ahead
        return status

    def _shuffle_in_python(self) -> None:
        """One epoch's draw from a generator that the kernel does not know."""
        assert self.random is not None
        picks = np.arange(self.data.rows, dtype=np.int32)
        self.random.shuffle(picks)
        if self._order.size:
            self._order[:] = self._order[picks]

    def _load_generator(self) -> None:
        if self._draws and self.random is not None:
            self._generator = self.random.get_state(legacy=False)
            self._random[:KEYS] = self._generator["state"]["key"]
            self._random[KEYS] = self._generator["state"]["pos"]

    def _store_generator(self) -> None:
        if self._draws and self.random is not None:
            self._generator["state"]["key"] = self._random[:KEYS]
            self._generator["state"]["pos"] = int(self._random[KEYS])
            self.random.set_state(self._generator)

    def _keep_finite(self, status: int) -> int:
        """Remember the weights if they are finite, else go back to the last that were; return the status."""
        if not is_finite(self.w):
            self.w[:] = self._finite
            self.stats[:] = self._finite_stats
            self.ints[STATUS] = status = DIVERGED
        elif status == RUNNING:
            self._finite[:] = self.w
            self._finite_stats[:] = self.stats
        return status

    def restart(self) -> None:
        """Forget an evaluation that diverged half-way."""
        self.ints[[ROW, CHUNK_ROW, STATUS]] = 0, 0, RUNNING
        self.floats[[LOSS, BATCH_LOSS, WEIGHT]] = 0.0

    def settle_statistics(self) -> None:
        """Let the running statistics be those of the whole batch at the present weights.

        L-BFGS moves them at every trial point of its line searches, and stops after few.
        """
        if not self.network.batch_norm:
            return
        self.stats[:] = 0
        with Team(self.threads) as team:
            self.run(team, 1)
        self.stats /= 1 - MOMENTUM

    def penalty(self) -> float:
        """Return the penalty's part of the cost."""
        weighted = self.data.sample_weight
        total = float(weighted.sum(dtype=float)) if weighted.size else self.data.rows
        squares = sum(map(sum_of_squares, self.network.parts(self.w).coefs))
        return 0.5 * self.hyper.alpha * squares / (1.0 if self.hyper.penalty == "sum" else total)

    @property
    def diverged(self) -> bool:
        """Whether the loss or a weight has ceased to be finite."""
        return bool(self.ints[STATUS] == DIVERGED)

    def sync(self) -> None:
        """Bring `state` up to date, for the next `partial_fit`."""
        self.state.learning_rate = float(self.floats[RATE])
        self.state.beta_1_t, self.state.beta_2_t = float(self.floats[BETA_1_T]), float(self.floats[BETA_2_T])
