"""Steps of an optimizer in Python match the reference, including Adam's bias correction."""

import numpy as np
import pytest
from fastmlp.kernels.layout import Hyper as KernelHyper
from fastmlp.kernels.layout import record_of
from fastmlp.kernels.tables import OPTIMIZERS

from fastmlp.reference import vectorized
from fastmlp.reference._training import Hyper
from fastmlp.training._optimizer import take_step
from fastmlp.training._state import TrainingState

RATE, MOMENTUM, BETA_1, BETA_2, EPSILON = 0.07, 0.9, 0.8, 0.95, 1e-6
REFERENCES = {"sgd": ("sgd", False), "nesterov": ("sgd", True), "adam": ("adam", False)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_match_reference(name, dtype, rng):
    reference, nesterov = REFERENCES[name]
    row = vectorized.OPTIMIZERS[reference]
    hyper = Hyper(RATE, MOMENTUM, nesterov, BETA_1, BETA_2, EPSILON)
    record = record_of(
        KernelHyper(OPTIMIZERS[name].code, momentum=MOMENTUM, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON)
    )
    w = rng.normal(size=70).astype(dtype)
    expected, expected_states = w.astype(np.float64), [np.zeros(70) for _ in range(row.n_states)]
    state = TrainingState.new(name, w.size, dtype, RATE)
    for t in range(1, 6):
        g = rng.normal(size=w.size).astype(dtype)
        take_step(record, state, w, g)
        row.step(expected, g.astype(np.float64), expected_states, t, hyper)
    # Five steps of ten operations, each with an error of half a unit in the last place of a number below 4.
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(w, expected, rtol=tolerance, atol=tolerance)
    for moment, other in zip((state.m, state.v), expected_states, strict=False):
        np.testing.assert_allclose(moment, other, rtol=tolerance, atol=tolerance)
