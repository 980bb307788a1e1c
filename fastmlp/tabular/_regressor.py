"""The regressor for whole tables."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import check_array

from fastmlp.estimators import MLPRegressor
from fastmlp.estimators._parameters import with_parameters

from ._base import _BaseTabularMLP, _Rows
from ._target import check_present
from ._training import squared_loss

__all__ = ["TabularMLPRegressor"]


@with_parameters
class TabularMLPRegressor(RegressorMixin, _BaseTabularMLP):
    """Ensemble of networks that predicts a number for each row of a table as it is.

    X is a data frame (pandas, polars, PyArrow) or an array of numbers, categories, strings, booleans, dates and missing
    values. It is encoded by `TableEncoder`; then `n_estimators` networks (`fastmlp.MLPRegressor`) are trained in
    cross-validation on standardised targets, each until its squared error on the rows that it does not see no longer
    falls. Then each is trained for some more epochs on all rows, with a falling learning rate. Predictions are means
    over the networks, limited to the range of the targets in `fit`.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    oof_prediction_ : ndarray of shape (n_samples,)
        Out-of-fold predictions: for each row the mean over the networks that held it out, before they were trained on
        all rows. NaN for a row that no network held out, which is possible with ``n_estimators < n_folds`` only.
    encoder_ : TableEncoder
        What encodes the table.
    estimators_ : list of MLPRegressor
        The networks.
    n_iter_ : int
        Largest number of epochs that a network was trained for, those on all rows not counted.
    n_features_in_ : int
        Columns of the table.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X is a data frame whose names are strings.

    See Also
    --------
    TabularMLPClassifier : The same for classes as targets.
    TableEncoder : How a table is encoded.

    Notes
    -----
    Refused, with the name of the column and the remedy: missing values in the target, duplicate column names, columns
    of lists or of mixed types, infinite numbers, fewer rows than folds. `TableEncoder` documents
    what happens to constant columns, columns without values, missing values, dates and levels that `fit` has not seen.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko: "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS
    2022.

    D. Holzmüller, L. Grinsztajn, I. Steinwart: "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular
    Data", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import TabularMLPRegressor
    >>> rng = np.random.default_rng(0)
    >>> size, colour = rng.normal(size=300), rng.choice(["red", "blue"], size=300)
    >>> X = np.array([size, colour], dtype=object).T
    >>> y = np.where(colour == "red", size, -size)
    >>> model = TabularMLPRegressor(random_state=0).fit(X[:200], y[:200])
    >>> bool(model.score(X[200:], y[200:]) > 0.9)
    True
    >>> model.predict(X[200:]).shape
    (100,)
    """

    _classes: ClassVar[bool] = False

    def _check_target(self, y: Any) -> NDArray[Any]:
        y = check_present(y, type(self).__name__)
        if y.dtype.kind in "Mm":
            raise TypeError(f"y holds values of type {y.dtype}: convert them to numbers, for example to days.")
        if y.dtype.kind in "USO" and any(isinstance(value, str) for value in y):
            raise ValueError(
                f"y holds the string {str(y[0])!r}: a regression needs numbers. Convert it, for example with "
                "pandas.to_numeric(y), or use TabularMLPClassifier if the strings are classes."
            )
        return check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")

    def _fit_target(self, y: NDArray[Any], weight: NDArray[Any] | None) -> NDArray[Any]:
        self._mean = np.average(y, weights=weight)
        centred = y - self._mean
        # Squares of large or small targets would overflow or vanish. A power of two changes no digit.
        exponent = int(np.frexp(np.abs(centred).max())[1])
        deviation = np.ldexp(np.sqrt(np.average(np.square(np.ldexp(centred, -exponent)), weights=weight)), exponent)
        self._scale = deviation if deviation > 0 else 1.0
        self._range = y.min(), y.max()
        return ((y - self._mean) / self._scale).astype(np.float32)

    def _target_type(self) -> str:
        return "continuous"

    def _network(self, seed: int, batch_size: int, n_jobs: int) -> MLPRegressor:
        return MLPRegressor(
            hidden_layer_sizes=self.hidden_layer_sizes,
            activation=self.activation,
            alpha=self.alpha,
            dropout=float(self.dropout),
            batch_size=batch_size,
            learning_rate_init=self.learning_rate_init,
            random_state=seed,
            n_jobs=n_jobs,
        )

    def _train_epoch(self, network: Any, rows: _Rows) -> None:
        network.partial_fit(rows.X, rows.y, sample_weight=rows.weight)

    def _validation_loss(self, network: Any, rows: _Rows) -> float:
        return squared_loss(network.predict(rows.X), rows.y, rows.weight)

    def _predict_network(self, network: Any, X: NDArray[Any]) -> NDArray[Any]:
        return network.predict(X).astype(np.float64)

    def _fit_finish(self, prediction: NDArray[Any], Y: NDArray[Any], weight: NDArray[Any] | None) -> None:
        pass

    def _finish(self, prediction: NDArray[Any]) -> NDArray[Any]:
        return np.clip(self._mean + self._scale * prediction, *self._range)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict values.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Mean predictions of the networks, limited to the range of the targets in `fit`.
        """
        return self._predict_mean(X)
