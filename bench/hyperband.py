"""HyperbandSearchCV beside GridSearchCV over the same grid: wall time of both, and the best scores of both.

A pipeline of scaler and classifier, 144 candidates, five folds, refit included, in one process and one thread.
`python -m bench.hyperband` stores a run, which the report shows. The two searches take turns, and the least time
counts. The goal: Hyperband's best score within one standard error of the grid's, in at most a quarter of the time.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier
from fastmlp.search import HyperbandSearchCV

from . import isa
from .harness import Key
from .store import LIBRARIES, SEPARATE, Run, statistics
from .workloads import GRIDS, SEED, WORKLOADS

__all__ = ["compare"]

SPACE = {
    "mlpclassifier__alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0],
    "mlpclassifier__hidden_layer_sizes": [(25,), (50,), (100,), (50, 50)],
    "mlpclassifier__learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
}
FOLDS = 5


def compare(name: str, X: np.ndarray, y: np.ndarray, repeats: int = 2) -> list[dict[str, Any]]:
    """Search the data set `name` with both; return a record of a stored run for each."""
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=SEED, n_jobs=1))
    searches = {
        "HyperbandSearchCV": HyperbandSearchCV(pipeline, SPACE, cv=FOLDS, random_state=SEED),
        "GridSearchCV": GridSearchCV(pipeline, SPACE, cv=FOLDS),
    }
    seconds: dict[str, list[float]] = {name: [] for name in searches}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(X, y).predict(X)  # loads or compiles the kernels
        for _ in range(repeats):
            for title, search in searches.items():
                begin = time.perf_counter()
                search.fit(X, y)
                seconds[title].append(time.perf_counter() - begin)
    records = []
    for title, search in searches.items():
        facts = {
            "score": float(search.best_score_),
            "standard_error": float(search.cv_results_["std_test_score"][search.best_index_] / np.sqrt(FOLDS)),
            "candidates": sum(rungs[0] for rungs in search.n_candidates_)
            if isinstance(search, HyperbandSearchCV)
            else len(search.cv_results_["params"]),
        }
        records.append(Key("hyperband", name, "float64", title)._asdict() | statistics(seconds[title]) | facts)
    return records


def main(argv: Sequence[str]) -> int:
    """Measure each data set, and store the run."""
    parser = argparse.ArgumentParser(prog="python -m bench.hyperband", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(GRIDS), help="comma-separated data sets; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--store", type=Path, default=SEPARATE / "hyperband.jsonl", help="default: %(default)s")
    args = parser.parse_args(argv)
    names = args.only.split(",")
    if unknown := [name for name in names if name not in GRIDS]:
        parser.error(f"--only: {unknown[0]!r} is none of {', '.join(GRIDS)}")
    begin, records = time.perf_counter(), []
    for name in names:
        X, y = WORKLOADS[name].data()
        found = compare(name, X.astype(float), y, args.repeats)
        for record in found:
            print(
                f"{name:14} {record['implementation']:18} {record['best']:7.2f} s, best score {record['score']:.4f}"
                f" (standard error {record['standard_error']:.4f}), {record['candidates']} candidates",
                flush=True,
            )
        records += found
    minutes = round((time.perf_counter() - begin) / 60, 1)
    command, libraries = "python -m bench.hyperband", LIBRARIES[:4]
    run = Run.here(command, isa.current(), records, minutes=minutes, skipped=[], libraries=libraries)
    run.save(args.store)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
