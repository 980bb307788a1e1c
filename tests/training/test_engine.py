"""The engine as a function: the cost and its gradient, and the running statistics after L-BFGS."""

import numpy as np
import pytest
from fastmlp.kernels.layout import Hyper

from fastmlp.training._aligned import padded
from fastmlp.training._data import prepare_data
from fastmlp.training._engine import Engine
from fastmlp.training._network import Network
from fastmlp.training._state import TrainingState
from fastmlp.training._threads import Team

UNITS = (300, 256, 256, 3)  # wide enough for the kernels to read copies of the weights


def engine_at(w, stats=None):
    """Return an engine for the gradient at `w`, with batch normalisation."""
    rng = np.random.default_rng(0)
    dtype = w.dtype
    X, Y = rng.normal(size=(60, UNITS[0])).astype(dtype), rng.normal(size=(60, UNITS[-1])).astype(dtype)
    data, hyper = prepare_data(X, Y, None, dtype), Hyper(batch=60)
    stats = np.ones(network().table()[1].stats, dtype) if stats is None else stats
    return Engine(network(), data, padded(w.copy()), stats, hyper, TrainingState.new(None, w.size, dtype))


def network():
    return Network(UNITS, ("relu", "tanh"), "identity", "squared_error", batch_norm=True)


@pytest.fixture(params=["float32", "float64"])
def points(request):
    """Two points in the space of weights."""
    rng = np.random.default_rng(1)
    w = [(0.1 * rng.standard_normal(network().table()[1].w)).astype(request.param) for _ in range(2)]
    assert engine_at(w[0]).workspace.table["panels"].any()
    return w


def test_evaluation_uses_the_weights_of_each_call(points):
    engine = engine_at(points[0])
    with Team(1) as team:
        for w in (points[0], points[1], points[0]):
            fresh = engine_at(w)
            assert engine.evaluate(team, w) == fresh.evaluate(team)
            np.testing.assert_array_equal(engine.g, fresh.g)
            np.testing.assert_array_equal(engine.w, w)


def test_statistics_are_those_of_the_present_weights(points):
    """L-BFGS may end at other weights than those that it evaluated last; the kernels read copies of some of them."""
    engine = engine_at(points[0])
    with Team(1) as team:
        engine.evaluate(team)
    engine.w[:] = points[1]
    engine.settle_statistics()
    expected = engine_at(points[1])
    expected.settle_statistics()
    np.testing.assert_array_equal(engine.stats, expected.stats)


def test_statistics_survive_weights_that_are_not_finite(points):
    engine = engine_at(points[0])
    with Team(1) as team:
        engine.evaluate(team)
        before = engine.stats.copy()
        assert engine.evaluate(team, np.full_like(points[0], np.nan)) == np.inf
        np.testing.assert_array_equal(engine.stats, before)
        assert engine.evaluate(team, points[1]) == engine_at(points[1]).evaluate(team)
