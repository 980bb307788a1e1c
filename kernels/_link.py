"""Kernels that the training loop calls by address.

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
from ._jit import SOURCES, linked_kernel
from ._memory import move, offset, stack, view
from .shuffling import KEYS
from .team import SIGNALS

__all__ = ["STRIP", "Linked", "call", "linked_kernels"]

# LLVM vectorises elementwise loops in strips of up to 64 numbers and does what is left over one by one, ten times
# slower. So what is left over is copied to a full strip, and samples are padded to full strips.
STRIP = 64
STRIP_BYTES = 8 * STRIP


class Linked(NamedTuple):
    """Addresses of the kernels for one dtype; their arguments are those of the functions below."""

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


def _random(sources: str) -> dict[str, Any]:
    """The drawing of row orders, for networks of any dtype."""
    ints, words, size = types.CPointer(types.int32), types.CPointer(types.uint32), types.int64

    @linked_kernel(types.void(ints, ints, size, words, words, size))
    def shuffle(order, picks, n, state, drawn, reorder):
        _ = sources  # captured, hence part of the key of the on-disk cache; so below
        shuffling.draw(view(picks, 0, n), view(state, 0, KEYS + 1), view(drawn, 0, KEYS))
        if reorder:
            shuffling.permute(view(order, 0, n), view(picks, 0, n))

    return {"shuffle": shuffle}


def _dense(sources: str, number: Any) -> dict[str, Any]:
    """Compile, or load from the cache, the kernels that every network needs, for arrays of `number`."""
    p, size, real = types.CPointer(number), types.int64, types.float64

    @linked_kernel(types.void(p, size, size, p, size, p, size, size, size, size, p, size))
    def gemm(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row):
        _ = sources
        matmul.gemm(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row)

    @linked_kernel(types.void(p, size, p, size, size, size))
    def transpose(source, ld_source, target, ld_target, rows, columns):
        _ = sources
        matmul.transpose(source, ld_source, target, ld_target, rows, columns)

    # What the next three call stands in one place for both the full strips and the strip of what is left over, as it
    # is compiled once for each place.

    @linked_kernel(types.void(size, p, size))
    def forward(code, a, n):
        _ = sources
        rest = n % STRIP
        main = n - rest
        behind = offset(a, main)
        tail = stack(a, STRIP_BYTES)
        move(behind, tail, rest)
        for last in range(int(main == 0), 1 + int(rest > 0)):
            activations.forward(code, view(tail, 0, STRIP) if last else view(a, 0, main))
        move(tail, behind, rest)

    @linked_kernel(types.void(size, p, p, size))
    def backward(code, k, d, n):
        _ = sources
        rest = n % STRIP
        main = n - rest
        tail_k, tail_d = stack(k, STRIP_BYTES), stack(d, STRIP_BYTES)
        move(offset(k, main), tail_k, rest)
        move(offset(d, main), tail_d, rest)
        for last in range(int(main == 0), 1 + int(rest > 0)):
            K = view(tail_k, 0, STRIP) if last else view(k, 0, main)
            D = view(tail_d, 0, STRIP) if last else view(d, 0, main)
            activations.backward(code, K, D)
        move(tail_d, offset(d, main), rest)

    @linked_kernel(types.void(size, p, p, p, p, size, real, real, real, real, real))
    def update(code, w, g, m, v, n, rate, momentum, beta_1, beta_2, epsilon):
        _ = sources
        rest, rest_v = n % STRIP, n % STRIP if optimizers.states_of(code) > 1 else 0
        main = n - rest
        tail_w, tail_g = stack(w, STRIP_BYTES), stack(g, STRIP_BYTES)
        tail_m, tail_v = stack(m, STRIP_BYTES), stack(v, STRIP_BYTES)
        move(offset(w, main), tail_w, rest)
        move(offset(g, main), tail_g, rest)
        move(offset(m, main), tail_m, rest)
        move(offset(v, main), tail_v, rest_v)
        for last in range(int(main == 0), 1 + int(rest > 0)):
            W = view(tail_w, 0, STRIP) if last else view(w, 0, main)
            G = view(tail_g, 0, STRIP) if last else view(g, 0, main)
            M = view(tail_m, 0, STRIP) if last else view(m, 0, main)
            V = view(tail_v, 0, STRIP) if last else view(v, 0, main)
            optimizers.update(code, W, G, M, V, rate, momentum, beta_1, beta_2, epsilon)
        move(tail_w, offset(w, main), rest)
        move(tail_m, offset(m, main), rest)
        move(tail_v, offset(v, main), rest_v)

    return {
        "gemm": gemm,
        "transpose": transpose,
        "forward": forward,
        "backward": backward,
        "update": update,
    }


def _output_error(sources: str, number: Any, code: int) -> dict[str, Any]:
    """The loss and the error of output `code`; a constant here, so only this output is compiled."""
    p, doubles, size = types.CPointer(number), types.CPointer(types.float64), types.int64

    @linked_kernel(types.void(p, p, doubles, p, size, size, types.float64))
    def output_error(z, y, loss, work, K, n, cap):
        _ = sources
        outputs.output_error(
            code, view(z, 0, K * n), view(y, 0, K * n), view(loss, 0, n), view(work, 0, 2 * n), K, n, cap
        )

    return {"output_error": output_error}


def _link(sources: str, number: Any, code: int) -> dict[str, Any]:
    """The link of output `code`, for predictions."""
    p, size = types.CPointer(number), types.int64

    @linked_kernel(types.void(p, p, size, size))
    def link(z, work, K, n):
        _ = sources
        outputs.link(code, view(z, 0, K * n), view(work, 0, n), K, n)

    return {"link": link}


def _batch_norm(sources: str, number: Any) -> dict[str, Any]:
    """The kernels of batch normalisation."""
    p, longs, size = types.CPointer(number), types.CPointer(types.int64), types.int64

    @linked_kernel(types.void(p, p, size, size, size, size, p, p, size, size, longs))
    def normalise_rows(z, h, lo, n, rows, q, gamma, running, rank, team, signals):
        _ = sources
        normalisation.normalise_rows(z, h, lo, n, rows, q, gamma, running, rank, team, view(signals, 0, SIGNALS))

    @linked_kernel(types.void(p, p, p, size, size))
    def normalise_running(z, gamma, running, rows, q):
        _ = sources
        scale, shift = view(gamma, 0, q), view(gamma, q, q)
        mean, variance = view(running, 0, q), view(running, q, q)
        normalisation.normalise_running(view(z, 0, rows * q), scale, shift, mean, variance, rows, q)

    @linked_kernel(types.void(p, p, size, size, size, size, p, size, size, longs))
    def normalise_backward_rows(d, h, lo, n, rows, q, gamma, rank, team, signals):
        _ = sources
        normalisation.normalise_backward_rows(d, h, lo, n, rows, q, gamma, rank, team, view(signals, 0, SIGNALS))

    return {
        "normalise_rows": normalise_rows,
        "normalise_running": normalise_running,
        "normalise_backward_rows": normalise_backward_rows,
    }


def _sparse(sources: str, number: Any) -> dict[str, Any]:
    """The kernels of a first layer on CSR input."""
    p, ints, longs, size = types.CPointer(number), types.CPointer(types.int32), types.CPointer(types.int64), types.int64

    @linked_kernel(types.void(p, ints, longs, longs, size, p, p, p, size))
    def csr_affine(values, indices, indptr, rows, n, W, b, z, q):
        _ = sources
        sparse.csr_affine(values, indices, indptr, rows, n, W, b, z, q)

    @linked_kernel(types.void(p, ints, longs, longs, size, p, size))
    def csr_add(values, indices, indptr, rows, n, a, q):
        _ = sources
        sparse.csr_add(values, indices, indptr, rows, n, a, q)

    @linked_kernel(types.void(p, ints, longs, longs, size, longs, size, size, p, p, size))
    def csr_gradient(values, indices, indptr, rows, n, cursor, lo, hi, d, g, q):
        _ = sources
        sparse.csr_gradient(values, indices, indptr, rows, n, cursor, lo, hi, d, g, q)

    @linked_kernel(types.void(ints, longs, longs, size, longs, size))
    def csr_seek(indices, indptr, rows, n, cursor, column):
        _ = sources
        sparse.csr_seek(indices, indptr, rows, n, cursor, column)

    return {"csr_affine": csr_affine, "csr_add": csr_add, "csr_gradient": csr_gradient, "csr_seek": csr_seek}


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
    groups: list[tuple[Any, ...]] = [(_random,), (_dense, number)]
    if output is not None:
        groups.append((_link if predicting else _output_error, number, output))
    groups += [(group, number) for group, needed in ((_batch_norm, batch_norm), (_sparse, csr)) if needed]
    addresses: dict[str, int] = {}
    with _lock:
        for key in groups:
            if key not in _compiled:
                group, *arguments = key
                # Kept for ever: the functions own the code behind their addresses.
                _compiled[key] = group(SOURCES, *arguments)
            addresses |= {name: function.address for name, function in _compiled[key].items()}
    return Linked(**addresses)
