"""Output layers: a link and a loss together, because D = h - y is true for some pairs only.

Everything here works unit-major: Z (K, n) with one row per output unit, so that every loop runs over samples
and vectorises, and a sum over units is one chain whatever the vector length. To add an output: a code, a row
of the table, the pair of functions, a branch in `output_error` and `link`; then the reference in `fastmlp.reference`.

The parameter of a loss (`delta`, `levels`, `power`, `gamma`) is a vector of K numbers, one for each output unit.

For `+ zero` after a conditional expression, see `activations`.
"""

from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import copy, fill, view
from .functions import exp, expm1, log, log1p_exp, logistic
from .tables import (
    EXP_GAMMA,
    EXP_POISSON,
    EXP_TWEEDIE,
    IDENTITY_ABSOLUTE,
    IDENTITY_CAUCHY,
    IDENTITY_HUBER,
    IDENTITY_QUANTILE,
    IDENTITY_SQUARED,
    LOGISTIC_FOCAL,
    LOGISTIC_LOG,
    LOGISTIC_SQUARED,
    ORDERED_QUANTILE,
    SOFTMAX_FOCAL,
    SOFTMAX_LOG,
)

__all__ = ["linked_error", "linked_link"]

EXP = (EXP_POISSON, EXP_GAMMA, EXP_TWEEDIE)
LOGISTIC = (LOGISTIC_LOG, LOGISTIC_SQUARED, LOGISTIC_FOCAL)
SOFTMAX = (SOFTMAX_LOG, SOFTMAX_FOCAL)

# Takes the place of zero where the limit for x -> 0 is meant, as in expm1(x u) / x.
TINY = 1e-30


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
    zero, top = Z.dtype.type(0), total
    copy(Z, top)
    for k in range(1, K):
        z = view(Z, k * n, n)
        for i in range(n):
            top[i] = (top[i] if top[i] >= z[i] else z[i]) + zero
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
def ordered_link(Z, K, n):
    """Z_0 stays;  Z_k <- Z_{k-1} + log(1 + e^{Z_k}): never less than the unit before, so quantiles do not cross."""
    for k in range(1, K):
        before, z = view(Z, (k - 1) * n, n), view(Z, k * n, n)
        for i in range(n):
            z[i] = before[i] + log1p_exp(z[i])


@inlined
def smooth(Y, smoothing, share):
    """Y <- (1 - smoothing) Y + smoothing share   (label smoothing, Szegedy et al. 2016, section 7)."""
    kept, spread = Y.dtype.type(1.0 - smoothing), Y.dtype.type(smoothing * share)
    for i in range(Y.size):
        Y[i] = kept * Y[i] + spread


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
    zero, one, cap = Z.dtype.type(0), Z.dtype.type(1), Z.dtype.type(cap)
    copy(view(Z, 0, n), top)
    for k in range(1, K):
        z = view(Z, k * n, n)
        for i in range(n):
            top[i] = (top[i] if top[i] >= z[i] else z[i]) + zero
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


@inlined
def identity_absolute_error(Z, Y, loss, K, n):
    """Z <- sign(Z - Y);  loss_i += sum_k |Z - Y|."""
    zero, one = Z.dtype.type(0), Z.dtype.type(1)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            error = z[i] - y[i]
            # The error itself is zero or NaN in the last case.
            slope = one if error > zero else -one if error < zero else error
            loss[i] += float(slope) * float(error)
            z[i] = slope


@inlined
def identity_huber(Z, Y, loss, delta, K, n):
    """d = Z - Y, limited to [-delta, delta]:  Z <- d;  loss_i += sum_k d (Z - Y - d / 2)   (Huber 1964).

    That is half the squared error up to delta, and delta (|Z - Y| - delta / 2) beyond.
    """
    for k in range(K):
        z, y, largest = view(Z, k * n, n), view(Y, k * n, n), delta[k]
        for i in range(n):
            error = z[i] - y[i]
            slope = largest if error > largest else -largest if error < -largest else error
            loss[i] += float(slope) * (float(error) - 0.5 * float(slope))
            z[i] = slope


@inlined
def identity_cauchy(Z, Y, loss, K, n):
    """d = Z - Y:  Z <- d / (1 + d^2);  loss_i += 1/2 sum_k log(1 + d^2)."""
    one = Z.dtype.type(1)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            error = z[i] - y[i]
            grown = one + error * error
            loss[i] += 0.5 * float(log(grown))
            z[i] = error / grown


@inlined
def pinball(h, y, loss, D, level):
    """D <- 1 - level where h > y, else -level;  loss_i += D (h - y)   (Koenker & Bassett 1978).

    All vectors are of one length; D may be h or y.
    """
    zero, above = h.dtype.type(0), h.dtype.type(1) - level
    for i in range(h.size):
        error = h[i] - y[i]
        slope = above if error > zero else -level if error < zero else error
        loss[i] += float(slope) * float(error)
        D[i] = slope


@inlined
def identity_quantile(Z, Y, loss, levels, K, n):
    """Pinball loss of each unit at its level, see `pinball`."""
    for k in range(K):
        z = view(Z, k * n, n)
        pinball(z, view(Y, k * n, n), loss, z, levels[k])


@inlined
def ordered_quantile(Z, Y, loss, total, levels, K, n):
    """h = ordered(Z):  Z_k <- s(Z_k) sum_{j >= k} d_j, without s for k = 0, where d_j is the derivative of `pinball`.

    Z, Y (K, n); Y and total (n,) are overwritten.
    """
    h = total
    copy(view(Z, 0, n), h)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        if k > 0:
            for i in range(n):
                h[i] += log1p_exp(z[i])
        pinball(h, y, loss, y, levels[k])
    fill(total, 0)
    for k in range(K - 1, -1, -1):
        z, slope = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            total[i] += slope[i]
        if k > 0:
            for i in range(n):
                z[i] = total[i] * logistic(z[i])
        else:
            copy(total, z)


@inlined
def exp_gamma(Z, Y, loss, K, n):
    """u = Z - log Y:  Z <- 1 - e^-u = 1 - Y / h;  loss_i += sum_k u + e^-u - 1 = log(h / Y) + Y / h - 1."""
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            ratio = z[i] - log(y[i])
            rest = expm1(-ratio)
            loss[i] += float(ratio + rest)
            z[i] = -rest


@inlined
def exp_tweedie(Z, Y, loss, power, K, n):
    """h = e^Z:  Z <- h^(1-p) (h - Y);  loss_i += sum_k Y^(2-p) / ((1-p) (2-p)) - Y h^(1-p) / (1-p) + h^(2-p) / (2-p).

    With u = Z - log Y, the loss is Y^(2-p) [(e^((2-p) u) - 1) / (2-p) - (e^((1-p) u) - 1) / (1-p)]: no large terms
    cancel, and the limits p = 1 (Poisson) and p = 2 (gamma) need no formulas. For Y = 0 it is h^(2-p) / (2-p).
    """
    zero, one, two, tiny = Z.dtype.type(0), Z.dtype.type(1), Z.dtype.type(2), Z.dtype.type(TINY)
    for k in range(K):
        z, y, p = view(Z, k * n, n), view(Y, k * n, n), power[k]
        a, b = one - p, two - p
        a, b = tiny if a == zero else a, tiny if b == zero else b
        for i in range(n):
            log_y = log(y[i])
            ratio = z[i] - log_y
            deviance = exp(b * log_y) * (expm1(b * ratio) / b - expm1(a * ratio) / a)
            deviance = deviance if y[i] > zero else exp(b * z[i]) / b
            loss[i] += float(deviance)
            z[i] = exp(a * z[i]) * (exp(z[i]) - y[i])


@inlined
def logistic_focal(Z, Y, loss, gamma, K, n):
    """Focal loss of logistic units (Lin et al. 2017): loss_i += sum_k Y f(Z) + (1 - Y) f(-Z), Z <- its derivative.

    f(z) = (1 - s(z))^gamma log(1 + e^-z), where s is the logistic function, and
    f'(z) = -(1 - s(z))^gamma [gamma s(z) log(1 + e^-z) + 1 - s(z)].
    """
    one = Z.dtype.type(1)
    for k in range(K):
        z, y, power = view(Z, k * n, n), view(Y, k * n, n), gamma[k]
        for i in range(n):
            h, not_h = logistic(z[i]), logistic(-z[i])
            if_one, if_zero = log1p_exp(-z[i]), log1p_exp(z[i])  # -log h and -log (1 - h)
            of_one, of_zero = exp(-power * if_zero), exp(-power * if_one)
            y_0 = one - y[i]
            loss[i] += float(y[i] * (of_one * if_one) + y_0 * (of_zero * if_zero))
            slope = y_0 * of_zero * (power * not_h * if_zero + h)
            z[i] = slope - y[i] * of_one * (power * h * if_one + not_h)


@inlined
def softmax_focal(Z, Y, loss, top, total, gamma, K, n):
    """p = softmax(Z), q = 1 - p:  loss_i -= sum_k Y q^gamma log p;  Z <- g - p sum_j g_j   (Lin et al. 2017).

    g = Y q^gamma (gamma p log(p) / q - 1) is p times the derivative of the loss by p. Z, Y (K, n); Y, top and total
    (n,) are overwritten.
    """
    zero, one, tiny, power = Z.dtype.type(0), Z.dtype.type(1), Z.dtype.type(TINY), gamma[0]
    copy(view(Z, 0, n), top)
    for k in range(1, K):
        z = view(Z, k * n, n)
        for i in range(n):
            top[i] = (top[i] if top[i] >= z[i] else z[i]) + zero
    fill(total, 0)
    for k in range(K):
        z = view(Z, k * n, n)
        for i in range(n):
            z[i] = z[i] - top[i]
            total[i] += exp(z[i])
    for i in range(n):
        total[i] = log(total[i])
    slopes = top
    fill(slopes, 0)
    for k in range(K):
        z, y = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            log_p = z[i] - total[i]
            p = exp(log_p)
            q = one - p
            q = q if q > tiny else tiny  # p may round to 1
            weight = y[i] * exp(power * log(q))
            loss[i] -= float(weight * log_p)
            g = weight * (power * p * (log_p / q) - one)
            slopes[i] += g
            y[i], z[i] = g, p
    for k in range(K):
        z, g = view(Z, k * n, n), view(Y, k * n, n)
        for i in range(n):
            z[i] = g[i] - z[i] * slopes[i]


def linked_error(number: Any, code: int) -> list[LinkedKernel]:
    """Declare the loss and error of output `code`, which is a constant, so that no other output is compiled."""
    is_softmax, of_classes = code in SOFTMAX, code in SOFTMAX + LOGISTIC

    @linked_kernel(number)
    def output_error(z, y, loss, work, K, n, cap, label_smoothing, loss_parameters):
        """D_L = dJ/dZ_L per sample, written over z (K, n), and the loss of each sample, written to `loss` (n,).

        y (K, n) and work (2 n,) are overwritten; loss_parameters (K,) are those of the units, if the loss has one.
        """
        Z, Y, losses = view(z, 0, K * n), view(y, 0, K * n), view(loss, 0, n)
        fill(losses, 0.0)
        if of_classes and label_smoothing != 0.0:
            smooth(Y, label_smoothing, 1.0 / K if is_softmax else 0.5)
        if code == SOFTMAX_LOG:
            softmax_log_loss(Z, Y, losses, view(work, 0, n), view(work, n, n), K, n, cap)
        elif code == LOGISTIC_LOG:
            logistic_log_loss(Z, Y, losses, K, n, cap)
        elif code == IDENTITY_SQUARED:
            identity_squared_error(Z, Y, losses, K, n)
        elif code == IDENTITY_ABSOLUTE:
            identity_absolute_error(Z, Y, losses, K, n)
        elif code == IDENTITY_HUBER:
            identity_huber(Z, Y, losses, view(loss_parameters, 0, K), K, n)
        elif code == IDENTITY_QUANTILE:
            identity_quantile(Z, Y, losses, view(loss_parameters, 0, K), K, n)
        elif code == IDENTITY_CAUCHY:
            identity_cauchy(Z, Y, losses, K, n)
        elif code == ORDERED_QUANTILE:
            ordered_quantile(Z, Y, losses, view(work, 0, n), view(loss_parameters, 0, K), K, n)
        elif code == EXP_POISSON:
            exp_poisson(Z, Y, losses, K, n)
        elif code == EXP_GAMMA:
            exp_gamma(Z, Y, losses, K, n)
        elif code == EXP_TWEEDIE:
            exp_tweedie(Z, Y, losses, view(loss_parameters, 0, K), K, n)
        elif code == LOGISTIC_FOCAL:
            logistic_focal(Z, Y, losses, view(loss_parameters, 0, K), K, n)
        elif code == SOFTMAX_FOCAL:
            parameters = view(loss_parameters, 0, K)
            softmax_focal(Z, Y, losses, view(work, 0, n), view(work, n, n), parameters, K, n)
        else:
            logistic_squared_error(Z, Y, losses, K, n)

    return [output_error]


def linked_link(number: Any, code: int) -> list[LinkedKernel]:
    """Declare the link of output `code`, for predictions."""
    is_softmax, is_logistic, is_exp = code in SOFTMAX, code in LOGISTIC, code in EXP

    @linked_kernel(number)
    def link(z, work, K, n):
        """Turn pre-activations z (K, n) into outputs in place; work (n,) is overwritten."""
        Z = view(z, 0, K * n)
        if is_softmax:
            softmax_link(Z, view(work, 0, n), K, n)
        elif is_logistic:
            logistic_link(Z)
        elif is_exp:
            exp_link(Z)
        elif code == ORDERED_QUANTILE:
            ordered_link(Z, K, n)

    return [link]
