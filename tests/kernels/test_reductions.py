"""Sums in sixteen lanes: exact order, all lengths, NaN, no read out of bounds."""

import numpy as np
import pytest
from fastmlp.kernels import reductions
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels.reductions import LANES
from numba import njit

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 1000]


@njit(**OPTIONS)
def total(x):
    return reductions.total(x)


@njit(**OPTIONS)
def add_squares(w, squares):
    reductions.add_squares(w, squares)


def in_lanes(x):
    """Return lanes, where lane j is the sum of x[j], x[j + 16], ... in order, rounded after every addition."""
    padded = np.zeros(-(-x.size // LANES) * LANES, x.dtype)
    padded[: x.size] = x
    lanes = np.zeros(LANES, x.dtype)
    for row in padded.reshape(-1, LANES):
        lanes += row
    return lanes


def inside(x):
    """Return the same numbers at an unaligned address, surrounded by NaN."""
    block = np.full(x.size + 131, np.nan, x.dtype)
    block[65 : 65 + x.size] = x
    return block[65 : 65 + x.size]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_total_has_documented_order(n, dtype, rng):
    x = (rng.normal(size=n) * 10.0 ** rng.integers(-3, 4, n)).astype(dtype)
    expected = in_lanes(x)
    while expected.size > 1:
        low, high = np.split(expected, 2)
        expected = low + high
    assert total(x) == expected[0]
    assert total(inside(x)) == expected[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_squares_are_summed_per_lane(n, dtype, rng):
    whole = rng.integers(-9, 10, n).astype(dtype)  # every sum of squares is exact
    squares = np.full(LANES + 2, np.nan, dtype)
    add_squares(inside(whole), squares[1:-1])
    np.testing.assert_array_equal(squares[1:-1], in_lanes(whole * whole))
    assert np.isnan(squares[[0, -1]]).all()
    x = rng.normal(size=n).astype(dtype)
    add_squares(x, squares[1:-1])
    expected = in_lanes(x.astype(np.float64) ** 2)
    np.testing.assert_allclose(squares[1:-1], expected, rtol=n * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_squares_round_once(dtype):
    """4 + (1 + e)^2 is e^2 above the midpoint between 5 and the next number; a rounded square would lose e^2."""
    e = np.finfo(dtype).eps
    x = np.zeros(2 * LANES, dtype)
    x[0], x[LANES] = 2, 1 + e
    squares = np.empty(LANES, dtype)
    add_squares(x, squares)
    assert squares[0] == np.nextafter(dtype(5), dtype(6))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_non_finite_values_propagate(bad, dtype):
    """Training checks one sum instead of every loss."""
    for n in (1, 16, 33):
        for i in range(n):
            x = np.ones(n, dtype)
            x[i] = bad
            assert not np.isfinite(total(x))
