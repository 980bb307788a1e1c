"""The tables of `loops`: activations, outputs, optimizers. A new one is a function or two and a row."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from fastmlp.reference._checks import Activation, Array, Output
from fastmlp.reference._training import Hyper, Optimizer

__all__ = ["ACTIVATIONS", "OPTIMIZERS", "OUTPUTS"]

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


# ---- Activations of one unit: f, and under it f'. a = f(z) comes along because it makes f' cheap. ----


def identity(z: float) -> float:
    """f(z) = z."""
    return z


def identity_derivative(z: float, a: float) -> float:
    """f'(z) = 1."""
    return 1.0


def logistic(z: float) -> float:
    """f(z) = s(z) = 1 / (1 + e^-z), by the exponential that cannot overflow."""
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    return math.exp(z) / (1 + math.exp(z))


def logistic_derivative(z: float, a: float) -> float:
    """f'(z) = a (1 - a)."""
    return a * (1 - a)


def tanh(z: float) -> float:
    """f(z) = tanh z = 2 s(2z) - 1."""
    return math.tanh(z)


def tanh_derivative(z: float, a: float) -> float:
    """f'(z) = 1 - a^2."""
    return 1 - a * a


def relu(z: float) -> float:
    """f(z) = max(0, z); NaN stays NaN."""
    return 0.0 if z <= 0 else z


def relu_derivative(z: float, a: float) -> float:
    """f'(z) = 1[a > 0], hence 0 at z = 0."""
    return 1.0 if a > 0 else 0.0


def leaky_relu(z: float) -> float:
    """f(z) = 0.01 z for z < 0, else z."""
    return LEAKY_SLOPE * z if z < 0 else z


def leaky_relu_derivative(z: float, a: float) -> float:
    """f'(z) = 0.01 for z < 0, else 1."""
    return LEAKY_SLOPE if z < 0 else 1.0


def elu(z: float) -> float:
    """f(z) = z for z > 0, else e^z - 1."""
    return z if z > 0 else math.expm1(z)


def elu_derivative(z: float, a: float) -> float:
    """f'(z) = 1 for z > 0, else e^z = a + 1."""
    return 1.0 if z > 0 else a + 1


def selu(z: float) -> float:
    """f(z) = scale z for z > 0, else scale alpha (e^z - 1) (Klambauer et al. 2017)."""
    return SELU_SCALE * (z if z > 0 else SELU_ALPHA * math.expm1(z))


def selu_derivative(z: float, a: float) -> float:
    """f'(z) = scale for z > 0, else scale alpha e^z = a + scale alpha."""
    return SELU_SCALE if z > 0 else a + SELU_SCALE * SELU_ALPHA


def gelu(z: float) -> float:
    """f(z) = z Phi(z), Phi the normal distribution function; exact, not the tanh approximation."""
    return z * normal_distribution(z)


def gelu_derivative(z: float, a: float) -> float:
    """f'(z) = Phi(z) + z phi(z), phi the normal density."""
    return normal_distribution(z) + z * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def normal_distribution(z: float) -> float:
    """Phi(z), by the complementary error function, which keeps its digits far below 0."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def silu(z: float) -> float:
    """f(z) = z s(z)."""
    return z * logistic(z)


def silu_derivative(z: float, a: float) -> float:
    """f'(z) = s(z) + a (1 - s(z))."""
    s = logistic(z)
    return s + a * (1 - s)


def softplus(z: float) -> float:
    """f(z) = log(1 + e^z), written so that e^z never overflows."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def softplus_derivative(z: float, a: float) -> float:
    """f'(z) = s(z)."""
    return logistic(z)


def maxout(z: Sequence[float]) -> float:
    """f(z) = max_q z_q over the p pieces of the unit; NaN if one of them is."""
    return math.nan if any(math.isnan(z_q) for z_q in z) else max(z)


def maxout_derivative(z: Sequence[float], a: float) -> list[float]:
    """f'(z) = 1 for the winning piece (the first of equals), 0 for the others."""
    winner = max(range(len(z)), key=z.__getitem__)
    return [1.0 if q == winner else 0.0 for q in range(len(z))]


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


# ---- Outputs of one sample: link and loss together, pair(z, y) -> (loss, D_L); z, y and D_L are lists. ----


def softmax(z: Sequence[float]) -> list[float]:
    """h_k = e^{z_k} / sum_j e^{z_j}, shifted by the largest z so that no exponential overflows."""
    top = max(z)
    total = sum(math.exp(z_k - top) for z_k in z)
    return [math.exp(z_k - top) / total for z_k in z]


def softmax_log_loss(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = -sum_k y_k log h_k = log sum_k e^{z_k} - z_y,   D = h - y."""
    top = max(z)
    log_total = math.log(sum(math.exp(z_k - top) for z_k in z))
    loss = log_total
    for z_k, y_k in zip(z, y, strict=True):
        loss -= y_k * (z_k - top)
    return loss, [h_k - y_k for h_k, y_k in zip(softmax(z), y, strict=True)]


def logistic_log_loss(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = -sum_k [y log h + (1 - y) log(1 - h)] = sum_k [log(1 + e^z) - y z],   D = h - y."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        # max(z, 0) - y z cancels exactly for a unit that is right and sure; softplus(z) - y z would round.
        loss += max(z_k, 0.0) - y_k * z_k + math.log1p(math.exp(-abs(z_k)))
        d.append(logistic(z_k) - y_k)
    return loss, d


def logistic_squared_error(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = 1/2 ||h - y||^2,   D = (h - y) h (1 - h)."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        h_k = logistic(z_k)
        loss += 0.5 * (h_k - y_k) * (h_k - y_k)
        d.append((h_k - y_k) * logistic_derivative(z_k, h_k))
    return loss, d


def identity_squared_error(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = 1/2 ||h - y||^2,   D = h - y."""
    loss, d = 0.0, []
    for h_k, y_k in zip(z, y, strict=True):
        loss += 0.5 * (h_k - y_k) * (h_k - y_k)
        d.append(h_k - y_k)
    return loss, d


def exp_poisson(z: Sequence[float], y: Sequence[float]) -> tuple[float, list[float]]:
    """loss = sum_k [y log(y / h) - y + h], half the Poisson deviance, with h = e^z,   D = h - y."""
    loss, d = 0.0, []
    for z_k, y_k in zip(z, y, strict=True):
        h_k = exp(z_k)
        loss += (y_k * (math.log(y_k) - z_k) if y_k > 0 else 0.0) - y_k + h_k
        d.append(h_k - y_k)
    return loss, d


def exp(z: float) -> float:
    """h = e^z, infinite where `math.exp` would raise."""
    return float(np.exp(z))


def _every(link: Callable[[float], float]) -> Callable[[Sequence[float]], list[float]]:
    """The link of independent units."""
    return lambda z: [link(z_k) for z_k in z]


OUTPUTS = {
    ("softmax", "log_loss"): Output(softmax, softmax_log_loss, "one-hot"),
    ("logistic", "log_loss"): Output(_every(logistic), logistic_log_loss, "binary"),
    ("logistic", "squared_error"): Output(_every(logistic), logistic_squared_error, "any"),
    ("identity", "squared_error"): Output(_every(identity), identity_squared_error, "any"),
    ("exp", "poisson"): Output(_every(exp), exp_poisson, "non-negative"),
}


# ---- Optimizers: one step for one array of weights w with gradient g; w and its state are updated. ----


def sgd(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """velocity <- momentum velocity - rate g,   w <- w + velocity.

    Nesterov's form looks one step ahead, as scikit-learn does: w <- w + momentum velocity - rate g.
    """
    (velocity,) = state
    for i in np.ndindex(w.shape):
        velocity[i] = hyper.momentum * velocity[i] - hyper.learning_rate_init * g[i]
        if hyper.nesterovs_momentum:
            w[i] += hyper.momentum * velocity[i] - hyper.learning_rate_init * g[i]
        else:
            w[i] += velocity[i]


def adam(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """One step t = 1, 2, ... of Adam (Kingma & Ba 2015, end of section 2), as scikit-learn takes it.

    m <- beta_1 m + (1 - beta_1) g,   v <- beta_2 v + (1 - beta_2) g^2,
    rate_t = rate sqrt(1 - beta_2^t) / (1 - beta_1^t),   w <- w - rate_t m / (sqrt(v) + epsilon).
    """
    m, v = state
    rate = hyper.learning_rate_init * math.sqrt(1 - hyper.beta_2**t) / (1 - hyper.beta_1**t)
    for i in np.ndindex(w.shape):
        m[i] = hyper.beta_1 * m[i] + (1 - hyper.beta_1) * g[i]
        v[i] = hyper.beta_2 * v[i] + (1 - hyper.beta_2) * g[i] * g[i]
        w[i] -= rate * m[i] / (math.sqrt(v[i]) + hyper.epsilon)


OPTIMIZERS = {"sgd": Optimizer(sgd, 1), "adam": Optimizer(adam, 2)}
