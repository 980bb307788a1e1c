"""Checkpoint: when files are written, and that a process that is killed at any moment leaves a complete file."""

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier
from fastmlp.callbacks import Checkpoint
from fastmlp.training import _checkpoint
from fastmlp.training._checkpoint import read_checkpoint
from fastmlp.training._progress import EPOCH, EpochCallback

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def epochs_of(path):
    return read_checkpoint(path).header["state"]["n_iter"]


@pytest.mark.parametrize(
    ("every", "max_iter", "expected"), [(1, 4, [1, 2, 3, 4]), (3, 10, [3, 6, 9, 10]), (5, 10, [5, 10]), (99, 4, [4])]
)
def test_every(every, max_iter, expected, digits, tmp_path, monkeypatch):
    written, write = [], _checkpoint.write_checkpoint

    def noting(path, snapshot):
        write(path, snapshot)
        written.append(epochs_of(path))

    monkeypatch.setattr("fastmlp.callbacks._checkpoint.write_checkpoint", noting)
    path = tmp_path / "file"
    MLPClassifier(8, max_iter=max_iter, random_state=0).set_callbacks(Checkpoint(path, every=every)).fit(*digits)
    assert written == expected
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_training_that_the_rule_stops_is_written_at_its_end(digits, tmp_path):
    path = tmp_path / "file"
    model = MLPClassifier(8, tol=1, n_iter_no_change=2, random_state=0).set_callbacks(Checkpoint(path, every=1000))
    model.fit(*digits)
    assert epochs_of(path) == model.n_iter_ < model.max_iter


@pytest.mark.parametrize("path", [3, None, b"file", ["file"], np.nan])
def test_non_paths_are_refused(path):
    with pytest.raises(TypeError, match="path must be a str or a path, got"):
        Checkpoint(path)


@pytest.mark.parametrize("every", [1.5, "1", None, True, np.nan, [3]])
def test_non_integers_are_refused(every, tmp_path):
    with pytest.raises(TypeError, match="every must be an integer >= 1, got"):
        Checkpoint(tmp_path / "file", every=every)


@pytest.mark.parametrize("every", [0, -1])
def test_every_must_be_positive(every, tmp_path):
    with pytest.raises(ValueError, match="every must be an integer >= 1, got"):
        Checkpoint(tmp_path / "file", every=every)


class StopAndPickle(EpochCallback):
    """Stops the fit after some epochs, and pickles the model after each."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_fit_task_end(self, estimator, context):
        pickle.loads(pickle.dumps(estimator))
        return context.task_name == EPOCH and estimator.__fastmlp_progress__().epoch == self.epochs


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("epochs", [1, 4, 6])
def test_a_training_that_a_callback_stops_is_written_at_its_end(epochs, first, digits, tmp_path):
    path = tmp_path / "file"
    params = {"early_stopping": True, "average": True, "max_iter": 9, "random_state": 0}
    callbacks = [Checkpoint(path, every=4), StopAndPickle(epochs)]
    MLPClassifier(8, **params).set_callbacks(*callbacks if first else reversed(callbacks)).fit(*digits)
    assert epochs_of(path) == epochs
    resumed, whole = MLPClassifier(8, **params).fit(*digits, resume_from=path), MLPClassifier(8, **params).fit(*digits)
    assert resumed.loss_curve_ == whole.loss_curve_
    for ours, theirs in zip(resumed.coefs_, whole.coefs_, strict=True):
        assert_array_equal(ours, theirs)


class Interrupt(EpochCallback):
    """Ctrl-C in the fourth epoch."""

    def after_epoch(self, estimator, progress):
        pass

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == EPOCH and len(estimator._state.loss_curve) == 3:
            raise KeyboardInterrupt


@pytest.mark.parametrize("every", [2, 99])
def test_an_unfinished_epoch_is_not_written(every, digits, tmp_path):
    path = tmp_path / "file"
    model = MLPClassifier(8, max_iter=10, random_state=0).set_callbacks(Checkpoint(path, every=every), Interrupt())
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(*digits)
    assert [epochs_of(file) for file in tmp_path.iterdir()] == ([2] if every == 2 else [])


def test_unwritable_checkpoint_is_refused_before_training(digits, tmp_path):
    X, y = digits
    model = MLPClassifier(8, max_iter=2, random_state=0).fit(X, y)
    before = model.coefs_[0].copy()
    with pytest.raises(FileNotFoundError, match=r"Checkpoint: the folder '.*missing' does not exist"):
        model.set_callbacks(Checkpoint(tmp_path / "missing" / "file")).fit(X, y)
    with pytest.raises(IsADirectoryError, match=r"Checkpoint: '.*' is a folder"):
        model.set_callbacks(Checkpoint(tmp_path)).fit(X, y)
    with pytest.raises(ValueError, match="Checkpoint needs solver='sgd' or solver='adam', got 'lbfgs'"):
        model.set_params(solver="lbfgs").set_callbacks(Checkpoint(tmp_path / "file")).fit(X, y)
    assert_array_equal(model.coefs_[0], before)


def test_a_full_disk_keeps_the_old_file(digits, tmp_path, monkeypatch):
    """The error ends the fit; the last complete checkpoint stays, and nothing else."""
    X, y = digits
    path, savez, calls = tmp_path / "file", np.savez, []

    def full(file, **arrays):
        calls.append(1)
        if len(calls) == 3:
            file.write(b"half")
            raise OSError(28, "No space left on device")
        savez(file, **arrays)

    monkeypatch.setattr(_checkpoint.np, "savez", full)
    model = MLPClassifier(8, max_iter=9, random_state=0).set_callbacks(Checkpoint(path, every=1))
    with pytest.raises(OSError, match="No space left"):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert epochs_of(path) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name != "posix", reason="Windows cannot synchronise folders")
def test_file_and_folder_are_on_the_disk_before_training_continues(digits, tmp_path, monkeypatch):
    """The order that survives a crash of the machine: the new file, its name, then the next epoch."""
    events, fsync, replace = [], os.fsync, os.replace

    def noting_fsync(handle):
        events.append("folder" if Path(os.readlink(f"/proc/self/fd/{handle}")).is_dir() else "file")
        fsync(handle)

    def noting_replace(old, new):
        events.append("rename")
        assert Path(old).parent == Path(new).parent
        replace(old, new)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    monkeypatch.setattr(_checkpoint.os, "fsync", noting_fsync)
    monkeypatch.setattr(_checkpoint.os, "replace", noting_replace)
    MLPClassifier(8, max_iter=2, random_state=0).set_callbacks(Checkpoint(tmp_path / "file", every=1)).fit(*digits)
    assert events == ["file", "rename", "folder"] * 2


def test_unfinished_files_of_ended_processes_are_removed(digits, tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=1200)
    path = tmp_path / "file[1]"
    names = {
        f"file[1].{ended.pid}-12.tmp": os.name != "posix",
        f"file[1].{os.getpid()}-12.tmp": False,
        f"file[1].{os.getppid()}-12.tmp": True,
        f"other.{ended.pid}-12.tmp": True,
        "file[1].notes-1.tmp": True,
    }
    for name in names:
        (tmp_path / name).touch()
    MLPClassifier(8, max_iter=1, random_state=0).set_callbacks(Checkpoint(path)).fit(*digits)
    assert {name: (tmp_path / name).exists() for name in names} == names
    assert path.exists()


# ---- Processes that are killed

# Each line of its input starts a process that trains; a process that is forked need not import anything.
SERVER = """
import json, os, signal, sys, warnings
warnings.simplefilter("ignore")
from pathlib import Path
from sklearn.datasets import load_digits
from fastmlp import MLPClassifier
from fastmlp.callbacks import Checkpoint

class Telling(Checkpoint):
    def after_epoch(self, estimator, progress):
        tell(progress.epoch)  # how far training has come, before the checkpoint of the epoch is written
        super().after_epoch(estimator, progress)

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

path, every, options = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
X, y = load_digits(return_X_y=True)
for line in sys.stdin:
    process = os.fork()
    if process == 0:
        tell("process", os.getpid())
        model = MLPClassifier(**options).set_callbacks(Telling(path, every=every))
        model.fit(X / 16, y, resume_from=path if path.exists() else None)
        os._exit(0)
    _, status = os.waitpid(process, 0)
    tell("ended", os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
"""
EVERY = 3
OPTIONS = {
    "hidden_layer_sizes": 40,
    "batch_size": 50,
    "max_iter": 120,
    "n_iter_no_change": 1000,
    "early_stopping": True,
    "dropout": 0.1,
    "n_jobs": 1,
    "random_state": 3,
}


def kill_at_random_moments(path, runs, rng):
    """Train again and again, kill each process at a random moment, and check the file that it leaves.

    A process is killed after a random number of epochs and a random part of a further one, so at any place: within an
    epoch, while a checkpoint is written, between two. Returns how many processes were killed before they ended.
    """
    command = [sys.executable, "-c", SERVER, str(path), str(EVERY), json.dumps(OPTIONS)]
    killed = written = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        for _ in range(runs):
            server.stdin.write("\n")
            server.stdin.flush()
            word, process = server.stdout.readline().split()
            assert word == "process"
            epochs, told, line = rng.randint(0, 3 * EVERY), written, ""
            while epochs >= 0 and not line.startswith("ended"):
                line = server.stdout.readline()
                told = told if line.startswith("ended") else int(line)
                epochs -= 1
            time.sleep(rng.random() * 0.02)
            if not line.startswith("ended"):
                with suppress(ProcessLookupError):  # it may have ended after the last line was read
                    os.kill(int(process), signal.SIGKILL)
            while not line.startswith("ended"):
                line = server.stdout.readline()
                told = told if line.startswith("ended") else int(line)
            how = int(line.split()[1])
            assert how in (0, signal.SIGKILL)
            killed += how == signal.SIGKILL
            if path.exists():
                before, written = written, epochs_of(path)  # raises an error if the file is not complete
                # Lost are at most the epochs since the last checkpoint. The last epoch that the process told of was
                # still without one.
                assert written >= (told - 1) // EVERY * EVERY
                assert written >= before
            if written == OPTIONS["max_iter"]:
                path.unlink()  # begin again
                written = 0
        server.stdin.close()
    assert server.returncode == 0
    return killed


def check_killed_runs(tmp_path, runs):
    path, rng = tmp_path / "file", random.Random(runs)
    killed = kill_at_random_moments(path, runs, rng)
    assert killed > 0.9 * runs
    X, y = load_digits(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = MLPClassifier(**OPTIONS).fit(X / 16, y)
        resumed = MLPClassifier(**OPTIONS).set_callbacks(Checkpoint(path)).fit(X / 16, y, resume_from=path)
    for ours, theirs in zip(
        [*resumed.coefs_, *resumed.intercepts_], [*expected.coefs_, *expected.intercepts_], strict=True
    ):
        assert_array_equal(ours, theirs)
    assert resumed.loss_curve_ == expected.loss_curve_
    assert resumed.validation_scores_ == expected.validation_scores_
    assert [file.name for file in tmp_path.iterdir()] == ["file"]  # what killed processes left is removed
    return killed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes and sends SIGKILL")
def test_nothing_is_lost_when_processes_are_killed(tmp_path):
    check_killed_runs(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes and sends SIGKILL")
def test_nothing_is_lost_when_a_hundred_processes_are_killed(tmp_path):
    sys.stdout.write(f"killed: {check_killed_runs(tmp_path, 100)}\n")
