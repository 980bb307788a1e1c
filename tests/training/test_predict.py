"""Predictions reuse the workspace of their thread, share it with no other, and do not depend on its content."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

from fastmlp import MLPClassifier
from fastmlp.training import _predict

NETWORKS = {
    "relu": {"hidden_layer_sizes": (33, 17)},
    "maxout": {"hidden_layer_sizes": (9,), "activation": "maxout", "maxout_pieces": 3},
    "batch norm": {"hidden_layer_sizes": (20, 20), "activation": "tanh", "batch_norm": True, "residual": True},
    "no hidden layer": {"hidden_layer_sizes": ()},
}


def fitted(problems, **params):
    X = problems["multiclass"].X
    clf = MLPClassifier(max_iter=1, n_iter_no_change=1, random_state=0, n_jobs=1, **params)
    with pytest.warns(match="Maximum iterations"):
        return clf.fit(X, problems["multiclass"].y), X


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_result_does_not_depend_on_the_workspace(name, dtype, sparse, problems):
    clf, X = fitted(problems, **NETWORKS[name])
    X = scipy.sparse.csr_matrix(X.astype(dtype)) if sparse else X.astype(dtype)
    for rows in (1, 13, 290):
        expected = clf.predict_proba(X[:rows])
        call = _predict._scratch.call
        assert call.key[2:] == (rows, sparse)
        call.work[:] = 0xFF  # NaN, or the number -1
        assert_array_equal(clf.predict_proba(X[:rows]), expected)
        assert _predict._scratch.call is call
    _predict._scratch.call = None
    assert_array_equal(clf.predict_proba(X), expected)


def test_many_threads_predict_with_one_model(problems):
    clf, X = fitted(problems)
    other = fitted(problems, **NETWORKS["batch norm"])[0]
    jobs = [(model, start, rows) for model in (clf, other) for start in range(20) for rows in (1, 7, 100)] * 5
    expected = [model.predict_proba(X[start : start + rows]) for model, start, rows in jobs]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda job: job[0].predict_proba(X[job[1] : job[1] + job[2]]), jobs)
        for ours, theirs in zip(found, expected, strict=True):
            assert_array_equal(ours, theirs)


def test_each_thread_has_its_own_workspace(problems):
    clf, X = fitted(problems)
    clf.predict_proba(X[:5])
    ours = _predict._scratch.call
    others = []

    def predict():
        assert _predict._scratch.call is None
        clf.predict_proba(X[:5])
        others.append(_predict._scratch.call)

    thread = threading.Thread(target=predict)
    thread.start()
    thread.join()
    assert not np.shares_memory(ours.work, others[0].work)
    assert ours.addresses is not others[0].addresses


def test_nothing_but_the_result_is_allocated(problems):
    clf, X = fitted(problems)
    X = np.tile(X, (10, 1))
    result = clf.predict_proba(X).nbytes
    tracemalloc.start()
    try:
        clf.predict_proba(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Validation looks at one byte for each number of X, in parts; Python's own objects take a few KB.
    assert peak <= result + X.size + 10_000


def test_large_workspaces_are_not_kept(problems, monkeypatch):
    clf, X = fitted(problems)
    monkeypatch.setattr(_predict, "KEPT_BYTES", 100)
    expected = clf.predict_proba(X)
    assert _predict._scratch.call is None
    monkeypatch.undo()
    assert_array_equal(clf.predict_proba(X), expected)
    assert _predict._scratch.call.work.size > 100


def test_a_prediction_within_a_prediction(problems, monkeypatch):
    """A signal handler may predict at any moment, here between the addresses and the kernel."""
    clf, X = fitted(problems)
    expected = [clf.predict_proba(X[:3]), clf.predict_proba(X[5:8])]
    run = _predict._Call.run
    inner = []

    def interrupted(call):
        monkeypatch.setattr(_predict._Call, "run", run)
        inner.append(clf.predict_proba(X[5:8]))
        run(call)

    monkeypatch.setattr(_predict._Call, "run", interrupted)
    assert_array_equal(clf.predict_proba(X[:3]), expected[0])
    assert_array_equal(inner[0], expected[1])
