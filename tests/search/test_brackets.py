"""Brackets have the sizes of the paper, and share out a small grid without repeating a candidate."""

import math

import pytest

from fastmlp.search._brackets import Bracket, brackets, deal


def test_table_1_of_the_paper():
    """Li et al. (2018), table 1: R = 81, eta = 3."""
    plan = brackets(81, 1, 3)
    table = [
        [(b.survivors(i, 3), epochs) for i, epochs in enumerate(b.resources)]  # (n_i, r_i)
        for b in plan
    ]
    assert table == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("R", [1, 2, 7, 27, 200, 243, 1000])
@pytest.mark.parametrize("least", [1, 5])
def test_rungs_are_within_their_limits(R, least, factor):
    if least > R:
        pytest.skip("no bracket")
    plan = brackets(R, least, factor)
    assert plan[-1] == Bracket(0, len(plan), (R,))
    for bracket in plan:
        assert bracket.resources[0] >= least
        assert bracket.resources[-1] == R
        assert len(bracket.resources) == bracket.eliminations + 1
        exact = len(plan) / (bracket.eliminations + 1) * factor**bracket.eliminations
        assert bracket.candidates == math.ceil(round(exact, 9))
        assert bracket.survivors(bracket.eliminations, factor) >= 1
    assert R // factor ** len(plan) < least


def test_few_candidates_are_shared_out_in_proportion():
    plan = brackets(81, 1, 3)
    assert deal(plan, 143) == plan
    assert deal(plan, 1000) == plan
    for available in (1, 2, 12, 50, 142):
        shrunk = deal(plan, available)
        assert sum(b.candidates for b in shrunk) == available
        for b in shrunk:
            whole = next(w for w in plan if w.eliminations == b.eliminations)
            assert abs(b.candidates - whole.candidates * available / 143) < 1
            assert b.survivors(b.eliminations, 3) >= 1
