"""Training in which each call of `fit` is one epoch: `warm_start=True` with `max_iter=1`.

In scikit-learn, every such call begins with a new optimizer and, if `random_state` is an integer, with the same order
of the rows. In fastmlp, the call continues the training, so that a loop of calls gives the same weights as one fit.
"""

from numbers import Integral
from typing import Any, NamedTuple

from fastmlp.training._engine import Engine
from fastmlp.training._network import Array

from ._training_options import is_scheduled

__all__ = ["LastEpoch", "is_one_epoch"]


def is_one_epoch(model: Any) -> bool:
    """Whether a call of `fit` is one epoch of a training that the next call continues.

    This is not the case with a schedule, because it ends with the call, or if the call may restore the weights of
    another epoch.
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
    """State that a call of `fit` leaves for the next call, besides the weights, the optimizer and the generator.

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
        """Whether a call with the present parameters continues the training: no parameter of the optimizer changed."""
        settings = model.__dict__.get("_settings", {})
        same_seed = (
            self.random_state == model.random_state
            if isinstance(self.random_state, Integral) and isinstance(model.random_state, Integral)
            else self.random_state is model.random_state
        )
        return same_seed and all(getattr(model, name, value) == value for name, value in settings.items())

    def continue_order(self, engine: Engine) -> None:
        """Let the engine begin with this order of the rows, unless the number of rows has changed."""
        if len(engine.row_order) == len(self.row_order):
            engine.row_order[:] = self.row_order
