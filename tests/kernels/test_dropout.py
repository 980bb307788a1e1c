"""Dropout masks match those of the references, and are uniform and independent."""

import numpy as np
import pytest
from fastmlp.kernels._link import entry

from fastmlp.reference import loops, vectorized
from fastmlp.reference._dropout import key_of

DTYPES = [np.float32, np.float64]
SHAPES = [(1, 1), (3, 5), (7, 16), (5, 67), (2, 200)]


def drop(a, first, key, rate):
    a = a.copy()
    entry("drop", a.dtype.name)(a.ctypes.data, *a.shape, first, key, rate)
    return a


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_masks_match_reference(rate, shape, dtype, rng):
    a = rng.normal(size=shape).astype(dtype)
    for seed, step, layer in ((1, 0, 0), (2**31 - 1, 7, 1), (12345, 10**6, 3)):
        mask = vectorized.dropout_mask(seed, step, layer, *shape, rate)
        np.testing.assert_array_equal(loops.dropout_mask(seed, step, layer, *shape, rate), mask)
        np.testing.assert_array_equal(drop(a, 0, key_of(seed, step, layer), rate), a * mask.astype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_depend_on_share(dtype, rng):
    a = rng.normal(size=(20, 33)).astype(dtype)
    whole = drop(a, 0, 99, 0.4)
    for cut in (1, 7, 19):
        np.testing.assert_array_equal(drop(a[:cut], 0, 99, 0.4), whole[:cut])
        np.testing.assert_array_equal(drop(a[cut:], cut, 99, 0.4), whole[cut:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_write_out_of_bounds(dtype):
    block = np.full(300, 7, dtype)
    inside = block[100:167].reshape(1, 67)
    entry("drop", np.dtype(dtype).name)(inside.ctypes.data, 1, 67, 0, 5, 0.5)
    assert (block[:100] == 7).all()
    assert (block[167:] == 7).all()
    assert set(inside.ravel().tolist()) == {0.0, 14.0}


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.8])
def test_dropped_fraction_matches_rate(rate):
    """All elements, each row and each column: within five standard deviations of the binomial distribution."""
    n = 1000
    dropped = vectorized.dropout_mask(3, 4, 1, n, n, rate) == 0
    deviation = np.sqrt(rate * (1 - rate))
    assert abs(dropped.mean() - rate) < 5 * deviation / n
    for axis in (0, 1):
        assert np.abs(dropped.mean(axis=axis) - rate).max() < 5 * deviation / np.sqrt(n)


def test_adjacent_masks_are_uncorrelated():
    """Correlations between adjacent rows, columns, steps, layers and seeds: within five standard deviations."""
    n, rate = 1000, 0.5
    base = vectorized.dropout_mask(3, 4, 1, n, n, rate) - 1
    pairs = {
        "rows": (base[1:], base[:-1]),
        "columns": (base[:, 1:], base[:, :-1]),
        "steps": (base, vectorized.dropout_mask(3, 5, 1, n, n, rate) - 1),
        "layers": (base, vectorized.dropout_mask(3, 4, 2, n, n, rate) - 1),
        "seeds": (base, vectorized.dropout_mask(4, 4, 1, n, n, rate) - 1),
    }
    for name, (a, b) in pairs.items():
        assert abs(np.mean(a * b)) < 5 / np.sqrt(a.size), name
