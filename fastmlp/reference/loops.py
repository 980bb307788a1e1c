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

from fastmlp._problem import Array, BatchNorm, Options, Problem, check_output_error, check_problem
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
from fastmlp.reference._training import Extras, Hyper, Rng, central_differences, initial_ranges, train

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
        Targets: one-hot rows for softmax, 0 and 1 for the log loss and the focal loss of logistic units, non-negative
        numbers for the Poisson deviance and the Tweedie deviance, positive ones for the gamma deviance and the Tweedie
        deviance of a power >= 2, any numbers for the other losses.
    activation : str or sequence of str, default="relu"
        A name in `ACTIVATIONS` for all hidden layers, or one name for each.
    output : {"softmax", "logistic", "identity", "exp", "ordered"}, default="softmax"
        Link of the output layer.
    loss : {"auto", "log_loss", "squared_error", "poisson", "absolute_error", "huber", "quantile", "cauchy", "gamma", \
"tweedie", "focal"}, default="auto"
        Loss. (output, loss) must be a key of `OUTPUTS`. "auto" selects the first loss in `OUTPUTS` for the output,
        which is its canonical loss.
    loss_parameter : float or array-like of shape (n_L,), default=None
        Parameter of the loss: delta of "huber" (default 1), the quantile of "quantile" (0.5), the power of "tweedie"
        (1.5) or gamma of "focal" (2), for all output units or for each.
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
        Scale and shift of the batch normalisation of each hidden layer. By default, there is no batch normalisation.
        Maxout layers have maxout_pieces * n_l numbers instead of n_l.
    maxout_pieces : int, default=2
        Number of linear pieces of a maxout unit. The weights of a maxout layer with n_l units have maxout_pieces * n_l
        columns, with all first pieces, then all second pieces and so on.
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
    >>> from fastmlp.reference import loops
    >>> round(loops.cost([[[0.0, 0.0]]], [[0.0, 0.0]], [[1.0]], [[1.0, 0.0]]), 4)
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
    learning_rates: Sequence[float] | None = None,
    learning_rate_multipliers: Sequence[tuple[float, float]] | None = None,
    weight_decay: float = 0.0,
    max_grad_norm: float | None = None,
    average: float | None = None,
    dropout: Sequence[float] | None = None,
    dropout_seed: int = 0,
    rng: Rng | None = None,
    **options: Unpack[Options],
) -> tuple[Any, ...]:
    """Train a network with a stochastic optimizer, as scikit-learn does.

    Parameters
    ----------
    coefs, intercepts : sequences of L arrays of shapes (n_{l-1}, n_l) and (n_l,)
        Initial weights and biases. They are not changed.
    X : array-like of shape (m, n_0)
        Samples.
    Y : array-like of shape (m, n_L)
        Targets, see `cost`.
    epochs : int
        Number of passes over X.
    batch_size : int, default=None
        Number of rows of a mini-batch. The last mini-batch of an epoch may have fewer. By default, each batch contains
        all rows.
    solver : {"sgd", "adam"}, default="adam"
        A name in `OPTIMIZERS`.
    learning_rate_init : float, default=0.001
        Learning rate.
    momentum : float, default=0.9
        Momentum of "sgd".
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the moments of "adam".
    epsilon : float, default=1e-8
        Constant in the denominator of "adam", for numerical stability.
    learning_rates : sequence of float, default=None
        Learning rate of each mini-batch, in their order; replaces `learning_rate_init`.
    learning_rate_multipliers : sequence of L pairs of float, default=None
        Factors of the learning rate for the weights, and for the biases, of each layer.
    weight_decay : float, default=0.0
        Decoupled weight decay (Loshchilov & Hutter 2019): each step multiplies the weights, but not the biases, by
        1 - learning rate * weight_decay.
    max_grad_norm : float, default=None
        Largest Euclidean norm of the gradient over all weights and biases; a longer gradient is scaled to it.
    average : float, default=None
        Decay d of an exponential moving average of the weights and biases (Kingma & Ba 2015, section 7.2). After t
        mini-batches, (1 - d) / (1 - d^t) sum_s d^(t - s) w_s is returned instead of the trained w_t.
    dropout : sequence of L floats, default=None
        Fractions of A_0..A_{L-1} that are dropped, see `dropout_mask`.
    dropout_seed : int, default=0
        Seed of the random numbers of dropout.
    rng : numpy.random.RandomState or numpy.random.Generator, default=None
        Generator that shuffles the rows before each epoch. By default, the rows keep their order. If a `RandomState`
        draws the initial weights and then shuffles the rows, training matches scikit-learn for the same seed.
    **options
        Keyword parameters of `cost`.

    Returns
    -------
    coefs, intercepts : lists of ndarrays
        Trained weights and biases.
    loss_curve : list of float
        For each epoch, the mean of the costs of its mini-batches, weighted by their number of rows. The cost of a
        mini-batch is computed before its update. A mini-batch whose sample weights are all zero causes no update and
        counts as zero.
    batch_norm : list of pairs of ndarrays
        Trained (gamma, beta) of each hidden layer. Only returned if `batch_norm` is given.

    Raises
    ------
    ValueError
        If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

    Examples
    --------
    >>> from fastmlp.reference import loops
    >>> X, Y = [[0.0], [1.0]], [[1.0], [3.0]]
    >>> coefs, intercepts, loss_curve = loops.fit(
    ...     [[[0.0]]], [[0.0]], X, Y, epochs=200, solver="sgd", learning_rate_init=0.1, output="identity"
    ... )
    >>> round(coefs[0].item(), 3), round(intercepts[0].item(), 3)
    (2.0, 1.0)
    """
    hyper = Hyper(learning_rate_init, momentum, nesterovs_momentum, beta_1, beta_2, epsilon)
    extras = Extras(
        learning_rates,
        learning_rate_multipliers,
        weight_decay,
        max_grad_norm,
        average,
        dropout,
        dropout_seed,
        dropout_mask,
    )
    problem = _check(coefs, intercepts, X, Y, **options)
    return train(problem, _cost_and_gradient, OPTIMIZERS, solver, hyper, epochs, batch_size, rng, extras)
