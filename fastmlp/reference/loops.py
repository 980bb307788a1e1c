"""Backpropagation as plain loops over samples, units and weights.

This module is the text of the algorithm; `fastmlp.reference.vectorized` computes the same with NumPy operations on
whole batches. A network has the layers 0..L, a batch has m samples, `W_l` (n_{l-1}, n_l) and `b_l` (n_l,) are the
weights and biases between layer l-1 and layer l, and A_0 = X. In the formulas for one sample, index j is a unit before
the weights and index k a unit after them::

    forward       z_k = b_k + sum_j a_j W_jk,    a_k = f(z_k),    output layer: h = link(z)
    cost          J = 1/m sum_i loss(h_i, y_i) + penalty,    penalty = lambda/(2m) or lambda/2 times sum W^2
    output error  delta_k = dloss/dz_k = h_k - y_k for the canonical pairs of link and loss
    recursion     delta_j = f'(z_j) sum_k W_jk delta_k    from the last layer to the first
    gradients     accumulator_jk += a_j delta_k for each sample; finally, divide by m and add the derivative
                  of the penalty

With sample weights, the loss and the delta of each sample are multiplied by its weight, and m is the sum of the
weights. A hidden layer has two optional additions:

- residual: a_k = f(z_k) + (input of the layer)_k if the layer is as wide as its input. The error of a_k is then also
  added to the error of that input.
- batch normalisation: f is applied to gamma (z - mean) / sqrt(variance + 1e-5) + beta, with the mean and the biased
  variance over the rows of the batch. Sample weights do not affect these statistics.

Python counts from 0: `coefs[l]` is W_{l+1}, `Z[l]` is Z_{l+1} and `D[l]` is D_{l+1}, while `A[l]` is A_l, the input of
the weights `coefs[l]`. The functions of one layer take and return lists of rows; the functions of a whole network take
array-likes and return float64 arrays. The tables `ACTIVATIONS`, `OUTPUTS` and `OPTIMIZERS` come from files that hold
the functions of both references side by side.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._problem import Array, Options, Problem, check_output_error, check_problem, make_cost
from fastmlp.reference._activations import LOOPS as ACTIVATIONS
from fastmlp.reference._dropout import loop_mask as dropout_mask
from fastmlp.reference._layers_loops import (
    Row,
    Rows,
    accumulate_gradient,
    activate,
    activate_backward,
    affine,
    batch_normalize,
    batch_normalize_backward,
    delta_recurrence,
)
from fastmlp.reference._optimizers import LOOPS as OPTIMIZERS
from fastmlp.reference._outputs import LOOPS as OUTPUTS
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

_check = partial(check_problem, ACTIVATIONS, OUTPUTS, keep_float32=False)


# ---- Passes of a checked problem ----


class _Trace(NamedTuple):
    """Results of the forward pass that the backward pass needs; `F[l]` is f(Z[l]) before a residual is added."""

    A: list[Rows]
    Z: list[Rows]
    F: list[Rows]
    normalized: list[tuple[Rows, Row]]


def _forward(problem: Problem) -> _Trace:
    """Compute the forward pass without the link, which is part of `Output.pair`."""
    masks = None if problem.masks is None else [mask.tolist() for mask in problem.masks]
    X = problem.X.tolist()
    trace = _Trace([X if masks is None else _multiply(X, masks[0])], [], [], [])
    for l, name in enumerate(problem.activations):
        Z = affine(trace.A[l], problem.coefs[l].tolist(), problem.intercepts[l].tolist())
        if problem.batch_norm is not None:
            gamma, beta = problem.batch_norm[l]
            Z, N, s = batch_normalize(Z, gamma.tolist(), beta.tolist())
            trace.normalized.append((N, s))
        F = activate(name, Z, problem.pieces[l])
        trace.Z.append(Z)
        trace.F.append(F)
        kept_F = F if masks is None else _multiply(F, masks[l + 1])
        trace.A.append(_add(kept_F, trace.A[l]) if problem.skips[l] else kept_F)
    trace.Z.append(affine(trace.A[-1], problem.coefs[-1].tolist(), problem.intercepts[-1].tolist()))
    return trace


def _backward(problem: Problem, trace: _Trace, D: Rows) -> tuple[list[Rows], list[tuple[Row, Row]]]:
    """Return the errors D_1..D_L, given D_L, and the sums for gamma and beta of each hidden layer."""
    deltas = [D]
    for_batch_norm: list[tuple[Row, Row]] = []
    E_above = D
    for l in reversed(range(len(problem.activations))):
        E = delta_recurrence(D, problem.coefs[l + 1].tolist())
        if problem.skips[l + 1]:
            E = _add(E, E_above)
        E_above = E
        if problem.masks is not None:
            E = _multiply(E, problem.masks[l + 1].tolist())
        D = activate_backward(problem.activations[l], trace.Z[l], trace.F[l], E, problem.pieces[l])
        if problem.batch_norm is not None:
            N, s = trace.normalized[l]
            D, for_gamma, for_beta = batch_normalize_backward(D, N, s, problem.batch_norm[l][0].tolist())
            for_batch_norm.insert(0, (for_gamma, for_beta))
        deltas.insert(0, D)
    return deltas, for_batch_norm


def _add(P: Rows, Q: Rows) -> Rows:
    return [[p_k + q_k for p_k, q_k in zip(p, q, strict=True)] for p, q in zip(P, Q, strict=True)]


def _multiply(P: Rows, Q: Rows) -> Rows:
    return [[p_k * q_k for p_k, q_k in zip(p, q, strict=True)] for p, q in zip(P, Q, strict=True)]


def _output(problem: Problem, Z: Rows) -> tuple[float, float, Rows]:
    """Return the weighted sum of the losses, m and the weighted D_L."""
    total, m, D = 0.0, 0.0, []
    weights = [1.0] * len(Z) if problem.sample_weight is None else problem.sample_weight.tolist()
    for z, y, weight in zip(Z, problem.Y.tolist(), weights, strict=True):
        loss, d = problem.output.pair(z, y)
        total += weight * loss
        m += weight
        D.append([weight * d_k for d_k in d])
    return total, m, D


def _penalized(problem: Problem, total: float, m: float) -> float:
    """Return the cost J: the mean loss plus the penalty."""
    squares = 0.0
    for W in problem.coefs:
        for w in W.ravel().tolist():
            squares += w * w
    return total / m + 0.5 * problem.alpha * squares / (m if problem.penalty == "mean" else 1)


def _cost(problem: Problem) -> float:
    """Return the cost of a checked problem."""
    total, m, _ = _output(problem, _forward(problem).Z[-1])
    return _penalized(problem, total, m)


def _cost_and_gradient(problem: Problem) -> tuple[Any, ...]:
    """Return the cost and the gradient of a checked problem."""
    trace = _forward(problem)
    total, m, D = _output(problem, trace.Z[-1])
    deltas, for_batch_norm = _backward(problem, trace, D)
    coef_grads, intercept_grads = [], []
    for A, D, W in zip(trace.A, deltas, problem.coefs, strict=True):
        dW, db = accumulate_gradient(A, D, W.tolist(), m, alpha=problem.alpha, penalty=problem.penalty)
        coef_grads.append(np.array(dW))
        intercept_grads.append(np.array(db))
    result = (_penalized(problem, total, m), coef_grads, intercept_grads)
    if problem.batch_norm is None:
        return result
    return (*result, [(np.array(gamma) / m, np.array(beta) / m) for gamma, beta in for_batch_norm])


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
    >>> from fastmlp.reference import loops
    >>> coefs, intercepts = loops.initial_weights([4, 5, 3], np.random.RandomState(0), init_scale=0.12)
    >>> [W.shape for W in coefs], [b.shape for b in intercepts]
    ([(4, 5), (5, 3)], [(5,), (3,)])
    """
    coefs: list[Array] = []
    intercepts: list[Array] = []
    for n, q, e in initial_ranges(ACTIVATIONS, widths, activation, init_scale, maxout_pieces):
        coefs.append(np.array([[rng.uniform(-e, e) for _ in range(q)] for _ in range(n)]))
        intercepts.append(np.array([rng.uniform(-e, e) for _ in range(q)]))
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
    >>> from fastmlp.reference import loops
    >>> A = loops.forward([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="identity")
    >>> [a.tolist() for a in A]
    [[[3.0, 1.0]], [[1.5]]]
    """
    problem = _check(coefs, intercepts, X, **options)
    trace = _forward(problem)
    return [
        *(np.array(A) for A in trace.A),
        np.array([problem.output.link(z) for z in trace.Z[-1]]),
    ]


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
    >>> from fastmlp.reference import loops
    >>> Z = loops.pre_activations([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="logistic")
    >>> [z.tolist() for z in Z]
    [[[1.5]]]
    """
    return [np.array(Z) for Z in _forward(_check(coefs, intercepts, X, **options)).Z]


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
    >>> from fastmlp.reference import loops
    >>> loops.output_error([[0.0], [0.0]], [[1.0], [0.0]], output="logistic", sample_weight=[1, 3]).tolist()
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
    return np.array(_output(problem, problem.X.tolist())[2])


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
    >>> from fastmlp.reference import loops
    >>> coefs, intercepts = [[[1.0, -1.0]], [[2.0], [3.0]]], [[0.0, 0.0], [0.0]]
    >>> D = loops.backward(coefs, intercepts, [[1.0]], [[1.5]], output="identity")
    >>> [d.tolist() for d in D]
    [[[1.0, 0.0]], [[0.5]]]
    """
    problem = _check(coefs, intercepts, X, Y, **options)
    trace = _forward(problem)
    _, _, D = _output(problem, trace.Z[-1])
    return [np.array(delta) for delta in _backward(problem, trace, D)[0]]


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
    deltas, _ = _backward(problem, _forward(problem), check_output_error(problem, D).tolist())
    return [np.array(delta) for delta in deltas]


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
    >>> from fastmlp.reference import loops
    >>> J, coef_grads, intercept_grads = loops.cost_and_gradient(
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
    >>> from fastmlp.reference import loops
    >>> dW, db = loops.numerical_gradient([[[2.0]]], [[0.0]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity")
    >>> round(dW[0].item(), 6), round(db[0].item(), 6)
    (8.0, 3.0)
    """
    return central_differences(_cost, _check(coefs, intercepts, X, Y, **options), epsilon)


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
    >>> from fastmlp.reference import loops
    >>> one = np.ones(1)
    >>> loops.gradient_descent_step([one], [one], [2 * one], [-one], 0.25)
    ([array([0.5])], [array([1.25])])
    """

    def moved(w: Array, g: Array) -> Array:
        w = np.array(w, float)
        for i in np.ndindex(w.shape):
            w[i] -= learning_rate * g[i]
        return w

    return (
        [moved(W, dW) for W, dW in zip(coefs, coef_grads, strict=True)],
        [moved(b, db) for b, db in zip(intercepts, intercept_grads, strict=True)],
    )


# Both references share the training loop, which has no loops over samples or units.
fit = make_fit(__name__, _check, _cost_and_gradient, OPTIMIZERS, dropout_mask)

__test__ = {"cost": cost, "fit": fit}  # doctest would miss them, because they are not defined in this module
