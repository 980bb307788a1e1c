"""Every case of every suite: checked, then timed. `conftest.py` sets the order."""

import time

import pytest

from .conftest import Session
from .harness import PAUSE_SECONDS, Case

# A slow case takes fewer turns.
LEAST_TURNS, ENOUGH_SECONDS = 2, 1.5
# Other libraries emit many warnings, and training for a fixed number of epochs warns that it has not converged.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_case(case: Case, turn: int, session: Session, benchmark) -> None:
    """Time one turn of a case; without timing (`--benchmark-disable`) only check it."""
    ready = session.ready(case)
    if benchmark.disabled:
        return
    if not ready.once:
        if turn >= LEAST_TURNS and sum(ready.seconds) > ENOUGH_SECONDS:
            return
        benchmark.group = f"{case.key.suite} {case.key.workload} {case.key.dtype}"
        with ready.during():
            time.sleep(PAUSE_SECONDS)
            benchmark.pedantic(ready.run, rounds=ready.rounds)
        ready.seconds += benchmark.stats.stats.data
    session.record(case.key, ready)
