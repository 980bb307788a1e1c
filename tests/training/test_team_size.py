"""The number of threads follows the CPU time that the threads get, and does not change results."""

import threading

import numpy as np
import pytest

import fastmlp
from fastmlp.training import _engine, _team_size
from fastmlp.training._team_size import TeamSize

CALL = 0.05
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Machine:
    """A machine of which other processes use `busy` cores; `clock` is its time."""

    def __init__(self, busy=0.0):
        self.busy, self.clock, self.used, self.passes = busy, 0.0, [], 0

    def call(self, sizing, pass_seconds):
        """Simulate a call of the kernel. `pass_seconds` maps the number of threads to the time of a pass."""
        size, seconds = sizing.next(CALL)
        passes = max(1, int(seconds / pass_seconds[size]))
        wall = passes * pass_seconds[size]
        self.clock += wall
        self.used.append(size)
        self.passes += passes
        sizing.record(size, wall, wall * (size - (self.busy if size > 1 else 0.0)), passes)


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(_team_size.time, "perf_counter", lambda: machine.clock)
    monkeypatch.setattr(TeamSize, "_kept", type(TeamSize._kept)())
    return machine


def test_idle_machine_uses_all_threads(machine):
    sizing = TeamSize(4)
    for _ in range(100):
        machine.call(sizing, {4: 1e-3})
    assert set(machine.used) == {4}


def test_one_thread_if_the_second_does_not_help(machine):
    """Trials of the second thread cost a small share of the time."""
    sizing, one = TeamSize(2), 1e-3
    machine.busy = 1.2
    for _ in range(200):
        machine.call(sizing, {1: one, 2: 1.3 * one})
    assert machine.used[:7] == [2, 2, 1, 2, 1, 2, 1]
    assert 2 in machine.used[7:]
    assert machine.clock < 1.03 * machine.passes * one
    machine.busy = 0.0
    for _ in range(30):
        machine.call(sizing, {1: one, 2: 0.6 * one})
    assert machine.used[-10:] == [2] * 10


def test_busy_core_that_still_helps(machine):
    sizing, two = TeamSize(2), 0.8e-3
    machine.busy = 0.7
    for _ in range(200):
        machine.call(sizing, {1: 1e-3, 2: two})
    assert sizing.size == 2
    assert 1 in machine.used
    assert machine.clock < 1.03 * machine.passes * two


def test_large_team_omits_threads_one_by_one(machine):
    sizing = TeamSize(4)
    machine.busy = 2.0
    for _ in range(300):
        machine.busy = max(0, machine.used[-1] - 2) if machine.used else 2.0
        machine.call(sizing, {1: 4e-3, 2: 2e-3, 3: 5e-3, 4: 6e-3})
    assert sizing.size == 2


def test_host_that_takes_cpu_time_for_moments(machine, rng):
    """On an idle virtual machine, moments without CPU time do not lead to fewer threads."""
    sizing, with_two = TeamSize(2), 0.0
    for _ in range(1000):
        stalled, before = rng.random() < 0.4, machine.passes
        machine.busy, two = (0.8, 1.1e-3) if stalled else (0.1, 0.6e-3)
        machine.call(sizing, {1: 1e-3, 2: two})
        with_two += (machine.passes - before) * two
    assert 1 in machine.used
    assert machine.clock < 1.05 * with_two


def test_short_calls_are_evaluated_together(machine):
    """With early stopping, each epoch is a call."""
    sizing = TeamSize(2)
    for _ in range(2 * 5):
        assert sizing.next(CALL)[0] == 2
        sizing.record(2, 1.1e-3, 1.1e-3, 1)
    assert sizing.next(CALL)[0] == 1


def test_team_that_still_loses_time_must_be_clearly_faster(machine):
    """With two threads that lose CPU time, 5 % are not worth the disturbance of others."""
    sizing = TeamSize(2)
    machine.busy = 1.0
    for _ in range(6):
        machine.call(sizing, {1: 1e-3, 2: 1.3e-3})
    for _ in range(60):
        machine.call(sizing, {1: 1e-3, 2: 0.95e-3})
    assert 2 in machine.used[6:]
    assert sizing.size == 1
    for _ in range(60):
        machine.call(sizing, {1: 1e-3, 2: 0.8e-3})
    assert sizing.size == 2


def test_team_grows_again_while_it_loses_time(machine):
    """If less is rejected, more is tried."""
    sizing = TeamSize(4)
    machine.busy = 2.5
    for _ in range(40):
        machine.call(sizing, {1: 9e-3, 2: 4e-3, 3: 5e-3, 4: 6e-3})
    assert sizing.size == 2
    machine.busy = 1.0
    for _ in range(200):
        machine.call(sizing, {1: 9e-3, 2: 4e-3, 3: 3e-3, 4: 2e-3})
    assert sizing.size == 4
    assert {2, 3, 4} <= set(machine.used[40:])


def test_pause_is_no_training_time(machine):
    """Fits with pauses between them do not try again in each fit."""
    machine.busy = 1.2
    for _ in range(100):
        machine.call(TeamSize.of(2, "work"), {1: 1e-3, 2: 1.3e-3})
        machine.clock += 0.5
    assert machine.used.count(2) < 0.35 * len(machine.used)


def test_long_pause_begins_again(machine):
    sizing = TeamSize(2)
    machine.busy = 1.2
    for _ in range(6):
        machine.call(sizing, {1: 1e-3, 2: 1.3e-3})
    assert sizing.next(CALL)[0] == 1
    machine.clock += 2 * _team_size.FORGOTTEN_SECONDS
    assert sizing.next(CALL)[0] == 2


def test_fits_with_the_same_work_share_a_trial(machine):
    """A fit may be shorter than a trial, and other fits may come between."""
    machine.busy = 1.2
    for _ in range(6):
        for work in ("work", "other"):
            machine.call(TeamSize.of(2, work), {1: 1e-3, 2: 1.3e-3})
    assert machine.used == [2, 2, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2]
    assert TeamSize.of(2, "work").size == TeamSize.of(2, "other").size == 1


@pytest.mark.parametrize(("largest", "size"), [(2, 2), (3, 3), (4, 3), (8, 7)])
def test_fit_with_other_work_begins_with_what_was_found(machine, largest, size):
    machine.busy = 1.2
    for _ in range(6):
        machine.call(TeamSize.of(4, "work"), {3: 1e-3, 4: 1.3e-3})
    assert TeamSize.of(4, "work").size == 3
    other = TeamSize.of(largest, "other")
    assert other.next(CALL)[0] == size
    other.record(other.size, CALL, CALL * other.size, 10)
    assert other.next(CALL)[0] == other.size  # a trial has just been made
    machine.clock += 2 * _team_size.FORGOTTEN_SECONDS
    assert TeamSize.of(largest, "third").next(CALL)[0] == largest


def test_python_thread_remembers_a_few_choices(machine):
    for work in range(2 * _team_size.KEPT):
        machine.call(TeamSize.of(2, work), {2: 1e-3})
    assert len(TeamSize._kept.choices) == _team_size.KEPT


def test_threads_of_the_user_share_no_choice(machine):
    machine.busy = 1.2
    for _ in range(6):
        machine.call(TeamSize.of(2, "work"), {1: 1e-3, 2: 1.3e-3})
    sizes = [TeamSize.of(2, "work").size]
    thread = threading.Thread(target=lambda: sizes.append(TeamSize.of(2, "work").size))
    thread.start()
    thread.join()
    assert sizes == [1, 2]


@pytest.mark.parametrize("change", [{}, {"activation": "tanh"}, {"solver": "sgd"}, {"hidden_layer_sizes": (9,)}])
def test_fits_of_one_network_and_solver_share_a_choice(problems, monkeypatch, change):
    """The duration of a pass depends on them."""
    _, _, X, y, _ = problems["multiclass"]
    works = []

    class Noted(TeamSize):
        @classmethod
        def of(cls, largest, work):
            works.append((largest, work))
            return super().of(largest, work)

    monkeypatch.setattr(_engine, "TeamSize", Noted)
    params = {"hidden_layer_sizes": (8,), "max_iter": 2, "n_jobs": 1, "alpha": 0.1, "random_state": 0}
    fastmlp.MLPClassifier(**params).fit(X, y)
    fastmlp.MLPClassifier(**{**params, "alpha": 0.2, "random_state": 1, **change}).fit(X, y)
    first, second = works
    assert (first == second) == (not change)


def test_changing_team_does_not_change_weights(problems, monkeypatch):
    _, _, X, y, _ = problems["multiclass"]
    params = {"hidden_layer_sizes": (20, 11), "max_iter": 7, "batch_size": 70, "random_state": 0, "tol": 0}
    expected = fastmlp.MLPClassifier(**params, n_jobs=1).fit(X, y)
    sizes = []

    class Changing(TeamSize):
        def next(self, longest):
            sizes.append(1 + len(sizes) % self.largest)
            return sizes[-1], 1e-9  # one pass

    monkeypatch.setattr(TeamSize, "_kept", type(TeamSize._kept)())
    monkeypatch.setattr(_engine, "TeamSize", Changing)
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    for claimed in (1 << 40, 1):
        monkeypatch.setattr("fastmlp.training._workspace.CLAIMED_FLOPS", claimed)
        monkeypatch.setattr("fastmlp.training._workspace.PART_ROWS", 8)
        model = fastmlp.MLPClassifier(**params, n_jobs=3).fit(X, y)
        for coef, other in zip(model.coefs_, expected.coefs_, strict=True):
            np.testing.assert_array_equal(coef, other)
    assert set(sizes) == {1, 2, 3}
