"""The attributes in which an estimator shows the progress and the result of its training."""

from copy import deepcopy
from typing import Any

import numpy as np

from fastmlp.training._network import Array, Network
from fastmlp.training._state import TrainingState

from ._training_options import average_decay
from ._weights import set_weights

__all__ = ["attributes_after_epoch", "show_average", "show_progress"]


def show_progress(model: Any, state: TrainingState) -> None:
    """Set the public attributes of the model that show the state of its training."""
    model.__dict__.update(_progress_attributes(model, state))


def show_average(model: Any, network: Network, average: Array, average_stats: Array) -> None:
    """Make averaged weights and running statistics those of the model."""
    set_weights(model, network, average)
    model._stats = average_stats


def attributes_after_epoch(model: Any) -> dict[str, Any]:
    """Return attributes with which a copy of a model in training is a model that is fitted up to the present epoch."""
    state = deepcopy(model._state)
    attributes = {"_state": state, "_stats": model._stats.copy(), **_progress_attributes(model, state)}
    if average_decay(model):
        attributes["_averaged_weights"] = deepcopy(model._averaged_weights)
    return attributes


def _progress_attributes(model: Any, state: TrainingState) -> dict[str, Any]:
    best_epoch, best_loss = state.best_epoch, state.best_loss
    if best_epoch is None and state.loss_curve and not np.isnan(state.loss_curve).all():
        best_epoch = int(np.nanargmin(state.loss_curve)) + 1
    if state.best_score is not None and model.scoring == "loss":
        best_loss = -state.best_score
    attributes = {
        "n_iter_": state.n_iter,
        "t_": state.t,
        "loss_curve_": state.loss_curve,
        "validation_scores_": state.validation_scores,
        "validation_loss_curve_": state.validation_loss_curve,
        "best_epoch_": best_epoch,
        "best_loss_": best_loss,
        "best_validation_score_": state.best_score,
        "_no_improvement_count": state["no_change"],  # scikit-learn's name
    }
    return {**attributes, "loss_": state.loss_curve[-1]} if state.loss_curve else attributes
