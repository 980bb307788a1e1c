"""Batch normalisation (Ioffe & Szegedy 2015), forward and backward.

The statistics are those of the whole mini-batch. Each thread computes them for a part of the columns, over all rows in
order, so they do not depend on the size of the team. H (rows, q) contains the normalised values of the batch. It is
followed by mean, scale and two sums of gradients, (q,) each.
"""

import math
from typing import Any

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import copy, fill, offset, view
from .layout import EPSILON, MOMENTUM
from .team import barrier

__all__ = [
    "EPSILON",
    "column_gradients",
    "column_statistics",
    "linked",
    "normalise",
    "normalise_backward",
]


@inlined
def column_statistics(Z, rows, q, lo, hi, mean, scale, running_mean, running_variance):
    """mean_k, scale_k = 1 / sqrt(variance_k + EPSILON) of columns lo..hi of Z (rows, q); both (q,) are written.

    The running statistics are updated: r <- MOMENTUM r + (1 - MOMENTUM) new. The variance is the sum divided by `rows`.
    """
    number = Z.dtype.type
    keep, add = number(MOMENTUM), number(1 - MOMENTUM)
    width = hi - lo
    total, square = view(mean, lo, width), view(scale, lo, width)
    fill(total, 0)
    fill(square, 0)
    for i in range(rows):
        z = view(Z, i * q + lo, width)
        for k in range(width):
            total[k] += z[k]
    for k in range(width):
        total[k] = total[k] / number(rows)
    for i in range(rows):
        z = view(Z, i * q + lo, width)
        for k in range(width):
            gap = z[k] - total[k]
            square[k] += gap * gap
    for k in range(width):
        variance = square[k] / number(rows)
        running_mean[lo + k] = keep * running_mean[lo + k] + add * total[k]
        running_variance[lo + k] = keep * running_variance[lo + k] + add * variance
        square[k] = number(1) / math.sqrt(variance + number(EPSILON))


@inlined
def normalise(Z, H, gamma, beta, mean, scale, rows, q):
    """H <- (H - mean) scale;  Z <- gamma H + beta.   Z, H (rows, q)."""
    for i in range(rows):
        z, h = view(Z, i * q, q), view(H, i * q, q)
        for k in range(q):
            h[k] = (h[k] - mean[k]) * scale[k]
            z[k] = gamma[k] * h[k] + beta[k]


@inlined
def column_gradients(D, H, rows, q, lo, hi, d_gamma, d_beta):
    """d_gamma_k = sum_i D_ik H_ik, d_beta_k = sum_i D_ik for columns lo..hi; both (q,) are written."""
    width = hi - lo
    by_gamma, by_beta = view(d_gamma, lo, width), view(d_beta, lo, width)
    fill(by_gamma, 0)
    fill(by_beta, 0)
    for i in range(rows):
        d, h = view(D, i * q + lo, width), view(H, i * q + lo, width)
        for k in range(width):
            by_gamma[k] += d[k] * h[k]
            by_beta[k] += d[k]


@inlined
def normalise_backward(D, H, gamma, scale, d_gamma, d_beta, rows, q, batch):
    """D <- gamma scale (D - (d_beta + H d_gamma) / batch), with the derivatives of the statistics."""
    share = D.dtype.type(1) / D.dtype.type(batch)
    for i in range(rows):
        d, h = view(D, i * q, q), view(H, i * q, q)
        for k in range(q):
            d[k] = gamma[k] * scale[k] * (d[k] - share * (d_beta[k] + h[k] * d_gamma[k]))


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernels for arrays of `number`."""

    @linked_kernel(number)
    def normalise_rows(z, h, lo, n, rows, q, gamma, running, rank, team, signals):
        """Z <- gamma H + beta for this thread's rows lo..lo + n. All threads together write H, mean and scale.

        z points to the thread's rows (n, q), h to H of the batch, gamma to gamma and beta (2 q,), and running to the
        running mean and variance (2 q,). Returns early if the team aborts.
        """
        mine = offset(h, lo * q)
        copy(view(z, 0, n * q), view(mine, 0, n * q))
        if not barrier(signals, team):
            return
        mean, scale = view(h, rows * q, q), view(h, (rows + 1) * q, q)
        first, stop = q * rank // team, q * (rank + 1) // team
        column_statistics(
            view(h, 0, rows * q), rows, q, first, stop, mean, scale, view(running, 0, q), view(running, q, q)
        )
        if not barrier(signals, team):
            return
        normalise(view(z, 0, n * q), view(mine, 0, n * q), view(gamma, 0, q), view(gamma, q, q), mean, scale, n, q)

    @linked_kernel(number)
    def normalise_running(z, gamma, running, rows, q):
        """Z <- gamma (Z - mean) / sqrt(variance + EPSILON) + beta.

        z points to Z (rows, q), gamma to gamma and beta (2 q,), and running to the running mean and variance (2 q,).
        """
        scale, shift = view(gamma, 0, q), view(gamma, q, q)
        mean, variance = view(running, 0, q), view(running, q, q)
        one, epsilon = scale.dtype.type(1), scale.dtype.type(EPSILON)
        for i in range(rows):
            u = view(z, i * q, q)
            for k in range(q):
                factor = one / math.sqrt(variance[k] + epsilon)
                u[k] = scale[k] * ((u[k] - mean[k]) * factor) + shift[k]

    @linked_kernel(number)
    def normalise_backward_rows(d, h, lo, n, rows, q, gamma, rank, team, signals):
        """Propagate D through the normalisation, for this thread's rows lo..lo + n. All threads write the sums after H.

        d points to D (rows, q) of the batch and h to H. Returns early if the team aborts.
        """
        if not barrier(signals, team):
            return
        d_gamma, d_beta = view(h, (rows + 2) * q, q), view(h, (rows + 3) * q, q)
        first, stop = q * rank // team, q * (rank + 1) // team
        column_gradients(view(d, 0, rows * q), view(h, 0, rows * q), rows, q, first, stop, d_gamma, d_beta)
        if not barrier(signals, team):
            return
        mine, scale = view(h, lo * q, n * q), view(h, (rows + 1) * q, q)
        normalise_backward(view(d, lo * q, n * q), mine, view(gamma, 0, q), scale, d_gamma, d_beta, n, q, rows)

    return [normalise_rows, normalise_running, normalise_backward_rows]
