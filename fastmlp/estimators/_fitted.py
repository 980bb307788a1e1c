"""Description of a fitted estimator by plain arrays and names."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from fastmlp.kernels.layout import EPSILON
from fastmlp.training._network import Array

from ._autoencoder import MLPAutoencoder
from ._base import _BaseMLP
from ._classifier import MLPClassifier
from ._weights import current_network, weight_vector

__all__ = ["FittedLayer", "FittedNetwork", "fitted_network"]


class FittedLayer(NamedTuple):
    """One layer: ``f(A @ coef + intercept)`` for its input A, plus A where `residual` is true.

    Attributes
    ----------
    coef : ndarray of shape (n_in, pieces * n_out)
        Weights in float64. They include the affine map of the batch normalisation with running statistics.
    intercept : ndarray of shape (pieces * n_out,)
        Biases in float64, likewise.
    activation : str
        Name of f: an activation, or the link ('identity', 'logistic', 'softmax', 'exp', 'ordered') in the last
        layer.
    pieces : int
        Linear pieces of a 'maxout' unit, 1 for all other activations. Column ``p * n_out + k`` belongs to piece p of
        unit k.
    residual : bool
        Whether the layer adds its input to its output.
    """

    coef: Array
    intercept: Array
    activation: str
    pieces: int
    residual: bool

    @property
    def n_units(self) -> int:
        """Width of the layer's output."""
        return len(self.intercept) // self.pieces


class FittedNetwork(NamedTuple):
    """The layers of a fitted estimator, and the meaning of their output.

    Attributes
    ----------
    layers : list of FittedLayer
        From the first hidden layer to the output layer.
    dtype : dtype
        Of the fitted weights, float32 or float64.
    target : {'binary', 'multiclass', 'multilabel', 'values', 'input'}
        Meaning of the outputs. 'binary': the probability of the second class. 'multiclass': the probability of each of
        several exclusive classes, to be divided by their sum if the link is 'logistic'. 'multilabel': the probability
        of each label. 'values': predicted values. 'input': the input of an autoencoder; the first half of the layers
        is the encoder.
    """

    layers: list[FittedLayer]
    dtype: np.dtype[Any]
    target: str


def fitted_network(model: _BaseMLP) -> FittedNetwork:
    """Return a description of a fitted estimator, for code that exports it to another format.

    It is based on the fitted attributes. Parameters that were changed after the fit have no effect.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor or MLPAutoencoder
        The fitted estimator. It is not changed.

    Returns
    -------
    FittedNetwork
        Copies of the weights in float64, and names.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        `model` is not fitted.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.estimators import fitted_network
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(5, "silu", solver="lbfgs", random_state=0).fit(X, y)
    >>> [(layer.coef.shape, layer.activation) for layer in fitted_network(clf).layers]
    [((4, 5), 'silu'), ((5, 3), 'softmax')]
    """
    check_is_fitted(model)
    network = current_network(model)
    parts = network.parts(weight_vector(model, network))
    means, variances = network.running(model._stats) if network.batch_norm else ([], [])
    names = [*network.activations, network.link]
    layers = []
    for l, name in enumerate(names):
        hidden = l < len(names) - 1
        coef, intercept = parts.coefs[l].astype(np.float64), parts.intercepts[l].astype(np.float64)
        if hidden and network.batch_norm:
            scale = parts.gammas[l] / np.sqrt(variances[l].astype(np.float64) + EPSILON)
            coef, intercept = coef * scale, (intercept - means[l]) * scale + parts.betas[l]
        pieces = network.maxout_pieces if hidden and name == "maxout" else 1
        residual = hidden and network.residual and network.units[l] == network.units[l + 1]
        layers.append(FittedLayer(coef, intercept, name, pieces, residual))
    if isinstance(model, MLPClassifier):
        target = model._label_binarizer.y_type_.removesuffix("-indicator")
    else:
        target = "input" if isinstance(model, MLPAutoencoder) else "values"
    return FittedNetwork(layers, parts.coefs[0].dtype, target)
