"""The classifier."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import Tags, column_or_1d
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from fastmlp.kernels.tables import OUTPUTS
from fastmlp.training._network import Array

from ._base import _BaseMLP
from ._validation import binarizer_for, count_labels

__all__ = ["MLPClassifier"]


class MLPClassifier(ClassifierMixin, _BaseMLP):
    """Multilayer perceptron classifier: scikit-learn's, with JIT kernels.

    Same parameters, same attributes, same weights for the same seed as `sklearn.neural_network.MLPClassifier`.
    Parameters after `max_fun` are fastmlp's own; their defaults change nothing.

    Parameters
    ----------
    hidden_layer_sizes : int or array-like of shape (n_hidden_layers,), default=(100,)
        Units of each hidden layer; empty: none, which is logistic or linear regression.
    activation : str or list of str, default='relu'
        Of the hidden layers, one name for all or one for each: 'identity', 'logistic', 'tanh', 'relu',
        'leaky_relu' (slope 0.01 below zero), 'elu', 'selu', 'gelu' (exact), 'silu', 'softplus', 'maxout'.
    solver : {'adam', 'sgd', 'lbfgs'}, default='adam'
        'adam' (Kingma & Ba 2015) and 'sgd' go by mini-batches; 'lbfgs' is SciPy's L-BFGS-B on the whole data, in
        float64, often better on a few hundred rows.
    alpha : float, default=0.0001
        L2 strength lambda, see `penalty_scaling`. Biases are never penalised.
    batch_size : int or 'auto', default='auto'
        Rows of a mini-batch; 'auto': min(200, n_samples). Not used by 'lbfgs'.
    learning_rate : {'constant', 'invscaling', 'adaptive'}, default='constant'
        Schedule of 'sgd'. 'invscaling': learning_rate_init / (t + 1)^power_t after t samples. 'adaptive': divided by
        5 whenever the stopping rule would stop, until it is below 1e-6.
    learning_rate_init : float, default=0.001
        Step size of 'sgd' and 'adam'.
    power_t : float, default=0.5
        Exponent of 'invscaling'.
    max_iter : int, default=200
        Epochs; for 'lbfgs' iterations.
    shuffle : bool, default=True
        Whether each epoch takes the rows in a new order.
    random_state : int, RandomState instance or None, default=None
        Source of the initial weights, the validation split and the row orders, drawn as scikit-learn draws them.
    tol : float, default=1e-4
        Improvement of the loss (or the validation score) that counts as one. For 'lbfgs' the gradient's size.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` goes on from the present weights.
    momentum : float, default=0.9
        Of 'sgd', between 0 and 1.
    nesterovs_momentum : bool, default=True
        Nesterov's form of momentum.
    early_stopping : bool, default=False
        Whether to stop by the score on a validation set, and to return to the weights of the best.
    validation_fraction : float, default=0.1
        Share of the rows set aside for early stopping.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of Adam's moments, in [0, 1).
    epsilon : float, default=1e-8
        Adam's guard against division by zero.
    n_iter_no_change : int, default=10
        Epochs without improvement after which training stops.
    max_fun : int, default=15000
        Evaluations of the cost that 'lbfgs' may use.
    n_jobs : int or None, default=None
        Threads within one fit or prediction. None: all available cores, as far as the work pays for them; 1 inside
        joblib's thread workers, and within the limits that joblib sets in its processes. Results do not depend on it.
    penalty_scaling : {'mean', 'sum'}, default='mean'
        The penalty is alpha / (2 m) sum W^2, as in scikit-learn, or alpha / 2 sum W^2; m is the batch's weight.
    init : {'glorot', 'he', 'lecun', 'orthogonal', 'uniform'} or (coefs, intercepts), default='glorot'
        Initial weights; 'glorot' are scikit-learn's.
    init_scale : float, default=0.12
        For init='uniform': weights and biases are drawn from [-init_scale, init_scale].
    maxout_pieces : int, default=2
        Linear pieces of a 'maxout' unit. `coefs_` of such a layer have pieces x units columns, piece by piece.
    batch_norm : bool, default=False
        Whether hidden pre-activations are normalised over the mini-batch (Ioffe & Szegedy 2015); predictions use
        running statistics.
    residual : bool, default=False
        Whether a hidden layer as wide as its input adds its input to its output.
    out_activation : {'auto', 'softmax', 'logistic'}, default='auto'
        Output units for three or more exclusive classes: 'softmax' (also 'auto'), or 'logistic', one unit against all
        others for each class, whose outputs `predict_proba` divides by their sum. Two classes always have one
        logistic unit, label indicators one for each label.
    loss : {'log_loss', 'squared_error'}, default='log_loss'
        'squared_error' goes with logistic outputs.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray of shape (n_classes,)
        Class labels.
    coefs_ : list of ndarray
        coefs_[l] of shape (n_l, n_{l+1}) leads from layer l to layer l + 1.
    intercepts_ : list of ndarray
        Biases of the layers 1, 2, ...
    loss_ : float
        Loss of the last epoch, penalty included.
    best_loss_ : float or None
        Lowest loss of an epoch; None with early stopping.
    loss_curve_ : list of float
        Loss of each epoch ('sgd', 'adam').
    validation_scores_, best_validation_score_ : list of float, float or None
        With early stopping: the score after each epoch, and the best.
    n_iter_ : int
        Epochs (or iterations) of the last fit.
    t_ : int
        Samples seen.
    n_layers_, n_outputs_ : int
        Layers, input and output included; units of the output layer.
    out_activation_ : str
        Name of the output activation.
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
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **_BaseMLP._parameter_constraints,
        "out_activation": [StrOptions({"auto", "softmax", "logistic"})],
        "loss": [StrOptions({"log_loss", "squared_error"})],
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        n_jobs: int | None = None,
        penalty_scaling: str = "mean",
        init: str | Sequence[Any] = "glorot",
        init_scale: float = 0.12,
        maxout_pieces: int = 2,
        batch_norm: bool = False,
        residual: bool = False,
        out_activation: str = "auto",
        loss: str = "log_loss",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_jobs = n_jobs
        self.penalty_scaling = penalty_scaling
        self.init = init
        self.init_scale = init_scale
        self.maxout_pieces = maxout_pieces
        self.batch_norm = batch_norm
        self.residual = residual
        self.out_activation = out_activation
        self.loss = loss

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
        if y.ndim == 1:
            # One pass where `transform` would look through y ten times more; that all classes are known, was checked.
            if labels is None:
                places = np.searchsorted(self.classes_, y).astype(np.int32)
            else:
                places = np.searchsorted(self.classes_, labels.classes).astype(np.int32)[labels.places]
            return X, places if self._label_binarizer.y_type_ == "multiclass" else places[:, np.newaxis]
        Y = self._label_binarizer.transform(y)
        return X, Y.toarray() if scipy.sparse.issparse(Y) else Y

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
        self._check_fitted()
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = self._forward(X, check_input)
        # What `inverse_transform` does, in a tenth of its time for one row. Where there is one class only, it is that.
        if self._label_binarizer.y_type_ == "multiclass":
            return self.classes_[outputs.argmax(axis=1)]
        if self._label_binarizer.y_type_ == "binary":
            return self.classes_.take(outputs[:, 0] > 0.5, mode="clip")
        return self._label_binarizer.inverse_transform(outputs)

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return self._score_with(X, y, sample_weight, accuracy_score)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
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
            All classes that calls to `partial_fit` will bring; required in the first call.

        Returns
        -------
        self : object
            The model.
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        return self._fit(X, y, sample_weight=sample_weight, incremental=True)

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
        sum; all others are the outputs of the network.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Probabilities; the classes are in the order of `classes_`.
        """
        self._check_fitted()
        outputs = self._forward(X)
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
