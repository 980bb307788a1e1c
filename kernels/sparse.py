"""The first layer for CSR input, without conversion to dense, with sums in the same order as for dense input.

The columns of a stored row are in increasing order, and adding zero changes nothing, so the results have the same bits
as those of the dense products (except for the sign of a zero). `rows` (n,) are the rows of X in the batch.
"""

from typing import Any

from ._jit import LinkedKernel, linked_kernel
from ._memory import copy, view
from ._simd import fma

__all__ = ["linked"]


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernels for arrays of `number`."""

    @linked_kernel(number)
    def csr_affine(values, indices, indptr, rows, n, W, b, Z, q):
        """Z <- X[rows] W + b.   W (d, q), b (q,), Z (n, q); Z is written."""
        for i in range(n):
            row = rows[i]
            z = view(Z, i * q, q)
            copy(view(b, 0, q), z)
            for p in range(indptr[row], indptr[row + 1]):
                x, w = values[p], view(W, indices[p] * q, q)
                for k in range(q):
                    z[k] = fma(x, w[k], z[k])

    @linked_kernel(number)
    def csr_add(values, indices, indptr, rows, n, A, q):
        """A <- A + X[rows].   A (n, q) for X with q columns."""
        for i in range(n):
            row = rows[i]
            a = view(A, i * q, q)
            for p in range(indptr[row], indptr[row + 1]):
                a[indices[p]] += values[p]

    @linked_kernel(number)
    def csr_gradient(values, indices, indptr, rows, n, cursor, lo, hi, D, G, q):
        """G += X[rows, lo:hi]' D.   D (n, q), G (hi - lo, q), G is written.

        cursor (n,) is the index of the first stored column >= lo of each row, and is advanced to the first one >= hi.
        """
        for i in range(n):
            p, end = cursor[i], indptr[rows[i] + 1]
            d = view(D, i * q, q)
            while p < end and indices[p] < hi:
                x, g = values[p], view(G, (indices[p] - lo) * q, q)
                for k in range(q):
                    g[k] = fma(x, d[k], g[k])
                p += 1
            cursor[i] = p

    @linked_kernel(number)
    def csr_seek(indices, indptr, rows, n, cursor, column):
        """cursor[i] <- index of the first stored column >= `column` of row rows[i], by bisection."""
        for i in range(n):
            start, stop = indptr[rows[i]], indptr[rows[i] + 1]
            while start < stop:
                middle = (start + stop) // 2
                if indices[middle] < column:
                    start = middle + 1
                else:
                    stop = middle
            cursor[i] = start

    return [csr_affine, csr_add, csr_gradient, csr_seek]
