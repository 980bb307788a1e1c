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


def test_read_only_arrays_are_copied():
    state = TrainingState.new("adam", 5, np.float64, 0.1)
    for name in ("m", "v", "record"):
        getattr(state, name).flags.writeable = False
    before = state.m
    state.make_current()
    assert all(getattr(state, name).flags.writeable for name in ("m", "v", "record"))
    assert state.m is not before


def test_writable_arrays_are_kept():
    state = TrainingState.new("sgd", 5, np.float32, 0.1)
    arrays = state.m, state.v, state.record
    state.make_current()
    assert all(a is b for a, b in zip(arrays, (state.m, state.v, state.record), strict=True))
