"""Check the target of a table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import column_or_1d

__all__ = ["check_present"]


def check_present(y: Any, estimator: str) -> NDArray[Any]:
    """Return a target as a vector without missing values.

    Raises
    ------
    ValueError
        y is None, no vector, or has missing values.
    """
    if y is None:
        raise ValueError(f"{estimator} requires y to be passed, but the target y is None.")
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    y = column_or_1d(y, warn=True)
    if y.dtype.kind in "fc":
        missing = np.isnan(y)
    elif y.dtype.kind in "Mm":
        missing = np.isnat(y)
    elif y.dtype == object:
        missing = np.array([value is None or type(value).__name__ == "NAType" or bool(value != value) for value in y])
    else:
        missing = np.zeros(len(y), bool)
    if missing.any():
        raise ValueError(
            f"Input y contains NaN: {int(missing.sum())} of {len(y)} values are missing, the first in row "
            f"{int(np.flatnonzero(missing)[0])}. Drop these rows."
        )
    if y.dtype.kind == "f" and np.isinf(y).any():
        raise ValueError(f"Input y contains infinity, first in row {int(np.flatnonzero(np.isinf(y))[0])}.")
    return y
