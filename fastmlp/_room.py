"""Arrays with room for one more vector behind them.

Kernels take the columns left over with masked vectors. They never touch what is masked off; but where that lies in a
page which the system has not provided, the CPU needs some hundred cycles to find that nothing is wrong. A product whose
first sums stood at the end of such a page, 142x100 times 100x3, took 24.8 us instead of 2.3.
"""

from mmap import PAGESIZE

import numpy as np
from numpy.typing import DTypeLike

from ._network import Array

__all__ = ["empty", "has_room", "roomy", "zeros"]

ROOM = 64  # bytes: the longest vector


def empty(size: int, dtype: DTypeLike) -> Array:
    """Return an uninitialised vector with room behind it, which is written and so provided."""
    dtype = np.dtype(dtype)
    array: Array = np.empty(size + ROOM // dtype.itemsize, dtype)
    array[size:] = 0
    return array[:size]


def zeros(size: int, dtype: DTypeLike) -> Array:
    """Return a vector of zeros with room behind it."""
    array = empty(size, dtype)
    array[:] = 0
    return array


def _end(array: Array) -> int:
    """Address behind a contiguous array."""
    return int(array.__array_interface__["data"][0]) + array.nbytes


def has_room(array: Array) -> bool:
    """Whether the page in which `array` ends, or the array of which it is a part, goes on for a vector."""
    end = _end(array)
    return -end % PAGESIZE >= ROOM or (isinstance(array.base, np.ndarray) and _end(array.base) - end >= ROOM)


def roomy(array: Array) -> Array:
    """Return the vector `array`, or a copy with room behind it if it has none."""
    if has_room(array):
        return array
    copy = empty(array.size, array.dtype)
    copy[:] = array
    return copy
