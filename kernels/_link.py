"""Addresses of kernels, for calls from Python and for calls between kernels through the table in `Memory`.

Numba optimises a function again within every function that calls it. Calls by address separate the training loop from
the passes of a step, and the passes from their arithmetic, so that each is compiled once per dtype. A call costs about
a nanosecond.
"""

import functools
import threading
from typing import Any

from ._precompiled import load
from ._signatures import prototype
from .layout import LINKED

__all__ = ["entry", "linked_addresses", "vector_bytes"]

_lock = threading.Lock()
_compiled: dict[tuple[Any, ...], Any] = {}

# Kernels that every network needs for prediction and for training. Batch normalisation and sparse data need more.
PREDICTING = ("gemm", "transpose", "forward", "backward", "forward_rows")
LARGE = ("panel_product", "pack", "pack_transposed", "pack_columns")
TRAINING = (
    *PREDICTING,
    *LARGE,
    "shuffle",
    "drop",
    "update",
    "average",
    "backward_rows",
    "gradient_of_rows",
    "update_rows",
)
NORMALISING = ("normalise_rows", "normalise_running", "normalise_backward_rows")
SPARSE = ("csr_affine", "csr_add", "csr_gradient", "csr_seek")


@functools.cache
def kernel_address(name: str, dtype: str, output: int | None = None) -> int:
    """Return the address of a kernel for networks of 'float32' or 'float64', and for the op code of an output."""
    with _lock:
        precompiled = load()
        if precompiled is not None:
            return precompiled.address(name, dtype, output)
        from ._compile import compile_kernel

        key = (name, dtype, output)
        if key not in _compiled:
            # Keep the object alive until the process ends, because it owns the machine code.
            _compiled[key] = compile_kernel(name, dtype, output)
        return int(_compiled[key].address)


@functools.cache
def linked_addresses(
    dtype: str, output: int, *, predicting: bool = False, batch_norm: bool = False, csr: bool = False
) -> tuple[int, ...]:
    """Return the addresses of the kernels in `LINKED`, with 0 for kernels that the network does not need.

    Parameters
    ----------
    dtype : str
        'float32' or 'float64'.
    output : int
        Op code of the output layer.
    predicting : bool, default=False
        Whether the kernels are for prediction (forward pass and link) instead of training.
    batch_norm, csr : bool, default=False
        Whether the network has batch normalisation, and whether X is a CSR matrix.
    """
    needed = {*(PREDICTING if predicting else TRAINING)}
    needed |= {*(NORMALISING if batch_norm else ()), *(SPARSE if csr else ())}
    of_output = "link" if predicting else "output_error"
    return tuple(
        kernel_address(name, dtype, output)
        if name == of_output
        else kernel_address(name, dtype)
        if name in needed
        else 0
        for name in LINKED
    )


@functools.cache
def entry(name: str, dtype: str, output: int | None = None) -> Any:
    """Return a kernel as a `ctypes` function. Callers pass arrays by their addresses."""
    return prototype(name)(kernel_address(name, dtype, output))


@functools.cache
def vector_bytes() -> int:
    """Return the vector length that the kernels use, in bytes."""
    precompiled = load()
    if precompiled is not None:
        return {"x86-64-v4": 64, "x86-64-v3": 32}.get(precompiled.level, 16)
    from ._simd import VECTOR_BYTES

    return VECTOR_BYTES
