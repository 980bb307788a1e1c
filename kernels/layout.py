"""How a network and its training lie in memory: what Python fills in and every kernel reads.

All weights of a network form one vector, layer after layer: W_l (n_{l-1}, q_l) row by row, then b_l (q_l), then,
with batch normalisation, gamma_l (q_l) and beta_l (q_l). Nothing is padded, so `coefs_` and `intercepts_` are
plain views of that vector. q_l = n_l, but for maxout, where q_l = pieces * n_l.

Python and kernels share four kinds of records: `Layer`, `Plan`, `Hyper` and `State`. Each is declared once, as the
annotations of a class, from which `record_dtype` makes the NumPy dtype; kernels read the fields by name. This module
needs neither Numba nor LLVM.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .tables import ACTIVATIONS, MAXOUT, STORE

__all__ = [
    "ABORT",
    "ABORTED",
    "ARRIVED",
    "BLOCK_ROWS",
    "DIVERGED",
    "DRAW",
    "EACH_EPOCH",
    "EACH_STEP",
    "EPSILON",
    "HYPER",
    "KEEP_ACTIVATED",
    "KEEP_NOTHING",
    "KEEP_ORDER",
    "KEEP_Z",
    "KEYS",
    "LANES",
    "LAYER",
    "LINKED",
    "MEMORY",
    "MOMENTUM",
    "PANEL_ROWS",
    "PLAN",
    "ROUND_ROWS",
    "RUNNING",
    "SHUFFLE",
    "SIGNALS",
    "STATE",
    "STOPPED",
    "STRIP",
    "STRIP_BYTES",
    "UNCHANGED",
    "Hyper",
    "Layer",
    "Memory",
    "Plan",
    "Sizes",
    "State",
    "layer_table",
    "record_of",
    "share_weights",
]

# Values of `State.status`.
RUNNING, STOPPED, DIVERGED, ABORTED = range(4)

# Values of `Hyper.shuffle`. A full batch does not depend on the order of its rows, but the state of the user's
# generator does: DRAW moves the generator on and leaves the order alone.
KEEP_ORDER, SHUFFLE, DRAW = range(3)

# How the learning rate changes: not, or as the stopping rule says; after each epoch; with each mini-batch.
UNCHANGED, EACH_EPOCH, EACH_STEP = range(3)

# Values of `Layer.keep`: what D_l holds between the forward and the backward pass.
KEEP_NOTHING, KEEP_Z, KEEP_ACTIVATED = range(3)

# LLVM vectorises elementwise loops in strips of up to 64 numbers and computes what is left over one by one, ten times
# slower. Kernels therefore copy the rest to a full strip, and pad the samples of a share to full strips.
STRIP = 64
STRIP_BYTES = 8 * STRIP

# Interleaved chains of a sum, see `reductions`.
LANES = 16

# Rows of W that stay together: the sum of squares of the penalty is formed in blocks of this many rows, and the blocks
# must not depend on the number of threads.
BLOCK_ROWS = 4

# Rows of W that one round of the gradient pass takes at the most, see `step.ROUND`.
ROUND_ROWS = 28

# The same for layers with panels, see `panels.HEIGHT`.
PANEL_ROWS = 56

# Numbers in a cache line: each layer's part of a buffer begins with a cache line.
LINE = 16

# Columns of the widest panels: two vectors of 64 bytes.
PANEL = 32

# The gradient of the bias is a sum in one chain. It takes as long as the gradient of this many rows of W.
BIAS_COST = 4

# Words in the state of the Mersenne Twister; the position within them is stored behind them.
KEYS = 624

# Elements of the signal array of a team of threads, each on a cache line of its own.
ARRIVED, ABORT, SIGNALS = 0, 8, 16

# Momentum of the running statistics of batch normalisation (PyTorch's BatchNorm1d: 0.1 = 1 - MOMENTUM).
MOMENTUM = 0.9
# Added to the variances of batch normalisation, as in PyTorch's BatchNorm1d.
EPSILON = 1e-5


class Layer(NamedTuple):
    """A row of the layer table: row l describes layer l, row 0 the input."""

    units: int  # n_l
    pre: int  # q_l
    pieces: int  # linear pieces of a maxout unit, else 1
    activation: int  # op code
    keep: int  # what D_l holds between the forward and the backward pass, see KEEP_NOTHING
    residual: int  # whether the layer adds its input to its output
    norm: int  # whether the layer is normalised over the batch
    panels: int  # whether products read W_l, its transpose and D_l from panels, see `panels`
    w: int  # index of the first element of W_l in the weight vector; the fields below are such indices, too
    b: int
    gamma: int
    a: int  # in `Memory.A`
    d: int  # in `Memory.D`
    t: int  # in `Memory.transposed`
    w_panels: int  # in `Memory.w_panels`
    d_panels: int  # in `Memory.d_panels`
    h: int  # in `Memory.H`
    stats: int  # in `Memory.stats`
    block: int  # first block of W_l in the sum of squares of the penalty
    dropout: float  # fraction of A_l that is set to zero in training (row 0: of the input)
    rate_w: float  # multipliers of the learning rate for W_l, and for b_l, gamma_l and beta_l
    rate_b: float


class Plan(NamedTuple):
    """What a pass over the data needs to know: counts, sizes of buffers and forms of the data."""

    rows: int  # m
    chunk: int  # rows of one pass
    last: int  # L, the index of the output layer
    widest: int  # q_l of the widest layer
    strips: int  # samples in each thread's part of `Memory.units`, in full strips
    scratch: int  # numbers in each thread's part of `Memory.scratch`
    blocks: int  # blocks of the penalty's sum of squares
    labelled: bool  # targets are classes 0..K-1, not indicators
    weighted: bool  # there are sample weights
    sparse: bool  # X is given as CSR
    ordered: bool  # rows are taken in the order of `Memory.order`
    predicting: bool  # forward pass only, into `Memory.outputs`
    uniform: bool  # all layers have the same learning rate


class Hyper(NamedTuple):
    """What the objective, the optimizer and the stopping rule are told. Names as in the estimators."""

    optimizer: int = STORE  # op code
    batch: int = 0  # rows of a mini-batch
    shuffle: int = KEEP_ORDER  # KEEP_ORDER, SHUFFLE or DRAW
    penalty_sum: bool = False  # the penalty is not divided by the weight of the batch
    alpha: float = 0.0
    momentum: float = 0.9
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0  # decoupled from the gradient; relative to the learning rate
    max_grad_norm: float = np.inf
    cap: float = np.inf  # largest log loss of one unit
    loss_scale: float = 1.0  # factor of the reported loss
    adaptive: bool = False  # divide the rate by 5 where the stopping rule would stop
    watch_loss: bool = False  # apply the stopping rule to the training loss (False: the caller applies it to a score)
    tol: float = 0.0
    patience: float = np.inf  # n_iter_no_change


class State(NamedTuple):
    """Where a fit stands between two calls of a kernel."""

    epoch: int = 0  # epochs finished in this call of the kernel
    row: int = 0  # first row of the present mini-batch in the order of the epoch
    chunk_row: int = 0  # first row of the present chunk within its mini-batch
    passes: int = 0  # passes done in this call of the kernel
    status: int = RUNNING  # RUNNING, STOPPED, DIVERGED or ABORTED
    no_change: int = 0  # epochs without improvement
    best: float = np.inf  # smallest value that the stopping rule has seen: a loss, or minus a score
    rate: float = 0.0  # learning rate
    beta_1_t: float = 1.0  # beta_1^t and beta_2^t after t steps of Adam
    beta_2_t: float = 1.0
    step: int = 0  # mini-batches done since training began
    seed: int = 0  # of dropout
    grad_norm: float = np.nan  # of the last mini-batch, before clipping; known if it is limited
    loss: float = 0.0  # of the epoch so far
    batch_loss: float = 0.0  # of the mini-batch so far
    weight: float = 0.0  # of the mini-batch so far


def record_dtype(fields: type[NamedTuple]) -> np.dtype[Any]:
    """Return the NumPy dtype of a record with the annotations of `fields`."""
    kinds = {int: np.int64, float: np.float64, bool: np.bool_}
    return np.dtype([(name, kinds[kind]) for name, kind in fields.__annotations__.items()], align=True)


LAYER, PLAN, HYPER, STATE = (record_dtype(fields) for fields in (Layer, Plan, Hyper, State))


def record_of(fields: NamedTuple) -> npt.NDArray[Any]:
    """Return `fields` as an array of one record, for kernels."""
    return np.array([tuple(fields)], record_dtype(type(fields)))


class Memory(NamedTuple):
    """Pointers to everything that a pass reads or writes. Sizes are checked where the arrays are made.

    Python hands one vector of addresses to a kernel, and kernels pass on the pointer to it: passing forty arrays took
    Numba ten times as long to compile.
    """

    # The training data: m rows, dense or as CSR.
    X: Any  # (m, d)
    values: Any  # (nnz,)
    Y: Any  # (m, K), unless `labelled`
    sample_weight: Any  # (m,), if `weighted`
    # The network and the state of the optimizer, all in the order of w.
    w: Any
    transposed: Any  # W_l^T (q_l, n_{l-1}) for l >= 2; in panels if `Layer.panels`
    w_panels: Any  # W_l in panels, if `Layer.panels`
    m: Any
    v: Any
    g: Any  # gradient, if a batch comes in several chunks, if its norm is limited, or if it is asked for
    stats: Any  # running mean and variance of batch normalisation
    # Buffers of one pass over a chunk of rows.
    A: Any  # A_l (rows, n_l)
    D: Any  # D_l (rows, q_l)
    d_panels: Any  # D_l in panels, if `Layer.panels`
    H: Any  # normalised Z_l (rows, q_l), then mean, scale and two gradients (q_l)
    T: Any  # dJ/dA_l twice, (rows, widest)
    units: Any  # (team, (2 K + 2) strips): outputs, targets and work space, unit-major
    row_weight: Any  # (rows,)
    squares: Any  # (blocks, 16): sums of squares of W
    scratch: Any  # (team, scratch): gradient of a few rows of W, and the values of A_{l-1} that it needs
    zeros: Any  # (widest,)
    ones: Any  # (1,)
    outputs: Any  # (m, K), if `predicting`
    loss: Any  # (rows,) float64
    unit_loss: Any  # (team, strips) float64
    lanes: Any  # (16,) float64
    indptr: Any  # (m + 1,) int64
    cursor: Any  # (team, rows) int64
    rows: Any  # (rows,) int64: the rows of X in the chunk, for sparse X
    indices: Any  # (nnz,) int32, increasing within a row
    labels: Any  # (m,) int32, if `labelled`
    order: Any  # (m,) int32, if `ordered`: row order of this epoch
    picks: Any  # (m,) int32
    random: Any  # (625,) uint32
    words: Any  # (624,) uint32


# How many fields of Memory have which dtype, in their order; None stands for the dtype of the network.
KINDS = ((None, 23), ("float64", 3), ("int64", 3), ("int32", 4), ("uint32", 2))
MEMORY = dict(zip(Memory._fields, [kind for kind, count in KINDS for _ in range(count)], strict=True))

# Kernels that are called by address, in the order in which their addresses follow those of Memory. Those that a
# network does not need have the address 0.
LINKED = (
    "gemm",
    "panel_product",
    "pack",
    "pack_transposed",
    "transpose",
    "forward",
    "backward",
    "forward_rows",
    "backward_rows",
    "gradient_of_rows",
    "update_rows",
    "drop",
    "output_error",
    "link",
    "update",
    "shuffle",
    "normalise_rows",
    "normalise_running",
    "normalise_backward_rows",
    "csr_affine",
    "csr_add",
    "csr_gradient",
    "csr_seek",
)


class Sizes(NamedTuple):
    """Lengths of the vectors that a layer table addresses."""

    w: int
    transposed: int
    w_panels: int
    A: int
    D: int
    d_panels: int
    H: int
    stats: int
    blocks: int


def aligned(size: int) -> int:
    """Numbers up to the next cache line, for the larger dtype to the next but one."""
    return -(-size // LINE) * LINE


def in_panels(columns: int) -> int:
    """Columns of the panels that hold `columns` columns; the widest panels there are have PANEL columns."""
    return -(-columns // PANEL) * PANEL


def layer_table(
    units: list[int],
    activations: list[str],
    *,
    pieces: int = 2,
    residual: bool = False,
    batch_norm: bool = False,
    rows: int = 1,
    gather: bool = True,
    large: float = np.inf,
    sparse: bool = False,
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
    large : float, default=inf
        Weights of a layer from which on its products read panels.
    sparse : bool, default=False
        Whether X is sparse: then no product reads W_1.

    Returns
    -------
    table : ndarray of shape (L + 1,) and dtype `LAYER`
    sizes : Sizes
    """
    last = len(units) - 1
    table = np.zeros(last + 1, dtype=LAYER)
    table["units"] = table["pre"] = units
    table["pieces"] = 1
    table["rate_w"] = table["rate_b"] = 1.0
    w = t = a = d = h = stats = block = w_panels = d_panels = 0
    a += aligned(rows * units[0]) if gather else 0
    for l in range(1, last + 1):
        row = table[l]
        hidden = l < last
        if hidden:
            kind = ACTIVATIONS[activations[l - 1]]
            row["activation"] = kind.code
            if kind.code == MAXOUT:
                row["pieces"], row["pre"] = pieces, pieces * units[l]
            row["residual"] = residual and units[l] == units[l - 1]
            if kind.needs_z:
                row["keep"] = KEEP_Z
            elif row["residual"]:
                row["keep"] = KEEP_ACTIVATED
            row["norm"] = batch_norm
        fan_in, q = units[l - 1], int(row["pre"])
        row["w"], row["b"] = w, w + fan_in * q
        w += (fan_in + 1) * q
        row["a"], row["d"], row["t"], row["h"], row["stats"] = a, d, t, h, stats
        row["block"] = block
        block += -(-fan_in // BLOCK_ROWS)
        a += aligned(rows * units[l])
        d += aligned(rows * q)
        if fan_in * q >= large and not (sparse and l == 1):
            row["panels"], row["w_panels"], row["d_panels"] = True, w_panels, d_panels
            w_panels += fan_in * in_panels(q)
            d_panels += rows * in_panels(q)
            t += in_panels(fan_in) * q if l > 1 else 0
        else:
            t += aligned(fan_in * q) if l > 1 else 0
        if row["norm"]:
            row["gamma"] = w
            w += 2 * q
            h += (rows + 4) * q
            stats += 2 * q
    return table, Sizes(w, t, w_panels, a, d, d_panels, h, stats, block)


def share_weights(table: Any, team: int, lanes: int) -> Any:
    """Share out the rows of every W (the bias counts as its last row) over a team, so that all have as much work.

    A row costs its vectors of `lanes` numbers: ten columns cost as much as sixteen. Only speed depends on that.

    Returns
    -------
    ndarray of shape (L + 1, team + 1), int64: rank r owns rows share[l, r] to share[l, r + 1] of layer l. Cuts lie
    between blocks of BLOCK_ROWS rows.
    """
    share = np.zeros((len(table), team + 1), dtype=np.int64)
    fan_in, q = table["units"][:-1], table["pre"][1:]
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
