"""The arrays of a fit are aligned to cache lines and padded."""

import mmap

import numpy as np
import pytest
from sklearn.datasets import load_wine

from fastmlp import MLPClassifier
from fastmlp.estimators._weights import current_network, weight_vector
from fastmlp.training import _aligned
from fastmlp.training._engine import Engine

# Arrays that kernels access by vectors which may extend past their end.
BY_VECTORS = (
    *("w", "m", "v", "g", "transposed", "A", "D", "H", "T", "units", "row_weight", "scratch", "zeros", "loss"),
    *("unit_loss", "lanes"),
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def at_page_end(size, dtype, before=0):
    """Return a vector that ends `before` bytes before the end of its page."""
    page = np.frombuffer(mmap.mmap(-1, mmap.PAGESIZE), np.uint8)
    end = mmap.PAGESIZE - before
    vector = np.frombuffer(page, dtype, size, offset=end - size * np.dtype(dtype).itemsize)
    vector[:] = np.arange(size)
    return vector


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("make", [_aligned.empty, _aligned.zeros])
def test_new_vectors_are_padded(make, dtype):
    for size in (0, 1, 7, 1008, 1016, 1023, 1024, 100_000):
        vector = make(size, dtype)
        assert (vector.size, vector.dtype) == (size, dtype)
        assert _aligned.is_padded(vector)
    assert not _aligned.zeros(5, dtype).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_padded_copies_only_unpadded_vectors(dtype):
    fine = at_page_end(96, dtype, before=64)
    assert _aligned.padded(fine) is fine
    for before in (0, 8, 56, 80):  # the last one ends far before the page end, but is not aligned
        tight = at_page_end(96, dtype, before)
        copy = _aligned.padded(tight)
        assert copy is not tight
        assert _aligned.is_padded(copy)
        np.testing.assert_array_equal(copy, tight, strict=True)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("batch", [50, 178])
def test_all_arrays_of_fit_are_padded(batch, solver, monkeypatch):
    memories = []
    prepare = Engine.__post_init__

    def spy(engine):
        prepare(engine)
        memories.append(engine.workspace.memory)

    monkeypatch.setattr(Engine, "__post_init__", spy)
    X, y = load_wine(return_X_y=True)
    for units in (1, 3, 37, 61, 64, 66):
        model = MLPClassifier(units, "gelu", solver=solver, batch_size=batch, max_iter=1, max_fun=3, random_state=0)
        model.fit(X / X.max(axis=0), y)
        assert _aligned.is_padded(model._packed.w)
    assert len(memories) == 6
    for memory in memories:
        for name in BY_VECTORS:
            assert _aligned.is_padded(getattr(memory, name)), name


def test_given_weights_are_padded():
    X, y = load_wine(return_X_y=True)
    model = MLPClassifier(4, max_iter=2, random_state=0).fit(X, y)
    expected = model.predict_proba(X)
    model.coefs_ = [at_page_end(c.size, c.dtype).reshape(c.shape) for c in model.coefs_]
    for ours, tight in zip(model._packed.views, model.coefs_, strict=False):
        tight[...] = ours
    assert _aligned.is_padded(weight_vector(model, current_network(model)))
    np.testing.assert_array_equal(model.predict_proba(X), expected)
