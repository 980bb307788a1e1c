"""How a benchmark is run: checked first, then timed in turns with its rivals.

A case is one contestant at one workload. Its trial is checked before it is timed: every configuration runs once (so
caches are warm and code is compiled) and its result is judged; a wrong result is an error, never a time. Of several
configurations the fastest is taken. Cases of one workload take turns, so that drift of the machine hits all alike.
"""

import gc
import importlib.util
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import groupby
from typing import Any, NamedTuple

import joblib
from numba.core.event import install_recorder

__all__ = [
    "CORES",
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

CORES = joblib.cpu_count()
TURN_SECONDS = 0.1  # short runs are repeated, so that one turn outlasts an interruption
MOST_ROUNDS = 20
SLOW_SECONDS, FAR_BEHIND = 1.0, 1.5
LONG_SECONDS = 5.0  # a run that takes so long is not repeated, and needs no warm-up
PAUSE_SECONDS = 0.02  # between rivals: OpenMP's threads go on spinning for some milliseconds


class Effort(IntEnum):
    """How much a suite shall do: check only, a first look, everything."""

    CHECK = 0
    QUICK = 1
    FULL = 2


class Unavailable(Exception):
    """A contestant cannot take part on this machine; the reason is named in the report."""


@dataclass
class Trial:
    """What a case times.

    Attributes
    ----------
    runs : dict
        Configuration to function without arguments; all do the same work.
    judge : callable
        Takes what a run returned; raises AssertionError if it is wrong; returns facts about it, such as a score.
    per : float
        Units of work (epochs, calls) in one run: stored times are seconds a unit.
    facts : dict
        What the report needs to know of one unit of work, such as `flops` and `bytes`.
    """

    runs: dict[str, Callable[[], Any]]
    judge: Callable[[Any], dict[str, Any]]
    per: float = 1
    facts: dict[str, Any] = field(default_factory=dict)


class Key(NamedTuple):
    """Names a case: one contestant at one workload of one suite."""

    suite: str
    workload: str
    contestant: str

    def __str__(self) -> str:
        return "-".join(self).replace(", ", ".").replace(" ", "_")


@dataclass(frozen=True)
class Case:
    """A case and how to make its trial; `needs` names a package that may be missing."""

    key: Key
    make: Callable[[], Trial]
    needs: str = ""


@dataclass
class Ready:
    """A checked, warm trial: what to time, how often in a turn, and what is known."""

    run: Callable[[], Any]
    rounds: int
    per: float
    facts: dict[str, Any]
    spent: float = 0.0  # seconds timed so far
    known: list[float] = field(default_factory=list)  # seconds of a long run that was timed while it was checked


def thread_counts() -> dict[str, int]:
    """Return the numbers of threads a contestant may choose from, by name."""
    return {f"{n} thread{'s' * (n > 1)}": n for n in sorted({1, CORES})}


def timed(run: Callable[[], Any]) -> float:
    """Return the seconds of one run."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def prepare(case: Case, effort: Effort = Effort.FULL) -> Ready:
    """Check every configuration of the case and choose the fastest; to check only, the first one is enough."""
    if case.needs and importlib.util.find_spec(case.needs) is None:
        raise Unavailable(f"{case.needs} is not installed")
    trial = case.make()
    facts, times, compiled = dict(trial.facts), {}, False
    for name, run in list(trial.runs.items())[: 1 if effort == Effort.CHECK else None]:
        with install_recorder("numba:compile") as compilations:
            begin = time.perf_counter()
            result = run()
            times[name] = time.perf_counter() - begin
        compiled |= bool(compilations.buffer)
        facts |= trial.judge(result)
    if effort > Effort.CHECK:
        # Compilation and cold caches are over. A slow configuration needs no second look, if it is the only one or far
        # behind, but for the first, which may have paid for what all have in common, and for one that compiled.
        best, first = min(times.values()), next(iter(times))
        rivals = [name for name in times if name == first or times[name] < max(SLOW_SECONDS, FAR_BEHIND * best)]
        if len(rivals) > 1 or best < SLOW_SECONDS or compiled:
            times = {name: timed(trial.runs[name]) for name in rivals}
        gc.collect()
    name = min(times, key=times.__getitem__)
    long = effort > Effort.CHECK and times[name] > LONG_SECONDS
    rounds = math.ceil(TURN_SECONDS / max(times[name], TURN_SECONDS / MOST_ROUNDS))
    known = [times[name]] if long else []
    return Ready(trial.runs[name], rounds, trial.per, facts | {"configuration": name}, known=known)


def in_turns(cases: Iterable[Case], turns: int) -> list[tuple[Case, int]]:
    """Return (case, turn) in the order of timing: all contestants of a workload, then all again."""
    order = []
    for _, group in groupby(cases, key=lambda case: case.key[:2]):
        rivals = list(group)
        order += [(case, turn) for turn in range(turns) for case in rivals]
    return order
