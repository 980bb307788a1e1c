"""The tables of `vectorized`: activations, outputs, optimizers. A new one is a function or two and a row."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fastmlp.reference._checks import Activation, Array, Output
from fastmlp.reference._training import Hyper, Optimizer

__all__ = ["ACTIVATIONS", "OPTIMIZERS", "OUTPUTS"]

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


# ---- Activations: f, and under it f'. z has any shape; a = f(z) comes along because it makes f' cheap. ----


def identity(z: Array) -> Array:
    """f(z) = z."""
    return z


def identity_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1."""
    return np.ones_like(z)


def logistic(z: Array) -> Array:
    """f(z) = s(z) = 1 / (1 + e^-z)."""
    a: Array = special.expit(z)
    return a


def logistic_derivative(z: Array, a: Array) -> Array:
    """f'(z) = a (1 - a)."""
    return a * (1 - a)


def tanh(z: Array) -> Array:
    """f(z) = tanh z = 2 s(2z) - 1."""
    return np.tanh(z)


def tanh_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1 - a^2."""
    return 1 - a * a


def relu(z: Array) -> Array:
    """f(z) = max(0, z); NaN stays NaN."""
    a: Array = np.maximum(z, 0)
    return a


def relu_derivative(z: Array, a: Array) -> NDArray[np.bool_]:
    """f'(z) = 1[a > 0], hence 0 at z = 0; a mask is enough to multiply by."""
    return a > 0


def leaky_relu(z: Array) -> Array:
    """f(z) = 0.01 z for z < 0, else z."""
    return np.where(z < 0, LEAKY_SLOPE * z, z)


def leaky_relu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 0.01 for z < 0, else 1."""
    return np.where(z < 0, z.dtype.type(LEAKY_SLOPE), z.dtype.type(1))


def elu(z: Array) -> Array:
    """f(z) = z for z > 0, else e^z - 1."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1 for z > 0, else e^z = a + 1."""
    return np.minimum(a, 0) + 1


def selu(z: Array) -> Array:
    """f(z) = scale z for z > 0, else scale alpha (e^z - 1) (Klambauer et al. 2017)."""
    return SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0)))


def selu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = scale for z > 0, else scale alpha e^z = a + scale alpha."""
    return np.where(z > 0, z.dtype.type(SELU_SCALE), a + SELU_SCALE * SELU_ALPHA)


def gelu(z: Array) -> Array:
    """f(z) = z Phi(z), Phi the normal distribution function; exact, not the tanh approximation."""
    return z * special.ndtr(z)


def gelu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = Phi(z) + z phi(z), phi the normal density."""
    return special.ndtr(z) + z * np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))


def silu(z: Array) -> Array:
    """f(z) = z s(z)."""
    return z * logistic(z)


def silu_derivative(z: Array, a: Array) -> Array:
    """f'(z) = s(z) + a (1 - s(z))."""
    s = logistic(z)
    return s + a * (1 - s)


def softplus(z: Array) -> Array:
    """f(z) = log(1 + e^z), written so that e^z never overflows."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softplus_derivative(z: Array, a: Array) -> Array:
    """f'(z) = s(z)."""
    return logistic(z)


def maxout(z: Array) -> Array:
    """f(z) = max_q z_q over the p pieces of every unit.   z (m, p, n), result (m, n)."""
    a: Array = z.max(axis=1)
    return a


def maxout_derivative(z: Array, a: Array) -> NDArray[np.bool_]:
    """f'(z) = 1 for the winning piece (the first of equals), 0 for the others.   z and result (m, p, n)."""
    slopes = np.zeros(z.shape, bool)
    np.put_along_axis(slopes, z.argmax(axis=1)[:, np.newaxis], True, axis=1)
    return slopes


ACTIVATIONS = {
    "identity": Activation(identity, identity_derivative),
    "logistic": Activation(logistic, logistic_derivative),
    "tanh": Activation(tanh, tanh_derivative),
    "relu": Activation(relu, relu_derivative),
    "leaky_relu": Activation(leaky_relu, leaky_relu_derivative),
    "elu": Activation(elu, elu_derivative),
    "selu": Activation(selu, selu_derivative),
    "gelu": Activation(gelu, gelu_derivative),
    "silu": Activation(silu, silu_derivative),
    "softplus": Activation(softplus, softplus_derivative),
    "maxout": Activation(maxout, maxout_derivative, in_pieces=True),
}


# ---- Outputs: link and loss together, pair(z, y) -> (loss of every sample (m,), D_L (m, n_L)). ----


def softmax(z: Array) -> Array:
    """h_k = e^{z_k} / sum_j e^{z_j}, shifted by the largest z so that no exponential overflows."""
    h: Array = np.exp(z - z.max(axis=1, keepdims=True))
    h /= h.sum(axis=1, keepdims=True)
    return h


def softmax_log_loss(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = -sum_k y_k log h_k = log sum_k e^{z_k} - z_y,   D = h - y."""
    shifted = z - z.max(axis=1, keepdims=True)
    d = np.exp(shifted)
    total = d.sum(axis=1)
    loss = np.log(total) - np.einsum("ik,ik->i", y, shifted)
    d /= total[:, np.newaxis]
    d -= y
    return loss, d


def logistic_log_loss(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = -sum_k [y log h + (1 - y) log(1 - h)] = sum_k [log(1 + e^z) - y z],   D = h - y."""
    # max(z, 0) - y z cancels exactly for a unit that is right and sure; softplus(z) - y z would round.
    loss = np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    return loss.sum(axis=1), logistic(z) - y


def logistic_squared_error(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = 1/2 ||h - y||^2,   D = (h - y) h (1 - h)."""
    h = logistic(z)
    error = h - y
    return 0.5 * np.einsum("ik,ik->i", error, error), error * logistic_derivative(z, h)


def identity_squared_error(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = 1/2 ||h - y||^2,   D = h - y."""
    error = z - y
    return 0.5 * np.einsum("ik,ik->i", error, error), error


def exp_poisson(z: Array, y: Array) -> tuple[Array, Array]:
    """loss = sum_k [y log(y / h) - y + h], half the Poisson deviance, with h = e^z,   D = h - y."""
    h = np.exp(z)
    return (special.xlogy(y, y) - y - y * z + h).sum(axis=1), h - y


OUTPUTS = {
    ("softmax", "log_loss"): Output(softmax, softmax_log_loss, "one-hot"),
    ("logistic", "log_loss"): Output(logistic, logistic_log_loss, "binary"),
    ("logistic", "squared_error"): Output(logistic, logistic_squared_error, "any"),
    ("identity", "squared_error"): Output(identity, identity_squared_error, "any"),
    ("exp", "poisson"): Output(np.exp, exp_poisson, "non-negative"),
}


# ---- Optimizers: one step for one array of weights w with gradient g; w and its state are updated. ----


def sgd(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """velocity <- momentum velocity - rate g,   w <- w + velocity.

    Nesterov's form looks one step ahead, as scikit-learn does: w <- w + momentum velocity - rate g.
    """
    (velocity,) = state
    velocity *= hyper.momentum
    velocity -= hyper.learning_rate_init * g
    w += hyper.momentum * velocity - hyper.learning_rate_init * g if hyper.nesterovs_momentum else velocity


def adam(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """One step t = 1, 2, ... of Adam (Kingma & Ba 2015, end of section 2), as scikit-learn takes it.

    m <- beta_1 m + (1 - beta_1) g,   v <- beta_2 v + (1 - beta_2) g^2,
    rate_t = rate sqrt(1 - beta_2^t) / (1 - beta_1^t),   w <- w - rate_t m / (sqrt(v) + epsilon).
    """
    m, v = state
    m *= hyper.beta_1
    m += (1 - hyper.beta_1) * g
    v *= hyper.beta_2
    v += (1 - hyper.beta_2) * (g * g)
    rate = hyper.learning_rate_init * math.sqrt(1 - hyper.beta_2**t) / (1 - hyper.beta_1**t)
    w -= rate * m / (np.sqrt(v) + hyper.epsilon)


OPTIMIZERS = {"sgd": Optimizer(sgd, 1), "adam": Optimizer(adam, 2)}
