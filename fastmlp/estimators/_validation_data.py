"""Validation data, which are set aside or passed to `fit`, and which are scored after each epoch."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastmlp.training._data import prepare_data
from fastmlp.training._evaluation import mean_loss
from fastmlp.training._network import Array
from fastmlp.training._stochastic import Measured

from ._shared_parameters import STOCHASTIC_SOLVERS
from ._validation import check_sample_weight

__all__ = ["ValidationData", "check_validation_data", "monitor", "split"]


class ValidationData(NamedTuple):
    """Rows that are not used for training.

    Attributes
    ----------
    X : {ndarray, sparse matrix} of shape (n, n_features)
    Y : ndarray
        Targets in the form that the network uses.
    y : ndarray
        Targets in the form in which the user passes them.
    sample_weight : ndarray of shape (n,) or None
    """

    X: Any
    Y: Array
    y: Any
    sample_weight: Any


def check_validation_data(model: Any, X_val: Any, y_val: Any, sample_weight_val: Any) -> ValidationData | None:
    """Check X_val, y_val and sample_weight_val of `fit`, for a model that has checked its training data.

    Raises
    ------
    ValueError
        If one of them is missing, if they do not fit the training data, or if the solver is 'lbfgs'.
    """
    if X_val is None:
        for name, value in (("y_val", y_val), ("sample_weight_val", sample_weight_val)):
            if value is not None:
                raise ValueError(f"{name} is given without X_val.")
        return None
    if y_val is None and not model._targets_are_inputs:
        raise ValueError("X_val is given without y_val.")
    if model.solver not in STOCHASTIC_SOLVERS:
        raise ValueError(f"X_val needs solver='sgd' or solver='adam', got {model.solver!r}, which has no epochs.")
    # With warm_start, the training data must have all classes. The validation data need not.
    validating = _view(model)
    validating.warm_start = False
    try:
        X, Y = validating._validate_input(X_val, y_val, True, reset=False)
        if Y.ndim == 2 and Y.shape[1] != model.n_outputs_:  # the kernels do not check shapes
            raise ValueError(f"y_val must have as many columns as y, {model.n_outputs_}, got {Y.shape[1]}.")
        if X.shape[0] < 2 and model.scoring in (None, "r2") and not isinstance(model, ClassifierMixin):
            raise ValueError("R^2 needs at least two rows, got 1. Give more rows, or set scoring='loss'.")
    except ValueError as error:
        raise ValueError(f"X_val and y_val do not fit the training data: {error}") from error
    weight = None if sample_weight_val is None else check_sample_weight(sample_weight_val, X.shape[0])
    return ValidationData(X, Y, model._labels_of(Y), weight)


def _view(model: Any) -> Any:
    """Return an estimator with the attributes of the model, which are not copied."""
    view = object.__new__(type(model))
    view.__dict__.update(model.__dict__)
    return view


def split(model: Any, X: Any, Y: Array, sample_weight: Any, stratify: bool) -> tuple[Any, Array, Any, ValidationData]:
    """Set validation data aside, with the random numbers of scikit-learn; return training data and validation data.

    Raises
    ------
    ValueError
        If there are too few rows, too few rows of a class, or only rows without weight.
    """
    arrays = [X, Y] if sample_weight is None else [X, Y, sample_weight]
    classes = (Y.astype(bool) if Y.ndim == 2 else Y) if stratify else None
    try:
        parts = train_test_split(
            *arrays, random_state=model._random_state, test_size=model.validation_fraction, stratify=classes
        )
    except ValueError as error:
        if not stratify:
            raise
        raise ValueError(
            f"{error} To stop early, give validation data as X_val and y_val, set stratify=False, or leave rare classes"
            " out."
        ) from error
    weight_train, weight_val = (None, None) if sample_weight is None else (parts[4], parts[5])
    if parts[1].shape[0] < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    for weights, what in ((weight_train, "remaining for training"), (weight_val, "that early_stopping sets aside")):
        if weights is not None and not weights.any():
            raise ValueError(
                f"sample_weight is 0 for all rows {what}: leave rows without weight out, or give validation data as "
                "X_val and y_val."
            )
    return parts[0], parts[2], weight_train, ValidationData(parts[1], parts[3], model._labels_of(parts[3]), weight_val)


def monitor(model: Any, data: ValidationData, hyper: Any, engine: Any, threads: Callable[[], int]) -> Callable[[], Any]:
    """Return a function that evaluates the present weights of a model in training on validation data.

    Raises
    ------
    ValueError
        If `scoring` is not a scorer.
    """
    dtype = engine.w.dtype
    prepared = prepare_data(data.X, data.Y, data.sample_weight, dtype)
    X = data.X.tocsr().astype(dtype, copy=False) if hasattr(data.X, "tocsr") else prepared.X
    scorer = None
    # Scores that the model computes itself need no checks of scikit-learn's in each epoch.
    if model.scoring not in (None, "loss", model._name_of_score):
        scorer = check_scoring(model, scoring=model.scoring)

    def measure() -> Measured:
        w, stats = engine.for_predictions
        loss = mean_loss(engine.network, w, stats, prepared, X, hyper, threads)
        if not np.isfinite(loss):
            return Measured(np.nan, loss)
        if model.scoring == "loss":
            return Measured(-loss, loss)
        if scorer is None:
            return Measured(model._score(data.X, data.y, data.sample_weight), loss)
        weights = {} if data.sample_weight is None else {"sample_weight": data.sample_weight}
        # The data are an array, also if X is a data frame, and scikit-learn warns of an array if there are names.
        unnamed = _view(model)
        unnamed.__dict__.pop("feature_names_in_", None)
        return Measured(float(scorer(unnamed, data.X, data.y, **weights)), loss)

    return measure
