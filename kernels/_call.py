"""Calls of kernels by address, with type-checked arguments."""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from ._records import KernelAddress
from ._signatures import SIGNATURES

__all__ = ["call"]


def _check(address: KernelAddress, args: tuple[types.Type, ...]) -> None:
    """Raise `TypingError` unless arguments of the types `args` match the signature of the kernel."""
    names = [name for name, _ in SIGNATURES[address.kernel]]
    if len(args) != len(names):
        raise TypingError(f"{address.kernel} takes {len(names)} arguments ({', '.join(names)}), got {len(args)}")
    for name, wanted, given in zip(names, address.parameters, map(types.unliteral, args), strict=True):
        if wanted == types.int64:
            fits = isinstance(given, types.Integer | types.Boolean)
        elif wanted == types.float64:
            fits = isinstance(given, types.Number)
        else:
            fits = given == wanted
        if not fits:
            raise TypingError(f"{address.kernel}: argument {name} must be {wanted}, got {given}")


@intrinsic
def call(typingctx, address, *args):
    """Call the kernel at `address`. The arguments must match its row of `SIGNATURES`; numbers are converted."""
    if not isinstance(address, KernelAddress):
        return None
    _check(address, args)
    sig = types.void(address, types.StarArgTuple.from_types(args))

    def codegen(context, builder, sig, llvm_args):
        wanted, given = sig.args[0].parameters, sig.args[1].types
        values = [
            value if kind == target else context.cast(builder, value, types.unliteral(kind), target)
            for value, kind, target in zip(cgutils.unpack_tuple(builder, llvm_args[1]), given, wanted, strict=True)
        ]
        function = ir.FunctionType(ir.VoidType(), [context.get_value_type(kind) for kind in wanted])
        builder.call(builder.bitcast(llvm_args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return sig, codegen
