"""Train one network of an ensemble until its validation loss no longer falls."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.estimators import MLPClassifier, MLPRegressor

__all__ = ["log_loss", "squared_loss", "train", "train_on_all_rows"]

# Epochs on all rows, as a share of the best epoch, and the first learning rate there, as a share of the constant one.
# Both were tried once and are not tuned.
FURTHER_EPOCHS, FEWEST_EPOCHS, MOST_EPOCHS = 0.4, 2, 25
FURTHER_RATE = 0.5


def log_loss(prediction: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """Return the mean log-loss; `prediction` (m, K), `y` (m,) class numbers, `weight` (m,) or None."""
    chosen = prediction[np.arange(len(y)), y]
    return float(np.average(-np.log(np.maximum(chosen, np.finfo(chosen.dtype).eps)), weights=weight))


def squared_loss(prediction: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """Return the mean squared error; `prediction`, `y` and `weight` (m,), or None."""
    return float(np.average(np.square(prediction - y), weights=weight))


def train(
    network: MLPClassifier | MLPRegressor,
    step: Callable[[], Any],
    validation_loss: Callable[[], float],
    *,
    max_iter: int,
    n_iter_no_change: int,
) -> list[float]:
    """Train a network, and leave it with the weights of its best epoch.

    Parameters
    ----------
    network : MLPClassifier or MLPRegressor
    step : callable
        Trains for one epoch.
    validation_loss : callable
        Returns the loss of the present weights on rows that are held out.
    max_iter : int
        Largest number of epochs.
    n_iter_no_change : int
        Epochs without a lower loss after which training stops.

    Returns
    -------
    list of float
        Validation loss after each epoch.
    """
    losses: list[float] = []
    best: list[NDArray[Any]] = []
    best_epoch = 0
    while len(losses) < max_iter and len(losses) - best_epoch < n_iter_no_change + 1:
        step()
        losses.append(validation_loss())
        if not best or losses[-1] < losses[best_epoch]:
            best_epoch = len(losses) - 1
            best = [array.copy() for array in (*network.coefs_, *network.intercepts_)]
    for array, kept in zip((*network.coefs_, *network.intercepts_), best, strict=True):
        array[...] = kept
    return losses


def train_on_all_rows(network: MLPClassifier | MLPRegressor, step: Callable[[], Any], best_epoch: int) -> None:
    """Train a network further, on rows that include those it has held out, with a rate that falls to 0.

    Parameters
    ----------
    network : MLPClassifier or MLPRegressor
        It has the weights of its best epoch.
    step : callable
        Trains for one epoch.
    best_epoch : int
        The number of epochs that led to these weights.
    """
    epochs = min(max(round(FURTHER_EPOCHS * best_epoch), FEWEST_EPOCHS), MOST_EPOCHS)
    for epoch in range(epochs):
        # `partial_fit` continues with the rate of the last call, whatever `learning_rate_init` says by now.
        network._state["rate"] = FURTHER_RATE * network.learning_rate_init * (1 - epoch / epochs)
        step()
