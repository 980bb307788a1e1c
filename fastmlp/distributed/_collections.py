"""Conversion of Dask collections to lists of partitions, and back."""

from collections.abc import Callable
from typing import Any

import dask
import dask.array
import distributed
import numpy as np

__all__ = ["client_of", "feature_names", "is_collection", "map_rows", "partitions"]


def client_of(client: Any) -> Any:
    """Return `client`, or the current client.

    Raises
    ------
    TypeError
        If `client` is not a client of Dask.
    ValueError
        If `client` is None and there is no current client.
    """
    if client is not None:
        if not isinstance(client, distributed.Client):
            raise TypeError(f"client must be a distributed.Client or None, got {client!r}.")
        return client
    try:
        return distributed.get_client()
    except ValueError:
        raise ValueError(
            "Training on Dask collections needs a Dask client, and there is none: create one before fit, as in"
            " client = distributed.Client(), or pass it as fit(X, y, client=client)."
        ) from None


def is_collection(array: Any) -> bool:
    """Whether `array` is a Dask array, data frame or series."""
    return isinstance(array, dask.array.Array) or _is_frame(array)


def _is_frame(array: Any) -> bool:
    return dask.is_dask_collection(array) and hasattr(array, "to_delayed") and hasattr(array, "divisions")


def feature_names(X: Any) -> np.ndarray | None:
    """Return the names of the columns if all are strings, as scikit-learn's `feature_names_in_`."""
    if not _is_frame(X):
        return None
    names = np.asarray(X.columns, dtype=object)
    return names if all(isinstance(name, str) for name in names) else None


def _check_rows_only(array: Any, name: str) -> None:
    """Raise for an argument that is not a collection, and for arrays whose columns are in several chunks."""
    if not is_collection(array):
        raise TypeError(f"{name} must be a Dask array, data frame or series, got {type(array).__name__}.")
    if isinstance(array, dask.array.Array):
        if array.ndim not in (1, 2) or (name == "X" and array.ndim != 2):
            raise ValueError(f"{name} must have {'two' if name == 'X' else 'one or two'} dimensions, got {array.ndim}.")
        if array.ndim == 2 and array.numblocks[1] != 1:
            raise ValueError(
                f"{name} has its columns in {array.numblocks[1]} chunks, and every partition must hold whole rows: "
                f"rechunk it, as in {name}.rechunk({{1: -1}})."
            )


def partitions(X: Any, **others: Any) -> list[tuple[Any, ...]]:
    """Return the partitions of several collections, one tuple of Delayed objects for each part of the rows.

    Parameters
    ----------
    X : Dask array or data frame
        The features.
    **others : Dask array, data frame, series or None
        Further data for the rows of X, by name; None stays None.

    Raises
    ------
    TypeError
        If one of them is not a Dask collection.
    ValueError
        If columns are chunked, or if the partitions differ, as far as this is known without computing them. If lengths
        or divisions are unknown, `check_partition` compares the lengths.
    """
    whole = {"X": X, **{name: array for name, array in others.items() if array is not None}}
    counts, lengths, divisions = {}, {}, {}
    for name, array in whole.items():
        _check_rows_only(array, name)
        counts[name] = array.npartitions if _is_frame(array) else array.numblocks[0]
        if isinstance(array, dask.array.Array) and not any(np.isnan(n) for n in array.chunks[0]):
            lengths[name] = array.chunks[0]
        if _is_frame(array) and array.known_divisions:
            divisions[name] = array.divisions
    for facts, what in ((counts, "partitions"), (lengths, "rows in each partition"), (divisions, "divisions")):
        if len(set(facts.values())) > 1:
            listed = ", ".join(f"{name} has {fact}" for name, fact in facts.items())
            raise ValueError(f"All collections must have the same {what}: {listed}. Rechunk or repartition them.")
    delayed = {name: np.ravel(np.asarray(array.to_delayed(), dtype=object)) for name, array in whole.items()}
    names = ["X", *others]
    return [tuple(delayed[name][i] if name in delayed else None for name in names) for i in range(counts["X"])]


def map_rows(function: Callable[[Any], np.ndarray], X: Any, columns: Any, dtype: Any) -> Any:
    """Apply `function` to each partition of X lazily.

    Parameters
    ----------
    function : callable
        Takes an array or data frame of some rows and returns a vector, or a matrix of as many rows.
    X : Dask array or data frame
    columns : sequence or None
        Names of the columns of the result; None if it is a vector.
    dtype : dtype
        Dtype of the result.

    Returns
    -------
    Dask array, or for a data frame a series or data frame with its index
    """
    _check_rows_only(X, "X")
    if not _is_frame(X):
        if columns is None:
            return X.map_blocks(function, dtype=dtype, drop_axis=1, meta=np.empty(0, dtype))
        chunks = (X.chunks[0], (len(columns),))
        return X.map_blocks(function, dtype=dtype, chunks=chunks, meta=np.empty((0, 0), dtype))
    import pandas as pd

    def framed(part: pd.DataFrame) -> Any:
        values = function(part) if len(part) else np.empty((0,) if columns is None else (0, len(columns)), dtype)
        if columns is None:
            return pd.Series(values, part.index)
        return pd.DataFrame(values, part.index, columns)

    meta = framed(X._meta.iloc[:0])
    return X.map_partitions(framed, meta=meta)
