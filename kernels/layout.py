"""How a network lies in memory: the tables that the estimators fill in and every kernel reads.

All weights of a network form one vector, layer after layer: W_l (n_{l-1}, q_l) row by row, then b_l (q_l), then,
with batch normalisation, gamma_l (q_l) and beta_l (q_l). Nothing is padded, so `coefs_` and `intercepts_` are
plain views of that vector. q_l = n_l, but for maxout, where q_l = pieces * n_l.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from ._struct import WORDS, Struct, first_word
from .activations import ACTIVATIONS, MAXOUT

__all__ = ["BLOCK_ROWS", "Linked", "Memory", "Options", "Sizes", "layer_table", "share_weights"]

# Elements of the vectors that hold what a fit remembers between two calls of a kernel.
EPOCH, ROW, CHUNK_ROW, NO_CHANGE, STATUS, PASSES, INTS = range(7)
LOSS, BATCH_LOSS, WEIGHT, BEST_LOSS, RATE, BETA_1_T, BETA_2_T, FLOATS = range(8)
RUNNING, STOPPED, DIVERGED, ABORTED = range(4)

# Option `shuffle`. The order of rows does not matter to a full batch, the state of the user's generator does.
KEEP_ORDER, SHUFFLE, DRAW = range(3)

# What D_l holds between the forward and the backward pass.
KEEP_NOTHING, KEEP_Z, KEEP_ACTIVATED = range(3)

# Rows of W that stay together: the sum of squares of the penalty is formed in blocks of so many rows, and the
# blocks must not depend on the team.
BLOCK_ROWS = 4

# Numbers in a cache line: where a layer's part of a buffer begins, a line does.
LINE = 16

# Rows of W whose gradient takes as long as that of the bias, a sum in one chain.
BIAS_COST = 4


class Layer(NamedTuple):
    """A row of the layer table: row l is layer l, row 0 the input."""

    units: int  # n_l
    pre: int  # q_l
    pieces: int  # linear pieces of a maxout unit, else 1
    activation: int
    keep: int  # what D_l holds between the forward and the backward pass, see KEEP_NOTHING
    residual: int
    norm: int
    w: int  # where W_l begins in the weight vector, and so on for all below
    b: int
    gamma: int
    a: int
    d: int
    t: int  # in `transposed`
    h: int
    stats: int
    block: int  # of the penalty's sum; the input has no weights: its place holds the number of all blocks


# The columns of those fields.
UNITS, PRE, PIECES, ACTIVATION, KEEP, RESIDUAL, NORM, W, B, GAMMA, A, D, T, H, STATS, BLOCK = range(len(Layer._fields))


class Linked(NamedTuple):
    """Addresses of the kernels for one dtype; their arguments are those of the functions of these names."""

    gemm: Any
    transpose: Any
    forward: Any
    backward: Any
    forward_rows: Any
    # For training only; 0 elsewhere.
    shuffle: Any = 0
    update: Any = 0
    backward_rows: Any = 0
    gradient_of_rows: Any = 0
    # Compiled when a network or its data first need them; 0 before.
    output_error: Any = 0
    link: Any = 0
    normalise_rows: Any = 0
    normalise_running: Any = 0
    normalise_backward_rows: Any = 0
    csr_affine: Any = 0
    csr_add: Any = 0
    csr_gradient: Any = 0
    csr_seek: Any = 0


class Memory(NamedTuple):
    """Pointers to everything that a pass reads or writes. Sizes are checked where the arrays are made.

    One vector of addresses crosses from Python and kernels hand on one pointer, see `_struct`: passing forty arrays
    about took Numba ten times as long to compile.
    """

    # What is learnt from: m rows, dense or as CSR.
    X: Any  # (m, d)
    values: Any  # (nnz,)
    Y: Any  # (m, K), where not `labelled`
    sample_weight: Any  # (m,), where `weighted`
    # The network and the optimizer's state, all in the order of w.
    w: Any
    transposed: Any  # W_l^T (q_l, n_{l-1}) for l >= 2
    m: Any
    v: Any
    g: Any  # gradient, where a batch comes in several chunks or the gradient is asked for
    stats: Any  # running mean and variance of batch normalisation
    # Scratch of one pass over a chunk of rows.
    A: Any  # A_l (rows, n_l)
    D: Any  # D_l (rows, q_l)
    H: Any  # normalised Z_l (rows, q_l), then mean, scale and two gradients (q_l)
    T: Any  # dJ/dA_l twice, (rows, widest)
    units: Any  # (team, (2 K + 2) strips): outputs, targets and work, unit-major
    row_weight: Any  # (rows,)
    squares: Any  # (blocks, 16): sums of squares of W
    scratch: Any  # (team, scratch): gradient of a few rows of W
    zeros: Any  # (widest,)
    ones: Any  # (1,)
    outputs: Any  # (m, K), where `predicting`
    loss: Any  # (rows,) float64
    unit_loss: Any  # (team, strips) float64
    lanes: Any  # (16,) float64
    indptr: Any  # (m + 1,) int64
    cursor: Any  # (team, rows) int64
    rows: Any  # (rows,) int64: which rows of X the chunk has, for sparse X
    indices: Any  # (nnz,) int32, increasing within a row
    labels: Any  # (m,) int32, where `labelled`
    order: Any  # (m,) int32, where `ordered`: row order of this epoch
    picks: Any  # (m,) int32
    random: Any  # (625,) uint32
    words: Any  # (624,) uint32
    linked: Any  # the kernels of `Linked`, for `call`


# How many fields of Memory are of which type, in their order; None stands for the dtype of the network.
KINDS = ((None, 21), (types.float64, 3), (types.int64, 3), (types.int32, 4), (types.uint32, 2))

LINKED = Struct("Linked", dict.fromkeys(Linked._fields, types.voidptr))
LAYER = Struct("Layer", dict.fromkeys(Layer._fields, types.int64))


def memory_struct(number: types.Type) -> Struct:
    """Return the Struct of Memory for networks of `number`."""
    kinds = [types.CPointer(kind or number) for kind, count in KINDS for _ in range(count)]
    return Struct(f"Memory({number})", dict(zip(Memory._fields, [*kinds, LINKED], strict=True)))


@intrinsic
def memory_of(typingctx, addresses, like):
    """The Memory whose addresses stand, in the order of its fields, in `addresses` (int64); `like` has the dtype."""
    return memory_struct(like.dtype)(addresses, like), first_word


@intrinsic
def layers_of(typingctx, table):
    """Layer 0 of the layer table `table` (int64); the others stand behind it, see `nth`."""
    return LAYER(table), first_word


@intrinsic
def options_of(typingctx, words):
    """The Options whose fields stand in `words` (int64)."""
    return OPTIONS(words), first_word


class Options(NamedTuple):
    """The numbers of one fit."""

    rows: int  # m
    labelled: bool  # targets are classes 0..K-1, not indicators
    weighted: bool
    sparse: bool
    ordered: bool  # rows are taken in the order of `Memory.order`
    scratch: int  # numbers in each thread's part of `Memory.scratch`
    strips: int  # samples in each thread's part of `Memory.units`: full strips
    predicting: bool  # forward pass only, into `Memory.outputs`
    cap: float  # largest log loss of one unit
    loss_scale: float
    optimizer: int
    shuffle: int  # DRAW or SHUFFLE once an epoch, or neither
    batch: int
    chunk: int
    alpha: float
    penalty_sum: bool
    momentum: float
    beta_1: float
    beta_2: float
    epsilon: float
    adaptive: bool
    watch_loss: bool  # stop by the training loss (False: the caller watches a validation score)
    tol: float
    patience: float
    last: int  # L, the output layer
    widest: int  # units of the widest layer


OPTIONS = Struct("Options", {name: WORDS[kind] for name, kind in Options.__annotations__.items()})


class Sizes(NamedTuple):
    """Lengths of the vectors that a layer table addresses."""

    w: int
    transposed: int
    A: int
    D: int
    H: int
    stats: int
    blocks: int


def aligned(size: int) -> int:
    """Numbers up to the next cache line, for the larger dtype to the next but one."""
    return -(-size // LINE) * LINE


def layer_table(
    units: list[int],
    activations: list[str],
    *,
    pieces: int = 2,
    residual: bool = False,
    batch_norm: bool = False,
    rows: int = 1,
    gather: bool = True,
) -> tuple[Any, Sizes]:
    """Fill in the layer table for a network with layers of `units` (input and output included).

    Parameters
    ----------
    units : list of int
        Widths n_0..n_L.
    activations : list of str
        Names of the L - 1 hidden activations.
    pieces : int, default=2
        Linear pieces of a maxout unit.
    residual : bool, default=False
        Whether a hidden layer as wide as its input adds it.
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch.
    rows : int, default=1
        Rows that the buffers hold.
    gather : bool, default=True
        Whether rows of X are copied into the buffers.

    Returns
    -------
    table : ndarray of int64, a row for each `Layer`
    sizes : Sizes
    """
    last = len(units) - 1
    table = np.zeros((last + 1, len(Layer._fields)), dtype=np.int64)
    table[:, UNITS] = table[:, PRE] = units
    table[:, PIECES] = 1
    w = t = a = d = h = stats = block = 0
    a += aligned(rows * units[0]) if gather else 0
    for l in range(1, last + 1):
        row = table[l]
        hidden = l < last
        if hidden:
            kind = ACTIVATIONS[activations[l - 1]]
            row[ACTIVATION] = kind.code
            if kind.code == MAXOUT:
                row[PIECES], row[PRE] = pieces, pieces * units[l]
            row[RESIDUAL] = residual and units[l] == units[l - 1]
            if kind.needs_z:
                row[KEEP] = KEEP_Z
            elif row[RESIDUAL]:
                row[KEEP] = KEEP_ACTIVATED
            row[NORM] = batch_norm
        fan_in, q = units[l - 1], int(row[PRE])
        row[W], row[B] = w, w + fan_in * q
        w += (fan_in + 1) * q
        row[A], row[D], row[T], row[H], row[STATS] = a, d, t, h, stats
        row[BLOCK] = block
        block += -(-fan_in // BLOCK_ROWS)
        a += aligned(rows * units[l])
        d += aligned(rows * q)
        t += aligned(fan_in * q) if l > 1 else 0
        if row[NORM]:
            row[GAMMA] = w
            w += 2 * q
            h += (rows + 4) * q
            stats += 2 * q
    table[0, BLOCK] = block
    return table, Sizes(w, t, a, d, h, stats, block)


def share_weights(table: Any, team: int, lanes: int) -> Any:
    """Share out the rows of every W (the bias counts as its last row) over a team, so that all have as much work.

    A row costs its vectors of `lanes` numbers: ten columns cost as much as sixteen. Only speed depends on that.

    Returns
    -------
    ndarray of shape (L + 1, team + 1), int64: rank r owns rows share[l, r] to share[l, r + 1] of layer l. Cuts lie
    between blocks of BLOCK_ROWS rows.
    """
    share = np.zeros((len(table), team + 1), dtype=np.int64)
    fan_in, q = table[:-1, UNITS], table[1:, PRE]
    share[1:, team] = fan_in + 1
    if team == 1:
        return share
    vectors = -(-q // lanes)
    costs = (fan_in + BIAS_COST) * vectors
    ends = np.cumsum(costs)
    for rank in range(1, team):
        cut = ends[-1] * rank / team
        rows = np.rint((cut - (ends - costs)) / (vectors * BLOCK_ROWS)) * BLOCK_ROWS
        # A cut never leaves part of a block to the bias row's owner.
        share[1:, rank] = np.where(rows >= fan_in, np.where(rows > fan_in, fan_in + 1, fan_in), np.maximum(rows, 0))
    return share
