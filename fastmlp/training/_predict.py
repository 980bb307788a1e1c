"""The forward pass over any number of rows, in blocks that fit in the cache, on several threads."""

import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from fastmlp.kernels._arrays import NAMES, address
from fastmlp.kernels._link import entry, linked_addresses
from fastmlp.kernels.layout import LINKED, ROUND_ROWS, SIGNALS, Plan, record_of

from ._aligned import LINE, empty
from ._data import csr_arrays
from ._network import Array, Network
from ._threads import Team
from ._workspace import PLACES, strips_of

__all__ = ["predict"]

BLOCK_BYTES = 1 << 18  # activations of one block: well within a second-level cache
# Operations below which a second thread, including its start, makes prediction slower.
FLOPS_PER_THREAD = 20_000_000
KEPT_BYTES = 1 << 20  # largest workspace that a thread keeps for its next prediction


class _Prepared(NamedTuple):
    """Values that several predictions share, because they do not depend on the arrays."""

    table: Array  # of dtype LAYER
    plan: Array  # one record
    table_at: int  # address of the table; finding it takes as long as the forward pass of several rows
    plan_at: int
    addresses: Array  # in the order of Memory: offsets into the workspace, addresses of the kernels
    in_work: Array  # 1 if the address is an offset into the workspace, else 0
    work_bytes: int


@lru_cache(maxsize=256)
def _prepare(network: Network, dtype: str, rows: int, threads: int, csr: bool) -> _Prepared:
    """Return the shared values for predictions of `rows` rows."""
    itemsize = np.dtype(dtype).itemsize
    row_bytes = 2 * itemsize * sum(network.units)
    # Round to whole tiles; the last block may be shorter.
    block = min(max(ROUND_ROWS, BLOCK_BYTES // row_bytes // ROUND_ROWS * ROUND_ROWS), -(-rows // threads))
    chunk = block * threads
    table, sizes = network.table(chunk, gather=False, sparse=csr, line=LINE // itemsize)
    plan = Plan(
        rows=rows,
        chunk=chunk,
        last=len(table) - 1,
        widest=0,
        parts=1,
        strips=strips_of(chunk, threads),
        scratch=0,
        blocks=0,
        labelled=False,
        weighted=False,
        sparse=csr,
        ordered=False,
        predicting=True,
        uniform=True,
    )
    units = threads * 2 * (network.units[-1] + 1) * plan.strips
    parts = {
        "A": itemsize * sizes.A,
        "D": itemsize * sizes.D,
        "units": itemsize * units,
        "unit_loss": 8 * threads * plan.strips,
        "rows": 8 * chunk if csr else 0,
    }
    addresses, in_work = np.zeros((2, len(PLACES) + len(LINKED)), np.int64)
    work_bytes = 0
    for name, size in parts.items():
        addresses[PLACES[name]], in_work[PLACES[name]] = work_bytes, 1
        work_bytes += -(-size // LINE) * LINE
    addresses[len(PLACES) :] = linked_addresses(
        dtype, network.output, predicting=True, batch_norm=network.batch_norm, csr=csr
    )
    record = record_of(plan)
    return _Prepared(table, record, address(table), address(record), addresses, in_work, work_bytes)


class _Call:
    """Everything that a prediction by one thread needs, except for the arrays.

    Building it takes several times as long as the forward pass of one row, so each thread keeps its last one.
    """

    def __init__(self, network: Network, dtype: str, rows: int, csr: bool, work: Array) -> None:
        self.key = network, dtype, rows, csr
        prepared = _prepare(network, dtype, rows, 1, csr)
        work = work if prepared.work_bytes <= work.size else empty(prepared.work_bytes, np.uint8)
        self.work = work
        self.addresses = prepared.addresses + prepared.in_work * address(work)
        self._signals = np.zeros(SIGNALS, np.int64)  # no other thread sets them
        self._kernel = entry("predict", dtype)
        self._arguments = 0, 1, prepared.table_at, prepared.plan_at, address(self.addresses), address(self._signals)
        self._prepared = prepared  # owns the table and the plan

    def run(self) -> None:
        """Predict, after the addresses of the arrays have been set."""
        self._kernel(*self._arguments)


class _Scratch(threading.local):
    """The last call of this thread, or None. Threads share nothing, so predictions need no lock."""

    call: _Call | None = None


_scratch = _Scratch()


def _run_alone(network: Network, dtype: str, rows: int, csr: bool, inputs: dict[str, Array]) -> None:
    """Predict with the calling thread."""
    # Nobody else may use the call meanwhile: not even a signal handler or a finalizer that predicts in this thread.
    call, _scratch.call = _scratch.call, None
    if call is None or call.key != (network, dtype, rows, csr):
        call = _Call(network, dtype, rows, csr, empty(0, np.uint8) if call is None else call.work)
    for name, array in inputs.items():
        call.addresses[PLACES[name]] = address(array)
    call.run()
    if call.work.size <= KEPT_BYTES:
        _scratch.call = call


def predict(network: Network, w: Array, stats: Array, X: Any, threads: Callable[[], int]) -> Array:
    """Return the outputs of `network`.

    Several threads may call this function at a time.

    Parameters
    ----------
    network : Network
    w : ndarray of shape (sizes.w,)
        Weight vector; its dtype is that of the computation and of the result.
    stats : ndarray
        Running statistics of batch normalisation.
    X : {ndarray, sparse matrix} of shape (m, n_0)
    threads : callable
        Returns an upper bound; asked for large jobs only.

    Returns
    -------
    ndarray of shape (m, n_L)
    """
    dtype, m = w.dtype, X.shape[0]
    outputs = np.empty((m, network.units[-1]), dtype)
    if m == 0:
        return outputs
    inputs = {"w": w, "outputs": outputs}
    csr = not isinstance(X, np.ndarray)
    if csr:
        inputs["indptr"], inputs["indices"], inputs["values"] = csr_arrays(X, dtype)
    else:
        inputs["X"] = np.ascontiguousarray(X, dtype)
    if network.batch_norm:
        inputs["stats"] = stats
    team_size = min(network.flops() // 3 * m // FLOPS_PER_THREAD, m) if m > 1 else 1
    team_size = max(1, min(team_size, threads())) if team_size > 1 else 1
    if team_size == 1:
        _run_alone(network, NAMES[dtype], m, csr, inputs)
        return outputs
    with Team(team_size) as team:
        prepared = _prepare(network, NAMES[dtype], m, team.size, csr)
        work = empty(prepared.work_bytes, np.uint8)
        addresses = prepared.addresses + prepared.in_work * address(work)
        for name, array in inputs.items():
            addresses[PLACES[name]] = address(array)
        team.run(
            entry("predict", NAMES[dtype]),
            prepared.table_at,
            prepared.plan_at,
            address(addresses),
            address(team.signals),
        )
    return outputs
