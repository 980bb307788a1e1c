"""`warm_start=True` with `max_iter=1`: a training whose epochs are calls of `fit`.

In scikit-learn, every such call begins with a new optimizer and, if `random_state` is a number, with the same order of
the rows. Here the call continues the training, so that a loop of calls equals one fit.
"""

from numbers import Integral
from typing import Any, NamedTuple

from fastmlp.training._engine import Engine
from fastmlp.training._network import Array

from ._training_options import is_scheduled

__all__ = ["LastEpoch", "is_one_epoch"]


def is_one_epoch(model: Any) -> bool:
    """Whether a call of `fit` is one epoch of a training that the next call continues.

    It is not if the call is complete in itself: with a schedule, which ends with the call, or if it ends with the
    weights of another epoch.
    """
    return (
        model.warm_start
        and model.max_iter == 1
        and model.solver != "lbfgs"
        and not model.early_stopping
        and model.restore_best_weights in ("auto", False)
        and not is_scheduled(model)
    )


class LastEpoch(NamedTuple):
    """What a call of `fit` leaves for the next, besides weights, optimizer and generator.

    Attributes
    ----------
    random_state : int, RandomState or None
        The parameter of the estimator.
    row_order : ndarray of shape (n_samples,) or (0,)
        The order of the rows, which the next epoch shuffles.
    """

    random_state: Any
    row_order: Array

    def precedes(self, model: Any) -> bool:
        """Whether a call with the present parameters continues: a change of the optimizer begins a new one."""
        settings = model.__dict__.get("_settings", {})
        same_seed = (
            self.random_state == model.random_state
            if isinstance(self.random_state, Integral) and isinstance(model.random_state, Integral)
            else self.random_state is model.random_state
        )
        return same_seed and all(getattr(model, name, value) == value for name, value in settings.items())

    def continue_order(self, engine: Engine) -> None:
        """Let the engine begin with the order of the rows; another number of rows has an order of its own."""
        if len(engine.row_order) == len(self.row_order):
            engine.row_order[:] = self.row_order
