"""Raw memory for kernels: typed pointers into arrays.

The micro-kernel and everything that calls it work on pointers, so that one compile serves read-only and
writable arrays of any shape, and no negative-index branch is left in a loop. Pointers are never checked:
sizes and offsets are checked in Python, before a kernel runs.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["at", "offset", "peek", "poke"]


@intrinsic
def at(typingctx, array, i):
    """Pointer to element `i`, counted in memory order, of a contiguous `array`."""
    sig = types.CPointer(array.dtype)(array, types.intp)

    def codegen(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.gep(data, [args[1]])

    return sig, codegen


@intrinsic
def offset(typingctx, pointer, i):
    """`pointer + i`, counted in elements."""
    sig = pointer(pointer, types.intp)
    return sig, lambda context, builder, sig, args: builder.gep(args[0], [args[1]])


@intrinsic
def peek(typingctx, pointer, i):
    """The element `pointer[i]`."""
    sig = pointer.dtype(pointer, types.intp)
    return sig, lambda context, builder, sig, args: builder.load(builder.gep(args[0], [args[1]]))


@intrinsic
def poke(typingctx, pointer, i, value):
    """`pointer[i] <- value`."""
    sig = types.void(pointer, types.intp, pointer.dtype)

    def codegen(context, builder, sig, args):
        builder.store(args[2], builder.gep(args[0], [args[1]]))
        return context.get_dummy_value()

    return sig, codegen
