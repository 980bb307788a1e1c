"""The benchmark of partial_fit checks the weights before it compares times."""

import numpy as np
import pytest

from bench import partial_fit
from bench.partial_fit import CHUNKS, Network, compare
from fastmlp import MLPClassifier


@pytest.mark.parametrize("chunk", [chunk for chunk in CHUNKS if chunk < 100_000])
def test_times_are_positive(chunk, monkeypatch):
    monkeypatch.setitem(partial_fit.MINI_BATCHES, chunk, 20)
    found = compare(Network(3, (4,), 2), chunk, repetitions=1)
    assert found["fit"] > 0
    assert found["ratio"] == pytest.approx(found["partial_fit"] / found["fit"])


def test_other_weights_are_an_error(monkeypatch):
    monkeypatch.setitem(partial_fit.MINI_BATCHES, 32, 20)
    fit = MLPClassifier.fit

    def disturbed(self, X, y):
        fit(self, X, y)
        self.coefs_[0][0, 0] = np.nextafter(self.coefs_[0][0, 0], 1)
        return self

    monkeypatch.setattr(MLPClassifier, "fit", disturbed)
    with pytest.raises(AssertionError):
        compare(Network(3, (4,), 2), 32, repetitions=1)
