"""Batch normalisation: the twin's values, running statistics, columns shared out in any way."""

import ctypes

import numpy as np
import pytest
from fastmlp.kernels._link import linked_kernels
from fastmlp.kernels.normalisation import EPSILON, MOMENTUM

from fastmlp.reference import vectorized

DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (2, 3), (13, 16), (17, 15), (33, 1), (5, 40)]


def run(name, *args):
    """Call a linked kernel; arrays by their address, numbers as int64."""
    kernels = linked_kernels(args[0].dtype.name, batch_norm=True)
    kinds = [ctypes.c_void_p if isinstance(a, np.ndarray) else ctypes.c_int64 for a in args]
    values = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in args]
    ctypes.CFUNCTYPE(None, *kinds)(getattr(kernels, name))(*values)


def draw(rng, shape, dtype):
    """Pre-activations far from 0, scale and shift; all rounded to the dtype."""
    z = rng.normal(3, 2, shape).astype(dtype)
    return z, rng.uniform(0.5, 2, shape[1]).astype(dtype), rng.normal(size=shape[1]).astype(dtype)


def shares(q, parts):
    return [(q * i // parts, q * (i + 1) // parts) for i in range(parts)]


def forward(z, gamma, beta, parts=1, running=None):
    """U, N and s as `reference.vectorized.batch_normalize` returns them; `running` is (mean, variance)."""
    rows, q = z.shape
    u, normalised = z.copy(), z.copy()
    mean, scale = np.full((2, q), np.nan, z.dtype)
    running = (np.zeros(q, z.dtype), np.ones(q, z.dtype)) if running is None else running
    for lo, hi in shares(q, parts):
        run("column_statistics", z, rows, q, lo, hi, mean, scale, *running)
    run("normalise", u, normalised, gamma, beta, mean, scale, rows, q)
    return u, normalised, scale


def backward(d, normalised, scale, gamma, parts=1):
    rows, q = d.shape
    d, d_gamma, d_beta = d.copy(), *np.full((2, q), np.nan, d.dtype)
    for lo, hi in shares(q, parts):
        run("column_gradients", d, normalised, rows, q, lo, hi, d_gamma, d_beta)
    run("normalise_backward", d, normalised, gamma, scale, d_gamma, d_beta, rows, q, rows)
    return d, d_gamma, d_beta


def test_epsilon_is_the_references():
    assert EPSILON == vectorized.BATCH_NORM_EPSILON


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_the_references(shape, dtype, rng):
    tolerance = 500 * np.finfo(dtype).eps
    z, gamma, beta = draw(rng, shape, dtype)
    e = rng.normal(size=shape).astype(dtype)
    wide = [a.astype(np.float64) for a in (z, gamma, beta)]
    expected = vectorized.batch_normalize(*wide)
    got = forward(z, gamma, beta)
    for ours, twin in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=tolerance)
    expected = vectorized.batch_normalize_backward(e.astype(np.float64), *expected[1:], wide[1])
    # Errors of s are as large as s itself, which one row alone makes 1 / sqrt(epsilon).
    atol = tolerance * (300 if shape[0] == 1 else 10)
    for ours, twin in zip(backward(e, *got[1:], gamma), expected, strict=True):
        np.testing.assert_allclose(ours, twin, rtol=tolerance, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_bits_do_not_depend_on_the_shares(parts, dtype, rng):
    for shape in SHAPES:
        z, gamma, beta = draw(rng, shape, dtype)
        e = rng.normal(size=shape).astype(dtype)
        running = np.ones((2, 2, shape[1]), dtype)
        whole = forward(z, gamma, beta, running=running[0])
        shared = forward(z, gamma, beta, parts, running=running[1])
        for a, b in zip((*whole, *running[0]), (*shared, *running[1]), strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(backward(e, *whole[1:], gamma), backward(e, *shared[1:], gamma, parts), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_statistics_follow_the_batches(dtype, rng):
    mean, variance = np.zeros(5, dtype), np.ones(5, dtype)
    expected_mean, expected_variance = np.zeros(5), np.ones(5)
    for _ in range(4):
        z, gamma, beta = draw(rng, (20, 5), dtype)
        forward(z, gamma, beta, running=(mean, variance))
        wide = z.astype(np.float64)
        expected_mean = MOMENTUM * expected_mean + (1 - MOMENTUM) * wide.mean(axis=0)
        expected_variance = MOMENTUM * expected_variance + (1 - MOMENTUM) * wide.var(axis=0)
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(mean, expected_mean, rtol=tolerance)
    np.testing.assert_allclose(variance, expected_variance, rtol=tolerance)
    u = z.copy()
    run("normalise_running", u, gamma, beta, mean, variance, 20, 5)
    expected = gamma * (wide - expected_mean) / np.sqrt(expected_variance + EPSILON) + beta
    np.testing.assert_allclose(u, expected, rtol=tolerance, atol=20 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_column_stays_finite(dtype):
    z = np.full((9, 2), 7, dtype)
    u, normalised, scale = forward(z, np.ones(2, dtype), np.zeros(2, dtype))
    np.testing.assert_array_equal(u, 0)
    assert np.isfinite(backward(np.ones_like(z), normalised, scale, np.ones(2, dtype))[0]).all()
