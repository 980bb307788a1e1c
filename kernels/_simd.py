"""Vector length of the CPU, and vector instructions for kernels.

Numba generates code for the host, or for the CPU named by `NUMBA_CPU_NAME` and `NUMBA_CPU_FEATURES`. To find the vector
length of this code, this module compiles a fused multiply-add and inspects its assembly. This works for any CPU name,
and for features that imply each other.

Functions that take a `builder` emit LLVM instructions inside an `@intrinsic`; `copy_part`, `copy_vector`, `fma`,
`lanes`, `prefetch`, `prefetch_outer` and `smaller` are for kernels.
"""

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core.codegen import get_host_cpu_features
from numba.extending import intrinsic

__all__ = [
    "HAS_FMA",
    "HAS_MASKS",
    "VECTOR_BYTES",
    "copy_part",
    "copy_vector",
    "fma",
    "lanes",
    "lanes_below",
    "lanes_of",
    "load",
    "prefetch",
    "prefetch_outer",
    "smaller",
    "splat",
    "square_transpose",
    "store",
    "store_all",
    "store_first",
    "vector_fma",
]

_PROBE = """
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
define void @probe(ptr %p) {
  %v = load <16 x float>, ptr %p
  %r = call <16 x float> @llvm.fma.v16f32(<16 x float> %v, <16 x float> %v, <16 x float> %v)
  store <16 x float> %r, ptr %p
  ret void
}
"""


def _fma_assembly() -> str:
    """Return the assembly of a fused multiply-add of 16 float32, for the CPU that Numba compiles for."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu = llvm.get_host_cpu_name() if config.CPU_NAME is None else config.CPU_NAME
    features = get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    target = llvm.Target.from_triple(llvm.get_process_triple())
    machine = target.create_target_machine(cpu=cpu, features=features)
    return str(machine.emit_assembly(llvm.parse_assembly(_PROBE)))


_assembly = _fma_assembly()

# Without a hardware fused multiply-add, LLVM calls the C library for each lane, which is slow but gives the same bits.
HAS_FMA = "fmaf" not in _assembly
VECTOR_BYTES = 64 if "zmm" in _assembly else 32 if "ymm" in _assembly and HAS_FMA else 16
# Masked loads and stores are as fast as full ones.
HAS_MASKS = VECTOR_BYTES == 64

_I32 = ir.IntType(32)


def _size(scalar: Any) -> int:
    return 4 if isinstance(scalar, ir.FloatType) else 8


def _suffix(kind: Any) -> str:
    """Return the suffix for a type in the name of an LLVM intrinsic."""
    if isinstance(kind, ir.VectorType):
        return f"v{kind.count}{_suffix(kind.element)}"
    return "f32" if isinstance(kind, ir.FloatType) else "f64"


def _call(builder: Any, name: str, result: Any, *args: Any) -> Any:
    """Emit a call of an LLVM intrinsic."""
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(result, [arg.type for arg in args]), name)
    return builder.call(function, args)


def lanes_of(scalar: Any) -> int:
    """Return the number of values of the LLVM type `scalar` in one vector."""
    return VECTOR_BYTES // _size(scalar)


def vector_fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """Emit x y + z, rounded once; scalars or vectors."""
    return _call(builder, f"llvm.fma.{_suffix(x.type)}", x.type, x, y, z)


def splat(builder: Any, scalar: Any, lanes: int) -> Any:
    """Emit a vector of `lanes` copies of `scalar`."""
    undefined = ir.Constant(ir.VectorType(scalar.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, scalar, _I32(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes))


def lanes_below(builder: Any, count: Any, first: int, lanes: int) -> Any:
    """Emit a mask of `lanes` lanes, numbered from `first`, that selects the lanes below `count` (int32)."""
    numbers = ir.Constant(ir.VectorType(_I32, lanes), list(range(first, first + lanes)))
    return builder.icmp_signed("<", numbers, splat(builder, count, lanes))


def load(builder: Any, pointer: Any, lanes: int, mask: Any = None) -> Any:
    """Emit a load of a vector at `pointer`; lanes outside `mask` are not read and are 0."""
    scalar = pointer.type.pointee
    vector = ir.VectorType(scalar, lanes)
    pointer = builder.bitcast(pointer, vector.as_pointer())
    if mask is None:
        return builder.load(pointer, align=_size(scalar))
    # In LLVM 22 the alignment became an attribute; the parser still accepts this older form.
    name = f"llvm.masked.load.{_suffix(vector)}.p0"
    return _call(builder, name, vector, pointer, _I32(_size(scalar)), mask, ir.Constant(vector, None))


def store(builder: Any, vector: Any, pointer: Any, mask: Any = None) -> None:
    """Emit a store of a vector to `pointer`; lanes outside `mask` are not written."""
    size = _size(vector.type.element)
    pointer = builder.bitcast(pointer, vector.type.as_pointer())
    if mask is None:
        builder.store(vector, pointer, align=size)
        return
    name = f"llvm.masked.store.{_suffix(vector.type)}.p0"
    _call(builder, name, ir.VoidType(), vector, pointer, _I32(size), mask)


def store_all(builder: Any, vectors: list[Any], pointers: list[Any], mask: Any = None) -> None:
    """Emit a store of each vector to its pointer."""
    for vector, pointer in zip(vectors, pointers, strict=True):
        store(builder, vector, pointer, mask)


def store_first(builder: Any, vectors: list[Any], pointers: list[Any], count: Any) -> None:
    """Emit a store of the first `count` (int32) values of each vector to its pointer, without masks.

    If `count` exceeds the number of lanes, all are stored; if it is negative, none. Without AVX-512, masked stores are
    slow: AMD's CPUs need more than ten cycles for one.
    """
    lanes = vectors[0].type.count
    whole, some, end = (builder.append_basic_block(name) for name in ("store.all", "store.some", "store.end"))
    builder.cbranch(builder.icmp_signed(">=", count, _I32(lanes)), whole, some)
    builder.position_at_end(whole)
    store_all(builder, vectors, pointers)
    builder.branch(end)
    builder.position_at_end(some)
    half = builder.append_basic_block("store.half")
    builder.cbranch(builder.icmp_signed(">", count, _I32(0)), half, end)
    builder.position_at_end(half)
    # Each binary digit of `count` tells whether half of what is left is stored.
    while (lanes := lanes // 2) > 0:
        low, high = ([_part(builder, vector, first, lanes) for vector in vectors] for first in (0, lanes))
        later = [builder.gep(pointer, [_I32(lanes)]) for pointer in pointers]
        before, stored, after = builder.block, *(builder.append_basic_block(name) for name in ("store", "stored"))
        digit = builder.and_(count, _I32(lanes))
        builder.cbranch(builder.icmp_signed("!=", digit, _I32(0)), stored, after)
        builder.position_at_end(stored)
        store_all(builder, low, pointers)
        builder.branch(after)
        builder.position_at_end(after)
        vectors, pointers = (
            [_join(builder, (old, before), (new, stored)) for old, new in zip(*pair, strict=True)]
            for pair in ((low, high), (pointers, later))
        )
    builder.branch(end)
    builder.position_at_end(end)


def _part(builder: Any, vector: Any, first: int, lanes: int) -> Any:
    """Emit the vector of `lanes` lanes from lane `first` on."""
    order = ir.Constant(ir.VectorType(_I32, lanes), list(range(first, first + lanes)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), order)


def _join(builder: Any, *sources: tuple[Any, Any]) -> Any:
    """Emit the value that has come from one of several blocks, given as (value, block)."""
    phi = builder.phi(sources[0][0].type)
    for value, block in sources:
        phi.add_incoming(value, block)
    return phi


def square_transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Emit the transpose of a square matrix, given as one vector for each row."""
    lanes = len(rows)
    lines = list(rows)
    half = lanes // 2
    while half:
        # Exchange the upper right and the lower left quarter of every square of 2 half rows.
        upper = [lanes + lane - half if lane & half else lane for lane in range(lanes)]
        lower = [lanes + lane if lane & half else lane + half for lane in range(lanes)]
        orders = [ir.Constant(ir.VectorType(_I32, lanes), order) for order in (upper, lower)]
        for i in range(lanes):
            if not i & half:
                pair = lines[i], lines[i + half]
                lines[i], lines[i + half] = (builder.shuffle_vector(*pair, order) for order in orders)
        half //= 2
    return lines


@intrinsic
def lanes(typingctx, pointer):
    """Return the number of values of the type at `pointer` in one vector."""
    sig = types.intp(pointer)

    def codegen(context, builder, sig, args):
        return context.get_constant(types.intp, lanes_of(args[0].type.pointee))

    return sig, codegen


@intrinsic
def fma(typingctx, x, y, z):
    """Return x y + z, rounded once.   Three float32 or three float64."""
    if x not in (types.float32, types.float64) or x != y or x != z:
        return None
    return x(x, x, x), lambda context, builder, sig, args: vector_fma(builder, *args)


@intrinsic
def copy_vector(typingctx, source, target):
    """target[i] <- source[i] for the values of one vector."""

    def codegen(context, builder, sig, args):
        source, target = args
        store(builder, load(builder, source, lanes_of(source.type.pointee)), target)
        return context.get_dummy_value()

    return types.void(source, target), codegen


@intrinsic
def copy_part(typingctx, source, target, n):
    """target[i] <- source[i] for the first n (at most all) values of one vector. Requires `HAS_MASKS`."""
    sig = types.void(source, target, types.intp)

    def codegen(context, builder, sig, args):
        lanes = lanes_of(args[0].type.pointee)
        mask = lanes_below(builder, builder.trunc(args[2], _I32), 0, lanes)
        store(builder, load(builder, args[0], lanes, mask), args[1], mask)
        return context.get_dummy_value()

    return sig, codegen


def _emit_prefetch(builder: Any, pointer: Any, locality: int) -> None:
    """Emit a prefetch for reading data; `locality` 3 stands for all caches, 2 for those outside the first level."""
    reading, data = _I32(0), _I32(1)
    _call(builder, "llvm.prefetch.p0", ir.VoidType(), pointer, reading, _I32(locality), data)


@intrinsic
def prefetch(typingctx, pointer):
    """Prefetch the cache line at `pointer`. Any address is allowed."""

    def codegen(context, builder, sig, args):
        _emit_prefetch(builder, args[0], 3)
        return context.get_dummy_value()

    return types.void(pointer), codegen


@intrinsic
def prefetch_outer(typingctx, pointer):
    """As `prefetch`, into the second-level cache only."""

    def codegen(context, builder, sig, args):
        _emit_prefetch(builder, args[0], 2)
        return context.get_dummy_value()

    return types.void(pointer), codegen


@intrinsic
def smaller(typingctx, x, y):
    """Return the smaller of two integers. Numba would compile `min` as a function for every pair of types."""
    if not (isinstance(x, types.Integer) and isinstance(y, types.Integer)):
        return None

    def codegen(context, builder, sig, args):
        return builder.select(builder.icmp_signed("<", *args), *args)

    return types.int64(types.int64, types.int64), codegen
