"""Reductions of large arrays in parts, so that the temporary arrays of NumPy are small and fit in the cache."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse

from ._network import Array

__all__ = ["PART", "column_sizes", "is_finite", "sum_of_squares"]

PART = 1 << 16  # numbers in a part


def _parts(array: Array) -> Iterator[Array]:
    """Yield `array` in parts of some rows."""
    rows = max(1, PART * len(array) // max(1, array.size))
    return (array[i : i + rows] for i in range(0, len(array), rows))


def is_finite(array: Array) -> bool:
    """Whether all numbers are finite."""
    if array.size <= PART:
        # Half the time of `all` for one row, because counting needs no call of a ufunc.
        return np.count_nonzero(np.isfinite(array)) == array.size
    return all(np.isfinite(part).all() for part in _parts(array))


def sum_of_squares(array: Array) -> float:
    """Return the sum of the squares of all numbers.

    This does not use BLAS, because its threads may keep spinning on cores that the fit needs.
    """
    flat = (part.reshape(-1) for part in _parts(array))
    return sum(float(np.einsum("i,i->", part, part)) for part in flat)


def column_sizes(X: Any) -> Array:
    """Return the root mean square of each column."""
    if scipy.sparse.issparse(X):
        X = X.tocsr()
        squares = np.bincount(X.indices, X.data.astype(float) ** 2, minlength=X.shape[1])
        return np.sqrt(squares / X.shape[0])
    sizes: Array = np.sqrt(np.einsum("ij,ij->j", X, X, dtype=float) / len(X))
    return sizes
