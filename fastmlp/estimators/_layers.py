"""Values of the hidden layers of a fitted network, and derivatives of its outputs with respect to its inputs."""

from numbers import Integral
from typing import Any

from fastmlp.training._derivatives import hidden_values, input_gradients
from fastmlp.training._network import Array

from ._prediction import check_fitted, network_and_input

__all__ = ["LayersMixin"]


class LayersMixin:
    """Methods of all estimators."""

    # Whether `input_gradients` differentiates the outputs, or the pre-activations of the output layer.
    _differentiates_link: bool = True

    def hidden_activations(self, X: Any, layer: int = -1) -> Array:
        """Return the outputs of a hidden layer, for example as features for another model.

        The layer computes them as in predictions: batch normalisation uses the running statistics, and there is no
        dropout. They are the values after the activation. In a residual layer, the input of the layer is included.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        layer : int, default=-1
            Index of the hidden layer; negative indices count from the last one.

        Returns
        -------
        ndarray of shape (n_samples, n_units)
            float32 if X and the weights are float32, float64 otherwise.

        Raises
        ------
        ValueError
            If there is no such layer.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = MLPClassifier((10, 5), solver="lbfgs", max_iter=1000, random_state=0).fit(X, y)
        >>> clf.hidden_activations(X).shape, clf.hidden_activations(X, layer=0).shape
        ((150, 5), (150, 10))
        """
        check_fitted(self)
        if not isinstance(layer, Integral) or isinstance(layer, bool):
            raise TypeError(f"layer must be an integer, got {layer!r}.")
        network, *rest = network_and_input(self, X)
        n_hidden = len(network.units) - 2
        if not -n_hidden <= layer < n_hidden:
            raise ValueError(
                f"layer must be the index of one of {n_hidden} hidden layers, from {-n_hidden} to {n_hidden - 1}, "
                f"got {layer}."
                if n_hidden
                else f"layer={layer} does not exist: the network has no hidden layer."
            )
        w, stats, X = rest
        return hidden_values(network, w, stats, X, int(layer) % n_hidden)

    def input_gradients(self, X: Any, output: int | None = None) -> Array:
        """Return the derivatives of the outputs with respect to the inputs.

        For a regressor, these are the derivatives of `predict` (after the link function, for example exp for
        loss='poisson'); for an autoencoder, those of `reconstruct`. For a classifier, they are those of
        `decision_function` (before the link function), because the derivatives of probabilities near 0 or 1 are almost
        zero. For a logistic unit, the derivatives of the probability p are p (1 - p) times these. Batch normalisation
        uses the running statistics, as in predictions, so that rows do not depend on each other.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        output : int, default=None
            Index of the output unit; with three or more classes, the index of the class in `classes_`. None: all
            outputs.

        Returns
        -------
        ndarray of shape (n_samples, n_features) or (n_samples, n_outputs, n_features)
            The latter if `output` is None and there are several outputs. float32 if X and the weights are float32,
            float64 otherwise. At a point where an activation has no derivative, such as 0 for 'relu', the result
            contains the value that training uses.

        Raises
        ------
        ValueError
            If there is no such output.

        Examples
        --------
        >>> from sklearn.datasets import load_diabetes
        >>> import numpy as np
        >>> from fastmlp import MLPRegressor
        >>> X, y = load_diabetes(return_X_y=True)
        >>> reg = MLPRegressor("squared_error", (), solver="lbfgs", alpha=0, random_state=0).fit(X * 20, y / 100)
        >>> bool(np.allclose(reg.input_gradients(X), reg.coefs_[0].T))
        True
        """
        check_fitted(self)
        if output is not None and (not isinstance(output, Integral) or isinstance(output, bool)):
            raise TypeError(f"output must be None or an integer, got {output!r}.")
        network, w, stats, X = network_and_input(self, X, link=self._differentiates_link)
        K = network.units[-1]
        if output is not None and not -K <= output < K:
            raise ValueError(
                f"output must be None or the index of one of {K} outputs, from {-K} to {K - 1}, got {output}."
            )
        outputs = range(K) if output is None else [int(output) % K]
        gradients = input_gradients(network, w, stats, X, outputs)
        return gradients[:, 0] if len(outputs) == 1 else gradients
