"""Probabilities of one row, a hundred, a hundred thousand: the network of the covertype-like workload."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn import neural_network
from threadpoolctl import ThreadpoolController

from fastmlp import MLPClassifier

from . import peers
from .harness import CORES, Case, Effort, Key, Trial, thread_counts
from .training import classifier_options, outputs
from .workloads import WORKLOADS, Workload, start_of

__all__ = ["cases"]

ROWS = (1, 100, 100_000)
TOLERANCE = 1e-5
CALLS = 200  # of one run, where a call takes microseconds
FITTED_ROWS = 1000  # enough to know columns and classes


def trial(workload: Workload, rows: int, predict: dict[str, Callable[[np.ndarray], np.ndarray]]) -> Trial:
    """Return a trial of functions from rows to probabilities."""
    X = np.ascontiguousarray(workload.data()[0][:rows])
    calls = CALLS if rows < FITTED_ROWS else 1

    def run(predict: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        for _ in range(calls):
            h = predict(X)
        return h

    def judge(h: np.ndarray) -> dict[str, Any]:
        start = start_of(workload)
        np.testing.assert_allclose(h, outputs(workload, start.coefs, start.intercepts, X), atol=TOLERANCE)
        return {}

    flops = 2 * rows * sum(a * b for a, b in zip(workload.units, workload.units[1:], strict=False))
    runs = {name: partial(run, function) for name, function in predict.items()}
    return Trial(runs, judge, per=calls, facts={"rows": rows, "flops": flops})


def fitted(workload: Workload, classifier: type, **options: Any) -> Any:
    """Return a fitted classifier with the weights of the common start."""
    X, y = (array[:FITTED_ROWS] for array in workload.data())
    start = start_of(workload)
    model = classifier(**classifier_options(workload), **options).fit(X, y)
    # In place: a model whose arrays were replaced is not what people predict with, and ours would pack them every time.
    arrays, wanted = model.coefs_ + model.intercepts_, list(start.coefs) + list(start.intercepts)
    for array, values in zip(arrays, wanted, strict=True):
        array[...] = values
    return model


def fastmlp(workload: Workload, rows: int) -> Trial:
    """Our `predict_proba`."""
    model = fitted(workload, MLPClassifier, n_jobs=CORES)
    return trial(workload, rows, {f"at most {CORES}": model.predict_proba})


def scikit_learn(workload: Workload, rows: int) -> Trial:
    """scikit-learn's `predict_proba`, with the better number of BLAS threads."""
    model = fitted(workload, neural_network.MLPClassifier)
    blas = ThreadpoolController()

    def predict(X: np.ndarray, threads: int) -> np.ndarray:
        with blas.limit(limits=threads):
            return model.predict_proba(X)

    # Changing the number of threads takes time too: it is left alone where all are wanted.
    predictors = {"as many threads as BLAS likes": model.predict_proba}
    if rows >= FITTED_ROWS:
        predictors |= {name: partial(predict, threads=n) for name, n in thread_counts().items()}
    return trial(workload, rows, predictors)


def peer(workload: Workload, rows: int, predictors: Callable[..., Any]) -> Trial:
    """A predictor of `peers`."""
    return trial(workload, rows, predictors(workload))


def cases(effort: Effort) -> list[Case]:
    """Return the cases by number of rows."""
    workload = WORKLOADS["covertype-like"]
    contestants = {
        "fastmlp": (fastmlp, ""),
        "scikit-learn": (scikit_learn, ""),
        "PyTorch": (partial(peer, predictors=peers.torch_predictors), "torch"),
        "JAX": (partial(peer, predictors=peers.jax_predictors), "jax"),
    }
    return [
        Case(Key("predict", f"{rows:,} row{'s' * (rows > 1)}", name), partial(make, workload, rows), needs)
        for rows in ROWS
        for name, (make, needs) in contestants.items()
    ]
