"""The exponent of the calibration is the one that was put in, and no other loss is lower."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastmlp.tabular._calibration import find_exponent, raise_to
from fastmlp.tabular._training import log_loss


def probabilities(rng, rows, classes=3):
    return rng.dirichlet(np.ones(classes), size=rows)


def classes_of(rng, P):
    return (P.cumsum(axis=1) < rng.random((len(P), 1))).sum(axis=1)


def test_exponent_one_changes_nothing(rng):
    P = probabilities(rng, 50)
    assert_allclose(raise_to(P, 1.0), P, rtol=1e-15)


def test_order_of_the_classes_is_kept(rng):
    P = probabilities(rng, 50)
    for exponent in (0.3, 2.0):
        Q = raise_to(P, exponent)
        assert_array_equal(np.argsort(Q, axis=1), np.argsort(P, axis=1))
        assert_allclose(Q.sum(axis=1), 1, rtol=1e-14)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_exponent_is_found(rng, exponent):
    P = probabilities(rng, 20_000)
    y = classes_of(rng, P)
    # The standard error of the estimate from 20,000 rows is below 0.02 of the exponent.
    assert_allclose(find_exponent(raise_to(P, 1 / exponent), y, None), exponent, rtol=0.08)


def test_found_exponent_has_the_lowest_loss(rng):
    P = probabilities(rng, 100)
    y = classes_of(rng, P)
    weight = rng.random(100)
    found = find_exponent(P, y, weight)
    lowest = log_loss(raise_to(P, found), y, weight)
    for exponent in np.exp(np.linspace(-1.5, 1.5, 31)):
        assert lowest <= log_loss(raise_to(P, exponent), y, weight) + 1e-8  # the tolerance of the search is 1e-5


def test_rows_without_prediction_are_not_used(rng):
    P = probabilities(rng, 100)
    y = rng.integers(3, size=100)
    expected = find_exponent(P[:60], y[:60], None)
    P[60:] = np.nan
    assert find_exponent(P, y, None) == expected
    assert find_exponent(np.full((5, 3), np.nan), np.zeros(5, int), None) == 1


def test_certain_and_wrong_stays_finite():
    P = np.array([[1.0, 0.0], [0.0, 1.0]] * 5)
    exponent = find_exponent(P, np.array([1, 0] * 5), None)
    assert np.isfinite(raise_to(P, exponent)).all()
