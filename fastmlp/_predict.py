"""The forward pass over any number of rows, shared out over threads in blocks that fit the cache."""

from typing import Any

import numpy as np
import scipy.sparse

from ._engine import addresses_of, csr_arrays, strips_of
from ._network import Array, Network
from ._team import Team
from .kernels._link import linked_kernels
from .kernels.layout import FLOATS, INTS, Memory, Options
from .kernels.train import train

__all__ = ["predict"]

BLOCK_BYTES = 1 << 18  # activations of one block: well within a second-level cache
# Operations below which a second thread costs more (its start included) than it brings.
FLOPS_PER_THREAD = 20_000_000


def predict(network: Network, w: Array, stats: Array, X: Any, threads: int) -> Array:
    """Return the outputs of `network`.

    Parameters
    ----------
    network : Network
    w : ndarray of shape (sizes.w,)
        Weight vector; its dtype is that of the computation and of the result.
    stats : ndarray
        Running statistics of batch normalisation.
    X : {ndarray, sparse matrix} of shape (m, n_0)
    threads : int
        Upper bound; small jobs use fewer.

    Returns
    -------
    ndarray of shape (m, n_L)
    """
    dtype, m, K = w.dtype, X.shape[0], network.units[-1]
    outputs = np.empty((m, K), dtype)
    if m == 0:
        return outputs
    empty, integers = np.empty(0, dtype), np.empty(0, np.int32)
    sparse = scipy.sparse.issparse(X)
    if sparse:
        indptr, indices, values = csr_arrays(X, dtype)
        X = empty
    else:
        X = np.ascontiguousarray(X, dtype)
        indptr, indices, values = np.empty(0, np.int64), integers, empty
    row_bytes = 2 * dtype.itemsize * sum(network.units)
    flops = network.flops() // 3 * m
    threads = max(1, min(threads, flops // FLOPS_PER_THREAD, m))
    block = min(max(28, BLOCK_BYTES // row_bytes // 28 * 28), -(-m // threads))
    with Team(threads) as team:
        chunk = block * team.size
        table, sizes = network.table(chunk, gather=False)
        widest = max(q for _, q in network.shapes())
        strips = strips_of(chunk, team.size)
        memory = Memory(
            X=X,
            values=values,
            Y=empty,
            sample_weight=empty,
            w=w,
            transposed=empty,
            m=empty,
            v=empty,
            g=empty,
            stats=stats,
            A=np.empty(sizes.A, dtype),
            D=np.empty(sizes.D, dtype),
            H=empty,
            T=empty,
            units=np.zeros((team.size, 2 * (K + 1) * strips), dtype),
            row_weight=empty,
            squares=empty,
            scratch=empty,
            zeros=empty,
            ones=empty,
            outputs=outputs,
            loss=np.empty(0),
            unit_loss=np.empty((team.size, strips)),
            lanes=np.empty(0),
            indptr=indptr,
            cursor=np.empty(0, np.int64),
            rows=np.empty(chunk if sparse else 0, np.int64),
            indices=indices,
            labels=integers,
            order=integers,
            picks=integers,
            random=np.empty(0, np.uint32),
            words=np.empty(0, np.uint32),
            linked=linked_kernels(dtype, batch_norm=network.batch_norm, csr=sparse),
        )
        options = Options(
            rows=m,
            labelled=False,
            weighted=False,
            sparse=sparse,
            ordered=False,
            scratch=0,
            strips=strips,
            predicting=True,
            output=network.output,
            cap=0.0,
            loss_scale=1.0,
            optimizer=0,
            shuffle=0,
            batch=m,
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
            widest=widest,
        )
        team.run(
            train,
            -(-m // chunk),
            empty,
            addresses_of(memory, dtype),
            table,
            np.zeros((1, 1), np.int64),
            options,
            team.signals,
            np.zeros(INTS, np.int64),
            np.zeros(FLOATS),
            np.empty(1),
            np.empty(0),
        )
    return outputs
