"""The outputs of both references: the link function, and the pair of link and loss.

A pair returns (loss, D_L). The functions for loops take lists z and y of one sample and return a number and a list. The
functions for arrays take z and y of shape (m, n_L) and return arrays of shapes (m,) and (m, n_L). The third argument is
the parameter of the loss, if it has one: a number for each unit. To add an output, add the functions and a row in both
tables.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from fastmlp._problem import Array, LossParameter, Output
from fastmlp.reference._activations import (
    identity,
    identity_array,
    logistic,
    logistic_array,
    logistic_array_derivative,
    logistic_derivative,
    softplus,
    softplus_array,
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


def ordered(z: Sequence[float]) -> list[float]:
    """h_0 = z_0 and h_k = h_{k-1} + log(1 + e^{z_k}), so that no output is less than the one before."""
    h = [z[0]]
    for z_k in z[1:]:
        h.append(h[-1] + softplus(z_k))
    return h


def ordered_array(z: Array) -> Array:
    """h_0 = z_0 and h_k = h_{k-1} + log(1 + e^{z_k}), so that no output is less than the one before."""
    return np.cumsum(np.concatenate([z[:, :1], softplus_array(z[:, 1:])], axis=1), axis=1)


def identity_absolute_error(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k |h - y|,   D = sign(h - y)."""
    loss, d = 0.0, []
    for h_k, y_k in zip(z, y, strict=True):
        loss += abs(h_k - y_k)
        d.append(float(np.sign(h_k - y_k)))
    return loss, d


def identity_absolute_error_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = sum_k |h - y|,   D = sign(h - y)."""
    return np.abs(z - y).sum(axis=1), np.sign(z - y)


def identity_huber(z: Sequence[float], y: Sequence[float], delta: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k 1/2 (h - y)^2 where |h - y| <= delta, else delta (|h - y| - delta/2),   D = h - y within +-delta."""
    loss, d = 0.0, []
    for h_k, y_k, delta_k in zip(z, y, delta, strict=True):
        error = h_k - y_k
        loss += 0.5 * error * error if abs(error) <= delta_k else delta_k * (abs(error) - 0.5 * delta_k)
        d.append(max(-delta_k, min(delta_k, error)))
    return loss, d


def identity_huber_array(z: Array, y: Array, delta: Array) -> tuple[Array, Array]:
    """loss = sum_k 1/2 (h - y)^2 where |h - y| <= delta, else delta (|h - y| - delta/2),   D = h - y within +-delta."""
    error = z - y
    size = np.abs(error)
    loss = np.where(size <= delta, 0.5 * error * error, delta * (size - 0.5 * delta))
    return loss.sum(axis=1), np.clip(error, -delta, delta)


def identity_cauchy(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = 1/2 sum_k log(1 + (h - y)^2),   D = (h - y) / (1 + (h - y)^2)."""
    loss, d = 0.0, []
    for h_k, y_k in zip(z, y, strict=True):
        error = h_k - y_k
        loss += 0.5 * math.log1p(error * error)
        d.append(error / (1 + error * error))
    return loss, d


def identity_cauchy_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = 1/2 sum_k log(1 + (h - y)^2),   D = (h - y) / (1 + (h - y)^2)."""
    error = z - y
    return 0.5 * np.log1p(error * error).sum(axis=1), error / (1 + error * error)


def identity_quantile(z: Sequence[float], y: Sequence[float], levels: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k max(q (y - h), (1 - q) (h - y)), the pinball loss,   D = 1 - q where h > y and -q where h < y."""
    loss, d = 0.0, []
    for h_k, y_k, q in zip(z, y, levels, strict=True):
        loss += max(q * (y_k - h_k), (1 - q) * (h_k - y_k))
        d.append(1 - q if h_k > y_k else -q if h_k < y_k else 0.0)
    return loss, d


def identity_quantile_array(z: Array, y: Array, levels: Array) -> tuple[Array, Array]:
    """loss = sum_k max(q (y - h), (1 - q) (h - y)), the pinball loss,   D = 1 - q where h > y and -q where h < y."""
    loss = np.maximum(levels * (y - z), (1 - levels) * (z - y))
    return loss.sum(axis=1), (1 - levels) * (z > y) - levels * (z < y)


def ordered_quantile(z: Sequence[float], y: Sequence[float], levels: Sequence[float]) -> tuple[float, list[float]]:
    """Pinball loss of h = ordered(z),   D_k = s(z_k) sum_{j >= k} dloss/dh_j, without s(z_k) for k = 0."""
    loss, d = identity_quantile(ordered(z), y, levels)
    for k in reversed(range(len(z) - 1)):
        d[k] += d[k + 1]
    return loss, [d[0], *(logistic(z_k) * d_k for z_k, d_k in zip(z[1:], d[1:], strict=True))]


def ordered_quantile_array(z: Array, y: Array, levels: Array) -> tuple[Array, Array]:
    """Pinball loss of h = ordered(z),   D_k = s(z_k) sum_{j >= k} dloss/dh_j, without s(z_k) for k = 0."""
    loss, d = identity_quantile_array(ordered_array(z), y, levels)
    d = np.cumsum(d[:, ::-1], axis=1)[:, ::-1]
    return loss, np.concatenate([d[:, :1], logistic_array(z[:, 1:]) * d[:, 1:]], axis=1)


def exp_gamma(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k [log(h / y) + y / h - 1], half the gamma deviance, with h = e^z,   D = 1 - y / h."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        u = z_k - math.log(y_k)
        loss += u + math.expm1(-u)
        d.append(-math.expm1(-u))
    return loss, d


def exp_gamma_array(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = sum_k [log(h / y) + y / h - 1], half the gamma deviance, with h = e^z,   D = 1 - y / h."""
    u = z - np.log(y)
    return (u + np.expm1(-u)).sum(axis=1), -np.expm1(-u)


def exp_tweedie(z: Sequence[float], y: Sequence[float], power: Sequence[float]) -> tuple[float, list[float]]:
    """Half the Tweedie deviance of power p >= 1, with h = e^z; D = h^(2-p) - y h^(1-p).

    loss = sum_k [y^(2-p) / ((1-p) (2-p)) - y h^(1-p) / (1-p) + h^(2-p) / (2-p)]. It is computed from u = z - log y as
    y^(2-p) [((e^((2-p) u) - 1) / (2-p) - (e^((1-p) u) - 1) / (1-p)], which also has the limits p = 1 and p = 2.
    """

    def box_cox(u: float, a: float) -> float:
        return math.expm1(a * u) / a if a else u

    loss, d = 0.0, []
    for z_k, y_k, p in zip(z, y, power, strict=True):
        if y_k > 0:
            u = z_k - math.log(y_k)
            loss += y_k ** (2 - p) * (box_cox(u, 2 - p) - box_cox(u, 1 - p))
        else:
            loss += exp((2 - p) * z_k) / (2 - p)
        d.append(exp((1 - p) * z_k) * (exp(z_k) - y_k))
    return loss, d


def exp_tweedie_array(z: Array, y: Array, power: Array) -> tuple[Array, Array]:
    """Half the Tweedie deviance of power p >= 1, with h = e^z; D = h^(2-p) - y h^(1-p).

    loss = sum_k [y^(2-p) / ((1-p) (2-p)) - y h^(1-p) / (1-p) + h^(2-p) / (2-p)]. It is computed from u = z - log y as
    y^(2-p) [((e^((2-p) u) - 1) / (2-p) - (e^((1-p) u) - 1) / (1-p)], which also has the limits p = 1 and p = 2.
    """
    positive = y > 0
    u = z - np.log(np.where(positive, y, 1))
    # special.boxcox1p and boxcox(e^u, a) = (e^(a u) - 1) / a would lose digits near u = 0.
    a, b = 1 - power, 2 - power
    of_a = np.where(a == 0, u, np.expm1(a * u) / np.where(a == 0, 1, a))
    of_b = np.where(b == 0, u, np.expm1(b * u) / np.where(b == 0, 1, b))
    at_zero = np.exp(b * z) / np.where(b == 0, 1, b)
    loss = np.where(positive, np.where(positive, y, 1) ** b * (of_b - of_a), at_zero)
    return loss.sum(axis=1), np.exp(a * z) * (np.exp(z) - y)


def focal(z: float, gamma: float) -> tuple[float, float]:
    """f(z) = (1 - s(z))^gamma log(1 + e^-z) and f'(z), where s is the logistic function."""
    weight = logistic(-z) ** gamma
    return weight * softplus(-z), -weight * (gamma * logistic(z) * softplus(-z) + logistic(-z))


def logistic_focal(z: Sequence[float], y: Sequence[float], gamma: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k [y f(z) + (1 - y) f(-z)],   D = y f'(z) - (1 - y) f'(-z), see `focal` (Lin et al. 2017)."""
    loss, d = 0.0, []
    for z_k, y_k, gamma_k in zip(z, y, gamma, strict=True):
        (if_one, slope_of_one), (if_zero, slope_of_zero) = focal(z_k, gamma_k), focal(-z_k, gamma_k)
        loss += y_k * if_one + (1 - y_k) * if_zero
        d.append(y_k * slope_of_one - (1 - y_k) * slope_of_zero)
    return loss, d


def logistic_focal_array(z: Array, y: Array, gamma: Array) -> tuple[Array, Array]:
    """loss = sum_k [y f(z) + (1 - y) f(-z)],   D = y f'(z) - (1 - y) f'(-z), see `focal` (Lin et al. 2017)."""
    h, not_h = logistic_array(z), logistic_array(-z)
    if_one, if_zero = softplus_array(-z), softplus_array(z)
    loss = y * not_h**gamma * if_one + (1 - y) * h**gamma * if_zero
    slope_of_one = -(not_h**gamma) * (gamma * h * if_one + not_h)
    slope_of_zero = -(h**gamma) * (gamma * not_h * if_zero + h)
    return loss.sum(axis=1), y * slope_of_one - (1 - y) * slope_of_zero


def softmax_focal(z: Sequence[float], y: Sequence[float], gamma: Sequence[float]) -> tuple[float, list[float]]:
    """loss = -sum_k y_k (1 - p_k)^gamma log p_k with p = softmax(z),   D = g - p sum_k g_k (Lin et al. 2017).

    g_k = y_k (1 - p_k)^gamma (gamma p_k log(p_k) / (1 - p_k) - 1) is p_k times the derivative of the loss by p_k.
    """
    top = max(z)
    log_total = math.log(sum(math.exp(z_k - top) for z_k in z))
    p = softmax(z)
    loss, g = 0.0, []
    for z_k, y_k, p_k, gamma_k in zip(z, y, p, gamma, strict=True):
        log_p = z_k - top - log_total
        rest = 1 - p_k
        loss -= y_k * rest**gamma_k * log_p
        g.append(y_k * rest**gamma_k * (gamma_k * p_k * (log_p / rest if rest else -1.0) - 1))
    return loss, [g_k - p_k * sum(g) for g_k, p_k in zip(g, p, strict=True)]


def softmax_focal_array(z: Array, y: Array, gamma: Array) -> tuple[Array, Array]:
    """loss = -sum_k y_k (1 - p_k)^gamma log p_k with p = softmax(z),   D = g - p sum_k g_k (Lin et al. 2017).

    g_k = y_k (1 - p_k)^gamma (gamma p_k log(p_k) / (1 - p_k) - 1) is p_k times the derivative of the loss by p_k.
    """
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    p = np.exp(log_p)
    rest = 1 - p
    weight = y * rest**gamma
    ratio = np.divide(log_p, rest, out=np.full_like(p, -1), where=rest > 0)
    g = weight * (gamma * p * ratio - 1)
    return -(weight * log_p).sum(axis=1), g - p * g.sum(axis=1, keepdims=True)


def exp(z: float) -> float:
    """h = e^z; infinite where `math.exp` would raise `OverflowError`."""
    return float(np.exp(z))


def _every(link: Callable[[float], float]) -> Callable[[Sequence[float]], list[float]]:
    """Return the link of a layer whose units are independent."""
    return lambda z: [link(z_k) for z_k in z]


DELTA = LossParameter("delta", 1.0, 0.0, np.inf)
LEVEL = LossParameter("the quantile", 0.5, 0.0, 1.0)
POWER = LossParameter("the power", 1.5, 1.0, np.inf, closed=True)
GAMMA = LossParameter("gamma", 2.0, 0.0, np.inf, closed=True)

LOOPS = {
    ("softmax", "log_loss"): Output(softmax, softmax_log_loss, "one-hot"),
    ("logistic", "log_loss"): Output(_every(logistic), logistic_log_loss, "binary"),
    ("logistic", "squared_error"): Output(_every(logistic), logistic_squared_error, "any"),
    ("identity", "squared_error"): Output(_every(identity), identity_squared_error, "any"),
    ("exp", "poisson"): Output(_every(exp), exp_poisson, "non-negative"),
    ("identity", "absolute_error"): Output(_every(identity), identity_absolute_error, "any"),
    ("identity", "huber"): Output(_every(identity), identity_huber, "any", DELTA),
    ("identity", "quantile"): Output(_every(identity), identity_quantile, "any", LEVEL),
    ("identity", "cauchy"): Output(_every(identity), identity_cauchy, "any"),
    ("ordered", "quantile"): Output(ordered, ordered_quantile, "any", LEVEL),
    ("exp", "gamma"): Output(_every(exp), exp_gamma, "positive"),
    ("exp", "tweedie"): Output(_every(exp), exp_tweedie, "tweedie", POWER),
    ("logistic", "focal"): Output(_every(logistic), logistic_focal, "binary", GAMMA),
    ("softmax", "focal"): Output(softmax, softmax_focal, "one-hot", GAMMA),
}

VECTORIZED = {
    ("softmax", "log_loss"): Output(softmax_array, softmax_log_loss_array, "one-hot"),
    ("logistic", "log_loss"): Output(logistic_array, logistic_log_loss_array, "binary"),
    ("logistic", "squared_error"): Output(logistic_array, logistic_squared_error_array, "any"),
    ("identity", "squared_error"): Output(identity_array, identity_squared_error_array, "any"),
    ("exp", "poisson"): Output(np.exp, exp_poisson_array, "non-negative"),
    ("identity", "absolute_error"): Output(identity_array, identity_absolute_error_array, "any"),
    ("identity", "huber"): Output(identity_array, identity_huber_array, "any", DELTA),
    ("identity", "quantile"): Output(identity_array, identity_quantile_array, "any", LEVEL),
    ("identity", "cauchy"): Output(identity_array, identity_cauchy_array, "any"),
    ("ordered", "quantile"): Output(ordered_array, ordered_quantile_array, "any", LEVEL),
    ("exp", "gamma"): Output(np.exp, exp_gamma_array, "positive"),
    ("exp", "tweedie"): Output(np.exp, exp_tweedie_array, "tweedie", POWER),
    ("logistic", "focal"): Output(logistic_array, logistic_focal_array, "binary", GAMMA),
    ("softmax", "focal"): Output(softmax_array, softmax_focal_array, "one-hot", GAMMA),
}
