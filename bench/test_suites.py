"""Every case of every suite: checked, then timed. `conftest.py` sets the order."""

import time

import pytest

from .conftest import Workshop
from .harness import PAUSE_SECONDS, Case

# A slow case takes fewer turns.
LEAST_TURNS, ENOUGH_SECONDS = 2, 1.5
# Peers warn of many things, and training for a fixed number of epochs warns that it has not converged.
pytestmark = pytest.mark.filterwarnings("ignore")


def test_case(case: Case, turn: int, workshop: Workshop, benchmark) -> None:
    """Time one turn of a case; without timing (`--benchmark-disable`) its check is all."""
    ready = workshop.ready(case)
    if ready.known:
        if turn == 0:
            workshop.run.add(case.key, [s / ready.per for s in ready.known], ready.facts)
        return
    if benchmark.disabled or (turn >= LEAST_TURNS and ready.spent > ENOUGH_SECONDS):
        return
    benchmark.group = f"{case.key.suite} {case.key.workload}"
    time.sleep(PAUSE_SECONDS)
    benchmark.pedantic(ready.run, rounds=ready.rounds)
    seconds = benchmark.stats.stats.data
    ready.spent += sum(seconds)
    workshop.run.add(case.key, [s / ready.per for s in seconds], ready.facts)
