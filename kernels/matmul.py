"""Matrix products in which every value is one chain of fused multiply-adds, in the order of k.

Therefore a value does not depend on the tile that computes it, the vector length, the memory layout of A or the
division of the work into blocks, and has the same bits on every CPU.

`gemm` is for kernels. It computes tiles: some rows of A times some vectors of B, with all sums in registers. A large B
is copied block by block to the stack (`_blocked`). If C has few columns, the lanes of a vector are rows of A
(`_swapped`, `_columns`). The code allocates no heap memory and uses no threads and no library. `product.matmul` is the
function for Python.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from . import _simd
from ._jit import OPTIONS, LinkedKernel, inlined, linked_kernel
from ._memory import move, offset, stack
from ._simd import HAS_MASKS, VECTOR_BYTES, copy_vector, lanes, smaller

__all__ = ["gemm", "linked", "transpose"]


class Tiles(NamedTuple):
    """Shapes of the tiles of one height, for `rows` rows of A and `vectors` vectors of B.

    Tiles for the last columns load and store only a part of their vectors, by masks. A narrow one has `narrow` vectors.
    If `part` is "last", there is also one of all vectors. If it is "always", because masks are free, that one replaces
    the tile without masks. If `tall` is not zero, another narrow tile has `tall` rows.
    """

    rows: int
    vectors: int
    narrow: int = 1
    tall: int = 0
    part: str = "last"


# Largest first. At least 8 chains of fused multiply-adds are needed to hide the latency of two units, so tiles with
# fewer rows have more vectors, and a tall tile is added if the narrow one has only 6 chains. With 16 bytes, `part` is
# "never" because LLVM emulates masks.
TILES = {
    64: (
        Tiles(14, 2, part="never"),
        Tiles(8, 2, part="never"),
        Tiles(4, 2, part="always"),
        Tiles(2, 4, part="always"),
        Tiles(1, 8, narrow=2, part="always"),
    ),
    32: (Tiles(6, 2, tall=12), Tiles(4, 2), Tiles(2, 4), Tiles(1, 8)),
    16: (Tiles(8, 2, part="never"), Tiles(4, 2, part="never"), Tiles(2, 4, part="never"), Tiles(1, 8, part="never")),
}[VECTOR_BYTES]
ROWS, VECTORS, NARROW_VECTORS, TALL_ROWS, _ = zip(*TILES, strict=True)
# Kinds of tiles. For each entry of TILES, OF_FULL contains the kind that computes all vectors in full, and OF_PART the
# kind that computes fewer columns, if they do not fit into the narrow tile.
FULL, PART, NARROW, TALL = range(4)
KINDS = 4
OF_FULL = tuple(PART if tiles.part == "always" else FULL for tiles in TILES)
OF_PART = tuple(NARROW if tiles.part == "never" else PART for tiles in TILES)

# Stack memory. Even small thread stacks have some hundred KB.
BLOCK_BYTES = 49152
SUMS_BYTES = 8192
# Rows of a block of B.
DEPTH = BLOCK_BYTES // (VECTORS[0] * VECTOR_BYTES)
# Blocks are worthwhile if B is larger than a level-1 cache and several tiles read it.
LARGE_BYTES = 32768
LARGE_ROWS = 4 * ROWS[0]
# Vectors in a row of C', and the number of rows of B from which two transposes are worthwhile.
FLAT = VECTORS[-1]
LONG = 32

SIZE = ir.IntType(64)


def shared(function: Any) -> Any:
    """Declare a kernel that is compiled once per dtype and, unlike `kernel`, not again for literal arguments."""

    def stub(*args: Any) -> None:
        raise NotImplementedError("only kernels can call this")

    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, **OPTIONS}
    overload(stub, jit_options=options, strict=False)(lambda *args: function)
    stub.__name__ = function.__name__
    stub.__doc__ = function.__doc__
    return stub


@intrinsic
def never_inline(typingctx):
    """Prevent LLVM from inlining the kernel that calls this into its callers, which saves compile time."""
    sig = types.void()

    def codegen(context, builder, sig, args):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return sig, codegen


def _gep(builder: Any, pointer: Any, stride: Any, i: int) -> Any:
    """Emit `pointer + i stride`."""
    return builder.gep(pointer, [builder.mul(stride, SIZE(i))])


def _opaque(builder: Any, value: Any) -> Any:
    """Emit `value` through empty inline assembly, which hides its origin from LLVM's optimiser."""
    return builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], side_effect=False)


def _emit_loop(builder: Any, steps: Any, stride: int, first: list[Any], body: Any) -> list[Any]:
    """Emit `for k in range(0, steps, stride): values = body(k, values)`; return the last values."""
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("k", "k.body", "k.end"))
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.phi(SIZE)
    values = [builder.phi(value.type) for value in first]
    builder.cbranch(builder.icmp_signed("<", k, steps), inside, after)
    builder.position_at_end(inside)
    new = [builder.add(k, SIZE(stride)), *body(k, values)]
    for phi, start, value in zip([k, *values], [SIZE(0), *first], new, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(value, inside)
    builder.branch(head)
    builder.position_at_end(after)
    return values


def _emit_tile(builder: Any, rows: int, vectors: int, whole: int, args: list[Any]) -> None:
    """Emit C = start + A B for a tile with at least `whole` full vectors; its first `width` columns are written."""
    a, a_row, a_col, b, ldb, c, ldc, k, width, start, start_row = args
    lanes = _simd.lanes_of(a.type.pointee)
    # One pointer for every three rows of A. LLVM would compute the address of each row from that of the one before.
    thirds = [a]
    for _ in range(3, rows, 3):
        thirds.append(builder.gep(thirds[-1], [builder.mul(a_row, SIZE(3))]))
    firsts = [SIZE(j * lanes) for j in range(vectors)]
    width = builder.trunc(width, ir.IntType(32))
    masks = [None if j < whole else _simd.lanes_below(builder, width, j * lanes, lanes) for j in range(vectors)]

    def load_row(row: Any) -> list[Any]:
        pointers = [builder.gep(row, [first]) for first in firsts]
        return [_simd.load(builder, p, lanes, mask) for p, mask in zip(pointers, masks, strict=True)]

    def add_products(k: Any, values: list[Any]) -> list[Any]:
        b_row, *values = values
        a_rows, sums = values[: len(thirds)], values[len(thirds) :]
        b_k = load_row(b_row)
        new = []
        for i in range(rows):
            a_ik = _simd.splat(builder, builder.load(_gep(builder, a_rows[i // 3], a_row, i % 3)), lanes)
            for j in range(vectors):
                new.append(_simd.vector_fma(builder, a_ik, b_k[j], sums[i * vectors + j]))
        return [builder.gep(b_row, [ldb]), *(_opaque(builder, builder.gep(row, [a_col])) for row in a_rows), *new]

    sums, row = [], start
    for _ in range(rows):
        sums += load_row(row)
        row = builder.gep(row, [start_row])
    sums = _emit_loop(builder, k, 1, [b, *thirds, *sums], add_products)[1 + len(thirds) :]
    pointers, row = [], c
    for _ in range(rows):
        pointers.append(row)
        row = builder.gep(row, [ldc])
    for j in range(vectors):
        values, places = sums[j::vectors], [builder.gep(row, [firsts[j]]) for row in pointers]
        if j < whole or HAS_MASKS:
            _simd.store_all(builder, values, places, masks[j])
        else:
            _simd.store_first(builder, values, places, builder.sub(width, ir.IntType(32)(j * lanes)))


@intrinsic
def _tile(typingctx, step, kind, a, a_row, a_col, b, ldb, c, ldc, k, width, start, start_row):
    """C = start + A B for a tile of `TILES[step]`."""
    size = types.intp
    sig = types.void(size, size, a, size, size, b, size, c, size, size, size, start, size)

    def tile(builder, rows, vectors, whole, args):
        """Return a separate function for each tile. Otherwise LLVM keeps the addresses of all tiles in registers."""
        kind = "f32" if isinstance(args[0].type.pointee, ir.FloatType) else "f64"
        name = f"tile.{kind}.{rows}.{vectors}.{whole}"
        function = builder.module.globals.get(name)
        if function is None:
            function = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [arg.type for arg in args]), name)
            function.linkage = "internal"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block())
            _emit_tile(inside, rows, vectors, whole, list(function.args))
            inside.ret_void()
        return function

    def codegen(context, builder, sig, args):
        code = builder.add(builder.mul(args[0], SIZE(KINDS)), args[1])
        after = builder.append_basic_block("tile.end")
        switch = builder.switch(code, after)
        for step, tiles in enumerate(TILES):
            shapes = {NARROW: (tiles.rows, tiles.narrow, 0)}
            if tiles.tall:
                shapes[TALL] = (tiles.tall, tiles.narrow, 0)
            for kind in {OF_FULL[step], OF_PART[step]} - {NARROW}:
                # Columns that fit into the narrow tile are left to it.
                shapes[kind] = (tiles.rows, tiles.vectors, tiles.narrow if kind == PART else tiles.vectors)
            for kind, shape in sorted(shapes.items()):
                block = builder.append_basic_block("tile")
                switch.add_case(SIZE(KINDS * step + kind), block)
                builder.position_at_end(block)
                builder.call(tile(builder, *shape, args[2:]), args[2:])
                builder.branch(after)
        builder.position_at_end(after)
        return context.get_dummy_value()

    return sig, codegen


@shared
def _product(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row):
    """Compute `gemm` tile by tile. If k is 0, start is copied to C."""
    never_inline()
    top = 0
    for step in range(len(TILES)):
        rows = ROWS[step]
        # Each tile has at least half as many rows as the one before, so only the first is needed more than once. The
        # end is computed before the loop. Otherwise LLVM may call a 128-bit division function that is not available.
        end = top + rows if step else m - m % ROWS[0]
        if end > m or end == top:
            continue
        wide, few = VECTORS[step] * lanes(c), NARROW_VECTORS[step] * lanes(c)
        j = 0
        while j < n:
            kind = NARROW if n - j <= few else OF_PART[step] if n - j < wide else OF_FULL[step]
            i = top
            while i < end:
                tall = kind == NARROW and TALL_ROWS[step] > 0 and i + TALL_ROWS[step] <= end
                _tile(
                    step,
                    TALL if tall else kind,
                    offset(a, i * a_row),
                    a_row,
                    a_col,
                    offset(b, j),
                    ldb,
                    offset(c, i * ldc + j),
                    ldc,
                    k,
                    n - j,
                    offset(start, i * start_row + j),
                    start_row,
                )
                i += TALL_ROWS[step] if tall else rows
            j += few if kind == NARROW else wide
        top = end


@inlined
def copy_panel_row(source, target):
    """Copy as many values as the largest tile has columns."""
    for i in range(VECTORS[0]):
        copy_vector(offset(source, i * lanes(source)), offset(target, i * lanes(source)))


@inlined
def _blocked(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row):
    """Compute `gemm` from blocks of B on the stack, because reading distant rows of B is slow."""
    block = stack(b, BLOCK_BYTES)
    width = VECTORS[0] * lanes(b)
    blocks = (k + DEPTH - 1) // DEPTH
    for step in range(blocks):
        top = step * k // blocks
        depth = (step + 1) * k // blocks - top
        for j in range(0, n, width):
            cols = smaller(width, n - j)
            source = offset(b, top * ldb + j)
            if cols == width:
                for i in range(depth):
                    copy_panel_row(offset(source, i * ldb), offset(block, i * width))
            else:
                _product(a, 0, 0, b, 0, block, width, depth, 0, cols, source, ldb)
            _product(
                offset(a, top * a_col),
                a_row,
                a_col,
                block,
                width,
                offset(c, j),
                ldc,
                m,
                depth,
                cols,
                offset(start, j),
                start_row,
            )
        # The chains continue those of the last block.
        start, start_row = c, ldc


@intrinsic
def _transpose_square(typingctx, src, ld_src, dst, ld_dst, rows, cols):
    """Transpose a square as wide as a vector; if masks are cheap, only its first `rows` and `cols`."""
    size = types.intp
    sig = types.void(src, size, dst, size, size, size)

    def codegen(context, builder, sig, args):
        src, ld_src, dst, ld_dst, rows, cols = args
        i32 = ir.IntType(32)
        lanes = _simd.lanes_of(src.type.pointee)
        rows, cols = (builder.trunc(count, i32) for count in (rows, cols))

        def line(pointer, stride, i, height, width):
            """Return the address of line i and its mask.

            A line outside the matrix is masked off and has the address of line 0. If a masked access is to an unmapped
            page, the CPU needs some hundred cycles to suppress the fault.
            """
            place = _gep(builder, pointer, stride, i)
            if not HAS_MASKS:
                return place, None
            inside = builder.icmp_signed("<", i32(i), height)
            mask = _simd.lanes_below(builder, builder.select(inside, width, i32(0)), 0, lanes)
            return builder.select(inside, place, pointer), mask

        values = []
        for i in range(lanes):
            place, mask = line(src, ld_src, i, rows, cols)
            values.append(_simd.load(builder, place, lanes, mask))
        for j, value in enumerate(_simd.square_transpose(builder, values)):
            place, mask = line(dst, ld_dst, j, cols, rows)
            _simd.store(builder, value, place, mask)
        return context.get_dummy_value()

    return sig, codegen


@shared
def transpose(src, ld_src, dst, ld_dst, rows, cols):
    """T = S'.   S (rows, cols) at `src`, rows `ld_src` apart; T at `dst`, rows `ld_dst` apart, is written."""
    never_inline()
    if (cols == 1 and ld_src == 1) or (rows == 1 and ld_dst == 1):
        move(src, dst, rows * cols)
        return
    side = lanes(src)
    for i in range(0, rows, side):
        for j in range(0, cols, side):
            square = offset(src, i * ld_src + j)
            target = offset(dst, j * ld_dst + i)
            if HAS_MASKS or (rows - i >= side and cols - j >= side):
                _transpose_square(square, ld_src, target, ld_dst, rows - i, cols - j)
            else:
                for r in range(smaller(side, rows - i)):
                    for s in range(smaller(side, cols - j)):
                        target[s * ld_dst + r] = square[r * ld_src + s]


@inlined
def _swapped(a, a_col, b, ldb, c, ldc, m, k, n, start, start_row):
    """Compute `gemm` for few columns and `a_row` = 1: C' = start' + B' A'."""
    sums = stack(c, SUMS_BYTES)
    width = FLAT * lanes(c)
    for i in range(0, m, width):
        rows = smaller(width, m - i)
        transpose(offset(start, i * start_row), start_row, sums, width, rows, n)
        _product(b, 1, ldb, offset(a, i), a_col, sums, width, n, k, rows, sums, width)
        transpose(sums, width, offset(c, i * ldc), ldc, n, rows)


@intrinsic
def _column_tile(typingctx, a, a_row, b, ldb, sums, k):
    """sums += A b.   Two vectors of sums with a lane for each row of A, which is transposed in registers."""
    size = types.intp
    sig = types.void(a, size, b, size, sums, size)

    def codegen(context, builder, sig, args):
        a, a_row, b, ldb, sums, k = args
        lanes = _simd.lanes_of(a.type.pointee)
        # Two chains hide the latency of the fused multiply-add.
        pieces = [(first, builder.gep(sums, [SIZE(first)])) for first in (0, lanes)]

        def add_products(k, totals):
            a_k = builder.gep(a, [k])
            b_k = builder.gep(b, [builder.mul(k, ldb)])
            new = []
            for (first, _), total in zip(pieces, totals, strict=True):
                rows = [_gep(builder, a_k, a_row, first + i) for i in range(lanes)]
                columns = [_simd.load(builder, row, lanes) for row in rows]
                for i, column in enumerate(_simd.square_transpose(builder, columns)):
                    b_value = _simd.splat(builder, builder.load(_gep(builder, b_k, ldb, i)), lanes)
                    total = _simd.vector_fma(builder, column, b_value, total)
                new.append(total)
            return new

        totals = [_simd.load(builder, piece, lanes) for _, piece in pieces]
        totals = _emit_loop(builder, k, lanes, totals, add_products)
        for (_, piece), total in zip(pieces, totals, strict=True):
            _simd.store(builder, total, piece)
        return context.get_dummy_value()

    return sig, codegen


@inlined
def _columns(a, a_row, b, ldb, c, ldc, m, k, n, start, start_row):
    """Compute `gemm` for very few columns and `a_col` = 1."""
    sums = stack(c, SUMS_BYTES)
    height = 2 * lanes(c)
    rows = m - m % height
    depth = k - k % lanes(c)
    for i in range(0, rows, height):
        for j in range(n):
            for r in range(height):
                sums[r] = start[(i + r) * start_row + j]
            _column_tile(offset(a, i * a_row), a_row, offset(b, j), ldb, sums, depth)
            for r in range(height):
                c[(i + r) * ldc + j] = sums[r]
    # First the remaining k of these rows, then the remaining rows.
    _product(offset(a, depth), a_row, 1, offset(b, depth * ldb), ldb, c, ldc, rows, k - depth, n, c, ldc)
    a = offset(a, rows * a_row)
    start = offset(start, rows * start_row)
    _product(a, a_row, 1, b, ldb, offset(c, rows * ldc), ldc, m - rows, k, n, start, start_row)


@inlined
def gemm(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row):
    """C[i, j] = start[i, j] + sum over k of A[i, k] B[k, j], as one chain of fused multiply-adds.

    A (m, k) is at `a`, with strides `a_row` and `a_col`; B (k, n) is at `b`, with row stride `ldb`; C (m, n) is at `c`,
    with row stride `ldc`, and is written; start (m, n) is at `start`, with row stride `start_row`. Strides are in
    elements.

    `a_row` and `a_col` may have any values, so a transposed A needs no copy; a stride of 0 repeats a value. With
    `start_row` = 0, all rows start from the same row. If start is C and `start_row` is `ldc`, the product is added to
    C.
    """
    lane = lanes(c)
    if n == 1 and a_row == 1 and ldc == 1:
        if start_row != 1:
            for i in range(m):
                c[i] = start[i * start_row]
            start = c
        _product(b, 1, ldb, a, a_col, c, m, 1, k, m, start, m)
        return
    if a_col == 1 and n <= 2 and m >= 2 * lane and k >= LONG:
        _columns(a, a_row, b, ldb, c, ldc, m, k, n, start, start_row)
        return
    # The remaining few columns would fill only a small part of a vector.
    rest = n % lane if a_row == 1 and m >= 2 * lane and k >= LONG else 0
    if rest > lane * 3 // 4:
        rest = 0
    n -= rest
    if m >= LARGE_ROWS and k * ldb > LARGE_BYTES // VECTOR_BYTES * lane:
        _blocked(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row)
    else:
        _product(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row)
    if rest > 0:
        _swapped(a, a_col, offset(b, n), ldb, offset(c, n), ldc, m, k, rest, offset(start, n), start_row)


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernels for arrays of `number`."""

    @linked_kernel(number, "gemm")
    def linked_gemm(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row):
        """C = start + A B, see `gemm`."""
        gemm(a, a_row, a_col, b, ldb, c, ldc, m, k, n, start, start_row)

    @linked_kernel(number, "transpose")
    def linked_transpose(src, ld_src, dst, ld_dst, rows, cols):
        """T = S', see `transpose`."""
        transpose(src, ld_src, dst, ld_dst, rows, cols)

    return [linked_gemm, linked_transpose]
