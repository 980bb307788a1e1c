"""Training control: what happens between calls of the kernel, for the stochastic solvers and for L-BFGS."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

import numpy as np
import scipy.optimize
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.fixes import _get_additional_lbfgs_options_dict
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.kernels.layout import BEST_LOSS, NO_CHANGE, RATE, ROW, STOPPED

from ._engine import Engine
from ._network import Array
from ._threads import Team

__all__ = ["Progress", "divergence_message", "minimize_lbfgs", "train_stochastic"]

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)
EPOCHS_PER_CALL = 4096  # bounds the memory for losses where max_iter is huge


@dataclass
class Progress:
    """How far training has come; scikit-learn's public attributes of the same names, with an underscore added.

    Attributes
    ----------
    loss_curve : list of float
    validation_scores : list of float or None
    best_loss, best_validation_score : float or None
    no_improvement_count : int
    t : int
        Samples seen so far.
    n_iter : int
        Epochs of this call.
    """

    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] | None = None
    best_loss: float | None = np.inf
    best_validation_score: float | None = None
    no_improvement_count: int = 0
    t: int = 0
    n_iter: int = 0


def inverse_scaling(rate_init: float, t: int, power_t: float) -> float:
    """Return rate_init / (t + 1)^power_t.

    The power is rounded correctly, through `decimal`: C libraries differ in the last bit, and the weights are to be
    the same on every machine.
    """
    with localcontext(prec=40):
        power = float(Decimal(t + 1) ** Decimal(float(power_t)))
    return float(rate_init) / power


def divergence_message(engine: Engine, epoch: int) -> str:
    """Say where training diverged, and what to try."""
    return (
        f"{NOT_FINITE} Training diverged in epoch {epoch}, mini-batch {engine.ints[ROW] // engine.batch + 1}, at"
        f" learning rate {engine.floats[RATE]:g}: scale the data or lower learning_rate_init. The last finite"
        " weights are kept."
    )


def _say(verbose: Any, text: str) -> None:
    if verbose:
        print(text)  # noqa: T201 -- what `verbose` asks for, as in scikit-learn


def _say_stopping(verbose: Any, what: str, tol: float, patience: float, then: str) -> None:
    _say(verbose, f"{what} did not improve more than tol={tol:f} for {patience:d} consecutive epochs.{then}")


def train_stochastic(
    engine: Engine,
    progress: Progress,
    *,
    max_iter: int,
    incremental: bool = False,
    power_t: float | None = None,
    rate_init: float = 0.0,
    verbose: Any = False,
    score: Callable[[], float] | None = None,
) -> tuple[Array, Array] | None:
    """Train by mini-batches until scikit-learn's rules stop it.

    Parameters
    ----------
    engine : Engine
    progress : Progress
        Continued, and updated also where an error or Ctrl-C ends training.
    max_iter : int
        Epochs.
    incremental : bool, default=False
        `partial_fit`: one epoch, no warning.
    power_t : float or None
        Exponent of the 'invscaling' schedule; None: another schedule.
    rate_init : float
        For 'invscaling'.
    verbose : bool or int
    score : callable or None
        Early stopping: returns the validation score of the present weights (NaN if they are useless).

    Returns
    -------
    (ndarray, ndarray) or None
        With early stopping, the weights of the best validation score, and their running statistics.

    Raises
    ------
    ValueError
        Training diverged (without early stopping).

    Warns
    -----
    ConvergenceWarning
        `max_iter` was reached, or training diverged under early stopping.
    UserWarning
        Ctrl-C.
    """
    m, hyper = engine.data.rows, engine.hyper
    best = (engine.w.copy(), engine.stats.copy()) if score else None
    one_by_one = bool(score or verbose or incremental)
    engine.ints[NO_CHANGE] = progress.no_improvement_count
    engine.floats[BEST_LOSS] = np.inf if progress.best_loss is None else progress.best_loss
    progress.n_iter = 0
    begin = len(progress.loss_curve)
    stopped = diverged = False
    try:
        with Team(engine.threads) as team:
            while progress.n_iter < max_iter and not stopped:
                ahead = 1 if one_by_one else min(EPOCHS_PER_CALL, max_iter - progress.n_iter)
                rates = None
                if power_t is not None:
                    seen = [progress.t + m * (e + 1) for e in range(ahead)]
                    rates = np.array([inverse_scaling(rate_init, t, power_t) for t in seen])
                rate, known = engine.floats[RATE], len(engine.history)
                status = engine.run(team, ahead, rates)
                done = len(engine.history) - known
                progress.n_iter += done
                progress.t += m * done
                progress.loss_curve += engine.history[known:]
                if engine.diverged:
                    diverged = True
                    break
                if one_by_one:
                    _say(verbose, f"Iteration {progress.n_iter}, loss = {progress.loss_curve[-1]:.8f}")
                stopped = status == STOPPED
                if score is not None:
                    best, stopped = _watch_score(engine, progress, score(), best, verbose)
                elif one_by_one and stopped:
                    small = " Learning rate too small." if hyper.adaptive else ""
                    _say_stopping(verbose, "Training loss", hyper.tol, hyper.patience, f"{small} Stopping.")
                elif one_by_one and hyper.adaptive and engine.floats[RATE] < rate:
                    then = f" Setting learning rate to {engine.floats[RATE]:f}"
                    _say_stopping(verbose, "Training loss", hyper.tol, hyper.patience, then)
                if incremental:
                    break
            if progress.n_iter >= max_iter and not (stopped or incremental or diverged):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
    except KeyboardInterrupt:
        # Ctrl-C between two calls of a kernel: the weights are those after the last whole mini-batch.
        finished = engine.history[len(progress.loss_curve) - begin :]
        progress.loss_curve += finished
        progress.n_iter += len(finished)
        progress.t += m * len(finished)
        warnings.warn("Training interrupted by user.", stacklevel=2)
    finally:
        progress.no_improvement_count = int(engine.ints[NO_CHANGE]) if score is None else progress.no_improvement_count
        if score is None:
            progress.best_loss = float(engine.floats[BEST_LOSS])
        engine.sync()
    if diverged:
        message = divergence_message(engine, progress.n_iter + 1)
        if score is None:
            raise ValueError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
        progress.n_iter += 1
        progress.loss_curve.append(np.nan)
        assert progress.validation_scores is not None
        progress.validation_scores.append(np.nan)
    return best


def _watch_score(
    engine: Engine, progress: Progress, score: float, best: tuple[Array, Array] | None, verbose: Any
) -> tuple[tuple[Array, Array] | None, bool]:
    """Early stopping after one epoch: remember the best weights; return them and whether to stop."""
    hyper = engine.hyper
    assert progress.validation_scores is not None
    top = -np.inf if progress.best_validation_score is None else progress.best_validation_score
    progress.validation_scores.append(score)
    _say(verbose, f"Validation score: {score:f}")
    progress.no_improvement_count = progress.no_improvement_count + 1 if score < top + hyper.tol else 0
    if score > top:
        progress.best_validation_score = score
        best = engine.w.copy(), engine.stats.copy()
    if progress.no_improvement_count <= hyper.patience:
        return best, False
    if not hyper.adaptive or engine.floats[RATE] <= 1e-6:
        small = " Learning rate too small." if hyper.adaptive else ""
        _say_stopping(verbose, "Validation score", hyper.tol, hyper.patience, f"{small} Stopping.")
        return best, True
    engine.floats[RATE] /= 5.0
    then = f" Setting learning rate to {engine.floats[RATE]:f}"
    _say_stopping(verbose, "Validation score", hyper.tol, hyper.patience, then)
    progress.no_improvement_count = 0
    return best, False


def minimize_lbfgs(
    engine: Engine, *, max_iter: int, max_fun: int, tol: float, verbose: Any = False
) -> tuple[float, int]:
    """Minimise the cost with SciPy's L-BFGS-B around the cost-and-gradient kernel; `engine.w` ends at the minimum.

    Returns
    -------
    loss : float
    n_iter : int

    Raises
    ------
    ValueError
        The cost of the initial weights is not finite.

    Warns
    -----
    ConvergenceWarning
        SciPy stopped for another reason than convergence.
    UserWarning
        Ctrl-C: the best weights so far are kept.
    """
    lowest, best, last = np.inf, engine.w.copy(), len(engine.history)
    evaluations = 0

    with Team(engine.threads) as team:

        def cost_and_gradient(x: Array) -> tuple[float, Array]:
            nonlocal lowest, best, evaluations
            engine.w[:] = x
            engine.refresh()
            engine.run(team, 1)
            evaluations += 1
            if engine.diverged:
                if evaluations == 1:
                    raise ValueError(f"{NOT_FINITE} The cost of the initial weights is not finite: scale the data.")
                engine.restart()
                return np.inf, np.zeros_like(engine.g)
            loss = engine.history[-1]
            if loss < lowest:
                lowest, best = loss, x.copy()
            return loss, engine.g.copy()

        try:
            result = scipy.optimize.minimize(
                cost_and_gradient,
                engine.w.copy(),
                method="L-BFGS-B",
                jac=True,
                options={
                    "maxfun": max_fun,
                    "maxiter": max_iter,
                    "gtol": tol,
                    **_get_additional_lbfgs_options_dict("iprint", 1 if verbose else -1),
                },
            )
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=2)
            engine.w[:] = best
            return lowest, len(engine.history) - last
    n_iter = int(_check_optimize_result("lbfgs", result, max_iter))
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
