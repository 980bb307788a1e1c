"""Activations and links as ONNX operators.

ONNX Runtime implements some operators for float32 only. In float64, they are composed of simpler operators.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import erfcx

from ._graph import Graph

__all__ = ["FUNCTIONS", "activate", "logistic_precise"]

LEAKY_SLOPE = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
PHI_DEGREE = 20


def identity(graph: Graph, z: str) -> str:
    """F(z) = z."""
    return z


def logistic(graph: Graph, z: str) -> str:
    """F(z) = 1 / (1 + e^-z). ONNX Runtime limits the float32 result to [1.5e-8, 1]."""
    return graph.node("Sigmoid", z)


def logistic_precise(graph: Graph, z: str) -> str:
    """Return the name of 1 / (1 + e^-z), accurate to a few units in the last place also for small results.

    It is e^min(z, 0) / (1 + e^-|z|), in which nothing overflows, and 0 if it is less than half the smallest number of
    the type: some versions of ONNX Runtime limit the exponential of such z to a positive number.
    """
    zero, one = graph.constant(0.0), graph.constant(1.0)
    lowest = graph.constant(np.log(np.finfo(graph.dtype).smallest_subnormal, dtype=np.float64) - math.log(2))
    numerator = graph.node("Exp", graph.node("Min", z, zero))
    rest = graph.node("Exp", graph.node("Neg", graph.node("Abs", z)))
    h = graph.node("Div", numerator, graph.node("Add", rest, one))
    return graph.node("Where", graph.node("Less", z, lowest), zero, h)


def tanh(graph: Graph, z: str) -> str:
    """F(z) = tanh z."""
    return graph.node("Tanh", z)


def relu(graph: Graph, z: str) -> str:
    """F(z) = max(0, z)."""
    return graph.node("Relu", z)


def leaky_relu(graph: Graph, z: str) -> str:
    """F(z) = max(z, 0.01 z)."""
    if graph.single:
        return graph.node("LeakyRelu", z, alpha=LEAKY_SLOPE)
    return graph.node("Max", z, graph.node("Mul", z, graph.constant(LEAKY_SLOPE)))


def _negative_expm1(graph: Graph, z: str) -> str:
    """e^min(z, 0) - 1."""
    power = graph.node("Exp", graph.node("Min", z, graph.constant(0.0)))
    return graph.node("Sub", power, graph.constant(1.0))


def elu(graph: Graph, z: str) -> str:
    """F(z) = z for z > 0, else e^z - 1."""
    if graph.single:
        return graph.node("Elu", z, alpha=1.0)
    return graph.node("Add", graph.node("Relu", z), _negative_expm1(graph, z))


def selu(graph: Graph, z: str) -> str:
    """F(z) = scale z for z > 0, else scale alpha (e^z - 1)."""
    if graph.single:
        return graph.node("Selu", z, alpha=SELU_ALPHA, gamma=SELU_SCALE)
    positive = graph.node("Mul", graph.node("Relu", z), graph.constant(SELU_SCALE))
    negative = graph.node("Mul", _negative_expm1(graph, z), graph.constant(SELU_SCALE * SELU_ALPHA))
    return graph.node("Add", positive, negative)


@cache
def _phi_coefficients() -> Any:
    """Coefficients, lowest first, of the polynomial q in erfc(x) = t q(2t - 1) e^-x^2, where t = 2 / (2 + x), x >= 0.

    The error of the resulting normal distribution function is below 1e-14.
    """

    def q(u: Any) -> Any:
        t = (u + 1) / 2
        return erfcx(2 / t - 2) / t

    return chebyshev.cheb2poly(chebyshev.chebinterpolate(q, PHI_DEGREE))


def gelu(graph: Graph, z: str) -> str:
    """F(z) = z Phi(z), Phi the normal distribution function."""
    half, one = graph.constant(0.5), graph.constant(1.0)
    x = graph.node("Div", z, graph.constant(math.sqrt(2)))
    if graph.single:
        # ONNX Runtime recognises this sequence and computes it in one pass.
        return graph.node("Mul", graph.node("Mul", z, graph.node("Add", graph.node("Erf", x), one)), half)
    x, two = graph.node("Abs", x), graph.constant(2.0)
    t = graph.node("Div", two, graph.node("Add", x, two))
    u = graph.node("Sub", graph.node("Mul", t, two), one)
    *lower, q = (graph.constant(c) for c in _phi_coefficients())
    for coefficient in reversed(lower):
        q = graph.node("Add", graph.node("Mul", q, u), coefficient)
    power = graph.node("Exp", graph.node("Neg", graph.node("Mul", x, x)))
    tail = graph.node("Mul", graph.node("Mul", graph.node("Mul", t, q), power), half)  # Phi(-|z|)
    positive = graph.node("Greater", z, graph.constant(0.0))
    return graph.node("Mul", z, graph.node("Where", positive, graph.node("Sub", one, tail), tail))


def silu(graph: Graph, z: str) -> str:
    """F(z) = z / (1 + e^-z); with Sigmoid the limit of the float32 result would be multiplied by z."""
    power = graph.node("Exp", graph.node("Neg", z))
    return graph.node("Div", z, graph.node("Add", power, graph.constant(1.0)))


def softplus(graph: Graph, z: str) -> str:
    """F(z) = log(1 + e^z) = max(z, 0) + log(1 + e^-|z|)."""
    if graph.single:
        return graph.node("Softplus", z)
    power = graph.node("Exp", graph.node("Neg", graph.node("Abs", z)))
    rest = graph.node("Log", graph.node("Add", power, graph.constant(1.0)))
    return graph.node("Add", graph.node("Relu", z), rest)


def maxout(graph: Graph, *pieces: str) -> str:
    """F(z_1, ..., z_p) = max(z_1, ..., z_p)."""
    return graph.node("Max", *pieces)


def softmax(graph: Graph, z: str) -> str:
    """F(z)_k = e^z_k / sum_j e^z_j."""
    return graph.node("Softmax", z, axis=1)


def exp(graph: Graph, z: str) -> str:
    """F(z) = e^z."""
    return graph.node("Exp", z)


def ordered(graph: Graph, z: str) -> str:
    """F(z)_0 = z_0 and F(z)_k = F(z)_{k-1} + log(1 + e^z_k): the outputs for several quantiles."""
    one, end, axis = (graph.constant(np.array([number])) for number in (1, np.iinfo(np.int64).max, 1))
    first = graph.node("Slice", z, graph.constant(np.array([0])), one, axis)
    steps = softplus(graph, graph.node("Slice", z, one, end, axis))
    return graph.node("CumSum", graph.node("Concat", first, steps, axis=1), graph.constant(np.array(1)))


Translation = Callable[..., str]  # of a graph and the names of the linear pieces, one but for 'maxout'

FUNCTIONS: dict[str, Translation] = {
    "identity": identity,
    "logistic": logistic,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "gelu": gelu,
    "silu": silu,
    "softplus": softplus,
    "maxout": maxout,
    "softmax": softmax,
    "exp": exp,
    "ordered": ordered,
}


def activate(graph: Graph, name: str, *pieces: str) -> str:
    """Add the activation or link `name`.

    Parameters
    ----------
    graph : Graph
        Receives the nodes.
    name : str
        Name of the function.
    *pieces : str
        The values of shape (n_samples, n_units) that the function is applied to: one, or the linear pieces of 'maxout'.

    Returns
    -------
    str
        Name of the result, of shape (n_samples, n_units).

    Raises
    ------
    NotImplementedError
        If there is no such function in the table.
    """
    if name not in FUNCTIONS:
        raise NotImplementedError(
            f"The activation {name!r} cannot be exported to ONNX; those that can be are {sorted(FUNCTIONS)}."
        )
    return FUNCTIONS[name](graph, *pieces)
