"""The optimizers of both references.

Each function takes one step for an array of weights w with gradient g and updates w and the state in place. For each
optimizer, the loop comes first and the NumPy version second. To add an optimizer, add both functions and a row in both
tables.
"""

import math
from collections.abc import Sequence

import numpy as np

from fastmlp._problem import Array
from fastmlp.reference._training import Hyper, Optimizer

__all__ = ["LOOPS", "VECTORIZED"]


def sgd(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """velocity <- momentum velocity - rate g,   w <- w + velocity.

    With Nesterov's momentum, w <- w + momentum velocity - rate g with the new velocity, as in scikit-learn.
    """
    (velocity,) = state
    for i in np.ndindex(w.shape):
        velocity[i] = hyper.momentum * velocity[i] - hyper.learning_rate_init * g[i]
        if hyper.nesterovs_momentum:
            w[i] += hyper.momentum * velocity[i] - hyper.learning_rate_init * g[i]
        else:
            w[i] += velocity[i]


def sgd_array(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """velocity <- momentum velocity - rate g,   w <- w + velocity.

    With Nesterov's momentum, w <- w + momentum velocity - rate g with the new velocity, as in scikit-learn.
    """
    (velocity,) = state
    velocity *= hyper.momentum
    velocity -= hyper.learning_rate_init * g
    w += hyper.momentum * velocity - hyper.learning_rate_init * g if hyper.nesterovs_momentum else velocity


def adam(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """Step t = 1, 2, ... of Adam (Kingma & Ba 2015, end of section 2), as in scikit-learn.

    m <- beta_1 m + (1 - beta_1) g,   v <- beta_2 v + (1 - beta_2) g^2,
    rate_t = rate sqrt(1 - beta_2^t) / (1 - beta_1^t),   w <- w - rate_t m / (sqrt(v) + epsilon).
    """
    m, v = state
    rate = hyper.learning_rate_init * math.sqrt(1 - hyper.beta_2**t) / (1 - hyper.beta_1**t)
    for i in np.ndindex(w.shape):
        m[i] = hyper.beta_1 * m[i] + (1 - hyper.beta_1) * g[i]
        v[i] = hyper.beta_2 * v[i] + (1 - hyper.beta_2) * g[i] * g[i]
        w[i] -= rate * m[i] / (math.sqrt(v[i]) + hyper.epsilon)


def adam_array(w: Array, g: Array, state: Sequence[Array], t: int, hyper: Hyper) -> None:
    """Step t = 1, 2, ... of Adam (Kingma & Ba 2015, end of section 2), as in scikit-learn.

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


LOOPS = {"sgd": Optimizer(sgd, 1), "adam": Optimizer(adam, 2)}

VECTORIZED = {"sgd": Optimizer(sgd_array, 1), "adam": Optimizer(adam_array, 2)}
