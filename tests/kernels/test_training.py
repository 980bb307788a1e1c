"""The training loop: shares of rows, stopping rule, schedules, resumption, batches without weight, divergence."""

import math

import numpy as np
import pytest
from fastmlp.kernels import training, weights
from fastmlp.kernels._jit import OPTIONS
from fastmlp.kernels._memory import at
from fastmlp.kernels._records import record
from fastmlp.kernels.layout import (
    CLAIMS,
    DIVERGED,
    RUNNING,
    SIGNALS,
    STOPPED,
    Hyper,
    Plan,
    State,
    record_of,
)
from fastmlp.kernels.tables import OPTIMIZERS
from numba import njit

from fastmlp.reference import vectorized
from fastmlp.training import _engine, _workspace
from fastmlp.training._data import prepare_data
from fastmlp.training._engine import Engine
from fastmlp.training._network import Network
from fastmlp.training._row_order import RowOrder
from fastmlp.training._state import TrainingState
from fastmlp.training._stochastic import divergence_message
from fastmlp.training._threads import Team

DTYPES = [np.float32, np.float64]


@pytest.fixture
def data(problems):
    """120 rows of the diabetes data."""
    _, _, X, y, _ = problems["regression"]
    return X[:120].copy(), y[:120].reshape(-1, 1).copy()


def build(data, dtype=np.float64, *, weight=None, batch=23, shuffle=True, rate=0.01, team=1, **hyper):
    X, Y = data
    network = Network((X.shape[1], 8, 6, Y.shape[1]), ("tanh", "relu"), "identity", "squared_error")
    rng = np.random.default_rng(1)
    w = rng.normal(scale=0.4, size=network.table()[1].w).astype(dtype)
    options = {"optimizer": "sgd", "alpha": 0.1, "watch_loss": True, "penalty": "mean"} | hyper
    optimizer, penalty = options.pop("optimizer"), options.pop("penalty")
    hyper = Hyper(optimizer=OPTIMIZERS[optimizer].code, batch=batch, penalty_sum=penalty == "sum", **options)
    state = TrainingState.new(optimizer, w.size, dtype, rate)
    prepared = prepare_data(X, Y, weight, dtype)
    order = RowOrder(len(X), batch, shuffle=shuffle, random=np.random.RandomState(0))
    return Engine(network, prepared, w, np.empty(0, dtype), hyper, state, order, team)


def run(engine, epochs, rates=None):
    with Team(engine.threads) as team:
        return engine.run(team, epochs, rates)


def everything(engine, status):
    """Return all values that a fit reads or continues from."""
    return {
        "status": status,
        "w": engine.w,
        "m": engine.state.m,
        "v": engine.state.v,
        "history": engine.history,
        # The number of passes of the last call differs, and so do the counters that begin with each call.
        "record": {name: engine.state[name] for name in State._fields if name not in ("epoch", "passes")},
        "random": engine.order.random.get_state()[1:3],
    }


FITS = {
    "plain": {},
    "adam": {"optimizer": "adam"},
    "stops": {"tol": 0.02, "patience": 2},
    "adaptive": {"tol": 0.02, "patience": 1, "adaptive": True, "optimizer": "nesterov"},
    "full batch": {"batch": 120},
    "one row": {"batch": 1},
    "rows in order": {"shuffle": False},
    "chunks": {"batch": 50, "chunks": True},
    "weights": {"weight": np.linspace(0, 2, 120)},
    "sum": {"penalty": "sum", "loss_scale": 0.5},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("team", [1, 2])
@pytest.mark.parametrize("fit", FITS)
def test_training_does_not_depend_on_call_length(fit, team, dtype, data, monkeypatch):
    """The number of passes in a call depends on the time. Results must not depend on it."""
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    params = dict(FITS[fit])
    if params.pop("chunks", False):
        monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
        monkeypatch.setattr(_workspace, "CHUNK_ROWS", 16)
    rates = np.linspace(0.01, 0.001, 12) if fit == "plain" else None
    seen = []
    for seconds in (100.0, 0.0, 2e-5):
        monkeypatch.setattr(_engine, "CALL_SECONDS", seconds)
        engine = build(data, dtype, team=team, **params)
        assert engine.threads == min(team, engine.workspace.plan.chunk)
        seen.append(everything(engine, run(engine, 12, rates)))
    for other in seen[1:]:
        for name, value in seen[0].items():
            np.testing.assert_equal(other[name], value, err_msg=name)
    assert seen[0]["status"] == (STOPPED if fit == "stops" else RUNNING)


def stops_after(losses, tol, patience):
    """Return the epochs after which scikit-learn's rule stops: the count exceeds n_iter_no_change."""
    best, count = math.inf, 0
    for epoch, loss in enumerate(losses, start=1):
        count = count + 1 if loss > best - tol else 0
        best = min(best, loss)
        if count > patience:
            return epoch
    return None


@pytest.mark.parametrize("seconds", [100.0, 0.0])
@pytest.mark.parametrize("tol", [0.0, 1e-4, 0.01, 0.1, 1e9])
@pytest.mark.parametrize("patience", [1, 2, 10])
def test_stopping_rule_matches_scikit_learn(patience, tol, seconds, data, monkeypatch):
    """With calls of one pass, training stops at the end of a call."""
    monkeypatch.setattr(_engine, "CALL_SECONDS", seconds)
    endless = build(data, tol=tol, rate=0.05)
    assert run(endless, 60) == RUNNING
    epoch = stops_after(endless.history, tol, patience)
    engine = build(data, tol=tol, patience=patience, rate=0.05)
    status = run(engine, 60)
    assert engine.history == endless.history[:epoch]
    assert status == (RUNNING if epoch is None else STOPPED)
    assert (epoch is None) == (tol == 0.0) or epoch > patience


def test_infinite_patience_never_stops(data):
    engine = build(data, tol=1e9, patience=np.inf)
    assert run(engine, 100) == RUNNING
    assert len(engine.history) == 100
    assert engine.state["no_change"] == 99


def test_validation_score_replaces_loss_in_stopping_rule(data):
    engine = build(data, tol=1e9, patience=1, watch_loss=False)
    assert run(engine, 20) == RUNNING
    assert engine.state["no_change"] == 0


@pytest.mark.parametrize("seconds", [100.0, 0.0])
def test_adaptive_rate_is_divided_by_five_until_it_is_small(seconds, data, monkeypatch):
    monkeypatch.setattr(_engine, "CALL_SECONDS", seconds)
    # No loss counts as an improvement over the first, so the rule would stop at every third epoch.
    engine = build(data, tol=1e9, patience=2, adaptive=True, rate=0.1)
    assert run(engine, 1000) == STOPPED
    assert engine.state["rate"] == pytest.approx(0.1 / 5**8)  # the first rate that is not above 1e-6
    assert len(engine.history) == 1 + 3 * 9


def test_rates_take_effect_after_their_epoch(data):
    """The first epoch uses the rate in the state, the following ones the rates in the schedule."""
    by_rates, by_hand = build(data), build(data)
    run(by_rates, 3, np.array([0.02, 0.005, 0.3]))
    for rate in (0.01, 0.02, 0.005):
        by_hand.state["rate"] = rate
        run(by_hand, 1)
    np.testing.assert_array_equal(by_rates.w, by_hand.w)
    assert by_rates.state["rate"] == 0.3


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_training_matches_reference(optimizer, data):
    """Compare losses and weights after some epochs. Three consecutive batches have weight 0 and are skipped."""
    X, Y = data
    weight = np.linspace(0.5, 2, 120)
    weight[46:115] = 0
    engine = build(data, optimizer=optimizer, weight=weight, shuffle=False, watch_loss=False)
    parts = engine.network.parts(engine.w)
    coefs, intercepts, history = vectorized.fit(
        parts.coefs,
        parts.intercepts,
        X,
        Y,
        epochs=5,
        batch_size=23,
        solver="sgd" if optimizer == "nesterov" else optimizer,
        nesterovs_momentum=optimizer == "nesterov",
        learning_rate_init=0.01,
        activation=["tanh", "relu"],
        output="identity",
        alpha=0.1,
        sample_weight=weight,
    )
    run(engine, 5)
    np.testing.assert_allclose(engine.history, history, rtol=1e-11)
    trained = engine.network.parts(engine.w)
    for ours, other in zip(trained.coefs + trained.intercepts, coefs + intercepts, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-10, atol=1e-12)


def test_zero_sample_weights_change_nothing(data):
    engine = build(data, weight=np.zeros(120), optimizer="adam")
    before = engine.w.copy()
    assert run(engine, 3) == RUNNING
    np.testing.assert_array_equal(engine.w, before)
    assert engine.history == [0, 0, 0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seconds", [100.0, 0.0])
@pytest.mark.parametrize("team", [1, 2])
def test_divergence_keeps_last_finite_weights(team, seconds, dtype, data, monkeypatch):
    """The fourth batch contains a target whose squared error overflows the dtype."""
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_engine, "CALL_SECONDS", seconds)
    X, Y = data
    expected = build((X[:69], Y[:69]), dtype, shuffle=False)
    run(expected, 1)
    Y[80] = np.sqrt(float(np.finfo(dtype).max)) * 10
    engine = build((X, Y), dtype, shuffle=False, team=team)
    assert run(engine, 10) == DIVERGED
    assert engine.diverged
    assert engine.history == []
    assert engine.state["row"] == 69
    np.testing.assert_array_equal(engine.w, expected.w)
    message = divergence_message(engine, 1)
    assert "epoch 1, mini-batch 4, at learning rate 0.01" in message
    assert "lower learning_rate_init" in message


@pytest.mark.parametrize("seconds", [100.0, 0.0])
def test_overflowing_weights_stop_training(seconds, data, monkeypatch):
    """The first step overflows the weights, but not yet the loss: the weights before the step are restored.

    With calls of one pass, only the weights are not finite when the call ends. Training once continued from there.
    """
    monkeypatch.setattr(_engine, "CALL_SECONDS", seconds)
    X, Y = data
    engine = build((X, 1000 * Y), np.float32, rate=3e38)
    before = engine.w.copy()
    assert run(engine, 5) == DIVERGED
    assert engine.diverged
    assert engine.history == []
    assert "epoch 1, mini-batch 2" in divergence_message(engine, 1)
    np.testing.assert_array_equal(engine.w, before)


def test_restart_resets_diverged_evaluation(data, monkeypatch):
    """A line search of L-BFGS may try weights with an infinite cost, and then others."""
    monkeypatch.setattr(_workspace, "CHUNK_BYTES", 1)
    monkeypatch.setattr(_workspace, "CHUNK_ROWS", 16)
    X, Y = data
    network = Network((X.shape[1], 8, 1), ("relu",), "identity", "squared_error")
    w = np.random.default_rng(0).normal(size=network.table()[1].w)

    def evaluate(engine, weights):
        with Team(1) as team:
            return engine.evaluate(team, weights), engine.g.copy()

    engines = [
        Engine(
            network,
            prepare_data(X, Y, None, np.float64),
            w.copy(),
            np.empty(0),
            Hyper(batch=120, alpha=0.1),
            TrainingState.new(None, w.size, np.float64),
        )
        for _ in range(2)
    ]
    expected = evaluate(engines[0], w)
    assert evaluate(engines[1], w * 1e200)[0] == np.inf
    got = evaluate(engines[1], w)
    np.testing.assert_equal(got, expected)


@njit(**OPTIONS)
def take_rows(plan, signals, rows, rank, team, turn, part):
    """Return the next rows of thread `rank`, see `training.next_rows`."""
    return training.next_rows(record(at(plan, 0), 0), at(signals, 0), rows, rank, team, turn, part)


def rows_taken(rows, team, parts, order):
    """Return the parts (rank, first row, number of rows) that a team takes if rank order(step) takes one at a time."""
    plan = record_of(Plan(**dict.fromkeys(Plan._fields, 0) | {"parts": parts}))
    signals = np.zeros(SIGNALS + CLAIMS * team, np.int64)
    places, taken, step = [(0, -1)] * team, [], 0
    while any(turn < team for turn, _ in places):
        rank = order(step)
        step += 1
        if places[rank][0] < team:
            *place, first, count = take_rows(plan, signals, rows, rank, team, *places[rank])
            places[rank] = tuple(place)
            if place[0] < team:
                taken.append((rank, first, count))
    return taken


@pytest.mark.parametrize("team", [1, 2, 3, 8])
@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("rows", [8, 37, 200, 1000])
def test_each_row_is_taken_once(rows, parts, team):
    """Also if some ranks are faster than others."""
    orders = (
        lambda step: step % team,
        lambda step: min(step // 100, team - 1),
        lambda step: np.random.default_rng(step).integers(team),
    )
    for order in orders:
        taken = rows_taken(rows, team, parts, order)
        covered = [row for _, first, count in taken for row in range(first, first + count)]
        assert sorted(covered) == list(range(rows))
        if parts == 1:
            assert {rank for rank, *_ in taken} == set(range(team))
            assert len(taken) == team
        assert max(count for _, _, count in taken) <= -(-rows // team)  # the buffers of a rank hold its share


def test_fast_rank_takes_the_rows_of_slow_ranks():
    taken = rows_taken(1000, 2, 4, lambda step: int(step >= 100))
    assert [rank for rank, *_ in taken] == [0] * 8
    assert max(count for _, _, count in taken) <= 125 + weights.ROUND


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_parts_are_claimed_if_a_step_is_long(threads):
    """One thread, batch normalisation and short steps have fixed shares: claiming would cost more than it saves."""
    large, small = (Network((784, width, 10), ("relu",), "softmax", "log_loss") for width in (1024, 10))
    assert _workspace.parts_of(large, 1000, threads) == (1 if threads == 1 else min(4, 1000 // threads // 48))
    assert _workspace.parts_of(small, 200, threads) == 1
    normalised = Network((784, 1024, 10), ("relu",), "softmax", "log_loss", batch_norm=True)
    assert _workspace.parts_of(normalised, 1000, threads) == 1
