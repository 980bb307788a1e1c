"""The identity of a fit: the properties that a checkpoint must share with the fit that continues it."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._version import __version__
from fastmlp.training._checkpoint import FORMAT, Snapshot, read_checkpoint
from fastmlp.training._fingerprint import fingerprint
from fastmlp.training._network import Network

from ._validation_data import ValidationData

__all__ = ["check_identity", "identity_of", "open_checkpoint"]

# Parameters that do not change what training computes.
WITHOUT_EFFECT = ("n_jobs", "verbose", "warm_start")


def _plain(value: Any) -> Any:
    """Return the value of a parameter in a form that JSON supports and that is the same in every process."""
    if value is None or isinstance(value, bool | np.bool_ | str):
        return value if value is None or isinstance(value, str) else bool(value)
    if isinstance(value, Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, np.random.RandomState):
        return f"RandomState({value.get_state(legacy=False)['bit_generator']})"
    if isinstance(value, np.ndarray):
        return fingerprint([value])
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, partial):
        return ["partial", *map(_plain, (value.func, value.args, value.keywords))]
    if repr(value) == object.__repr__(value):  # which shows the address
        return [_plain(type(value)), _plain(vars(value) if hasattr(value, "__dict__") else {})]
    return repr(value)  # scorers of scikit-learn show their parameters


def identity_of(
    model: Any, network: Network, dtype: Any, X: Any, Y: Any, sample_weight: Any, held_out: ValidationData | None
) -> dict[str, Any]:
    """Return the properties that distinguish a fit from others. The data are represented by a digest."""
    validation = () if held_out is None else (held_out.X, held_out.Y, held_out.sample_weight)
    classes = getattr(model, "classes_", None)
    identity = {
        "format": FORMAT,
        "fastmlp": __version__,
        "estimator": type(model).__name__,
        "parameters": {
            name: _plain(value) for name, value in model.get_params(deep=False).items() if name not in WITHOUT_EFFECT
        },
        "network": asdict(network),
        "dtype": np.dtype(dtype).name,
        "data": fingerprint([X, Y, sample_weight, *validation, None if classes is None else np.asarray(classes)]),
    }
    plain: dict[str, Any] = json.loads(json.dumps(identity))
    return plain


def open_checkpoint(resume_from: Any) -> Snapshot:
    """Read the checkpoint that is passed to `fit`.

    Raises
    ------
    TypeError, FileNotFoundError, ValueError
        If it is not a path, the file does not exist, or the file is damaged or of another version.
    """
    if not isinstance(resume_from, str | os.PathLike):
        raise TypeError(f"resume_from must be None, a str or a path, got {resume_from!r}.")
    path = Path(resume_from)
    snapshot = read_checkpoint(path)
    found = {name: snapshot.header.get(name) for name in ("format", "fastmlp")}
    if found["format"] != FORMAT:
        raise ValueError(
            f"resume_from={str(path)!r} has the format {found['format']!r}; this version of fastmlp reads the format "
            f"{FORMAT} only."
        )
    if found["fastmlp"] != __version__:
        raise ValueError(
            f"resume_from={str(path)!r} was written by fastmlp {found['fastmlp']}; fastmlp {__version__} cannot "
            "continue it to the same weights."
        )
    return snapshot


def check_identity(resume_from: Any, found: dict[str, Any], identity: dict[str, Any]) -> None:
    """Refuse a checkpoint of another fit.

    Parameters
    ----------
    resume_from : str or path
    found : dict
        The header of the checkpoint.
    identity : dict
        The identity of the present fit.

    Raises
    ------
    ValueError
        If the checkpoint belongs to another fit. The message states the first difference.
    """
    path = os.fspath(resume_from)
    if found.get("estimator") != identity["estimator"]:
        raise ValueError(
            f"resume_from={path!r} was written by {found.get('estimator')}, and this is {identity['estimator']}."
        )
    for part, what in (("parameters", "was written with"), ("network", "holds a network with")):
        for name in _differing(found.get(part), identity[part])[:1]:
            raise ValueError(
                f"resume_from={path!r} {what} {name}={(found.get(part) or {}).get(name)!r}, but this fit has "
                f"{name}={identity[part].get(name)!r}."
            )
    if found.get("dtype") != identity["dtype"]:
        raise ValueError(
            f"resume_from={path!r} was trained in {found.get('dtype')}, this fit is in {identity['dtype']}."
        )
    if found.get("data") != identity["data"]:
        raise ValueError(
            f"resume_from={path!r} was written for other data: X, y, sample_weight or the validation data have changed."
        )


def _differing(found: Any, wanted: dict[str, Any]) -> Sequence[str]:
    """Return the names of different entries."""
    found = found if isinstance(found, dict) else {}
    return [name for name in {**wanted, **found} if name not in found or found[name] != wanted.get(name)]
