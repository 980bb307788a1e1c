"""Code that both references share: ranges of initial weights, the training loop and central differences.

These functions have no loops over samples or units, so a vectorized version would be the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, NamedTuple, Protocol, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._problem import Activation, Array, Options, Problem, check_activations, check_name

from ._dropout import Mask

__all__ = ["Hyper", "Optimizer", "Rng", "central_differences", "initial_ranges", "make_fit"]


class Optimizer(NamedTuple):
    """A row of the table of optimizers: the function `step(w, g, state, t, hyper)` and the number of state arrays."""

    step: Callable[..., None]
    n_states: int


class Hyper(NamedTuple):
    """Hyperparameters of the optimizers, with scikit-learn's names and defaults."""

    learning_rate_init: float = 0.001
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8


class Rng(Protocol):
    """A random generator that shuffles in place, such as `numpy.random.RandomState` or `numpy.random.Generator`."""

    def shuffle(self, x: Any, /) -> None: ...


def initial_ranges(
    table: Mapping[str, Activation],
    widths: Sequence[int],
    activation: str | Sequence[str],
    init_scale: float | None,
    maxout_pieces: int,
) -> list[tuple[int, int, float]]:
    """Return the number of rows and columns of each W_l and the bound e of its initial weights and biases."""
    if len(widths) < 2 or not all(isinstance(n, Integral) and n >= 1 for n in widths):
        raise ValueError(f"widths must be two or more integers >= 1, got {widths!r}.")
    if init_scale is not None and not init_scale > 0:
        raise ValueError(f"init_scale must be None or a number > 0, got {init_scale!r}.")
    names = check_activations(activation, len(widths) - 2, table)
    columns = [n * maxout_pieces if table[name].in_pieces else n for n, name in zip(widths[1:], names, strict=False)]
    # In scikit-learn, the range of the output layer depends on the activation of the last hidden layer.
    last = activation if isinstance(activation, str) else names[-1] if names else ""
    ranges = []
    for n, q, name in zip(widths, [*columns, widths[-1]], [*names, last], strict=False):
        # Glorot & Bengio (2010), equation 16; scikit-learn uses 2 instead of 6 for logistic units.
        glorot = math.sqrt((2 if name == "logistic" else 6) / (n + q))
        ranges.append((int(n), int(q), glorot if init_scale is None else init_scale))
    return ranges


def _check_fit(
    m: int,
    epochs: int,
    batch_size: int | None,
    solver: str,
    learning_rate_init: float,
    table: Mapping[str, Optimizer],
) -> int:
    """Check the parameters that only `fit` has, and return the batch size (m for a full batch)."""
    check_name("solver", solver, table)
    if not isinstance(epochs, Integral) or epochs < 1:
        raise ValueError(f"epochs must be an integer >= 1, got {epochs!r}.")
    if not learning_rate_init > 0:
        raise ValueError(f"learning_rate_init must be a number > 0, got {learning_rate_init!r}.")
    if batch_size is None:
        return m
    if not isinstance(batch_size, Integral) or not 1 <= batch_size <= m:
        raise ValueError(f"batch_size must be None or an integer from 1 to the {m} rows, got {batch_size!r}.")
    return int(batch_size)


def _flat(coefs: list[Array], intercepts: list[Array], batch_norm: Any = ()) -> list[Array]:
    return [*coefs, *intercepts, *chain.from_iterable(batch_norm)]


def _take(problem: Problem, rows: slice | NDArray[np.intp]) -> Problem:
    weights, masks = problem.sample_weight, problem.masks
    return problem._replace(
        X=problem.X[rows],
        Y=problem.Y[rows],
        sample_weight=None if weights is None else weights[rows],
        masks=None if masks is None else [mask[rows] for mask in masks],
    )


def _with_copies(problem: Problem) -> Problem:
    """Return the problem with copies of its weights, which may be changed in place."""
    batch_norm = problem.batch_norm
    return problem._replace(
        coefs=[W.copy() for W in problem.coefs],
        intercepts=[b.copy() for b in problem.intercepts],
        batch_norm=batch_norm and [(gamma.copy(), beta.copy()) for gamma, beta in batch_norm],
    )


def _clip(gradients: list[Array], max_grad_norm: float | None) -> list[Array]:
    """Return the gradients, scaled to the largest allowed norm if they are longer."""
    if max_grad_norm is None:
        return gradients
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients))
    return gradients if norm <= max_grad_norm else [g * (max_grad_norm / norm) for g in gradients]


def _multipliers(layers: Sequence[tuple[float, float]] | None, problem: Problem) -> list[float]:
    """Return the factor of the learning rate of each array of `_flat`, given those of each layer."""
    layers = layers or [(1.0, 1.0)] * len(problem.coefs)
    rates = [weight for weight, _ in layers] + [bias for _, bias in layers]
    return rates + [bias for _, bias in layers[:-1] for _ in range(2)] * (problem.batch_norm is not None)


def make_fit(
    module: str,
    check: Callable[..., Problem],
    cost_and_gradient: Callable[[Problem], tuple[Any, ...]],
    optimizers: Mapping[str, Optimizer],
    dropout_mask: Mask,
) -> Callable[..., tuple[Any, ...]]:
    """Return the function `fit` of a reference.

    Parameters
    ----------
    module : str
        Name of the module that exports the function, by which pickle finds it.
    check : callable
        Checks the arguments of `cost` and returns them as a `Problem`.
    cost_and_gradient : callable
        Returns the cost and the gradient of a problem.
    optimizers : dict of str to Optimizer
        The optimizers of the reference.
    dropout_mask : callable
        The function `dropout_mask` of the reference.

    Returns
    -------
    callable
    """

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
            Number of rows of a mini-batch. The last mini-batch of an epoch may have fewer. By default, each batch
            contains all rows.
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
            Generator that shuffles the rows before each epoch. By default, the rows keep their order. If a
            `RandomState` draws the initial weights and then shuffles the rows, training matches scikit-learn for the
            same seed.
        **options
            Keyword parameters of `cost`.

        Returns
        -------
        coefs, intercepts : lists of ndarrays
            Trained weights and biases.
        loss_curve : list of float
            For each epoch, the mean of the costs of its mini-batches, weighted by their number of rows. The cost of a
            mini-batch is computed before its update. A mini-batch whose sample weights are all zero causes no update
            and counts as zero.
        batch_norm : list of pairs of ndarrays
            Trained (gamma, beta) of each hidden layer. Only returned if `batch_norm` is given.

        Raises
        ------
        ValueError
            If the shapes of the arrays do not match, a name is unknown or a value is not allowed.

        Examples
        --------
        >>> from fastmlp.reference import vectorized
        >>> X, Y = [[0.0], [1.0]], [[1.0], [3.0]]
        >>> coefs, intercepts, loss_curve = vectorized.fit(
        ...     [[[0.0]]], [[0.0]], X, Y, epochs=200, solver="sgd", learning_rate_init=0.1, output="identity"
        ... )
        >>> round(coefs[0].item(), 3), round(intercepts[0].item(), 3)
        (2.0, 1.0)
        """
        problem = _with_copies(check(coefs, intercepts, X, Y, **options))
        m = len(problem.X)
        batch_size = _check_fit(m, epochs, batch_size, solver, learning_rate_init, optimizers)
        hyper = Hyper(learning_rate_init, momentum, nesterovs_momentum, beta_1, beta_2, epsilon)
        weights = _flat(problem.coefs, problem.intercepts, problem.batch_norm or ())
        step, n_states = optimizers[solver]
        states = [[np.zeros_like(w) for _ in range(n_states)] for w in weights]
        averages = [w.copy() for w in weights]
        multipliers = _multipliers(learning_rate_multipliers, problem)

        t, count, order, loss_curve = 0, 0, np.arange(m), []
        for _ in range(epochs):
            if rng is not None:
                # As in scikit-learn, shuffle the order of the last epoch, not the original order.
                permutation = np.arange(m)
                rng.shuffle(permutation)
                order = order[permutation]
            total = 0.0
            for start in range(0, m, batch_size):
                rows = slice(start, start + batch_size)
                batch = _take(problem, rows if rng is None else order[rows])
                if dropout is not None:
                    shapes = [(len(batch.X), len(W), rate) for W, rate in zip(problem.coefs, dropout, strict=True)]
                    masks = [np.asarray(dropout_mask(dropout_seed, count, l, *shape)) for l, shape in enumerate(shapes)]
                    batch = batch._replace(masks=masks)
                rate = learning_rate_init if learning_rates is None else learning_rates[count]
                count += 1
                if batch.sample_weight is not None and not batch.sample_weight.any():
                    continue
                t += 1
                J, *gradients = cost_and_gradient(batch)
                total += J * len(batch.X)
                clipped = _clip(_flat(*gradients), max_grad_norm)
                for i, (w, g, state) in enumerate(zip(weights, clipped, states, strict=True)):
                    own_rate = rate * multipliers[i]
                    if i < len(problem.coefs):
                        w *= 1 - own_rate * weight_decay
                    step(w, g, state, t, hyper._replace(learning_rate_init=own_rate))
                if average is not None:
                    gain = (1 - average) / (1 - average**t)
                    for a, w in zip(averages, weights, strict=True):
                        a += gain * (w - a)
            loss_curve.append(total / m)
        if average is not None:
            for a, w in zip(averages, weights, strict=True):
                w[...] = a
        result = (problem.coefs, problem.intercepts, loss_curve)
        return result if problem.batch_norm is None else (*result, problem.batch_norm)

    fit.__module__, fit.__qualname__ = module, fit.__name__
    return fit


def central_differences(J: Callable[[Problem], float], problem: Problem, epsilon: float) -> tuple[Any, ...]:
    """Return (J(t + e) - J(t - e)) / 2e for each component t of the weights, in the order of `cost_and_gradient`."""
    if not epsilon > 0:
        raise ValueError(f"epsilon must be a number > 0, got {epsilon!r}.")
    problem = _with_copies(problem)

    def slopes(theta: Array) -> Array:
        gradient = np.empty_like(theta)
        for i in np.ndindex(theta.shape):
            kept = theta[i]
            theta[i] = kept + epsilon
            above = J(problem)
            theta[i] = kept - epsilon
            gradient[i] = (above - J(problem)) / (2 * epsilon)
            theta[i] = kept
        return gradient

    result = ([slopes(W) for W in problem.coefs], [slopes(b) for b in problem.intercepts])
    if problem.batch_norm is None:
        return result
    return (*result, [(slopes(gamma), slopes(beta)) for gamma, beta in problem.batch_norm])
