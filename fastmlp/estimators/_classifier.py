"""Multilayer perceptron for classification."""

from numbers import Real
from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags, column_or_1d, compute_class_weight, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastmlp.kernels.tables import OUTPUTS
from fastmlp.training._network import Array

from ._base import _BaseMLP
from ._continuation import class_numbers, continuing
from ._fitting import fit_model
from ._parameters import parameter, with_parameters
from ._prediction import check_fitted, network_outputs, score_predictions
from ._sklearn import Interval, InvalidParameterError, StrOptions, _check_partial_fit_first_call, _fit_context
from ._validation import are_labels, binarizer_for, check_sample_weight, count_labels

__all__ = ["MLPClassifier"]


@with_parameters
class MLPClassifier(ClassifierMixin, _BaseMLP):
    """Multilayer perceptron classifier with JIT-compiled kernels.

    It has the parameters and attributes of `sklearn.neural_network.MLPClassifier` and trains to the same weights for
    the same seed. The parameters after `max_fun` exist in fastmlp only; with their defaults, training is that of
    scikit-learn.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
    classes_ : ndarray or list of ndarray of shape (n_classes,)
        Class labels.
    coefs_ : list of ndarray
        Weight matrices: coefs_[l] of shape (n_l, n_{l+1}) connects layer l to layer l + 1.
    intercepts_ : list of ndarray
        Bias vectors: intercepts_[l] of shape (n_{l+1},) belongs to layer l + 1.
    loss_ : float
        Loss of the last epoch, including the penalty.
    best_loss_ : float or None
        Smallest loss of any epoch; None with early stopping.
    loss_curve_ : list of float
        Loss of each epoch (solvers 'sgd' and 'adam').
    validation_scores_, best_validation_score_ : list of float, float or None
        With early stopping: the score on the validation set after each epoch, and the best of them.
    n_iter_ : int
        Number of epochs (of iterations for 'lbfgs') of the last fit.
    t_ : int
        Number of samples seen in training.
    n_layers_, n_outputs_ : int
        Number of layers, including input and output; number of units of the output layer.
    out_activation_ : str
        Name of the activation of the output layer.
    n_features_in_, feature_names_in_
        As in scikit-learn.
    gammas_, betas_ : list of ndarray
        With `batch_norm`: scale and offset of the hidden layers.

    See Also
    --------
    MLPRegressor : Multilayer perceptron regressor.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from fastmlp import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, stratify=y, random_state=0)
    >>> clf = MLPClassifier(max_iter=300, random_state=0).fit(X_train, y_train)
    >>> bool(clf.score(X_test, y_test) > 0.95)
    True
    >>> clf.predict(X_test[:3])
    array([2, 0, 4])
    >>> clf.predict_proba(X_test[:3]).shape, clf.predict_log_proba(X_test[:3]).shape
    ((3, 10), (3, 10))
    """

    out_activation: str = parameter(
        default="auto",
        allowed=[StrOptions({"auto", "softmax", "logistic"})],
        doc="""{'auto', 'softmax', 'logistic'}
        Output units for three or more exclusive classes. 'softmax' is also what 'auto' chooses. 'logistic' means one
        unit for each class against all others; `predict_proba` divides their outputs by their sum. Two classes always
        have one logistic unit, and label indicators have one for each label.""",
    )
    loss: str = parameter(
        default="log_loss",
        allowed=[StrOptions({"log_loss", "squared_error", "focal"})],
        doc="""{'log_loss', 'squared_error', 'focal'}
        Loss function. 'squared_error' can be combined with logistic outputs only. 'focal' multiplies the log loss
        -log p of each target by (1 - p)^focal_gamma, so that targets that are already predicted well count less
        (Lin et al. 2017).""",
    )
    focal_gamma: float = parameter(
        default=2.0,
        allowed=[Interval(Real, 0, None, closed="left")],
        doc="""float
        For loss='focal': the exponent gamma. 0 is the log loss.""",
    )
    label_smoothing: float = parameter(
        default=0.0,
        allowed=[Interval(Real, 0, 1, closed="left")],
        doc="""float
        Number s in [0, 1) by which targets are moved towards equal probabilities (Szegedy et al. 2016): y becomes
        (1 - s) y + s / n_classes with softmax, and (1 - s) y + s / 2 for each logistic unit. `loss_` is the loss of
        these targets.""",
    )
    class_weight: Any = parameter(
        default=None,
        allowed=[StrOptions({"balanced"}), dict, list, None],
        doc="""dict, list of dict, 'balanced' or None
        Weights of the classes, {class: weight}. The sample weights are multiplied by them, including those of the rows
        that `early_stopping` sets aside, but not `sample_weight_val`. The weight of a class that is not a key is 1.
        'balanced' means n_samples / (n_classes * number of samples of the class). For label indicators, 'balanced' or
        a list with one dict {0: weight, 1: weight} for each label is allowed; as in
        `sklearn.utils.class_weight.compute_sample_weight`, the weight of a sample is the product over the labels.
        'balanced' is not supported by `partial_fit`, which does not know all samples.""",
    )

    _differentiates_link = False

    def _output(self) -> tuple[str, str]:
        multiclass = self._label_binarizer.y_type_ == "multiclass"
        if self.out_activation == "softmax" and not multiclass:
            raise ValueError(
                "out_activation='softmax' needs three or more exclusive classes, got "
                f"{self._label_binarizer.y_type_} targets; allowed here are 'auto' and 'logistic'."
            )
        link = "softmax" if multiclass and self.out_activation != "logistic" else "logistic"
        if (link, self.loss) not in OUTPUTS:
            raise ValueError(
                f"loss={self.loss!r} does not go with {link} outputs; choose loss='log_loss' or "
                "out_activation='logistic'."
            )
        return link, self.loss

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validate_data(X, y, reset)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        labels = count_labels(y) if isinstance(y, np.ndarray) else None
        if not hasattr(self, "classes_") or (not self.warm_start and not incremental):
            self._label_binarizer = LabelBinarizer().fit(y) if labels is None else binarizer_for(labels.classes)
            self.classes_ = self._label_binarizer.classes_
        else:
            classes = unique_labels(y) if labels is None else labels.classes
            if self.warm_start:
                if set(classes) != set(self.classes_):
                    raise ValueError(
                        "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                        f"Previously got {self.classes_}, `y` has {classes}"
                    )
            elif len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
                raise ValueError(
                    f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
                )
        if y.ndim == 1 and self._label_binarizer.y_type_.startswith("multilabel"):
            raise ValueError(
                f"y must be label indicators of shape (n_samples, {len(self.classes_)}), as in the first fit; got one "
                "column."
            )
        if y.ndim == 1:
            # One pass over y instead of the ten passes of `transform`. The classes have been validated before.
            if labels is None:
                places = np.searchsorted(self.classes_, y).astype(np.int32)
            else:
                places = np.searchsorted(self.classes_, labels.classes).astype(np.int32)[labels.places]
            return X, places if self._label_binarizer.y_type_ == "multiclass" else places[:, np.newaxis]
        Y = self._label_binarizer.transform(y)
        return X, Y.toarray() if scipy.sparse.issparse(Y) else Y

    def _weigh(self, Y: Array, sample_weight: Array | None) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        self._check_class_weight()
        if self._label_binarizer.y_type_ == "multilabel-indicator":
            weights = compute_sample_weight(self.class_weight, Y)
        else:
            if isinstance(self.class_weight, list):
                raise ValueError(
                    "class_weight as a list is for label indicators; for one column of classes it must be a dict, "
                    f"'balanced' or None, got {self.class_weight!r}."
                )
            # The classes are those of all calls to `partial_fit`, of which a batch may contain a part.
            places = Y.ravel()
            weights = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_[places])[places]
        return check_sample_weight(weights if sample_weight is None else sample_weight * weights, len(Y))

    def _check_class_weight(self) -> None:
        """Refuse weights that are not finite numbers >= 0, which scikit-learn's functions do not check."""
        if isinstance(self.class_weight, str):
            return
        for weights in self.class_weight if isinstance(self.class_weight, list) else [self.class_weight]:
            values = weights.values() if isinstance(weights, dict) else []
            if not all(isinstance(value, Real) and 0 <= float(value) < np.inf for value in values):
                raise InvalidParameterError(
                    f"The 'class_weight' parameter must have finite weights >= 0, got {self.class_weight!r}."
                )

    def _labels_of(self, Y: Array) -> Any:
        return self.classes_[Y] if Y.ndim == 1 else self._label_binarizer.inverse_transform(Y)

    def predict(self, X: Any) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_classes)
            The predicted classes.
        """
        check_fitted(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = network_outputs(self, X, check_input)
        # The same as `inverse_transform`, in a tenth of its time for one row. mode="clip": there may be one class only.
        if self._label_binarizer.y_type_ == "multiclass":
            return self.classes_[outputs.argmax(axis=1)]
        if self._label_binarizer.y_type_ == "binary":
            return self.classes_.take(outputs[:, 0] > 0.5, mode="clip")
        return self._label_binarizer.inverse_transform(outputs)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            The true classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            The fraction of rows whose class (or, for label indicators, all of whose labels) is predicted correctly, see
            `sklearn.metrics.accuracy_score`.
        """
        y_pred = self.predict(X)
        # In a grid search on a few hundred rows, the checks of `accuracy_score` take a tenth of the time.
        if sample_weight is None and are_labels(y, y_pred):
            return float(_accuracy(y, y_pred, None))
        return float(accuracy_score(y, y_pred, sample_weight=sample_weight))

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        multilabel = self._label_binarizer.y_type_ not in ("binary", "multiclass")
        return score_predictions(self, X, y, sample_weight, accuracy_score if multilabel else _accuracy)

    @property
    def _name_of_score(self) -> str | None:
        return "accuracy"

    def _has_classes(self, classes: Any) -> bool:
        return classes is None or np.array_equal(self.classes_, classes)

    def _plain_targets(self, y: Array) -> Array | None:
        places = class_numbers(y, self.classes_)
        if places is None or self._label_binarizer.y_type_ not in ("binary", "multiclass"):
            return None
        if self._label_binarizer.y_type_ == "multiclass":
            return places
        return places[:, np.newaxis].astype(self._packed.w.dtype)

    @available_if(lambda self: self._check_solver())
    @continuing
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, n_epochs: int = 1) -> Self:
        """Update the model with one pass over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        classes : array-like of shape (n_classes,), default=None
            All classes that occur in any call to `partial_fit`; required in the first call.
        n_epochs : int, default=1
            Number of passes over the data. The rows are shuffled for each pass, as `fit` does.

        Returns
        -------
        self : object
            The model.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_digits
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_digits(return_X_y=True)
        >>> clf = MLPClassifier(random_state=np.random.RandomState(0))
        >>> for start in range(0, len(X), 500):
        ...     rows = slice(start, start + 500)
        ...     clf = clf.partial_fit(X[rows] / 16, y[rows], classes=range(10))
        >>> clf.t_ == len(X)
        True
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                f"class_weight={self.class_weight!r} is not supported by partial_fit, which does not know all samples: "
                "pass the weights as a dict, for example those of sklearn.utils.compute_class_weight('balanced', "
                "classes=classes, y=y) for a large enough sample y."
            )
        try:
            if _check_partial_fit_first_call(self, classes):
                multilabel = type_of_target(y).startswith("multilabel")
                self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
            fit_model(self, X, y, sample_weight=sample_weight, incremental=True, n_epochs=n_epochs)
        except BaseException:
            if "coefs_" not in self.__dict__:  # nothing was trained, so the next call is the first one
                self.__dict__.pop("classes_", None)
                self.__dict__.pop("_label_binarizer", None)
            raise
        return self

    def decision_function(self, X: Any) -> Array:
        """Return the pre-activations of the output units: the confidence in each class before the link function.

        `predict_proba` applies the logistic function to them, or softmax with three or more exclusive classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        scores : ndarray of shape (n_samples,) or (n_samples, n_classes)
            With at most two classes one number for each sample: positive where `classes_[1]` is the more probable.
            Otherwise one column for each class (or label), in the order of `classes_`. Label indicators have a
            positive score where the label is the more probable.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.preprocessing import scale
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> clf = MLPClassifier(solver="lbfgs", tol=0.01, random_state=0).fit(scale(X), y)
        >>> bool(((clf.decision_function(scale(X)) > 0) == clf.predict(scale(X))).all())
        True
        """
        check_fitted(self)
        scores = network_outputs(self, X, link=False)
        return scores.ravel() if self.n_outputs_ == 1 and self._label_binarizer.y_type_ == "binary" else scores

    def predict_log_proba(self, X: Any) -> Array:
        """Return the logarithm of `predict_proba`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            Log-probabilities; the classes are in the order of `classes_`.
        """
        y_prob = self.predict_proba(X)
        return np.log(y_prob, out=y_prob)

    def predict_proba(self, X: Any) -> Array:
        """Estimate probabilities.

        One-vs-all outputs (``out_activation='logistic'`` with three or more exclusive classes) are divided by their
        sum. In all other cases, the probabilities are the outputs of the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Probabilities; the classes are in the order of `classes_`. If there is only one class, they are all 1.
        """
        check_fitted(self)
        outputs = network_outputs(self, X)
        if len(self.classes_) == 1 and self._label_binarizer.y_type_ == "binary":
            return np.ones_like(outputs)
        if self.n_outputs_ == 1:
            return np.column_stack((1 - outputs, outputs))
        if self.out_activation_ == "logistic" and self._label_binarizer.y_type_ == "multiclass":
            total = outputs.sum(axis=1, keepdims=True)
            np.divide(outputs, total, out=outputs, where=total > 0)
            outputs[total[:, 0] == 0] = 1 / self.n_outputs_
        return outputs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _accuracy(y: Array, y_pred: Array, sample_weight: Array | None) -> Any:
    """Return `accuracy_score` of one label per row; its checks would take longer than an epoch of a small network."""
    return np.average(y == y_pred, weights=sample_weight)
