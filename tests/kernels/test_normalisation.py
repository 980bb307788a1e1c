"""Batch normalisation matches the reference, for any division of the columns among threads."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastmlp.kernels._link import entry
from fastmlp.kernels.layout import ABORT, MOMENTUM, SIGNALS
from fastmlp.kernels.normalisation import EPSILON

from fastmlp.reference import vectorized
from fastmlp.reference._layers_vectorized import BATCH_NORM_EPSILON

DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (2, 3), (13, 16), (17, 15), (33, 1), (5, 40)]


def run(name, *args):
    """Call a kernel with the addresses of arrays."""
    values = [a.ctypes.data if isinstance(a, np.ndarray) else a for a in args]
    entry(name, args[0].dtype.name)(*values)


def run_team(name, rows, team, arguments):
    """Call a linked kernel in every thread of a team with `arguments(lo, hi)`, its share of the rows."""
    signals = np.zeros(SIGNALS, np.int64)
    with ThreadPoolExecutor(team) as pool:
        calls = []
        for rank in range(team):
            lo, hi = rows * rank // team, rows * (rank + 1) // team
            calls.append(pool.submit(run, name, *arguments(lo, hi), rank, team, signals))
        for call in calls:
            call.result(timeout=1200)


def draw(rng, shape, dtype):
    """Pre-activations far from 0, scale and shift; all rounded to the dtype."""
    z = rng.normal(3, 2, shape).astype(dtype)
    return z, rng.uniform(0.5, 2, shape[1]).astype(dtype), rng.normal(size=shape[1]).astype(dtype)


def forward(z, gamma, beta, team=1, running=None):
    """U, N and s as `reference.vectorized.batch_normalize` returns them; `running` is (mean, variance)."""
    rows, q = z.shape
    u, h = z.copy(), np.full((rows + 4, q), np.nan, z.dtype)
    scales = np.stack([gamma, beta])
    running = np.stack([np.zeros(q, z.dtype), np.ones(q, z.dtype)]) if running is None else running
    run_team("normalise_rows", rows, team, lambda lo, hi: (u[lo:hi], h, lo, hi - lo, rows, q, scales, running))
    return u, h[:rows], h[rows + 1]


def backward(e, normalised, scale, gamma, team=1):
    rows, q = e.shape
    d, h = e.copy(), np.full((rows + 4, q), np.nan, e.dtype)
    h[:rows], h[rows + 1] = normalised, scale
    run_team("normalise_backward_rows", rows, team, lambda lo, hi: (d, h, lo, hi - lo, rows, q, gamma))
    return d, h[rows + 2], h[rows + 3]


def test_epsilon_matches_reference():
    assert EPSILON == BATCH_NORM_EPSILON


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_match_reference(shape, dtype, rng):
    # The error of a mean of up to 33 numbers below 10, and of each difference from it, is at most 33 * 10 / 2 units in
    # the last place of 1. The scale gamma / deviation, about 1, passes it on and adds some units.
    tolerance = 500 * np.finfo(dtype).eps
    z, gamma, beta = draw(rng, shape, dtype)
    e = rng.normal(size=shape).astype(dtype)
    wide = [a.astype(np.float64) for a in (z, gamma, beta)]
    expected = vectorized.batch_normalize(*wide)
    got = forward(z, gamma, beta)
    for ours, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=tolerance, atol=tolerance)
    expected = vectorized.batch_normalize_backward(e.astype(np.float64), *expected[1:], wide[1])
    # Errors are proportional to s, which is 1 / sqrt(epsilon) for a single row.
    atol = tolerance * (300 if shape[0] == 1 else 10)
    for ours, reference in zip(backward(e, *got[1:], gamma), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=tolerance, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("team", [2, 3])
def test_bits_do_not_depend_on_team_size(team, dtype, rng):
    for shape in SHAPES:
        z, gamma, beta = draw(rng, shape, dtype)
        e = rng.normal(size=shape).astype(dtype)
        running = np.ones((2, 2, shape[1]), dtype)
        whole = forward(z, gamma, beta, running=running[0])
        shared = forward(z, gamma, beta, team, running=running[1])
        for a, b in zip((*whole, *running[0]), (*shared, *running[1]), strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(backward(e, *whole[1:], gamma), backward(e, *shared[1:], gamma, team), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_running_statistics_are_updated(dtype, rng):
    running = np.stack([np.zeros(5, dtype), np.ones(5, dtype)])
    expected_mean, expected_variance = np.zeros(5), np.ones(5)
    for _ in range(4):
        z, gamma, beta = draw(rng, (20, 5), dtype)
        forward(z, gamma, beta, running=running)
        wide = z.astype(np.float64)
        expected_mean = MOMENTUM * expected_mean + (1 - MOMENTUM) * wide.mean(axis=0)
        expected_variance = MOMENTUM * expected_variance + (1 - MOMENTUM) * wide.var(axis=0)
    tolerance = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(running, [expected_mean, expected_variance], rtol=tolerance)
    u = z.copy()
    run("normalise_running", u, np.stack([gamma, beta]), running, 20, 5)
    expected = gamma * (wide - expected_mean) / np.sqrt(expected_variance + EPSILON) + beta
    np.testing.assert_allclose(u, expected, rtol=tolerance, atol=20 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_column_is_finite(dtype):
    z = np.full((9, 2), 7, dtype)
    u, normalised, scale = forward(z, np.ones(2, dtype), np.zeros(2, dtype))
    np.testing.assert_array_equal(u, 0)
    assert np.isfinite(backward(np.ones_like(z), normalised, scale, np.ones(2, dtype))[0]).all()


@pytest.mark.parametrize("name", ["normalise_rows", "normalise_backward_rows"])
def test_waiting_thread_returns_on_abort(name):
    """The other thread never arrives, and the team aborts: the kernel returns without computing the statistics."""
    z, scales, signals = np.ones((4, 3)), np.ones((2, 3)), np.zeros(SIGNALS, np.int64)
    h = np.full((8, 3), np.nan)
    signals[ABORT] = 1
    running = (scales,) if name == "normalise_rows" else ()
    run(name, z, h, 0, 2, 4, 3, scales, *running, 0, 2, signals)
    assert np.isnan(h[4:]).all()
