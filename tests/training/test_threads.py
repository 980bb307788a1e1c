"""The team of threads: barrier, independence of the team size, errors, refused threads, Ctrl-C."""

import os
import sys
import threading
import time

import joblib
import numpy as np
import pytest
from fastmlp.kernels import team as kernels
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels.layout import ABORT, Plan, record_of
from numba import njit

import fastmlp
from fastmlp.training import _engine, _predict
from fastmlp.training._threads import Team, available_threads


@njit(**OPTIONS)
def meet(rank, size, signals, rounds, seen, wrong):
    """Count rounds. Between two barriers, each rank must observe all others in the same round."""
    for i in range(rounds):
        seen[rank] = i
        if not kernels.barrier(signals, size):
            wrong[rank] = -1
            return
        for other in range(size):
            wrong[rank] += seen[other] != i
        if not kernels.barrier(signals, size):
            wrong[rank] = -1
            return


def ours():
    """Return the running threads of fastmlp."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("fastmlp")]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_barrier_waits_for_all_ranks(size):
    """This must also hold if the team has more threads than the machine has cores."""
    with Team(size) as team:
        assert team.size == size
        for rounds in (1, 200):
            seen, wrong = np.full(size, -1), np.zeros(size, np.int64)
            team.run(meet, team.signals, rounds, seen, wrong)
            assert wrong.tolist() == [0] * size
            assert seen.tolist() == [rounds - 1] * size
    assert ours() == []


def test_every_rank_runs_once():
    calls = []
    with Team(3) as team:
        team.run(lambda rank, size: calls.append((rank, size)))
    assert sorted(calls) == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.parametrize("late", [0, 1, 2])
def test_barrier_waits_for_late_rank(late):
    """A busy machine may start a thread with a delay."""

    def kernel(rank, size, *args):
        if rank == late:
            time.sleep(0.05)
        meet(rank, size, *args)

    wrong = np.zeros(3, np.int64)
    with Team(3) as team:
        team.run(kernel, team.signals, 5, np.full(3, -1), wrong)
    assert wrong.tolist() == [0, 0, 0]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_error_of_one_rank_releases_others(failing):
    def kernel(rank, size, *args):
        if rank == failing:
            raise ArithmeticError(f"rank {rank}")
        meet(rank, size, *args)

    with Team(3) as team, pytest.raises(ArithmeticError, match=f"rank {failing}"):
        team.run(kernel, team.signals, 5, np.full(3, -1), np.zeros(3, np.int64))
    assert ours() == []


class Interrupting:
    """A queue whose first `put` is interrupted by Ctrl-C, before or after the task is in it."""

    def __init__(self, queue, when):
        self.queue, self.when = queue, when

    def put(self, task):
        when, self.when = self.when, None
        if when != "before":
            self.queue.put(task)
        if when:
            raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("i", [0, 1])
def test_ctrl_c_during_task_distribution_releases_team(i, when):
    """Regression test: rank 1 had reached the barrier already, and waited without end."""
    with Team(3) as team:
        team._tasks[i] = Interrupting(team._tasks[i], when)
        with pytest.raises(KeyboardInterrupt):
            team.run(meet, team.signals, 5, np.full(3, -1), np.zeros(3, np.int64))
        assert team.signals[ABORT] == 1
    for thread in threading.enumerate():
        if thread.name.startswith("fastmlp"):
            thread.join(1200)
    assert ours() == []


@pytest.fixture
def problem(problems):
    """Return digits and parameters of a network."""
    _, _, X, y, _ = problems["multiclass"]
    return X, y, {"hidden_layer_sizes": (20, 11), "max_iter": 3, "batch_size": 70, "random_state": 0, "tol": 0}


@pytest.fixture
def _large_teams(monkeypatch):
    """Use the whole team even for small problems."""
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_predict, "FLOPS_PER_THREAD", 1)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.usefixtures("_large_teams")
def test_no_thread_is_left_after_a_fit(problem):
    """If threads are running when the process forks, Python 3.12 issues a warning."""
    X, y, params = problem
    for solver in ("adam", "lbfgs"):
        model = fastmlp.MLPClassifier(**params, solver=solver, n_jobs=3).fit(X, y)
        assert ours() == []
        model.predict(X)
        assert ours() == []


@pytest.mark.usefixtures("_large_teams")
def test_predictions_do_not_need_a_barrier(problem, monkeypatch):
    """Regression test: rank 0 finished before rank 1 began and marked all rows as done, so rank 1 skipped its rows."""
    X, y, params = problem
    model = fastmlp.MLPClassifier(**params, n_jobs=3).fit(X, y)
    expected = model.set_params(n_jobs=1).predict_proba(X)
    entry = _predict.entry

    def late_entry(*names):
        def late(rank, *args):
            time.sleep(0.05 * rank)
            entry(*names)(rank, *args)

        return late

    monkeypatch.setattr(_predict, "entry", late_entry)
    np.testing.assert_array_equal(model.set_params(n_jobs=3).predict_proba(X), expected)


@pytest.mark.usefixtures("_large_teams")
@pytest.mark.parametrize("rows", [70, 130, 290])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_refused_threads_do_not_change_results(granted, rows, problem, monkeypatch):
    """If the system cannot start more threads, the team is smaller than its buffers allow."""
    X, y, params = problem
    params |= {"batch_size": rows}
    expected = fastmlp.MLPClassifier(**params, n_jobs=1).fit(X, y)
    start, started = threading.Thread.start, []

    def refuse(thread):
        if thread.name.startswith("fastmlp"):
            if len(started) == granted:
                raise RuntimeError("can't start new thread")
            started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    model = fastmlp.MLPClassifier(**params, n_jobs=4).fit(X, y)
    started.clear()
    h = model.predict_proba(X)
    assert ours() == []
    for coef, other in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(coef, other)
    np.testing.assert_array_equal(h, expected.predict_proba(X))


@pytest.mark.usefixtures("_large_teams")
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_ranks_of_smaller_team_have_separate_buffers(size, problem, monkeypatch):
    """Regression test: two of four planned threads had shares larger than their buffers, and wrote out of bounds."""
    X, y, params = problem

    def note_plan(fields):
        if isinstance(fields, Plan):
            plans.append(fields)
        return record_of(fields)

    def note_memory(engine):
        prepare(engine)
        memory = engine.workspace.memory
        capacities.append((memory.units.size // (2 * (y.max() + 1) + 2), memory.unit_loss.size))

    plans, prepare, capacities = [], _engine.Engine.__post_init__, []
    monkeypatch.setattr(_engine, "record_of", note_plan)
    monkeypatch.setattr(_engine.Engine, "__post_init__", note_memory)
    monkeypatch.setattr("fastmlp.training._stochastic.Team", lambda planned: Team(min(planned, size)))
    fastmlp.MLPClassifier(**params | {"batch_size": 290}, n_jobs=8).fit(X, y)
    (capacity,) = capacities
    assert plans
    for plan in plans:
        assert -(-plan.chunk // size) <= plan.strips
        assert size * plan.strips <= min(capacity)


def test_team_larger_than_machine_finishes(problem):
    """The threads must yield to each other. `python -m bench.promises` checks a bound of the time."""
    X, y, params = problem
    params |= {"hidden_layer_sizes": (256,), "batch_size": 290, "max_iter": 30}
    few, many = (
        fastmlp.MLPClassifier(**params, n_jobs=n_jobs).fit(X, y) for n_jobs in (os.cpu_count(), 4 * os.cpu_count())
    )
    assert few.n_iter_ == many.n_iter_ == 30
    for coef, other in zip(many.coefs_, few.coefs_, strict=True):
        np.testing.assert_array_equal(coef, other)


def test_available_threads_follows_scikit_learn(monkeypatch):
    assert available_threads(3) == 3
    everything = available_threads(-1)
    assert available_threads(None) == everything >= 1
    assert available_threads(-2) == max(1, everything - 1)


def test_available_threads_follows_limits_that_change(monkeypatch):
    """The number of cores is kept between fits, but not when a limit of the process has changed."""
    before = available_threads(-1)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    assert available_threads(-1) == 1
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT")
    assert available_threads(-1) == before
    if sys.platform == "linux":
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cores)})
        try:
            assert available_threads(-1) == 1
        finally:
            os.sched_setaffinity(0, cores)
        assert available_threads(-1) == before


def test_available_threads_inside_joblib_threads():
    """Other workers use the other cores. An explicit number of threads is respected."""
    with joblib.parallel_config("threading", n_jobs=2):
        counts = joblib.Parallel()(joblib.delayed(available_threads)(n) for n in (None, -1, 2))
    assert counts == [1, 1, 2]
