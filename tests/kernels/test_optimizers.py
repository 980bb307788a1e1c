"""Optimizer steps match the reference, and round exactly as their formulas."""

import math

import numpy as np
import pytest
from fastmlp.kernels._link import entry
from fastmlp.kernels.layout import Hyper as KernelHyper
from fastmlp.kernels.layout import record_of
from fastmlp.kernels.tables import OPTIMIZERS, STORE

from fastmlp.reference import vectorized
from fastmlp.reference._training import Hyper

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 15, 16, 17, 31, 33, 63, 64, 65, 200]
RATE, MOMENTUM, BETA_1, BETA_2, EPSILON = 0.07, 0.9, 0.8, 0.95, 1e-6
# Names and options in the reference, where Nesterov's momentum is an option of sgd.
REFERENCES = {"sgd": ("sgd", False), "nesterov": ("sgd", True), "adam": ("adam", False)}


def update(code, w, g, m, v, rate):
    """Take one step with the kernel of the training loop."""
    hyper = record_of(KernelHyper(optimizer=code, momentum=MOMENTUM, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON))
    arrays = [a.ctypes.data for a in (w, g, m, v)]
    entry("update", w.dtype.name)(hyper.ctypes.data, *arrays, w.size, rate)


def states(name, n, dtype):
    """Return the first and the second state, which is empty if the optimizer has only one."""
    return np.zeros(n, dtype), np.zeros(n if OPTIMIZERS[name].states > 1 else 0, dtype)


def corrected(name, t):
    """Return the rate of step t that the training loop passes."""
    return RATE * math.sqrt(1 - BETA_2**t) / (1 - BETA_1**t) if name == "adam" else RATE


def test_table_matches_reference():
    assert set(REFERENCES) == set(OPTIMIZERS)
    assert {reference for reference, _ in REFERENCES.values()} == set(vectorized.OPTIMIZERS)
    codes = [STORE, *(row.code for row in OPTIMIZERS.values())]
    assert sorted(codes) == list(range(len(codes)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_match_reference(name, dtype, rng):
    reference, nesterov = REFERENCES[name]
    row = vectorized.OPTIMIZERS[reference]
    assert row.n_states == OPTIMIZERS[name].states
    hyper = Hyper(RATE, MOMENTUM, nesterov, BETA_1, BETA_2, EPSILON)
    for n in SIZES:
        w = rng.normal(size=n).astype(dtype)
        m, v = states(name, n, dtype)
        expected, expected_states = w.astype(np.float64), [np.zeros(n) for _ in range(row.n_states)]
        for t in range(1, 6):
            g = rng.normal(size=n).astype(dtype)
            row.step(expected, g.astype(np.float64), expected_states, t, hyper)
            update(OPTIMIZERS[name].code, w, g, m, v, corrected(name, t))
        # Five steps of ten operations, each with an error of half a unit in the last place of a number below 4.
        tolerance = 100 * np.finfo(dtype).eps
        np.testing.assert_allclose(w, expected, rtol=tolerance, atol=tolerance)
        for state, other in zip((m, v), expected_states, strict=False):
            np.testing.assert_allclose(state, other, rtol=tolerance, atol=tolerance)


def rounded(name, w, g, m, v, rate):
    """Take the same step in NumPy, which rounds after every operation."""
    number = w.dtype.type
    rate, momentum, beta_1, beta_2, epsilon = map(number, (rate, MOMENTUM, BETA_1, BETA_2, EPSILON))
    if name == "adam":
        m[:] = beta_1 * m + number(1 - BETA_1) * g
        v[:] = beta_2 * v + number(1 - BETA_2) * (g * g)
        w[:] = w - rate * m / (np.sqrt(v) + epsilon)
    else:
        m[:] = momentum * m - rate * g
        w[:] = w + (momentum * m - rate * g if name == "nesterov" else m)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_operation_rounds_once(name, dtype, rng):
    """At any position, the compiler fuses no multiply-add, and no operation has another dtype."""
    for n in SIZES:
        w = rng.normal(size=n).astype(dtype)
        m, v = states(name, n, dtype)
        expected, m_expected, v_expected = w.copy(), m.copy(), v.copy()
        for t in range(1, 4):
            g = rng.normal(size=n).astype(dtype)
            update(OPTIMIZERS[name].code, w, g, m, v, corrected(name, t))
            rounded(name, expected, g, m_expected, v_expected, corrected(name, t))
        np.testing.assert_array_equal(w, expected)
        np.testing.assert_array_equal(m, m_expected)
        np.testing.assert_array_equal(v, v_expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_write_out_of_bounds(name, dtype, rng):
    for n in SIZES:
        blocks = [np.full(n + 200, np.nan, dtype) for _ in range(4)]
        w, g, m, v = (block[100 : 100 + n] for block in blocks)
        for array in (w, g, m, v):
            array[:] = rng.uniform(1, 2, n)
        gradient = g.copy()
        update(OPTIMIZERS[name].code, w, g, m, v if OPTIMIZERS[name].states > 1 else v[:0], RATE)
        np.testing.assert_array_equal(g, gradient)
        assert np.isfinite(w).all()
        for block in blocks:
            block[100 : 100 + n] = np.nan
            assert np.isnan(block).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nan_gradient_affects_only_its_weight(name, dtype):
    w, g = np.ones(40, dtype), np.ones(40, dtype)
    g[17] = np.nan
    update(OPTIMIZERS[name].code, w, g, *states(name, 40, dtype), RATE)
    np.testing.assert_array_equal(np.isnan(w), np.isnan(g))
