"""One exponent that makes probabilities fit the frequencies of the classes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ._training import log_loss

__all__ = ["find_exponent", "raise_to"]

LOG_RANGE = (-1.5, 1.5)  # of the exponent's logarithm


def raise_to(probabilities: NDArray[Any], exponent: float) -> NDArray[Any]:
    """Return p^exponent / sum p^exponent for each row; `probabilities` (m, K)."""
    powers = np.power(probabilities, exponent)
    return powers / powers.sum(axis=1, keepdims=True)


def find_exponent(probabilities: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """Return the exponent with the lowest log-loss: temperature scaling (Guo et al. 2017), temperature 1 / exponent.

    Parameters
    ----------
    probabilities : ndarray of shape (m, K)
        Predictions for rows that were not trained on. NaN: the row has none, and is not used.
    y : ndarray of shape (m,)
        Class numbers.
    weight : ndarray of shape (m,) or None

    Returns
    -------
    float
        Between exp(-1.5) and exp(1.5).
    """
    known = ~np.isnan(probabilities[:, 0])
    P, y = probabilities[known], y[known]
    if not len(y):
        return 1.0
    weight = None if weight is None else weight[known]
    found = minimize_scalar(
        lambda log: log_loss(raise_to(P, np.exp(log)), y, weight), bounds=LOG_RANGE, method="bounded"
    )
    return float(np.exp(found.x))
