"""Output layers: a link and a loss together, because D = h - y is true for some pairs only.

Everything here works unit-major: Z (K, n) with one row per output unit, so that every loop runs over samples
and vectorises, and a sum over units is one chain whatever the vector length. To add an output: a code, a row
of the table, the pair of functions, a branch in `output_error` and `link`; then the reference in `fastmlp.reference`.
"""

from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import copy, fill, view
from .functions import exp, log, log1p_exp, logistic
from .tables import EXP_POISSON, IDENTITY_SQUARED, LOGISTIC_LOG, LOGISTIC_SQUARED, SOFTMAX_LOG

__all__ = ["linked_error", "linked_link"]


@inlined
def logistic_link(Z):
    """Z <- 1 / (1 + exp(-Z)), elementwise."""
    for i in range(Z.size):
        Z[i] = logistic(Z[i])


@inlined
def exp_link(Z):
    """Z <- exp(Z), elementwise."""
    for i in range(Z.size):
        Z[i] = exp(Z[i])


@inlined
def softmax_link(Z, total, K, n):
    """Z[k, i] <- exp(Z[k, i] - top_i) / sum_k exp(Z[k, i] - top_i).   Z (K, n); total (n,) is overwritten."""
    top = total
    copy(Z, top)
    for k in range(1, K):
        z = view(Z, k * n, n)
        for i in range(n):
            top[i] = top[i] if top[i] >= z[i] else z[i]
    for k in range(K):
        z = view(Z, k * n, n)
        for i in range(n):
            z[i] = exp(z[i] - top[i])
    copy(Z, total)
    for k in range(1, K):
        z = view(Z, k * n, n)
        for i in range(n):
            total[i] += z[i]
    for k in range(K):
        z = view(Z, k * n, n)
        for i in range(n):
            z[i] = z[i] / total[i]


@inlined
def identity_squared_error(Z, Y, loss, K, n):
    """Z <- Z - Y;  loss_i += 1/2 sum_k (Z - Y)^2.   Z, Y (K, n); loss (n,) float64."""
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            z[i] = z[i] - y[i]
            loss[i] += 0.5 * float(z[i]) * float(z[i])


@inlined
def logistic_squared_error(Z, Y, loss, K, n):
    """h = logistic(Z):  Z <- (h - Y) h (1 - h);  loss_i += 1/2 sum_k (h - Y)^2."""
    one = Z.dtype.type(1)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            h = logistic(z[i])
            error = h - y[i]
            z[i] = error * h * (one - h)
            loss[i] += 0.5 * float(error) * float(error)


@inlined
def logistic_log_loss(Z, Y, loss, K, n, cap):
    """Z <- logistic(Z) - Y;  loss_i += sum_k Y min(log(1 + e^-Z), cap) + (1 - Y) min(log(1 + e^Z), cap).

    log(1 + e^z) = max(z, 0) + log(1 + e^-|z|), so one logarithm serves both and nothing overflows. `cap` = -log(eps)
    has the same effect as scikit-learn's clipping of probabilities; with infinity, losses are not limited.
    """
    zero, one, cap = Z.dtype.type(0), Z.dtype.type(1), Z.dtype.type(cap)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            positive = zero if z[i] <= zero else z[i]
            negative = zero if z[i] >= zero else -z[i]
            rest = log1p_exp(-(positive + negative))
            if_one, if_zero = negative + rest, positive + rest
            if_one = cap if if_one > cap else if_one
            if_zero = cap if if_zero > cap else if_zero
            loss[i] += float(y[i] * if_one + (one - y[i]) * if_zero)
            z[i] = logistic(z[i]) - y[i]


@inlined
def softmax_log_loss(Z, Y, loss, top, total, K, n, cap):
    """p = softmax(Z):  Z <- p - Y;  loss_i += min(-sum_k Y log p, cap), where sum_k Y = 1.

    Z, Y (K, n); top, total (n,) are overwritten. The largest logit is subtracted first, so exp never overflows. Then
    -sum_k Y log p = log(sum_k e^Z) - sum_k Y Z.
    """
    one, cap = Z.dtype.type(1), Z.dtype.type(cap)
    copy(view(Z, 0, n), top)
    for k in range(1, K):
        z = view(Z, k * n, n)
        for i in range(n):
            top[i] = top[i] if top[i] >= z[i] else z[i]
    fill(total, 0)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            shifted = z[i] - top[i]
            loss[i] -= float(y[i] * shifted)
            z[i] = exp(shifted)
            total[i] += z[i]
    for i in range(n):
        nll = loss[i] + float(log(total[i]))
        loss[i] = float(cap) if nll > float(cap) else nll
        total[i] = one / total[i]
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            z[i] = z[i] * total[i] - y[i]


@inlined
def exp_poisson(Z, Y, loss, K, n):
    """h = exp(Z):  Z <- h - Y;  loss_i += sum_k Y log(Y / h) - Y + h, with 0 log 0 = 0."""
    zero = Z.dtype.type(0)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            h = exp(z[i])
            entropy = y[i] * (log(y[i]) - z[i])
            entropy = entropy if y[i] > zero else zero * z[i]
            loss[i] += float(entropy - y[i] + h)
            z[i] = h - y[i]


def linked_error(number: Any, code: int) -> list[LinkedKernel]:
    """Declare the loss and error of output `code`, which is a constant, so that no other output is compiled."""

    @linked_kernel(number)
    def output_error(z, y, loss, work, K, n, cap):
        """D_L = dJ/dZ_L per sample, written over z (K, n), and the loss of each sample, written to `loss` (n,).

        y (K, n); work (2 n,) is overwritten.
        """
        Z, Y, losses = view(z, 0, K * n), view(y, 0, K * n), view(loss, 0, n)
        fill(losses, 0.0)
        if code == SOFTMAX_LOG:
            softmax_log_loss(Z, Y, losses, view(work, 0, n), view(work, n, n), K, n, cap)
        elif code == LOGISTIC_LOG:
            logistic_log_loss(Z, Y, losses, K, n, cap)
        elif code == IDENTITY_SQUARED:
            identity_squared_error(Z, Y, losses, K, n)
        elif code == EXP_POISSON:
            exp_poisson(Z, Y, losses, K, n)
        else:
            logistic_squared_error(Z, Y, losses, K, n)

    return [output_error]


def linked_link(number: Any, code: int) -> list[LinkedKernel]:
    """Declare the link of output `code`, for predictions."""

    @linked_kernel(number)
    def link(z, work, K, n):
        """Turn pre-activations z (K, n) into outputs in place; work (n,) is overwritten."""
        Z = view(z, 0, K * n)
        if code == SOFTMAX_LOG:
            softmax_link(Z, view(work, 0, n), K, n)
        elif code in (LOGISTIC_LOG, LOGISTIC_SQUARED):
            logistic_link(Z)
        elif code == EXP_POISSON:
            exp_link(Z)

    return [link]
