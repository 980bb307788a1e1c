"""Memory of a fit: buffers of one pass, and the addresses of all arrays for the kernels."""

from typing import Any, NamedTuple

import numpy as np

from fastmlp.kernels._arrays import address
from fastmlp.kernels._link import entry, linked_addresses
from fastmlp.kernels.layout import (
    KEEP_ACTIVATED,
    KEEP_NOTHING,
    LANES,
    MEMORY,
    PANEL_ROWS,
    ROUND_ROWS,
    STRIP,
    Memory,
    Plan,
    record_of,
)
from fastmlp.kernels.tables import ACTIVATIONS

from ._aligned import LINE, empty, zeros
from ._data import Data
from ._network import Array, Network
from ._row_order import RowOrder
from ._state import TrainingState

__all__ = ["NO_OPTIONS", "PLACES", "LayerOptions", "Workspace", "addresses_of", "chunk_rows", "parts_of", "strips_of"]

CHUNK_BYTES = 1 << 20  # activations of one chunk of a large batch: about the size of a second-level cache
CHUNK_ROWS = 256  # smallest number of rows of a chunk, even if they are wide
LARGE_BYTES = 1 << 17  # weights of a layer from which on its products read panels
CLAIMED_FLOPS = 4_000_000  # operations of a thread in one step from which on threads claim their work
MOST_PARTS = 4
PART_ROWS = 48  # smallest number of rows of a part: with fewer, products would wait for the weights to be read
SCRATCH = 8192  # elements of the gradient that a thread keeps in the first-level cache
# Fields of Memory that kernels do not write, because arrays of the user may be read-only, such as memory-mapped files.
ONLY_READ = ("X", "values", "Y", "sample_weight", "indptr", "indices", "labels")
PLACES = {name: place for place, name in enumerate(MEMORY)}  # of the arrays in `addresses_of`


def strips_of(rows: int, threads: int) -> int:
    """Return the number of samples in the largest share of `rows`, rounded up to full strips."""
    return -(-(rows // threads + 1) // STRIP) * STRIP


def parts_of(network: Network, chunk: int, threads: int) -> int:
    """Return the number of parts of each thread's share of the rows of a chunk.

    With several parts, threads claim them one by one, and pieces of the weights as well. A slow or busy core then
    delays the others by one part at most. For small networks, claiming takes longer than it saves.
    """
    if threads == 1 or network.batch_norm or network.flops() * chunk // threads < CLAIMED_FLOPS:
        return 1
    return max(1, min(MOST_PARTS, chunk // threads // PART_ROWS))


def chunk_rows(network: Network, batch: int, itemsize: int) -> int:
    """Return the rows of one pass: the whole batch if it is small, otherwise equal parts of it that fit in the cache.

    The result must not depend on the number of threads, because the loss is summed over chunks.
    """
    if network.batch_norm:
        return batch
    row = itemsize * (sum(network.units) + sum(q for _, q in network.shapes()))
    rows = max(CHUNK_ROWS, CHUNK_BYTES // row)
    return -(-batch // -(-batch // rows))


def addresses_of(memory: Memory, linked: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return the addresses of the arrays of `memory` and of the kernels, in the order in which kernels expect them.

    An empty array has the address 0, because kernels must not access it.

    Raises
    ------
    TypeError, ValueError
        If an array does not have the dtype or layout that kernels expect. Kernels cannot check a pointer.
    """
    for (name, kind), array in zip(MEMORY.items(), memory, strict=True):
        wanted, flags = np.dtype(kind or dtype), array.flags
        if array.dtype != wanted or not flags.c_contiguous:
            raise TypeError(f"{name} must be a C-contiguous array of {wanted}, got {array.dtype}")
        if not (flags.writeable or name in ONLY_READ):
            raise ValueError(f"{name} must be writeable, because kernels write to it")
    return np.array([*(address(array) if array.size else 0 for array in memory), *linked], dtype=np.int64)


class LayerOptions(NamedTuple):
    """Options of training for each layer.

    Attributes
    ----------
    dropout : tuple of float
        Fractions of A_0..A_{L-1} that are dropped; empty if there is no dropout.
    rates : tuple of (float, float)
        Multipliers of the learning rate for the weights and the biases of layers 1..L; empty if all are 1.
    """

    dropout: tuple[float, ...] = ()
    rates: tuple[tuple[float, float], ...] = ()

    def enter(self, table: Array) -> Array:
        """Return a layer table with these options."""
        if not self.dropout and not self.rates:
            return table
        table = table.copy()
        if self.dropout:
            table["dropout"][:-1] = self.dropout
            by_sign = [row.code for row in ACTIVATIONS.values() if row.by_sign]
            # The derivatives of the other activations need the values before dropout.
            needed = (table["dropout"] > 0) & (table["keep"] == KEEP_NOTHING) & ~np.isin(table["activation"], by_sign)
            needed[0] = False
            table["keep"][needed] = KEEP_ACTIVATED
        if self.rates:
            table["rate_w"][1:], table["rate_b"][1:] = np.transpose(self.rates)
        return table


NO_OPTIONS = LayerOptions()


class Workspace:
    """Buffers for passes over chunks of rows, and the table of addresses.

    Parameters
    ----------
    network : Network
    data : Data
    w, stats : ndarray
        Weight vector, and running statistics of batch normalisation.
    state : TrainingState
        Provides the moments of the optimizer and the averaged weights.
    order : RowOrder
    chunk : int
        Number of rows of one pass.
    threads : int
        Largest number of threads.
    keep_gradient : bool
        Whether to allocate memory for the gradient of all weights.
    layers : LayerOptions, default=NO_OPTIONS
        Dropout and multipliers of the learning rate.

    Attributes
    ----------
    table : ndarray of dtype LAYER
    plan : Plan
        The plan for `threads` threads.
    g : ndarray
        The gradient; empty if `keep_gradient` is False.
    addresses : ndarray of int64
        The argument `memory` of the kernels.
    """

    def __init__(
        self,
        network: Network,
        data: Data,
        w: Array,
        stats: Array,
        state: TrainingState,
        order: RowOrder,
        *,
        chunk: int,
        threads: int,
        keep_gradient: bool,
        layers: LayerOptions = NO_OPTIONS,
    ) -> None:
        dtype = w.dtype
        large = LARGE_BYTES // dtype.itemsize
        gather = order.ordered and not data.sparse
        # The bits of dropout belong to the positions of the numbers in rows without padding.
        line = 0 if layers.dropout else LINE // dtype.itemsize
        table, sizes = network.table(chunk, gather=gather, large=large, sparse=data.sparse, line=line)
        self.table = layers.enter(table)
        K, widest = network.units[-1], max(q for _, q in network.shapes())
        scratch = max(SCRATCH, ROUND_ROWS * widest)
        if table["panels"].any():
            scratch = max(scratch, PANEL_ROWS * (widest + chunk))
        # If fewer threads start than planned, the share of each thread is larger.
        strips = max(size * strips_of(chunk, size) for size in range(1, threads + 1))
        self.plan = Plan(
            rows=data.rows,
            chunk=chunk,
            last=len(self.table) - 1,
            widest=widest,
            parts=parts_of(network, chunk, threads),
            strips=strips_of(chunk, threads),
            scratch=scratch,
            blocks=sizes.blocks,
            labelled=data.labels.size > 0,
            weighted=data.weighted,
            sparse=data.sparse,
            ordered=order.ordered,
            predicting=False,
            uniform=not layers.rates,
        )
        self.g = empty(sizes.w if keep_gradient else 0, dtype)
        self.memory = Memory(
            X=data.X,
            values=data.values,
            Y=data.Y,
            sample_weight=data.sample_weight,
            w=w,
            transposed=zeros(sizes.transposed, dtype),
            w_panels=zeros(sizes.w_panels, dtype),
            m=state.m,
            v=state.v,
            g=self.g,
            stats=stats,
            A=empty(sizes.A, dtype),
            D=empty(sizes.D, dtype),
            d_panels=empty(sizes.d_panels, dtype),
            H=empty(sizes.H, dtype),
            T=empty(2 * chunk * widest if self.table["keep"].any() else 0, dtype),
            units=zeros(2 * (K + 1) * strips, dtype),
            row_weight=empty(chunk if data.weighted else 0, dtype),
            squares=np.zeros((sizes.blocks, LANES), dtype),
            scratch=empty(threads * scratch, dtype),
            zeros=zeros(widest, dtype),
            ones=np.ones(1, dtype),
            loss_parameters=network.parameters_of_units(dtype),
            average=state.average,
            average_stats=state.average_stats,
            outputs=np.empty(0, dtype),
            loss=empty(chunk, float),
            unit_loss=empty(strips, float),
            lanes=empty(LANES, float),
            indptr=data.indptr,
            cursor=np.empty((threads, chunk if data.sparse else 0), np.int64),
            rows=np.empty(chunk if data.sparse else 0, np.int64),
            indices=data.indices,
            labels=data.labels,
            order=order.order,
            picks=order.picks,
            random=order.words,
            words=order.scratch,
        )
        self.linked = linked_addresses(dtype.name, network.output, batch_norm=network.batch_norm, csr=data.sparse)
        self.addresses = addresses_of(self.memory, self.linked, dtype)
        self._plan_record = record_of(self.plan)

    def transpose_weights(self) -> None:
        """Write the copies of the weights that products read, after w was changed from outside of the kernels."""
        copy = entry("copy_weights", self.memory.w.dtype.name)
        copy(address(self.table), address(self._plan_record), address(self.addresses))

    def set_data(self, X: Array, Y: Array) -> None:
        """Replace dense data by others of the same shapes and types, which the caller keeps.

        Arrays without elements stand for no data. Then the kernels must not be called.
        """
        target = "labels" if self.plan.labelled else "Y"
        for name, array in (("X", X), (target, Y)):
            self.addresses[PLACES[name]] = address(array) if array.size else 0
