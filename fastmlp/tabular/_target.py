"""Check the target of a table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

from ._frame import is_missing

__all__ = ["check_entries", "check_present"]


def check_present(y: Any, estimator: str) -> NDArray[Any]:
    """Return a target as a vector without missing values.

    Raises
    ------
    ValueError
        y is None, no vector, has missing or infinite values, or mixes strings with other values.
    TypeError
        y holds lists or other collections.
    """
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None.")
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    y = column_or_1d(y, warn=True)
    check_entries(y)
    if y.dtype.kind in "fc":
        missing = np.isnan(y)
    elif y.dtype.kind in "Mm":
        missing = np.isnat(y)
    elif y.dtype == object:
        missing = np.array([is_missing(value) for value in y])
    else:
        missing = np.zeros(len(y), bool)
    if missing.any():
        raise ValueError(
            f"Input y contains NaN: {int(missing.sum())} of {len(y)} values are missing, the first in row "
            f"{int(np.flatnonzero(missing)[0])}. Drop these rows."
        )
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError(
            f"Input y contains infinity, first in row {int(np.flatnonzero(np.isinf(y))[0])}. "
            "Drop these rows or replace the values."
        )
    return y


def check_entries(y: NDArray[Any]) -> None:
    """Refuse a vector of Python objects that are collections, or strings and other values together.

    Raises
    ------
    TypeError
        An entry is a list, tuple, dictionary, set or array.
    ValueError
        Some entries are strings, others are not.
    """
    if y.dtype != object:
        return
    string = other = None
    for row, value in enumerate(y):
        if isinstance(value, (list, tuple, dict, set, np.ndarray)):
            raise TypeError(
                f"y holds values of type {type(value).__name__}, first in row {row}; an entry must be a number or the "
                "label of a class: choose one target."
            )
        if isinstance(value, str):
            string = value if string is None else string
        elif not is_missing(value):
            other = value if other is None else other
    if string is not None and other is not None:
        raise ValueError(f"y mixes strings ({string!r}) and other values ({other!r}): convert it, with .astype(str).")
