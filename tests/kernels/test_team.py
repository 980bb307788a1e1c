"""Synchronisation of a team: no rank passes a barrier early, and a long wait sleeps, wakes and notices an abort.

tests/training/test_threads.py checks the barrier within the team of threads that runs a fit.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastmlp.kernels import team
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._memory import at
from fastmlp.kernels.layout import ABORT, ARRIVED, CLAIMS, SIGNALS, SLEEPING
from numba import njit

WAIT_SECONDS = 1200  # a test fails if a thread needs longer, whatever the load of the machine

# How a thread waits: as on this system, without the system call as on other systems, and asleep from the beginning. A
# nap of an hour shows that a thread does not rely on the end of its nap.
WAITS = {
    "default": {},
    "without futex": {"FUTEX": None, "CAN_SLEEP": False},
    "asleep": {"SPINS": 0, "YIELDS": 0, "NAP_NANOSECONDS": 3600 * 10**9},
}


@pytest.fixture(params=WAITS)
def waiting(request, monkeypatch):
    """The barrier, compiled for a way of waiting, and the name of the way."""
    if request.param == "asleep" and not team.CAN_SLEEP:
        pytest.skip("threads do not sleep on this system")
    for name, value in WAITS[request.param].items():
        monkeypatch.setattr(team, name, value)
    barrier = njit(**OPTIONS)(team.barrier.py_func)
    # Compile now, because the compiled code keeps the values of the constants.
    assert barrier(np.zeros(SIGNALS, np.int64), 1)
    return barrier, request.param


def meeting(barrier):
    """Return a kernel that counts rounds. Between two barriers, each rank must observe all others in the same round."""

    @njit(**OPTIONS)
    def meet(rank, size, signals, rounds, seen, wrong):
        for i in range(rounds):
            seen[rank] = i
            if not barrier(signals, size):
                return False
            for other in range(size):
                wrong[rank] += seen[other] != i
            if not barrier(signals, size):
                return False
        return True

    return meet


def run(kernel, size, *args):
    """Run `kernel(rank, size, *args)` in `size` daemonic threads and return the results."""
    results = [None] * size

    def call(rank):
        results[rank] = kernel(rank, size, *args)

    threads = [threading.Thread(target=call, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    return results


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_no_rank_passes_early(size, waiting):
    """This also shows that no wake-up is lost: a thread that sleeps for an hour would not finish."""
    barrier, _ = waiting
    rounds = 300
    signals, seen, wrong = np.zeros(SIGNALS, np.int64), np.full(size, -1), np.zeros(size, np.int64)
    assert run(meeting(barrier), size, signals, rounds, seen, wrong) == [True] * size
    assert wrong.tolist() == [0] * size
    assert seen.tolist() == [rounds - 1] * size
    assert signals[SLEEPING] == signals[ABORT] == 0
    assert signals[ARRIVED] == (0 if size == 1 else 2 * rounds * size)


def test_waiting_rank_does_not_occupy_its_core(waiting):
    """A rank that waits for half a second sleeps most of this time; rank 1 arrives late."""
    barrier, way = waiting
    if not team.CAN_SLEEP:
        pytest.skip("threads only yield their cores")
    signals, used = np.zeros(SIGNALS, np.int64), []

    def arrive(rank, size):
        if rank == 1:
            while signals[SLEEPING] == 0:  # not before the other rank sleeps
                time.sleep(0.001)
            time.sleep(0.5)
        begin = time.thread_time()
        passed = barrier(signals, size)
        if rank == 0:
            used.append(time.thread_time() - begin)
        return passed

    assert run(arrive, 2) == [True, True], way
    assert used[0] < 0.25, way


@pytest.mark.parametrize("sleeping", [False, True])
def test_abort_releases_waiting_rank(sleeping, monkeypatch):
    """Nobody wakes a sleeping thread for an abort: it notices the abort at the end of its nap."""
    if sleeping and not team.CAN_SLEEP:
        pytest.skip("threads do not sleep on this system")
    if not sleeping:
        monkeypatch.setattr(team, "CAN_SLEEP", False)
    barrier = njit(**OPTIONS)(team.barrier.py_func)
    assert barrier(np.zeros(SIGNALS, np.int64), 1)
    signals = np.zeros(SIGNALS, np.int64)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(barrier, signals, 2)
        while signals[ARRIVED] == 0 or (sleeping and signals[SLEEPING] == 0):
            time.sleep(0.001)
        signals[ABORT] = 1
        assert waiting.result(WAIT_SECONDS) is False
    assert signals[SLEEPING] == 0


def test_nap_is_short():
    """An abort, such as Ctrl-C, takes effect at once for a person."""
    assert team.NAP_NANOSECONDS <= 10_000_000


@njit(**OPTIONS)
def claim_all(rank, size, signals, pieces, owners):
    """Claim pieces until none is left, by a pointer or by the array."""
    while True:
        if rank % 2:
            piece = team.atomic_add(at(signals, SIGNALS), CLAIMS, 1)
        else:
            piece = team.atomic_add(signals, SIGNALS + CLAIMS, 1)
        if piece >= pieces:
            return True
        owners[piece] += 1


def test_counter_gives_each_piece_to_one_rank():
    pieces = 100_000
    signals, owners = np.zeros(SIGNALS + 2 * CLAIMS, np.int64), np.zeros(pieces, np.int64)
    claim_all(0, 1, np.zeros_like(signals), 0, owners)  # compile
    assert run(claim_all, 4, signals, pieces, owners) == [True] * 4
    assert (owners == 1).all()
    assert signals[SIGNALS + CLAIMS] == pieces + 4
    assert np.count_nonzero(signals) == 1
