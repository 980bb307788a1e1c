"""Options of the benchmarks, the order of timing, and the stored run."""

import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import isa
from .harness import Case, Effort, Key, Ready, Unavailable, in_turns, prepare
from .store import Run, statistics

SUITES = ("training", "one_core_busy", "gradient", "kernels", "grid_search", "predict", "start_up", "scaling")
ROOFS = "peak"  # measured in every run, because shares of the peak need the peak of the same process
TURNS = {Effort.CHECK: 1, Effort.QUICK: 1, Effort.FULL: 3}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; `python -m bench --help` explains them."""
    group = parser.getgroup("fastmlp benchmarks")
    group.addoption("--suites", default=",".join(SUITES), help="comma-separated suites")
    group.addoption("--only", default="", help="comma-separated workloads")
    group.addoption("--quick", action="store_true", help="fewer workloads and turns, no slow implementations")
    group.addoption("--store", type=Path, help="write the run to this file")
    group.addoption("--command", default="python -m pytest bench", help="command to be stated in the run")
    group.addoption("--isa", default="native", help="refuse to run if the kernels use another instruction set")


def pytest_configure(config: pytest.Config) -> None:
    """Raise an error if the process uses another instruction set than the requested one."""
    wanted, found = config.option.isa, isa.current()
    if wanted not in ("native", found):
        raise pytest.UsageError(f"--isa: this process compiles for {found}, not {wanted}: use python -m bench --isa")


def pytest_xdist_auto_num_workers() -> int:
    """Use no worker processes, because the cases must be timed one after the other."""
    return 0


def _effort(config: pytest.Config) -> Effort:
    """Return the effort that the options select. As in pytest-benchmark, --benchmark-enable takes precedence."""
    if config.option.benchmark_disable and not config.option.benchmark_enable:
        return Effort.CHECK
    return Effort.QUICK if config.option.quick else Effort.FULL


def _cases_of(suite: str, effort: Effort) -> list[Case]:
    return importlib.import_module(f"bench.{suite}").cases(effort)


def _cases(config: pytest.Config) -> list[Case]:
    """Return the cases that the options select, beginning with the measurements of the peak."""
    effort = _effort(config)
    cases: list[Case] = []
    for suite in config.option.suites.split(","):
        if suite not in SUITES:
            raise pytest.UsageError(f"--suites: there is no suite {suite!r}; there are {', '.join(SUITES)}")
        cases += _cases_of(suite, effort)
    wanted = set(filter(None, config.option.only.split(",")))
    unknown = wanted - {case.key.workload for case in cases}
    if unknown:
        raise pytest.UsageError(f"--only: no such workload in these suites: {', '.join(sorted(unknown))}")
    return _cases_of(ROOFS, effort) + [case for case in cases if not wanted or case.key.workload in wanted]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise over cases, in the order of timing."""
    if "case" not in metafunc.fixturenames:
        return
    config = metafunc.config
    order = in_turns(_cases(config), TURNS[_effort(config)])
    metafunc.parametrize(("case", "turn"), order, ids=[f"{case.key}-{turn}" for case, turn in order])


class Session:
    """The checked trials of a workload while they are timed alternately, and the records of all cases."""

    def __init__(self, effort: Effort) -> None:
        self.effort = effort
        self.records: dict[Key, dict[str, Any]] = {}
        self.skipped: dict[Key, str] = {}
        self._group: tuple[str, ...] = ()
        self._ready: dict[Key, Ready | Exception] = {}

    def ready(self, case: Case) -> Ready:
        """Return the case, checked and warm; skip it if it cannot run; fail in every turn if it failed once."""
        if self._group != case.key[:3]:
            self._group = case.key[:3]
            self._ready.clear()
        if case.key not in self._ready:
            try:
                self._ready[case.key] = prepare(case, self.effort)
            except Exception as error:
                self._ready[case.key] = error
        ready = self._ready[case.key]
        if isinstance(ready, Unavailable):
            self.skipped[case.key] = str(ready)
            pytest.skip(str(ready))
        if isinstance(ready, Exception):
            raise ready
        return ready

    def record(self, key: Key, ready: Ready) -> None:
        """Keep the statistics of all turns so far."""
        self.records[key] = key._asdict() | statistics([s / ready.per for s in ready.seconds]) | ready.facts


@pytest.fixture(scope="session")
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return the session's trials; store the run at the end."""
    option = request.config.option
    session = Session(_effort(request.config))
    begin = time.perf_counter()
    yield session
    if option.store:
        minutes = round((time.perf_counter() - begin) / 60, 1)
        skipped = [[*key, reason] for key, reason in session.skipped.items()]
        records = session.records.values()
        Run.here(option.command, isa.current(), records, minutes=minutes, skipped=skipped).save(option.store)
