"""Multilayer perceptron for regression."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import RegressorMixin
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if

from fastmlp.training._blockwise import is_finite
from fastmlp.training._network import Array

from ._base import _BaseMLP
from ._continuation import continuing
from ._fitting import fit_model
from ._parameters import parameter, with_parameters
from ._prediction import check_fitted, network_outputs, score_predictions
from ._sklearn import Interval, InvalidParameterError, StrOptions, _fit_context
from ._validation import is_plain_target
from ._weights import current_network

__all__ = ["MLPRegressor", "check_domain"]

# The link of each loss. Several quantiles have the link "ordered" instead.
LINKS = {
    "squared_error": "identity",
    "poisson": "exp",
    "absolute_error": "identity",
    "huber": "identity",
    "quantile": "identity",
    "gamma": "exp",
    "tweedie": "exp",
    "cauchy": "identity",
}


def check_domain(y: Array, loss: str, power: float) -> None:
    """Refuse targets for which the loss is not defined.

    Raises
    ------
    ValueError
        If there are such targets. The message contains the smallest one.
    """
    if LINKS[loss] != "exp":
        return
    low, positive = np.min(y), loss == "gamma" or (loss == "tweedie" and power >= 2)
    if low > 0 or (low == 0 and not positive):
        return
    with_power = f" with power={power:g}" if loss == "tweedie" else ""
    raise ValueError(f"loss={loss!r}{with_power} needs y {'>' if positive else '>='} 0, got {low}.")


@with_parameters
class _RegressionLoss:
    """The first parameter of `MLPRegressor`, as in scikit-learn, because this is its last base class."""

    loss: str = parameter(
        default="squared_error",
        allowed=[StrOptions(set(LINKS))],
        doc="""str
        Loss function of the target y and the prediction h.

        - 'squared_error': half the squared error.
        - 'absolute_error': the distance of h from y; predicts the median.
        - 'huber': half the squared error up to `huber_delta`, linear beyond (Huber 1964).
        - 'cauchy': log(1 + (h - y)^2) / 2, for targets with gross outliers, which have almost no influence. Its scale
          is 1: divide the targets by the size of a typical error.
        - 'quantile': the pinball loss; predicts the `quantile` (Koenker & Bassett 1978).
        - 'poisson', 'gamma', 'tweedie': half the deviance of that distribution, for a mean h = exp(z) > 0. 'poisson'
          needs y >= 0 and 'gamma' y > 0; for 'tweedie', see `power`.

        The output of all others is the identity, except for several quantiles. `loss_` is the sum of the losses of the
        outputs; for 'squared_error' it is their mean, as in scikit-learn.""",
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
    >>> X, y = scale(X), scale(y)
    >>> reg = MLPRegressor(hidden_layer_sizes=20, solver="lbfgs", alpha=10, tol=0.01, random_state=0).fit(X, y)
    >>> bool(reg.score(X, y) > 0.5)
    True
    >>> reg.predict(X[:3]).shape
    (3,)
    """

    huber_delta: float = parameter(
        default=1.0,
        allowed=[Interval(Real, 0, None, closed="neither")],
        doc="""float
        For loss='huber': the size of the error above which the loss is linear.""",
    )
    quantile: float | Sequence[float] = parameter(
        default=0.5,
        allowed=[Interval(Real, 0, 1, closed="neither"), "array-like"],
        doc="""float or array-like of shape (n_quantiles,)
        For loss='quantile': the quantile to predict, or an increasing list of quantiles. With a list, y has one
        column, `predict` returns one column for each quantile, and the predictions never cross: the first output
        is z_0, and each one adds log(1 + exp(z_k)) to the one before. `score` is then the mean of
        `sklearn.metrics.d2_pinball_score` over the quantiles.""",
    )
    power: float = parameter(
        default=1.5,
        allowed=[Interval(Real, 1, None, closed="left")],
        doc="""float
        For loss='tweedie': the variance of y is proportional to mean^power. 1 is Poisson, between 1 and 2 compound
        Poisson-gamma, 2 gamma, 3 inverse Gaussian. Needs y >= 0, and y > 0 if the power is at least 2.""",
    )

    def _output(self) -> tuple[str, str]:
        return "ordered" if self._several_quantiles() else LINKS[self.loss], self.loss

    def _several_quantiles(self) -> tuple[float, ...] | None:
        """Return the quantiles if `quantile` is a list and the loss uses it, otherwise None."""
        if self.loss != "quantile" or isinstance(self.quantile, Real):
            return None
        try:
            levels = np.asarray(self.quantile, dtype=float)
            right = levels.ndim == 1 and levels.size > 0 and levels[0] > 0 and levels[-1] < 1
            right = right and bool((np.diff(levels) > 0).all())
        except (TypeError, ValueError):
            right = False
        if not right:
            raise InvalidParameterError(
                "The 'quantile' parameter must be a number in (0, 1) or an increasing list of them, got "
                f"{self.quantile!r}."
            )
        return tuple(levels.tolist())

    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Array]:
        X, y = self._validate_data(X, y, reset, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if scipy.sparse.issparse(y):
            y = y.toarray()
        if y.dtype.kind not in "biuf":
            raise TypeError(f"y must be numbers, got an array of {y.dtype}.")
        check_domain(y, self.loss, float(self.power))
        Y = y.reshape(-1, 1) if y.ndim == 1 else y
        levels = self._several_quantiles()
        if levels is None:
            return X, Y
        if Y.shape[1] != 1:
            raise ValueError(
                f"quantile={self.quantile!r} needs y with one column, got {Y.shape[1]}: fit one model for each column, "
                "or give one number as quantile."
            )
        return X, np.repeat(Y, len(levels), axis=1)

    def _labels_of(self, Y: Array) -> Any:
        return Y[:, 0] if Y.shape[1] == 1 or self._several_quantiles() else Y

    def predict(self, X: Any) -> Array:
        """Predict values.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values. With a list as `quantile`, one column for each quantile, increasing in each row.
        """
        check_fitted(self)
        return self._predict(X)

    def _predict(self, X: Any, check_input: bool = True) -> Array:
        outputs = network_outputs(self, X, check_input)
        return outputs.ravel() if outputs.shape[1] == 1 and self.out_activation_ != "ordered" else outputs

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R^2 of the predictions.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The true values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            R^2, see `sklearn.metrics.r2_score`. With a list as `quantile`, the mean over the quantiles of D^2,
            see `sklearn.metrics.d2_pinball_score`. Both are at most 1.
        """
        y_pred = self.predict(X)
        if self.out_activation_ == "ordered":
            return self._explained_pinball(y, y_pred, sample_weight)
        # The checks of `r2_score` take as long as the prediction of hundreds of rows.
        plain = sample_weight is None and y_pred.ndim == 1 and is_plain_target(y, len(y_pred)) and is_finite(y_pred)
        return float((_r_squared if plain else r2_score)(y, y_pred, sample_weight=sample_weight))

    def _score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        function = self._explained_pinball if self.out_activation_ == "ordered" else _r_squared
        return score_predictions(self, X, y, sample_weight, function)

    @property
    def _name_of_score(self) -> str | None:
        return None if self.out_activation_ == "ordered" else "r2"

    def _explained_pinball(self, y: Any, predicted: Array, sample_weight: Any) -> float:
        """Return the mean of D^2 over the quantiles."""
        # Use the quantiles of the fit, because the user may have changed the parameter since.
        scores = [
            d2_pinball_score(y, column, sample_weight=sample_weight, alpha=level)
            for column, level in zip(predicted.T, current_network(self).loss_parameters, strict=True)
        ]
        return float(np.mean(scores))

    def _plain_targets(self, y: Array) -> Array | None:
        if self.loss != "squared_error" or self.n_outputs_ != 1:
            return None
        return np.ascontiguousarray(y[:, np.newaxis], self._packed.w.dtype)

    @available_if(lambda self: self._check_solver())
    @continuing
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

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.preprocessing import scale
        >>> from fastmlp import MLPRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> X, y = scale(X), scale(y)
        >>> reg = MLPRegressor(random_state=np.random.RandomState(0)).partial_fit(X[:200], y[:200])
        >>> reg.partial_fit(X[200:], y[200:]).t_ == len(X)
        True
        """
        fit_model(self, X, y, sample_weight=sample_weight, incremental=True, n_epochs=n_epochs)
        return self


def _r_squared(y: Array, y_pred: Array, sample_weight: Array | None) -> Any:
    """Return `r2_score`; its checks would take longer than an epoch of a small network.

    The operations and their order are those of scikit-learn, so that the decisions of early stopping are the same.
    """
    if sample_weight is not None or y.dtype != y_pred.dtype or len(y) < 2:
        return r2_score(y, y_pred, sample_weight=sample_weight)
    y, y_pred = y.reshape(len(y), -1), y_pred.reshape(len(y), -1)
    residual = ((y - y_pred) ** 2).sum(axis=0)
    total = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    varies = total != 0
    # Of a constant output, scikit-learn defines the score as 1 if all predictions are exact, otherwise as 0.
    scores = np.where(varies, 1 - residual / np.where(varies, total, 1), residual == 0)
    return scores.mean()
