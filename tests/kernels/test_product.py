"""The matrix product for Python: it computes what `gemm` computes, and refuses invalid arguments."""

import numpy as np
import pytest
from fastmlp.kernels._memory import at
from fastmlp.kernels.matmul import gemm
from fastmlp.kernels.product import matmul
from numba import njit

DTYPES = [np.float32, np.float64]


@njit(nogil=True)
def _gemm(a, b, c, m, k, n, start):
    gemm(at(a, 0), k, 1, at(b, 0), n, at(c, 0), n, m, k, n, at(start, 0), 0)


def draw(rng, m, k, n, dtype):
    """Return A and B with numbers of different magnitudes, so that the order of a sum affects its bits."""
    return ((rng.normal(size=s) * 10.0 ** rng.integers(-2, 3, s)).astype(dtype) for s in ((m, k), (k, n)))


def assert_same_bits(x, y):
    assert x.dtype == y.dtype
    assert x.shape == y.shape
    assert x.tobytes() == y.tobytes()


def by_gemm(a, b):
    """Return A B, computed by the kernel."""
    (m, k), n = a.shape, b.shape[1]
    c = np.full(m * n, np.nan, a.dtype)
    _gemm(a.reshape(-1), b.reshape(-1), c, m, k, n, np.zeros(n, a.dtype))
    return c.reshape(m, n)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (1, 1, 1), (20, 30, 17), (90, 500, 60)])
def test_matmul(shape, dtype, rng):
    m, k, n = shape
    a, b = draw(rng, m, k, n, dtype)
    c = np.full((m, n), np.nan, dtype)
    assert matmul(a, b, c) is c
    assert_same_bits(c, by_gemm(a, b))
    assert_same_bits(matmul(a.T.copy(), b, np.empty_like(c), transpose_a=True), c)


def test_matmul_accepts_read_only_factors(rng):
    for dtype in DTYPES:
        a, b = draw(rng, 4, 3, 2, dtype)
        c = np.empty((2, 4, 2), dtype)
        for out, writeable in zip(c, (True, False), strict=True):
            a.flags.writeable = b.flags.writeable = writeable
            matmul(a, b, out)
        assert_same_bits(c[0], c[1])


GOOD = np.ones((2, 3))


@pytest.mark.parametrize(
    ("a", "b", "c", "error", "message"),
    [
        ([[1.0]], GOOD, GOOD, TypeError, "A must be a NumPy array, got list"),
        (GOOD.astype(int), GOOD, GOOD, TypeError, "A must be float32 or float64, got int64"),
        (GOOD[0], GOOD, GOOD, ValueError, "A must have 2 dimensions, got 1"),
        (GOOD, GOOD.T, GOOD, ValueError, "B must be C-contiguous"),
        (
            GOOD,
            np.ones((3, 2), np.float32),
            GOOD,
            TypeError,
            "must have the same dtype, got float64, float32",
        ),
        (
            GOOD,
            GOOD,
            np.ones((2, 3)),
            ValueError,
            r"B must have 3 rows to be multiplied by A, got shape \(2, 3\)",
        ),
        (GOOD, np.ones((3, 5)), np.ones((2, 4)), ValueError, r"C must have shape \(2, 5\), got \(2, 4\)"),
        (GOOD, np.ones((3, 3)), GOOD, ValueError, "C must not overlap A or B"),
    ],
)
def test_matmul_validates_arguments(a, b, c, error, message):
    with pytest.raises(error, match=message):
        matmul(a, b, c)


def test_matmul_raises_for_read_only_result():
    c = np.ones((2, 2))
    c.flags.writeable = False
    with pytest.raises(ValueError, match="C must be writeable"):
        matmul(GOOD, np.ones((3, 2)), c)


@pytest.mark.parametrize("first", [0, 1, 3, 4, 5, 7, 8])
@pytest.mark.parametrize("factor", [0, 1])
def test_matmul_raises_for_overlapping_result(factor, first):
    memory = np.ones(12)
    factors = [np.ones((2, 2)), np.ones((2, 2))]
    factors[factor] = memory[first : first + 4].reshape(2, 2)
    c = memory[4:8].reshape(2, 2)
    if first in (0, 8):
        assert_same_bits(matmul(*factors, c), np.full((2, 2), 2.0))
        return
    with pytest.raises(ValueError, match="C must not overlap A or B"):
        matmul(*factors, c)


def test_empty_factors_overlap_nothing():
    memory = np.ones(8)
    assert not matmul(memory[2:2].reshape(2, 0), np.ones((0, 4)), memory.reshape(2, 4)).any()
