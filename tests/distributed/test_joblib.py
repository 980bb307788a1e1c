"""Searches on joblib's Dask backend: the same scores, no compilation, and no more threads than cores."""

import distributed
import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier
from fastmlp.search import HyperbandSearchCV

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

GRID = {"mlpclassifier__alpha": [1e-4, 1e-2, 1.0], "mlpclassifier__hidden_layer_sizes": [4, 9]}
PIPELINE = make_pipeline(StandardScaler(), MLPClassifier(max_iter=12, random_state=0))
SEARCHES = {
    "GridSearchCV": GridSearchCV(PIPELINE, GRID, cv=3),
    "HalvingGridSearchCV": HalvingGridSearchCV(PIPELINE, GRID, cv=3, random_state=0),
    "HyperbandSearchCV": HyperbandSearchCV(PIPELINE, GRID, cv=3, random_state=0),
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300], y[:300]


def record_compiles(dask_worker):
    """Begin to count what Numba compiles in a worker."""
    from numba.core import event

    dask_worker.recorder = event.RecordingListener()
    event.register("numba:compile", dask_worker.recorder)


def count_compiles(dask_worker):
    from numba.core import event

    event.unregister("numba:compile", dask_worker.recorder)
    return len(dask_worker.recorder.buffer)


@pytest.mark.parametrize("name", SEARCHES)
def test_scores_are_those_of_this_process(name, client, digits):
    X, y = digits
    search = SEARCHES[name]
    expected = clone(search).fit(X, y)  # what workers need is in the on-disk cache then
    client.run(record_compiles)
    with joblib.parallel_config("dask"):
        found = clone(search).set_params(n_jobs=2).fit(X, y)
    assert client.run(count_compiles) == dict.fromkeys(client.scheduler_info()["workers"], 0)
    for key, value in expected.cv_results_.items():
        if not key.endswith("time"):
            assert_array_equal(found.cv_results_[key], value, err_msg=key)
    assert found.best_params_ == expected.best_params_
    assert_array_equal(found.predict(X), expected.predict(X))


def threads_of_a_fit():
    from fastmlp.training._threads import available_threads

    return available_threads(None)


def test_worker_processes_do_not_oversubscribe(client):
    """Dask limits OpenMP to one thread in each of them, and a fit respects that."""
    # Dask would send the name of a function of this module. The lambda has none that can be imported, so it is sent by
    # value; otherwise the workers would look for `tests` among all installed packages.
    assert client.submit(lambda: threads_of_a_fit(), pure=False).result(timeout=1200) == 1
    with joblib.parallel_config("dask"):
        threads = joblib.Parallel(n_jobs=2)(joblib.delayed(lambda: threads_of_a_fit())() for _ in range(2))
    assert threads == [1, 1]


def test_threads_of_a_worker_share_its_cores(monkeypatch):
    """A worker in this process has no limit from Dask."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    alone = threads_of_a_fit()
    for threads in (1, 2, 5):
        with (
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=threads, processes=False, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            share = client.submit(threads_of_a_fit).result(timeout=1200)
            assert share == max(1, alone // threads)
            assert threads_of_a_fit() == alone  # outside of tasks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fits_in_workers_have_the_same_weights(dtype, client, digits):
    X, y = digits[0].astype(dtype), digits[1]
    model = MLPClassifier(max_iter=3, random_state=0)
    here = [a.copy() for a in model.fit(X, y).coefs_]
    there = client.submit(lambda: MLPClassifier(max_iter=3, random_state=0).fit(X, y).coefs_).result(timeout=1200)
    for a, b in zip(here, there, strict=True):
        assert_array_equal(a, b)
