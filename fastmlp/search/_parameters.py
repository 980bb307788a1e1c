"""Which parameters belong to the steps before the network, and which to the network."""

from functools import partial
from typing import Any

from sklearn import get_config
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

__all__ = ["key_of", "share_params"]


def key_of(params: dict[str, Any]) -> tuple[Any, ...]:
    """Return a hashable key that is equal for equal parameters."""

    def of_value(value: Any) -> Any:
        try:
            hash(value)
        except TypeError:
            return id(value)  # unique, because the value lives as long as the candidates
        return value

    return tuple((name, type(value), of_value(value)) for name, value in sorted(params.items()))


def share_params(pipeline: Pipeline, fit_params: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the parameters of `fit` for the steps before the network, and those for the network."""
    name, network = pipeline.steps[-1]
    if not get_config()["enable_metadata_routing"]:
        for parameter in fit_params:
            if "__" not in parameter:
                raise ValueError(f"Parameters of fit must name a step, as in '{name}__{parameter}', got {parameter!r}.")
        own = {p.removeprefix(f"{name}__"): v for p, v in fit_params.items() if p.startswith(f"{name}__")}
        return {p: v for p, v in fit_params.items() if not p.startswith(f"{name}__")}, own
    # Metadata routing: each step has requested its parameters.
    take = partial(_consumed, params=fit_params)
    return take(pipeline[:-1]), take(network)


def _consumed(consumer: Any, params: dict[str, Any]) -> dict[str, Any]:
    wanted = get_routing_for_object(consumer).consumes("fit", params.keys())
    return {name: params[name] for name in wanted}
