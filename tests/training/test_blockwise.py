"""Reductions in parts include every number."""

import numpy as np
import pytest

from fastmlp.training._blockwise import PART, is_finite, sum_of_squares

COLUMNS = [1, 3, PART + 1]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("columns", COLUMNS)
def test_single_non_finite_number_is_found(bad, columns):
    X = np.zeros((max(3, 2 * PART // columns + 2), columns), dtype=np.float32)
    assert is_finite(X)
    for place in (0, PART - 1, PART, PART + 1, X.size - 1):
        X.flat[place] = bad
        assert not is_finite(X)
        X.flat[place] = 0


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_square_is_summed(dtype, columns, rng):
    X = rng.normal(size=(2 * PART // columns + 3, columns)).astype(dtype)
    np.testing.assert_allclose(sum_of_squares(X), (X.astype(float) ** 2).sum(), rtol=1e-5)
    np.testing.assert_allclose(sum_of_squares(X[::2]), (X[::2].astype(float) ** 2).sum(), rtol=1e-5)


def test_empty_array():
    for shape in (0, (0, 3), (3, 0)):
        assert sum_of_squares(np.empty(shape)) == 0
        assert is_finite(np.empty(shape))
