"""Fits and predictions in several threads and in forked processes match serial ones and never hang."""

import multiprocessing
import os
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_digits

import fastmlp
from fastmlp.training import _engine, _predict

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
WORKERS = 8
PARAMS = [
    {"hidden_layer_sizes": (33, 20), "activation": activation, "solver": solver, "n_jobs": n_jobs}
    for activation, solver, n_jobs in (
        *(("relu", "adam", 1), ("tanh", "sgd", 2), ("maxout", "adam", 3), ("gelu", "lbfgs", 2)),
        *(("elu", "adam", 2), ("relu", "lbfgs", 1), ("silu", "sgd", 3), ("softplus", "adam", 4)),
    )
]


def data():
    X, y = load_digits(return_X_y=True)
    return X[:300].astype(np.float32) / 16, y[:300]


def fit(params):
    """Return a model fitted with these parameters."""
    with warnings.catch_warnings():
        # pytest's mark does not apply where the file runs as a script.
        warnings.simplefilter("ignore")
        return fastmlp.MLPClassifier(**params, batch_size=70, max_iter=3, random_state=0).fit(*data())


def outcome(params):
    """Return the weights and probabilities of a fitted model in one vector."""
    model = fit(params)
    parts = [a.ravel() for a in (*model.coefs_, *model.intercepts_, model.predict_proba(data()[0]))]
    return np.concatenate(parts)


def side_by_side(function, items):
    """Return [function(item) for item in items], computed concurrently."""
    together = threading.Barrier(len(items))

    def begin(item):
        together.wait()
        return function(item)

    with ThreadPoolExecutor(len(items)) as pool:
        return list(pool.map(begin, items))


def large_teams():
    """Use all requested threads even for small problems."""
    _engine.FLOPS_PER_THREAD = _predict.FLOPS_PER_THREAD = 1


@pytest.fixture(autouse=True)
def _large_teams(monkeypatch):
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_predict, "FLOPS_PER_THREAD", 1)


def assert_same(first, second):
    for a, b, params in zip(first, second, PARAMS, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=str(params))


@pytest.mark.filterwarnings("ignore:.*catch_warnings")
def test_concurrent_fits_match_serial_fits():
    serial = [outcome(params) for params in PARAMS]
    for _ in range(2):
        assert_same(side_by_side(outcome, PARAMS), serial)


COLD = """
import runpy, sys
import numpy
scope = runpy.run_path(sys.argv[1])
scope["large_teams"]()
# Eight threads request kernels that are not compiled yet.
threads = scope["side_by_side"](scope["outcome"], scope["PARAMS"])
numpy.savez(sys.argv[2], *threads)
"""


@pytest.mark.slow
def test_concurrent_first_fits_match_serial_fits(tmp_path):
    """Kernels that several threads compile at the same time give the same bits as those of this process."""
    serial = [outcome(params) for params in PARAMS]
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", COLD, __file__, str(tmp_path / "threads.npz")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stderr
    with np.load(tmp_path / "threads.npz") as file:
        assert_same(list(file.values()), serial)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_concurrent_predictions_match_serial_predictions(n_jobs):
    model = fit(PARAMS[0]).set_params(n_jobs=n_jobs)
    X, _ = data()
    parts = [X[i : i + 200] for i in range(WORKERS)]
    expected = [model.predict_proba(part) for part in parts]
    for _ in range(5):
        for a, b in zip(side_by_side(model.predict_proba, parts), expected, strict=True):
            np.testing.assert_array_equal(a, b)


def in_child(params, queue):
    queue.put(outcome(params))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
# The warning is about threads of other libraries; test_threads.py checks that fastmlp leaves none running.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fit_in_forked_child():
    """A forked child starts its own threads, because the threads of its parent do not exist there."""
    serial = [outcome(params) for params in PARAMS[:4]]
    context = multiprocessing.get_context("fork")
    queues = [context.SimpleQueue() for _ in serial]
    children = [
        context.Process(target=in_child, args=(params, queue)) for params, queue in zip(PARAMS, queues, strict=False)
    ]
    for child in children:
        child.start()
    # Read the results first, because a child does not exit before its result is read.
    for child, queue, expected in zip(children, queues, serial, strict=True):
        assert queue._reader.poll(1200), "a child does not answer"
        np.testing.assert_array_equal(queue.get(), expected)
        child.join(1200)
        assert child.exitcode == 0
    assert_same([*serial, *serial], [*serial, *(outcome(params) for params in PARAMS[:4])])


def test_fit_outside_main_thread():
    serial = outcome(PARAMS[1])
    (threaded,) = side_by_side(outcome, PARAMS[1:2])
    np.testing.assert_array_equal(threaded, serial)
