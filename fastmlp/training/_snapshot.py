"""Take a snapshot of a training in progress, and restore a training from a snapshot."""

from typing import NamedTuple

import numpy as np

from ._checkpoint import Snapshot, generator_state, restore_generator
from ._engine import Engine
from ._network import Array

__all__ = ["Best", "restore", "snapshot_of"]

STATE_PREFIX = "state_"


class Best(NamedTuple):
    """The best epoch so far.

    Attributes
    ----------
    value : float
        Its loss, or minus its score.
    weights : (ndarray, ndarray) or None
        Its weights and running statistics, if they are wanted.
    """

    value: float
    weights: tuple[Array, Array] | None


def snapshot_of(engine: Engine, best: Best) -> Snapshot:
    """Return a snapshot of a training between two epochs. Its arrays are not copies."""
    assert engine.order is not None
    assert engine.order.random is not None
    numbers, arrays = engine.state.unpacked()
    arrays = {STATE_PREFIX + name: array for name, array in arrays.items()}
    arrays |= {"w": engine.w, "stats": engine.stats, "row_order": engine.row_order}
    if best.weights is not None:
        arrays |= {"best_w": best.weights[0], "best_stats": best.weights[1]}
    header = {"state": numbers, "best": best.value, "generator": generator_state(engine.order.random)}
    return Snapshot(header, arrays)


def restore(engine: Engine, snapshot: Snapshot, *, keep_best: bool) -> Best:
    """Restore a snapshot in an engine that has not trained yet, and return the best epoch before the snapshot.

    Raises
    ------
    ValueError
        If the snapshot is incomplete or does not fit the engine. The engine is then unchanged.
    """
    assert engine.order is not None
    fresh = snapshot_of(engine, Best(np.inf, (engine.w, engine.stats) if keep_best else None))
    header, stored = snapshot
    numbers, value = header.get("state") or {}, header.get("best")
    complete = set(stored) == set(fresh.arrays) and set(numbers) == set(fresh.header["state"])
    if not complete or not isinstance(value, float):
        raise ValueError("The checkpoint does not hold what this training needs.")
    for name, array in fresh.arrays.items():
        if stored[name].shape != array.shape or stored[name].dtype != array.dtype:
            raise ValueError(
                f"The checkpoint holds {name} of shape {stored[name].shape} and dtype {stored[name].dtype}, but this "
                f"training needs {array.shape} and {array.dtype}."
            )
    order = stored["row_order"]
    # The kernels use these numbers as row numbers without checking them.
    if not np.array_equal(np.sort(order), np.arange(len(order))):
        raise ValueError("The checkpoint holds an order of rows that is not a permutation.")
    restore_generator(header.get("generator"), engine.order.random)
    best = Best(value, None)
    if keep_best:
        weights = engine.w.copy(), engine.stats.copy()
        weights[0][:], weights[1][:] = stored["best_w"], stored["best_stats"]
        best = best._replace(weights=weights)
    for name, array in fresh.arrays.items():
        if not name.startswith("best_"):
            array[...] = stored[name]
    for name, number in numbers.items():
        setattr(engine.state, name, number)
    engine.workspace.transpose_weights()
    return best
