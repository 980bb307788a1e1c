"""Tasks of the workers: check a partition, encode its targets, compute the gradient of some of its rows."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from fastmlp.estimators._regressor import check_domain
from fastmlp.inspection import cost_and_gradient

__all__ = ["Architecture", "Facts", "Partition", "Sum", "add", "check_partition", "encode", "facts", "gradient", "pack"]

# Rows of one call of `cost_and_gradient`, which limits the size of its copies. The rounding of the result depends on
# this number.
BLOCK_ROWS = 1 << 16


class Partition(NamedTuple):
    """Rows in the memory of a worker, as arrays; `sample_weight` may be None.

    Before `encode`, y holds labels or numbers; after it, class numbers of shape (m,) and type int32, or the targets of
    the network, of shape (m, K).
    """

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None


class Facts(NamedTuple):
    """Properties of a partition that the client needs."""

    rows: int
    columns: int
    target_columns: int  # 0: a vector
    classes: np.ndarray | None
    weight: float


class Architecture(NamedTuple):
    """Options of the network for `cost_and_gradient`, and the shapes of its weights."""

    shapes: tuple[tuple[int, int], ...]
    options: dict[str, Any]

    def unpack(self, w: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return coefs and intercepts as views of `w`, which contains them layer by layer."""
        ends = np.cumsum([0, *(size for n, q in self.shapes for size in (n * q, q))])
        parts = [w[a:b] for a, b in pairwise(ends)]
        return [part.reshape(shape) for part, shape in zip(parts[::2], self.shapes, strict=True)], parts[1::2]


def pack(coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray]) -> np.ndarray:
    """Return all weights in one vector, see `Architecture.unpack`."""
    return np.concatenate([a.ravel() for pair in zip(coefs, intercepts, strict=True) for a in pair])


def check_partition(
    X: Any, y: Any, sample_weight: Any, number: int, dtype: str, loss: tuple[str, float] | None
) -> Partition:
    """Return the rows as arrays. `loss` is that of a regressor, with the power of 'tweedie'; None for classifiers.

    Raises
    ------
    ValueError
        If the partition is empty, X, y and sample_weight differ in length, or they have values that scikit-learn does
        not accept. The message contains the number of the partition.
    """
    if not len(X) == len(y) == (len(X) if sample_weight is None else len(sample_weight)):
        lengths = f"{len(X)} rows in X, {len(y)} in y"
        lengths += "" if sample_weight is None else f", {len(sample_weight)} in sample_weight"
        raise ValueError(f"Partition {number} has {lengths}: all collections must have the same partitions.")
    if len(X) == 0:
        raise ValueError(f"Partition {number} is empty: repartition the data, so that every partition has rows.")
    try:
        X = check_array(X, dtype=dtype, order="C", input_name="X")
        y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if loss is None:
            check_classification_targets(y)
        else:
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
            check_domain(y, *loss)
        if sample_weight is not None:
            sample_weight = check_array(
                column_or_1d(sample_weight),
                ensure_2d=False,
                dtype=dtype,
                input_name="sample_weight",
                ensure_non_negative=True,
            )
    except (TypeError, ValueError) as error:
        raise ValueError(f"Partition {number}: {error}") from error
    return Partition(X, y, sample_weight)


def facts(part: Partition, classify: bool) -> Facts:
    """Return the properties of a partition that is checked, but not yet encoded."""
    labels = classify and part.y.ndim == 1
    return Facts(
        len(part.X),
        part.X.shape[1],
        part.y.shape[1] if part.y.ndim == 2 else 0,
        np.unique(part.y) if labels else None,
        float(len(part.X) if part.sample_weight is None else part.sample_weight.sum(dtype=float)),
    )


def encode(part: Partition, classes: np.ndarray | None) -> Partition:
    """Return the partition with class numbers, or a matrix of targets, instead of y; X is not copied."""
    if classes is None:
        return part._replace(y=part.y.reshape(len(part.X), -1))
    numbers = np.searchsorted(classes, part.y).astype(np.int32)
    # Two classes have one output.
    return part._replace(y=numbers if len(classes) > 2 else numbers[:, np.newaxis].astype(part.X.dtype))


class Sum(NamedTuple):
    """Weight of some rows, and their mean loss and gradient. The weight of no rows is 0."""

    weight: float
    loss: float
    g: np.ndarray


def add(sums: Sequence[Sum]) -> Sum:
    """Return the weighted mean in the given order, in float64. A single sum is returned unchanged."""
    weight = sum(one.weight for one in sums)
    if weight == 0:
        return sums[0]
    loss, g = 0.0, np.zeros(sums[0].g.size)
    for one in sums:
        if one.weight:
            share = one.weight / weight
            loss += share * one.loss
            g += share * one.g
    return Sum(weight, loss, g)


def gradient(part: Partition, w: np.ndarray, rows: np.ndarray | None, architecture: Architecture) -> Sum:
    """Return loss and gradient, without the penalty, over `rows` of the partition (None: all of them), at weights w.

    The rows are processed in the given order, in blocks of `BLOCK_ROWS`.
    """
    coefs, intercepts = architecture.unpack(w)
    number = len(part.X) if rows is None else len(rows)
    sums = []
    for start in range(0, number, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        chosen = block if rows is None else rows[block]
        X, Y = np.asarray(part.X[chosen], w.dtype), part.y[chosen]
        if Y.ndim == 1:
            one_hot = np.zeros((len(Y), architecture.shapes[-1][1]), w.dtype)
            one_hot[np.arange(len(Y)), Y] = 1
            Y = one_hot
        weights = None if part.sample_weight is None else np.asarray(part.sample_weight[chosen], w.dtype)
        weight = float(len(X) if weights is None else weights.sum(dtype=float))
        if weight == 0:
            sums.append(Sum(0.0, 0.0, np.zeros(w.size)))
            continue
        loss, *grads = cost_and_gradient(coefs, intercepts, X, Y, sample_weight=weights, **architecture.options)
        sums.append(Sum(weight, float(loss), pack(*grads)))
    return add(sums)
