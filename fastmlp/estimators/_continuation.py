"""Reuse the preparations of a call of `partial_fit` in the next call.

On a small chunk, the preparations take much longer than training: checking the parameters, building the network,
allocating memory, collecting addresses. They are reused as long as nothing has changed. The data are checked in each
call. Data other than arrays of numbers, and invalid data, are processed without this module.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from operator import is_
from typing import Any

import numpy as np
from sklearn import get_config

from fastmlp.training._engine import Engine
from fastmlp.training._network import Array
from fastmlp.training._stochastic import Watch, train_stochastic
from fastmlp.training._threads import available_threads

from ._outcome import show_progress
from ._validation import count_labels, is_plain, is_plain_target
from ._weights import has_packed_weights

__all__ = ["Continuation", "class_numbers", "continuing"]

ROWS_LIMIT = 1 << 20  # rows of a chunk: for larger ones, the time saved is small and the order of the rows large
MANY_ROWS = 10_000  # from this number on, counting labels is faster than searching for each of them
KEYWORDS = {"sample_weight", "classes", "n_epochs"}
CONTAINERS = (list, tuple, dict, np.ndarray)


def class_numbers(y: Any, classes: Array) -> Array | None:
    """Return the index of each label in the increasing `classes`, or None if a label is not among them.

    The result is also None if the labels and classes are not integers or booleans, which can be compared exactly.
    """
    if y.dtype.kind not in "biu" or classes.dtype.kind not in "biu":
        return None
    labels = count_labels(y) if len(y) >= MANY_ROWS else None
    if labels is not None:
        places_of_classes = class_numbers(labels.classes, classes)
        return None if places_of_classes is None else places_of_classes[labels.places]
    places: Array = np.searchsorted(classes, y)
    found = classes.take(places, mode="clip") == y
    return places.astype(np.int32) if found.all() else None


def continuing(partial_fit: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of `partial_fit`, which reuses the preparations of the last call if possible."""

    @wraps(partial_fit)
    def first_try_to_continue(model: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 2 and kwargs.keys() <= KEYWORDS and _continue(model, *args, **kwargs):
            return model
        if "coefs_" in model.__dict__ and not get_config()["skip_parameter_validation"]:
            # scikit-learn does not validate the parameters of a fitted model again, although they may have changed.
            continuation: Continuation | None = model.__dict__.get("_continuation")
            if continuation is None or not continuation.has_parameters_of(model):
                model._validate_params()
        return partial_fit(model, *args, **kwargs)

    return first_try_to_continue


def _continue(model: Any, X: Any, y: Any, sample_weight: Any = None, classes: Any = None, n_epochs: Any = 1) -> bool:
    """Make one pass with the preparations of the last call; return False if this call cannot use them."""
    continuation: Continuation | None = model.__dict__.get("_continuation")
    if continuation is None or sample_weight is not None or not model._has_classes(classes):
        return False
    if not continuation.fits(model, X, n_epochs):
        return False
    Y = model._plain_targets(y) if is_plain_target(y, len(X)) else None
    if Y is None:
        return False
    try:
        with continuation.data(X, Y):
            train_stochastic(max_iter=1, incremental=True, verbose=model.verbose, **continuation.arguments)
    finally:
        show_progress(model, model._state)
    return True


@dataclass
class Continuation:
    """A training by `partial_fit` between two calls.

    Attributes
    ----------
    parameters : dict
        Values of all parameters of the estimator except `hidden_layer_sizes`.
    hidden_layer_sizes : str
        This parameter as a string, because the user can change a list in place.
    owned : dict
        The attributes of the estimator that training reads or changes.
    arguments : dict
        Arguments of `train_stochastic`.
    seeded : dict or None
        State of the generator at the beginning of each call. None if no random numbers are drawn, or if the generator
        belongs to the user and is not reset.
    """

    parameters: dict[str, Any]
    hidden_layer_sizes: str
    owned: dict[str, Any]
    arguments: dict[str, Any]
    seeded: dict[str, Any] | None

    @classmethod
    def after(cls, model: Any, arguments: dict[str, Any], seeded: dict[str, Any] | None) -> "Continuation | None":
        """Return the preparations for the next call, or None if they cannot be reused."""
        engine: Engine = arguments["engine"]
        assert engine.order is not None
        parameters = {name: getattr(model, name) for name in model._get_param_names()}
        watch: Watch = arguments["watch"]
        if (
            type(engine) is not Engine
            or engine.data.sparse
            or engine.data.weighted
            or engine.data.rows > ROWS_LIMIT
            or watch.measure is not None
            or watch.keep_best
            or engine.state.average.size  # the public weights are copies of the weights in training
            or "feature_names_in_" in model.__dict__
            # Each call has to emit a warning.
            or (model.batch_size != "auto" and model.batch_size > engine.data.rows)
            # The user can change the contents of a container without assigning the parameter.
            or any(isinstance(value, CONTAINERS) for name, value in parameters.items() if name != "hidden_layer_sizes")
        ):
            return None
        del parameters["hidden_layer_sizes"]
        engine.release_data()
        owned = {name: model.__dict__.get(name) for name in OWNED}
        sizes = str(model.hidden_layer_sizes)
        return cls(parameters, sizes, owned, arguments, seeded if engine.order.draws else None)

    def has_parameters_of(self, model: Any) -> bool:
        """Whether the parameters of the model are the same as in the last call."""
        return (
            all(map(is_, map(model.__dict__.get, self.parameters), self.parameters.values()))
            and str(model.hidden_layer_sizes) == self.hidden_layer_sizes
        )

    def fits(self, model: Any, X: Any, n_epochs: Any) -> bool:
        """Whether a call with X can reuse the preparations: nothing has changed, and X is plain with the same shape."""
        engine: Engine = self.arguments["engine"]
        attribute = model.__dict__.get
        return (
            type(n_epochs) is int
            and n_epochs == 1
            and all(map(is_, map(attribute, self.owned), self.owned.values()))
            and self.has_parameters_of(model)
            and has_packed_weights(model)
            and is_plain(X)
            and X.shape == (engine.data.rows, engine.network.units[0])
            and X.dtype == engine.w.dtype
            and X.flags.c_contiguous
            and (engine.threads == 1 or available_threads(model.n_jobs) >= engine.threads)
        )

    @contextmanager
    def data(self, X: Array, Y: Array) -> Iterator[None]:
        """Use the data of a call inside the ``with`` block. As in every call, the rows are in their original order."""
        engine: Engine = self.arguments["engine"]
        order = engine.order
        assert order is not None
        order.begin()
        if self.seeded is not None:
            assert order.random is not None
            order.random.set_state(self.seeded)
        engine.history.clear()
        engine.workspace.transpose_weights()  # the user may have changed numbers in `coefs_`
        engine.use_data(X, Y)
        try:
            yield
        finally:
            engine.release_data()


# `_packed` stands for the weights: it is replaced together with `coefs_`.
OWNED = ("_packed", "_state", "_stats", "_settings", "classes_", "_label_binarizer", "coefs_", "intercepts_")
