"""Schedules match their formulas, and invalid values of user-defined functions raise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp.training._schedules import SCHEDULES, Schedule, cosine

EPS = np.finfo(float).eps
FORMULAS = {
    "constant": lambda u: 1.0,
    "cosine": lambda u: (1 + math.cos(math.pi * u)) / 2,
    "linear": lambda u: 1 - u,
    "exponential": lambda u: 0.01**u,
    "step": lambda u: 1.0 if u < 0.5 else 0.1 if u < 0.75 else 0.01,
    "one_cycle": lambda u: (
        1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * u / 0.3)) / 2
        if u < 0.3
        else 4e-6 + (1 - 4e-6) * (1 + math.cos(math.pi * (u - 0.3) / 0.7)) / 2
    ),
}


def schedule(rate="constant", *, warmup=0.0, decay="constant", dropout="constant", steps=1000):
    return Schedule(0.5, rate, warmup, decay, dropout, steps)


@given(st.floats(0, 1))
def test_cosine(u):
    # The rounding of pi u, times a slope of at most pi, and the rounding of a sum of terms below 1.3.
    assert abs(cosine(np.array([u]))[0] - math.cos(math.pi * u)) <= 16 * EPS


def test_every_schedule_has_a_formula():
    assert set(FORMULAS) == set(SCHEDULES)


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_match_the_formula(name):
    table = schedule(name).table(0, 1000)
    expected = [0.5 * FORMULAS[name](step / 1000) for step in range(1000)]
    # "exponential" has the rounding of a product of up to 30 factors, and ignores u below 2^-30, where 0.01^u is
    # 1 - 4.3e-9.
    tolerance = 5e-9 if name == "exponential" else 32 * EPS
    np.testing.assert_allclose(table[:, 0], expected, rtol=tolerance, atol=32 * EPS)
    np.testing.assert_array_equal(table[:, 1:], 1.0)


@pytest.mark.parametrize("name", [*SCHEDULES, "callable"])
def test_parts_match_whole_schedule(name):
    """A fit requests several epochs at a time, and partial_fit one mini-batch."""
    whole = schedule((lambda u: 1 + u) if name == "callable" else name, warmup=0.1)
    parts = [whole.table(first, 7) for first in range(0, 105, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole.table(0, 105))


def test_warmup_precedes_schedule():
    table = schedule("linear", warmup=0.2, steps=100).table(0, 100)[:, 0]
    np.testing.assert_allclose(table[:20], 0.5 * np.arange(1, 21) / 20, rtol=2 * EPS)
    np.testing.assert_allclose(table[20:], 0.5 * (1 - np.arange(80) / 80), rtol=4 * EPS, atol=EPS)


def test_decay_and_dropout_have_separate_schedules():
    table = schedule(decay="linear", dropout=lambda u: 2 * u, steps=10).table(0, 10)
    np.testing.assert_array_equal(table[:, 0], 0.5)
    np.testing.assert_allclose(table[:, 1], 1 - np.arange(10) / 10, rtol=2 * EPS)
    np.testing.assert_allclose(table[:, 2], np.minimum(2 * np.arange(10) / 10, 1), rtol=2 * EPS)


def test_training_beyond_the_end_keeps_the_last_factor():
    np.testing.assert_array_equal(schedule("linear", steps=10).table(10, 5)[:, 0], 0.0)


@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, "1", None])
def test_a_function_must_return_a_factor(value):
    with pytest.raises(
        ValueError, match=r"dropout_schedule must return a finite number >= 0, got .* for the fraction 0"
    ):
        schedule(dropout=lambda u: value).table(0, 1)
