"""Checks of the arguments that both references and `fastmlp.cost` share: shapes, names and targets.

For both references, a new option of the objective is declared in `Options`, `Problem`, `check_problem` and `make_cost`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple, Protocol, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "Activation",
    "Array",
    "BatchNorm",
    "Cost",
    "LossParameter",
    "Options",
    "Output",
    "Problem",
    "check_activations",
    "check_name",
    "check_output_error",
    "check_problem",
    "make_cost",
    "smooth_labels",
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


class LossParameter(NamedTuple):
    """The parameter of a loss: what it is, its default, and its bounds (the lower one is allowed if `closed`)."""

    meaning: str
    default: float
    low: float
    high: float
    closed: bool = False


class Output(NamedTuple):
    """A row of the table of outputs: a link, and the pair of link and loss.

    Attributes
    ----------
    link : callable
        `link(z)` returns h.
    pair : callable
        `pair(z, y)` returns the loss and the error D_L. With a parameter: `pair(z, y, values)`, a value for each unit.
    targets : {"any", "binary", "one-hot", "non-negative", "positive", "tweedie"}
        Targets that the loss is defined for. For the Tweedie deviance, that depends on the power.
    parameter : LossParameter or None, default=None
        The parameter of the loss.
    """

    link: Callable[..., Any]
    pair: Callable[..., Any]
    targets: str
    parameter: LossParameter | None = None


class Options(TypedDict, total=False):
    """Keyword parameters of `cost`, for functions that pass them on."""

    activation: str | Sequence[str]
    output: str
    loss: str
    loss_parameter: ArrayLike | None
    label_smoothing: float
    alpha: float
    penalty: str
    sample_weight: ArrayLike | None
    residual: bool
    batch_norm: BatchNorm | None
    maxout_pieces: int
    dropout_masks: Sequence[ArrayLike] | None


class Cost(Protocol):
    """The type of the function `cost` of both references."""

    def __call__(
        self,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        X: ArrayLike,
        Y: ArrayLike,
        **options: Unpack[Options],
    ) -> float: ...


class Problem(NamedTuple):
    """Checked arrays and options.

    `activations`, `pieces` and `batch_norm` have one entry for each hidden layer. `skips` says for each layer whether
    it has a residual connection. It has one more entry, which is False, for the output layer, so that `skips[l + 1]`
    exists for each hidden layer l. `output.pair` takes only z and y: it contains `loss_parameters`, those of the loss
    for each output unit. `Y` is smoothed if there is label smoothing.
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
    loss: str
    loss_parameters: tuple[float, ...]
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


def _check_output(output: str, loss: str, table: Mapping[tuple[str, str], Output]) -> str:
    """Return the name of the loss. "auto" selects the first loss of the output."""
    check_name("output", output, list(dict.fromkeys(link for link, _ in table)))
    losses = [allowed for link, allowed in table if link == output]
    check_name(f"loss (with output={output!r})", loss, ["auto", *losses])
    return losses[0] if loss == "auto" else loss


def _check_loss_parameter(
    loss_parameter: ArrayLike | None, loss: str, parameter: LossParameter | None, n_outputs: int
) -> tuple[float, ...]:
    """Return the parameter of the loss for each output unit; nothing if the loss has none."""
    if parameter is None:
        if loss_parameter is not None:
            raise ValueError(f"loss_parameter must be None for loss={loss!r}, got {loss_parameter!r}.")
        return ()
    values = np.asarray(parameter.default if loss_parameter is None else loss_parameter, np.float64)
    low, high, closed = parameter.low, parameter.high, parameter.closed
    if values.shape not in ((), (n_outputs,)) or not (
        (values >= low if closed else values > low).all() and (values < high).all()
    ):
        raise ValueError(
            f"loss_parameter, {parameter.meaning} of loss={loss!r}, must be one number or one for each of {n_outputs} "
            f"output units in {'[' if closed else '('}{low:g}, {high:g}), got {loss_parameter!r}."
        )
    return tuple(np.broadcast_to(values, n_outputs).tolist())


def smooth_labels(Y: Array, label_smoothing: float, output: str) -> Array:
    """Return (1 - s) Y + s / K for softmax, (1 - s) Y + s / 2 for logistic units (Szegedy et al. 2016, section 7)."""
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}.")
    if label_smoothing == 0:
        return Y
    if output not in ("softmax", "logistic"):
        raise ValueError(f"label_smoothing must be 0 with output={output!r}, got {label_smoothing!r}.")
    return (1 - label_smoothing) * Y + label_smoothing / (Y.shape[1] if output == "softmax" else 2)


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


def _check_targets(Y: Array, shape: tuple[int, int], targets: str, loss_parameters: tuple[float, ...]) -> None:
    _check_shape("Y", Y, shape)
    if targets == "tweedie":
        targets = "positive" if max(loss_parameters) >= 2 else "non-negative"
    if targets in ("binary", "one-hot") and not ((Y == 0) | (Y == 1)).all():
        raise ValueError("Y must hold only 0 and 1 for a log loss.")
    if targets == "one-hot" and not (Y.sum(axis=1) == 1).all():
        raise ValueError("Y must have exactly one 1 in every row for output='softmax'; 'logistic' allows any number.")
    if targets == "non-negative" and not (Y >= 0).all():
        raise ValueError("Y must not be negative for the Poisson deviance, nor for the Tweedie deviance.")
    if targets == "positive" and not (Y > 0).all():
        raise ValueError("Y must be positive for the gamma deviance and for the Tweedie deviance of a power >= 2.")


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


def _bind(pair: Callable[..., Any], parameters: Array) -> Callable[..., Any]:
    """Return `pair` as a function of z and y."""
    return lambda z, y: pair(z, y, parameters)


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
    loss_parameter: ArrayLike | None = None,
    label_smoothing: float = 0.0,
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
    loss = _check_output(output, loss, outputs)
    row = outputs[output, loss]
    parameters = _check_loss_parameter(loss_parameter, loss, row.parameter, widths[-1])
    if Y is None:
        targets = np.empty((X.shape[0], 0), dtype)
    else:
        targets = np.asarray(Y, dtype)
        _check_targets(targets, (X.shape[0], widths[-1]), row.targets, parameters)
    targets = smooth_labels(targets, label_smoothing, output)
    if parameters:
        row = row._replace(pair=_bind(row.pair, np.asarray(parameters, dtype)))
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
        loss=loss,
        loss_parameters=parameters,
        alpha=alpha,
        penalty=penalty,
    )


def make_cost(module: str, check: Callable[..., Problem], compute: Callable[[Problem], float]) -> Cost:
    """Return the function `cost` of a reference.

    Parameters
    ----------
    module : str
        Name of the module that exports the function, by which pickle finds it.
    check : callable
        Checks the arguments of `cost` and returns them as a `Problem`.
    compute : callable
        Returns the cost of a problem.

    Returns
    -------
    callable
    """

    def cost(
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        X: ArrayLike,
        Y: ArrayLike,
        *,
        activation: str | Sequence[str] = "relu",
        output: str = "softmax",
        loss: str = "auto",
        loss_parameter: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        alpha: float = 0.0,
        penalty: str = "mean",
        sample_weight: ArrayLike | None = None,
        residual: bool = False,
        batch_norm: BatchNorm | None = None,
        maxout_pieces: int = 2,
        dropout_masks: Sequence[ArrayLike] | None = None,
    ) -> float:
        """Compute the cost J, the mean loss of the samples plus the L2 penalty.

        Parameters
        ----------
        coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
            Weights and biases, like scikit-learn's `coefs_` and `intercepts_`.
        X : array-like of shape (m, n_0)
            Samples.
        Y : array-like of shape (m, n_L)
            Targets: one-hot rows for softmax, 0 and 1 for the log loss and the focal loss of logistic units,
            non-negative numbers for the Poisson deviance and the Tweedie deviance, positive ones for the gamma deviance
            and the Tweedie deviance of a power >= 2, any numbers for the other losses.
        activation : str or sequence of str, default="relu"
            A name in `ACTIVATIONS` for all hidden layers, or one name for each.
        output : {"softmax", "logistic", "identity", "exp", "ordered"}, default="softmax"
            Link of the output layer.
        loss : {"auto", "log_loss", "squared_error", "poisson", "absolute_error", "huber", "quantile", "cauchy", \
"gamma", "tweedie", "focal"}, default="auto"
            Loss. (output, loss) must be a key of `OUTPUTS`. "auto" selects the first loss in `OUTPUTS` for the output,
            which is its canonical loss.
        loss_parameter : float or array-like of shape (n_L,), default=None
            Parameter of the loss: delta of "huber" (default 1), the quantile of "quantile" (0.5), the power of
            "tweedie" (1.5) or gamma of "focal" (2), for all output units or for each.
        label_smoothing : float, default=0.0
            Targets y become (1 - s) y + s / n_L with softmax and (1 - s) y + s / 2 with logistic units, where s is this
            number in [0, 1).
        alpha : float, default=0.0
            Strength of the L2 penalty (lambda). Biases are not penalised.
        penalty : {"mean", "sum"}, default="mean"
            Whether the penalty is divided by m ("mean") or not ("sum").
        sample_weight : array-like of shape (m,), default=None
            Weights of the samples. By default, all weights are 1.
        residual : bool, default=False
            Whether each hidden layer that is as wide as its input adds the input to its output.
        batch_norm : sequence of L - 1 pairs (gamma, beta) of shapes (n_l,), default=None
            Scale and shift of the batch normalisation of each hidden layer. By default, there is no batch
            normalisation. Maxout layers have maxout_pieces * n_l numbers instead of n_l.
        maxout_pieces : int, default=2
            Number of linear pieces of a maxout unit. The weights of a maxout layer with n_l units have maxout_pieces *
            n_l columns, with all first pieces, then all second pieces and so on.
        dropout_masks : sequence of L arrays of shape (m, n_l), default=None
            Factors of A_0..A_{L-1}, see `dropout_mask`. By default, nothing is dropped.

        Returns
        -------
        float
            The cost J.

        Raises
        ------
        ValueError
            If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

        Examples
        --------
        >>> from fastmlp.reference import vectorized
        >>> round(vectorized.cost([[[0.0, 0.0]]], [[0.0, 0.0]], [[1.0]], [[1.0, 0.0]]), 4)
        0.6931
        """
        problem = check(
            coefs,
            intercepts,
            X,
            Y,
            activation=activation,
            output=output,
            loss=loss,
            loss_parameter=loss_parameter,
            label_smoothing=label_smoothing,
            alpha=alpha,
            penalty=penalty,
            sample_weight=sample_weight,
            residual=residual,
            batch_norm=batch_norm,
            maxout_pieces=maxout_pieces,
            dropout_masks=dropout_masks,
        )
        return compute(problem)

    cost.__module__, cost.__qualname__ = module, cost.__name__
    return cost
