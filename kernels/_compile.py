"""Just-in-time compilation of the kernels that are called by address."""

from functools import cache

from numba import types

from . import (
    activations,
    averaging,
    dropout,
    matmul,
    normalisation,
    optimizers,
    outputs,
    panels,
    prediction,
    shuffling,
    sparse,
    step,
    stopping,
    training,
    weights,
)
from ._jit import LinkedKernel

__all__ = ["compile_kernel", "declared"]

GROUPS = (
    matmul.linked,
    panels.linked,
    activations.linked,
    step.linked_forward,
    step.linked_backward,
    weights.linked,
    optimizers.linked,
    averaging.linked,
    dropout.linked,
    shuffling.linked,
    normalisation.linked,
    sparse.linked,
    prediction.linked,
    training.linked,
    stopping.linked,
)
OF_OUTPUTS = (outputs.linked_error, outputs.linked_link)


@cache
def declared(dtype: str, output: int | None = None) -> dict[str, LinkedKernel]:
    """Return the kernels of one dtype by name: those of output `output`, or all that do not depend on the output."""
    number = getattr(types, dtype)
    if output is None:
        kernels = [kernel for group in GROUPS for kernel in group(number)]
    else:
        kernels = [kernel for group in OF_OUTPUTS for kernel in group(number, output)]
    return {kernel.name: kernel for kernel in kernels}


def compile_kernel(name: str, dtype: str, output: int | None = None) -> LinkedKernel:
    """Compile a kernel, or load it from Numba's on-disk cache.

    Parameters
    ----------
    name : str
        A key of `SIGNATURES`.
    dtype : str
        'float32' or 'float64'.
    output : int, default=None
        Op code of the output layer, for kernels that depend on it.
    """
    kernel = declared(dtype, output)[name]
    _ = kernel.address
    return kernel
