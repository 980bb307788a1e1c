"""Optimizer steps on slices of the weight vector.

A step sees one slice of weights `w`, its gradient `g` and its state, and knows nothing of layers. To add an
optimizer: a code, a row of the table, the step, a branch in `update`; then its twin in `fastmlp.reference`.
"""

import math
from typing import Any, NamedTuple

from numba import types

from ._jit import inlined, linked_kernel
from ._memory import move, offset, stack, view
from ._strips import STRIP, STRIP_BYTES

__all__ = ["OPTIMIZERS", "STORE", "Optimizer", "linked", "states_of"]

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


def linked(sources: str, number: Any) -> dict[str, Any]:
    """Compile, or load from the cache, the kernel for arrays of `number`."""
    p, size, wide = types.CPointer(number), types.int64, types.float64

    @linked_kernel(types.void(size, p, p, p, p, size, wide, wide, wide, wide, wide))
    def update(code, w, g, m, v, n, rate, momentum, beta_1, beta_2, epsilon):
        """One step of optimizer `code` on w, m, v (n,), which are written, given the gradient g (n,).

        The numbers arrive in float64 and are rounded once to the dtype of w, so that no loop computes in float64.
        """
        _ = sources  # captured, hence part of the key of the on-disk cache
        rest, rest_v = n % STRIP, n % STRIP if states_of(code) > 1 else 0
        main = n - rest
        tail_w, tail_g = stack(w, STRIP_BYTES), stack(g, STRIP_BYTES)
        tail_m, tail_v = stack(m, STRIP_BYTES), stack(v, STRIP_BYTES)
        move(offset(w, main), tail_w, rest)
        move(offset(g, main), tail_g, rest)
        move(offset(m, main), tail_m, rest)
        move(offset(v, main), tail_v, rest_v)
        # Full strips, then what is left over.
        for last in range(int(main == 0), 1 + int(rest > 0)):
            W = view(tail_w, 0, STRIP) if last else view(w, 0, main)
            G = view(tail_g, 0, STRIP) if last else view(g, 0, main)
            M = view(tail_m, 0, STRIP) if last else view(m, 0, main)
            V = view(tail_v, 0, STRIP) if last else view(v, 0, main)
            real = W.dtype.type
            if code == ADAM:
                gain_1, gain_2 = real(1.0 - beta_1), real(1.0 - beta_2)
                adam(W, G, M, V, real(rate), real(beta_1), real(beta_2), gain_1, gain_2, real(epsilon))
            elif code == NESTEROV:
                nesterov(W, G, M, real(rate), real(momentum))
            elif code == SGD:
                sgd(W, G, M, real(rate), real(momentum))
        move(tail_w, offset(w, main), rest)
        move(tail_m, offset(m, main), rest)
        move(tail_v, offset(v, main), rest_v)

    return {"update": update}
