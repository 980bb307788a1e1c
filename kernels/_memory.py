"""Raw memory for kernels: typed pointers into arrays.

The micro-kernel and everything that calls it work on pointers, so that one compile serves read-only and
writable arrays of any shape, and no negative-index branch is left in a loop. Pointers are never checked:
sizes and offsets are checked in Python, before a kernel runs.
"""

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._jit import kernel

__all__ = ["at", "copy", "fill", "move", "offset", "stack", "view"]


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
def view(typingctx, source, start, n):
    """The elements `start`, ..., `start + n - 1` of a contiguous array, or behind a pointer, as an array.

    It owns nothing, and unlike a slice it costs no code for steps, negative numbers and bounds.
    """
    sig = types.Array(source.dtype, 1, "C")(source, types.intp, types.intp)

    def codegen(context, builder, sig, args):
        # Here, as `import fastmlp` need not wait the tenth of a second that this takes.
        from numba.np.arrayobj import populate_array

        data = args[0]
        if isinstance(sig.args[0], types.Array):
            data = context.make_array(sig.args[0])(context, builder, args[0]).data
        array = context.make_array(sig.return_type)(context, builder)
        size = context.get_constant(types.intp, context.get_abi_sizeof(data.type.pointee))
        populate_array(
            array,
            data=builder.gep(data, [args[1]]),
            shape=[args[2]],
            strides=[size],
            itemsize=size,
            meminfo=None,
        )
        return array._getvalue()

    return sig, codegen


@intrinsic(prefer_literal=True)
def stack(typingctx, pointer, size):
    """Uninitialised memory on the stack for values like those behind `pointer`, of `size` bytes: a literal."""
    if not isinstance(size, types.IntegerLiteral):
        return None
    sig = pointer(pointer, size)

    def codegen(context, builder, sig, args):
        scalar = args[0].type.pointee
        count = size.literal_value // context.get_abi_sizeof(scalar)
        memory = cgutils.alloca_once(builder, scalar, context.get_constant(types.intp, count))
        memory.align = 64  # the longest vector there is
        return memory

    return sig, codegen


@intrinsic
def move(typingctx, source, target, n):
    """target[i] <- source[i] for i below n; two pointers of one type to memory that does not overlap."""
    sig = types.void(source, target, types.intp)

    def codegen(context, builder, sig, args):
        itemsize = context.get_abi_sizeof(args[0].type.pointee)
        cgutils.raw_memcpy(builder, args[1], args[0], args[2], itemsize)
        return context.get_dummy_value()

    return sig, codegen


@kernel
def fill(x, value):
    """x <- value.   (Assigning to a slice does the same, and takes Numba ten times as long to compile.)"""
    for i in range(x.size):
        x[i] = value


@kernel
def copy(source, target):
    """target <- source, two vectors of one length."""
    move(at(source, 0), at(target, 0), target.size)
