"""Training of one network of an ensemble: the best epoch, and the epochs on all rows."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_diabetes

from fastmlp import MLPRegressor
from fastmlp.tabular._training import train, train_on_all_rows


@pytest.fixture
def network():
    """A network that one epoch has initialised, and a function that trains it for another one."""
    X, y = load_diabetes(return_X_y=True)
    network = MLPRegressor(hidden_layer_sizes=8, learning_rate_init=0.004, random_state=0).partial_fit(X, y / y.std())
    return network, lambda: network.partial_fit(X, y / y.std())


def test_weights_of_the_best_epoch_are_kept(network):
    network, step = network
    losses, seen = iter([3.0, 1.0, 2.0, 2.0, 0.5]), []

    def observed():
        step()
        seen.append([array.copy() for array in network.coefs_])

    assert train(network, observed, lambda: next(losses), max_iter=9, n_iter_no_change=2) == [3.0, 1.0, 2.0, 2.0]
    for array, best in zip(network.coefs_, seen[1], strict=True):
        assert_array_equal(array, best)


@pytest.mark.parametrize(("best_epoch", "epochs"), [(1, 2), (10, 4), (63, 25), (200, 25)])
def test_rate_falls_from_half_to_zero(network, best_epoch, epochs):
    network, step = network
    rates, weights = [], []

    def observed():
        rates.append(float(network._state["rate"]))
        before = network.coefs_[0].copy()
        step()
        weights.append(np.abs(network.coefs_[0] - before).max())

    train_on_all_rows(network, observed, best_epoch)
    assert rates == pytest.approx([0.002 * (1 - k / epochs) for k in range(epochs)])
    # A rate that training did not use would leave the steps as long as they were.
    assert weights[-1] < 0.7 * weights[0]
