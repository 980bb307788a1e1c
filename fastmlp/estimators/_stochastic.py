"""Training of an estimator with 'sgd' or 'adam': the state that it continues, its preparation, and the epochs."""

import warnings
from numbers import Integral
from typing import Any

import numpy as np

from fastmlp.kernels.tables import OPTIMIZERS
from fastmlp.training._aligned import padded
from fastmlp.training._checkpoint import Snapshot
from fastmlp.training._data import prepare_data
from fastmlp.training._network import Array, Network
from fastmlp.training._row_order import RowOrder
from fastmlp.training._snapshot import restore
from fastmlp.training._state import TrainingState
from fastmlp.training._stochastic import Watch, train_stochastic
from fastmlp.training._threads import available_threads

from ._callbacks import FitTasks
from ._outcome import show_average, show_progress
from ._training_options import (
    average_decay,
    batch_rows,
    largest_gradient_norm,
    layer_options,
    numbers_for_kernels,
    objective_options,
    optimizer_name,
    schedule_of,
)
from ._validation_data import ValidationData, monitor
from ._weights import set_weights

__all__ = ["OPTIMIZER_PARAMETERS", "prepare_training", "train_epochs"]

# The parameters of the optimizer. As in scikit-learn, `partial_fit` keeps the values of its first call.
OPTIMIZER_PARAMETERS = (
    "solver",
    "learning_rate",
    "learning_rate_init",
    "power_t",
    "momentum",
    "nesterovs_momentum",
    "beta_1",
    "beta_2",
    "epsilon",
)


def prepare_training(
    model: Any,
    network: Network,
    X: Any,
    Y: Array,
    sample_weight: Any,
    held_out: ValidationData | None,
    keep_optimizer: bool,
    checkpoint: Snapshot | None,
) -> dict[str, Any]:
    """Return the arguments of `train_stochastic` for a model whose data are validated and whose weights are set.

    Parameters
    ----------
    model : estimator
    network : Network
    X, Y, sample_weight
        The training data.
    held_out : ValidationData or None
    keep_optimizer : bool
        Whether the present optimizer continues.
    checkpoint : Snapshot or None
        Where training continues.
    """
    state = _state_to_continue(model, model._packed.w, keep_optimizer)
    w, stats = _weights_in_training(model, network, state)
    settings = model._settings
    learning_rate = settings["learning_rate"]
    schedule = learning_rate if isinstance(learning_rate, str) and settings["solver"] == "sgd" else "constant"
    m = X.shape[0]
    batch = batch_rows(model, m)
    if model.batch_size != "auto" and model.batch_size > m:
        warnings.warn(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=5
        )
    stopping = held_out is not None and bool(model.early_stopping)
    hyper = objective_options(model, network, w.dtype)._replace(**numbers_for_kernels(model, settings))
    hyper = hyper._replace(
        optimizer=OPTIMIZERS[settings["optimizer"]].code,
        batch=batch,
        average=average_decay(model),
        max_grad_norm=largest_gradient_norm(model),
        adaptive=schedule == "adaptive",
        watch_loss=not stopping,
        patience=model.n_iter_no_change,
    )
    layers = layer_options(model, len(network.units) - 1)
    if layers.dropout and not state["seed"]:
        state["seed"] = model._random_state.randint(1, 2**31)
    order = RowOrder(
        m,
        batch,
        shuffle=bool(model.shuffle),
        random=model._random_state,
        visible=not isinstance(model.random_state, Integral),
        copied=bool(layers.dropout and layers.dropout[0]),
    )
    engine = model._engine(
        network,
        prepare_data(X, Y, sample_weight, w.dtype),
        w,
        stats,
        hyper,
        state,
        order,
        available_threads(model.n_jobs),
        layers,
    )
    rate_init = float(settings["learning_rate_init"])
    measure = None
    if held_out is not None:
        measure = monitor(model, held_out, hyper, engine, lambda: available_threads(model.n_jobs))
    keep_best = stopping if model.restore_best_weights == "auto" else bool(model.restore_best_weights)
    resumed = None
    if checkpoint is not None:
        resumed = restore(engine, checkpoint, keep_best=keep_best)
        if isinstance(model.random_state, np.random.RandomState):
            model.random_state.set_state(model._random_state.get_state(legacy=False))
            model._random_state = order.random = model.random_state
    return {
        "engine": engine,
        "power_t": float(settings["power_t"]) if schedule == "invscaling" else None,
        "rate_init": rate_init,
        "schedule": schedule_of(model, learning_rate, rate_init, int(model.max_iter) * -(-m // batch)),
        "watch": Watch(measure, stopping, keep_best),
        "resumed": resumed,
    }


def train_epochs(
    model: Any, network: Network, training: dict[str, Any], *, epochs: int, incremental: bool, tasks: FitTasks | None
) -> None:
    """Train, and leave weights and progress in the attributes of the model, also if an error ends training.

    Parameters
    ----------
    model : estimator
    network : Network
    training : dict
        The return value of `prepare_training`.
    epochs : int
        Largest number of epochs.
    incremental : bool
        Whether this is a call of `partial_fit`, which trains all epochs.
    tasks : FitTasks or None
        Receives the end of each epoch.
    """
    try:
        best = train_stochastic(
            max_iter=epochs, incremental=incremental, verbose=model.verbose, observer=tasks, **training
        )
    finally:
        state = model._state
        show_progress(model, state)
        if average_decay(model):
            # A copy shows whether the user has changed the weights before training continues.
            show_average(model, network, state.average.copy(), state.average_stats.copy())
    if best is not None:
        set_weights(model, network, best[0])
        model._stats = best[1]


def _state_to_continue(model: Any, w: Array, keep_optimizer: bool) -> TrainingState:
    """Return the present state of training, or a new one with the present progress."""
    present: TrainingState | None = model.__dict__.get("_state")
    if present is not None:
        present.make_current()
    if keep_optimizer and present is not None and present.m.size == w.size and present.m.dtype == w.dtype:
        state = present
    else:
        model._settings = {name: getattr(model, name) for name in OPTIMIZER_PARAMETERS}
        model._settings["optimizer"] = optimizer_name(model)
        state = TrainingState.new(model._settings["optimizer"], w.size, w.dtype, model.learning_rate_init)
        if present is not None:  # a warm start: a new optimizer, but the same progress
            state.loss_curve, state.validation_scores = present.loss_curve, present.validation_scores
            state.validation_loss_curve, state.best_epoch = present.validation_loss_curve, present.best_epoch
            state.watches_scores, state.t = present.watches_scores, present.t
            state["best"], state["no_change"] = present["best"], present["no_change"]
            state.average, state.average_stats = present.average, present.average_stats
            state["average_t"] = present["average_t"]
    model._state = state
    return state


def _weights_in_training(model: Any, network: Network, state: TrainingState) -> tuple[Array, Array]:
    """Return the weights and running statistics to train; the public ones become their average, if it is wanted."""
    w, model._stats = model._packed.w, np.require(model._stats, model._packed.w.dtype, "W")
    kept = model.__dict__.pop("_averaged_weights", None)
    if not average_decay(model):
        state.begin_average(w[:0], model._stats[:0])
        return w, model._stats
    # Averaging begins again if the user has replaced the weights, or if the best ones were restored.
    if kept is not None and state.average.dtype == w.dtype and np.array_equal(state.average, w):
        w, stats = padded(kept[0].copy()), kept[1].copy()
    else:
        w, stats = padded(w.copy()), model._stats.copy()
        state.begin_average(w, stats)
    model._averaged_weights = w, stats
    show_average(model, network, state.average, state.average_stats)
    return w, stats
