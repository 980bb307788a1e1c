"""The outputs of both references: the link function, and the pair of link and loss.

A pair returns (loss, D_L). The functions for loops take lists z and y of one sample and return a number and a list. The
functions for arrays take z and y of shape (m, n_L) and return arrays of shapes (m,) and (m, n_L). To add an output, add
the functions and a row in both tables.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from fastmlp._problem import Array, Output
from fastmlp.reference._activations import (
    identity,
    identity_array,
    logistic,
    logistic_array,
    logistic_array_derivative,
    logistic_derivative,
)

__all__ = ["LOOPS", "VECTORIZED"]


def softmax(z: Sequence[float]) -> list[float]:
    """h_k = e^{z_k} / sum_j e^{z_j}; subtracting the largest z avoids overflow."""
    top = max(z)
    total = sum(math.exp(z_k - top) for z_k in z)
    return [math.exp(z_k - top) / total for z_k in z]


def softmax_array(z: Array) -> Array:
    """h_k = e^{z_k} / sum_j e^{z_j}; subtracting the largest z avoids overflow."""
    h: Array = np.exp(z - z.max(axis=1, keepdims=True))
    h /= h.sum(axis=1, keepdims=True)
    return h


def softmax_log_loss(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = -sum_k y_k log h_k = log sum_k e^{z_k} - z_y,   D = h - y."""
    top = max(z)
    log_total = math.log(sum(math.exp(z_k - top) for z_k in z))
    loss = log_total
    for z_k, y_k in zip(z, y, strict=True):
        loss -= y_k * (z_k - top)
    return loss, [h_k - y_k for h_k, y_k in zip(softmax(z), y, strict=True)]


def softmax_log_loss_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = -sum_k y_k log h_k = log sum_k e^{z_k} - z_y,   D = h - y."""
    shifted = z - z.max(axis=1, keepdims=True)
    d = np.exp(shifted)
    total = d.sum(axis=1)
    loss = np.log(total) - np.einsum("ik,ik->i", y, shifted)
    d /= total[:, np.newaxis]
    d -= y
    return loss, d


def logistic_log_loss(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = -sum_k [y log h + (1 - y) log(1 - h)] = sum_k [log(1 + e^z) - y z],   D = h - y."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        # For a correct and saturated unit, max(z, 0) - y z is exactly 0; softplus(z) - y z has a rounding error.
        loss += max(z_k, 0.0) - y_k * z_k + math.log1p(math.exp(-abs(z_k)))
        d.append(logistic(z_k) - y_k)
    return loss, d


def logistic_log_loss_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = -sum_k [y log h + (1 - y) log(1 - h)] = sum_k [log(1 + e^z) - y z],   D = h - y."""
    # For a correct and saturated unit, max(z, 0) - y z is exactly 0; softplus(z) - y z has a rounding error.
    loss = np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    return loss.sum(axis=1), logistic_array(z) - y


def logistic_squared_error(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = 1/2 ||h - y||^2,   D = (h - y) h (1 - h)."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        h_k = logistic(z_k)
        loss += 0.5 * (h_k - y_k) * (h_k - y_k)
        d.append((h_k - y_k) * logistic_derivative(z_k, h_k))
    return loss, d


def logistic_squared_error_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = 1/2 ||h - y||^2,   D = (h - y) h (1 - h)."""
    h = logistic_array(z)
    error = h - y
    return 0.5 * np.einsum("ik,ik->i", error, error), error * logistic_array_derivative(z, h)


def identity_squared_error(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = 1/2 ||h - y||^2,   D = h - y."""
    loss, d = 0.0, []
    for h_k, y_k in zip(z, y, strict=True):
        loss += 0.5 * (h_k - y_k) * (h_k - y_k)
        d.append(h_k - y_k)
    return loss, d


def identity_squared_error_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = 1/2 ||h - y||^2,   D = h - y."""
    error = z - y
    return 0.5 * np.einsum("ik,ik->i", error, error), error


def exp_poisson(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k [y log(y / h) - y + h], half the Poisson deviance, with h = e^z,   D = h - y."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        h_k = exp(z_k)
        loss += (y_k * (math.log(y_k) - z_k) if y_k > 0 else 0.0) - y_k + h_k
        d.append(h_k - y_k)
    return loss, d


def exp_poisson_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = sum_k [y log(y / h) - y + h], half the Poisson deviance, with h = e^z,   D = h - y."""
    h = np.exp(z)
    return (special.xlogy(y, y) - y - y * z + h).sum(axis=1), h - y


def exp(z: float) -> float:
    """h = e^z; infinite where `math.exp` would raise `OverflowError`."""
    return float(np.exp(z))


def _every(link: Callable[[float], float]) -> Callable[[Sequence[float]], list[float]]:
    """Return the link of a layer whose units are independent."""
    return lambda z: [link(z_k) for z_k in z]


LOOPS = {
    ("softmax", "log_loss"): Output(softmax, softmax_log_loss, "one-hot"),
    ("logistic", "log_loss"): Output(_every(logistic), logistic_log_loss, "binary"),
    ("logistic", "squared_error"): Output(_every(logistic), logistic_squared_error, "any"),
    ("identity", "squared_error"): Output(_every(identity), identity_squared_error, "any"),
    ("exp", "poisson"): Output(_every(exp), exp_poisson, "non-negative"),
}

VECTORIZED = {
    ("softmax", "log_loss"): Output(softmax_array, softmax_log_loss_array, "one-hot"),
    ("logistic", "log_loss"): Output(logistic_array, logistic_log_loss_array, "binary"),
    ("logistic", "squared_error"): Output(logistic_array, logistic_squared_error_array, "any"),
    ("identity", "squared_error"): Output(identity_array, identity_squared_error_array, "any"),
    ("exp", "poisson"): Output(np.exp, exp_poisson_array, "non-negative"),
}
