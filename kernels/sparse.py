"""The first layer on CSR input: nothing is turned dense, and the sums run in the order of the dense ones.

A stored row has its columns in increasing order, and a zero adds nothing, so the results equal those of the
dense products bit for bit (up to the sign of a zero). `rows` (n,) are the rows of the matrix that make the batch.
"""

from ._jit import kernel
from ._memory import copy, peek, poke, view
from ._simd import fma

__all__ = ["csr_add", "csr_affine", "csr_gradient", "csr_seek"]


@kernel
def csr_affine(values, indices, indptr, rows, n, W, b, Z, q):
    """Z <- X[rows] W + b.   W (d, q), b (q,), Z (n, q); Z is written."""
    for i in range(n):
        row = peek(rows, i)
        z = view(Z, i * q, q)
        copy(view(b, 0, q), z)
        for p in range(peek(indptr, row), peek(indptr, row + 1)):
            x, w = peek(values, p), view(W, peek(indices, p) * q, q)
            for k in range(q):
                z[k] = fma(x, w[k], z[k])


@kernel
def csr_add(values, indices, indptr, rows, n, A, q):
    """A <- A + X[rows].   A (n, q) for X with q columns."""
    for i in range(n):
        row = peek(rows, i)
        a = view(A, i * q, q)
        for p in range(peek(indptr, row), peek(indptr, row + 1)):
            a[peek(indices, p)] += peek(values, p)


@kernel
def csr_gradient(values, indices, indptr, rows, n, cursor, lo, hi, D, G, q):
    """G += X[rows, lo:hi]' D.   D (n, q), G (hi - lo, q), G is written.

    cursor (n,) says where the stored columns >= lo of each row begin, and moves on to those >= hi.
    """
    for i in range(n):
        p, end = peek(cursor, i), peek(indptr, peek(rows, i) + 1)
        d = view(D, i * q, q)
        while p < end and peek(indices, p) < hi:
            x, g = peek(values, p), view(G, (peek(indices, p) - lo) * q, q)
            for k in range(q):
                g[k] = fma(x, d[k], g[k])
            p += 1
        poke(cursor, i, p)


@kernel
def csr_seek(indices, indptr, rows, n, cursor, column):
    """cursor[i] <- where the stored columns >= `column` of row rows[i] begin, by bisection."""
    for i in range(n):
        start, stop = peek(indptr, peek(rows, i)), peek(indptr, peek(rows, i) + 1)
        while start < stop:
            middle = (start + stop) // 2
            if peek(indices, middle) < column:
                start = middle + 1
            else:
                stop = middle
        poke(cursor, i, start)
