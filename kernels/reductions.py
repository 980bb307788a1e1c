"""Sums that have the same bits on every machine: sixteen interleaved partial sums for any vector length.

With a single partial sum, each addition would wait for the one before, about four cycles. Sixteen lanes hide this
latency, and LLVM splits a vector of sixteen into vectors of the CPU. Lane j sums the elements j, j + 16, j + 32, ...
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._jit import inlined, kernel
from ._memory import at, fill, view
from ._simd import lanes_below, load, store, vector_fma
from .layout import LANES

__all__ = ["add_squares", "square_sum", "total"]


def _in_lanes(builder, pointer, count, combine):
    """Emit acc <- combine(acc, 16 elements) over `count` elements from `pointer`; return acc (16 lanes)."""
    i64, i32 = ir.IntType(64), ir.IntType(32)
    vector = ir.VectorType(pointer.type.pointee, LANES)
    step = ir.Constant(i64, LANES)
    entry, head = builder.block, builder.append_basic_block("lanes")
    body, tail = builder.append_basic_block("lanes.body"), builder.append_basic_block("lanes.tail")
    builder.branch(head)

    builder.position_at_end(head)
    i, acc = builder.phi(i64), builder.phi(vector)
    i.add_incoming(ir.Constant(i64, 0), entry)
    acc.add_incoming(ir.Constant(vector, None), entry)
    following = builder.add(i, step)
    builder.cbranch(builder.icmp_signed("<=", following, count), body, tail)

    builder.position_at_end(body)
    acc.add_incoming(combine(acc, load(builder, builder.gep(pointer, [i]), LANES)), body)
    i.add_incoming(following, body)
    builder.branch(head)

    builder.position_at_end(tail)
    mask = lanes_below(builder, builder.trunc(builder.sub(count, i), i32), 0, LANES)
    return combine(acc, load(builder, builder.gep(pointer, [i]), LANES, mask))


@intrinsic
def square_lanes(typingctx, x, n, lanes):
    """lanes[j] <- sum of squares of x[j], x[j + 16], ... for indices below n.   Pointers of one type; lanes (16,)."""
    sig = types.void(x, types.int64, x)

    def codegen(context, builder, sig, args):
        acc = _in_lanes(builder, args[0], args[1], lambda acc, v: vector_fma(builder, v, v, acc))
        store(builder, acc, args[2])
        return context.get_dummy_value()

    return sig, codegen


@intrinsic
def lane_total(typingctx, x, n):
    """Return the sum of x[0..n): sixteen lanes, which are then added pairwise."""
    sig = x.dtype(x, types.int64)

    def codegen(context, builder, sig, args):
        acc = _in_lanes(builder, args[0], args[1], builder.fadd)
        i32, lanes = ir.IntType(32), LANES
        while lanes > 1:
            lanes //= 2
            low, high = (
                builder.shuffle_vector(
                    acc,
                    ir.Constant(acc.type, ir.Undefined),
                    ir.Constant(ir.VectorType(i32, lanes), list(range(first, first + lanes))),
                )
                for first in (0, lanes)
            )
            acc = builder.fadd(low, high)
        return builder.extract_element(acc, ir.Constant(i32, 0))

    return sig, codegen


@kernel
def total(x):
    """Return the sum of a contiguous vector x (n,)."""
    return lane_total(at(x, 0), x.size)


@inlined
def add_squares(w, squares):
    """squares (16,) <- lane sums of squares of w (n,)."""
    square_lanes(at(w, 0), w.size, at(squares, 0))


@kernel
def square_sum(x, sums):
    """Return the sum of squares of x (n,) in float64: sixteen lanes, then added in order.   sums (16,) is written."""
    fill(sums, 0.0)
    for i in range(x.size // LANES):
        part = view(at(x, 0), i * LANES, LANES)
        for lane in range(LANES):
            sums[lane] += float(part[lane]) * float(part[lane])
    for i in range(x.size // LANES * LANES, x.size):
        sums[i % LANES] += float(x[i]) * float(x[i])
    result = 0.0
    for lane in range(LANES):
        result += sums[lane]
    return result
