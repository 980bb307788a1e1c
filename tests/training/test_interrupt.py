"""Ctrl-C takes effect quickly in epochs of any length, and the model can predict and continue training."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import fastmlp
from bench.promises import LONG, N_JOBS, Interrupt
from fastmlp.training import _engine
from fastmlp.training._engine import Engine
from fastmlp.training._threads import Team

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def interrupted():
    """The result of `bench.promises.interrupt_all`, from a process that a signal may terminate."""
    # This test does not check the warnings of these fits.
    command = [sys.executable, "-W", "ignore", "-m", "bench.promises", "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stderr
    return {name: Interrupt(*values) for name, values in json.loads(run.stdout).items()}


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("n_jobs", N_JOBS)
@pytest.mark.parametrize("name", LONG)
def test_ctrl_c_takes_effect_when_call_ends(name, n_jobs, interrupted):
    """At most one call of the kernel begins after the signal.

    The time until then depends on the load of the machine. `python -m bench.promises` checks a bound for it.
    """
    found = interrupted[f"{name}, {n_jobs} threads"]
    sys.stdout.write(f"{name}, {n_jobs} threads: {found.seconds:.3f} s\n")
    assert found.calls <= 1


@pytest.mark.parametrize("pass_seconds", [1e-5, 1e-3, 0.04, 3.0])
def test_call_length_follows_call_seconds(pass_seconds, digits, monkeypatch):
    """With a simulated clock and passes of equal time, a call takes CALL_SECONDS, or one pass if that is longer."""
    now, calls = [0.0], []

    def counted(team, kernel, passes, *args, **options):
        calls.append(passes)
        return run(team, kernel, passes, *args, **options)

    def after_a_call(engine, status):
        now[0] += engine.state["passes"] * pass_seconds
        return keep_finite(engine, status)

    run, keep_finite = Team.run, Engine._keep_finite
    monkeypatch.setattr(Team, "run", counted)
    monkeypatch.setattr(Engine, "_keep_finite", after_a_call)
    monkeypatch.setattr(_engine.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(_engine, "FIRST_SECONDS", 1.0)  # the first call uses an estimate and runs one pass
    X, y = digits
    longest = max(1, int(_engine.CALL_SECONDS / pass_seconds))
    model = fastmlp.MLPRegressor(hidden_layer_sizes=1, batch_size=100, n_iter_no_change=np.inf, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(max_iter=longest + 3).fit(X[:, :1], y)  # three passes per epoch
    assert calls[0] == 1
    assert len(calls) > 2
    assert set(calls[1:]) <= {longest, max(1, longest - 1)}  # the clock has rounding errors


@pytest.fixture
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300] / 16, y[:300]


def interrupted_fit(monkeypatch, call, X, y, **params):
    """Return a fit that Ctrl-C ends after the kernel's `call`-th call, and its generator."""
    run, calls = Team.run, []

    def run_and_interrupt(team, kernel, *args, **options):
        status = run(team, kernel, *args, **options)
        calls.append(status)
        if len(calls) == call:
            raise KeyboardInterrupt
        return status

    random = np.random.RandomState(0)
    model = fastmlp.MLPClassifier(random_state=random, n_jobs=1, **params)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        patch.setattr(Team, "run", run_and_interrupt)
        warnings.filterwarnings("ignore", "Training interrupted by user")
        model.fit(X, y)
    assert len(calls) == call
    return model, random


def test_epochs_before_ctrl_c_are_counted(digits, monkeypatch):
    """Regression test: the epochs and the random draws of the last call were lost."""
    monkeypatch.setattr("fastmlp.training._engine.CALL_SECONDS", 0.0)
    X, y = digits
    params = {"hidden_layer_sizes": (10,), "batch_size": 100, "max_iter": 50}
    # Each call runs one batch, and an epoch has three, so the ninth call ends the third epoch.
    model, random = interrupted_fit(monkeypatch, 9, X, y, **params)
    expected_random = np.random.RandomState(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = fastmlp.MLPClassifier(**params | {"max_iter": 3}, random_state=expected_random).fit(X, y)
    assert model.n_iter_ == 3
    assert model.t_ == expected.t_
    assert model.loss_curve_ == expected.loss_curve_
    for ours, other in zip(model.coefs_, expected.coefs_, strict=True):
        np.testing.assert_array_equal(ours, other)
    np.testing.assert_equal(random.get_state(), expected_random.get_state())


def test_training_continues_after_ctrl_c(digits, monkeypatch):
    """After an interrupt within an epoch, training continues with finite weights and a lower loss."""
    monkeypatch.setattr("fastmlp.training._engine.CALL_SECONDS", 0.0)
    X, y = digits
    model, _ = interrupted_fit(monkeypatch, 5, X, y, hidden_layer_sizes=(10,), batch_size=100)
    before = model.score(X, y)
    for _ in range(60):
        model.partial_fit(X, y)
    assert model.score(X, y) > max(before, 0.8)


def test_lbfgs_keeps_the_best_weights(digits, monkeypatch):
    X, y = digits
    params = {"solver": "lbfgs", "hidden_layer_sizes": (10,)}
    model, _ = interrupted_fit(monkeypatch, 12, X, y, **params)
    assert all(np.isfinite(a).all() for a in model.coefs_)
    longer, _ = interrupted_fit(monkeypatch, 24, X, y, **params)
    assert longer.loss_ < model.loss_
    assert model.score(X, y) > 0.3
