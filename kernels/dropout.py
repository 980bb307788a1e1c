"""Dropout (Srivastava et al. 2014), from a counter-based generator.

The random number of an element is a hash of a key and of the element's position in the mini-batch. It therefore does
not depend on the order in which elements are computed or on the number of threads, and the backward pass recomputes it
instead of storing it.
"""

from typing import Any

import numpy as np

from ._jit import LinkedKernel, elementary, linked_kernel
from ._memory import view

__all__ = ["linked", "mix"]

FIRST, SECOND = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
GOLDEN = np.uint32(0x9E3779B9)  # 2^32 divided by the golden ratio


@elementary
def mix(x):
    """Hash 32 bits: `lowbias32` of Wellons' search for integer hash functions (2018)."""
    x ^= x >> np.uint32(16)
    x = np.uint32(x * FIRST)
    x ^= x >> np.uint32(15)
    x = np.uint32(x * SECOND)
    return x ^ (x >> np.uint32(16))


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel for arrays of `number`."""

    @linked_kernel(number)
    def drop(a, rows, units, first, key, rate):
        """a[i, j] <- 0 with the probability `rate`, otherwise a[i, j] / (1 - rate).   a (rows, units) is written.

        Row i is row `first` + i of the mini-batch. Element j is dropped if mix(mix(key + mix(first + i)) + j GOLDEN) is
        below rate 2^32.
        """
        zero = view(a, 0, 0).dtype.type(0)
        scale = view(a, 0, 0).dtype.type(1.0 / (1.0 - rate))
        threshold = np.uint32(rate * 4294967296.0)
        for i in range(rows):
            row = mix(np.uint32(np.uint32(key) + mix(np.uint32(first + i))))
            x = view(a, i * units, units)
            for j in range(units):
                u = mix(np.uint32(row + np.uint32(np.uint32(j) * GOLDEN)))
                x[j] = zero if u < threshold else x[j] * scale

    return [drop]
