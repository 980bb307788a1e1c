"""The first layer on CSR input: nothing is turned dense, and the sums run in the order of the dense ones.

A stored row has its columns in increasing order, and a zero adds nothing, so the results equal those of the
dense products bit for bit (up to the sign of a zero). `rows` (n,) are the rows of the matrix that make the batch.
"""

from typing import Any

from numba import types

from ._jit import linked_kernel
from ._memory import copy, peek, poke, view
from ._simd import fma

__all__ = ["linked"]


def linked(sources: str, number: Any) -> dict[str, Any]:
    """Compile, or load from the cache, the kernels for arrays of `number`."""
    p, ints, longs, size = types.CPointer(number), types.CPointer(types.int32), types.CPointer(types.int64), types.int64

    @linked_kernel(types.void(p, ints, longs, longs, size, p, p, p, size))
    def csr_affine(values, indices, indptr, rows, n, W, b, Z, q):
        """Z <- X[rows] W + b.   W (d, q), b (q,), Z (n, q); Z is written."""
        _ = sources  # captured, hence part of the key of the on-disk cache
        for i in range(n):
            row = peek(rows, i)
            z = view(Z, i * q, q)
            copy(view(b, 0, q), z)
            for p in range(peek(indptr, row), peek(indptr, row + 1)):
                x, w = peek(values, p), view(W, peek(indices, p) * q, q)
                for k in range(q):
                    z[k] = fma(x, w[k], z[k])

    @linked_kernel(types.void(p, ints, longs, longs, size, p, size))
    def csr_add(values, indices, indptr, rows, n, A, q):
        """A <- A + X[rows].   A (n, q) for X with q columns."""
        _ = sources
        for i in range(n):
            row = peek(rows, i)
            a = view(A, i * q, q)
            for p in range(peek(indptr, row), peek(indptr, row + 1)):
                a[peek(indices, p)] += peek(values, p)

    @linked_kernel(types.void(p, ints, longs, longs, size, longs, size, size, p, p, size))
    def csr_gradient(values, indices, indptr, rows, n, cursor, lo, hi, D, G, q):
        """G += X[rows, lo:hi]' D.   D (n, q), G (hi - lo, q), G is written.

        cursor (n,) says where the stored columns >= lo of each row begin, and moves on to those >= hi.
        """
        _ = sources
        for i in range(n):
            p, end = peek(cursor, i), peek(indptr, peek(rows, i) + 1)
            d = view(D, i * q, q)
            while p < end and peek(indices, p) < hi:
                x, g = peek(values, p), view(G, (peek(indices, p) - lo) * q, q)
                for k in range(q):
                    g[k] = fma(x, d[k], g[k])
                p += 1
            poke(cursor, i, p)

    @linked_kernel(types.void(ints, longs, longs, size, longs, size))
    def csr_seek(indices, indptr, rows, n, cursor, column):
        """cursor[i] <- where the stored columns >= `column` of row rows[i] begin, by bisection."""
        _ = sources
        for i in range(n):
            start, stop = peek(indptr, peek(rows, i)), peek(indptr, peek(rows, i) + 1)
            while start < stop:
                middle = (start + stop) // 2
                if peek(indices, middle) < column:
                    start = middle + 1
                else:
                    stop = middle
            poke(cursor, i, start)

    return {"csr_affine": csr_affine, "csr_add": csr_add, "csr_gradient": csr_gradient, "csr_seek": csr_seek}
