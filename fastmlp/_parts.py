"""Passes over arrays of any size, a part at a time: what NumPy makes of one part stays small, and in the cache."""

from collections.abc import Iterator

import numpy as np

from ._network import Array

__all__ = ["PART", "is_finite", "sum_of_squares"]

PART = 1 << 16  # numbers


def _parts(array: Array) -> Iterator[Array]:
    """Some rows of `array` after others."""
    rows = max(1, PART * len(array) // max(1, array.size))
    return (array[i : i + rows] for i in range(0, len(array), rows))


def is_finite(array: Array) -> bool:
    """Whether all numbers are finite."""
    if array.size <= PART:
        return bool(np.isfinite(array).all())
    return all(np.isfinite(part).all() for part in _parts(array))


def sum_of_squares(array: Array) -> float:
    """Return the sum of the squares of all numbers.

    Without BLAS, which may wake threads for it: they spin for a while, on cores that the team of a fit is about to use.
    """
    flat = (part.reshape(-1) for part in _parts(array))
    return sum(float(np.einsum("i,i->", part, part)) for part in flat)
