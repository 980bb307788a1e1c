"""Check that a network fits in the available memory."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["check_memory"]

# Files with the memory limit of a Linux container, for control groups version 2 and version 1.
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@cache
def _memory() -> float:
    """Return the bytes of memory of this machine or container, or infinity if they are unknown."""
    known = [np.inf]
    with suppress(AttributeError, ValueError, OSError):
        known.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    for path in MEMORY_LIMITS:
        with suppress(ValueError, OSError):  # version 2 contains "max" if there is no limit
            known.append(float(path.read_text()))
    return min(known)


def check_memory(
    units: list[int], widths: list[int], *, rows: int, copies: int, itemsize: int, hidden_layer_sizes: Any
) -> None:
    """Raise `MemoryError` if a network does not fit in the memory of this machine.

    Parameters
    ----------
    units : list of int
        Widths n_0..n_L.
    widths : list of int
        Columns q_1..q_L of the weight matrices.
    rows : int
        Number of rows of the buffers.
    copies : int
        Number of vectors with the length of the weights: weights, gradient or transposed copy, optimizer state.
    itemsize : int
        Bytes per number.
    hidden_layer_sizes : object
        Value of the parameter, for the error message.

    Raises
    ------
    MemoryError
        If the network needs more memory than the machine or its container has.
    """
    weights = sum((a + 1) * q for a, q in zip(units, widths, strict=False))
    needed = itemsize * (float(weights) * copies + float(rows) * (sum(units) + sum(widths)))
    memory = _memory()
    if needed > memory:
        raise MemoryError(
            f"hidden_layer_sizes={hidden_layer_sizes!r} with {units[0]} features and {units[-1]} outputs makes"
            f" {weights} weights, which need about {needed / 2**30:.0f} GiB to train; this machine or its container"
            f" has {memory / 2**30:.0f} GiB. Allowed are networks that fit: choose smaller hidden layers."
        )
