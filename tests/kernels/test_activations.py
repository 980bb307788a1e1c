"""Activations and derivatives match the reference for any length, propagate NaN and have reproducible bits."""

import numpy as np
import pytest
from fastmlp.kernels import activations
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._link import entry
from fastmlp.kernels.tables import ACTIVATIONS, MAXOUT
from numba import njit

from fastmlp.reference import vectorized

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 15, 16, 17, 31, 33, 63, 64, 65, 200]  # close to the lengths of vectors and strips
NARROWING = {"maxout"}  # not elementwise
ELEMENTWISE = [name for name in ACTIVATIONS if name not in NARROWING]


def forward(name, z):
    """Return f(z), computed by the kernel of the training loop."""
    a = z.copy()
    entry("forward", z.dtype.name)(ACTIVATIONS[name].code, a.ctypes.data, a.size)
    return a


def backward(name, z, e):
    """Return e f'(z), computed by the kernel of the training loop from the values that the table specifies."""
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


def test_table_matches_reference():
    assert set(ACTIVATIONS) == set(vectorized.ACTIVATIONS)
    codes = [row.code for row in ACTIVATIONS.values()]
    assert sorted(codes) == list(range(len(codes)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_values_and_derivatives_match_reference(name, dtype, rng):
    eps = np.finfo(dtype).eps
    for n in SIZES:
        z, e = draw(rng, n, dtype)
        a, d = reference(name, z, e)
        # The error of an elementary function is at most 4 units in the last place (test_functions.py), also in NumPy,
        # and each side has at most four more roundings.
        np.testing.assert_allclose(forward(name, z), a, rtol=16 * eps, atol=eps)
        # A derivative that is computed from f(z) has the absolute error of f(z) and is at most 1; it is multiplied by
        # |e| < 4.
        np.testing.assert_allclose(backward(name, z, e), d, rtol=32 * eps, atol=64 * eps)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_derivatives_match_central_differences(name, rng):
    z = rng.uniform(-5, 5, 200)
    z = z[np.abs(z) > 0.01]  # away from kinks
    step = 1e-5
    slopes = (forward(name, z + step) - forward(name, z - step)) / (2 * step)
    np.testing.assert_allclose(backward(name, z, np.ones_like(z)), slopes, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_propagates(name, dtype):
    """Otherwise the loss of a diverging network with relu units would be finite."""
    z = np.ones(40, dtype)
    z[[0, 17, 39]] = np.nan
    np.testing.assert_array_equal(np.isnan(forward(name, z)), np.isnan(z))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_bits_do_not_depend_on_position(name, dtype, rng):
    """The team size determines whether a value is computed in a full vector or in the remainder."""
    z, e = draw(rng, 150, dtype)
    a, d = forward(name, z), backward(name, z, e)
    for start in (1, 5, 16, 63, 64, 86, 149):
        np.testing.assert_array_equal(forward(name, z[start:]), a[start:])
        np.testing.assert_array_equal(backward(name, z[start:], e[start:]), d[start:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_no_write_out_of_bounds(name, dtype, rng):
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
def test_maxout_matches_reference(shape, dtype, rng):
    rows, units, pieces = shape
    z = rng.integers(-2, 3, (rows, pieces * units)).astype(dtype)  # many ties, in which the first piece is the maximum
    e, a = rng.normal(size=(rows, units)).astype(dtype), np.full((rows, units), np.nan, dtype)
    maxout(z.ravel(), a.ravel(), *shape)
    np.testing.assert_array_equal(a, vectorized.activate("maxout", z, pieces))
    expected = vectorized.activate_backward("maxout", z, a, e, pieces)
    maxout_backward(z.ravel(), e.ravel(), *shape)
    np.testing.assert_array_equal(z, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("piece", [0, 1, 2])
def test_maxout_propagates_nan(piece, dtype):
    z = np.ones((2, 3, 4), dtype)
    z[1, piece, 2] = np.nan
    a = np.zeros((2, 4), dtype)
    maxout(z.ravel(), a.ravel(), 2, 4, 3)
    np.testing.assert_array_equal(np.isnan(a), np.isnan(z).any(axis=1))


def test_only_maxout_has_fewer_outputs_than_inputs():
    assert {name for name, row in ACTIVATIONS.items() if row.code == MAXOUT} == NARROWING
