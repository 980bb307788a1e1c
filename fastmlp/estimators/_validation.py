"""Validation of data, with fast paths that skip scikit-learn's validation if the input is already valid.

Before a fit, scikit-learn passes over the data up to seven times and needs 0.3 ms even for a few rows, as long as
eighty epochs of the smallest benchmark. Arrays that the kernels can use directly are recognised by their attributes,
one pass over the numbers and one over the labels. All other input, including invalid input, is validated by
scikit-learn and gets its error messages.
"""

import warnings
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_array
from sklearn.utils.validation import check_non_negative

from fastmlp.training._blockwise import column_sizes, is_finite, sum_of_squares
from fastmlp.training._network import Array

__all__ = [
    "Labels",
    "are_labels",
    "binarizer_for",
    "check_sample_weight",
    "count_labels",
    "fits_columns",
    "is_plain",
    "is_plain_target",
    "plain_as",
    "warn_of_scales",
]

FLOATS = {np.dtype(np.float32), np.dtype(np.float64)}
# Gradient descent on the first layer is stable up to a learning rate of about 2 / (mean square norm of a row). At far
# larger rates, regressors on unscaled data diverge or end with useless weights. Classifiers, whose errors are bounded,
# stop improving at rates about a hundred times as large.
LIMIT_UNBOUNDED, LIMIT_BOUNDED = 50.0, 500.0
# Rows also have a large norm if there are many columns, which scaling would not change.
LARGE = 10.0

FEW_ROWS = 20  # up to this number of rows, scikit-learn does not warn of many classes
SPAN = 1 << 16  # largest range of integer labels for which counting is used


def is_plain(X: Any) -> bool:
    """Whether X is a matrix that `sklearn.utils.check_array` would return unchanged."""
    return type(X) is np.ndarray and X.ndim == 2 and X.dtype in FLOATS and X.size > 0 and is_finite(X)


def plain_as(X: Any, dtype: str | None) -> Any:
    """Return X, converted to `dtype` unless it is None, if it is plain before and after; otherwise None."""
    if not is_plain(X):
        return None
    if dtype is None or X.dtype == dtype:
        return X
    with np.errstate(over="ignore"):
        converted = X.astype(dtype)
    return converted if is_finite(converted) else None


def fits_columns(model: Any, X: Array) -> bool:
    """Whether a fitted model takes X without an error and without a warning that X has no names of columns."""
    return "feature_names_in_" not in model.__dict__ and X.shape[1] == model.n_features_in_


def is_plain_target(y: Any, rows: int) -> bool:
    """Whether y is a vector of `rows` finite numbers that `sklearn.utils.check_X_y` would return unchanged."""
    return (
        type(y) is np.ndarray and y.shape == (rows,) and (y.dtype.kind in "biu" or (y.dtype in FLOATS and is_finite(y)))
    )


def are_labels(y: Any, y_pred: Array) -> bool:
    """Whether `sklearn.metrics.accuracy_score` would take these vectors of classes without an error or a warning."""
    return is_plain_target(y, len(y_pred)) and all(
        array.ndim == 1 and array.dtype.kind in "biu" and (len(array) <= FEW_ROWS or count_labels(array) is not None)
        for array in (y, y_pred)
    )


class Labels(NamedTuple):
    """Result of `count_labels`."""

    classes: Array  # (K,), increasing, of the labels' dtype
    places: Array  # (m,) int32: index of each label in `classes`


def count_labels(y: Array) -> Labels | None:
    """Return the classes of y and the index of each label, or None unless y holds few distinct integers."""
    if y.ndim != 1 or y.dtype.kind not in "biu" or y.size == 0:
        return None
    least = y.min()
    if int(y.max()) - int(least) >= SPAN:
        return None
    # The difference is taken modulo 2^64, so it is also right for int8 and for unsigned numbers beyond int64.
    offsets = np.subtract(y, least, dtype=np.int64, casting="unsafe")
    counts = np.bincount(offsets)
    present = np.flatnonzero(counts)
    if 2 * present.size > y.size:
        return None  # these may not be class labels, so scikit-learn validates them and may emit a warning
    ranks = np.cumsum(counts > 0, dtype=np.int32) - np.int32(1)
    return Labels(np.add(present.astype(y.dtype), least), ranks[offsets])


def binarizer_for(classes: Array) -> LabelBinarizer:
    """Return the result of `LabelBinarizer().fit` for a vector of integer labels that has these classes."""
    binarizer = LabelBinarizer()
    binarizer.y_type_ = "multiclass" if classes.size > 2 else "binary"
    binarizer.sparse_input_, binarizer.classes_ = False, classes
    return binarizer


def check_sample_weight(sample_weight: Any, rows: int, *, non_negative: bool = False) -> Array:
    """Return sample weights as a vector of floats, with the error messages of scikit-learn 1.9.

    scikit-learn's own function is private, and before 1.9 it accepts weights that are all zero.

    Parameters
    ----------
    sample_weight : number or array-like of shape (n_samples,)
    rows : int
        n_samples.
    non_negative : bool, default=False
        Whether to refuse negative weights.

    Returns
    -------
    ndarray of shape (n_samples,)
        C-contiguous, float32 or float64.

    Raises
    ------
    ValueError
        The weights have another shape, are not finite, or are all zero; or some are negative, with `non_negative`.
    """
    if isinstance(sample_weight, Number):
        sample_weight = np.full(rows, sample_weight)
    weights: Array = check_array(
        sample_weight, dtype=(np.float64, np.float32), order="C", ensure_2d=False, input_name="sample_weight"
    )
    if weights.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {weights.ndim}D array. Expected either a scalar value or "
            f"a 1D array of length {rows}."
        )
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(rows,)}!")
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    if non_negative:
        check_non_negative(weights, "`sample_weight`")
    return weights


def warn_of_scales(X: Any, rate: float, bounded: bool) -> None:
    """Warn if columns are so large that stochastic gradient descent is likely to diverge.

    Parameters
    ----------
    X : {ndarray, sparse matrix} of shape (n_samples, n_features)
    rate : float
        Initial learning rate.
    bounded : bool
        Whether the output error of a row is bounded, as it is for probabilities.

    Warns
    -----
    UserWarning
        If the columns are too large. The message states their scales and the remedy.
    """
    values = X.data if scipy.sparse.issparse(X) else X
    row_square = sum_of_squares(values) / X.shape[0]
    if rate * row_square <= (LIMIT_BOUNDED if bounded else LIMIT_UNBOUNDED):
        return
    sizes = column_sizes(X)
    if sizes.max() <= LARGE:
        return
    warnings.warn(
        f"X has columns with root mean squares from {sizes.min():.2g} to {sizes.max():.2g}, so large that solver='sgd' "
        f"is likely to diverge or get stuck at learning_rate_init={rate:g}: standardise the columns "
        "(sklearn.preprocessing.StandardScaler), lower the rate, or choose solver='adam'.",
        UserWarning,
        stacklevel=2,
    )
