"""Training with SciPy's L-BFGS-B, which calls the kernel for the cost and its gradient."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning

from ._engine import NOT_FINITE, Engine
from ._network import Array
from ._progress import Observer, Progress
from ._reporting import PROGRESS, reporter_of
from ._threads import Team

__all__ = ["minimize_lbfgs"]

STOPPED_BY_CALLBACK = 99  # a status of SciPy's


def _printing(verbose: Any) -> dict[str, int]:
    """Return the option by which SciPy's L-BFGS-B prints its progress; it has been ignored since SciPy 1.15."""
    version = tuple(int(part) for part in scipy.__version__.split(".")[:2])
    return {"iprint": 1 if verbose else -1} if version < (1, 15) else {}


def minimize_lbfgs(
    engine: Engine,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    reported: Callable[[float], float],
    verbose: Any = False,
    observer: Observer | None = None,
) -> tuple[float, int]:
    """Minimise the cost with SciPy's L-BFGS-B around the cost-and-gradient kernel; `engine.w` ends at the minimum.

    Parameters
    ----------
    engine : Engine
    max_iter, max_fun, tol
        Limits of SciPy.
    reported : callable
        Returns the loss that is reported for a cost at the present weights.
    verbose : bool or int
        2: see `reporter_of`. For other positive values, SciPy prints its progress (before version 1.15).
    observer : Observer or None
        Is told of each iteration, and may end training.

    Returns
    -------
    loss : float
    n_iter : int

    Raises
    ------
    ValueError
        If the cost of the initial weights is not finite.

    Warns
    -----
    ConvergenceWarning
        If SciPy stopped for another reason than convergence.
    UserWarning
        If Ctrl-C ended training. The best weights so far are kept.
    """
    lowest, best = np.inf, engine.w.copy()
    evaluations = iterations = 0
    # scikit-learn does not print messages for this solver.
    reporter = reporter_of(verbose if verbose == PROGRESS else 0)

    def after_iteration(intermediate_result: Any) -> None:
        nonlocal iterations
        iterations += 1
        engine.w[:] = intermediate_result.x
        loss = reported(float(intermediate_result.fun))
        progress = Progress(iterations, max_iter, ended=iterations == max_iter, loss=loss)
        reporter.epoch(progress)
        if observer is not None:
            observer.begin_epoch()  # SciPy does not say whether another iteration follows
            if observer.end_epoch(progress):
                raise StopIteration

    with reporter, Team(engine.threads) as team:

        def cost_and_gradient(x: Array) -> tuple[float, Array]:
            nonlocal lowest, best, evaluations
            loss = engine.evaluate(team, x)
            evaluations += 1
            if not np.isfinite(loss):
                if evaluations == 1:
                    raise ValueError(f"{NOT_FINITE} The cost of the initial weights is not finite: scale the data.")
                return np.inf, np.zeros_like(engine.g)
            if loss < lowest:
                lowest, best = loss, x.copy()
            return loss, engine.g.copy()

        try:
            result = scipy.optimize.minimize(
                cost_and_gradient,
                engine.w.copy(),
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration if observer is not None or verbose == PROGRESS else None,
                options={
                    "maxfun": max_fun,
                    "maxiter": max_iter,
                    "gtol": tol,
                    **_printing(verbose != PROGRESS and verbose),
                },
            )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
            engine.w[:] = best
            return lowest, evaluations
    if result.status not in (0, STOPPED_BY_CALLBACK):
        limit = f" (max_iter={max_iter})" if result.nit >= max_iter else ""
        warnings.warn(
            f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}): "
            f"{result.message}{limit}. Increase max_iter or max_fun, or scale the data "
            "(sklearn.preprocessing.StandardScaler).",
            ConvergenceWarning,
            stacklevel=2,
        )
    n_iter = min(int(result.nit), max_iter)
    if not (np.isfinite(result.fun) and np.isfinite(result.x).all()):
        warnings.warn(
            f"lbfgs: the cost is not finite after iteration {n_iter}: scale the data. The best finite weights are"
            " kept.",
            ConvergenceWarning,
            stacklevel=2,
        )
        engine.w[:] = best
        return lowest, n_iter
    engine.w[:] = result.x
    return float(result.fun), n_iter
