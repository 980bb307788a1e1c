"""Turn a table into a matrix of numbers that a network learns from."""

from numbers import Integral
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder, TargetEncoder
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.estimators._sklearn import Interval, StrOptions, _check_feature_names_in, _fit_context

from ._frame import CATEGORY, NUMBER, Column, as_kind, read_columns
from ._piecewise import PiecewiseLinearEncoder
from ._scaler import RobustSmoothClipScaler

__all__ = ["Encoded", "TableEncoder"]

UNKNOWN, MISSING = -1, 0  # codes of labels; those that `fit` has seen are 1, 2, ...
# A component of the piecewise-linear encoding stays in this range, however far a number is from those in `fit`.
BEYOND = (-1.0, 2.0)


class Encoded(NamedTuple):
    """A table, encoded as far as that is possible without a target."""

    matrix: NDArray[Any]  # (m, n), float32
    codes: NDArray[Any]  # (m, number of target-encoded columns), int


class TableEncoder(TransformerMixin, BaseEstimator):
    """Encode a table of numbers, categories, strings, booleans and missing values as a matrix of float32.

    Numbers are scaled by `RobustSmoothClipScaler`, and encoded by `PiecewiseLinearEncoder` beside it. Categories of at
    most `max_one_hot` levels are one-hot encoded, those of more by the mean of the target for each level
    (`sklearn.preprocessing.TargetEncoder`, cross-fitted in `fit_transform`). See Notes for all other cases.

    Parameters
    ----------
    n_bins : int, default=16
        Largest number of bins of the piecewise-linear encoding.
    max_one_hot : int, default=64
        Largest number of levels of a column that is one-hot encoded.
    target_type : {'auto', 'continuous', 'binary', 'multiclass'}, default='auto'
        Type of the target, see `sklearn.preprocessing.TargetEncoder`. 'auto' takes integers for classes.
    random_state : int, RandomState instance or None, default=None
        Source of the folds in which the target encoding is cross-fitted.

    Attributes
    ----------
    kinds_ : list of {'number', 'category'}
        What each column holds.
    n_features_in_ : int
        Columns of the table.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X is a data frame whose names are strings.

    Raises
    ------
    TypeError
        X is sparse, lazy or no table, or a column holds lists or other objects.
    ValueError
        X is empty, a name occurs twice, a number is infinite, a column mixes numbers with strings or dates, no column
        varies, or the target is needed and y is None.

    See Also
    --------
    TabularMLPClassifier : Classifier that encodes its table in this way.

    Notes
    -----
    - A missing number becomes the median of its column. A column with missing numbers in `fit` gets an indicator
      column, which is 1 where the number is missing.
    - A missing category is a level of its own, if `fit` has seen one.
    - A level that `fit` has not seen is encoded as zeros (one-hot), or as the mean of the target.
    - Booleans are numbers. Dates and times become days since 1970-01-01 (UTC), durations become days.
    - Columns that are constant or have only missing values are left out, and so are categories of more than
      `max_one_hot` levels of which each row has another.
    - ``fit(X, y).transform(X)`` is not ``fit_transform(X, y)`` for target-encoded columns: see
      `sklearn.preprocessing.TargetEncoder`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import TableEncoder
    >>> X = np.array([[1.0, "red"], [2.0, "blue"], [None, "red"], [3.0, "blue"]], dtype=object)
    >>> encoder = TableEncoder(n_bins=2)
    >>> encoder.fit_transform(X).round(2)  # as encoder.fit(X).transform(X), unless there are target encodings
    array([[-0.95,  0.  ,  0.  ,  0.  ,  0.  ,  1.  ],
           [ 0.  ,  1.  ,  0.  ,  0.  ,  1.  ,  0.  ],
           [ 0.  ,  1.  ,  0.  ,  1.  ,  0.  ,  1.  ],
           [ 0.95,  1.  ,  1.  ,  0.  ,  1.  ,  0.  ]], dtype=float32)
    >>> encoder.get_feature_names_out()
    array(['x0', 'x0_bin1', 'x0_bin2', 'x0_missing', 'x1_blue', 'x1_red'],
          dtype=object)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_bins": [Interval(Integral, 1, None, closed="left")],
        "max_one_hot": [Interval(Integral, 1, None, closed="left")],
        "target_type": [StrOptions({"auto", "continuous", "binary", "multiclass"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_bins: int = 16,
        *,
        max_one_hot: int = 64,
        target_type: str = "auto",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_bins = n_bins
        self.max_one_hot = max_one_hot
        self.target_type = target_type
        self.random_state = random_state

    # ---- scikit-learn's interface

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn how to encode a table.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,), default=None
            The target; needed for columns of more than `max_one_hot` levels only.

        Returns
        -------
        self : object
            The fitted encoder.
        """
        encoded = self._fit_columns(self._read(X, reset=True))
        self._target_encoder = self.new_target_encoder()
        if encoded.codes.shape[1]:
            self._target_encoder.fit(encoded.codes, self._needed(X, y))
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X: Any, y: Any = None) -> NDArray[Any]:
        """Learn how to encode a table, and encode it; the target encoding of a row does not see its target.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,), default=None
            The target; needed for columns of more than `max_one_hot` levels only.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features_out) and type float32
            The encoded table.
        """
        encoded = self._fit_columns(self._read(X, reset=True))
        self._target_encoder = self.new_target_encoder()
        if not encoded.codes.shape[1]:
            return encoded.matrix
        means = self._target_encoder.fit_transform(encoded.codes, self._needed(X, y))
        return np.hstack([encoded.matrix, means.astype(np.float32)])

    def transform(self, X: Any) -> NDArray[Any]:
        """Encode a table.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_features_out) and type float32
            The encoded table.
        """
        check_is_fitted(self)
        encoded = self._encode(self._read(X, reset=False))
        if not encoded.codes.shape[1]:
            return encoded.matrix
        return np.hstack([encoded.matrix, self._target_encoder.transform(encoded.codes).astype(np.float32)])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the names of the encoded columns.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns; None: `feature_names_in_`, or "x0", "x1", ...

        Returns
        -------
        feature_names_out : ndarray of shape (n_features_out,)
            "<column>" for scaled numbers, "<column>_bin<t>", "<column>_missing", "<column>_<level>", and
            "<column>_target" or "<column>_target_<class>".
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        out = list(names[self._scaled])
        if self._binned:
            out += list(self._bins.get_feature_names_out(names[self._binned]))
        out += [f"{name}_missing" for name in names[self._indicated]]
        if self._one_hot:
            for j, codes in zip(self._one_hot, self._one_hot_encoder.categories_, strict=True):
                out += [f"{names[j]}_{self._level(j, code)}" for code in codes]
        if self._by_target:
            means = [f"{names[j]}_target" for j in self._by_target]
            encoder = self._target_encoder
            if encoder.target_type_ == "multiclass":
                means = [f"{mean}_{label}" for mean in means for label in encoder.classes_]
            out += means
        return np.array(out, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    # ---- columns

    def new_target_encoder(self) -> TargetEncoder:
        """Return an unfitted encoder for the columns of many levels."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        if "shuffle" in TargetEncoder().get_params() and TargetEncoder().shuffle is True:  # scikit-learn before 1.9
            return TargetEncoder(target_type=self.target_type, random_state=seed)
        return TargetEncoder(target_type=self.target_type, cv=KFold(5, shuffle=True, random_state=seed))

    def _read(self, X: Any, reset: bool) -> list[Column]:
        columns = read_columns(X)
        validate_data(self, X, reset=reset, skip_check_array=True)
        return columns

    def _needed(self, X: Any, y: Any) -> Any:
        if y is None:
            name, levels = self._names[self._by_target[0]], len(self._codes_of[self._by_target[0]])
            raise ValueError(
                f"Column {name!r} has {levels} levels, more than max_one_hot={self.max_one_hot}, so its encoding "
                "needs the target: pass y, or raise max_one_hot."
            )
        check_consistent_length(X, y)
        return y

    def _fit_columns(self, columns: list[Column], rows: NDArray[Any] | None = None) -> Encoded:
        """Learn all that does not need the target from `rows` (None: all), and encode all rows."""
        used = columns if rows is None else [column._replace(values=column.values[rows]) for column in columns]
        self.kinds_ = [column.kind for column in columns]
        self._names = [column.name for column in columns]
        self._codes_of: dict[int, dict[str, int]] = {}
        self._fit_numbers(used)
        self._one_hot: list[int] = []
        self._by_target: list[int] = []
        for j, column in enumerate(used):
            if column.kind == CATEGORY:
                self._fit_levels(j, column)
        if not (self._scaled or self._indicated or self._one_hot or self._by_target):
            raise ValueError(
                f"No column of X varies in its n_samples={len(used[0].values)} rows: nothing can be learned from "
                "constant or missing values."
            )
        if self._one_hot:
            codes = self._codes(used, self._one_hot)
            self._one_hot_encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
            self._one_hot_encoder.fit(codes)
        return self._encode(columns)

    def _finish_fit(self, estimator: Any, codes: NDArray[Any], y: NDArray[Any]) -> None:
        """Make an encoder whose columns are fitted one that users can call, with the columns of an estimator."""
        self.n_features_in_ = estimator.n_features_in_
        if hasattr(estimator, "feature_names_in_"):
            self.feature_names_in_ = estimator.feature_names_in_
        self._target_encoder = self.new_target_encoder()
        if codes.shape[1]:
            self._target_encoder.fit(codes, y)

    def _fit_numbers(self, columns: list[Column]) -> None:
        numbers = [j for j, column in enumerate(columns) if column.kind == NUMBER]
        self._scaled: list[int] = []
        self._binned: list[int] = []
        self._indicated: list[int] = []
        if not numbers:
            return
        matrix = np.column_stack([columns[j].values for j in numbers])
        missing = np.isnan(matrix)
        self._indicated = [j for j, gone in zip(numbers, missing.T, strict=True) if gone.any() and not gone.all()]
        varies = np.flatnonzero(RobustSmoothClipScaler().fit(matrix).scale_)
        self._scaled = [numbers[i] for i in varies]
        if not self._scaled:
            return
        matrix = matrix[:, varies]
        self._scaler = RobustSmoothClipScaler().fit(matrix)
        # The single bin of a column of two values says what the scaled column says.
        bins = PiecewiseLinearEncoder(self.n_bins).fit(matrix)
        several = [i for i, edges in enumerate(bins.edges_) if edges.size > 2]
        self._binned = [self._scaled[i] for i in several]
        self._binned_of_scaled = several
        if several:
            self._bins = PiecewiseLinearEncoder(self.n_bins).fit(matrix[:, several])

    def _fit_levels(self, j: int, column: Column) -> None:
        labels = [label for label in column.values if label is not None]
        levels = sorted(set(labels))
        n_levels = len(levels) + (len(labels) < len(column.values))
        if n_levels < 2 or (len(levels) > self.max_one_hot and len(levels) == len(labels)):
            return
        self._codes_of[j] = {label: code for code, label in enumerate(levels, start=1)}
        (self._one_hot if n_levels <= self.max_one_hot else self._by_target).append(j)

    def _encode(self, columns: list[Column]) -> Encoded:
        """Encode all that does not need the target."""
        columns = [as_kind(column, kind) for column, kind in zip(columns, self.kinds_, strict=True)]
        m = len(columns[0].values)
        blocks: list[NDArray[Any]] = []
        if self._scaled:
            matrix = np.column_stack([columns[j].values for j in self._scaled])
            matrix = np.where(np.isnan(matrix), self._scaler.center_, matrix)
            blocks.append(self._scaler.transform(matrix))
            if self._binned:
                blocks.append(np.clip(self._bins.transform(matrix[:, self._binned_of_scaled]), *BEYOND))
        if self._indicated:
            blocks.append(np.column_stack([np.isnan(columns[j].values) for j in self._indicated]))
        if self._one_hot:
            blocks.append(self._one_hot_encoder.transform(self._codes(columns, self._one_hot)))
        matrix = np.empty((m, sum(block.shape[1] for block in blocks)), np.float32)
        if blocks:
            np.concatenate(blocks, axis=1, out=matrix, casting="unsafe")
        return Encoded(matrix, self._codes(columns, self._by_target))

    def _codes(self, columns: list[Column], chosen: list[int]) -> NDArray[Any]:
        """Return the codes of the labels of some columns, of shape (m, number of columns)."""
        codes = np.empty((len(columns[0].values), len(chosen)), np.int64)
        for place, j in enumerate(chosen):
            known = self._codes_of[j]
            codes[:, place] = [MISSING if v is None else known.get(v, UNKNOWN) for v in columns[j].values]
        return codes

    def _level(self, j: int, code: int) -> str:
        return "missing" if code == MISSING else list(self._codes_of[j])[code - 1]
