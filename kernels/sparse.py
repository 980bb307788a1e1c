"""The first layer on CSR input: nothing is turned dense, and the sums run in the order of the dense ones.

A stored row has its columns in increasing order, and a zero adds nothing, so the results equal those of the
dense products bit for bit (up to the sign of a zero).
"""

from ._jit import kernel
from ._memory import copy, view
from ._simd import fma

__all__ = ["csr_affine", "csr_gradient", "csr_seek"]


@kernel
def csr_affine(x, columns, W, b, z):
    """z <- b + x W for one sparse row: values x at `columns`.   W (d q,), b, z (q,); z is written."""
    q = z.size
    copy(b, z)
    for p in range(x.size):
        value, w = x[p], view(W, columns[p] * q, q)
        for k in range(q):
            z[k] = fma(value, w[k], z[k])


@kernel
def csr_gradient(x, columns, lo, hi, d, G):
    """G[j - lo] += x_j d for the stored columns j < hi of a row (none is below lo); return how many they are.

    d (q,) is the row's error; G ((hi - lo) q,) is written.
    """
    q = d.size
    p = 0
    while p < x.size and columns[p] < hi:
        value, g = x[p], view(G, (columns[p] - lo) * q, q)
        for k in range(q):
            g[k] = fma(value, d[k], g[k])
        p += 1
    return p


@kernel
def csr_seek(columns, column):
    """Number of stored columns below `column`."""
    start, stop = 0, columns.size
    while start < stop:
        middle = (start + stop) // 2
        if columns[middle] < column:
            start = middle + 1
        else:
            stop = middle
    return start
