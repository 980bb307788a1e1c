"""Kernels that are called by address; their modules compile them, in functions named `linked`.

Numba optimises a function again in every function that calls it, level by level. Calls by address part the training
loop from the passes of a step, and those from their arithmetic: each is compiled once per dtype and cached on its own.
It halves the time of the first fit; a call costs a nanosecond.
"""

import functools
import threading
from typing import Any

from numba import types

from . import activations, matmul, normalisation, optimizers, outputs, shuffling, sparse, step
from ._jit import SOURCES
from .layout import Linked

__all__ = ["linked_kernels"]

_lock = threading.Lock()
_compiled: dict[tuple[Any, ...], dict[str, Any]] = {}


@functools.cache
def linked_kernels(
    dtype: str, output: int | None = None, *, predicting: bool = False, batch_norm: bool = False, csr: bool = False
) -> Linked:
    """Return the addresses of the kernels for 'float32' or 'float64', compiled when first asked for.

    Parameters
    ----------
    dtype : str
    output : int, default=None
        Op code of the output layer; None: the kernels of no output.
    predicting : bool, default=False
        Whether outputs are wanted (forward pass and link), or a network is trained.
    batch_norm, csr : bool, default=False
        Whether batch normalisation, or a first layer on CSR input, is needed.
    """
    number = getattr(types, dtype)
    groups: list[tuple[Any, ...]] = [
        (group, number) for group in (matmul.linked, activations.linked, step.linked_forward)
    ]
    if not predicting:
        groups += [(shuffling.linked,), (optimizers.linked, number), (step.linked_training, number)]
    if output is not None:
        groups.append((outputs.linked_link if predicting else outputs.linked_error, number, output))
    groups += [(module.linked, number) for module, needed in ((normalisation, batch_norm), (sparse, csr)) if needed]
    addresses: dict[str, int] = {}
    with _lock:
        for key in groups:
            if key not in _compiled:
                group, *arguments = key
                # Kept for ever: the functions own the code behind their addresses.
                _compiled[key] = group(SOURCES, *arguments)
            addresses |= {name: function.address for name, function in _compiled[key].items()}
    return Linked(**addresses)
