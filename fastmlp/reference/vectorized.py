"""Backpropagation in whole-batch NumPy: the best honest vectorised version, the twin of `loops`.

Layers 0..L, m samples. `W_l` (n_{l-1}, n_l) and `b_l` (n_l) lead from layer l-1 to layer l, and A_0 = X::

    forward       Z_l = A_{l-1} W_l + b_l,    A_l = f(Z_l),    h = A_L = link(Z_L)
    cost          J = 1/m sum_i loss(h_i, y_i) + penalty,    penalty = lambda/(2m) or lambda/2 times sum W^2
    output error  D_L = dloss/dZ_L = h - y for the canonical pairs of link and loss
    recursion     D_l = (D_{l+1} W_{l+1}^T) * f'(Z_l)    for l = L-1..1
    gradients     dJ/dW_l = A_{l-1}^T D_l / m + penalty',    dJ/db_l = sum_i D_l / m

Sample weights make every sum over i a weighted sum, and m the sum of the weights. Two additions to a hidden
layer, both off by default:

- residual: A_l = f(Z_l) + A_{l-1} where both have one width; the error of A_l then also reaches A_{l-1}
  unchanged;
- batch normalisation: f is applied to gamma (Z_l - mean) / sqrt(variance + 1e-5) + beta, with the plain mean
  and biased variance of the batch's rows: sample weights do not enter these statistics.

Python counts from 0: `coefs[l]` is W_{l+1} and `Z[l]`, `D[l]` belong to it; `A[l]` enters it, `A[l + 1]`
leaves. Arrays are float64; if X is float32, everything is float32. Activations, outputs and optimizers are
the rows of three tables, each in a file of its own that has the functions of both twins side by side.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._problem import (
    Array,
    BatchNorm,
    Options,
    Problem,
    check_output_error,
    check_problem,
)
from fastmlp.reference._activations import VECTORIZED as ACTIVATIONS
from fastmlp.reference._optimizers import VECTORIZED as OPTIMIZERS
from fastmlp.reference._outputs import VECTORIZED as OUTPUTS
from fastmlp.reference._training import Hyper, Rng, central_differences, initial_ranges, train

__all__ = [
    "ACTIVATIONS",
    "OPTIMIZERS",
    "OUTPUTS",
    "accumulate_gradient",
    "activate",
    "activate_backward",
    "affine",
    "backpropagate",
    "backward",
    "batch_normalize",
    "batch_normalize_backward",
    "cost",
    "cost_and_gradient",
    "delta_recurrence",
    "fit",
    "forward",
    "gradient_descent_step",
    "initial_weights",
    "numerical_gradient",
    "output_error",
    "pre_activations",
]

BATCH_NORM_EPSILON = 1e-5

_check = partial(check_problem, ACTIVATIONS, OUTPUTS, keep_float32=True)


# ---- The steps of one pass. ----


def affine(A: Array, W: Array, b: Array) -> Array:
    """Z = A W + b.   A (m, n_{l-1}), W (n_{l-1}, n_l), b (n_l), Z (m, n_l) is returned."""
    Z = A @ W
    Z += b
    return Z


def activate(activation: str, Z: Array, maxout_pieces: int = 2) -> Array:
    """A = f(Z).   Z (m, n_l), A (m, n_l) is returned.

    For maxout Z has p n_l columns, piece after piece: unit k chooses among columns k, n_l + k, 2 n_l + k...
    """
    row = ACTIVATIONS[activation]
    result: Array = row.forward(Z.reshape(len(Z), maxout_pieces, -1) if row.in_pieces else Z)
    return result


def activate_backward(activation: str, Z: Array, A: Array, E: Array, maxout_pieces: int = 2) -> Array:
    """D = E * f'(Z): from the error E of A = f(Z) to that of Z.   A, E (m, n_l), D like Z is returned."""
    row = ACTIVATIONS[activation]
    if row.in_pieces:
        slopes = row.derivative(Z.reshape(len(Z), maxout_pieces, -1), A)
        D: Array = (E[:, np.newaxis] * slopes).reshape(Z.shape)
    else:
        D = E * row.derivative(Z, A)
    return D


def batch_normalize(Z: Array, gamma: Array, beta: Array) -> tuple[Array, Array, Array]:
    """U = gamma N + beta with N = (Z - mean) s, s = 1 / sqrt(variance + 1e-5), over the rows of the batch.

    Z (m, n_l), gamma and beta (n_l); U (m, n_l), N (m, n_l) and s (n_l) are returned.
    """
    N = Z - Z.mean(axis=0)
    s = 1 / np.sqrt(np.einsum("ik,ik->k", N, N) / len(Z) + BATCH_NORM_EPSILON)
    N *= s
    return gamma * N + beta, N, s


def batch_normalize_backward(D: Array, N: Array, s: Array, gamma: Array) -> tuple[Array, Array, Array]:
    """From the error D of U to that of Z: gamma s (D - mean(D) - N mean(D N)); mean and variance move too.

    D, N (m, n_l), s and gamma (n_l); returned are the error (m, n_l), and the sums over the batch for gamma,
    sum_i D N, and for beta, sum_i D.
    """
    for_gamma = np.einsum("ik,ik->k", D, N)
    for_beta = D.sum(axis=0)
    return (gamma * s) * (D - for_beta / len(D) - N * (for_gamma / len(D))), for_gamma, for_beta


def delta_recurrence(D: Array, W: Array) -> Array:
    """E = D W^T: the error of a layer's outputs is what its weights carried into the errors of the next.

    D (m, n_{l+1}), W (n_l, n_{l+1}), E (m, n_l) is returned; times f'(Z_l) it is D_l.
    """
    return D @ W.T


def accumulate_gradient(
    A: Array, D: Array, W: Array, m: float, *, alpha: float = 0.0, penalty: str = "mean"
) -> tuple[Array, Array]:
    """dJ/dW = A^T D / m + alpha/m W ("mean") or + alpha W ("sum"),   dJ/db = sum_i D_i / m.

    A (m, n_{l-1}), D (m, n_l), W (n_{l-1}, n_l); gradients in the shapes of W and b are returned.
    """
    dW = A.T @ D
    dW /= m
    if alpha:
        dW += (alpha / m if penalty == "mean" else alpha) * W
    return dW, D.sum(axis=0) / m


class _Trace(NamedTuple):
    """What the forward pass leaves for the way back; `F[l]` is f(Z[l]), before any residual is added."""

    A: list[Array]
    Z: list[Array]
    F: list[Array]
    normalized: list[tuple[Array, Array]]


def _forward(problem: Problem) -> _Trace:
    """Every layer but the link of the last, which belongs to the loss; Z is what f sees."""
    trace = _Trace([problem.X], [], [], [])
    for l, name in enumerate(problem.activations):
        Z = affine(trace.A[l], problem.coefs[l], problem.intercepts[l])
        if problem.batch_norm is not None:
            Z, *kept = batch_normalize(Z, *problem.batch_norm[l])
            trace.normalized.append((kept[0], kept[1]))
        F = activate(name, Z, problem.pieces[l])
        trace.Z.append(Z)
        trace.F.append(F)
        trace.A.append(F + trace.A[l] if problem.skips[l] else F)
    trace.Z.append(affine(trace.A[-1], problem.coefs[-1], problem.intercepts[-1]))
    return trace


def _backward(problem: Problem, trace: _Trace, D: Array) -> tuple[list[Array], list[tuple[Array, Array]]]:
    """The errors D_1..D_L, given D_L, and the sums for gamma and beta of every hidden layer."""
    deltas = [D]
    for_batch_norm: list[tuple[Array, Array]] = []
    E_above = D
    for l in reversed(range(len(problem.activations))):
        E = delta_recurrence(D, problem.coefs[l + 1])
        if problem.skips[l + 1]:
            E += E_above
        E_above = E
        D = activate_backward(problem.activations[l], trace.Z[l], trace.F[l], E, problem.pieces[l])
        if problem.batch_norm is not None:
            D, *sums = batch_normalize_backward(D, *trace.normalized[l], problem.batch_norm[l][0])
            for_batch_norm.insert(0, (sums[0], sums[1]))
        deltas.insert(0, D)
    return deltas, for_batch_norm


def _weigh(problem: Problem, loss: Array, D: Array) -> tuple[float, float, Array]:
    """The sum of the losses, m, and D_L, with sample weights if there are any."""
    weights = problem.sample_weight
    if weights is None:
        return float(loss.sum()), float(len(loss)), D
    return float(weights @ loss), float(weights.sum()), D * weights[:, np.newaxis]


def _penalized(problem: Problem, total: float, m: float) -> float:
    """J: the mean loss and the penalty."""
    squares = sum(float(np.vdot(W, W)) for W in problem.coefs)
    return total / m + 0.5 * problem.alpha * squares / (m if problem.penalty == "mean" else 1)


def _cost(problem: Problem) -> float:
    """`cost` of arrays that are checked."""
    loss, D = problem.output.pair(_forward(problem).Z[-1], problem.Y)
    total, m, _ = _weigh(problem, loss, D)
    return _penalized(problem, total, m)


def _cost_and_gradient(problem: Problem) -> tuple[Any, ...]:
    """`cost_and_gradient` of arrays that are checked."""
    trace = _forward(problem)
    total, m, D = _weigh(problem, *problem.output.pair(trace.Z[-1], problem.Y))
    deltas, for_batch_norm = _backward(problem, trace, D)
    gradients = [
        accumulate_gradient(A, D, W, m, alpha=problem.alpha, penalty=problem.penalty)
        for A, D, W in zip(trace.A, deltas, problem.coefs, strict=True)
    ]
    result = (_penalized(problem, total, m), [dW for dW, _ in gradients], [db for _, db in gradients])
    if problem.batch_norm is None:
        return result
    return (*result, [(for_gamma / m, for_beta / m) for for_gamma, for_beta in for_batch_norm])


# ---- The public whole: a network is its coefs and intercepts, the rest are options. ----


def initial_weights(
    widths: Sequence[int],
    rng: np.random.RandomState | np.random.Generator,
    *,
    activation: str | Sequence[str] = "relu",
    init_scale: float | None = None,
    maxout_pieces: int = 2,
) -> tuple[list[Array], list[Array]]:
    """Draw the weights to start from: of every layer W, then b, uniformly from [-e, e].

    Parameters
    ----------
    widths : sequence of int
        Units n_0..n_L of the layers.
    rng : numpy.random.RandomState or numpy.random.Generator
        A `RandomState` draws what scikit-learn draws.
    activation, maxout_pieces
        As for `cost`.
    init_scale : float, default=None
        The e; None: Glorot's sqrt(6 / (n_{l-1} + n_l)), with scikit-learn's 2 instead of 6 for logistic units.

    Returns
    -------
    coefs, intercepts : lists of arrays
        Of random weights, because units that begin equal stay equal.

    Examples
    --------
    >>> coefs, intercepts = initial_weights([4, 5, 3], np.random.RandomState(0), init_scale=0.12)
    >>> [W.shape for W in coefs], [b.shape for b in intercepts]
    ([(4, 5), (5, 3)], [(5,), (3,)])
    """
    coefs: list[Array] = []
    intercepts: list[Array] = []
    for n, q, e in initial_ranges(ACTIVATIONS, widths, activation, init_scale, maxout_pieces):
        coefs.append(rng.uniform(-e, e, (n, q)))
        intercepts.append(rng.uniform(-e, e, q))
    return coefs, intercepts


def forward(
    coefs: Sequence[ArrayLike], intercepts: Sequence[ArrayLike], X: ArrayLike, **options: Unpack[Options]
) -> list[Array]:
    """Compute the activations [A_0 = X, A_1, ..., A_L = h] of all layers; `options` are those of `cost`.

    Examples
    --------
    >>> [A.tolist() for A in forward([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="identity")]
    [[[3.0, 1.0]], [[1.5]]]
    """
    problem = _check(coefs, intercepts, X, **options)
    trace = _forward(problem)
    return [*trace.A, problem.output.link(trace.Z[-1])]


def pre_activations(
    coefs: Sequence[ArrayLike], intercepts: Sequence[ArrayLike], X: ArrayLike, **options: Unpack[Options]
) -> list[Array]:
    """Compute [Z_1, ..., Z_L], what every f and the link are applied to (with `batch_norm`: normalised).

    Examples
    --------
    >>> [Z.tolist() for Z in pre_activations([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="logistic")]
    [[[1.5]]]
    """
    return _forward(_check(coefs, intercepts, X, **options)).Z


def output_error(
    Z: ArrayLike,
    Y: ArrayLike,
    *,
    output: str = "softmax",
    loss: str = "auto",
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Compute D_L (m, n_L), the derivative of every sample's (weighted) loss by Z_L, before the 1/m.

    Examples
    --------
    >>> output_error([[0.0], [0.0]], [[1.0], [0.0]], output="logistic", sample_weight=[1, 3]).tolist()
    [[-0.5], [1.5]]
    """
    # A network whose only layer hands Z on: its checks are those of every other.
    Z = np.asarray(Z)
    eye, zeros = np.eye(Z.shape[-1]), np.zeros(Z.shape[-1])
    problem = _check([eye], [zeros], Z, Y, output=output, loss=loss, sample_weight=sample_weight)
    return _weigh(problem, *problem.output.pair(problem.X, problem.Y))[2]


def backward(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    **options: Unpack[Options],
) -> list[Array]:
    """Compute the errors [D_1, ..., D_L], before the 1/m; `options` are those of `cost`.

    Examples
    --------
    >>> coefs, intercepts = [[[1.0, -1.0]], [[2.0], [3.0]]], [[0.0, 0.0], [0.0]]
    >>> [D.tolist() for D in backward(coefs, intercepts, [[1.0]], [[1.5]], output="identity")]
    [[[1.0, 0.0]], [[0.5]]]
    """
    problem = _check(coefs, intercepts, X, Y, **options)
    trace = _forward(problem)
    _, _, D = _weigh(problem, *problem.output.pair(trace.Z[-1], problem.Y))
    return _backward(problem, trace, D)[0]


def backpropagate(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    D: ArrayLike,
    **options: Unpack[Options],
) -> list[Array]:
    """Compute the errors [D_1, ..., D_L] from a given D_L (m, n_L), for any loss; `options` are those of `cost`.

    Examples
    --------
    >>> coefs, intercepts = [[[1.0, -1.0]], [[2.0], [3.0]]], [[0.0, 0.0], [0.0]]
    >>> [D.tolist() for D in backpropagate(coefs, intercepts, [[1.0]], [[0.5]])]
    [[[1.0, 0.0]], [[0.5]]]
    """
    problem = _check(coefs, intercepts, X, **options)
    return _backward(problem, _forward(problem), check_output_error(problem, D))[0]


def cost(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    activation: str | Sequence[str] = "relu",
    output: str = "softmax",
    loss: str = "auto",
    alpha: float = 0.0,
    penalty: str = "mean",
    sample_weight: ArrayLike | None = None,
    residual: bool = False,
    batch_norm: BatchNorm | None = None,
    maxout_pieces: int = 2,
) -> float:
    """Compute the cost J.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays, (n_{l-1}, n_l) and (n_l,)
        Weights and biases, as scikit-learn's `coefs_` and `intercepts_`.
    X : array-like of shape (m, n_0)
        Samples.
    Y : array-like of shape (m, n_L)
        Targets: one-hot rows for softmax, 0 and 1 for the log loss of logistic units, else numbers.
    activation : str or sequence of str, default="relu"
        A name in `ACTIVATIONS` for all hidden layers, or one name for each.
    output : {"softmax", "logistic", "identity", "exp"}, default="softmax"
        The link of the last layer.
    loss : {"auto", "log_loss", "squared_error", "poisson"}, default="auto"
        With `output` a key of `OUTPUTS`; "auto" is the first row there: the output's canonical loss.
    alpha : float, default=0.0
        The L2 strength lambda; biases are never penalised.
    penalty : {"mean", "sum"}, default="mean"
        Whether the penalty is divided by m.
    sample_weight : array-like of shape (m,), default=None
        Weights of the samples.
    residual : bool, default=False
        Whether every hidden layer as wide as its input adds that input to its output.
    batch_norm : sequence of (gamma, beta), default=None
        Scale and shift of every hidden layer's batch normalisation, one number for every column of Z.
    maxout_pieces : int, default=2
        Pieces of a maxout unit: a layer of n such units has `maxout_pieces * n` columns in its weights,
        all first pieces first, then all second pieces, and so on.

    Returns
    -------
    float
        J, averaged over the (weighted) samples, with the penalty.

    Examples
    --------
    >>> round(cost([[[0.0, 0.0]]], [[0.0, 0.0]], [[1.0]], [[1.0, 0.0]]), 4)
    0.6931
    """
    problem = _check(
        coefs,
        intercepts,
        X,
        Y,
        activation=activation,
        output=output,
        loss=loss,
        alpha=alpha,
        penalty=penalty,
        sample_weight=sample_weight,
        residual=residual,
        batch_norm=batch_norm,
        maxout_pieces=maxout_pieces,
    )
    return _cost(problem)


def cost_and_gradient(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    **options: Unpack[Options],
) -> tuple[Any, ...]:
    """Compute the cost and its gradient by backpropagation.

    Parameters
    ----------
    coefs, intercepts, X, Y, **options
        As for `cost`.

    Returns
    -------
    J : float
        The cost.
    coef_grads, intercept_grads : lists of arrays
        dJ/dW_l and dJ/db_l, in the shapes of `coefs` and `intercepts`.
    batch_norm_grads : list of (gamma, beta)
        Only if `batch_norm` is given.

    Examples
    --------
    >>> J, coef_grads, intercept_grads = cost_and_gradient(
    ...     [[[2.0]]], [[0.0]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity"
    ... )
    >>> J, coef_grads[0].tolist(), intercept_grads[0].tolist()
    (6.5, [[8.0]], [3.0])
    """
    return _cost_and_gradient(_check(coefs, intercepts, X, Y, **options))


def numerical_gradient(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    epsilon: float = 1e-4,
    **options: Unpack[Options],
) -> tuple[Any, ...]:
    """Estimate the gradient by central differences, (J(t + e) - J(t - e)) / 2e, always in float64.

    Parameters
    ----------
    coefs, intercepts, X, Y, **options
        As for `cost`.
    epsilon : float, default=1e-4
        The step e.

    Returns
    -------
    coef_grads, intercept_grads : lists of arrays
        As from `cost_and_gradient`, and as there followed by `batch_norm_grads` if `batch_norm` is given.

    Examples
    --------
    >>> dW, db = numerical_gradient([[[2.0]]], [[0.0]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity")
    >>> round(dW[0].item(), 6), round(db[0].item(), 6)
    (8.0, 3.0)
    """
    return central_differences(_cost, _check(coefs, intercepts, X, Y, keep_float32=False, **options), epsilon)


def gradient_descent_step(
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    coef_grads: Sequence[Array],
    intercept_grads: Sequence[Array],
    learning_rate: float,
) -> tuple[list[Array], list[Array]]:
    """W <- W - rate dJ/dW, b <- b - rate dJ/db: the new coefs and intercepts are returned, the old ones kept.

    Examples
    --------
    >>> one = np.ones(1)
    >>> gradient_descent_step([one], [one], [2 * one], [-one], 0.25)
    ([array([0.5])], [array([1.25])])
    """
    return (
        [W - learning_rate * dW for W, dW in zip(coefs, coef_grads, strict=True)],
        [b - learning_rate * db for b, db in zip(intercepts, intercept_grads, strict=True)],
    )


def fit(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    *,
    epochs: int,
    batch_size: int | None = None,
    solver: str = "adam",
    learning_rate_init: float = 0.001,
    momentum: float = 0.9,
    nesterovs_momentum: bool = True,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    rng: Rng | None = None,
    **options: Unpack[Options],
) -> tuple[Any, ...]:
    """Train by full batches, mini-batches or single samples, as scikit-learn's stochastic solvers do.

    Parameters
    ----------
    coefs, intercepts, X, Y, **options
        As for `cost`; the weights to start from are not changed.
    epochs : int
        Passes over X.
    batch_size : int, default=None
        Rows of a mini-batch (the last one of an epoch may have fewer); None takes all of them.
    solver : {"sgd", "adam"}, default="adam"
        A name in `OPTIMIZERS`.
    learning_rate_init, momentum, nesterovs_momentum, beta_1, beta_2, epsilon
        As in scikit-learn; a solver ignores what is not its own.
    rng : numpy.random.RandomState or numpy.random.Generator, default=None
        Shuffles the rows before every epoch; None keeps their order. A `RandomState` that has drawn the
        initial weights as scikit-learn does goes on to draw its batches too.

    Returns
    -------
    coefs, intercepts : lists of arrays
        The trained weights.
    loss_curve : list of float
        For every epoch the costs of its batches, each before its update, averaged by rows. A batch
        whose sample weights are all zero changes nothing and counts as zero.
    batch_norm : list of (gamma, beta)
        Only if `batch_norm` is given: trained as well.

    Examples
    --------
    >>> X, Y = [[0.0], [1.0]], [[1.0], [3.0]]
    >>> coefs, intercepts, loss_curve = fit(
    ...     [[[0.0]]], [[0.0]], X, Y, epochs=200, solver="sgd", learning_rate_init=0.1, output="identity"
    ... )
    >>> round(coefs[0].item(), 3), round(intercepts[0].item(), 3)
    (2.0, 1.0)
    """
    hyper = Hyper(learning_rate_init, momentum, nesterovs_momentum, beta_1, beta_2, epsilon)
    problem = _check(coefs, intercepts, X, Y, **options)
    return train(problem, _cost_and_gradient, OPTIMIZERS, solver, hyper, epochs, batch_size, rng)
