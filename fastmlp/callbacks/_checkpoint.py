"""Checkpoints that are written during training."""

import os
from collections.abc import Callable
from numbers import Integral
from pathlib import Path
from typing import Any

from fastmlp.training._checkpoint import Snapshot, remove_leftovers, write_checkpoint
from fastmlp.training._progress import EPOCH, EpochCallback, Progress

__all__ = ["Checkpoint"]


class Checkpoint(EpochCallback):
    """Callback that saves a training in progress to a file, from which `fit(..., resume_from=path)` continues.

    The file is replaced in one step, so it is complete whenever the process or the machine stops. It does not contain
    pickled objects. Of the data, it contains only a digest.

    Parameters
    ----------
    path : str or path-like
        The file. Its folder must exist. Each fit needs a separate file.
    every : int, default=10
        Number of epochs between two checkpoints. A checkpoint is also written after the last epoch, also if another
        callback stops the fit.

    Raises
    ------
    TypeError, ValueError
        If `path` is not a path, or `every` is not a positive integer. At the beginning of a fit: if the solver is
        'lbfgs', whose training cannot be resumed.
    OSError
        At the beginning of a fit: if the folder does not exist. During the fit: if the file cannot be written. The
        model then has the weights of the last epoch.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_digits
    >>> from fastmlp import MLPClassifier
    >>> from fastmlp.callbacks import Checkpoint
    >>> X, y = load_digits(return_X_y=True)
    >>> path = Path(tempfile.mkdtemp()) / "digits.checkpoint"
    >>> clf = MLPClassifier(early_stopping=True, random_state=0).set_callbacks(Checkpoint(path))
    >>> clf = clf.fit(X / 16, y)
    >>> again = MLPClassifier(early_stopping=True, random_state=0).fit(X / 16, y, resume_from=path)
    >>> all((a == b).all() for a, b in zip(clf.coefs_, again.coefs_))
    True
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 10) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path must be a str or a path, got {path!r}.")
        if not isinstance(every, Integral) or isinstance(every, bool):
            raise TypeError(f"every must be an integer >= 1, got {every!r}.")
        if every < 1:
            raise ValueError(f"every must be an integer >= 1, got {every!r}.")
        self.path: Path = Path(path)
        self.every: int = int(every)
        self._not_written: Callable[[], Snapshot] | None = None  # snapshot after the present epoch

    def setup(self, estimator: Any, context: Any) -> None:
        """Check that a checkpoint can be written."""
        super().setup(estimator, context)
        if estimator.solver == "lbfgs":
            raise ValueError("Checkpoint needs solver='sgd' or solver='adam', got 'lbfgs'.")
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"Checkpoint: the folder {str(self.path.parent)!r} does not exist.")
        if self.path.is_dir():
            raise IsADirectoryError(f"Checkpoint: {str(self.path)!r} is a folder.")
        remove_leftovers(self.path)

    def after_epoch(self, estimator: Any, progress: Progress) -> None:
        """Write a checkpoint after every `every` epochs, and after the last epoch."""
        self._not_written = progress.snapshot
        if progress.ended or progress.epoch % self.every == 0:
            self._write()

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Forget the last epoch, because the weights change now."""
        self._not_written = None

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Write a checkpoint after an epoch, and at the end of a fit that a callback has stopped."""
        stop = super().on_fit_task_end(estimator, context)
        if context.task_name != EPOCH:
            self._write()
        return stop

    def teardown(self, estimator: Any, context: Any) -> None:
        """Keep no reference to the training."""
        self._not_written = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_not_written": None}  # functions cannot be pickled, and a copy writes nothing

    def _write(self) -> None:
        if self._not_written is not None:
            write_checkpoint(self.path, self._not_written())
            self._not_written = None
