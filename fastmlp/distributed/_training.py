"""What the client does in training: it asks workers for gradients, adds them in a fixed order, and takes the steps."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.optimize

from fastmlp.training._loops import inverse_scaling

from ._partitions import Architecture, Sum, add, gradient

__all__ = ["Adam", "Diverged", "Momentum", "Objective", "Progress", "minimize_lbfgs", "train"]

SMALLEST_RATE = 1e-6  # scikit-learn's adaptive schedule stops here


class Diverged(ArithmeticError):
    """Loss or weights are not finite any more."""


def _broadcast(w: np.ndarray) -> np.ndarray:
    """The weights as a task of their own: sent once, and computed again where a worker is lost."""
    return w


@dataclass
class Objective:
    """Loss and gradient over rows that workers hold.

    Parameters
    ----------
    client : distributed.Client
    parts : list of Future of Partition
    lengths : sequence of int
        Rows of each.
    architecture : Architecture
    alpha, penalty
        As `alpha` and `penalty_scaling` of the estimators.
    loss_scale : float
        Factor of the reported loss, without the penalty.
    """

    client: Any
    parts: Sequence[Any]
    lengths: Sequence[int]
    architecture: Architecture
    alpha: float
    penalty: str
    loss_scale: float

    def __post_init__(self) -> None:
        self.starts = np.cumsum([0, *self.lengths])
        self.penalised = np.concatenate([np.repeat([True, False], (n * q, q)) for n, q in self.architecture.shapes])

    @property
    def rows(self) -> int:
        """Rows of all partitions."""
        return int(self.starts[-1])

    def _sums(self, w: np.ndarray, rows: np.ndarray | None) -> Sum:
        """Return the mean over `rows` (None: all), partition by partition."""
        weights = self.client.submit(_broadcast, w, pure=False)
        if rows is None:
            asked: list[tuple[int, np.ndarray | None]] = [(p, None) for p in range(len(self.parts))]
        else:
            places = np.searchsorted(self.starts, rows, side="right") - 1
            asked = [(p, rows[places == p] - self.starts[p]) for p in np.unique(places).tolist()]
        futures = [
            self.client.submit(gradient, self.parts[p], weights, chosen, self.architecture, pure=False)
            for p, chosen in asked
        ]
        return add(self.client.gather(futures))

    def _strength(self, weight: float) -> float:
        return self.alpha if self.penalty == "sum" else self.alpha / weight

    def penalty_of(self, w: np.ndarray, weight: float) -> float:
        """Return the penalty at w, where the rows have `weight` in all."""
        matrices = w[self.penalised].astype(float)
        return 0.5 * self._strength(weight) * float(matrices @ matrices)

    def __call__(self, w: np.ndarray, rows: np.ndarray | None) -> tuple[float, float, np.ndarray] | None:
        """Return loss and gradient at w, with the penalty, after the weight of the rows; None if that is 0.

        Raises
        ------
        Diverged
            The loss is not finite.
        """
        weight, loss, g = self._sums(w, rows)
        if weight == 0:
            return None
        if not math.isfinite(loss):
            raise Diverged
        return weight, loss + self.penalty_of(w, weight), g + self._strength(weight) * np.where(self.penalised, w, 0)

    def reported(self, w: np.ndarray, weight: float, J: float) -> float:
        """Return J as scikit-learn reports it: squared errors are averaged over the outputs."""
        penalty = self.penalty_of(w, weight)
        return (J - penalty) * self.loss_scale + penalty if self.loss_scale != 1 else J


class Adam:
    """Kingma & Ba (2015), in the operations and the order of `kernels/optimizers.py`."""

    def __init__(self, w: np.ndarray, beta_1: float, beta_2: float, epsilon: float) -> None:
        self.m, self.v = np.zeros_like(w), np.zeros_like(w)
        self.betas, self.epsilon = (beta_1, beta_2), epsilon
        self.powers = [1.0, 1.0]

    def step(self, w: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """Return the weights after a step from `w`."""
        real = w.dtype.type
        self.powers = [power * beta for power, beta in zip(self.powers, self.betas, strict=True)]
        rate = rate * math.sqrt(1.0 - self.powers[1]) / (1.0 - self.powers[0])
        (beta_1, beta_2), (gain_1, gain_2) = map(real, self.betas), (real(1.0 - beta) for beta in self.betas)
        self.m = beta_1 * self.m + gain_1 * g
        self.v = beta_2 * self.v + gain_2 * (g * g)
        return w - real(rate) * self.m / (np.sqrt(self.v) + real(self.epsilon))


class Momentum:
    """Heavy ball or Nesterov's form, in the operations and the order of `kernels/optimizers.py`."""

    def __init__(self, w: np.ndarray, momentum: float, nesterov: bool) -> None:
        self.m, self.momentum, self.nesterov = np.zeros_like(w), momentum, nesterov

    def step(self, w: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """Return the weights after a step from `w`."""
        momentum, rate = w.dtype.type(self.momentum), w.dtype.type(rate)
        self.m = momentum * self.m - rate * g
        return w + (momentum * self.m - rate * g) if self.nesterov else w + self.m


@dataclass
class Progress:
    """How far training has come: the weights, and what the stopping rule remembers.

    Attributes
    ----------
    w : ndarray
        The last finite weights.
    loss_curve : list of float
    best_loss : float
    no_change : int
        Epochs without improvement.
    t : int
        Samples seen.
    n_iter : int
        Epochs of this call of fit.
    rate : float
        Learning rate of the next step.
    batch : int
        Mini-batches of the present epoch that are done.
    """

    w: np.ndarray
    loss_curve: list[float] = field(default_factory=list)
    best_loss: float = np.inf
    no_change: int = 0
    t: int = 0
    n_iter: int = 0
    rate: float = 0.0
    batch: int = 0


def train(
    objective: Objective,
    progress: Progress,
    optimizer: Adam | Momentum,
    random: np.random.RandomState,
    *,
    batch_size: int,
    shuffle: bool,
    max_iter: int,
    tol: float,
    patience: float,
    schedule: str,
    power_t: float,
    report: Callable[[str], None],
) -> bool:
    """Train by mini-batches until scikit-learn's rules stop it; return whether they did before `max_iter`.

    Row orders are drawn as scikit-learn draws them, over the rows of all partitions, so the mini-batches are those of
    the local estimator. `progress` is continued, also where an error ends training.

    Raises
    ------
    Diverged
        `progress` has the last finite weights, epoch and mini-batch.
    """
    m, rate_init = objective.rows, progress.rate
    numbers = np.int32 if m <= np.iinfo(np.int32).max else np.int64
    order = np.arange(m, dtype=numbers)
    for _ in range(max_iter):
        if shuffle:
            permutation = np.arange(m, dtype=numbers)
            random.shuffle(permutation)
            if batch_size < m:  # the order of rows does not change a full batch
                order = order[permutation]
        total, progress.batch = 0.0, 0
        for start in range(0, m, batch_size):
            rows = order[start : start + batch_size]
            found = objective(progress.w, rows if batch_size < m else None)
            if found is not None:
                weight, J, g = found
                total += objective.reported(progress.w, weight, J) * len(rows)
                with np.errstate(over="ignore", invalid="ignore"):
                    w = optimizer.step(progress.w, g.astype(progress.w.dtype), progress.rate)
                if not np.isfinite(w).all():
                    raise Diverged
                progress.w = w
            progress.batch += 1
        loss = total / m
        progress.loss_curve.append(loss)
        progress.n_iter += 1
        progress.t += m
        report(f"Iteration {progress.n_iter}, loss = {loss:.8f}")
        if schedule == "invscaling":
            progress.rate = inverse_scaling(rate_init, progress.t, power_t)
        progress.no_change = progress.no_change + 1 if loss > progress.best_loss - tol else 0
        progress.best_loss = min(progress.best_loss, loss)
        if progress.no_change > patience:
            if schedule != "adaptive" or progress.rate <= SMALLEST_RATE:
                return True
            progress.rate /= 5.0
            progress.no_change = 0
    return False


def minimize_lbfgs(
    objective: Objective, progress: Progress, *, max_iter: int, max_fun: int, tol: float, report: Callable[[str], None]
) -> tuple[float, str | None]:
    """Minimise the objective over all rows with SciPy's L-BFGS-B, in float64.

    Returns
    -------
    loss : float
        As it is reported.
    complaint : str or None
        Why SciPy stopped, if not because of convergence.

    Raises
    ------
    Diverged
        The cost of the first weights is not finite.
    """
    best, weight = np.inf, 0.0

    def cost(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal best, weight
        try:
            found = objective(x, None)
        except Diverged:
            if weight == 0:
                raise
            return np.inf, np.zeros_like(x)
        assert found is not None  # the sum of all weights was checked
        weight, J, g = found
        if best > J:
            best, progress.w = J, x.copy()
        return J, g

    def after_iteration(intermediate_result: Any) -> None:
        progress.n_iter += 1
        report(f"Iteration {progress.n_iter}, loss = {intermediate_result.fun:.8f}")

    options = {"maxiter": max_iter, "maxfun": max_fun, "gtol": tol}
    result = scipy.optimize.minimize(
        cost, progress.w, jac=True, method="L-BFGS-B", callback=after_iteration, options=options
    )
    progress.n_iter = int(result.nit)
    if np.isfinite(result.fun) and np.isfinite(result.x).all():
        best, progress.w = float(result.fun), result.x
    loss = objective.reported(progress.w, weight, best)
    return loss, None if result.success else str(result.message)
