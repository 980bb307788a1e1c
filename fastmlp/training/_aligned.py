"""Arrays that begin with a cache line, with room for one more vector behind them.

A vector that lies across two lines is read as two; where all begin with a line, steps take 1 to 9 % less.

Kernels take the columns left over with masked vectors. They never touch what is masked off; but where that lies in a
page which the system has not provided, the CPU needs some hundred cycles to find that nothing is wrong. A product whose
first sums stood at the end of such a page, 142x100 times 100x3, took 24.8 us instead of 2.3.
"""

import ctypes
from mmap import PAGESIZE

import numpy as np
from numpy.typing import DTypeLike

from ._network import Array

__all__ = ["address", "empty", "is_padded", "padded", "zeros"]

LINE = 64  # bytes: a cache line, and the longest vector


def address(array: Array) -> int:
    """Return the address of the first element."""
    # What the buffer says is known in half the time; it is there for memory in one piece that may be written.
    if array.size and array.flags.carray:
        return ctypes.addressof(ctypes.c_char.from_buffer(array.data))
    return int(array.__array_interface__["data"][0])


def empty(size: int, dtype: DTypeLike) -> Array:
    """Return an uninitialised vector with room behind it, which is written and so provided."""
    if size == 0:
        return np.empty(0, dtype)
    dtype = np.dtype(dtype)
    nbytes = size * dtype.itemsize
    memory = np.empty(nbytes + 2 * LINE, np.uint8)
    start = -address(memory) % LINE
    memory[start + nbytes :] = 0
    return memory[start : start + nbytes].view(dtype)


def zeros(size: int, dtype: DTypeLike) -> Array:
    """Return a vector of zeros with room behind it."""
    array = empty(size, dtype)
    array[:] = 0
    return array


def is_padded(array: Array) -> bool:
    """Whether a contiguous array begins with a line, and a vector may reach behind its end; an empty one does."""
    if array.size == 0:
        return True
    end = address(array) + array.nbytes
    base = array.base
    room = isinstance(base, np.ndarray) and address(base) + base.nbytes - end >= LINE
    return address(array) % LINE == 0 and (room or -end % PAGESIZE >= LINE)


def padded(array: Array) -> Array:
    """Return the vector `array`, or a copy that begins with a line and has room, if it does not."""
    if is_padded(array):
        return array
    copy = empty(array.size, array.dtype)
    copy[:] = array
    return copy
