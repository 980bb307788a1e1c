"""The progress of a fit after each epoch, and the interface of objects that are notified of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["EPOCH", "EpochCallback", "Observer", "Progress"]

EPOCH = "epoch"  # name of the task


@dataclass(frozen=True)
class Progress:
    """The progress of a fit after an epoch, or after an iteration of L-BFGS.

    Attributes
    ----------
    epoch : int
        Number of the epoch in this fit, counted from 1.
    max_iter : int
        Largest number of epochs of this fit.
    ended : bool
        Whether training ends after this epoch, as far as the stopping rule and `max_iter` are concerned.
    loss : float
        Training loss of the epoch, with the penalty.
    validation_loss, validation_score : float or None
        Of the validation data after the epoch; None without validation data.
    learning_rate : float
        Of the last mini-batch; NaN for L-BFGS.
    gradient_norm : float
        Euclidean norm of the gradient of the last mini-batch, before it is limited; NaN if it is not computed.
    snapshot : callable or None
        Returns the `Snapshot` from which training can continue after this epoch; None if it cannot.
    """

    epoch: int
    max_iter: int
    ended: bool
    loss: float
    validation_loss: float | None = None
    validation_score: float | None = None
    learning_rate: float = float("nan")
    gradient_norm: float = float("nan")
    snapshot: Callable[[], Any] | None = None


class Observer(Protocol):
    """An object that is notified when an epoch begins and ends."""

    def begin_epoch(self) -> None:
        """Called before each epoch."""

    def end_epoch(self, progress: Progress) -> bool:
        """Called after each epoch. Training stops if the result is true."""


class EpochCallback:
    """Base class of the callbacks of fastmlp, with the methods of scikit-learn's protocol `FitCallback`.

    A subclass defines `after_epoch`. The class also works with versions of scikit-learn that have no callbacks.
    """

    needs_gradient_norm = False

    def setup(self, estimator: Any, context: Any) -> None:
        """Called when the fit of an estimator begins.

        Raises
        ------
        TypeError
            The estimator is not one of fastmlp.
        """
        if not hasattr(estimator, "__fastmlp_progress__"):
            raise TypeError(
                f"{type(self).__name__} must be set on an estimator of fastmlp, such as the last step of a pipeline; "
                f"got {type(estimator).__name__}."
            )

    def teardown(self, estimator: Any, context: Any) -> None:
        """Called when the fit has ended, also after an error."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Called when the fit or an epoch begins."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Called when an epoch or the fit has ended. Return whether training should stop."""
        if context.task_name == EPOCH:
            self.after_epoch(estimator, estimator.__fastmlp_progress__())
        return False

    def after_epoch(self, estimator: Any, progress: Progress) -> None:
        """Called after each epoch."""
        raise NotImplementedError
