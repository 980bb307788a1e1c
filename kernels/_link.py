"""Kernels that the training loop calls by address; their modules compile them, in `linked`.

Numba optimises a function again in every function that calls it, level by level. Calls by address part the
loop, which is control flow, from the kernels, which are arithmetic: each is compiled once per dtype and cached
on its own. It halves the time of the first fit; a call costs a nanosecond.
"""

import functools
import threading
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from . import activations, matmul, normalisation, optimizers, outputs, shuffling, sparse
from ._jit import SOURCES

__all__ = ["Linked", "call", "linked_kernels"]


class Linked(NamedTuple):
    """Addresses of the kernels for one dtype; their arguments are those of the functions of these names."""

    shuffle: Any
    gemm: Any
    transpose: Any
    forward: Any
    backward: Any
    update: Any
    # Compiled when a network or its data first need them; 0 before.
    output_error: Any = 0
    link: Any = 0
    normalise_rows: Any = 0
    normalise_running: Any = 0
    normalise_backward_rows: Any = 0
    csr_affine: Any = 0
    csr_add: Any = 0
    csr_gradient: Any = 0
    csr_seek: Any = 0


@intrinsic
def call(typingctx, address, *args):
    """Call the kernel at `address`; numbers are passed as int64 or float64, pointers as they are."""
    sig = types.void(address, types.StarArgTuple.from_types(args))

    def codegen(context, builder, sig, llvm_args):
        values, kinds = [], []
        for value, kind in zip(cgutils.unpack_tuple(builder, llvm_args[1]), sig.args[1].types, strict=True):
            kind = types.unliteral(kind)
            if not isinstance(kind, types.CPointer):
                plain = types.float64 if isinstance(kind, types.Float) else types.int64
                value = context.cast(builder, value, kind, plain)
                kind = plain
            values.append(value)
            kinds.append(context.get_value_type(kind))
        function = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.bitcast(llvm_args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return sig, codegen


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
        Whether the link of the output is needed, or its loss and error.
    batch_norm, csr : bool, default=False
        Whether batch normalisation, or a first layer on CSR input, is needed.
    """
    number = getattr(types, dtype)
    groups: list[tuple[Any, ...]] = [(shuffling.linked,)]
    groups += [(module.linked, number) for module in (matmul, activations, optimizers)]
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
