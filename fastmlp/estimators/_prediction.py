"""The outputs of a fitted estimator's network for given rows."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from fastmlp.training._network import Array, Network
from fastmlp.training._predict import predict
from fastmlp.training._threads import available_threads

from ._validation import fits_columns, plain_as
from ._weights import current_network, weight_vector

__all__ = ["check_fitted", "network_and_input", "network_outputs", "score_predictions"]


def check_fitted(model: Any) -> None:
    """Raise NotFittedError if the model is not fitted; faster than scikit-learn's check if it is."""
    if "_packed" not in model.__dict__:
        check_is_fitted(model)


def network_and_input(
    model: Any, X: Any, check_input: bool = True, *, link: bool = True
) -> tuple[Network, Array, Array, Any]:
    """Return the network of a fitted model and its input, in one dtype.

    Parameters
    ----------
    model : estimator
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
    check_input : bool, default=True
        Whether to validate X.
    link : bool, default=True
        Whether the network ends with its link function instead of the identity.

    Returns
    -------
    network : Network
    w : ndarray of shape (n_weights,)
    stats : ndarray
        Running statistics of batch normalisation.
    X : {ndarray, sparse matrix}
    """
    # For one row, scikit-learn's validation takes five times as long as the forward pass.
    if check_input:
        plain = plain_as(X, model.dtype)
        if plain is not None and fits_columns(model, plain):
            X = plain
        else:
            accepted = "numeric" if model.dtype is None else model.dtype
            with np.errstate(over="ignore" if model.dtype else None):
                X = validate_data(model, X, accept_sparse=["csr", "csc"], dtype=accepted, reset=False)
    network = current_network(model)
    if X.shape[1] != network.units[0]:
        raise ValueError(f"coefs_[0] has {network.units[0]} rows, but X has {X.shape[1]} features.")
    w = weight_vector(model, network)
    stats = model._stats if network.batch_norm else w[:0]
    if w.dtype != X.dtype or model.dtype is not None:
        wanted = np.dtype(model.dtype) if model.dtype else np.result_type(w.dtype, X.dtype)
        dtype = np.float32 if wanted == np.float32 else np.float64
        w, stats = w.astype(dtype, copy=False), stats.astype(dtype, copy=False)
    if not link:
        network = replace(network, link="identity", loss="squared_error")
    return network, w, stats, X


def network_outputs(model: Any, X: Any, check_input: bool = True, *, link: bool = True) -> Array:
    """Return the outputs of the network, of shape (n_samples, n_outputs_); without `link`, the pre-activations."""
    network, w, stats, X = network_and_input(model, X, check_input, link=link)
    return predict(network, w, stats, X, lambda: available_threads(model.n_jobs))


def score_predictions(model: Any, X: Any, y: Any, sample_weight: Any, metric: Any) -> float:
    """Return the value of a metric for the predictions of X, which is valid; NaN if a prediction is not finite."""
    y_pred = model._predict(X, check_input=False)
    if np.issubdtype(y_pred.dtype, np.floating) and not np.isfinite(y_pred).all():
        return np.nan
    return float(metric(y, y_pred, sample_weight=sample_weight))
