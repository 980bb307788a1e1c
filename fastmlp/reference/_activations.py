"""The activations of both references.

Each activation has four functions: f and its derivative f' for numbers, then f and f' for arrays. A derivative takes z
and a = f(z), because most derivatives are cheap to compute from a. To add an activation, add the four functions and a
row in both tables.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fastmlp._problem import Activation, Array

__all__ = ["LOOPS", "VECTORIZED"]

LEAKY_SLOPE = 0.01
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


def identity(z: float) -> float:
    """f(z) = z."""
    return z


def identity_derivative(z: float, a: float) -> float:
    """f'(z) = 1."""
    return 1.0


def identity_array(z: Array) -> Array:
    """f(z) = z."""
    return z


def identity_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1."""
    return np.ones_like(z)


def logistic(z: float) -> float:
    """f(z) = s(z) = 1 / (1 + e^-z), with the exponential that cannot overflow."""
    if z >= 0:
        return 1 / (1 + math.exp(-z))
    return math.exp(z) / (1 + math.exp(z))


def logistic_derivative(z: float, a: float) -> float:
    """f'(z) = a (1 - a)."""
    return a * (1 - a)


def logistic_array(z: Array) -> Array:
    """f(z) = s(z) = 1 / (1 + e^-z)."""
    a: Array = special.expit(z)
    return a


def logistic_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = a (1 - a)."""
    return a * (1 - a)


def tanh(z: float) -> float:
    """f(z) = tanh z = 2 s(2z) - 1."""
    return math.tanh(z)


def tanh_derivative(z: float, a: float) -> float:
    """f'(z) = 1 - a^2."""
    return 1 - a * a


def tanh_array(z: Array) -> Array:
    """f(z) = tanh z = 2 s(2z) - 1."""
    return np.tanh(z)


def tanh_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1 - a^2."""
    return 1 - a * a


def relu(z: float) -> float:
    """f(z) = max(0, z); NaN stays NaN."""
    return 0.0 if z <= 0 else z


def relu_derivative(z: float, a: float) -> float:
    """f'(z) = 1[a > 0], hence 0 at z = 0."""
    return 1.0 if a > 0 else 0.0


def relu_array(z: Array) -> Array:
    """f(z) = max(0, z); NaN stays NaN."""
    a: Array = np.maximum(z, 0)
    return a


def relu_array_derivative(z: Array, a: Array) -> NDArray[np.bool_]:
    """f'(z) = 1[a > 0], hence 0 at z = 0; returned as a mask."""
    return a > 0


def leaky_relu(z: float) -> float:
    """f(z) = 0.01 z for z < 0, else z."""
    return LEAKY_SLOPE * z if z < 0 else z


def leaky_relu_derivative(z: float, a: float) -> float:
    """f'(z) = 0.01 for z < 0, else 1."""
    return LEAKY_SLOPE if z < 0 else 1.0


def leaky_relu_array(z: Array) -> Array:
    """f(z) = 0.01 z for z < 0, else z."""
    return np.where(z < 0, LEAKY_SLOPE * z, z)


def leaky_relu_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 0.01 for z < 0, else 1."""
    return np.where(z < 0, z.dtype.type(LEAKY_SLOPE), z.dtype.type(1))


def elu(z: float) -> float:
    """f(z) = z for z > 0, else e^z - 1."""
    return z if z > 0 else math.expm1(z)


def elu_derivative(z: float, a: float) -> float:
    """f'(z) = 1 for z > 0, else e^z = a + 1."""
    return 1.0 if z > 0 else a + 1


def elu_array(z: Array) -> Array:
    """f(z) = z for z > 0, else e^z - 1."""
    return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))


def elu_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = 1 for z > 0, else e^z = a + 1."""
    return np.minimum(a, 0) + 1


def selu(z: float) -> float:
    """f(z) = scale z for z > 0, else scale alpha (e^z - 1) (Klambauer et al. 2017)."""
    return SELU_SCALE * (z if z > 0 else SELU_ALPHA * math.expm1(z))


def selu_derivative(z: float, a: float) -> float:
    """f'(z) = scale for z > 0, else scale alpha e^z = a + scale alpha."""
    return SELU_SCALE if z > 0 else a + SELU_SCALE * SELU_ALPHA


def selu_array(z: Array) -> Array:
    """f(z) = scale z for z > 0, else scale alpha (e^z - 1) (Klambauer et al. 2017)."""
    return SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(np.minimum(z, 0)))


def selu_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = scale for z > 0, else scale alpha e^z = a + scale alpha."""
    return np.where(z > 0, z.dtype.type(SELU_SCALE), a + SELU_SCALE * SELU_ALPHA)


def gelu(z: float) -> float:
    """f(z) = z Phi(z), with the normal distribution function Phi; not the tanh approximation."""
    return z * normal_distribution(z)


def gelu_derivative(z: float, a: float) -> float:
    """f'(z) = Phi(z) + z phi(z), with the normal density phi."""
    return normal_distribution(z) + z * math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def gelu_array(z: Array) -> Array:
    """f(z) = z Phi(z), with the normal distribution function Phi; not the tanh approximation."""
    return z * special.ndtr(z)


def gelu_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = Phi(z) + z phi(z), with the normal density phi."""
    return special.ndtr(z) + z * np.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))


def normal_distribution(z: float) -> float:
    """Phi(z), computed from the complementary error function, which is accurate for z far below 0."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def silu(z: float) -> float:
    """f(z) = z s(z)."""
    return z * logistic(z)


def silu_derivative(z: float, a: float) -> float:
    """f'(z) = s(z) + a (1 - s(z))."""
    s = logistic(z)
    return s + a * (1 - s)


def silu_array(z: Array) -> Array:
    """f(z) = z s(z)."""
    return z * logistic_array(z)


def silu_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = s(z) + a (1 - s(z))."""
    s = logistic_array(z)
    return s + a * (1 - s)


def softplus(z: float) -> float:
    """f(z) = log(1 + e^z), in a form in which e^z cannot overflow."""
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def softplus_derivative(z: float, a: float) -> float:
    """f'(z) = s(z)."""
    return logistic(z)


def softplus_array(z: Array) -> Array:
    """f(z) = log(1 + e^z), in a form in which e^z cannot overflow."""
    return np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))


def softplus_array_derivative(z: Array, a: Array) -> Array:
    """f'(z) = s(z)."""
    return logistic_array(z)


def maxout(z: Sequence[float]) -> float:
    """f(z) = max_q z_q over the p pieces of the unit; NaN if any piece is NaN."""
    return math.nan if any(math.isnan(z_q) for z_q in z) else max(z)


def maxout_derivative(z: Sequence[float], a: float) -> list[float]:
    """f'(z) = 1 for the largest piece (the first one in a tie), 0 for the others."""
    winner = max(range(len(z)), key=z.__getitem__)
    return [1.0 if q == winner else 0.0 for q in range(len(z))]


def maxout_array(z: Array) -> Array:
    """f(z) = max_q z_q over the p pieces of each unit.   z (m, p, n), result (m, n)."""
    a: Array = z.max(axis=1)
    return a


def maxout_array_derivative(z: Array, a: Array) -> NDArray[np.bool_]:
    """f'(z) = 1 for the largest piece (the first one in a tie), 0 for the others.   z and result (m, p, n)."""
    slopes = np.zeros(z.shape, bool)
    np.put_along_axis(slopes, z.argmax(axis=1)[:, np.newaxis], True, axis=1)
    return slopes


LOOPS = {
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

VECTORIZED = {
    "identity": Activation(identity_array, identity_array_derivative),
    "logistic": Activation(logistic_array, logistic_array_derivative),
    "tanh": Activation(tanh_array, tanh_array_derivative),
    "relu": Activation(relu_array, relu_array_derivative),
    "leaky_relu": Activation(leaky_relu_array, leaky_relu_array_derivative),
    "elu": Activation(elu_array, elu_array_derivative),
    "selu": Activation(selu_array, selu_array_derivative),
    "gelu": Activation(gelu_array, gelu_array_derivative),
    "silu": Activation(silu_array, silu_array_derivative),
    "softplus": Activation(softplus_array, softplus_array_derivative),
    "maxout": Activation(maxout_array, maxout_array_derivative, in_pieces=True),
}
