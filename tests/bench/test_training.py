"""Checks of the benchmarks notice wrong trainings and searches."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from bench import grid_search, training
from bench.workloads import WORKLOADS, row_orders, start_of


def trained(workload, rate=1e-3, orders=None):
    """Weights of a training by the vectorised reference."""
    start = start_of(workload)
    steps = iter(orders or [])

    class Replay:
        def shuffle(self, rows):
            rows[:] = next(steps)

    X, y = workload.data()
    return training.vectorized.fit(
        start.coefs,
        start.intercepts,
        X,
        workload.targets(y),
        epochs=workload.epochs,
        batch_size=workload.batch,
        alpha=training.ALPHA,
        learning_rate_init=rate,
        rng=start.random() if orders is None else Replay(),
    )[:2]


def test_check_accepts_the_reference_in_float32():
    workload = replace(WORKLOADS["digits"], epochs=5)
    assert training.check(workload, trained(workload))["accuracy"] > 0.7


def test_check_notices_a_rate_one_percent_off():
    workload = replace(WORKLOADS["digits"], epochs=5, dtype="float64")
    training.check(workload, trained(workload))
    with pytest.raises(AssertionError, match="differ from the reference"):
        training.check(workload, trained(workload, rate=1.01e-3))


def test_check_notices_other_batches():
    workload = replace(WORKLOADS["digits"], epochs=5)
    random = np.random.default_rng(1)
    orders = [random.permutation(workload.rows) for _ in range(workload.epochs)]
    with pytest.raises(AssertionError, match="differ from the reference"):
        training.check(workload, trained(workload, orders=orders))


def test_row_orders_are_those_of_the_reference():
    workload = replace(WORKLOADS["digits"], epochs=3, dtype="float64")
    orders = row_orders(workload)
    # The reference permutes the order of the epoch before.
    steps = [orders[0], *(np.argsort(a)[b] for a, b in pairwise(orders))]
    training.check(workload, trained(workload, orders=steps))


def test_check_of_grid_search_notices_other_parameters(monkeypatch):
    workload = WORKLOADS["wine"]
    grid = {"mlpclassifier__alpha": [1e-4, 1e3], "mlpclassifier__hidden_layer_sizes": [(4,)]}
    with pytest.warns(match="converged"):
        found = grid_search.search("scikit-learn", *workload.data(), 1, grid)
    monkeypatch.setattr(grid_search, "_found", {workload: found})
    grid_search.check(workload, "fastmlp", found)
    with pytest.warns(match="converged"):
        other = grid_search.search("scikit-learn", *workload.data(), 1, grid | {"mlpclassifier__alpha": [1e3, 1e4]})
    with pytest.raises(AssertionError, match="best parameters"):
        grid_search.check(workload, "fastmlp", other)
