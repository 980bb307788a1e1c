"""Activations and their derivatives: the twin's values, any length, NaN, the same bits at any place."""

import numpy as np
import pytest
from fastmlp.kernels import activations
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._link import entry
from fastmlp.kernels.tables import ACTIVATIONS, MAXOUT
from numba import njit

from fastmlp.reference import vectorized

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 15, 16, 17, 31, 33, 63, 64, 65, 200]  # around the lengths of vectors and strips
NARROWING = {"maxout"}  # not elementwise
ELEMENTWISE = [name for name in ACTIVATIONS if name not in NARROWING]


def forward(name, z):
    """f(z) by the kernel that the training loop calls."""
    a = z.copy()
    entry("forward", z.dtype.name)(ACTIVATIONS[name].code, a.ctypes.data, a.size)
    return a


def backward(name, z, e):
    """e f'(z) by the kernel that the training loop calls, from what the table says is kept."""
    kept, d = z if ACTIVATIONS[name].needs_z else forward(name, z), e.copy()
    entry("backward", z.dtype.name)(ACTIVATIONS[name].code, kept.ctypes.data, d.ctypes.data, d.size)
    return d


def reference(name, z, e):
    z, e = z.astype(np.float64).reshape(1, -1), e.astype(np.float64).reshape(1, -1)
    a = vectorized.activate(name, z)
    return a.ravel(), vectorized.activate_backward(name, z, a, e).ravel()


def draw(rng, n, dtype):
    z = rng.normal(scale=3, size=n).astype(dtype)
    special = np.array([0, -0.0, 1e-30, -1e-30, 40, -40, 1e4, -1e4], dtype)
    z[: min(n, 8)] = special[: min(n, 8)]
    return z, rng.normal(size=n).astype(dtype)


def test_the_table_is_the_references():
    assert set(ACTIVATIONS) == set(vectorized.ACTIVATIONS)
    codes = [row.code for row in ACTIVATIONS.values()]
    assert sorted(codes) == list(range(len(codes)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_and_derivatives_are_the_references(name, dtype, rng):
    eps = np.finfo(dtype).eps
    for n in SIZES:
        z, e = draw(rng, n, dtype)
        a, d = reference(name, z, e)
        # An elementary function is within 4 units in the last place (test_functions.py), NumPy's is too, and at most
        # four more operations round on each side.
        np.testing.assert_allclose(forward(name, z), a, rtol=16 * eps, atol=eps)
        # A derivative in terms of f(z), of size 1 at most, is as exact as f(z) is, in absolute terms; it is
        # multiplied by |e| < 4.
        np.testing.assert_allclose(backward(name, z, e), d, rtol=32 * eps, atol=64 * eps)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_are_slopes(name, rng):
    z = rng.uniform(-5, 5, 200)
    z = z[np.abs(z) > 0.01]  # away from kinks
    step = 1e-5
    slopes = (forward(name, z + step) - forward(name, z - step)) / (2 * step)
    np.testing.assert_allclose(backward(name, z, np.ones_like(z)), slopes, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_stays(name, dtype):
    """Else a diverging network with rectified units would look finite."""
    z = np.ones(40, dtype)
    z[[0, 17, 39]] = np.nan
    np.testing.assert_array_equal(np.isnan(forward(name, z)), np.isnan(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_bits_do_not_depend_on_the_place(name, dtype, rng):
    """Teams of other sizes cut the rows elsewhere: what stood in a vector stands alone."""
    z, e = draw(rng, 150, dtype)
    a, d = forward(name, z), backward(name, z, e)
    for start in (1, 5, 16, 63, 64, 86, 149):
        np.testing.assert_array_equal(forward(name, z[start:]), a[start:])
        np.testing.assert_array_equal(backward(name, z[start:], e[start:]), d[start:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nothing_is_written_outside(name, dtype, rng):
    for n in SIZES:
        z, e = draw(rng, n + 200, dtype)
        a, d = z.copy(), e.copy()
        inner_a, inner_d = a[100 : 100 + n], d[100 : 100 + n]
        code, number = ACTIVATIONS[name].code, np.dtype(dtype).name
        entry("forward", number)(code, inner_a.ctypes.data, n)
        entry("backward", number)(code, inner_a.ctypes.data, inner_d.ctypes.data, n)
        inner_a[:], inner_d[:] = z[100 : 100 + n], e[100 : 100 + n]
        np.testing.assert_array_equal(a, z)
        np.testing.assert_array_equal(d, e)


@njit(**OPTIONS)
def maxout(z, a, rows, units, pieces):
    activations.maxout(z, a, rows, units, pieces)


@njit(**OPTIONS)
def maxout_backward(z, d, rows, units, pieces):
    activations.maxout_backward(z, d, rows, units, pieces)


SHAPES = [(1, 1, 2), (5, 3, 3), (17, 16, 2), (3, 33, 5)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_maxout_is_the_references(shape, dtype, rng):
    rows, units, pieces = shape
    z = rng.integers(-2, 3, (rows, pieces * units)).astype(dtype)  # full of ties: the first piece wins
    e, a = rng.normal(size=(rows, units)).astype(dtype), np.full((rows, units), np.nan, dtype)
    maxout(z.ravel(), a.ravel(), *shape)
    np.testing.assert_array_equal(a, vectorized.activate("maxout", z, pieces))
    expected = vectorized.activate_backward("maxout", z, a, e, pieces)
    maxout_backward(z.ravel(), e.ravel(), *shape)
    np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("piece", [0, 1, 2])
def test_maxout_keeps_nan(piece, dtype):
    z = np.ones((2, 3, 4), dtype)
    z[1, piece, 2] = np.nan
    a = np.zeros((2, 4), dtype)
    maxout(z.ravel(), a.ravel(), 2, 4, 3)
    np.testing.assert_array_equal(np.isnan(a), np.isnan(z).any(axis=1))


def test_only_maxout_narrows():
    assert {name for name, row in ACTIVATIONS.items() if row.code == MAXOUT} == NARROWING
