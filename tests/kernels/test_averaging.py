"""The kernel of the exponential moving average matches its formula, and rounds once per operation."""

import numpy as np
import pytest
from fastmlp.kernels._link import entry

DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 15, 16, 17, 31, 33, 63, 64, 65, 200]


def average(a, w, gain):
    """Call the kernel of the training loop."""
    entry("average", w.dtype.name)(a.ctypes.data, w.ctypes.data, w.size, gain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_every_operation_rounds_once(n, dtype, rng):
    """At any position, the compiler fuses no multiply-add, and no operation has another dtype."""
    a, w = (rng.normal(size=n).astype(dtype) for _ in range(2))
    expected, kept = a + dtype(0.3) * (w - a), w.copy()
    average(a, w, 0.3)
    np.testing.assert_array_equal(a, expected)
    np.testing.assert_array_equal(w, kept)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("decay", [0.01, 0.5, 0.99, 0.99999])
def test_gains_of_the_training_loop_give_the_corrected_average(decay, dtype, rng):
    """(1 - d) / (1 - d^t) sum_s d^(t - s) w_s, whatever the average is before the first step."""
    steps = rng.normal(size=(20, 70)).astype(dtype)
    a, product = np.full(70, 0.25, dtype), 1.0
    for t, w in enumerate(steps, start=1):
        product *= decay
        average(a, w, (1 - decay) / (1 - product))
        powers = decay ** np.arange(t - 1, -1, -1.0)
        expected = powers @ steps[:t].astype(float) / powers.sum()
        # Each of up to 20 steps rounds three times, numbers below 8. 1 - d^t loses digits if d is close to 1.
        cancelled = 32 * np.finfo(float).eps / (1 - decay)
        np.testing.assert_allclose(a, expected, rtol=0, atol=20 * 3 * 8 * np.finfo(dtype).eps + cancelled)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_no_write_out_of_bounds(n, dtype, rng):
    blocks = [np.full(n + 200, np.nan, dtype) for _ in range(2)]
    a, w = (block[100 : 100 + n] for block in blocks)
    a[:], w[:] = rng.normal(size=(2, n))
    average(a, w, 0.5)
    for block in blocks:
        assert np.isfinite(block[100 : 100 + n]).all()
        assert np.isnan(block[:100]).all()
        assert np.isnan(block[100 + n :]).all()
