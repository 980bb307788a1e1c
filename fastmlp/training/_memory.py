"""How much memory there is, and networks that would need more."""

import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["check_memory"]

# Where Linux says how much memory a container may use, version 2 of control groups and version 1.
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@cache
def _memory() -> float:
    """Bytes of memory of this machine, or of its container; infinity where the system does not say."""
    known = [np.inf]
    with suppress(AttributeError, ValueError, OSError):
        known.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    for path in MEMORY_LIMITS:
        with suppress(ValueError, OSError):  # version 2 says "max" where there is no limit
            known.append(float(path.read_text()))
    return min(known)


def check_memory(
    units: list[int], widths: list[int], *, rows: int, copies: int, itemsize: int, hidden_layer_sizes: Any
) -> None:
    """Refuse a network that this machine cannot hold.

    Parameters
    ----------
    units : list of int
        Widths n_0..n_L.
    widths : list of int
        Columns q_1..q_L of the weight matrices.
    rows : int
        Rows of the buffers.
    copies : int
        Vectors as long as the weights: weights, gradient or transposed copy, optimizer state.
    itemsize : int
        Bytes of a number.
    hidden_layer_sizes : object
        The parameter, for the message.

    Raises
    ------
    MemoryError
        The network needs more memory than the machine or its container has.
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
