"""Scores of distributed predictions, computed as sums over partitions."""

from typing import Any

import numpy as np
from dask.base import compute
from dask.delayed import delayed

__all__ = ["accuracy", "r2"]


def accuracy(model: Any, parts: list[tuple[Any, ...]]) -> float:
    """Return the weighted fraction of rows whose labels are all correct; `parts` are delayed (X, y, sample_weight)."""
    count, lazy = delayed(_right, pure=False), delayed(model, pure=False, traverse=False)
    right, weight = np.sum(compute(*(count(lazy, *part) for part in parts)), axis=0)
    return float(right / weight)


def r2(model: Any, parts: list[tuple[Any, ...]]) -> float:
    """Return the coefficient of determination, averaged over the outputs. The mean of y needs a separate pass."""
    lazy = delayed(model, pure=False, traverse=False)
    moments, squares = delayed(_moments, pure=False), delayed(_squares, pure=False)
    found = compute(*(moments(*part) for part in parts))
    totals, weights, lowest, highest = zip(*found, strict=True)
    mean = sum(totals) / sum(weights)
    residual, total = np.sum(compute(*(squares(lazy, mean, *part) for part in parts)), axis=0)
    # For a constant output, scikit-learn defines the score as 1 if all predictions are exact, otherwise as 0.
    # `total` may differ from 0 if the mean is rounded.
    varies = np.min(lowest, axis=0) < np.max(highest, axis=0)
    return float(np.mean(np.where(varies, 1 - residual / np.where(varies, total, 1), residual == 0)))


def _right(model: Any, X: Any, y: Any, sample_weight: Any) -> tuple[float, float]:
    """Return the weight of the rows whose labels are all correct, and the weight of all rows."""
    right = np.asarray(y) == model.predict(X)
    right = right.all(axis=1) if right.ndim == 2 else right
    weights = np.ones(len(right)) if sample_weight is None else np.asarray(sample_weight, float)
    return float(weights[right].sum()), float(weights.sum())


def _moments(X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Return the weighted sum of y, the sum of the weights, and the smallest and largest y with a positive weight.

    All but the sum of the weights are computed output by output.
    """
    Y = np.asarray(y, float).reshape(len(y), -1)
    weights = np.ones(len(Y)) if sample_weight is None else np.asarray(sample_weight, float)
    counted = Y[weights > 0]
    lowest, highest = counted.min(axis=0, initial=np.inf), counted.max(axis=0, initial=-np.inf)
    return weights @ Y, float(weights.sum()), lowest, highest


def _squares(model: Any, mean: np.ndarray, X: Any, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted sums of squares of the residuals and of y about its mean, output by output."""
    Y = np.asarray(y, float).reshape(len(y), -1)
    weights = np.ones(len(Y)) if sample_weight is None else np.asarray(sample_weight, float)
    residuals = Y - np.asarray(model.predict(X), float).reshape(len(Y), -1)
    return weights @ residuals**2, weights @ (Y - mean) ** 2
