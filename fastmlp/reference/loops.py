"""Backpropagation one sample, one unit and one weight at a time: the text of the algorithm.

The twin of `vectorized`. Layers 0..L, m samples; `W_l` (n_{l-1}, n_l) and `b_l` (n_l) lead from layer l-1 to
layer l, and A_0 = X. For one sample, with unit j before the weights and unit k after them::

    forward       z_k = b_k + sum_j a_j W_jk,    a_k = f(z_k),    in the last layer h = link(z)
    cost          J = 1/m sum_i loss(h_i, y_i) + penalty,    penalty = lambda/(2m) or lambda/2 times sum W^2
    output error  delta_k = dloss/dz_k = h_k - y_k for the canonical pairs of link and loss
    recursion     delta_j = f'(z_j) sum_k W_jk delta_k    from the last layer down to the first
    gradients     accumulator_jk += a_j delta_k over the samples, then divide by m and add the penalty's

Sample weights multiply every sample's loss and delta, and m is their sum. Two additions to a hidden layer,
both off by default:

- residual: a_k = f(z_k) + (the layer's input)_k where both have one width; the error of a_k then also reaches
  that input unchanged;
- batch normalisation: f is applied to gamma (z - mean) / sqrt(variance + 1e-5) + beta, with the plain mean
  and biased variance of the batch's rows: sample weights do not enter these statistics.

Python counts from 0: `coefs[l]` is W_{l+1} and `Z[l]`, `D[l]` belong to it; `A[l]` enters it, `A[l + 1]`
leaves. The steps take and return lists of rows of floats; functions of a whole network take and return
float64 arrays. Activations, outputs and optimizers are the rows of three tables, each in a file of its
own that has the functions of both twins side by side.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike

from fastmlp._problem import Array, BatchNorm, Options, Problem, check_output_error, check_problem
from fastmlp.reference._activations import LOOPS as ACTIVATIONS
from fastmlp.reference._optimizers import LOOPS as OPTIMIZERS
from fastmlp.reference._outputs import LOOPS as OUTPUTS
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

Row: TypeAlias = list[float]
Rows: TypeAlias = list[Row]

_check = partial(check_problem, ACTIVATIONS, OUTPUTS, keep_float32=False)


# ---- The steps of one pass. ----


def affine(A: Rows, W: Rows, b: Row) -> Rows:
    """z_k = b_k + sum_j a_j W_jk.   A (m, n_{l-1}), W (n_{l-1}, n_l), b (n_l), Z (m, n_l) is returned."""
    Z = []
    for a in A:
        z = []
        for k in range(len(b)):
            z_k = b[k]
            for j, a_j in enumerate(a):
                z_k += a_j * W[j][k]
            z.append(z_k)
        Z.append(z)
    return Z


def activate(activation: str, Z: Rows, maxout_pieces: int = 2) -> Rows:
    """a_k = f(z_k).   Z (m, n_l), A (m, n_l) is returned.

    For maxout Z has p n_l columns, piece after piece: unit k chooses among columns k, n_l + k, 2 n_l + k...
    """
    row = ACTIVATIONS[activation]
    A = []
    for z in Z:
        if row.in_pieces:
            n = len(z) // maxout_pieces
            A.append([row.forward(z[k::n]) for k in range(n)])
        else:
            A.append([row.forward(z_k) for z_k in z])
    return A


def activate_backward(activation: str, Z: Rows, A: Rows, E: Rows, maxout_pieces: int = 2) -> Rows:
    """d_k = e_k f'(z_k): from the error E of A = f(Z) to that of Z.   A, E (m, n_l), D like Z is returned."""
    row = ACTIVATIONS[activation]
    D = []
    for z, a, e in zip(Z, A, E, strict=True):
        d = []
        if row.in_pieces:
            n = len(z) // maxout_pieces
            slopes = [row.derivative(z[k::n], a[k]) for k in range(n)]
            for q in range(maxout_pieces):
                for k in range(n):
                    d.append(e[k] * slopes[k][q])
        else:
            for k in range(len(z)):
                d.append(e[k] * row.derivative(z[k], a[k]))
        D.append(d)
    return D


def batch_normalize(Z: Rows, gamma: Row, beta: Row) -> tuple[Rows, Rows, Row]:
    """u = gamma n + beta with n = (z - mean) s, s = 1 / sqrt(variance + 1e-5), unit by unit over the batch.

    Z (m, n_l), gamma and beta (n_l); U (m, n_l), N (m, n_l) and s (n_l) are returned.
    """
    m = len(Z)
    U: Rows = [[] for _ in Z]
    N: Rows = [[] for _ in Z]
    s = []
    for k in range(len(gamma)):
        mean = sum(z[k] for z in Z) / m
        variance = sum((z[k] - mean) * (z[k] - mean) for z in Z) / m
        s_k = 1 / math.sqrt(variance + BATCH_NORM_EPSILON)
        for z, n, u in zip(Z, N, U, strict=True):
            n.append((z[k] - mean) * s_k)
            u.append(gamma[k] * n[k] + beta[k])
        s.append(s_k)
    return U, N, s


def batch_normalize_backward(D: Rows, N: Rows, s: Row, gamma: Row) -> tuple[Rows, Row, Row]:
    """From the error d of u to that of z: gamma s (d - mean(d) - n mean(d n)); mean and variance move too.

    D, N (m, n_l), s and gamma (n_l); returned are the error (m, n_l), and the sums over the batch for gamma,
    sum_i d n, and for beta, sum_i d.
    """
    m = len(D)
    error: Rows = [[] for _ in D]
    for_gamma, for_beta = [], []
    for k in range(len(gamma)):
        sum_dn, sum_d = 0.0, 0.0
        for d, n in zip(D, N, strict=True):
            sum_dn += d[k] * n[k]
            sum_d += d[k]
        for d, n, e in zip(D, N, error, strict=True):
            e.append(gamma[k] * s[k] * (d[k] - sum_d / m - n[k] * sum_dn / m))
        for_gamma.append(sum_dn)
        for_beta.append(sum_d)
    return error, for_gamma, for_beta


def delta_recurrence(D: Rows, W: Rows) -> Rows:
    """e_j = sum_k W_jk d_k: the error of a unit is what its weights carried into those of the next layer.

    D (m, n_{l+1}), W (n_l, n_{l+1}), E (m, n_l) is returned; times f'(Z_l) it is D_l.
    """
    E = []
    for d in D:
        e = []
        for W_j in W:
            e_j = 0.0
            for k, d_k in enumerate(d):
                e_j += W_j[k] * d_k
            e.append(e_j)
        E.append(e)
    return E


def accumulate_gradient(
    A: Rows, D: Rows, W: Rows, m: float, *, alpha: float = 0.0, penalty: str = "mean"
) -> tuple[Rows, Row]:
    """dJ/dW_jk = sum_i a_j d_k / m + alpha/m W_jk ("mean") or + alpha W_jk ("sum"), dJ/db_k = sum_i d_k / m.

    A (m, n_{l-1}), D (m, n_l), W (n_{l-1}, n_l); gradients in the shapes of W and b are returned.
    """
    n = len(W[0])
    accumulator = [[0.0] * n for _ in W]
    bias_accumulator = [0.0] * n
    for a, d in zip(A, D, strict=True):
        for k, d_k in enumerate(d):
            for j, a_j in enumerate(a):
                accumulator[j][k] += a_j * d_k
            bias_accumulator[k] += d_k

    strength = alpha / m if penalty == "mean" else alpha
    dW = [[accumulator[j][k] / m + strength * W[j][k] for k in range(n)] for j in range(len(W))]
    return dW, [total / m for total in bias_accumulator]


class _Trace(NamedTuple):
    """What the forward pass leaves for the way back; `F[l]` is f(Z[l]), before any residual is added."""

    A: list[Rows]
    Z: list[Rows]
    F: list[Rows]
    normalized: list[tuple[Rows, Row]]


def _forward(problem: Problem) -> _Trace:
    """Every layer but the link of the last, which belongs to the loss; Z is what f sees."""
    trace = _Trace([problem.X.tolist()], [], [], [])
    for l, name in enumerate(problem.activations):
        Z = affine(trace.A[l], problem.coefs[l].tolist(), problem.intercepts[l].tolist())
        if problem.batch_norm is not None:
            gamma, beta = problem.batch_norm[l]
            Z, N, s = batch_normalize(Z, gamma.tolist(), beta.tolist())
            trace.normalized.append((N, s))
        F = activate(name, Z, problem.pieces[l])
        trace.Z.append(Z)
        trace.F.append(F)
        trace.A.append(_add(F, trace.A[l]) if problem.skips[l] else F)
    trace.Z.append(affine(trace.A[-1], problem.coefs[-1].tolist(), problem.intercepts[-1].tolist()))
    return trace


def _backward(problem: Problem, trace: _Trace, D: Rows) -> tuple[list[Rows], list[tuple[Row, Row]]]:
    """The errors D_1..D_L, given D_L, and the sums for gamma and beta of every hidden layer."""
    deltas = [D]
    for_batch_norm: list[tuple[Row, Row]] = []
    E_above = D
    for l in reversed(range(len(problem.activations))):
        E = delta_recurrence(D, problem.coefs[l + 1].tolist())
        if problem.skips[l + 1]:
            E = _add(E, E_above)
        E_above = E
        D = activate_backward(problem.activations[l], trace.Z[l], trace.F[l], E, problem.pieces[l])
        if problem.batch_norm is not None:
            N, s = trace.normalized[l]
            D, for_gamma, for_beta = batch_normalize_backward(D, N, s, problem.batch_norm[l][0].tolist())
            for_batch_norm.insert(0, (for_gamma, for_beta))
        deltas.insert(0, D)
    return deltas, for_batch_norm


def _add(P: Rows, Q: Rows) -> Rows:
    return [[p_k + q_k for p_k, q_k in zip(p, q, strict=True)] for p, q in zip(P, Q, strict=True)]


def _output(problem: Problem, Z: Rows) -> tuple[float, float, Rows]:
    """The sum of the losses, m, and D_L, every sample with its weight."""
    total, m, D = 0.0, 0.0, []
    weights = [1.0] * len(Z) if problem.sample_weight is None else problem.sample_weight.tolist()
    for z, y, weight in zip(Z, problem.Y.tolist(), weights, strict=True):
        loss, d = problem.output.pair(z, y)
        total += weight * loss
        m += weight
        D.append([weight * d_k for d_k in d])
    return total, m, D


def _penalized(problem: Problem, total: float, m: float) -> float:
    """J: the mean loss and the penalty."""
    squares = 0.0
    for W in problem.coefs:
        for w in W.ravel().tolist():
            squares += w * w
    return total / m + 0.5 * problem.alpha * squares / (m if problem.penalty == "mean" else 1)


def _cost(problem: Problem) -> float:
    """`cost` of arrays that are checked."""
    total, m, _ = _output(problem, _forward(problem).Z[-1])
    return _penalized(problem, total, m)


def _cost_and_gradient(problem: Problem) -> tuple[Any, ...]:
    """`cost_and_gradient` of arrays that are checked."""
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
        coefs.append(np.array([[rng.uniform(-e, e) for _ in range(q)] for _ in range(n)]))
        intercepts.append(np.array([rng.uniform(-e, e) for _ in range(q)]))
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
    return [
        *(np.array(A) for A in trace.A),
        np.array([problem.output.link(z) for z in trace.Z[-1]]),
    ]


def pre_activations(
    coefs: Sequence[ArrayLike], intercepts: Sequence[ArrayLike], X: ArrayLike, **options: Unpack[Options]
) -> list[Array]:
    """Compute [Z_1, ..., Z_L], what every f and the link are applied to (with `batch_norm`: normalised).

    Examples
    --------
    >>> [Z.tolist() for Z in pre_activations([[[1.0], [-2.0]]], [[0.5]], [[3.0, 1.0]], output="logistic")]
    [[[1.5]]]
    """
    return [np.array(Z) for Z in _forward(_check(coefs, intercepts, X, **options)).Z]


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
    return np.array(_output(problem, problem.X.tolist())[2])


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

    Parameters and results are those of `fastmlp.reference.vectorized.cost`.

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

    Parameters and results are those of `fastmlp.reference.vectorized.cost_and_gradient`.

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

    Parameters and results are those of `fastmlp.reference.vectorized.numerical_gradient`.

    Examples
    --------
    >>> dW, db = numerical_gradient([[[2.0]]], [[0.0]], [[1.0], [3.0]], [[1.0], [1.0]], output="identity")
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
    """W <- W - rate dJ/dW, b <- b - rate dJ/db: the new coefs and intercepts are returned, the old ones kept.

    Examples
    --------
    >>> one = np.ones(1)
    >>> gradient_descent_step([one], [one], [2 * one], [-one], 0.25)
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

    Parameters and results are those of `fastmlp.reference.vectorized.fit`.

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
