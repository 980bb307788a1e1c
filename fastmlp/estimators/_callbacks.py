"""Callbacks of a fit: scikit-learn's interface, and its replacement for versions before 1.9."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import sklearn

from fastmlp.training._checkpoint import Snapshot
from fastmlp.training._progress import EPOCH, EpochCallback, Progress

from ._sklearn import CallbackSupportMixin

__all__ = ["CallbacksMixin", "FitTasks", "fit_tasks"]

HOOKS = ("setup", "teardown", "on_fit_task_begin", "on_fit_task_end")


class _Context:
    """Replacement of `sklearn.callback.CallbackContext` before scikit-learn 1.9, for the callbacks of fastmlp."""

    def __init__(self, task_name: str, callbacks: list[Any]) -> None:
        self.task_name, self._callbacks = task_name, callbacks

    def subcontext(self, task_name: str) -> "_Context":
        return _Context(task_name, self._callbacks)

    def call_on_fit_task_begin(self, *, estimator: Any, **_: Any) -> None:
        for callback in self._callbacks:
            callback.on_fit_task_begin(estimator, self)

    def call_on_fit_task_end(self, *, estimator: Any, **_: Any) -> bool:
        answers = [callback.on_fit_task_end(estimator, self) for callback in self._callbacks]
        return any(answers)


class _OlderSupport:
    """Replacement of `sklearn.callback.CallbackSupportMixin` before scikit-learn 1.9."""

    def set_callbacks(self, *callbacks: Any) -> Self:
        if not all(isinstance(callback, EpochCallback) for callback in callbacks):
            raise RuntimeError(
                "set_callbacks needs scikit-learn >= 1.9 for callbacks other than those of fastmlp.callbacks, and "
                f"scikit-learn {sklearn.__version__} is installed."
            )
        self.__dict__["_skl_callbacks"] = list(callbacks)
        if not callbacks:
            del self.__dict__["_skl_callbacks"]
        return self

    def _init_callback_context(self, max_subtasks: int) -> _Context:
        callbacks = self.__dict__["_skl_callbacks"]
        context = _Context("fit", callbacks)
        for callback in callbacks:
            callback.setup(self, context)
        return context


_Support: Any = _OlderSupport if CallbackSupportMixin is None else CallbackSupportMixin


class CallbacksMixin(_Support):
    """The public method `set_callbacks`."""

    def set_callbacks(self, *callbacks: Any) -> Self:
        """Set the callbacks of `fit`.

        `fit` is a task, and each epoch (each iteration of 'lbfgs') is a subtask of it, named "epoch". If a callback
        returns True at the end of an epoch, training stops. `partial_fit` does not call callbacks.

        Parameters
        ----------
        *callbacks : callback instances
            Callbacks of `fastmlp.callbacks` and, with scikit-learn 1.9 or later, of `sklearn.callback`. They replace
            the callbacks that were set before. With scikit-learn 1.9 or later, clones keep them.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        TypeError
            If one of them is not an instance with the methods of a callback.
        RuntimeError
            If one of them does not belong to `fastmlp.callbacks`, and the version of scikit-learn is older than 1.9.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastmlp import MLPClassifier
        >>> from fastmlp.callbacks import History
        >>> history = History()
        >>> clf = MLPClassifier(solver="lbfgs", tol=0.01, random_state=0).set_callbacks(history)
        >>> clf = clf.fit(*load_iris(return_X_y=True))
        >>> bool(history.frame()["epoch"].iloc[-1] == clf.n_iter_)
        True
        """
        for callback in callbacks:
            if isinstance(callback, type) or not all(callable(getattr(callback, hook, None)) for hook in HOOKS):
                raise TypeError(
                    f"set_callbacks takes instances with the methods {', '.join(HOOKS)}, such as those of "
                    f"sklearn.callback and fastmlp.callbacks; got {callback!r}."
                )
        super().set_callbacks(*callbacks)
        return self


class FitTasks:
    """The tasks of a fit, about which the callbacks are notified: the fit itself, and each of its epochs.

    Parameters
    ----------
    model : estimator
    X, y, metadata
        Arguments of `fit`. scikit-learn passes them to callbacks that request them.

    Attributes
    ----------
    attributes : callable or None
        Returns attributes that make a copy of the model a model that is fitted up to the present epoch.
    identity : callable or None
        Returns a description of this fit for checkpoints, see `identity_of`.
    """

    def __init__(self, model: Any, X: Any, y: Any, metadata: dict[str, Any] | None) -> None:
        self.model = model
        self.attributes: Callable[[], dict[str, Any]] | None = None
        self.identity: Callable[[], dict[str, Any]] | None = None
        self._data = {"X": X, "y": y, "metadata": metadata}
        self._fit = model._init_callback_context(max_subtasks=int(model.max_iter))
        self._fit.call_on_fit_task_begin(estimator=model, **self._data)

    def begin_epoch(self) -> None:
        """Notify the callbacks that an epoch begins."""
        self._epoch = self._fit.subcontext(task_name=EPOCH)
        self._epoch.call_on_fit_task_begin(
            estimator=self.model, **self._data, reconstruction_attributes=self.attributes
        )

    def end_epoch(self, progress: Progress) -> bool:
        """Notify the callbacks that an epoch has ended, and return whether training should stop."""
        snapshot, identity = progress.snapshot, self.identity
        if snapshot is not None and identity is not None:

            def complete() -> Snapshot:
                header, arrays = snapshot()
                return Snapshot({**identity(), **header}, arrays)

            progress = replace(progress, snapshot=complete)
        self.model._epoch_progress = progress
        return bool(
            self._epoch.call_on_fit_task_end(
                estimator=self.model, **self._data, reconstruction_attributes=self.attributes
            )
        )

    def end(self) -> None:
        """Notify the callbacks that the fit has ended."""
        self._fit.call_on_fit_task_end(estimator=self.model, **self._data, reconstruction_attributes={})


@contextmanager
def fit_tasks(model: Any, X: Any, y: Any, sample_weight: Any) -> Iterator[FitTasks | None]:
    """Notify the callbacks of a model that a fit begins and ends. Yield None if there are no callbacks.

    Since scikit-learn 1.9, the decorator of `fit` calls the method `teardown` of the callbacks.
    """
    callbacks = model.__dict__.get("_skl_callbacks")
    if not callbacks:
        yield None
        return
    try:
        tasks = FitTasks(model, X, y, None if sample_weight is None else {"sample_weight": sample_weight})
        yield tasks
        tasks.end()
    finally:
        model.__dict__.pop("_epoch_progress", None)
        if CallbackSupportMixin is None:
            for callback in callbacks:
                callback.teardown(model, None)
