"""Code that both references share: ranges of initial weights, the training loop and central differences.

These functions have no loops over samples or units, so a vectorized version would be the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from numbers import Integral
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fastmlp._problem import Activation, Array, Problem, check_activations, check_name

from ._dropout import Mask

__all__ = ["Extras", "Hyper", "Optimizer", "Rng", "central_differences", "initial_ranges", "train"]


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


class Extras(NamedTuple):
    """What `fit` can do beyond scikit-learn; the parameters of the same names, and the function `dropout_mask`."""

    learning_rates: Sequence[float] | None = None
    learning_rate_multipliers: Sequence[tuple[float, float]] | None = None
    weight_decay: float = 0.0
    max_grad_norm: float | None = None
    average: float | None = None
    dropout: Sequence[float] | None = None
    dropout_seed: int = 0
    mask: Mask | None = None

    def masks(self, step: int, problem: Problem) -> list[Array] | None:
        """Return the factors of dropout for a mini-batch."""
        if self.dropout is None or self.mask is None:
            return None
        rows, widths = len(problem.X), [len(W) for W in problem.coefs]
        return [
            np.asarray(self.mask(self.dropout_seed, step, l, rows, n, rate))
            for l, (n, rate) in enumerate(zip(widths, self.dropout, strict=True))
        ]

    def clip(self, gradients: list[Array]) -> list[Array]:
        """Return the gradients, scaled to the largest allowed norm if they are longer."""
        if self.max_grad_norm is None:
            return gradients
        norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients))
        return gradients if norm <= self.max_grad_norm else [g * (self.max_grad_norm / norm) for g in gradients]

    def multipliers(self, problem: Problem) -> list[float]:
        """Return the factor of the learning rate of each array of `_flat`."""
        layers = self.learning_rate_multipliers or [(1.0, 1.0)] * len(problem.coefs)
        rates = [weight for weight, _ in layers] + [bias for _, bias in layers]
        return rates + [bias for _, bias in layers[:-1] for _ in range(2)] * (problem.batch_norm is not None)


NO_EXTRAS = Extras()


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
    weights = problem.sample_weight
    return problem._replace(
        X=problem.X[rows], Y=problem.Y[rows], sample_weight=None if weights is None else weights[rows]
    )


def _with_copies(problem: Problem) -> Problem:
    """Return the problem with copies of its weights, which may be changed in place."""
    batch_norm = problem.batch_norm
    return problem._replace(
        coefs=[W.copy() for W in problem.coefs],
        intercepts=[b.copy() for b in problem.intercepts],
        batch_norm=batch_norm and [(gamma.copy(), beta.copy()) for gamma, beta in batch_norm],
    )


def train(
    problem: Problem,
    cost_and_gradient: Callable[[Problem], tuple[Any, ...]],
    table: Mapping[str, Optimizer],
    solver: str,
    hyper: Hyper,
    epochs: int,
    batch_size: int | None,
    rng: Rng | None,
    extras: Extras = NO_EXTRAS,
) -> tuple[Any, ...]:
    """Train copies of the weights of the problem and return the results of `fit`."""
    m = len(problem.X)
    batch_size = _check_fit(m, epochs, batch_size, solver, hyper.learning_rate_init, table)
    problem = _with_copies(problem)
    weights = _flat(problem.coefs, problem.intercepts, problem.batch_norm or ())
    step, n_states = table[solver]
    states = [[np.zeros_like(w) for _ in range(n_states)] for w in weights]
    averages = [w.copy() for w in weights]
    multipliers = extras.multipliers(problem)

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
            batch = batch._replace(masks=extras.masks(count, batch))
            count += 1
            if batch.sample_weight is not None and not batch.sample_weight.any():
                continue
            t += 1
            J, *gradients = cost_and_gradient(batch)
            total += J * len(batch.X)
            rate = hyper.learning_rate_init if extras.learning_rates is None else extras.learning_rates[count - 1]
            clipped = extras.clip(_flat(*gradients))
            for i, (w, g, state) in enumerate(zip(weights, clipped, states, strict=True)):
                own_rate = rate * multipliers[i]
                if i < len(problem.coefs):
                    w *= 1 - own_rate * extras.weight_decay
                step(w, g, state, t, hyper._replace(learning_rate_init=own_rate))
            if extras.average is not None:
                gain = (1 - extras.average) / (1 - extras.average**t)
                for a, w in zip(averages, weights, strict=True):
                    a += gain * (w - a)
        loss_curve.append(total / m)
    if extras.average is not None:
        for a, w in zip(averages, weights, strict=True):
            w[...] = a
    result = (problem.coefs, problem.intercepts, loss_curve)
    return result if problem.batch_norm is None else (*result, problem.batch_norm)


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
