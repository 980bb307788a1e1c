"""A wrong result is an error, long runs are timed once, and implementations are timed alternately."""

import contextlib

import numba
import numpy as np
import pytest

from bench.harness import Case, Effort, Key, Trial, Unavailable, in_turns, prepare, timed

KEY = Key("training", "tiny", "float32", "fastmlp")
pytestmark = pytest.mark.usefixtures("clock")


def case(implementation, run=lambda: None, check=lambda result: {}, needs=""):
    return Case(KEY._replace(implementation=implementation), lambda: Trial({"as it is": run}, check), needs)


def test_a_long_run_is_timed_while_it_is_checked(clock):
    """And never again; a short one is timed in its turns."""
    runs = []

    def run(seconds):
        runs.append(seconds)
        clock.busy(seconds)

    ready = prepare(case("slow", run=lambda: run(10.0)))
    assert runs == [10.0]
    assert ready.once
    assert len(ready.seconds) == 1
    assert 10 <= ready.seconds[0] <= 11
    quick = prepare(case("quick", run=lambda: run(0.1)))
    assert quick.seconds == []
    assert not quick.once


def test_compilation_is_not_timed_as_a_long_run(clock):
    """With an empty cache, the first training was once reported as 66.9 ms an epoch instead of 11 us."""
    increment = numba.njit(lambda x: x + 1)

    def run():
        clock.busy(0.1 if increment.signatures else 10.0)
        increment(1)

    ready = prepare(case("fastmlp", run=run))
    assert ready.seconds == []
    assert ready.rounds == 1


def test_a_wrong_result_is_never_timed():
    def check(result):
        raise AssertionError("wrong")

    with pytest.raises(AssertionError, match="wrong"):
        prepare(case("fastmlp", check=check))


def test_the_fastest_configuration_is_chosen(clock):
    runs = {"slow": lambda: clock.busy(0.02), "fast": lambda: clock.busy(0.005)}
    ready = prepare(Case(KEY, lambda: Trial(runs, lambda result: {"accuracy": 1.0}, facts={"flops": 1})))
    assert ready.facts == {"flops": 1, "accuracy": 1.0, "configuration": "fast"}
    assert ready.run is runs["fast"]


def test_only_one_configuration_is_checked_if_nothing_is_timed():
    runs = []
    made = Trial({"a": lambda: runs.append("a"), "b": lambda: runs.append("b")}, lambda result: {})
    prepare(Case(KEY, lambda: made), Effort.CHECK)
    assert runs == ["a"]


def test_runs_are_made_inside_the_context_of_the_trial():
    inside = []

    @contextlib.contextmanager
    def during():
        inside.append(True)
        yield
        inside.clear()

    seen = []
    trial = Trial({"as it is": lambda: seen.append(bool(inside))}, lambda result: {}, during=during)
    ready = prepare(Case(KEY, lambda: trial))
    assert seen
    assert all(seen)
    assert not inside
    assert ready.during is during


def test_a_missing_library_is_unavailable():
    with pytest.raises(Unavailable, match="no_such_package is not installed"):
        prepare(case("PyTorch", needs="no_such_package"))


def test_a_change_of_speed_affects_all_implementations(clock):
    """Each turn is slower than the last, but equal implementations have equal times."""
    drift = iter(np.linspace(1, 2, 200))
    equals = [case(name, lambda: clock.busy(0.1 * next(drift))) for name in ("fastmlp", "NumPy")]
    ready = {c.key: prepare(c) for c in equals}
    seconds = {c.key: [] for c in equals}
    for c, _ in in_turns(equals, 5):
        seconds[c.key] += [timed(ready[c.key].run) for _ in range(ready[c.key].rounds)]
    a, b = (np.median(s) for s in seconds.values())
    assert a == pytest.approx(b, rel=0.05)


def test_implementations_of_a_workload_are_timed_alternately():
    cases = [case("fastmlp"), case("NumPy"), Case(KEY._replace(workload="digits"), lambda: None)]
    order = [(c.key.workload, c.key.implementation, turn) for c, turn in in_turns(cases, 2)]
    assert order == [
        ("tiny", "fastmlp", 0),
        ("tiny", "NumPy", 0),
        ("tiny", "fastmlp", 1),
        ("tiny", "NumPy", 1),
        ("digits", "fastmlp", 0),
        ("digits", "fastmlp", 1),
    ]


def test_dtypes_are_different_workloads():
    cases = [case("fastmlp"), Case(KEY._replace(dtype="float64"), lambda: None)]
    assert [(c.key.dtype, turn) for c, turn in in_turns(cases, 2)] == [
        ("float32", 0),
        ("float32", 1),
        ("float64", 0),
        ("float64", 1),
    ]
