"""Checks of the arguments that both references and `fastmlp.cost` share: shapes, names and targets."""

from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "Activation",
    "Array",
    "BatchNorm",
    "Options",
    "Output",
    "Problem",
    "check_activations",
    "check_name",
    "check_output_error",
    "check_problem",
]

Array: TypeAlias = NDArray[np.floating[Any]]
BatchNorm: TypeAlias = Sequence[tuple[ArrayLike, ArrayLike]]


class Activation(NamedTuple):
    """A row of the table of activations: a function f and its derivative.

    Attributes
    ----------
    forward : callable
        `forward(z)` returns a = f(z).
    derivative : callable
        `derivative(z, a)` returns f'(z).
    in_pieces : bool, default=False
        Whether z contains all pieces of a unit, as for maxout.
    """

    forward: Callable[..., Any]
    derivative: Callable[..., Any]
    in_pieces: bool = False


class Output(NamedTuple):
    """A row of the table of outputs: a link, and the pair of link and loss.

    Attributes
    ----------
    link : callable
        `link(z)` returns h.
    pair : callable
        `pair(z, y)` returns the loss and the error D_L.
    targets : {"any", "binary", "one-hot", "non-negative"}
        Targets that the loss is defined for.
    """

    link: Callable[..., Any]
    pair: Callable[..., Any]
    targets: str


class Options(TypedDict, total=False):
    """Keyword parameters of `cost`, for functions that pass them on."""

    activation: str | Sequence[str]
    output: str
    loss: str
    alpha: float
    penalty: str
    sample_weight: ArrayLike | None
    residual: bool
    batch_norm: BatchNorm | None
    maxout_pieces: int
    dropout_masks: Sequence[ArrayLike] | None


class Problem(NamedTuple):
    """Checked arrays and options.

    `activations`, `pieces` and `batch_norm` have one entry for each hidden layer. `skips` says for each layer whether
    it has a residual connection. It has one more entry, which is False, for the output layer, so that `skips[l + 1]`
    exists for each hidden layer l.
    """

    coefs: list[Array]
    intercepts: list[Array]
    X: Array
    Y: Array
    sample_weight: Array | None
    batch_norm: list[tuple[Array, Array]] | None
    activations: tuple[str, ...]
    pieces: tuple[int, ...]
    skips: tuple[bool, ...]
    output: Output
    masks: list[Array] | None
    alpha: float
    penalty: str


def check_name(parameter: str, value: object, allowed: Collection[str]) -> None:
    """Raise `ValueError` unless `value` is an allowed name."""
    if value not in allowed:
        raise ValueError(f"{parameter} must be one of {list(allowed)}, got {value!r}.")


def _check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}.")


def check_activations(
    activation: str | Sequence[str], n_hidden: int, table: Mapping[str, Activation]
) -> tuple[str, ...]:
    """Return one activation name for each hidden layer."""
    names = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
    for name in (activation,) if isinstance(activation, str) else names:
        check_name("activation", name, table)
    if len(names) != n_hidden:
        raise ValueError(
            f"activation must be one name or one per hidden layer ({n_hidden}), got {len(names)}: {names}."
        )
    return names


def _check_output(output: str, loss: str, table: Mapping[tuple[str, str], Output]) -> Output:
    """Return the row of the table. "auto" selects the first loss of the output."""
    check_name("output", output, list(dict.fromkeys(link for link, _ in table)))
    losses = [allowed for link, allowed in table if link == output]
    check_name(f"loss (with output={output!r})", loss, ["auto", *losses])
    return table[output, losses[0] if loss == "auto" else loss]


def _check_chain(coefs: list[Array], intercepts: list[Array], n_features: int, pieces: Sequence[int]) -> list[int]:
    """Return the widths of the layers 0..L. A layer of p pieces has p columns per unit."""
    widths = [n_features]
    for l, (W, b) in enumerate(zip(coefs, intercepts, strict=True)):
        if W.ndim != 2 or W.shape[0] != widths[-1] or W.shape[1] == 0:
            raise ValueError(
                f"coefs[{l}] must have shape ({widths[-1]}, n) to follow the layer before it, got {W.shape}."
            )
        _check_shape(f"intercepts[{l}]", b, W.shape[1:])
        p = pieces[l] if l < len(pieces) else 1
        if W.shape[1] % p:
            raise ValueError(f"coefs[{l}] must have a multiple of maxout_pieces={p} columns, got {W.shape[1]}.")
        widths.append(W.shape[1] // p)
    return widths


def _check_batch_norm(
    batch_norm: BatchNorm | None, coefs: list[Array], dtype: DTypeLike
) -> list[tuple[Array, Array]] | None:
    if batch_norm is None:
        return None
    if len(batch_norm) != len(coefs) - 1:
        raise ValueError(
            f"batch_norm must hold one (gamma, beta) for each of {len(coefs) - 1} hidden layers, got {len(batch_norm)}."
        )
    checked = [(np.asarray(gamma, dtype), np.asarray(beta, dtype)) for gamma, beta in batch_norm]
    for l, (gamma, beta) in enumerate(checked):
        _check_shape(f"gamma of batch_norm[{l}]", gamma, coefs[l].shape[1:])
        _check_shape(f"beta of batch_norm[{l}]", beta, coefs[l].shape[1:])
    return checked


def _check_targets(Y: Array, shape: tuple[int, int], targets: str) -> None:
    _check_shape("Y", Y, shape)
    if targets in ("binary", "one-hot") and not np.isin(Y, (0, 1)).all():
        raise ValueError("Y must hold only 0 and 1 for a log loss.")
    if targets == "one-hot" and not (Y.sum(axis=1) == 1).all():
        raise ValueError("Y must have exactly one 1 in every row for output='softmax'; 'logistic' allows any number.")
    if targets == "non-negative" and not (Y >= 0).all():
        raise ValueError("Y must not be negative for the Poisson deviance.")


def _check_sample_weight(sample_weight: ArrayLike | None, m: int, dtype: DTypeLike) -> Array | None:
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype)
    _check_shape("sample_weight", weights, (m,))
    if not (weights >= 0).all() or not weights.sum() > 0:
        raise ValueError("sample_weight must be non-negative with a positive sum.")
    return weights


def check_output_error(problem: Problem, D: ArrayLike) -> Array:
    """Return D as an array of the problem's dtype, if it has one row for each sample and one column for each unit."""
    error = np.asarray(D, problem.X.dtype)
    _check_shape("D", error, (len(problem.X), len(problem.intercepts[-1])))
    return error


def _check_masks(masks: Sequence[ArrayLike] | None, m: int, widths: list[int], dtype: DTypeLike) -> list[Array] | None:
    """Check the factors of dropout, one array for each of A_0..A_{L-1}."""
    if masks is None:
        return None
    if len(masks) != len(widths) - 1:
        raise ValueError(f"dropout_masks must hold one array for each of {len(widths) - 1} layers, got {len(masks)}.")
    checked = [np.asarray(mask, dtype) for mask in masks]
    for l, mask in enumerate(checked):
        _check_shape(f"dropout_masks[{l}]", mask, (m, widths[l]))
    return checked


def check_problem(
    activations: Mapping[str, Activation],
    outputs: Mapping[tuple[str, str], Output],
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike | None = None,
    *,
    keep_float32: bool,
    activation: str | Sequence[str] = "relu",
    output: str = "softmax",
    loss: str = "auto",
    alpha: float = 0.0,
    penalty: str = "mean",
    sample_weight: ArrayLike | None = None,
    residual: bool = False,
    batch_norm: BatchNorm | None = None,
    maxout_pieces: int = 2,
    dropout_masks: Sequence[ArrayLike] | None = None,
) -> Problem:
    """Check all arguments of `cost` and return them as a `Problem`. Without `Y`, the targets are empty.

    All arrays are converted to one dtype, which is float32 if `keep_float32` is true and X is float32, and float64
    otherwise. Arrays that have this dtype are not copied.
    """
    X = np.asarray(X)
    dtype = np.float32 if keep_float32 and X.dtype == np.float32 else np.float64
    X = np.asarray(X, dtype)
    if X.ndim != 2 or X.size == 0:
        raise ValueError(f"X must have shape (m, n_features), neither of them 0, got {X.shape}.")
    check_name("penalty", penalty, ["mean", "sum"])
    if not alpha >= 0:
        raise ValueError(f"alpha must be a number >= 0, got {alpha!r}.")
    if not isinstance(maxout_pieces, Integral) or maxout_pieces < 1:
        raise ValueError(f"maxout_pieces must be an integer >= 1, got {maxout_pieces!r}.")

    if not len(coefs) or len(coefs) != len(intercepts):
        raise ValueError(
            f"coefs and intercepts must have one entry for every layer, got {len(coefs)} and {len(intercepts)}."
        )
    W = [np.asarray(array, dtype) for array in coefs]
    b = [np.asarray(array, dtype) for array in intercepts]
    names = check_activations(activation, len(W) - 1, activations)
    pieces = tuple(int(maxout_pieces) if activations[name].in_pieces else 1 for name in names)
    widths = _check_chain(W, b, X.shape[1], pieces)
    skips = tuple(residual and widths[l] == widths[l + 1] for l in range(len(names)))
    row = _check_output(output, loss, outputs)
    if Y is None:
        targets = np.empty((X.shape[0], 0), dtype)
    else:
        targets = np.asarray(Y, dtype)
        _check_targets(targets, (X.shape[0], widths[-1]), row.targets)
    return Problem(
        coefs=W,
        intercepts=b,
        X=X,
        Y=targets,
        sample_weight=_check_sample_weight(sample_weight, X.shape[0], dtype),
        batch_norm=_check_batch_norm(batch_norm, W, dtype),
        activations=names,
        pieces=pieces,
        skips=(*skips, False),
        output=row,
        masks=_check_masks(dropout_masks, X.shape[0], widths, dtype),
        alpha=alpha,
        penalty=penalty,
    )
