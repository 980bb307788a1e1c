"""Weights, losses and outputs have the same bits for any number of threads, process and instruction set.

test_processes.py checks that newly compiled kernels give the same bits as kernels from the cache.

Run as a script with dtypes as arguments, this file prints a digest of every model below.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import warnings
from typing import NamedTuple

import llvmlite.binding as llvm
import numpy as np
import pytest
import scipy.sparse
from fastmlp.kernels.tables import ACTIVATIONS
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

import fastmlp
from fastmlp.training import _engine, _lbfgs, _predict, _stochastic, _workspace

DTYPES = ["float32", "float64"]


def digits(dtype):
    X, y = load_digits(return_X_y=True)
    return (X[:290] / 16).astype(dtype), y[:290]


def odd_digits(dtype):
    X, y = digits(dtype)
    return X, y % 2


def features_of_digits(dtype):
    X, y = digits(dtype)
    return X, np.column_stack([y % 2, y > 4, np.isin(y, [0, 6, 8, 9])]).astype(int)


def sparse_digits(dtype):
    X, y = digits(dtype)
    return scipy.sparse.csr_array(X), y


def progression(dtype):
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return scale(X).astype(dtype), y / 50


def weighted(dtype):
    X, y = digits(dtype)
    return X, y, np.linspace(0, 3, len(y))


CLASSIFIER, REGRESSOR = fastmlp.MLPClassifier, fastmlp.MLPRegressor
MODELS = {
    "sgd": (CLASSIFIER, digits, {"solver": "sgd", "nesterovs_momentum": False}),
    "nesterov": (CLASSIFIER, digits, {"solver": "sgd"}),
    "invscaling": (REGRESSOR, progression, {"solver": "sgd", "learning_rate": "invscaling"}),
    "adaptive": (REGRESSOR, progression, {"solver": "sgd", "learning_rate": "adaptive", "tol": 1, "max_iter": 30}),
    "lbfgs": (CLASSIFIER, digits, {"solver": "lbfgs", "hidden_layer_sizes": 19, "max_iter": 8}),
    "adam": (CLASSIFIER, digits, {}),
    "no hidden layer": (CLASSIFIER, digits, {"hidden_layer_sizes": ()}),
    "deep": (CLASSIFIER, digits, {"hidden_layer_sizes": (31, 1, 17, 16, 15)}),
    "full batch": (CLASSIFIER, digits, {"batch_size": 290, "hidden_layer_sizes": (301, 9)}),  # two chunks of rows
    "one row": (CLASSIFIER, digits, {"batch_size": 1, "max_iter": 1}),
    "residual": (CLASSIFIER, digits, {"residual": True, "hidden_layer_sizes": (64, 64, 10)}),
    "batch norm": (CLASSIFIER, digits, {"batch_norm": True}),
    "maxout": (CLASSIFIER, digits, {"activation": "maxout", "maxout_pieces": 3}),
    "sparse": (CLASSIFIER, sparse_digits, {}),
    "weights": (REGRESSOR, weighted, {}),
    "penalty": (CLASSIFIER, digits, {"alpha": 0.1, "penalty_scaling": "sum"}),
    "early stopping": (CLASSIFIER, digits, {"early_stopping": True}),
    "binary": (CLASSIFIER, odd_digits, {}),
    "multilabel": (CLASSIFIER, features_of_digits, {}),
    "one against all": (CLASSIFIER, digits, {"out_activation": "logistic"}),
    "squared error": (CLASSIFIER, odd_digits, {"loss": "squared_error"}),
    "regression": (REGRESSOR, progression, {}),
    "poisson": (REGRESSOR, progression, {"loss": "poisson"}),
    **{loss: (REGRESSOR, progression, {"loss": loss}) for loss in ("absolute_error", "huber", "cauchy", "gamma")},
    "tweedie": (REGRESSOR, progression, {"loss": "tweedie", "power": 1.7}),
    "quantile": (REGRESSOR, progression, {"loss": "quantile", "quantile": 0.9}),
    "quantiles": (REGRESSOR, progression, {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}),
    "average": (CLASSIFIER, digits, {"average": 0.9, "batch_norm": True}),
    "average, limited gradient": (CLASSIFIER, digits, {"average": 0.9, "max_grad_norm": 0.5, "batch_size": 290}),
    "focal": (CLASSIFIER, digits, {"loss": "focal", "focal_gamma": 1.5, "label_smoothing": 0.1}),
    "binary focal": (CLASSIFIER, odd_digits, {"loss": "focal", "class_weight": "balanced"}),
    **{name: (CLASSIFIER, digits, {"activation": name}) for name in ACTIVATIONS if name != "maxout"},
}
DEFAULTS = {"hidden_layer_sizes": (33, 18), "max_iter": 3, "batch_size": 43, "random_state": 0}


def train(model, dtype, n_jobs, **changes):
    """Return the weights, losses and outputs of one trained model; `changes` replace parameters."""
    estimator, data, params = MODELS[model]
    params = params | changes
    X, y, *weight = data(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = estimator(**(DEFAULTS | params), n_jobs=n_jobs).fit(X, y, *weight)
    outputs = fit.predict_proba(X) if estimator is CLASSIFIER else fit.predict(X)
    curve = np.array(getattr(fit, "loss_curve_", fit.loss_))
    parts = [*fit.coefs_, *fit.intercepts_, *getattr(fit, "gammas_", ()), *getattr(fit, "betas_", ())]
    assert all(np.isfinite(part).all() for part in parts)
    return {"weights": np.concatenate([p.ravel() for p in parts]), "outputs": outputs, "losses": curve}


def digests(dtypes):
    """Return a digest of every model."""
    result = {}
    for model in MODELS:
        for dtype in dtypes:
            digest = hashlib.sha256()
            for array in train(model, dtype, 1).values():
                digest.update(np.ascontiguousarray(array).tobytes())
            result[f"{model}, {dtype}"] = digest.hexdigest()
    return result


@pytest.fixture(scope="module")
def here():
    return digests(DTYPES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", MODELS)
def test_bits_are_independent_of_thread_count(model, dtype, monkeypatch):
    expected = train(model, dtype, 1)
    sizes = []

    class Team(_stochastic.Team):
        """Records the number of threads."""

        def __init__(self, size):
            super().__init__(size)
            sizes.append(self.size)

    # Without the lower bound on the work per thread, even small problems use all requested threads.
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_predict, "FLOPS_PER_THREAD", 1)
    for module in (_stochastic, _lbfgs, _predict):
        monkeypatch.setattr(module, "Team", Team)
    for n_jobs in (2, 3, 4):
        sizes.clear()
        got = train(model, dtype, n_jobs)
        assert sizes.count(n_jobs) >= 1
        if model != "one row":
            assert set(sizes) == {n_jobs}
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array, err_msg=f"{name}, {n_jobs} threads")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("model", [name for name, (*_, params) in MODELS.items() if params.get("solver") != "lbfgs"])
def test_bits_are_independent_of_sharing(model, dtype, monkeypatch):
    """Threads claim parts of the work, which they otherwise do for large networks only, or have fixed shares."""
    changes = {"batch_size": 261, "max_iter": 2}  # shares of several parts; the last batch is small
    expected = train(model, dtype, 1, **changes)
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(_workspace, "PART_ROWS", 1)
    for work, n_jobs in ((1, 2), (1, 3), (1, 8), (10**12, 8)):
        monkeypatch.setattr(_workspace, "CLAIMED_FLOPS", work)
        got = train(model, dtype, n_jobs, **changes)
        for name, array in expected.items():
            np.testing.assert_array_equal(got[name], array, err_msg=f"{name}, {n_jobs} threads, {work}")


class Process(NamedTuple):
    """The CPU and the dtypes that a process compiles for; one dtype takes about ten seconds."""

    dtypes: list
    cpu: str
    features: str
    needed: str


# The kernels for the first CPU are compiled when the package is installed; the others are compiled by the test.
PRECOMPILED = Process(DTYPES, "haswell", "+avx2,+fma,+avx,+sse4.2,+bmi,+bmi2,+popcnt", "avx2")
PROCESSES = {
    "AVX2 and FMA": Process(DTYPES, "haswell", "+avx2,+fma", "avx2"),
    "baseline and FMA": Process(["float64"], "x86-64", "+fma", "fma"),
}


def start(dtypes, **environment):
    command = [sys.executable, __file__, *dtypes]
    return subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True)


def can_run(process):
    """Return whether this machine can run code for the CPU of the process."""
    return platform.machine() in ("x86_64", "AMD64") and bool(llvm.get_host_cpu_features().get(process.needed))


def start_for_cpu(process, cache):
    return start(
        process.dtypes,
        NUMBA_CACHE_DIR=str(cache),
        NUMBA_CPU_NAME=process.cpu,
        NUMBA_CPU_FEATURES=process.features,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """Start all processes that compile the kernels for another CPU, and end them after the tests."""
    processes = {
        name: start_for_cpu(process, tmp_path_factory.mktemp("cache"))
        for name, process in PROCESSES.items()
        if can_run(process)
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.communicate()


def assert_same(process, here):
    output, _ = process.communicate(timeout=1200)
    assert process.returncode == 0
    there = json.loads(output)
    assert there
    assert there == {name: here[name] for name in there}


def test_bits_are_independent_of_process(here):
    assert_same(start(DTYPES), here)


def test_bits_are_independent_of_precompiled_instruction_set(here, tmp_path):
    if not can_run(PRECOMPILED):
        pytest.skip("this machine cannot run AVX2 code")
    assert_same(start_for_cpu(PRECOMPILED, tmp_path), here)


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESSES)
def test_bits_are_independent_of_instruction_set(name, running, here):
    if name not in running:
        pytest.skip(f"this machine cannot run code for {name}")
    assert_same(running[name], here)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(digests(sys.argv[1:])))
