"""Schedules of the learning rate, of the weight decay and of dropout, for each mini-batch.

All factors are computed from sums and products only, because the cosines and powers of C libraries differ in the last
bit, and the weights are to be the same on every machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np

from ._network import Array

__all__ = ["SCHEDULES", "Schedule", "cosine"]

# Smith & Topin (2018), with the constants of PyTorch's OneCycleLR.
RISE, FIRST, FINAL = 0.3, 1 / 25, 1 / 25e4
LAST = "0.01"  # final factor of "exponential"
MILESTONES = (0.5, 0.75)  # "step" divides by 10 here, as in He et al. (2016)

PI = 3.141592653589793
# 1 / (2k)! with alternating signs: the series of the cosine, highest term first.
SERIES = [(-1.0) ** k / float(np.prod(np.arange(1.0, 2 * k + 1))) for k in range(13, -1, -1)]


def cosine(u: Array) -> Array:
    """Return cos(pi u) for u in [0, 1], with the same bits on every machine.

    The error of the series is below 1e-15 for |pi u| <= pi / 2, to which larger angles are reduced.
    """
    flip = u > 0.5
    x = PI * np.where(flip, 1.0 - u, u)
    square, result = x * x, np.zeros_like(x)
    for coefficient in SERIES:
        result = result * square + coefficient
    return np.where(flip, -result, result)


def _constant(u: Array) -> Array:
    return np.ones_like(u)


def _cosine(u: Array) -> Array:
    """(1 + cos(pi u)) / 2 (Loshchilov & Hutter 2017, without restarts)."""
    return 0.5 * (1.0 + cosine(u))


def _linear(u: Array) -> Array:
    """1 - u."""
    return 1.0 - u


def _exponential(u: Array) -> Array:
    """0.01^u, computed as a product of powers 0.01^(2^-k)."""
    result = np.ones_like(u)
    rest = u.copy()
    with localcontext(prec=40):
        for k in range(1, 31):
            part = 2.0**-k
            used = rest >= part
            factor = float(Decimal(LAST) ** (Decimal(1) / (1 << k)))
            result = np.where(used, result * factor, result)
            rest = np.where(used, rest - part, rest)
    return result


def _step(u: Array) -> Array:
    """1, divided by 10 at each milestone."""
    return np.where(u < MILESTONES[0], 1.0, np.where(u < MILESTONES[1], 0.1, 0.01))


def _one_cycle(u: Array) -> Array:
    """From 1/25 up to 1 in the first 30 %, then down to 1/250,000, both along a cosine."""
    rising = FIRST + (1.0 - FIRST) * 0.5 * (1.0 - cosine(np.minimum(u / RISE, 1.0)))
    falling = FINAL + (1.0 - FINAL) * 0.5 * (1.0 + cosine(np.clip((u - RISE) / (1.0 - RISE), 0.0, 1.0)))
    return np.where(u < RISE, rising, falling)


SCHEDULES: dict[str, Callable[[Array], Array]] = {
    "constant": _constant,
    "cosine": _cosine,
    "linear": _linear,
    "exponential": _exponential,
    "step": _step,
    "one_cycle": _one_cycle,
}


@dataclass(frozen=True)
class Schedule:
    """Factors of the learning rate, the weight decay and dropout as functions of the fraction of training done.

    Parameters
    ----------
    rate_init : float
        Initial learning rate, which the factor of the learning rate multiplies.
    rate, decay, dropout : str or callable
        A key of `SCHEDULES`, or a function that takes a fraction in [0, 1) and returns a factor.
    warmup : float
        Fraction of training in which the learning rate rises linearly from 0. The schedule covers the rest of training.
    steps : int
        Number of mini-batches of the whole training.
    """

    rate_init: float
    rate: str | Callable[[float], float]
    warmup: float
    decay: str | Callable[[float], float]
    dropout: str | Callable[[float], float]
    steps: int

    def table(self, first: int, count: int) -> Array:
        """Return the learning rate and the factors of weight decay and dropout of `count` steps, shape (count, 3)."""
        step = np.arange(first, first + count, dtype=float)
        u = np.minimum(step / self.steps, 1.0)
        warm = np.floor(self.warmup * self.steps)
        after = u if warm == 0 else np.clip((step - warm) / max(self.steps - warm, 1.0), 0.0, 1.0)
        rate = _factors("learning_rate", self.rate, after)
        if warm:
            rate = np.where(step < warm, (step + 1.0) / warm, rate)
        decay = _factors("weight_decay_schedule", self.decay, u)
        dropout = np.minimum(_factors("dropout_schedule", self.dropout, u), 1.0)
        return np.column_stack([self.rate_init * rate, decay, dropout])


def _factors(name: str, schedule: str | Callable[[float], float], u: Array) -> Array:
    """Return the factors of a schedule at the fractions u.

    Raises
    ------
    ValueError
        If a function of the user does not return a finite number >= 0.
    """
    if isinstance(schedule, str):
        return SCHEDULES[schedule](u)
    factors = np.empty_like(u)
    for i, fraction in enumerate(u.tolist()):
        value = schedule(fraction)
        if not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
            raise ValueError(f"{name} must return a finite number >= 0, got {value!r} for the fraction {fraction:g}.")
        factors[i] = value
    return factors
