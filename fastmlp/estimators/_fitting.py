"""One call of `fit` or `partial_fit`: check the arguments, set the weights, then train with the chosen solver."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from numbers import Integral
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.base import ClassifierMixin
from sklearn.metrics import check_scoring

from fastmlp.training._checkpoint import generator_state, restore_generator
from fastmlp.training._network import Array, Network
from fastmlp.training._random import random_generator

from ._architecture import check_network_memory
from ._callbacks import FitTasks
from ._continuation import Continuation
from ._epochs import LastEpoch, is_one_epoch
from ._identity import check_identity, identity_of, open_checkpoint
from ._lbfgs import train_with_lbfgs
from ._outcome import attributes_after_epoch
from ._shared_parameters import STOCHASTIC_SOLVERS
from ._stochastic import prepare_training, train_epochs
from ._training_options import check_solver_options, layer_options
from ._validation import check_sample_weight, warn_of_scales
from ._validation_data import check_validation_data, split
from ._weights import check_same_shapes, initialize, reset_statistics, set_weights, weight_vector

__all__ = ["fit_model"]

ROWS_LIMIT = 2**31 - 1  # row numbers are int32 in the kernels


def fit_model(
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    incremental: bool = False,
    validation: tuple[Any, Any, Any] = (None, None, None),
    n_epochs: int = 1,
    tasks: FitTasks | None = None,
    resume_from: Any = None,
) -> None:
    """Fit a model. If an argument or a parameter is refused, the model stays as it was.

    Parameters
    ----------
    model : estimator
    X, y, sample_weight
        The arguments of `fit` or `partial_fit`.
    incremental : bool, default=False
        Whether this is a call of `partial_fit`.
    validation : (X_val, y_val, sample_weight_val)
        Arguments of `fit`.
    n_epochs : int, default=1
        Number of epochs of `partial_fit`.
    tasks : FitTasks, default=None
        None: there are no callbacks.
    resume_from : str or path, default=None
        Argument of `fit`.
    """
    hidden = model._hidden_layer_sizes()
    if not isinstance(n_epochs, Integral) or isinstance(n_epochs, bool) or n_epochs < 1:
        raise ValueError(f"n_epochs must be an integer >= 1, got {n_epochs!r}.")
    first_pass = not hasattr(model, "coefs_") or (not model.warm_start and not incremental)
    stochastic = model.solver in STOCHASTIC_SOLVERS
    with _unchanged_on_error(model):
        checkpoint = None if resume_from is None else open_checkpoint(resume_from)
        if checkpoint is not None and not stochastic:
            raise ValueError("resume_from needs solver='sgd' or solver='adam', got 'lbfgs'.")
        X, Y, sample_weight = _checked_data(model, X, y, sample_weight, incremental, first_pass)
        network = _checked_network(model, hidden, X, Y, first_pass)
        one_epoch = resume_from is None and not incremental and is_one_epoch(model)
        before = None if incremental else _epoch_to_continue(model, one_epoch)
        # A fit that continues the last one also continues its generator.
        if before is None or not isinstance(model.random_state, Integral):
            # A fit that is resumed moves the user's generator only when the checkpoint is accepted.
            model._random_state = random_generator(model.random_state if checkpoint is None else 0)
        seeded = None
        if incremental and isinstance(model.random_state, Integral):
            seeded = model._random_state.get_state(legacy=False)
        dtype = _set_initial_weights(model, network, X.dtype, first_pass, stochastic)
        held_out = check_validation_data(model, *validation)
        if checkpoint is not None:
            model._random_state = restore_generator(checkpoint.header.get("generator_before_split"))
        before_split = generator_state(model._random_state) if tasks is not None else None
        if held_out is None and model.early_stopping and stochastic:
            X, Y, sample_weight, held_out = split(model, X, Y, sample_weight, _is_stratified(model, Y))
        if model.scoring not in (None, "loss"):
            check_scoring(model, scoring=model.scoring)  # before anything is trained
        if stochastic:
            # The digest of the data is computed once, and only if a checkpoint is read or written.
            identity = cache(partial(identity_of, model, network, dtype, X, Y, sample_weight, held_out))
            if checkpoint is not None:
                check_identity(resume_from, checkpoint.header, identity())
            keep_optimizer = incremental or before is not None
            training = prepare_training(model, network, X, Y, sample_weight, held_out, keep_optimizer, checkpoint)
            if before is not None:
                before.continue_order(training["engine"])
    if not stochastic:
        train_with_lbfgs(model, network, X, Y, sample_weight, tasks)
        return
    if tasks is not None:
        tasks.identity = lambda: {**identity(), "generator_before_split": before_split}
        tasks.attributes = partial(attributes_after_epoch, model)
    epochs = n_epochs if incremental else int(model.max_iter)
    train_epochs(model, network, training, epochs=epochs, incremental=incremental, tasks=tasks)
    model._continuation = Continuation.after(model, training, seeded) if incremental else None
    if one_epoch:
        model._last_epoch = LastEpoch(model.random_state, training["engine"].row_order)


@contextmanager
def _unchanged_on_error(model: Any) -> Iterator[None]:
    """Restore all attributes of the model if an error is raised."""
    before = model.__dict__.copy()
    try:
        yield
    except BaseException:
        model.__dict__.clear()
        model.__dict__.update(before)
        raise


def _checked_data(
    model: Any, X: Any, y: Any, sample_weight: Any, incremental: bool, first_pass: bool
) -> tuple[Any, Array, Array | None]:
    """Validate the training data; return X, the targets of the network, and the weights of the samples."""
    X, Y = model._validate_input(X, y, incremental, reset=first_pass)
    m = X.shape[0]
    if m > ROWS_LIMIT:
        raise ValueError(f"X has {m} rows; at most {ROWS_LIMIT} are allowed.")
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, m)
    sample_weight = model._weigh(Y, sample_weight)
    if model.early_stopping and incremental and model.solver in STOCHASTIC_SOLVERS:
        raise ValueError("partial_fit does not support early_stopping=True")
    return X, Y, sample_weight


def _checked_network(model: Any, hidden: list[int], X: Any, Y: Array, first_pass: bool) -> Network:
    """Return the network to train, after checking that it fits the memory and that its options fit together."""
    model.n_outputs_ = model._count_outputs(Y)
    units = [X.shape[1], *hidden, model.n_outputs_]
    check_network_memory(model, units, X.shape[0], X.dtype.itemsize)
    network: Network = model._network(units)
    check_solver_options(model, model._tied)
    layers = layer_options(model, len(units) - 1)
    if layers.dropout and layers.dropout[0] > 0 and scipy.sparse.issparse(X):
        raise ValueError("dropout of the input needs dense X, got a sparse matrix; set its first entry to 0.")
    # Batch normalisation makes the first hidden layer independent of the scales of the columns.
    if model.solver == "sgd" and first_pass and not (network.batch_norm and hidden):
        warn_of_scales(X, float(model.learning_rate_init), network.link in ("softmax", "logistic"))
    return network


def _epoch_to_continue(model: Any, one_epoch: bool) -> LastEpoch | None:
    """Return the last call of `fit` if this call is the next epoch of the same training."""
    last: LastEpoch | None = model.__dict__.pop("_last_epoch", None)
    return last if last is not None and one_epoch and last.precedes(model) else None


def _set_initial_weights(
    model: Any, network: Network, dtype: np.dtype[Any], first_pass: bool, stochastic: bool
) -> np.dtype[Any]:
    """Draw the weights in the first pass, else check the present ones; return the dtype in which they are trained."""
    training_dtype = dtype if stochastic else np.dtype(np.float64)
    if first_pass:
        initialize(model, network, dtype, training_dtype)
    else:
        check_same_shapes(model, network)
        if not hasattr(model, "_stats"):  # the user has set the weights
            reset_statistics(model, network, dtype)
        if stochastic and model.dtype is None:
            training_dtype = np.result_type(*model.coefs_, np.float32)
        set_weights(model, network, weight_vector(model, network).astype(training_dtype))
    model.out_activation_ = network.link  # a warm start may have another loss than the fit before
    return training_dtype


def _is_stratified(model: Any, Y: Array) -> bool:
    """Whether the validation split has the same fraction of each class."""
    one_unit = isinstance(model, ClassifierMixin) and model.n_outputs_ == 1
    if model.stratify == "auto":
        return one_unit
    return bool(model.stratify) and isinstance(model, ClassifierMixin) and (one_unit or Y.ndim == 1)
