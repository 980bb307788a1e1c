"""From the parameters of an estimator to the network that they describe."""

from numbers import Integral
from typing import Any

import numpy as np

from fastmlp.kernels.tables import ACTIVATIONS, OUTPUTS
from fastmlp.training._memory import check_memory
from fastmlp.training._network import Network
from fastmlp.training._workspace import CHUNK_ROWS

from ._sklearn import InvalidParameterError
from ._training_options import batch_rows

__all__ = ["check_network_memory", "described_network", "layer_activations", "layer_sizes", "loss_parameters"]


def layer_sizes(hidden_layer_sizes: Any) -> list[int]:
    """Return the parameter `hidden_layer_sizes` as a list of positive integers.

    Raises
    ------
    TypeError
        A size is not an integer.
    ValueError
        A size is not positive.
    """
    # Arrays without dimensions have the method, but no entries.
    sequence = hasattr(hidden_layer_sizes, "__iter__") and getattr(hidden_layer_sizes, "shape", None) != ()
    sizes = list(hidden_layer_sizes) if sequence else [hidden_layer_sizes]
    if not all(isinstance(n, Integral) and not isinstance(n, bool) for n in sizes):
        raise TypeError(f"hidden_layer_sizes must be integers > 0, got {hidden_layer_sizes!r}.")
    if any(n <= 0 for n in sizes):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(n) for n in sizes]


def layer_activations(activation: Any, n_hidden: int) -> tuple[str, ...]:
    """Return the parameter `activation` as one name for each of the hidden layers.

    Raises
    ------
    InvalidParameterError
        A name is unknown, or the number of names is not `n_hidden`.
    """
    if isinstance(activation, str):
        return (activation,) * n_hidden
    names = list(activation)
    for name in names:
        if not isinstance(name, str) or name not in ACTIVATIONS:
            raise InvalidParameterError(
                f"The 'activation' parameter must name activations out of {sorted(ACTIVATIONS)}, got {name!r}."
            )
    if len(names) != n_hidden:
        raise InvalidParameterError(
            f"The 'activation' parameter must be one name, or one for each of the {n_hidden} hidden layers; "
            f"got {len(names)}: {names}."
        )
    return tuple(names)


def loss_parameters(model: Any, link: str, loss: str) -> tuple[float, ...]:
    """Return the values of the parameter of a loss, for example of `huber_delta`; empty if the loss has none."""
    name = OUTPUTS[link, loss].parameter
    return tuple(np.ravel(getattr(model, name)).astype(float).tolist()) if name else ()


def described_network(model: Any, units: list[int]) -> Network:
    """Return the network that the parameters of `model` describe.

    Parameters
    ----------
    model : estimator
    units : list of int
        Widths of all layers: n_features, the hidden layers, n_outputs.

    Raises
    ------
    ValueError
        The parameters do not fit together or do not fit the targets.
    """
    hidden = units[1:-1]
    if model.residual and not any(a == b for a, b in zip(units, hidden, strict=False)):
        raise ValueError(
            "The 'residual' parameter needs a hidden layer as wide as its input, got layers of the widths "
            f"{units[:-1]}."
        )
    link, loss = model._output()
    return Network(
        tuple(units),
        model._activations(hidden),
        link,
        loss,
        maxout_pieces=int(model.maxout_pieces),
        residual=bool(model.residual),
        batch_norm=bool(model.batch_norm),
        loss_parameters=loss_parameters(model, link, loss),
        label_smoothing=float(getattr(model, "label_smoothing", 0.0)),  # a parameter of classifiers
    )


def check_network_memory(model: Any, units: list[int], m: int, itemsize: int) -> None:
    """Raise MemoryError, before anything is allocated, if the network needs more memory than the machine has.

    Parameters
    ----------
    model : estimator
    units : list of int
        Widths of all layers.
    m : int
        Number of rows of the training data.
    itemsize : int
        Size of a weight in bytes.
    """
    pieces = [model.maxout_pieces if name == "maxout" else 1 for name in model._activations(units[1:-1])]
    batch = m if model.solver == "lbfgs" else batch_rows(model, m)
    check_memory(
        units,
        [int(p) * n for p, n in zip([*pieces, 1], units[1:], strict=True)],
        rows=batch if model.batch_norm else min(batch, CHUNK_ROWS),
        copies=20 if model.solver == "lbfgs" else 8 if model.average else 5,
        itemsize=itemsize,
        hidden_layer_sizes=model.hidden_layer_sizes,
    )
