"""Lost cases are named, shares refer to the peak of the same run, and exponents are fitted to large values."""

import pytest

from bench import analysis
from bench.harness import Key

KEY = Key("training", "tiny", "float32", "fastmlp")


def test_lost_cases_are_named(make_run):
    digits = KEY._replace(workload="digits")
    run = make_run(
        [
            (KEY, [2e-3], {}),
            (KEY._replace(implementation="JAX"), [1e-3], {}),
            (digits, [1e-3], {}),
            (digits._replace(implementation="JAX"), [2e-3], {}),
        ]
    )
    assert analysis.losses(run) == ["training, tiny, float32: JAX 1 ms, fastmlp 2 ms (2.00 times)"]


@pytest.mark.parametrize(("seconds", "lost"), [(1.04, []), (1.2, [1.2])])
def test_a_busy_core_must_not_make_all_threads_slower_than_one(make_run, seconds, lost):
    key = KEY._replace(suite="one_core_busy")
    run = make_run([(key, [seconds], {}), (key._replace(implementation="fastmlp, 1 thread"), [1.0], {})])
    found = [
        f"one core busy, tiny, float32: all threads take {ratio:.2f} times as long as one thread" for ratio in lost
    ]
    assert analysis.losses(run) == found


def test_shares_refer_to_the_peak_of_the_dtype(make_run):
    double = KEY._replace(dtype="float64")
    run = make_run(
        [
            (Key("peak", "arithmetic", "float32", "fastmlp"), [1e-3], {"flops": 2e8}),
            (Key("peak", "arithmetic", "float64", "fastmlp"), [1e-3], {"flops": 1e8}),
            (KEY, [1e-3], {"flops": 1e8}),
            (double, [1e-3], {"flops": 1e8}),
        ]
    )
    assert analysis.peak(run, "arithmetic", "float32") == pytest.approx(2e11)
    shares = analysis.peak_share(run, run.of("training"), 2)
    assert shares.loc[KEY[1:]] == pytest.approx(0.25)
    assert shares.loc[double[1:]] == pytest.approx(0.5)


def test_exponent_is_that_of_the_larger_values():
    values = [1, 10, 100, 1000, 10_000]
    assert analysis.exponent(values, [5 + v**2 for v in values]) == pytest.approx(2, abs=0.01)
