"""From the parameters of an estimator to the options of the training engine."""

from numbers import Real
from typing import Any

import numpy as np

from fastmlp.kernels.layout import Hyper
from fastmlp.training._engine import log_loss_cap
from fastmlp.training._network import Network
from fastmlp.training._schedules import Schedule
from fastmlp.training._workspace import LayerOptions

from ._sklearn import InvalidParameterError

__all__ = [
    "average_decay",
    "batch_rows",
    "check_solver_options",
    "is_scheduled",
    "largest_gradient_norm",
    "layer_options",
    "numbers_for_kernels",
    "objective_options",
    "optimizer_name",
    "penalty_options",
    "schedule_of",
]

# The default of `ema_momentum` in Keras' optimizers.
DEFAULT_AVERAGE_DECAY = 0.99


def _is_used(value: Any, unused: Any) -> bool:
    return value is not unused and not (isinstance(value, Real) and value == unused)


def check_solver_options(model: Any, tied: bool) -> None:
    """Refuse options that the solver does not support or that tied weights do not support.

    Raises
    ------
    ValueError
        If there is such an option. The message contains the parameter and the solver.
    """
    used = [name for name, unused in model._stochastic_only.items() if _is_used(getattr(model, name), unused)]
    if used and model.solver == "lbfgs":
        raise ValueError(f"{used[0]}={getattr(model, used[0])!r} needs solver='sgd' or solver='adam', got 'lbfgs'.")
    if model.dtype == "float32" and model.solver == "lbfgs":
        raise ValueError("dtype='float32' needs solver='sgd' or solver='adam': 'lbfgs' computes in float64.")
    scheduled = is_scheduled(model)
    if tied and (used or scheduled):
        name = used[0] if used else "learning_rate"
        raise ValueError(f"tied_weights=True does not go with {name}={getattr(model, name)!r}.")
    if model.learning_rate in ("invscaling", "adaptive") and _is_used(model.warmup, 0.0):
        raise ValueError(f"warmup={model.warmup!r} does not go with learning_rate={model.learning_rate!r}.")


def numbers_for_kernels(model: Any, settings: dict[str, Any]) -> dict[str, float]:
    """Return the parameters that are numbers and that `Hyper` has a field of the same name for.

    Parameters
    ----------
    model : estimator
    settings : dict
        Values that replace those of the model, such as the parameters of an optimizer that continues.
    """
    values = {**vars(model), **settings}
    found = {name: values[name] for name in Hyper._fields if name in values}
    return {
        name: float(value) for name, value in found.items() if isinstance(value, Real) and not isinstance(value, bool)
    }


def penalty_options(model: Any) -> Hyper:
    """Return the options of the penalty. All other options have their default values."""
    return Hyper(alpha=float(model.alpha), penalty_sum=model.penalty_scaling == "sum")


def objective_options(model: Any, network: Network, dtype: Any) -> Hyper:
    """Return the options of the objective in training: penalty, cap and scale of the loss."""
    # scikit-learn caps the log loss. The loss of smoothed labels, which scikit-learn does not have, is not capped.
    capped = network.loss == "log_loss" and not network.label_smoothing
    return penalty_options(model)._replace(
        cap=log_loss_cap(dtype) if capped else np.inf,
        loss_scale=1.0 / network.units[-1] if network.loss == "squared_error" else 1.0,
    )


def optimizer_name(model: Any) -> str:
    """Return the key of `fastmlp.kernels.tables.OPTIMIZERS` for the solver 'sgd' or 'adam'."""
    return "nesterov" if model.solver == "sgd" and model.nesterovs_momentum else str(model.solver)


def batch_rows(model: Any, m: int) -> int:
    """Return the number of rows of a mini-batch, for training data of `m` rows."""
    return min(200 if model.batch_size == "auto" else int(model.batch_size), m)


def average_decay(model: Any) -> float:
    """Return the decay of the average of the weights; 0 if weights are not averaged."""
    if isinstance(model.average, bool | np.bool_):
        return DEFAULT_AVERAGE_DECAY if model.average else 0.0
    return float(model.average)


def largest_gradient_norm(model: Any) -> float:
    """Return the limit of the gradient norm; infinity if the norm is neither limited nor shown by a callback."""
    if model.max_grad_norm is not None:
        return float(model.max_grad_norm)
    # The kernels compute the norm only if it is limited. A callback that shows it gets a limit that is never reached.
    shown = any(getattr(callback, "needs_gradient_norm", False) for callback in vars(model).get("_skl_callbacks", ()))
    return float(np.finfo(float).max) if shown else np.inf


def _numbers(name: str, values: Any, count: int, what: str, highest: float) -> list[float]:
    """Return the numbers of a list parameter, after checking that there are `count` of them in [0, highest)."""
    if len(values) != count:
        raise InvalidParameterError(f"The {name!r} parameter must have {count} entries, {what}; got {len(values)}.")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < highest:
            raise InvalidParameterError(
                f"The {name!r} parameter must hold numbers in the range [0, {highest:g}), got {value!r}."
            )
    return [float(value) for value in values]


def layer_options(model: Any, n_layers: int) -> LayerOptions:
    """Return the dropout of the layers 0..n_layers - 1 and the multipliers of the learning rate.

    Raises
    ------
    InvalidParameterError
        If a list has the wrong length, or an entry is not a number in the allowed range.
    """
    dropout: list[float] = []
    if isinstance(model.dropout, list | tuple):
        dropout = _numbers("dropout", model.dropout, n_layers, "for the input and each hidden layer", 1.0)
    elif model.dropout > 0:
        dropout = [0.0, *[float(model.dropout)] * (n_layers - 1)]
    rates: list[tuple[float, float]] = []
    if model.learning_rate_multipliers is not None:
        name = "learning_rate_multipliers"
        pairs = [
            tuple(entry) if isinstance(entry, list | tuple) else (entry, entry)
            for entry in model.learning_rate_multipliers
        ]
        if any(len(pair) != 2 for pair in pairs):
            raise InvalidParameterError(f"The {name!r} parameter must hold numbers or pairs of numbers.")
        weights, biases = ([pair[place] for pair in pairs] for place in (0, 1))
        columns = [
            _numbers(name, column, n_layers, "for each layer of weights", np.inf) for column in (weights, biases)
        ]
        rates = list(zip(*columns, strict=True))
    return LayerOptions(tuple(dropout) if any(dropout) else (), tuple(rates))


def is_scheduled(model: Any) -> bool:
    """Whether the learning rate, the weight decay or dropout changes with each mini-batch."""
    kept = ("constant", "invscaling", "adaptive")
    return (
        not (isinstance(model.learning_rate, str) and model.learning_rate in kept)
        or model.warmup > 0
        or not (isinstance(model.weight_decay_schedule, str) and model.weight_decay_schedule == "constant")
        or not (isinstance(model.dropout_schedule, str) and model.dropout_schedule == "constant")
    )


def schedule_of(model: Any, learning_rate: Any, rate_init: float, steps: int) -> Schedule | None:
    """Return the schedules of a training of `steps` mini-batches, or None if there are none."""
    if not is_scheduled(model):
        return None
    return Schedule(
        rate_init=rate_init,
        # As in scikit-learn, these two schedules are for 'sgd' only and have no effect with 'adam'.
        rate="constant" if learning_rate in ("invscaling", "adaptive") else learning_rate,
        warmup=float(model.warmup),
        decay=model.weight_decay_schedule,
        dropout=model.dropout_schedule,
        steps=steps,
    )
