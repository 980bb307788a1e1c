"""Optimizer steps on slices of the weight vector.

A step takes a slice of weights `w`, its gradient `g` and its state, and does not depend on the layers. To add an
optimizer, add an op code and a row in `tables.py`, the step, a branch in `update` and the reference in
`fastmlp.reference`.
"""

import math
from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import move, offset, stack, view
from ._records import record
from .layout import STRIP, STRIP_BYTES
from .tables import ADAM, NESTEROV, SGD

__all__ = ["linked", "states_of"]


@inlined
def states_of(code):
    """Return the number of state vectors of optimizer `code`."""
    return 2 if code == ADAM else 1


@inlined
def sgd(w, g, m, rate, momentum):
    """Velocity m <- momentum m - rate g; w <- w + m (Polyak's heavy ball, as in Sutskever et al. 2013)."""
    for i in range(w.size):
        m[i] = momentum * m[i] - rate * g[i]
        w[i] = w[i] + m[i]


@inlined
def nesterov(w, g, m, rate, momentum):
    """Velocity as in `sgd`; w <- w + momentum m - rate g (Sutskever et al. 2013, in Bengio's form)."""
    for i in range(w.size):
        m[i] = momentum * m[i] - rate * g[i]
        w[i] = w[i] + (momentum * m[i] - rate * g[i])


@inlined
def adam(w, g, m, v, rate, beta_1, beta_2, gain_1, gain_2, epsilon):
    """One step of Adam (Kingma & Ba 2015, end of section 2: `rate` holds the bias corrections).

    gain_1 = 1 - beta_1 and gain_2 = 1 - beta_2 are computed in float64, because in float32 the relative error of
    1 - 0.999 is 1e-5. epsilon is outside the square root and has no bias correction, as in scikit-learn.
    """
    for i in range(w.size):
        m[i] = beta_1 * m[i] + gain_1 * g[i]
        v[i] = beta_2 * v[i] + gain_2 * (g[i] * g[i])
        w[i] = w[i] - rate * m[i] / (math.sqrt(v[i]) + epsilon)


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernel for arrays of `number`."""

    @linked_kernel(number)
    def update(hyper, w, g, m, v, n, rate):
        """Take one step of the optimizer of `hyper`, given the gradient g (n,).   w, m, v (n,) are written.

        The hyper-parameters are rounded to the dtype of w first, so that no loop computes in float64.
        """
        hyper = record(hyper, 0)
        code = hyper.optimizer
        rest, rest_v = n % STRIP, n % STRIP if states_of(code) > 1 else 0
        main = n - rest
        tail_w, tail_g = stack(w, STRIP_BYTES), stack(g, STRIP_BYTES)
        tail_m, tail_v = stack(m, STRIP_BYTES), stack(v, STRIP_BYTES)
        move(offset(w, main), tail_w, rest)
        move(offset(g, main), tail_g, rest)
        move(offset(m, main), tail_m, rest)
        move(offset(v, main), tail_v, rest_v)
        # Full strips first, then the remainder.
        for last in range(int(main == 0), 1 + int(rest > 0)):
            W = view(tail_w, 0, STRIP) if last else view(w, 0, main)
            G = view(tail_g, 0, STRIP) if last else view(g, 0, main)
            M = view(tail_m, 0, STRIP) if last else view(m, 0, main)
            V = view(tail_v, 0, STRIP) if last else view(v, 0, main)
            real = W.dtype.type
            momentum = real(hyper.momentum)
            if code == ADAM:
                beta_1, beta_2 = hyper.beta_1, hyper.beta_2
                gain_1, gain_2 = real(1.0 - beta_1), real(1.0 - beta_2)
                adam(W, G, M, V, real(rate), real(beta_1), real(beta_2), gain_1, gain_2, real(hyper.epsilon))
            elif code == NESTEROV:
                nesterov(W, G, M, real(rate), momentum)
            elif code == SGD:
                sgd(W, G, M, real(rate), momentum)
        move(tail_w, offset(w, main), rest)
        move(tail_m, offset(m, main), rest)
        move(tail_v, offset(v, main), rest_v)

    return [update]
