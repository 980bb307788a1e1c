"""Arrays that Python passes to kernels: their addresses, and the names of their dtypes."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DTYPES", "NAMES", "address"]

DTYPES = ("float32", "float64")  # of networks

# The attribute `name` of a dtype takes 3 us, because Python code composes it. A lookup takes a tenth of that.
NAMES = {np.dtype(name): name for name in DTYPES}


def address(array: NDArray[Any]) -> int:
    """Return the address of the first element."""
    if array.dtype.names:
        # The two other ways would also describe the dtype, which takes up to 40 us for a record.
        return int(array.ctypes.data)
    # Reading the address through the buffer protocol takes a third of the time, but requires writable, contiguous
    # memory that is not empty.
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        return int(array.ctypes.data)
