"""HyperbandSearchCV beside GridSearchCV over the same grid: wall time of both, and the best scores of both.

A pipeline of scaler and classifier, 144 candidates, five folds, refit included, in one process and one thread.
`python -m bench.hyperband [repeats [data set ...]]` prints one line for each data set. The two searches take turns,
and the least time counts. The goal: Hyperband's best score within one standard error of the grid's, in at most a
quarter of the time.
"""

import sys
import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier
from fastmlp.search import HyperbandSearchCV

from .workloads import GRIDS, SEED, WORKLOADS

__all__ = ["compare"]

SPACE = {
    "mlpclassifier__alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0],
    "mlpclassifier__hidden_layer_sizes": [(25,), (50,), (100,), (50, 50)],
    "mlpclassifier__learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
}
FOLDS = 5


def compare(X: np.ndarray, y: np.ndarray, repeats: int = 2) -> dict[str, Any]:
    """Return times and best scores of both searches on one data set."""
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=SEED, n_jobs=1))
    searches = {
        "hyperband": HyperbandSearchCV(pipeline, SPACE, cv=FOLDS, random_state=SEED),
        "grid": GridSearchCV(pipeline, SPACE, cv=FOLDS),
    }
    seconds = dict.fromkeys(searches, np.inf)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(X, y).predict(X)  # loads or compiles the kernels
        for _ in range(repeats):
            for name, search in searches.items():
                begin = time.perf_counter()
                search.fit(X, y)
                seconds[name] = min(seconds[name], time.perf_counter() - begin)
    grid, hyperband = searches["grid"], searches["hyperband"]
    return {
        "seconds": seconds,
        "ratio": seconds["hyperband"] / seconds["grid"],
        "scores": {name: float(search.best_score_) for name, search in searches.items()},
        "standard_error": float(grid.cv_results_["std_test_score"][grid.best_index_] / np.sqrt(FOLDS)),
        "candidates": {name: len(search.cv_results_["params"]) for name, search in searches.items()},
        "tried": sum(rungs[0] for rungs in hyperband.n_candidates_),
    }


def main(repeats: int = 2, names: Sequence[str] = GRIDS) -> None:
    """Print the comparison for each data set."""
    for name in names:
        X, y = WORKLOADS[name].data()
        found = compare(X.astype(float), y, repeats)
        seconds, scores = found["seconds"], found["scores"]
        print(
            f"{name:14} Hyperband {seconds['hyperband']:6.1f} s, grid {seconds['grid']:6.1f} s, ratio"
            f" {found['ratio']:.3f}; best scores {scores['hyperband']:.4f} and {scores['grid']:.4f}"
            f" (standard error {found['standard_error']:.4f}); {found['tried']} of {found['candidates']['grid']} tried"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2, sys.argv[2:] or GRIDS)
