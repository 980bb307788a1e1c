"""Calls of kernels by address, see `_link`."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._struct import Struct

__all__ = ["call"]


@intrinsic
def call(typingctx, address, *args):
    """Call the kernel at `address`; numbers are passed as int64 or float64, pointers and structs as they are."""
    sig = types.void(address, types.StarArgTuple.from_types(args))

    def codegen(context, builder, sig, llvm_args):
        values, kinds = [], []
        for value, kind in zip(cgutils.unpack_tuple(builder, llvm_args[1]), sig.args[1].types, strict=True):
            kind = types.unliteral(kind)
            if not isinstance(kind, types.CPointer | Struct):
                plain = types.float64 if isinstance(kind, types.Float) else types.int64
                value = context.cast(builder, value, kind, plain)
                kind = plain
            values.append(value)
            kinds.append(context.get_value_type(kind))
        function = ir.FunctionType(ir.VoidType(), kinds)
        builder.call(builder.bitcast(llvm_args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return sig, codegen
