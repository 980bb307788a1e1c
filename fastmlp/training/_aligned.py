"""Cache-line-aligned arrays, padded by the length of one vector.

A vector that crosses the boundary of two cache lines needs two reads. With aligned arrays, steps take 1 to 9 % less
time.

Kernels process the remaining columns with masked vectors. The masked lanes are never accessed, but if they belong to an
unmapped page, the CPU needs some hundred cycles to suppress the fault. A product of 142x100 by 100x3 whose first sums
were at the end of such a page took 24.8 us instead of 2.3 us. The padding prevents this.
"""

from mmap import PAGESIZE

import numpy as np
from numpy.typing import DTypeLike

from fastmlp.kernels._arrays import address

from ._network import Array

__all__ = ["empty", "is_padded", "padded", "zeros"]

LINE = 64  # bytes of a cache line, and of the longest vector


def empty(size: int, dtype: DTypeLike) -> Array:
    """Return an uninitialised vector with padding. The padding is written, so that its page is mapped."""
    if size == 0:
        return np.empty(0, dtype)
    dtype = np.dtype(dtype)
    nbytes = size * dtype.itemsize
    memory = np.empty(nbytes + 2 * LINE, np.uint8)
    start = -address(memory) % LINE
    memory[start + nbytes :] = 0
    return memory[start : start + nbytes].view(dtype)


def zeros(size: int, dtype: DTypeLike) -> Array:
    """Return a vector of zeros with padding."""
    array = empty(size, dtype)
    array[:] = 0
    return array


def is_padded(array: Array) -> bool:
    """Whether a contiguous array is aligned and padded; an empty array counts as both."""
    if array.size == 0:
        return True
    end = address(array) + array.nbytes
    base = array.base
    room = isinstance(base, np.ndarray) and address(base) + base.nbytes - end >= LINE
    return address(array) % LINE == 0 and (room or -end % PAGESIZE >= LINE)


def padded(array: Array) -> Array:
    """Return the vector `array` if it is aligned and padded, otherwise a copy that is."""
    if is_padded(array):
        return array
    copy = empty(array.size, array.dtype)
    copy[:] = array
    return copy
