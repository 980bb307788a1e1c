"""The forward pass over any number of rows, shared out over threads in blocks that fit the cache."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

from fastmlp.kernels._link import linked_kernels
from fastmlp.kernels._struct import words_of
from fastmlp.kernels.layout import FLOATS, INTS, Linked, Memory, Options
from fastmlp.kernels.train import train

from ._aligned import address
from ._engine import csr_arrays, strips_of
from ._network import Array, Network
from ._threads import Team

__all__ = ["predict"]

BLOCK_BYTES = 1 << 18  # activations of one block: well within a second-level cache
# Operations below which a second thread costs more (its start included) than it brings.
FLOPS_PER_THREAD = 20_000_000

ALIGNMENT = 64  # bytes: a cache line, and the longest vector
NAMES = {np.dtype(name): name for name in ("float32", "float64")}
PLACES = {name: place for place, name in enumerate(Memory._fields)}
_NO_SHARE, _NO_RATES = np.zeros((1, 1), np.int64), np.empty(0)


class _Plan(NamedTuple):
    """What a prediction needs to know, but for the arrays: all that can be kept for the next one."""

    table: Array
    words: Array  # of Options
    addresses: Array  # in the order of Memory: offsets into the workspace, addresses of the kernels
    in_work: Array  # 1 where the address counts from the workspace
    work_bytes: int
    passes: int


@lru_cache(maxsize=256)
def _plan(network: Network, dtype: str, rows: int, threads: int, csr: bool) -> _Plan:
    """Return the plan for a prediction of `rows` rows."""
    itemsize = np.dtype(dtype).itemsize
    row_bytes = 2 * itemsize * sum(network.units)
    # 28 rows are two tiles; the last block may be shorter.
    block = min(max(28, BLOCK_BYTES // row_bytes // 28 * 28), -(-rows // threads))
    chunk = block * threads
    table, sizes = network.table(chunk, gather=False)
    options = Options(
        rows=rows,
        labelled=False,
        weighted=False,
        sparse=csr,
        ordered=False,
        scratch=0,
        strips=strips_of(chunk, threads),
        predicting=True,
        cap=0.0,
        loss_scale=1.0,
        optimizer=0,
        shuffle=0,
        batch=rows,
        chunk=chunk,
        alpha=0.0,
        penalty_sum=False,
        momentum=0.0,
        beta_1=0.0,
        beta_2=0.0,
        epsilon=0.0,
        adaptive=False,
        watch_loss=False,
        tol=0.0,
        patience=0.0,
        last=len(table) - 1,
        widest=0,
    )
    units = threads * 2 * (network.units[-1] + 1) * options.strips
    parts = {
        "A": itemsize * sizes.A,
        "D": itemsize * sizes.D,
        "units": itemsize * units,
        "unit_loss": 8 * threads * options.strips,
        "rows": 8 * chunk if csr else 0,
    }
    addresses, in_work = np.zeros((2, len(PLACES) - 1 + len(Linked._fields)), np.int64)
    work_bytes = 0
    for name, size in parts.items():
        addresses[PLACES[name]], in_work[PLACES[name]] = work_bytes, 1
        work_bytes += -(-size // ALIGNMENT) * ALIGNMENT
    addresses[PLACES["linked"] :] = linked_kernels(
        dtype, network.output, predicting=True, batch_norm=network.batch_norm, csr=csr
    )
    return _Plan(table, words_of(options), addresses, in_work, work_bytes, -(-rows // chunk))


def predict(network: Network, w: Array, stats: Array, X: Any, threads: Callable[[], int]) -> Array:
    """Return the outputs of `network`.

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
        plan = _plan(network, NAMES[dtype], m, team.size, csr)
        work = np.zeros(plan.work_bytes, np.uint8)
        addresses = plan.addresses + plan.in_work * address(work)
        for name, array in inputs.items():
            addresses[PLACES[name]] = address(array)

        team.run(
            train,
            plan.passes,
            w[:0],
            addresses,
            plan.table,
            _NO_SHARE,
            plan.words,
            team.signals,
            np.zeros(INTS, np.int64),
            np.zeros(FLOATS),
            np.empty(1),
            _NO_RATES,
        )
    return outputs
