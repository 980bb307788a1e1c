"""GridSearchCV over penalty and hidden size: wall time of the whole search.

A pipeline of scaler and classifier, float64, all cores, refit included. Both estimators must choose the same
parameters with the same scores. joblib's processes are already running, as in the second search of a session; the start
of the first one is in `start_up`.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from joblib import parallel_config
from sklearn import neural_network
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import ThreadpoolController

from fastmlp import MLPClassifier

from .harness import CORES, Case, Effort, Key, Trial
from .workloads import GRIDS, SEED, WORKLOADS, Workload

__all__ = ["cases", "search"]

GRID = {"mlpclassifier__alpha": [1e-4, 1e-3, 1e-2, 1e-1], "mlpclassifier__hidden_layer_sizes": [(25,), (50,), (100,)]}
FOLDS = 5
ESTIMATORS = {"scikit-learn": neural_network.MLPClassifier, "fastmlp": MLPClassifier}
BACKENDS = ("loky", "threading")


def search(name: str, X: np.ndarray, y: np.ndarray, n_jobs: int, grid: dict[str, list[Any]]) -> GridSearchCV:
    """Return a finished search with the estimator called `name`, its other parameters at their defaults."""
    pipeline = make_pipeline(StandardScaler(), ESTIMATORS[name](random_state=SEED))
    return GridSearchCV(pipeline, grid, cv=FOLDS, n_jobs=n_jobs).fit(X, y)


_found: dict[Workload, GridSearchCV] = {}


def expected(workload: Workload) -> GridSearchCV:
    """Return scikit-learn's search: the one that was timed, if it has run."""
    if workload not in _found:
        _found[workload] = search("scikit-learn", *workload.data(), CORES, GRID)
    return _found[workload]


def check(workload: Workload, name: str, found: GridSearchCV) -> dict[str, Any]:
    """Compare best parameters and all scores with scikit-learn's."""
    if name == "scikit-learn":
        _found.setdefault(workload, found)
    assert found.best_params_ == expected(workload).best_params_, (
        f"best parameters {found.best_params_}, scikit-learn finds {expected(workload).best_params_}"
    )
    scores, wanted = (s.cv_results_["mean_test_score"] for s in (found, expected(workload)))
    np.testing.assert_allclose(scores, wanted, atol=0.5 / len(workload.data()[1]))
    return {
        "accuracy": float(found.best_score_),
        "best_parameters": ", ".join(f"{key.split('__')[1]}={value}" for key, value in found.best_params_.items()),
    }


def trial(workload: Workload, name: str, backend: str) -> Trial:
    """Time one search with one of joblib's backends."""
    X, y = workload.data()
    blas = ThreadpoolController()
    if backend == "loky":
        # A long search is timed in its first run, so the processes must already run and have imported the estimator.
        search(name, *WORKLOADS["tiny"].data(), CORES, {"mlpclassifier__tol": [1.0]})

    def run() -> GridSearchCV:
        # Without a limit, each of the workers would start as many BLAS threads as there are cores.
        with parallel_config(backend), blas.limit(limits=1 if backend == "threading" else None):
            return search(name, X, y, CORES, GRID)

    candidates = int(np.prod([len(values) for values in GRID.values()]))
    facts = {"fits": candidates * FOLDS + 1, "rows": workload.rows}
    return Trial({f"{CORES} workers": run}, partial(check, workload, name), facts=facts)


def cases(effort: Effort) -> list[Case]:
    """Return the cases, data set by data set."""
    workloads = [replace(WORKLOADS[name], dtype="float64") for name in GRIDS[: 1 if effort < Effort.FULL else None]]
    return [
        Case(
            Key("grid_search", workload.name, workload.dtype, f"{name}, {backend}"),
            partial(trial, workload, name, backend),
        )
        for workload in workloads
        for backend in {Effort.CHECK: BACKENDS[-1:], Effort.QUICK: BACKENDS[:1], Effort.FULL: BACKENDS}[effort]
        for name in ESTIMATORS
    ]
