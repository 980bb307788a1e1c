"""Products that read panels: the bits of `gemm`, nothing outside the arrays, panels that hold the matrix."""

import numpy as np
import pytest
from fastmlp.kernels._arrays import address
from fastmlp.kernels._link import entry, vector_bytes
from fastmlp.kernels.layout import in_panels
from fastmlp.kernels.product import matmul

DTYPES = [np.float32, np.float64]
# Around the heights of tiles and of blocks of rows, around the widths of panels, and more rows than a panel is read at
# a time.
SHAPES = [
    (1, 1, 1),
    (5, 3, 7),
    (13, 17, 31),
    (14, 64, 33),
    (47, 31, 16),
    (48, 40, 32),
    (49, 67, 65),
    (57, 20, 129),
    (113, 5, 8),
    (7, 1025, 9),
    (30, 2100, 40),
]

# Rows of the largest tile.
GROUP = {64: 14, 32: 6, 16: 8}[vector_bytes()]


def width_of(dtype):
    """Columns of a panel: two vectors."""
    return 2 * vector_bytes() // np.dtype(dtype).itemsize


def packed(B, height=None, first=0):
    """B in panels, as `pack` writes them; what it does not write is NaN."""
    rows, cols = B.shape
    height = height or rows
    panels = np.full(height * in_panels(cols), np.nan, B.dtype)
    entry("pack", B.dtype.name)(address(B), cols, address(panels), height, first, rows, cols)
    return panels


def unpacked(panels, height, cols):
    """The matrix (height, cols) that panels hold, read by their definition."""
    width = width_of(panels.dtype)
    parts = [panels[j * height : (j + width) * height].reshape(height, width) for j in range(0, cols, width)]
    return np.hstack(parts)[:, :cols]


def grouped(A):
    """The transpose of A in groups of columns, as `pack_columns` writes them; what it does not write is NaN."""
    rows, cols = A.shape
    groups = np.full(-(-cols // GROUP) * GROUP * rows, np.nan, A.dtype)
    entry("pack_columns", A.dtype.name)(address(A), cols, address(groups), rows, cols)
    return groups


def product(A, panels, height, n, start, *, transposed=False, groups=False, ahead=None):
    """start + A B for B in panels."""
    m, k = A.shape[::-1] if transposed else A.shape
    a_row, a_col = (1, m) if transposed else (k, 1)
    a_group = 0
    if groups:
        A, a_col, a_group = grouped(A), GROUP, GROUP * k
    C = np.full((m, n), np.nan, A.dtype)
    x, y, z = [address(array) for array in ahead] if ahead else [0, 0, 0]
    entry("panel_product", A.dtype.name)(
        address(A), a_row, a_col, a_group, address(panels), height, address(C), n, m, k, n, address(start),
        n if start.ndim == 2 else 0, ahead is not None, x, y, z,
    )  # fmt: skip
    return C


def draw(rng, dtype, *shape):
    """Numbers of every size, so that the order of a sum shows."""
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-2, 3, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_have_the_bits_of_gemm(shape, dtype, rng):
    m, k, n = shape
    A, B, start = draw(rng, dtype, m, k), draw(rng, dtype, k, n), draw(rng, dtype, m, n)
    panels = packed(B)
    zero = np.zeros(n, dtype)
    expected = matmul(A, B, np.empty((m, n), dtype))
    np.testing.assert_array_equal(product(A, panels, k, n, zero), expected)
    columns = np.ascontiguousarray(A.T)
    np.testing.assert_array_equal(product(columns, panels, k, n, zero, transposed=True), expected)
    np.testing.assert_array_equal(product(columns, panels, k, n, zero, transposed=True, groups=True), expected)
    arrays = [draw(rng, dtype, m, n) for _ in range(3)]
    kept = [array.copy() for array in arrays]
    np.testing.assert_array_equal(product(A, panels, k, n, zero, ahead=arrays), expected)
    for array, before in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, before)
    # The first sums may be any; rows of higher panels that the product does not read are NaN.
    tall = packed(B, height=k + 5)
    C = start.copy()
    a, b, c = (address(array) for array in (A, B, C))
    entry("gemm", np.dtype(dtype).name)(a, k, 1, b, n, c, n, m, k, n, address(start), n)
    np.testing.assert_array_equal(product(A, tall, k + 5, n, start), C)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (9, 16), (31, 33), (40, 65)])
def test_panels_hold_the_matrix(rows, cols, dtype, rng):
    B = draw(rng, dtype, rows, cols)
    np.testing.assert_array_equal(unpacked(packed(B), rows, cols), B)
    # Only the rows that are given are written.
    higher = unpacked(packed(B, height=rows + 7, first=3), rows + 7, cols)
    np.testing.assert_array_equal(higher[3 : rows + 3], B)
    assert np.isnan(np.delete(higher, np.s_[3 : rows + 3], axis=0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (9, 16), (31, 33), (5, 2 * GROUP)])
def test_groups_hold_the_columns(rows, cols, dtype, rng):
    """Each group contains GROUP columns of A, row by row; the last one may have fewer. No other value is written."""
    A = draw(rng, dtype, rows, cols)
    groups = grouped(A)
    parts = groups.reshape(-1, rows, GROUP)
    np.testing.assert_array_equal(np.hstack(list(parts))[:, :cols], A)
    assert np.isnan(groups).sum() == groups.size - A.size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (9, 16), (31, 33), (70, 65)])
def test_transposed_panels_hold_the_transpose(rows, cols, dtype, rng):
    """Written some rows of W at a time, from any row on."""
    W = draw(rng, dtype, rows, cols)
    panels = np.full(cols * in_panels(rows), np.nan, dtype)
    for first in range(0, rows, 12):
        part = np.ascontiguousarray(W[first : first + 12])
        pack = entry("pack_transposed", part.dtype.name)
        pack(address(part), cols, address(panels), cols, first, len(part), cols)
    np.testing.assert_array_equal(unpacked(panels, cols, rows), W.T)
    assert np.isnan(panels).sum() == panels.size - W.size
