"""Memory layout of a network and its training, shared by Python and the kernels.

All weights of a network form one vector, layer after layer: W_l (n_{l-1}, q_l) row by row, then b_l (q_l), then,
with batch normalisation, gamma_l (q_l) and beta_l (q_l). There is no padding, so `coefs_` and `intercepts_` are
views of this vector. q_l is n_l, except for maxout, where q_l = pieces * n_l.

Python and kernels share four kinds of records: `Layer`, `Plan`, `Hyper` and `State`. Each is declared once, by the
annotations of a class, from which `record_dtype` builds the NumPy dtype. Kernels access the fields by name. This module
needs neither Numba nor LLVM.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .tables import ACTIVATIONS, MAXOUT, STORE

__all__ = [
    "ABORT",
    "ABORTED",
    "ARRIVED",
    "BIAS_COST",
    "BLOCK_ROWS",
    "CLAIMED_ROWS",
    "CLAIMED_WEIGHTS",
    "CLAIMS",
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
    "SLEEPING",
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
    "record_dtype",
    "record_of",
    "share_weights",
]

# Values of `State.status`.
RUNNING, STOPPED, DIVERGED, ABORTED = range(4)

# Values of `Hyper.shuffle`. A full batch does not depend on the order of its rows, but the state of the user's
# generator must still advance: DRAW draws from the generator and keeps the order.
KEEP_ORDER, SHUFFLE, DRAW = range(3)

# When the learning rate changes: never or by the stopping rule; after each epoch; with each mini-batch.
UNCHANGED, EACH_EPOCH, EACH_STEP = range(3)

# Values of `Layer.keep`: the content of D_l between the forward and the backward pass.
KEEP_NOTHING, KEEP_Z, KEEP_ACTIVATED = range(3)

# LLVM vectorises elementwise loops in strips of up to 64 numbers and computes the remainder one by one, ten times
# slower. Kernels therefore copy the remainder to a full strip, and pad the samples of a share to a multiple of
# `step.SAMPLES`, which divides a strip, because memory is allocated in full strips.
STRIP = 64
STRIP_BYTES = 8 * STRIP

# Interleaved chains of a sum, see `reductions`.
LANES = 16

# Rows of a block of W. The sum of squares of the penalty is computed for each block, and the blocks must not depend on
# the number of threads.
BLOCK_ROWS = 4

# Largest number of rows of W in one round of the gradient pass, see `weights.ROUND`.
ROUND_ROWS = 28

# The same for layers with panels, see `panels.HEIGHT`.
PANEL_ROWS = 56

# Numbers in a cache line. The part of each layer in a buffer begins at a cache line.
LINE = 16

# Rows are padded if their length is a multiple of this many cache lines.
PADDED_LINES = 32

# Columns of the widest panels: two vectors of 64 bytes.
PANEL = 32

# The gradient of the bias is a sum of dependent additions. It takes as long as the gradient of this many rows of W.
BIAS_COST = 4

# Words in the state of the Mersenne Twister; the element after them is the position.
KEYS = 624

# Elements of the signal array of a team of threads, each on a separate cache line. After the first SIGNALS elements,
# each rank has CLAIMS elements: the number of claimed pieces of its share of the rows, and of the weights.
ARRIVED, ABORT, SLEEPING, SIGNALS = 0, 8, 16, 24
CLAIMED_ROWS, CLAIMED_WEIGHTS, CLAIMS = 0, 8, 16

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
    keep: int  # content of D_l between the forward and the backward pass, see KEEP_NOTHING
    residual: int  # whether the layer adds its input to its output
    norm: int  # whether the layer is normalised over the batch
    a_row: int  # numbers from one row of A_l to the next: n_l, or more, see `padded`
    d_row: int  # the same for D_l: q_l or more
    panels: int  # whether products read W_l, its transpose and D_l from panels, see `panels`
    w: int  # index of the first element of W_l in the weight vector; the fields below are indices, too
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
    """Description of a pass over the data: counts, sizes of buffers and formats of the data."""

    rows: int  # m
    chunk: int  # rows of one pass
    last: int  # L, the index of the output layer
    widest: int  # q_l of the widest layer
    parts: int  # parts of each thread's share of the rows, which threads claim; 1: the shares are fixed
    strips: int  # samples in the part of each thread in `Memory.units`, in full strips
    scratch: int  # numbers in the part of each thread in `Memory.scratch`
    blocks: int  # blocks of the penalty's sum of squares
    labelled: bool  # targets are class numbers 0..K-1 instead of indicators
    weighted: bool  # there are sample weights
    sparse: bool  # X is a CSR matrix
    ordered: bool  # rows are processed in the order of `Memory.order`
    predicting: bool  # forward pass only, into `Memory.outputs`
    uniform: bool  # all layers have the same learning rate


class Hyper(NamedTuple):
    """Hyper-parameters of the objective, the optimizer and the stopping rule, named as in the estimators."""

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
    average: float = 0.0  # decay of the exponential moving average of the weights; 0: no average
    cap: float = np.inf  # largest log loss of one unit
    label_smoothing: float = 0.0  # share of each target that is spread evenly over the classes
    loss_scale: float = 1.0  # factor of the reported loss
    adaptive: bool = False  # divide the rate by 5 when the stopping rule would stop training
    watch_loss: bool = False  # apply the stopping rule to the training loss; if not, the caller applies it to a score
    tol: float = 0.0
    patience: float = np.inf  # n_iter_no_change


class State(NamedTuple):
    """Progress of a fit between two calls of a kernel."""

    epoch: int = 0  # epochs finished in this call of the kernel
    row: int = 0  # first row of the current mini-batch in the order of the epoch
    chunk_row: int = 0  # first row of the current chunk within its mini-batch
    passes: int = 0  # passes done in this call of the kernel
    status: int = RUNNING  # RUNNING, STOPPED, DIVERGED or ABORTED
    no_change: int = 0  # epochs without improvement
    best: float = np.inf  # smallest value given to the stopping rule: a loss, or minus a score
    rate: float = 0.0  # learning rate
    beta_1_t: float = 1.0  # beta_1^t and beta_2^t after t steps of Adam
    beta_2_t: float = 1.0
    average_t: float = 1.0  # average^t after t steps
    step: int = 0  # mini-batches done since training began
    seed: int = 0  # of dropout
    grad_norm: float = np.nan  # of the last mini-batch, before clipping; computed if `max_grad_norm` is finite
    loss: float = 0.0  # of the epoch so far
    batch_loss: float = 0.0  # of the mini-batch so far
    weight: float = 0.0  # of the mini-batch so far


@cache
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

    Python passes one vector of addresses to a kernel, and kernels pass on the pointer to it. With forty arrays as
    arguments, compilation took ten times as long.
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
    g: Any  # gradient, if a batch has several chunks, if its norm is limited, or if it is requested
    stats: Any  # running mean and variance of batch normalisation
    # Buffers of one pass over a chunk of rows.
    A: Any  # A_l (rows, n_l), rows `Layer.a_row` apart
    D: Any  # D_l (rows, q_l), rows `Layer.d_row` apart
    d_panels: Any  # D_l in panels, if `Layer.panels`
    H: Any  # normalised Z_l (rows, q_l), then mean, scale and two gradients (q_l)
    T: Any  # dJ/dA_l twice, (rows, widest)
    units: Any  # (team, (2 K + 2) strips): outputs, targets and work space, unit-major
    row_weight: Any  # (rows,)
    squares: Any  # (blocks, 16): sums of squares of W
    scratch: Any  # (team, scratch): gradient of a few rows of W, and the values of A_{l-1} that it needs
    zeros: Any  # (widest,)
    ones: Any  # (1,)
    loss_parameters: Any  # (K,): the parameter of the loss of each output unit, if the loss has one
    average: Any  # averaged weights, in the order of w, if weights are averaged
    average_stats: Any  # the same for `stats`
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


# Number of consecutive fields of Memory of each dtype; None stands for the dtype of the network.
KINDS = ((None, 26), ("float64", 3), ("int64", 3), ("int32", 4), ("uint32", 2))
MEMORY = dict(zip(Memory._fields, [kind for kind, count in KINDS for _ in range(count)], strict=True))

# Kernels that are called by address. In this order, their addresses follow those of Memory. Kernels that a network does
# not need have the address 0.
LINKED = (
    "gemm",
    "panel_product",
    "pack",
    "pack_transposed",
    "pack_columns",
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
    "average",
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
    """Lengths of the vectors that the indices in a layer table refer to."""

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
    """Round `size` up to whole cache lines of float32."""
    return -(-size // LINE) * LINE


def in_panels(columns: int) -> int:
    """Columns of the panels that hold `columns` columns; the widest panels there are have PANEL columns."""
    return -(-columns // PANEL) * PANEL


def padded(units: int, line: int) -> int:
    """Distance of rows of `units` numbers, for cache lines of `line` numbers; `line` = 0 adds no padding.

    Rows that lie a multiple of many cache lines apart share few sets of a cache, which hold fewer lines than a product
    reads from different rows at a time. One more cache line distributes the rows over all sets.
    """
    return units + line if line and units % (PADDED_LINES * line) == 0 else units


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
    line: int = 0,
) -> tuple[Any, Sizes]:
    """Return the layer table of a network with layers of `units` units (input and output included).

    Parameters
    ----------
    units : list of int
        Widths n_0..n_L.
    activations : list of str
        Names of the L - 1 hidden activations.
    pieces : int, default=2
        Linear pieces of a maxout unit.
    residual : bool, default=False
        Whether hidden layers that are as wide as their input add it to their output.
    batch_norm : bool, default=False
        Whether hidden layers are normalised over the batch.
    rows : int, default=1
        Number of rows that fit in the buffers.
    gather : bool, default=True
        Whether rows of X are copied into the buffers.
    large : float, default=inf
        Weights of a layer from which on its products read panels.
    sparse : bool, default=False
        Whether X is sparse: then no product reads W_1.
    line : int, default=0
        Numbers in a cache line, for padded rows of A and D; 0 means that rows follow each other without a gap.

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
    # Rows are padded where only products and elementwise functions read them.
    shared = residual or batch_norm
    table["a_row"], table["d_row"] = units, units
    if gather and not shared:
        table["a_row"][0] = padded(units[0], line)
    a += aligned(rows * int(table["a_row"][0])) if gather else 0
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
            row["d_row"] = row["pre"]
            if not (shared or row["keep"] or kind.code == MAXOUT or (sparse and l == 1)):
                row["a_row"] = row["d_row"] = padded(units[l], line)
        fan_in, q = units[l - 1], int(row["pre"])
        row["w"], row["b"] = w, w + fan_in * q
        w += (fan_in + 1) * q
        row["a"], row["d"], row["t"], row["h"], row["stats"] = a, d, t, h, stats
        row["block"] = block
        block += -(-fan_in // BLOCK_ROWS)
        a += aligned(rows * int(row["a_row"]))
        d += aligned(rows * int(row["d_row"]))
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
    """Divide the rows of every W (with the bias as its last row) among a team, so that all ranks have equal work.

    The work of a row is its number of vectors of `lanes` numbers, so ten columns cost as much as sixteen. The estimate
    only affects speed.

    Returns
    -------
    ndarray of shape (L + 1, team + 1), int64
        Rank r owns the rows share[l, r] to share[l, r + 1] of layer l. Each boundary lies between two blocks of
        BLOCK_ROWS rows.
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
        # A boundary never leaves a part of a block to the owner of the bias.
        share[1:, rank] = np.where(rows >= fan_in, np.where(rows > fan_in, fan_in + 1, fan_in), np.maximum(rows, 0))
    return share
