"""The classifier for whole tables."""

from numbers import Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils.multiclass import check_classification_targets

from fastmlp.estimators import MLPClassifier
from fastmlp.estimators._parameters import parameter, with_parameters
from fastmlp.estimators._sklearn import Interval

from ._base import _BaseTabularMLP, _Rows
from ._calibration import find_exponent, raise_to
from ._folds import only_rows
from ._target import check_present
from ._training import log_loss

__all__ = ["TabularMLPClassifier"]


@with_parameters
class TabularMLPClassifier(ClassifierMixin, _BaseTabularMLP):
    """Ensemble of networks that classifies the rows of a table as it is.

    X is a data frame (pandas, polars, PyArrow) or an array of numbers, categories, strings, booleans, dates and missing
    values. It is encoded by `TableEncoder`; then `n_estimators` networks (`fastmlp.MLPClassifier`) are trained in
    cross-validation, each until its log-loss on the rows that it does not see no longer falls. Then each is trained for
    some more epochs on all rows, with a falling learning rate. Predictions are mean probabilities, calibrated on the
    out-of-fold predictions.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    oof_prediction_ : ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities: for each row the calibrated mean over the networks that held it out, before they
        were trained on all rows. NaN for a row that no network held out, which are the only row of a class and, with
        ``n_estimators < n_folds``, the rows of other folds.
    exponent_ : float
        Exponent e of the calibration: mean probabilities p become p^e / sum p^e. Above 1 the mean is too uncertain,
        below 1 too certain. It minimises the log-loss of the out-of-fold predictions, and changes no predicted class.
    encoder_ : TableEncoder
        What encodes the table.
    estimators_ : list of MLPClassifier
        The networks.
    n_iter_ : int
        Largest number of epochs that a network was trained for, those on all rows not counted.
    n_features_in_ : int
        Columns of the table.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if X is a data frame whose names are strings.

    See Also
    --------
    TabularMLPRegressor : The same for numbers as targets.
    TableEncoder : How a table is encoded.

    Notes
    -----
    Refused, with the name of the column and the remedy: missing values in the target, duplicate column names, columns
    of lists or of mixed types, infinite numbers, fewer rows than folds, and a target of one class. `TableEncoder`
    documents what happens to constant columns, columns without values, missing values, dates and levels that `fit` has
    not seen.

    References
    ----------
    Y. Gorishniy, I. Rubachev, A. Babenko: "On Embeddings for Numerical Features in Tabular Deep Learning", NeurIPS
    2022.

    D. Holzmüller, L. Grinsztajn, I. Steinwart: "Better by Default: Strong Pre-Tuned MLPs and Boosted Trees on Tabular
    Data", NeurIPS 2024.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.tabular import TabularMLPClassifier
    >>> rng = np.random.default_rng(0)
    >>> size, colour = rng.normal(size=300), rng.choice(["red", "blue"], size=300)
    >>> X = np.array([size, colour], dtype=object).T
    >>> y = np.where((size > 0) == (colour == "red"), "yes", "no")
    >>> clf = TabularMLPClassifier(random_state=0).fit(X[:200], y[:200])
    >>> bool(clf.score(X[200:], y[200:]) > 0.9)
    True
    >>> clf.predict(X[200:]).shape, clf.predict_proba(X[200:]).shape
    ((100,), (100, 2))
    """

    label_smoothing: float = parameter(
        default=0.1,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        How far targets are moved towards equal probabilities in training, see `fastmlp.MLPClassifier`. The calibration
        undoes its effect on the probabilities.""",
    )

    _classes: ClassVar[bool] = True

    def _check_target(self, y: Any) -> NDArray[Any]:
        y = check_present(y, type(self).__name__)
        check_classification_targets(y)
        return y

    def _fit_target(self, y: NDArray[Any], weight: NDArray[Any] | None) -> NDArray[Any]:
        encoder = LabelEncoder()
        Y = encoder.fit_transform(y)
        if len(encoder.classes_) < 2:
            raise ValueError(
                f"y has one class only, {str(encoder.classes_[0])!r}: a classifier needs two or more classes. Add rows "
                "of another class, whose weights are not 0."
            )
        several = len(Y) - int(only_rows(Y).sum())
        if several < self.n_folds:
            raise ValueError(
                f"y has {several} rows in classes of two or more rows, fewer than n_folds={self.n_folds}: every fold "
                "needs such a row, because the only row of a class is never held out. Lower n_folds, merge classes, or "
                "use TabularMLPRegressor if y are numbers to predict."
            )
        self.classes_ = encoder.classes_
        return Y

    def _target_type(self) -> str:
        return "binary" if len(self.classes_) == 2 else "multiclass"

    def _network(self, seed: int, batch_size: int, n_jobs: int) -> MLPClassifier:
        return MLPClassifier(
            self.hidden_layer_sizes,
            self.activation,
            alpha=self.alpha,
            dropout=float(self.dropout),
            label_smoothing=float(self.label_smoothing),
            batch_size=batch_size,
            learning_rate_init=self.learning_rate_init,
            random_state=seed,
            n_jobs=n_jobs,
        )

    def _train_epoch(self, network: Any, rows: _Rows) -> None:
        network.partial_fit(rows.X, rows.y, sample_weight=rows.weight, classes=np.arange(len(self.classes_)))

    def _validation_loss(self, network: Any, rows: _Rows) -> float:
        return log_loss(network.predict_proba(rows.X), rows.y, rows.weight)

    def _predict_network(self, network: Any, X: NDArray[Any]) -> NDArray[Any]:
        probabilities = network.predict_proba(X).astype(np.float64)
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def _fit_finish(self, prediction: NDArray[Any], Y: NDArray[Any], weight: NDArray[Any] | None) -> None:
        self.exponent_ = find_exponent(prediction, Y, weight)

    def _finish(self, prediction: NDArray[Any]) -> NDArray[Any]:
        return raise_to(prediction, self.exponent_)

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Estimate probabilities.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Mean probabilities of the networks; the classes are in the order of `classes_`.
        """
        return self._predict_mean(X)

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict classes.

        Parameters
        ----------
        X : data frame or array-like of shape (n_samples, n_features)
            The table.

        Returns
        -------
        y : ndarray of shape (n_samples,)
            The classes of the highest probability.
        """
        probabilities = self._predict_mean(X)
        return self.classes_[probabilities.argmax(axis=1)]
