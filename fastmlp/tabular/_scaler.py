"""Robust scaling with a smooth limit."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["RobustSmoothClipScaler"]

LIMIT = 3.0


class RobustSmoothClipScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Scale columns by median and interquartile range, then limit them smoothly to (-3, 3).

    A column x becomes z / sqrt(1 + (z / 3)^2), where z = (x - median) / (interquartile range). Half the range takes
    the place of the interquartile range if that is zero. Constant columns become 0. Missing values (NaN) are ignored
    in `fit` and stay missing.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Medians; 0 for a column without values.
    scale_ : ndarray of shape (n_features,)
        Factors that are multiplied with; 0 for a constant column.
    n_features_in_ : int
        Columns.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X is a data frame whose names are strings.

    Raises
    ------
    ValueError
        X contains infinity or is empty.

    See Also
    --------
    PiecewiseLinearEncoder : Encode numbers by the bins that they fall into.

    Notes
    -----
    The transformation is the one of RealMLP [1]_, without its removal of constant columns.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn, I. Steinwart: "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on
       Tabular Data", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import RobustSmoothClipScaler
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [100.0]])
    >>> scaler = RobustSmoothClipScaler().fit(X)
    >>> scaler.transform(X).round(2).ravel()
    array([-0.95, -0.49,  0.  ,  0.49,  2.99])
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute medians and interquartile ranges.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN means missing.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted transformer.
        """
        X = self._validate(X, reset=True)
        self.center_, self.scale_ = np.zeros((2, X.shape[1]), X.dtype)
        for j, column in enumerate(X.T):
            present = column[~np.isnan(column)]
            if not present.size:
                continue
            low, q1, self.center_[j], q3, high = np.quantile(present, [0, 0.25, 0.5, 0.75, 1])
            width = q3 - q1 if q3 > q1 else (high - low) / 2
            if width > 0:
                with np.errstate(over="ignore"):
                    self.scale_[j] = min(1 / width, np.finfo(X.dtype).max)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Scale the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN means missing.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features)
            Numbers between -3 and 3; NaN where X is missing.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        # Far beyond the limit the result does not depend on z, whose square must not overflow.
        with np.errstate(over="ignore"):
            z = np.clip((X - self.center_.astype(X.dtype)) * self.scale_.astype(X.dtype), -1e9, 1e9)
        return z / np.sqrt(1 + np.square(z / X.dtype.type(LIMIT)))

    def _validate(self, X: Any, reset: bool) -> NDArray[Any]:
        X = validate_data(self, X, reset=reset, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan")
        limit = np.finfo(X.dtype).max / 4  # differences of two numbers stay finite
        return np.clip(X, -limit, limit)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
