"""Training of an estimator with L-BFGS."""

from typing import Any

from fastmlp.training._data import prepare_data
from fastmlp.training._lbfgs import minimize_lbfgs
from fastmlp.training._network import Array, Network
from fastmlp.training._state import TrainingState
from fastmlp.training._threads import available_threads

from ._callbacks import FitTasks
from ._training_options import objective_options

__all__ = ["train_with_lbfgs"]


def train_with_lbfgs(
    model: Any, network: Network, X: Any, Y: Array, sample_weight: Any, tasks: FitTasks | None
) -> None:
    """Train the weights of the model, which are float64, and set the attributes `loss_` and `n_iter_`."""
    w = model._packed.w
    hyper = objective_options(model, network, w.dtype)
    engine = model._engine(
        network,
        prepare_data(X, Y, sample_weight, w.dtype),
        w,
        model._stats.astype(w.dtype),
        # The objective has to match its gradient, so squared errors are summed over the outputs. The reported loss is
        # the mean over the outputs, as everywhere.
        hyper._replace(batch=X.shape[0], loss_scale=1.0),
        TrainingState.new(None, w.size, w.dtype),
        threads=available_threads(model.n_jobs),
    )

    def reported(loss: float) -> float:
        penalty = engine.penalty()
        return (loss - penalty) * hyper.loss_scale + penalty

    if tasks is not None:
        tasks.attributes = lambda: {"_stats": engine.stats.copy()}
    try:
        loss, model.n_iter_ = minimize_lbfgs(
            engine,
            max_iter=model.max_iter,
            max_fun=model.max_fun,
            tol=model.tol,
            reported=reported,
            verbose=model.verbose,
            observer=tasks,
        )
        engine.settle_statistics()
    finally:
        model._stats = engine.stats
    model.loss_ = reported(loss)
