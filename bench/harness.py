"""Run benchmarks: check the result of each implementation, then time the implementations alternately.

A case is one implementation of one workload. Its trial is checked before it is timed: every configuration runs once,
which also fills caches and compiles code, and its result is checked; a wrong result is an error, never a time. If there
are several configurations, the fastest one is timed. The cases of one workload are timed alternately, so that a change
in the speed of the machine affects all of them.
"""

import gc
import importlib.util
import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import groupby
from typing import Any, NamedTuple

import joblib
from numba.core.event import install_recorder

__all__ = [
    "CORES",
    "DTYPES",
    "OPTIONS",
    "Case",
    "Effort",
    "Key",
    "Ready",
    "Trial",
    "Unavailable",
    "in_turns",
    "prepare",
    "thread_counts",
    "timed",
]

OPTIONS = {"nogil": True, "error_model": "numpy"}  # of compiled loops: with the default error model none is vectorised
CORES = joblib.cpu_count()
DTYPES = ("float32", "float64")
TURN_SECONDS = 0.1  # short runs are repeated, so that one turn takes longer than an interruption
MOST_ROUNDS = 20
SLOW_SECONDS, MUCH_SLOWER = 1.0, 1.5
LONG_SECONDS = 5.0  # a run that takes so long is not repeated and needs no warm-up
PAUSE_SECONDS = 0.02  # between implementations: threads of OpenMP keep spinning for some milliseconds


class Effort(IntEnum):
    """How much a suite measures: check results only, a first look, everything."""

    CHECK = 0
    QUICK = 1
    FULL = 2


class Unavailable(Exception):
    """A case cannot run on this machine; the report states the reason."""


@dataclass
class Trial:
    """What a case times.

    Attributes
    ----------
    runs : dict
        Functions without arguments by configuration. All of them do the same work.
    check : callable
        Takes the result of a run, raises AssertionError if it is wrong, and returns facts about it, such as a score.
    per : float
        Units of work (epochs, calls) in one run: stored times are seconds for one unit.
    facts : dict
        What the report needs to know about one unit of work, such as `flops` and `bytes`.
    during : callable
        Returns the context manager inside which the trial runs.
    """

    runs: dict[str, Callable[[], Any]]
    check: Callable[[Any], dict[str, Any]]
    per: float = 1
    facts: dict[str, Any] = field(default_factory=dict)
    during: Callable[[], AbstractContextManager[Any]] = nullcontext


class Key(NamedTuple):
    """Name of a case: one implementation of one workload of one suite, in one dtype."""

    suite: str
    workload: str
    dtype: str
    implementation: str

    def __str__(self) -> str:
        return "-".join(self).replace(", ", ".").replace(" ", "_")


@dataclass(frozen=True)
class Case:
    """A case and the function that makes its trial; `needs` names a package that may be missing."""

    key: Key
    make: Callable[[], Trial]
    needs: str = ""


@dataclass
class Ready:
    """A checked and warm trial: what to time, how often in one turn, and the results so far."""

    run: Callable[[], Any]
    rounds: int
    per: float
    facts: dict[str, Any]
    during: Callable[[], AbstractContextManager[Any]] = nullcontext
    seconds: list[float] = field(default_factory=list)
    once: bool = False  # a long run, which was timed while it was checked


def thread_counts() -> dict[str, int]:
    """Return the numbers of threads that an implementation may choose from, by name."""
    return {f"{n} thread{'s' * (n > 1)}": n for n in sorted({1, CORES})}


def timed(run: Callable[[], Any]) -> float:
    """Return the seconds of one run."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def prepare(case: Case, effort: Effort = Effort.FULL) -> Ready:
    """Check every configuration of the case and choose the fastest one; `Effort.CHECK` runs the first one only."""
    if case.needs and importlib.util.find_spec(case.needs) is None:
        raise Unavailable(f"{case.needs} is not installed")
    trial = case.make()
    with trial.during():
        return _check_and_choose(trial, effort)


def _check_and_choose(trial: Trial, effort: Effort) -> Ready:
    """Return the fastest configuration, checked."""
    facts, times, compiled = dict(trial.facts), {}, False
    for name, run in list(trial.runs.items())[: 1 if effort == Effort.CHECK else None]:
        with install_recorder("numba:compile") as compilations:
            begin = time.perf_counter()
            result = run()
            times[name] = time.perf_counter() - begin
        compiled |= bool(compilations.buffer)
        facts |= trial.check(result)
    if effort > Effort.CHECK:
        # The first timings may include compilation and cold caches. A slow configuration is not timed again if it is
        # the only one or much slower than the best, unless it came first, and paid for what all of them share, or
        # compiled something.
        best, first = min(times.values()), next(iter(times))
        close = [name for name in times if name == first or times[name] < max(SLOW_SECONDS, MUCH_SLOWER * best)]
        if len(close) > 1 or best < SLOW_SECONDS or compiled:
            times = {name: timed(trial.runs[name]) for name in close}
        gc.collect()
    name = min(times, key=times.__getitem__)
    once = effort > Effort.CHECK and times[name] > LONG_SECONDS
    rounds = math.ceil(TURN_SECONDS / max(times[name], TURN_SECONDS / MOST_ROUNDS))
    seconds = [times[name]] if once else []
    facts |= {"configuration": name}
    return Ready(trial.runs[name], rounds, trial.per, facts, trial.during, seconds, once)


def in_turns(cases: Iterable[Case], turns: int) -> list[tuple[Case, int]]:
    """Return (case, turn) in the order of timing: all implementations of a workload, then all of them again."""
    order = []
    for _, group in groupby(cases, key=lambda case: case.key[:3]):
        alternatives = list(group)
        order += [(case, turn) for turn in range(turns) for case in alternatives]
    return order
