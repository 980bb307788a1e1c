"""Options of the benchmarks, the order of timing, and the stored run."""

import importlib
import time
from pathlib import Path

import pytest

from .harness import Case, Effort, Key, Ready, Unavailable, in_turns, prepare
from .store import Run

SUITES = ("training", "gradient", "kernels", "grid_search", "predict", "start_up", "scaling")
TURNS = {Effort.CHECK: 1, Effort.QUICK: 1, Effort.FULL: 3}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the options; `python -m bench --help` explains them."""
    group = parser.getgroup("fastmlp benchmarks")
    group.addoption("--suites", default=",".join(SUITES), help="comma-separated suites")
    group.addoption("--only", default="", help="comma-separated workloads")
    group.addoption("--quick", action="store_true", help="fewer workloads and turns, no slow contestants")
    group.addoption("--store", type=Path, help="write the run to this file")
    group.addoption("--command", default="python -m pytest bench", help="command to be stated in the run")


def pytest_xdist_auto_num_workers() -> int:
    """No worker processes: cases are timed one after the other."""
    return 0


def _effort(config: pytest.Config) -> Effort:
    """What the options ask for; pytest-benchmark lets --benchmark-enable override --benchmark-disable."""
    if config.option.benchmark_disable and not config.option.benchmark_enable:
        return Effort.CHECK
    return Effort.QUICK if config.option.quick else Effort.FULL


def _cases(config: pytest.Config) -> list[Case]:
    """The cases that the options ask for."""
    cases: list[Case] = []
    for suite in config.option.suites.split(","):
        if suite not in SUITES:
            raise pytest.UsageError(f"--suites: there is no suite {suite!r}; there are {', '.join(SUITES)}")
        cases += importlib.import_module(f"bench.{suite}").cases(_effort(config))
    wanted = set(filter(None, config.option.only.split(",")))
    unknown = wanted - {case.key.workload for case in cases}
    if unknown:
        raise pytest.UsageError(f"--only: no such workload in these suites: {', '.join(sorted(unknown))}")
    return [case for case in cases if not wanted or case.key.workload in wanted]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise over cases, in the order of timing."""
    if "case" not in metafunc.fixturenames:
        return
    config = metafunc.config
    order = in_turns(_cases(config), TURNS[_effort(config)])
    metafunc.parametrize(("case", "turn"), order, ids=[f"{case.key}-{turn}" for case, turn in order])


class Workshop:
    """Keeps the checked trials of one workload, all that is needed while its contestants take turns."""

    def __init__(self, run: Run, effort: Effort) -> None:
        self.run, self.effort = run, effort
        self._group: tuple[str, ...] = ()
        self._ready: dict[Key, Ready | Exception] = {}

    def ready(self, case: Case) -> Ready:
        """Return the case checked and warm; skip it where it cannot run; fail in every turn if it failed once."""
        if self._group != case.key[:2]:
            self._group = case.key[:2]
            self._ready.clear()
        if case.key not in self._ready:
            try:
                self._ready[case.key] = prepare(case, self.effort)
            except Exception as error:
                self._ready[case.key] = error
        ready = self._ready[case.key]
        if isinstance(ready, Unavailable):
            self.run.skipped[case.key] = str(ready)
            pytest.skip(str(ready))
        if isinstance(ready, Exception):
            raise ready
        return ready


@pytest.fixture(scope="session")
def workshop(request: pytest.FixtureRequest):
    """The session's trials; at its end the run is stored."""
    option = request.config.option
    run = Run(command=option.command)
    begin = time.perf_counter()
    yield Workshop(run, _effort(request.config))
    run.minutes = round((time.perf_counter() - begin) / 60, 1)
    if option.store:
        run.save(option.store)
