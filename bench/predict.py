"""Predicted probabilities of one row, a hundred and a hundred thousand: the network of the covertype-like workload."""

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
from .workloads import Workload, in_dtypes, start_of

__all__ = ["cases"]

ROWS = (1, 100, 100_000)
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
CALLS = 200  # of one run, if a call takes microseconds
FITTED_ROWS = 1000  # enough to contain all classes


def trial(workload: Workload, rows: int, predict: dict[str, Callable[[np.ndarray], np.ndarray]]) -> Trial:
    """Return a trial of functions from rows to probabilities."""
    X = np.ascontiguousarray(workload.data()[0][:rows])
    calls = CALLS if rows < FITTED_ROWS else 1

    def run(predict: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        for _ in range(calls):
            h = predict(X)
        return h

    def check(h: np.ndarray) -> dict[str, Any]:
        start = start_of(workload)
        np.testing.assert_allclose(
            h, outputs(workload, start.coefs, start.intercepts, X), atol=TOLERANCE[workload.dtype]
        )
        return {}

    flops = 2 * rows * sum(a * b for a, b in zip(workload.units, workload.units[1:], strict=False))
    runs = {name: partial(run, function) for name, function in predict.items()}
    return Trial(runs, check, per=calls, facts={"rows": rows, "flops": flops})


def fitted(workload: Workload, classifier: type, **options: Any) -> Any:
    """Return a fitted classifier with the weights of the common start."""
    X, y = (array[:FITTED_ROWS] for array in workload.data())
    start = start_of(workload)
    model = classifier(**classifier_options(workload), **options).fit(X, y)
    # In place: replacing the arrays would make our predict copy them into one vector in every call.
    arrays, wanted = model.coefs_ + model.intercepts_, list(start.coefs) + list(start.intercepts)
    for array, values in zip(arrays, wanted, strict=True):
        array[...] = values
    return model


def fastmlp(workload: Workload, rows: int) -> Trial:
    """Time our `predict_proba`."""
    model = fitted(workload, MLPClassifier, n_jobs=CORES)
    return trial(workload, rows, {f"at most {CORES} threads": model.predict_proba})


def scikit_learn(workload: Workload, rows: int) -> Trial:
    """Time scikit-learn's `predict_proba`, with the better number of BLAS threads."""
    model = fitted(workload, neural_network.MLPClassifier)
    blas = ThreadpoolController()

    def predict(X: np.ndarray, threads: int) -> np.ndarray:
        with blas.limit(limits=threads):
            return model.predict_proba(X)

    # Changing the number of threads takes time too, so one configuration does not change it.
    predictors = {"threads chosen by BLAS": model.predict_proba}
    if rows >= FITTED_ROWS:
        predictors |= {name: partial(predict, threads=n) for name, n in thread_counts().items()}
    return trial(workload, rows, predictors)


def peer(workload: Workload, rows: int, predictors: Callable[..., Any]) -> Trial:
    """Time a predictor of `peers`."""
    return trial(workload, rows, predictors(workload))


def cases(effort: Effort) -> list[Case]:
    """Return the cases by number of rows."""
    implementations = {
        "fastmlp": (fastmlp, ""),
        "scikit-learn": (scikit_learn, ""),
        "PyTorch": (partial(peer, predictors=peers.torch_predictors), "torch"),
        "JAX": (partial(peer, predictors=peers.jax_predictors), "jax"),
    }
    return [
        Case(
            Key("predict", f"{rows:,} row{'s' * (rows > 1)}", workload.dtype, name),
            partial(make, workload, rows),
            needs,
        )
        for workload in in_dtypes("covertype-like")
        for rows in ROWS
        for name, (make, needs) in implementations.items()
    ]
