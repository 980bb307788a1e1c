"""The state of a fit: everything that the next epoch depends on, besides the weights, the data and the parameters."""

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastmlp.kernels.layout import STATE, State, record_of
from fastmlp.kernels.tables import OPTIMIZERS

from ._aligned import padded, zeros
from ._network import Array

__all__ = ["TrainingState"]


@dataclass
class TrainingState:
    """Progress of training and state of the optimizer.

    Attributes
    ----------
    record : ndarray of shape (1,) and dtype `fastmlp.kernels.layout.STATE`
        Values that kernels read and write: counters, learning rate, best value so far.
    m, v : ndarray
        First moment or velocity, and second moment of the optimizer; empty if it has none.
    loss_curve : list of float
        Loss of each epoch.
    validation_scores : list of float or None
        Validation score of each epoch of early stopping.
    validation_loss_curve : list of float or None
        Loss of the validation data after each epoch.
    best_epoch : int or None
        Number of the epoch with the best value that was watched, counted from 1.
    watches_scores : bool
        Whether `record["best"]` is minus the best validation score instead of the lowest loss.
    t : int
        Samples seen.
    n_iter : int
        Epochs of the current call of `fit`.
    average, average_stats : ndarray
        Averaged weights and averaged running statistics; empty if weights are not averaged.
    """

    m: Array
    v: Array
    record: Array = field(default_factory=lambda: record_of(State()))
    loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] | None = None
    validation_loss_curve: list[float] | None = None
    best_epoch: int | None = None
    watches_scores: bool = False
    t: int = 0
    n_iter: int = 0
    average: Array = field(default_factory=lambda: np.empty(0))
    average_stats: Array = field(default_factory=lambda: np.empty(0))

    @classmethod
    def new(cls, optimizer: str | None, size: int, dtype: DTypeLike, rate: float = 0.0) -> "TrainingState":
        """Return the state before the first step.

        Parameters
        ----------
        optimizer : str or None
            A key of `OPTIMIZERS`; None if no steps are taken.
        size : int
            Number of weights.
        dtype : dtype
            Dtype of the weights.
        rate : float, default=0.0
            First learning rate.
        """
        states = OPTIMIZERS[optimizer].states if optimizer else 0
        state = cls(zeros(size if states > 0 else 0, dtype), zeros(size if states > 1 else 0, dtype))
        state.record["rate"] = rate
        state.average = state.average_stats = np.empty(0, dtype)
        return state

    def begin_average(self, w: Array, stats: Array) -> None:
        """Begin to average weights and running statistics, from these values; empty arrays end the averaging."""
        self.average, self.average_stats = padded(w.copy()), stats.copy()
        self["average_t"] = 1.0

    def __getitem__(self, name: str) -> Any:
        """Return the field `name` of the record, as a Python number."""
        return self.record[name].item()

    def __setitem__(self, name: str, value: float) -> None:
        self.record[name] = value

    @property
    def learning_rate(self) -> float:
        """The current learning rate."""
        return float(self["rate"])

    @property
    def best_loss(self) -> float | None:
        """The lowest loss of an epoch; None if validation scores are watched."""
        return None if self.watches_scores else float(self["best"])

    @property
    def best_score(self) -> float | None:
        """The best validation score; None if losses are watched."""
        return -float(self["best"]) if self.watches_scores else None

    def watch(self, *, scores: bool) -> None:
        """Apply the stopping rule to validation scores, or to losses, from now on."""
        if scores != self.watches_scores:
            self.watches_scores = scores
            self["best"] = np.inf
            self.best_epoch = None

    def make_current(self) -> None:
        """Make all arrays writable and give them the current layout, as kernels require.

        The arrays of a model that was loaded with memory mapping are read-only, those of a model that was loaded or
        copied have no padding, and a record that was stored by an earlier version of fastmlp may have fewer fields.
        """
        for name in ("m", "v", "average", "average_stats"):  # earlier versions did not store the last two
            kept = self.__dict__.get(name, np.empty(0, self.m.dtype))
            # The average has to be padded, because the public weights are views of it, not of a padded copy.
            setattr(self, name, padded(np.require(kept, requirements="W")))
        if self.record.dtype == STATE:
            self.record = np.require(self.record, requirements="W")
            return
        known = {name: self.record[name][0] for name in self.record.dtype.names or () if name in (STATE.names or ())}
        self.record = record_of(State())
        for name, value in known.items():
            self.record[name] = value

    def unpacked(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the attributes that JSON can hold, and those that are arrays."""
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        arrays = {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
        return {name: value for name, value in values.items() if name not in arrays}, arrays

    def begin_call(self) -> None:
        """Reset the status and the position within the epoch, which belong to the previous call of `fit`."""
        for name in ("epoch", "row", "chunk_row", "passes", "status", "loss", "batch_loss", "weight"):
            self[name] = 0
        self.n_iter = 0
