"""The matrix product of the kernels as a function for Python, which checks its arguments.

It calls `gemm` by address, as Python calls all kernels. It is not part of `matmul`, because the module that provides
the addresses imports all kernels.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ._arrays import NAMES, address
from ._link import entry

__all__ = ["matmul"]


def _check(name: str, array: Any) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in NAMES:
        raise TypeError(f"{name} must be float32 or float64, got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got {array.ndim}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; numpy.ascontiguousarray makes it so")


def matmul(
    A: npt.NDArray[Any], B: npt.NDArray[Any], C: npt.NDArray[Any], transpose_a: bool = False
) -> npt.NDArray[Any]:
    """Matrix product C = A B, or C = A' B, in one thread.

    Every value of C is one chain of fused multiply-adds in the order of the sum, beginning with 0: its bits
    depend neither on the other rows and columns, nor on how A is stored, nor on the CPU.

    Parameters
    ----------
    A : ndarray of shape (m, k), or (k, m) with `transpose_a`
        float32 or float64, C-contiguous.
    B : ndarray of shape (k, n)
        Of A's dtype, C-contiguous.
    C : ndarray of shape (m, n)
        Of A's dtype, C-contiguous. It is written, and must not overlap A or B.
    transpose_a : bool, default=False
        Multiply by the transpose of A.

    Returns
    -------
    ndarray of shape (m, n)
        C.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.kernels.product import matmul
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> matmul(A, np.eye(2), np.empty((2, 2)), transpose_a=True)
    array([[1., 3.],
           [2., 4.]])
    """
    for name, array in (("A", A), ("B", B), ("C", C)):
        _check(name, array)
    if not A.dtype == B.dtype == C.dtype:
        raise TypeError(f"A, B and C must have the same dtype, got {A.dtype}, {B.dtype} and {C.dtype}")
    k, m = A.shape if transpose_a else A.shape[::-1]
    if B.shape[0] != k:
        raise ValueError(f"B must have {k} rows to be multiplied by A, got shape {B.shape}")
    if C.shape != (m, B.shape[1]):
        raise ValueError(f"C must have shape {(m, B.shape[1])}, got {C.shape}")
    if not C.flags.writeable:
        raise ValueError("C must be writeable")
    n = B.shape[1]
    zeros = np.zeros(n, C.dtype)
    a, b, c, start = address(A), address(B), address(C), address(zeros)
    # The arrays are contiguous, so they overlap if their ranges of addresses do.
    if any(max(c, at) < min(c + C.nbytes, at + array.nbytes) for at, array in ((a, A), (b, B))):
        raise ValueError("C must not overlap A or B")
    a_row, a_col = (1, m) if transpose_a else (k, 1)
    entry("gemm", NAMES[C.dtype])(a, a_row, a_col, b, n, c, n, m, k, n, start, 0)
    return C
