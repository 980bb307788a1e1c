"""The forward pass over any number of rows, in blocks that fit in the cache, on several threads."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from fastmlp.kernels._link import entry, linked_addresses
from fastmlp.kernels.layout import LINKED, ROUND_ROWS, Memory, Plan, record_of

from ._aligned import address
from ._data import csr_arrays
from ._network import Array, Network
from ._threads import Team
from ._workspace import strips_of

__all__ = ["predict"]

BLOCK_BYTES = 1 << 18  # activations of one block: well within a second-level cache
# Operations below which a second thread, including its start, makes prediction slower.
FLOPS_PER_THREAD = 20_000_000

ALIGNMENT = 64  # bytes of a cache line, and of the longest vector
NAMES = {np.dtype(name): name for name in ("float32", "float64")}
PLACES = {name: place for place, name in enumerate(Memory._fields)}


class _Prepared(NamedTuple):
    """Values that several predictions share, because they do not depend on the arrays."""

    table: Array  # of dtype LAYER
    plan: Array  # one record
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
    table, sizes = network.table(chunk, gather=False)
    plan = Plan(
        rows=rows,
        chunk=chunk,
        last=len(table) - 1,
        widest=0,
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
        work_bytes += -(-size // ALIGNMENT) * ALIGNMENT
    addresses[len(PLACES) :] = linked_addresses(
        dtype, network.output, predicting=True, batch_norm=network.batch_norm, csr=csr
    )
    return _Prepared(table, record_of(plan), addresses, in_work, work_bytes)


def predict(network: Network, w: Array, stats: Array, X: Any, threads: Callable[[], int]) -> Array:
    """Return the outputs of `network`.

    Parameters
    ----------
    network : Network
    w : ndarray of shape (sizes.w,)
        Weight vector. Its dtype is that of the computation and of the result.
    stats : ndarray
        Running statistics of batch normalisation.
    X : {ndarray, sparse matrix} of shape (m, n_0)
    threads : callable
        Returns the largest number of threads. Only called if the prediction is large.

    Returns
    -------
    ndarray of shape (m, n_L)
    """
    dtype, m = w.dtype, X.shape[0]
    outputs = np.empty((m, network.units[-1]), dtype)
    if m == 0:
        return outputs
    inputs = {"w": w, "outputs": outputs}
    csr = scipy.sparse.issparse(X)
    if csr:
        inputs["indptr"], inputs["indices"], inputs["values"] = csr_arrays(X, dtype)
    else:
        inputs["X"] = np.ascontiguousarray(X, dtype)
    if network.batch_norm:
        inputs["stats"] = stats
    team_size = min(network.flops() // 3 * m // FLOPS_PER_THREAD, m)
    team_size = max(1, min(team_size, threads())) if team_size > 1 else 1
    with Team(team_size) as team:
        prepared = _prepare(network, NAMES[dtype], m, team.size, csr)
        work = np.zeros(prepared.work_bytes, np.uint8)
        addresses = prepared.addresses + prepared.in_work * address(work)
        for name, array in inputs.items():
            addresses[PLACES[name]] = address(array)
        team.run(
            entry("predict", NAMES[dtype]),
            address(prepared.table),
            address(prepared.plan),
            address(addresses),
            address(team.signals),
        )
    return outputs
