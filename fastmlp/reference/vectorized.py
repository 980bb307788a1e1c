"""Backpropagation with NumPy operations on whole batches.

This module computes the same as `fastmlp.reference.loops`. A network has the layers 0..L, a batch has m samples,
`W_l` (n_{l-1}, n_l) and `b_l` (n_l,) are the weights and biases between layer l-1 and layer l, and A_0 = X::

    forward       Z_l = A_{l-1} W_l + b_l,    A_l = f(Z_l),    h = A_L = link(Z_L)
    cost          J = 1/m sum_i loss(h_i, y_i) + penalty,    penalty = lambda/(2m) or lambda/2 times sum W^2
    output error  D_L = dloss/dZ_L = h - y for the canonical pairs of link and loss
    recursion     D_l = (D_{l+1} W_{l+1}^T) * f'(Z_l)    for l = L-1..1
    gradients     dJ/dW_l = A_{l-1}^T D_l / m + derivative of the penalty,    dJ/db_l = sum_i D_l / m

With sample weights, all sums over i are weighted sums, and m is the sum of the weights. A hidden layer has two
optional additions:

- residual: A_l = f(Z_l) + A_{l-1} if the layer is as wide as its input. The error of A_l is then also added to the
  error of A_{l-1}.
- batch normalisation: f is applied to gamma (Z_l - mean) / sqrt(variance + 1e-5) + beta, with the mean and the biased
  variance over the rows of the batch. Sample weights do not affect these statistics.

Python counts from 0: `coefs[l]` is W_{l+1}, `Z[l]` is Z_{l+1} and `D[l]` is D_{l+1}, while `A[l]` is A_l, the input of
the weights `coefs[l]`. Arrays are float32 if X is float32 and float64 otherwise. The tables `ACTIVATIONS`, `OUTPUTS`
and `OPTIMIZERS` come from files that hold the functions of both references side by side.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._problem import Array, Options, Problem, check_output_error, check_problem, make_cost
from fastmlp.reference._activations import VECTORIZED as ACTIVATIONS
from fastmlp.reference._dropout import vectorized_mask as dropout_mask
from fastmlp.reference._layers_vectorized import (
    accumulate_gradient,
    activate,
    activate_backward,
    affine,
    batch_normalize,
    batch_normalize_backward,
    delta_recurrence,
)
from fastmlp.reference._optimizers import VECTORIZED as OPTIMIZERS
from fastmlp.reference._outputs import VECTORIZED as OUTPUTS
from fastmlp.reference._training import central_differences, initial_ranges, make_fit

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
    "dropout_mask",
    "fit",
    "forward",
    "gradient_descent_step",
    "initial_weights",
    "numerical_gradient",
    "output_error",
    "pre_activations",
]

_check = partial(check_problem, ACTIVATIONS, OUTPUTS, keep_float32=True)


# ---- Passes of a checked problem ----


class _Trace(NamedTuple):
    """Results of the forward pass that the backward pass needs; `F[l]` is f(Z[l]) before a residual is added."""

    A: list[Array]
    Z: list[Array]
    F: list[Array]
    normalized: list[tuple[Array, Array]]


def _forward(problem: Problem) -> _Trace:
    """Compute the forward pass without the link, which is part of `Output.pair`."""
    masks = problem.masks
    trace = _Trace([problem.X if masks is None else problem.X * masks[0]], [], [], [])
    for l, name in enumerate(problem.activations):
        Z = affine(trace.A[l], problem.coefs[l], problem.intercepts[l])
        if problem.batch_norm is not None:
            Z, *kept = batch_normalize(Z, *problem.batch_norm[l])
            trace.normalized.append((kept[0], kept[1]))
        F = activate(name, Z, problem.pieces[l])
        trace.Z.append(Z)
        trace.F.append(F)
        kept_F = F if masks is None else F * masks[l + 1]
        trace.A.append(kept_F + trace.A[l] if problem.skips[l] else kept_F)
    trace.Z.append(affine(trace.A[-1], problem.coefs[-1], problem.intercepts[-1]))
    return trace


def _backward(problem: Problem, trace: _Trace, D: Array) -> tuple[list[Array], list[tuple[Array, Array]]]:
    """Return the errors D_1..D_L, given D_L, and the sums for gamma and beta of each hidden layer."""
    deltas = [D]
    for_batch_norm: list[tuple[Array, Array]] = []
    E_above = D
    for l in reversed(range(len(problem.activations))):
        E = delta_recurrence(D, problem.coefs[l + 1])
        if problem.skips[l + 1]:
            E += E_above
        E_above = E
        if problem.masks is not None:
            E = E * problem.masks[l + 1]
        D = activate_backward(problem.activations[l], trace.Z[l], trace.F[l], E, problem.pieces[l])
        if problem.batch_norm is not None:
            D, *sums = batch_normalize_backward(D, *trace.normalized[l], problem.batch_norm[l][0])
            for_batch_norm.insert(0, (sums[0], sums[1]))
        deltas.insert(0, D)
    return deltas, for_batch_norm


def _weigh(problem: Problem, loss: Array, D: Array) -> tuple[float, float, Array]:
    """Return the weighted sum of the losses, m and the weighted D_L."""
    weights = problem.sample_weight
    if weights is None:
        return float(loss.sum()), float(len(loss)), D
    return float(weights @ loss), float(weights.sum()), D * weights[:, np.newaxis]


def _penalized(problem: Problem, total: float, m: float) -> float:
    """Return the cost J: the mean loss plus the penalty."""
    squares = sum(float(np.vdot(W, W)) for W in problem.coefs)
    return total / m + 0.5 * problem.alpha * squares / (m if problem.penalty == "mean" else 1)


def _cost(problem: Problem) -> float:
    """Return the cost of a checked problem."""
    loss, D = problem.output.pair(_forward(problem).Z[-1], problem.Y)
    total, m, _ = _weigh(problem, loss, D)
    return _penalized(problem, total, m)


def _cost_and_gradient(problem: Problem) -> tuple[Any, ...]:
    """Return the cost and the gradient of a checked problem."""
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


# ---- Public functions of a whole network ----


def initial_weights(
    widths: Sequence[int],
    rng: np.random.RandomState | np.random.Generator,
    *,
    activation: str | Sequence[str] = "relu",
    init_scale: float | None = None,
    maxout_pieces: int = 2,
) -> tuple[list[Array], list[Array]]:
    """Draw initial weights and biases from a uniform distribution over [-e, e].

    The draws of each layer are those of its weights, row by row, and then those of its biases.

    Parameters
    ----------
    widths : sequence of int
        Numbers of units n_0, ..., n_L of the layers.
    rng : numpy.random.RandomState or numpy.random.Generator
        Random generator. With a `RandomState`, the weights are those of scikit-learn.
    activation : str or sequence of str, default="relu"
        A name in `ACTIVATIONS` for all hidden layers, or one name for each.
    init_scale : float, default=None
        The bound e. By default, it is sqrt(6 / (n_{l-1} + n_l)) (Glorot & Bengio 2010), with 2 instead of 6 for
        logistic units as in scikit-learn.
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit.

    Returns
    -------
    coefs, intercepts : lists of L ndarrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases. Maxout layers have maxout_pieces * n_l columns instead of n_l.

    Raises
    ------
    ValueError
        If `widths`, `init_scale` or `activation` is not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> coefs, intercepts = vectorized.initial_weights([4, 5, 3], np.random.RandomState(0), init_scale=0.12)
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
    """Compute the outputs of all layers.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases, like scikit-learn's `coefs_` and `intercepts_`.
    X : array-like of shape (m, n_0)
        Samples.
    **options
        Keyword parameters of `cost`.

    Returns
    -------
    list of L + 1 ndarrays of shapes (m, n_l)
        [A_0, ..., A_L], where A_0 is X and A_L is the output h of the network.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> A = vectorized.forward([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="identity")
    >>> [a.tolist() for a in A]
    [[[3.0, 1.0]], [[1.5]]]
    """
    problem = _check(coefs, intercepts, X, **options)
    trace = _forward(problem)
    return [*trace.A, problem.output.link(trace.Z[-1])]


def pre_activations(
    coefs: Sequence[ArrayLike], intercepts: Sequence[ArrayLike], X: ArrayLike, **options: Unpack[Options]
) -> list[Array]:
    """Compute the pre-activations of all layers.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases, like scikit-learn's `coefs_` and `intercepts_`.
    X : array-like of shape (m, n_0)
        Samples.
    **options
        Keyword parameters of `cost`.

    Returns
    -------
    list of L ndarrays of shapes (m, n_l)
        [Z_1, ..., Z_L], the arguments of the activations and of the link. With `batch_norm`, those of the hidden layers
        are normalised, scaled and shifted. Maxout layers have maxout_pieces * n_l columns instead of n_l.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> Z = vectorized.pre_activations([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="logistic")
    >>> [z.tolist() for z in Z]
    [[[1.5]]]
    """
    return _forward(_check(coefs, intercepts, X, **options)).Z


def output_error(
    Z: ArrayLike,
    Y: ArrayLike,
    *,
    output: str = "softmax",
    loss: str = "auto",
    loss_parameter: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    sample_weight: ArrayLike | None = None,
) -> Array:
    """Compute the error of the output layer, D_L = dloss/dZ_L.

    Parameters
    ----------
    Z : array-like of shape (m, n_L)
        Pre-activations of the output layer.
    Y : array-like of shape (m, n_L)
        Targets, see `cost`.
    output : {"softmax", "logistic", "identity", "exp", "ordered"}, default="softmax"
        Link of the output layer.
    loss : {"auto", "log_loss", "squared_error", "poisson", "absolute_error", "huber", "quantile", "cauchy", "gamma", \
"tweedie", "focal"}, default="auto"
        Loss, see `cost`.
    loss_parameter, label_smoothing
        See `cost`.
    sample_weight : array-like of shape (m,), default=None
        Weights of the samples. By default, all weights are 1.

    Returns
    -------
    ndarray of shape (m, n_L)
        Derivative of the loss of each sample, times its weight. It is not divided by m.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> vectorized.output_error([[0.0], [0.0]], [[1.0], [0.0]], output="logistic", sample_weight=[1, 3]).tolist()
    [[-0.5], [1.5]]
    """
    # A network of one layer with the identity as weights has the same Z_L and the checks of any other network.
    Z = np.asarray(Z)
    eye, zeros = np.eye(Z.shape[-1]), np.zeros(Z.shape[-1])
    problem = _check(
        [eye],
        [zeros],
        Z,
        Y,
        output=output,
        loss=loss,
        loss_parameter=loss_parameter,
        label_smoothing=label_smoothing,
        sample_weight=sample_weight,
    )
    return _weigh(problem, *problem.output.pair(problem.X, problem.Y))[2]


def backward(
    coefs: Sequence[ArrayLike],
    intercepts: Sequence[ArrayLike],
    X: ArrayLike,
    Y: ArrayLike,
    **options: Unpack[Options],
) -> list[Array]:
    """Compute the errors of all layers by backpropagation.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases, like scikit-learn's `coefs_` and `intercepts_`.
    X : array-like of shape (m, n_0)
        Samples.
    Y : array-like of shape (m, n_L)
        Targets, see `cost`.
    **options
        Keyword parameters of `cost`.

    Returns
    -------
    list of L ndarrays of shapes (m, n_l)
        [D_1, ..., D_L], the derivatives dloss/dZ_l of each sample, times its weight. They are not divided by m. Maxout
        layers have maxout_pieces * n_l columns instead of n_l.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> coefs, intercepts = [[[1.0, -1.0]], [[2.0], [3.0]]], [[0.0, 0.0], [0.0]]
    >>> D = vectorized.backward(coefs, intercepts, [[1.0]], [[1.5]], output="identity")
    >>> [d.tolist() for d in D]
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


# The parameters of `cost` are declared and documented next to their checks.
cost = make_cost(__name__, _check, _cost)


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
    coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases, like scikit-learn's `coefs_` and `intercepts_`.
    X : array-like of shape (m, n_0)
        Samples.
    Y : array-like of shape (m, n_L)
        Targets, see `cost`.
    **options
        Keyword parameters of `cost`.

    Returns
    -------
    J : float
        The cost.
    coef_grads, intercept_grads : lists of ndarrays
        Gradients dJ/dW_l and dJ/db_l, of the shapes of `coefs` and `intercepts`.
    batch_norm_grads : list of pairs of ndarrays
        Gradients of (gamma, beta) of each hidden layer. Only returned if `batch_norm` is given.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> J, coef_grads, intercept_grads = vectorized.cost_and_gradient(
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
    """Estimate the gradient of the cost by central differences.

    The derivative with respect to a component t is (J(t + e) - J(t - e)) / 2e, computed in float64.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases, like scikit-learn's `coefs_` and `intercepts_`.
    X : array-like of shape (m, n_0)
        Samples.
    Y : array-like of shape (m, n_L)
        Targets, see `cost`.
    epsilon : float, default=1e-4
        The step e.
    **options
        Keyword parameters of `cost`.

    Returns
    -------
    coef_grads, intercept_grads : lists of ndarrays
        Gradients dJ/dW_l and dJ/db_l, of the shapes of `coefs` and `intercepts`.
    batch_norm_grads : list of pairs of ndarrays
        Gradients of (gamma, beta) of each hidden layer. Only returned if `batch_norm` is given.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import vectorized
    >>> dW, db = vectorized.numerical_gradient([[[2.0]]], [[0.0]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity")
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
    """Take one step of gradient descent, W <- W - rate dJ/dW and b <- b - rate dJ/db.

    Parameters
    ----------
    coefs, intercepts : sequences of L ndarrays of shapes (n_{l-1}, n_l) and (n_l,)
        Weights and biases. They are not changed.
    coef_grads, intercept_grads : sequences of L ndarrays
        Gradients dJ/dW_l and dJ/db_l, of the shapes of `coefs` and `intercepts`.
    learning_rate : float
        The rate.

    Returns
    -------
    coefs, intercepts : lists of ndarrays
        The new weights and biases.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp.reference import vectorized
    >>> one = np.ones(1)
    >>> vectorized.gradient_descent_step([one], [one], [2 * one], [-one], 0.25)
    ([array([0.5])], [array([1.25])])
    """
    return (
        [W - learning_rate * dW for W, dW in zip(coefs, coef_grads, strict=True)],
        [b - learning_rate * db for b, db in zip(intercepts, intercept_grads, strict=True)],
    )


# Both references share the training loop, which has no loops over samples or units.
fit = make_fit(__name__, _check, _cost_and_gradient, OPTIMIZERS, dropout_mask)

__test__ = {"cost": cost, "fit": fit}  # doctest would miss them, because they are not defined in this module
