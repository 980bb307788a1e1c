"""Activation functions of the hidden layers, each followed by its derivative.

Both work in place on contiguous arrays. `*_backward(K, D)` takes the values `K` that the forward pass has kept: the
output A of the activation, because most derivatives are simple functions of it, or the pre-activation Z if the row of
the table has `needs_z`. To add an activation, add an op code and a row in `tables.py`, the two functions, a branch in
`forward` and `backward`, and the reference in `fastmlp.reference`.

`+ zero` after a conditional expression changes no value, only -0 to 0. Without it, LLVM would compile
`a[i] = x if condition else a[i]` to masked stores, which AMD's CPUs without AVX-512 execute ten times more slowly than
full ones.
"""

from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import copy, move, offset, stack, view
from .functions import expm1, gelu_cdf, gelu_pdf, log1p_exp, logistic, tanh
from .layout import STRIP, STRIP_BYTES
from .tables import ELU, GELU, LEAKY_RELU, LOGISTIC, RELU, SELU, SILU, SOFTPLUS, TANH

__all__ = ["linked", "maxout", "maxout_backward"]

LEAKY_SLOPE = 0.01  # Maas, Hannun & Ng (2013), section 2.3
# Klambauer et al. (2017), equation 14.
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


@inlined
def logistic_forward(A):
    """A <- 1 / (1 + exp(-A))."""
    for i in range(A.size):
        A[i] = logistic(A[i])


@inlined
def logistic_backward(A, D):
    """D <- D A (1 - A)."""
    one = A.dtype.type(1)
    for i in range(A.size):
        D[i] = D[i] * A[i] * (one - A[i])


@inlined
def tanh_forward(A):
    """A <- tanh(A)."""
    for i in range(A.size):
        A[i] = tanh(A[i])


@inlined
def tanh_backward(A, D):
    """D <- D (1 - A^2)."""
    one = A.dtype.type(1)
    for i in range(A.size):
        D[i] = D[i] * (one - A[i] * A[i])


@inlined
def relu_forward(A):
    """A <- max(0, A).   NaN stays NaN, so that divergence is detected."""
    zero = A.dtype.type(0)
    for i in range(A.size):
        A[i] = (zero if A[i] < zero else A[i]) + zero


@inlined
def relu_backward(A, D):
    """D <- D 1[A > 0]."""
    zero = A.dtype.type(0)
    for i in range(A.size):
        D[i] = (zero if A[i] == zero else D[i]) + zero


@inlined
def leaky_relu_forward(A):
    """A <- A where A >= 0, else 0.01 A."""
    zero, slope = A.dtype.type(0), A.dtype.type(LEAKY_SLOPE)
    for i in range(A.size):
        A[i] = (slope * A[i] if A[i] < zero else A[i]) + zero


@inlined
def leaky_relu_backward(A, D):
    """D <- D where A >= 0, else 0.01 D."""
    zero, slope = A.dtype.type(0), A.dtype.type(LEAKY_SLOPE)
    for i in range(A.size):
        D[i] = (slope * D[i] if A[i] < zero else D[i]) + zero


@inlined
def elu_forward(A):
    """A <- A where A > 0, else e^A - 1."""
    zero = A.dtype.type(0)
    for i in range(A.size):
        negative = expm1(A[i])
        A[i] = (A[i] if A[i] > zero else negative) + zero


@inlined
def elu_backward(A, D):
    """D <- D where A > 0, else D (A + 1)."""
    zero, one = A.dtype.type(0), A.dtype.type(1)
    for i in range(A.size):
        D[i] = (D[i] if A[i] > zero else D[i] * (A[i] + one)) + zero


@inlined
def selu_forward(A):
    """A <- scale A where A > 0, else scale alpha (e^A - 1)."""
    zero = A.dtype.type(0)
    scale, scale_alpha = A.dtype.type(SELU_SCALE), A.dtype.type(SELU_SCALE * SELU_ALPHA)
    for i in range(A.size):
        negative = scale_alpha * expm1(A[i])
        A[i] = scale * A[i] if A[i] > zero else negative


@inlined
def selu_backward(A, D):
    """D <- scale D where A > 0, else D (A + scale alpha)."""
    zero = A.dtype.type(0)
    scale, scale_alpha = A.dtype.type(SELU_SCALE), A.dtype.type(SELU_SCALE * SELU_ALPHA)
    for i in range(A.size):
        D[i] = scale * D[i] if A[i] > zero else D[i] * (A[i] + scale_alpha)


@inlined
def gelu_forward(A):
    """A <- A Phi(A), Phi the normal distribution function (Hendrycks & Gimpel 2016, exact form)."""
    for i in range(A.size):
        A[i] = A[i] * gelu_cdf(A[i])


@inlined
def gelu_backward(Z, D):
    """D <- D (Phi(Z) + Z phi(Z))."""
    for i in range(Z.size):
        D[i] = D[i] * (gelu_cdf(Z[i]) + Z[i] * gelu_pdf(Z[i]))


@inlined
def silu_forward(A):
    """A <- A s(A), s the logistic function."""
    for i in range(A.size):
        A[i] = A[i] * logistic(A[i])


@inlined
def silu_backward(Z, D):
    """D <- D (s + Z s (1 - s)), s = s(Z)."""
    one = Z.dtype.type(1)
    for i in range(Z.size):
        s = logistic(Z[i])
        D[i] = D[i] * (s + Z[i] * s * (one - s))


@inlined
def softplus_forward(A):
    """A <- log(1 + e^A)."""
    for i in range(A.size):
        A[i] = log1p_exp(A[i])


@inlined
def softplus_backward(A, D):
    """D <- D s(Z), where s(Z) = 1 - e^-A."""
    for i in range(A.size):
        D[i] = -D[i] * expm1(-A[i])


@inlined
def maxout(Z, A, rows, units, pieces):
    """A[i, j] <- max over p of Z[i, p units + j].   Z (rows, pieces units), A (rows, units) is written."""
    zero = A.dtype.type(0)
    for i in range(rows):
        a = view(A, i * units, units)
        copy(view(Z, i * pieces * units, units), a)
        for p in range(1, pieces):
            z = view(Z, (i * pieces + p) * units, units)
            for j in range(units):
                # If either value is NaN, the result is NaN.
                a[j] = (a[j] if a[j] >= z[j] or a[j] != a[j] else z[j]) + zero


@inlined
def maxout_backward(Z, D, rows, units, pieces):
    """Z[i, p units + j] <- D[i, j] for the first piece p with the maximum, else 0."""
    zero = Z.dtype.type(0)
    for i in range(rows):
        for j in range(units):
            here = i * pieces * units + j
            winner, top = 0, Z[here]
            for p in range(1, pieces):
                z = Z[here + p * units]
                winner, top = (winner, top) if top >= z or top != top else (p, z)
            for p in range(pieces):
                Z[here + p * units] = D[i * units + j] if p == winner else zero


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernels for arrays of `number`."""

    @linked_kernel(number)
    def forward(code, a, n):
        """Apply activation `code` to a (n,) in place. The exception is maxout, whose output is narrower than Z."""
        rest = n % STRIP
        main = n - rest
        behind = offset(a, main)
        tail = stack(a, STRIP_BYTES)
        move(behind, tail, rest)
        # Full strips first, then the remainder.
        for last in range(int(main == 0), 1 + int(rest > 0)):
            A = view(tail, 0, STRIP) if last else view(a, 0, main)
            if code == RELU:
                relu_forward(A)
            elif code == LOGISTIC:
                logistic_forward(A)
            elif code == TANH:
                tanh_forward(A)
            elif code == LEAKY_RELU:
                leaky_relu_forward(A)
            elif code == ELU:
                elu_forward(A)
            elif code == SELU:
                selu_forward(A)
            elif code == GELU:
                gelu_forward(A)
            elif code == SILU:
                silu_forward(A)
            elif code == SOFTPLUS:
                softplus_forward(A)
        move(tail, behind, rest)

    @linked_kernel(number)
    def backward(code, k, d, n):
        """Multiply d (n,) by the derivative of activation `code`, given the kept values k (A, or Z if `needs_z`)."""
        rest = n % STRIP
        main = n - rest
        tail_k, tail_d = stack(k, STRIP_BYTES), stack(d, STRIP_BYTES)
        move(offset(k, main), tail_k, rest)
        move(offset(d, main), tail_d, rest)
        for last in range(int(main == 0), 1 + int(rest > 0)):
            K = view(tail_k, 0, STRIP) if last else view(k, 0, main)
            D = view(tail_d, 0, STRIP) if last else view(d, 0, main)
            if code == RELU:
                relu_backward(K, D)
            elif code == LOGISTIC:
                logistic_backward(K, D)
            elif code == TANH:
                tanh_backward(K, D)
            elif code == LEAKY_RELU:
                leaky_relu_backward(K, D)
            elif code == ELU:
                elu_backward(K, D)
            elif code == SELU:
                selu_backward(K, D)
            elif code == GELU:
                gelu_backward(K, D)
            elif code == SILU:
                silu_backward(K, D)
            elif code == SOFTPLUS:
                softplus_backward(K, D)
        move(tail_d, offset(d, main), rest)

    return [forward, backward]
