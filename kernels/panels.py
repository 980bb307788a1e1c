"""Matrix products whose right factor is stored in panels, for matrices that are larger than a first-level cache.

A panel holds as many columns as the largest tile is wide; its rows follow each other without a gap, so the tiles that
read a panel read contiguous memory. Rows of the plain matrix lie up to some thousand bytes apart: they compete for a
few sets of a cache, and the CPU's prefetcher does not foresee them. Training writes the weights and the errors of large
layers in panels once in each step; all tiles and threads read them.

Panel p of B (height, n) begins at value p * height * width. It holds the columns from p * width on, in rows of `width`
values. The last panel is as wide as the others; what lies behind column n is never read.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from ._jit import LinkedKernel, inlined, linked_kernel
from ._memory import offset
from ._simd import VECTOR_BYTES, lanes, load, prefetch_outer, smaller, store
from .layout import PANEL_ROWS
from .matmul import ROWS, VECTORS, _product, copy_panel_row, transpose

__all__ = ["HEIGHT", "PREFETCHING", "linked"]

# Rows of A that are multiplied by one panel after the other: few enough that they stay in the second-level cache.
HEIGHT = {64: PANEL_ROWS, 32: 48, 16: 48}[VECTOR_BYTES]
# Whether the gradient pass prefetches the weights and their moments. With AVX2, on a Zen 3 CPU, this made training 2 to
# 4 % slower.
PREFETCHING = VECTOR_BYTES == 64
# Rows of a panel that are used at a time: few enough that they stay in the first- or second-level cache.
DEPTH = 1024
LINE_BYTES = 64
PACKED_ROWS = 24


@inlined
def width_of(pointer):
    """Columns of a panel."""
    return VECTORS[0] * lanes(pointer)


@inlined
def prefetch_rows(x, distance, rows, size):
    """Prefetch the first `size` values of `rows` rows, `distance` values apart."""
    step = lanes(x) * LINE_BYTES // VECTOR_BYTES
    for i in range(rows):
        for j in range(0, size, step):
            prefetch_outer(offset(x, i * distance + j))


@inlined
def product(a, a_row, a_col, a_group, b, height, c, ldc, m, k, n, start, start_row, ahead, x, y, z):
    """C = start + A B as `matmul.gemm`, for B (k, n) in panels of `height` >= k rows.

    If `a_group` is not zero, A is stored in groups of as many rows as the largest tile has, see `pack_columns`. Each
    group begins `a_group` values after the previous one.

    With `ahead`, the values of x, y and z with the indices of the values of C are prefetched into the second-level
    cache during the computation.
    """
    width = width_of(b)
    blocks = (k + DEPTH - 1) // DEPTH
    for block in range(blocks):
        top = block * k // blocks
        depth = (block + 1) * k // blocks - top
        for first in range(0, m, HEIGHT):
            end = first + smaller(HEIGHT, m - first)
            prefetching = ahead != 0 and block == 0
            # Tile by tile if A is in groups, which have strides of their own, or if memory is prefetched, because a CPU
            # keeps track of only about twenty missing cache lines.
            step = ROWS[0] if prefetching or a_group != 0 else HEIGHT
            for j in range(0, n, width):
                panel = offset(b, j * height + top * width)
                cols = smaller(width, n - j)
                for i in range(first, end, step):
                    rows = smaller(step, end - i)
                    if prefetching:
                        place = i * ldc + j
                        prefetch_rows(offset(x, place), ldc, rows, cols)
                        prefetch_rows(offset(y, place), ldc, rows, cols)
                        prefetch_rows(offset(z, place), ldc, rows, cols)
                    rows_at = i * a_row if a_group == 0 else i // ROWS[0] * a_group
                    _product(
                        offset(a, rows_at + top * a_col),
                        a_row,
                        a_col,
                        panel,
                        width,
                        offset(c, i * ldc + j),
                        ldc,
                        rows,
                        depth,
                        cols,
                        offset(start, i * start_row + j),
                        start_row,
                    )
        # The chains go on where those of the last block ended.
        start, start_row = c, ldc


@intrinsic
def copy_group(typingctx, source, target):
    """Copy as many values as the largest tile has rows."""

    def codegen(context, builder, sig, args):
        source, target = args
        store(builder, load(builder, source, ROWS[0]), target)
        return context.get_dummy_value()

    return types.void(source, target), codegen


@inlined
def pack_columns(src, ld_src, dst, rows, cols):
    """Write S' of S (rows, cols) at `src`, rows `ld_src` apart, in groups of as many rows as the largest tile has.

    Group g of S' begins at value g * ROWS[0] * rows. It contains its values in the order in which a tile reads them:
    first all of column 0, then all of column 1. In S, the columns of S' are kilobytes apart.
    """
    group = ROWS[0]
    full = cols - cols % group
    for r in range(rows):
        for j in range(0, full, group):
            copy_group(offset(src, r * ld_src + j), offset(dst, j * rows + r * group))
        for j in range(full, cols):
            dst[full * rows + r * group + j - full] = src[r * ld_src + j]


@inlined
def pack(src, ld_src, dst, height, first, rows, cols):
    """Write S (rows, cols) at `src`, rows `ld_src` apart, as the rows from `first` on of panels of `height` rows."""
    width = width_of(src)
    # Some rows at a time: both the rows that are read and those that are written then run on for several cache lines.
    for top in range(0, rows, PACKED_ROWS):
        end = smaller(top + PACKED_ROWS, rows)
        for j in range(0, cols, width):
            panel = offset(dst, j * height + first * width)
            for i in range(top, end):
                if cols - j >= width:
                    copy_panel_row(offset(src, i * ld_src + j), offset(panel, i * width))
                else:
                    for k in range(cols - j):
                        panel[i * width + k] = src[i * ld_src + j + k]


@inlined
def pack_transposed(src, ld_src, dst, height, first, rows, cols):
    """Write S' of S (rows, cols) at `src` as the columns from `first` on of panels of `height` = cols rows."""
    width = width_of(src)
    done = 0
    while done < rows:
        column = (first + done) % width
        count = smaller(rows - done, width - column)
        panel = offset(dst, (first + done - column) * height + column)
        transpose(offset(src, done * ld_src), ld_src, panel, width, count, cols)
        done += count


def linked(number: Any) -> list[LinkedKernel]:
    """Declare the kernels for arrays of `number`."""

    @linked_kernel(number, "panel_product")
    def linked_product(a, a_row, a_col, a_group, b, height, c, ldc, m, k, n, start, start_row, ahead, x, y, z):
        """C = start + A B for B in panels, see `product`."""
        product(a, a_row, a_col, a_group, b, height, c, ldc, m, k, n, start, start_row, ahead, x, y, z)

    @linked_kernel(number, "pack")
    def linked_pack(src, ld_src, dst, height, first, rows, cols):
        """Write rows of panels, see `pack`."""
        pack(src, ld_src, dst, height, first, rows, cols)

    @linked_kernel(number, "pack_transposed")
    def linked_pack_transposed(src, ld_src, dst, height, first, rows, cols):
        """Write columns of panels, see `pack_transposed`."""
        pack_transposed(src, ld_src, dst, height, first, rows, cols)

    @linked_kernel(number, "pack_columns")
    def linked_pack_columns(src, ld_src, dst, rows, cols):
        """Write groups of columns, see `pack_columns`."""
        pack_columns(src, ld_src, dst, rows, cols)

    return [linked_product, linked_pack, linked_pack_transposed, linked_pack_columns]
