"""Piecewise-linear encoding of numbers."""

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.estimators._sklearn import Interval, _check_feature_names_in, _fit_context

__all__ = ["PiecewiseLinearEncoder"]

CAPPINGS = 8  # more of them change the edges no further


def _edges(values: NDArray[Any], n_bins: int) -> NDArray[Any]:
    """Return the edges of at most `n_bins` bins, ascending and distinct."""
    quantiles = np.linspace(0, 1, n_bins + 1)
    distinct, counts = np.unique(values, return_counts=True)
    # A few distinct values become the edges themselves: quantiles can lie between them.
    if distinct.size <= quantiles.size:
        return distinct
    edges = np.unique(np.quantile(values, quantiles))
    if edges.size == quantiles.size:
        return edges
    weights = counts.astype(np.float64)
    for _ in range(CAPPINGS):
        weights = np.minimum(weights, weights.sum() / n_bins)
    below = np.cumsum(weights) - weights / 2
    position = (below - below[0]) / (below[-1] - below[0])
    return np.unique(distinct[np.minimum(np.searchsorted(position, quantiles), distinct.size - 1)])


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    """Encode each column by the bins between its quantiles.

    With edges b_0 < ... < b_T at the quantiles of a column in `fit`, component t = 1, ..., T of a value x is
    (x - b_(t-1)) / (b_t - b_(t-1)), limited to [0, 1]; the first component has no lower limit, the last no upper
    limit. A linear function of the components is a continuous, piecewise-linear function of x. Missing values (NaN)
    are ignored in `fit`, and all components of a missing value are missing.

    Parameters
    ----------
    n_bins : int, default=16
        Largest number T of bins of a column. A column with at most T + 1 distinct values has its edges there, and a
        constant column has no bins. If quantiles are equal because a value is frequent, the edges are spread over the
        other values (see Notes).

    Attributes
    ----------
    edges_ : list of ndarray of shape (n_bins_of_the_column + 1,)
        Edges of the bins; empty for a constant column or one without values.
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
    RobustSmoothClipScaler : Scale numbers without encoding them.

    Notes
    -----
    The paper [1]_ merges equal quantiles. Then a column that is zero in 92 of 100 rows, such as a capital gain, has one
    or two bins. Here a value counts at most as much as one bin holds, so that the column has all its bins.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev, A. Babenko: "On Embeddings for Numerical Features in Tabular Deep Learning",
       NeurIPS 2022, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import PiecewiseLinearEncoder
    >>> X = np.array([[0.0], [1.0], [2.0], [10.0]])
    >>> encoder = PiecewiseLinearEncoder(n_bins=3).fit(X)
    >>> encoder.get_feature_names_out()
    array(['x0_bin1', 'x0_bin2', 'x0_bin3'], dtype=object)
    >>> encoder.transform([[0.5], [6.0], [18.0]])
    array([[0.5, 0. , 0. ],
           [1. , 1. , 0.5],
           [1. , 1. , 2. ]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {"n_bins": [Interval(Integral, 1, None, closed="left")]}

    def __init__(self, n_bins: int = 16) -> None:
        self.n_bins = n_bins

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the edges of the bins.

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
        self.edges_ = []
        for column in X.T:
            edges = _edges(column[~np.isnan(column)], int(self.n_bins))
            self.edges_.append(edges if edges.size > 1 else edges[:0])
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Encode the columns.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers; NaN means missing.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_components)
            The components of the first column, then those of the second, and so on.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        counts = self._counts()
        out = np.empty((X.shape[0], sum(counts)), X.dtype)
        end = 0
        for column, edges, count in zip(X.T, self.edges_, counts, strict=True):
            if not count:
                continue
            begin, end = end, end + count
            lower, upper = edges[:-1].astype(X.dtype), edges[1:].astype(X.dtype)
            floor, ceiling = np.zeros(count, X.dtype), np.ones(count, X.dtype)
            floor[0], ceiling[-1] = -np.finfo(X.dtype).max, np.finfo(X.dtype).max
            # Edges can be so close that they are equal in float32, or that the quotient overflows.
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                t = (column[:, np.newaxis] - lower) / (upper - lower)
            missing = np.isnan(column)
            t[np.isnan(t)] = 0
            out[:, begin:end] = np.clip(t, floor, ceiling)
            out[missing, begin:end] = np.nan
        return out

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the components: "<column>_bin<t>" for t = 1, 2, ...

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns; None: `feature_names_in_`, or "x0", "x1", ...

        Returns
        -------
        feature_names_out : ndarray of shape (n_components,)
            Names.
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        named = [
            f"{name}_bin{t}" for name, count in zip(names, self._counts(), strict=True) for t in range(1, count + 1)
        ]
        return np.array(named, dtype=object)

    def _counts(self) -> list[int]:
        """Return the number of bins of each column."""
        return [max(0, edges.size - 1) for edges in self.edges_]

    def _validate(self, X: Any, reset: bool) -> NDArray[Any]:
        X = validate_data(self, X, reset=reset, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan")
        limit = np.finfo(X.dtype).max / 4  # differences of two numbers stay finite
        return np.clip(X, -limit, limit)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
