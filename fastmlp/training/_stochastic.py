"""Training with the stochastic solvers: what happens between two calls of the kernel."""

import warnings
from collections.abc import Callable
from decimal import Decimal, Overflow, localcontext
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp.kernels.layout import RUNNING, STOPPED, Hyper

from ._engine import NOT_FINITE, Engine
from ._network import Array
from ._progress import Observer, Progress
from ._reporting import Reporter, reporter_of
from ._schedules import Schedule
from ._snapshot import Best, snapshot_of
from ._threads import Team

__all__ = ["Measured", "Watch", "divergence_message", "inverse_scaling", "train_stochastic"]

EPOCHS_PER_CALL = 4096  # bounds the memory for losses where max_iter is huge
STEPS_PER_CALL = 1 << 17  # bounds the memory for schedules


def inverse_scaling(rate_init: float, t: int, power_t: float) -> float:
    """Return rate_init / (t + 1)^power_t.

    The power is correctly rounded, by `decimal`, because C libraries differ in the last bit and the weights must be the
    same on every machine.
    """
    with localcontext(prec=40) as context:
        context.traps[Overflow] = False  # a power that is too large is infinite, and the rate is 0
        power = float(Decimal(t + 1) ** Decimal(float(power_t)))
    return float(rate_init) / power


def divergence_message(engine: Engine, epoch: int) -> str:
    """Return a message that states where training diverged and how to avoid it."""
    batch, rate = engine.state["row"] // engine.hyper.batch + 1, engine.state.learning_rate
    return (
        f"{NOT_FINITE} Training diverged in epoch {epoch}, mini-batch {batch}, at"
        f" learning rate {rate:g}: scale the data or lower learning_rate_init. The last finite"
        " weights are kept."
    )


class Measured(NamedTuple):
    """Score and loss of the validation data at the current weights."""

    score: float
    loss: float


class Watch(NamedTuple):
    """Quantities that are monitored during training, besides the training loss.

    Attributes
    ----------
    measure : callable or None
        Returns the score and the loss of the validation data (NaN if the weights are useless).
    stopping : bool
        Whether the score decides when to stop, instead of the training loss.
    keep_best : bool
        Whether the weights of the best epoch are wanted: by the score, if there is one, otherwise by the training loss.
    """

    measure: Callable[[], Measured] | None = None
    stopping: bool = False
    keep_best: bool = False


NOTHING = Watch()


def train_stochastic(
    engine: Engine,
    *,
    max_iter: int,
    incremental: bool = False,
    power_t: float | None = None,
    rate_init: float = 0.0,
    schedule: Schedule | None = None,
    verbose: Any = False,
    watch: Watch = NOTHING,
    observer: Observer | None = None,
    resumed: Best | None = None,
) -> tuple[Array, Array] | None:
    """Train by mini-batches until scikit-learn's rules stop it.

    Parameters
    ----------
    engine : Engine
        Its state is continued, and updated also if an error or Ctrl-C ends training.
    max_iter : int
        Epochs.
    incremental : bool, default=False
        Whether this is a call of `partial_fit`, which trains all epochs and does not warn at the end of them.
    power_t : float or None
        Exponent of the 'invscaling' schedule; None: another schedule.
    rate_init : float
        For 'invscaling'.
    schedule : Schedule or None
        Schedules that change with each mini-batch.
    verbose : bool or int
        See `reporter_of`.
    watch : Watch
        Validation, and whether the best weights are wanted.
    observer : Observer or None
        Is told of each epoch, and may end training.
    resumed : Best or None
        The return value of `restore` if the engine continues a training that was interrupted.

    Returns
    -------
    (ndarray, ndarray) or None
        The weights of the best epoch and their running statistics, if they are wanted.

    Raises
    ------
    ValueError
        If training diverged, unless a score decides when to stop.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` was reached, or if training with early stopping diverged.
    UserWarning
        If Ctrl-C ended training.
    """
    m, hyper, state = engine.data.rows, engine.hyper, engine.state
    one_by_one = bool(watch.measure or watch.keep_best or verbose or incremental or observer)
    state.watch(scores=watch.stopping)
    n_iter, stopped = (state.n_iter, state["status"] == STOPPED) if resumed else (0, False)
    state.begin_call()
    state.n_iter = n_iter
    if stopped:
        state["status"] = STOPPED
    recorder = _Recorder(engine, watch, resumed)
    diverged = False
    try:
        with Team(engine.threads) as team, reporter_of(verbose) as reporter:
            while state.n_iter < max_iter and not stopped:
                ahead = 1 if one_by_one else min(EPOCHS_PER_CALL, max_iter - state.n_iter)
                rates = None
                if power_t is not None:
                    seen = [state.t + m * (e + 1) for e in range(ahead)]
                    rates = np.array([inverse_scaling(rate_init, t, power_t) for t in seen])
                if schedule is not None:
                    steps = -(-m // hyper.batch)
                    ahead = min(ahead, max(1, STEPS_PER_CALL // steps))
                    rates = schedule.table(state["step"], ahead * steps)
                rate = state["rate"]
                if observer is not None:
                    observer.begin_epoch()
                status = engine.run(team, ahead, rates)
                recorder.record_epochs()
                if engine.diverged:
                    diverged = True
                    break
                if one_by_one:
                    status = recorder.after_epoch(status)
                else:
                    recorder.note_lowest_loss(ahead)
                stopped = status == STOPPED
                if verbose or observer is not None:
                    progress = recorder.progress(max_iter, stopped, rate if schedule is None else state["rate"])
                    reporter.epoch(progress)
                    _say_rule(reporter, watch.stopping, hyper, stopped, rate, state["rate"])
                    if observer is not None and observer.end_epoch(progress):
                        break
                if incremental and stopped:
                    stopped, state["status"] = False, RUNNING
            else:
                if not (stopped or incremental):
                    warnings.warn(
                        f"Stochastic Optimizer: Maximum iterations ({max_iter}) reached and the optimization hasn't "
                        "converged yet.",
                        ConvergenceWarning,
                        stacklevel=2,
                    )
    except KeyboardInterrupt:
        # Ctrl-C between two calls of a kernel: the weights are those after the last whole mini-batch.
        recorder.record_epochs()
        warnings.warn("Training interrupted by user.", stacklevel=2)
    if diverged:
        message = divergence_message(engine, state.n_iter + 1)
        if not watch.stopping:
            raise ValueError(message)
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
        state.n_iter += 1
        state.loss_curve.append(np.nan)
        recorder.enter(Measured(np.nan, np.nan))
    return recorder.best


def _copies(arrays: tuple[Array, Array]) -> tuple[Array, Array]:
    return arrays[0].copy(), arrays[1].copy()


class _Recorder:
    """Adds finished epochs to the state of a fit, and keeps the best weights."""

    def __init__(self, engine: Engine, watch: Watch, resumed: Best | None) -> None:
        self.engine, self.watch = engine, watch
        self._recorded = 0  # epochs of `engine.history` that the state knows
        # The state knows the best value of earlier calls only for what the stopping rule looks at.
        known = watch.stopping or watch.measure is None
        self._best = resumed or Best(
            engine.state["best"] if known else np.inf,
            _copies(engine.for_predictions) if watch.keep_best else None,
        )

    @property
    def best(self) -> tuple[Array, Array] | None:
        """Weights and running statistics of the best epoch so far, if they are wanted."""
        return self._best.weights

    def record_epochs(self) -> None:
        """Add the finished epochs to the state."""
        state, finished = self.engine.state, self.engine.history[self._recorded :]
        self._recorded = len(self.engine.history)
        state.loss_curve += finished
        state.n_iter += len(finished)
        state.t += self.engine.data.rows * len(finished)

    def note_lowest_loss(self, epochs: int) -> None:
        """Note the best of the last epochs, of which there are at most `epochs`, by the training loss."""
        curve = self.engine.state.loss_curve
        first = max(0, len(curve) - epochs)
        best = min(range(first, len(curve)), key=curve.__getitem__, default=0)
        if curve and curve[best] < self._best.value:
            self._best = self._best._replace(value=curve[best])
            self.engine.state.best_epoch = best + 1

    def enter(self, measured: Measured) -> None:
        """Add the loss and score of the validation data after an epoch to the state."""
        state = self.engine.state
        if state.validation_scores is None:
            state.validation_scores = []
        if state.validation_loss_curve is None:
            state.validation_loss_curve = []
        state.validation_scores.append(measured.score)
        state.validation_loss_curve.append(measured.loss)

    def after_epoch(self, status: int) -> int:
        """Measure, remember the best weights and apply the stopping rule to a score; return the status."""
        engine, state = self.engine, self.engine.state
        value = state.loss_curve[-1]
        if self.watch.measure is not None:
            measured = self.watch.measure()
            self.enter(measured)
            value = -measured.score
        if value < self._best.value:
            state.best_epoch = len(state.loss_curve)
            self._best = Best(value, _copies(engine.for_predictions) if self.watch.keep_best else None)
        return engine.observe(value) if self.watch.stopping else status

    def progress(self, max_iter: int, stopped: bool, rate: float) -> Progress:
        """Return what is known after the present epoch, the last mini-batch of which had the learning rate `rate`."""
        state = self.engine.state
        measured = self.watch.measure is not None
        return Progress(
            epoch=state.n_iter,
            max_iter=max_iter,
            ended=stopped or state.n_iter == max_iter,
            loss=state.loss_curve[-1],
            validation_loss=state.validation_loss_curve[-1] if measured and state.validation_loss_curve else None,
            validation_score=state.validation_scores[-1] if measured and state.validation_scores else None,
            learning_rate=rate,
            gradient_norm=state["grad_norm"] if self.engine.hyper.max_grad_norm < np.inf else np.nan,
            snapshot=lambda: snapshot_of(self.engine, self._best),
        )


def _say_rule(reporter: Reporter, scores: bool, hyper: Hyper, stopped: bool, before: float, rate: float) -> None:
    """Report the action of the stopping rule after an epoch, if there was one."""
    if not (stopped or (hyper.adaptive and rate < before)):
        return
    what = "Validation score" if scores else "Training loss"
    then = f" Setting learning rate to {rate:f}"
    if stopped:
        then = " Learning rate too small. Stopping." if hyper.adaptive else " Stopping."
    reporter.say(f"{what} did not improve more than tol={hyper.tol:f} for {hyper.patience:d} consecutive epochs.{then}")
