"""Optimizer steps on slices of the weight vector.

A step sees one slice of weights `w`, its gradient `g` and its state, and knows nothing of layers. To add an
optimizer: a code, a row of the table, the step, a branch in `update`; then its twin in `fastmlp.reference`.
"""

import math
from typing import NamedTuple

from ._jit import inlined

__all__ = ["OPTIMIZERS", "STORE", "Optimizer", "states_of", "update"]

STORE, SGD, NESTEROV, ADAM = range(4)


class Optimizer(NamedTuple):
    """One row of the table: the op code, and how many vectors of state it keeps."""

    code: int
    states: int


OPTIMIZERS = {
    "sgd": Optimizer(SGD, 1),
    "nesterov": Optimizer(NESTEROV, 1),
    "adam": Optimizer(ADAM, 2),
}


@inlined
def states_of(code):
    """Number of vectors of state that optimizer `code` keeps."""
    return 2 if code == ADAM else 1


@inlined
def sgd(w, g, m, rate, momentum):
    """Velocity m <- momentum m - rate g; w <- w + m (Polyak's heavy ball, as in Sutskever et al. 2013)."""
    for i in range(w.size):
        m[i] = momentum * m[i] - rate * g[i]
        w[i] = w[i] + m[i]


@inlined
def nesterov(w, g, m, rate, momentum):
    """Velocity as in `sgd`, w <- w + momentum m - rate g (Sutskever et al. 2013, after Bengio's rewriting)."""
    for i in range(w.size):
        m[i] = momentum * m[i] - rate * g[i]
        w[i] = w[i] + (momentum * m[i] - rate * g[i])


@inlined
def adam(w, g, m, v, rate, beta_1, beta_2, gain_1, gain_2, epsilon):
    """One step of Adam (Kingma & Ba 2015, end of section 2: `rate` holds the bias corrections).

    gain_1 = 1 - beta_1 and gain_2 = 1 - beta_2 are formed in float64: in float32, 1 - 0.999 is 1e-5 off. epsilon
    stands outside the square root and is not corrected, as in scikit-learn.
    """
    for i in range(w.size):
        m[i] = beta_1 * m[i] + gain_1 * g[i]
        v[i] = beta_2 * v[i] + gain_2 * (g[i] * g[i])
        w[i] = w[i] - rate * m[i] / (math.sqrt(v[i]) + epsilon)


@inlined
def update(code, w, g, m, v, rate, momentum, beta_1, beta_2, epsilon):
    """One step of optimizer `code` on the slices w, m, v (written), given the gradient g.

    The numbers arrive in float64 and are rounded once to the dtype of w, so that no loop computes in float64.
    """
    number = w.dtype.type
    if code == ADAM:
        gain_1, gain_2 = number(1.0 - beta_1), number(1.0 - beta_2)
        adam(w, g, m, v, number(rate), number(beta_1), number(beta_2), gain_1, gain_2, number(epsilon))
    elif code == NESTEROV:
        nesterov(w, g, m, number(rate), number(momentum))
    elif code == SGD:
        sgd(w, g, m, number(rate), number(momentum))
