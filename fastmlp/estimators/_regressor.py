"""Multilayer perceptron for regression."""

from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from fastmlp.training._network import Array

from ._base import _BaseMLP
from ._parameters import parameter, with_parameters
from ._sklearn import StrOptions, _fit_context

__all__ = ["MLPRegressor"]


@with_parameters
class _RegressionLoss:
    """The first parameter of `MLPRegressor`, as in scikit-learn, because this is its last base class."""

    loss: str = parameter(
        default="squared_error",
        allowed=[StrOptions({"squared_error", "poisson"})],
        doc="""{'squared_error', 'poisson'}
        Half the squared error, with an identity output, or half the Poisson deviance, with an exponential output.""",
        kw_only=False,
    )


@with_parameters
class MLPRegressor(RegressorMixin, _BaseMLP, _RegressionLoss):
    """Multilayer perceptron regressor with JIT-compiled kernels.

    It has the parameters and attributes of `sklearn.neural_network.MLPRegressor` and trains to the same weights for
    the same seed. The parameters after `max_fun` exist in fastmlp only; with their defaults, training is that of
    scikit-learn.

    Parameters
    ----------
    {parameters}

    Attributes
    ----------
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
    MLPClassifier : Multilayer perceptron classifier.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from fastmlp import MLPRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> reg = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", alpha=10, random_state=0).fit(X * 20, scale(y))
    >>> bool(reg.score(X * 20, scale(y)) > 0.5)
    True
    """

    def _output(self) -> tuple[str, str]:
        return ("exp" if self.loss == "poisson" else "identity"), self.loss

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validate_data(X, y, reset, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if scipy.sparse.issparse(y):
            y = y.toarray()
        if y.dtype.kind not in "biuf":
            raise TypeError(f"y must be numbers, got an array of {y.dtype}.")
        if self.loss == "poisson" and np.min(y, initial=0) < 0:
            raise ValueError(f"loss='poisson' needs y >= 0, got {np.min(y)}.")
        return X, y.reshape(-1, 1) if y.ndim == 1 else y

    def _labels_of(self, Y: Array) -> Any:
        return Y.ravel() if Y.shape[1] == 1 else Y

    def predict(self, X: Any) -> Array:
        """Predict values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values.
        """
        self._check_fitted()
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = self._forward(X, check_input)
        return outputs.ravel() if outputs.shape[1] == 1 else outputs

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return self._score_with(X, y, sample_weight, r2_score)

    @available_if(lambda self: self._check_solver())
    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, n_epochs: int = 1) -> Self:
        """Update the model with one pass over the given data.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        n_epochs : int, default=1
            Number of passes over the data. The rows are shuffled for each pass, as `fit` does.

        Returns
        -------
        self : object
            The model.
        """
        return self._fit(X, y, sample_weight=sample_weight, incremental=True, n_epochs=n_epochs)
