"""The state of a fit: records from earlier versions are converted before a kernel uses them."""

import pickle

import numpy as np
from fastmlp.kernels.layout import STATE

from fastmlp.training._state import TrainingState


def test_a_record_with_fewer_fields_is_completed():
    state = TrainingState.new("adam", 5, np.float64, 0.1)
    state["best"], state["step"], state["seed"] = 0.5, 7, 3
    names = [name for name in STATE.names if name not in ("seed", "grad_norm")]
    old = np.zeros(1, np.dtype([(name, STATE[name]) for name in [*names, "gone"] if name in STATE.names]))
    for name in names:
        old[name] = state.record[name]
    state.record = old
    state = pickle.loads(pickle.dumps(state))
    state.make_current()
    assert state.record.dtype == STATE
    assert (state["best"], state["step"], state["rate"], state["seed"]) == (0.5, 7, 0.1, 0)


def test_a_state_without_averages_is_completed():
    state = TrainingState.new("adam", 5, np.float64, 0.1)
    del state.average, state.average_stats
    state.make_current()
    assert state.average.size == state.average_stats.size == 0


def test_read_only_arrays_are_copied():
    state = TrainingState.new("adam", 5, np.float64, 0.1)
    state.begin_average(np.ones(5), np.ones(2))
    names = ("m", "v", "record", "average", "average_stats")
    for name in names:
        getattr(state, name).flags.writeable = False
    before = state.m
    state.make_current()
    assert all(getattr(state, name).flags.writeable for name in names)
    assert state.m is not before


def test_writable_arrays_are_kept():
    state = TrainingState.new("sgd", 5, np.float32, 0.1)
    arrays = state.m, state.v, state.record
    state.make_current()
    assert all(a is b for a, b in zip(arrays, (state.m, state.v, state.record), strict=True))
