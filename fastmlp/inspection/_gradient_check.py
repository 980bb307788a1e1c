"""Check the gradient computed by back-propagation against central differences of the cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state

from fastmlp._problem import Options
from fastmlp.training._network import Array

from ._composite import locate
from ._objective import Objective, objective_of_arrays, objective_of_estimator

__all__ = ["ArrayCheck", "GradientCheck", "check_gradient"]

# A component that misses the tolerance at step e is checked again with these fractions of e.
FINER = 1 / 8, 1 / 16
# Bound of the rounding error of one evaluation of J, relative to 1 + |J|: several roundings of its sum.
ROUNDINGS = 16 * np.finfo(np.float64).eps


class ArrayCheck(NamedTuple):
    """One row of the table: the comparison for one parameter array.

    Attributes
    ----------
    name : str
        'coefs[0]', 'intercepts[0]', 'gammas[0]', 'betas[0]'...
    size, checked, kinks : int
        Number of components of the array; number of components compared; number of components left out because J
        has a kink there, or curves too sharply for differences.
    absolute : float
        Largest absolute difference.
    relative : float
        Largest absolute difference, divided by the largest component of the array.
    ok : bool
        Whether `relative` is within the tolerance and at least one component was compared.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import check_gradient
    >>> from fastmlp.inspection import ArrayCheck
    >>> check = check_gradient(([np.ones((2, 1))], [np.zeros(1)]), [[1.0, 2.0]], [[1.0]], output="logistic")
    >>> isinstance(check.arrays[0], ArrayCheck), check.arrays[0].name, check.arrays[0].size, check.arrays[0].ok
    (True, 'coefs[0]', 2, True)
    """

    name: str
    size: int
    checked: int
    kinks: int
    absolute: float
    relative: float
    ok: bool


@dataclass(frozen=True)
class GradientCheck:
    """Result of `check_gradient`: prints as a table, and is true if back-propagation is right.

    Attributes
    ----------
    arrays : tuple of ArrayCheck
        One row for each parameter array.
    eps, tol : float
        The arguments of `check_gradient`.
    source : str
        The checked step, for a pipeline or a search; otherwise empty.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import GradientCheck, check_gradient
    >>> check = check_gradient(([np.ones((2, 1))], [np.zeros(1)]), [[1.0, 2.0]], [[1.0]], output="logistic")
    >>> isinstance(check, GradientCheck), bool(check), check.kinks, check.relative < check.tol
    (True, True, 0, True)
    """

    arrays: tuple[ArrayCheck, ...]
    eps: float
    tol: float
    source: str = ""

    @property
    def relative(self) -> float:
        """Return the largest relative error of all arrays."""
        return max(row.relative for row in self.arrays)

    @property
    def kinks(self) -> int:
        """Return the number of components that were left out."""
        return sum(row.kinks for row in self.arrays)

    def __bool__(self) -> bool:
        return all(row.ok for row in self.arrays)

    def __str__(self) -> str:
        head = f"{'array':<14} {'size':>8} {'checked':>8} {'kinks':>6}"
        head += f"  {'absolute':>9}  {'relative':>9}  verdict"
        lines = [self.source] if self.source else []
        lines += [head] + [
            f"{row.name:<14} {row.size:>8} {row.checked:>8} {row.kinks:>6}  {row.absolute:>9.1e}"
            f"  {row.relative:>9.1e}  {'ok' if row.ok else 'WRONG' if row.checked else 'unknown'}"
            for row in self.arrays
        ]
        verdict = "right" if self else "not confirmed"
        return "\n".join([*lines, f"gradient {verdict}: central differences, eps={self.eps:g}, tol={self.tol:g}"])

    __repr__ = __str__


def check_gradient(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    eps: float = 1e-4,
    max_params: int | None = None,
    tol: float = 1e-6,
    sample_weight: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = 0,
    **options: Any,
) -> GradientCheck:
    """Compare the gradient by back-propagation with central differences (J(t + eps) - J(t - eps)) / 2 eps.

    The computation is in float64, on all rows as one batch. Every component costs two evaluations of J, so call this
    function before training, not during it.

    Parameters
    ----------
    model : estimator, Pipeline, search or (coefs, intercepts)
        For an `MLPClassifier`, `MLPRegressor` or `MLPAutoencoder`, the objective is the one that `fit` minimises. It is
        evaluated at the fitted weights or, if the estimator is not fitted, at the weights from which `fit` would start.
        For a fitted pipeline, the last step is checked with the data that the other steps have transformed; for a
        fitted search, such as `GridSearchCV`, the best estimator. A pair of lists of arrays contains the arguments of
        `cost`.
    X : array-like of shape (m, n_0)
        Samples; a few dozen are enough.
    y : array-like
        Targets, as in `fit` of the estimator; for arrays, the argument Y of `cost`.
    eps : float, default=1e-4
        The step.
    max_params : int, default=None
        Number of components of each array to check, drawn at random. None checks all of them.
    tol : float, default=1e-6
        Largest relative error of an array that counts as right. Differences within the rounding error of J always
        count as right.
    sample_weight : array-like of shape (m,), default=None
        Weights of the samples.
    random_state : int, RandomState instance or None, default=0
        Source of the random draws for `max_params`.
    **options
        For arrays: the options of `cost`.

    Returns
    -------
    GradientCheck
        Prints as a table. ``bool(check)`` is True if every array is right.

    Raises
    ------
    TypeError
        If the estimator, or the last step of the pipeline, does not belong to fastmlp.
    NotFittedError
        If the pipeline or the search is not fitted.
    ValueError
        If an argument is invalid, or the cost is not finite at these weights.

    Notes
    -----
    If an activation has a kink (relu, leaky relu, maxout) within eps of the point, central differences are wrong
    although back-propagation is right; if J curves sharply (batch normalisation), they are inexact. Therefore a
    component that misses the tolerance is checked again with steps of eps/8 and eps/16. If J behaves like a smooth
    function there (halving the step divides its second difference by four and keeps the central difference), the
    finer difference is used; otherwise the component is reported as a kink and left out. This decision uses values of
    J only, never the gradient under test, so it cannot hide a wrong gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from fastmlp import MLPRegressor, check_gradient
    >>> rng = np.random.default_rng(0)
    >>> X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    >>> check = check_gradient(MLPRegressor(hidden_layer_sizes=4, activation="tanh", random_state=0), X, y)
    >>> bool(check)
    True
    >>> [row.name for row in check.arrays]
    ['coefs[0]', 'coefs[1]', 'intercepts[0]', 'intercepts[1]']
    """
    for name, value in (("eps", eps), ("tol", tol)):
        if not isinstance(value, Real) or not 0 < value < np.inf:
            raise ValueError(f"{name} must be a number > 0, got {value!r}.")
    if max_params is not None and (not isinstance(max_params, Integral) or max_params < 1):
        raise ValueError(f"max_params must be None or an integer >= 1, got {max_params!r}.")
    source = ""
    if isinstance(model, Sequence):
        if len(model) != 2:
            raise ValueError(f"model must be an estimator or a pair (coefs, intercepts), got {len(model)} items.")
        options["sample_weight"] = sample_weight
        coefs, intercepts = model
        objective = objective_of_arrays(coefs, intercepts, X, y, cast(Options, options), keep_float32=False)
    elif options:
        raise ValueError(f"{sorted(options)} go with arrays only: an estimator has its own parameters.")
    else:
        found = locate(model, X)
        objective, source = objective_of_estimator(found, y, sample_weight), found.source
    random = check_random_state(random_state)
    with objective:
        J, g = objective.cost_and_gradient()
        if not np.isfinite(J):
            raise ValueError("The cost is not finite at these weights: scale the data or choose smaller weights.")
        noise = ROUNDINGS * (1 + abs(J))
        gradients = objective.arrays(g)
        rows = [
            _check_array(objective, J, name, w, gradients[name], _some(w.size, max_params, random), eps, tol, noise)
            for name, w in objective.arrays(objective.w).items()
        ]
    return GradientCheck(tuple(rows), float(eps), float(tol), source)


def _some(size: int, most: int | None, random: np.random.RandomState) -> Array:
    if most is None or size <= most:
        return np.arange(size)
    return np.sort(random.choice(size, int(most), replace=False))


def _differences(objective: Objective, J: float, w: Array, i: int, step: float) -> tuple[float, float]:
    """Return the central difference by w[i], and the difference between the two one-sided ones."""
    kept = w[i]
    w[i] = kept + step
    above, far = objective.cost(), w[i]
    w[i] = kept - step
    below, near = objective.cost(), w[i]
    w[i] = kept
    # The steps after rounding: kept +- step may not be representable.
    return (above - below) / (far - near), (above - J) / (far - kept) - (J - below) / (kept - near)


def _check_array(
    objective: Objective,
    J: float,
    name: str,
    w: Array,
    g: Array,
    chosen: Array,
    eps: float,
    tol: float,
    noise: float,
) -> ArrayCheck:
    """Check the components `chosen` of one array; `w` is a view of the objective's weights."""
    estimates = np.array([_differences(objective, J, w, i, eps)[0] for i in chosen])
    # The rounding error of J, divided by the smallest step, is no error of the gradient.
    floor = noise / (eps * min(FINER)) / tol
    scale = max(np.abs(g).max(), np.abs(estimates).max(), floor)
    kinks = np.zeros(len(chosen), bool)
    for n in np.flatnonzero(~(np.abs(estimates - g[chosen]) <= tol * scale)):
        (coarse, coarse_gap), (fine, fine_gap) = (
            _differences(objective, J, w, chosen[n], eps * part) for part in FINER
        )
        estimates[n] = fine
        # A kink within the steps changes at least one of the two by two thirds or more of its effect on `fine`.
        bend = max(abs(coarse - fine), abs(coarse_gap - 2 * fine_gap))
        kinks[n] = not bend <= tol * scale / 3
    compared = ~kinks
    absolute = float(np.abs(estimates - g[chosen])[compared].max(initial=0.0))
    # Compute the scale again without the estimates that crossed a kink.
    scale = max(np.abs(g).max(), np.abs(estimates[compared]).max(initial=0.0), floor)
    checked = int(compared.sum())
    return ArrayCheck(
        name,
        w.size,
        checked,
        int(kinks.sum()),
        absolute,
        float(absolute / scale),
        bool(checked and absolute <= tol * scale),
    )
