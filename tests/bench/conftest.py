"""Stored runs made in the test, and a clock that only the test moves."""

import time

import numpy as np
import pytest

from bench.store import Run, statistics, table_of_cases

MACHINE = {"cpu": "one", "cores": 2, "system": "Linux", "architecture": "x86_64"}


@pytest.fixture
def make_run():
    """Return a function that makes a run; looking up the real machine takes a second."""

    def make(cases=(), **rest):
        """A run of (key, seconds, facts)."""
        records = [key._asdict() | statistics(seconds) | facts for key, seconds, facts in cases]
        about = {
            "command": "python -m bench",
            "isa": "avx2",
            "machine": MACHINE,
            "versions": {"python": "3.11", "torch": None},
            "commit": "0123456789",
            "date": "2000-01-01 00:00 UTC",
            "minutes": 1.0,
            "skipped": [],
        }
        return Run(**about | rest, cases=table_of_cases(records))

    return make


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock by one that only `busy` moves, with a little noise: the real one depends on the machine."""
    noise = np.random.default_rng(0)

    class Clock:
        now = 0.0

        def busy(self, seconds):
            self.now += seconds * noise.uniform(1, 1.1)

    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock
