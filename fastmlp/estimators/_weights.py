"""The weights of an estimator: one vector, and the public arrays, which are views of it.

Users may replace the public arrays (`coefs_`, `intercepts_`, `gammas_`, `betas_`). The functions of this module notice
that and then build a new vector from the arrays.
"""

import operator
from typing import Any, NamedTuple

import numpy as np

from fastmlp.kernels.tables import OUTPUTS
from fastmlp.training._aligned import padded
from fastmlp.training._initialization import initial_weights
from fastmlp.training._network import Array, Network

from ._architecture import loss_parameters

__all__ = [
    "PackedWeights",
    "check_same_shapes",
    "current_network",
    "has_packed_weights",
    "initialize",
    "reset_statistics",
    "set_weights",
    "weight_vector",
]


class PackedWeights(NamedTuple):
    """The weight vector of an estimator and its views.

    Attributes
    ----------
    network : Network
        Gives the place of each array in the vector.
    w : ndarray of shape (n_weights,)
    views : list of ndarray
        coefs, intercepts, gammas, betas.
    """

    network: Network
    w: Array
    views: list[Array]

    def begins_with(self, arrays: list[Any]) -> bool:
        """Whether `arrays` are the same objects as the first of the views."""
        return len(arrays) <= len(self.views) and all(map(operator.is_, arrays, self.views))


def set_weights(model: Any, network: Network, w: Array) -> None:
    """Make the public arrays of the model views of `w`."""
    w = padded(w)
    parts = network.parts(w)
    model.coefs_, model.intercepts_ = parts.coefs, parts.intercepts
    if network.batch_norm:
        model.gammas_, model.betas_ = parts.gammas, parts.betas
    else:  # an earlier fit may have had them
        model.__dict__.pop("gammas_", None)
        model.__dict__.pop("betas_", None)
    model._packed = PackedWeights(network, w, [*parts.coefs, *parts.intercepts, *parts.gammas, *parts.betas])
    model._network_of_fit = network


def initialize(model: Any, network: Network, dtype: Any, training_dtype: Any) -> None:
    """Draw initial weights of `dtype` and convert them to the dtype of training; reset the counters of training."""
    scale = float(model.init_scale)
    w = initial_weights(network, model.init, scale, model._random_state, dtype, model.activation)
    set_weights(model, network, w.astype(training_dtype, copy=False))
    reset_statistics(model, network, dtype)
    model.n_iter_ = model.t_ = 0
    model.n_layers_ = len(network.units)
    model.__dict__.pop("_state", None)


def reset_statistics(model: Any, network: Network, dtype: Any) -> None:
    """Reset the running statistics of batch normalisation: means to 0, variances to 1."""
    model._stats = np.zeros(network.table()[1].stats, dtype)
    for variance in network.running(model._stats)[1]:
        variance[...] = 1


def check_same_shapes(model: Any, network: Network) -> None:
    """Raise ValueError if the present weights do not have the shapes of `network`, or batch normalisation changed."""
    if network.batch_norm != ("gammas_" in model.__dict__):
        raise ValueError(
            f"Training can continue only with the same network: batch_norm={model.batch_norm!r}, but the present "
            f"weights are those of batch_norm={not network.batch_norm!r}."
        )
    shapes = [np.shape(coef) for coef in model.coefs_]
    if shapes != list(network.shapes()):
        raise ValueError(
            "Training can continue only with the same network: coefs_ have the shapes "
            f"{shapes}, hidden_layer_sizes={model.hidden_layer_sizes!r} and the data require "
            f"{list(network.shapes())}."
        )


def has_packed_weights(model: Any) -> bool:
    """Whether all public arrays are still those of the last training."""
    packed: PackedWeights = model._packed
    batch_norm = [*model.gammas_, *model.betas_] if packed.network.batch_norm else []
    arrays = [*model.coefs_, *model.intercepts_, *batch_norm]
    return len(arrays) == len(packed.views) and packed.begins_with(arrays)


def weight_vector(model: Any, network: Network) -> Array:
    """Return the vector that the public arrays are views of, or a new vector if the user has replaced an array."""
    batch_norm = (model.gammas_, model.betas_) if network.batch_norm else ([], [])
    arrays = [*model.coefs_, *model.intercepts_, *batch_norm[0], *batch_norm[1]]
    packed: PackedWeights | None = model.__dict__.get("_packed")
    if packed is not None and packed.begins_with(arrays):
        return packed.w
    dtype = np.result_type(*arrays, np.float32)
    return padded(network.pack((model.coefs_, model.intercepts_, *batch_norm), dtype))


def current_network(model: Any) -> Network:
    """Return the network that the public arrays describe: that of the fit, unless the user has changed the shapes."""
    packed: PackedWeights | None = model.__dict__.get("_packed")
    if packed is not None and packed.begins_with([*model.coefs_, *model.intercepts_]):
        return packed.network
    of_fit: Network | None = model.__dict__.get("_network_of_fit")
    if of_fit is not None and [np.shape(coef) for coef in model.coefs_] == list(of_fit.shapes()):
        return of_fit
    units = [np.shape(model.coefs_[0])[0], *(np.shape(b)[0] for b in model.intercepts_)]
    activations = model._activations(units[1:-1])
    pieces = int(model.maxout_pieces)
    for l, name in enumerate(activations, start=1):
        units[l] //= pieces if name == "maxout" else 1
    # Predictions need only the link, so any loss that can be combined with it will do.
    loss = next(loss for link, loss in OUTPUTS if link == model.out_activation_)
    return Network(
        tuple(units),
        activations,
        model.out_activation_,
        loss,
        maxout_pieces=pieces,
        residual=bool(model.residual),
        batch_norm=bool(model.batch_norm),
        loss_parameters=loss_parameters(model, model.out_activation_, loss),
    )
