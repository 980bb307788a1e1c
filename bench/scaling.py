"""Measure how time and memory of a fit grow with rows, width, depth, batch size, threads and grid candidates.

In float64, so that even the largest network can be compared strictly with the reference.
"""

import tracemalloc
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from joblib import parallel_config
from sklearn.model_selection import GridSearchCV
from threadpoolctl import ThreadpoolController

from . import grid_search, training
from .harness import CORES, Case, Effort, Key, Trial
from .workloads import WORKLOADS, Workload

__all__ = ["SERIES", "Series", "cases"]

BASE = Workload("scaling", 10_000, 20, (32, 32), 2, batch=200, epochs=2, dtype="float64")


@dataclass(frozen=True)
class Series:
    """A quantity, its values, and the exponents that time and memory should have for large values."""

    name: str
    values: tuple[int, ...]
    time: float
    memory: float | None
    why: str

    def workload(self, value: int) -> Workload:
        """Return the workload with this value."""
        name = f"{self.name} = {value:,}"
        if self.name == "rows":
            return replace(BASE, name=name, rows=value, batch=min(BASE.batch, value))
        if self.name == "width":
            return replace(BASE, name=name, rows=256, columns=64, hidden=(value, value), batch=256, epochs=1)
        if self.name == "depth":
            return replace(BASE, name=name, rows=2000, columns=64, hidden=(64,) * value)
        if self.name == "batch size":
            return replace(BASE, name=name, rows=4096, batch=value)
        return replace(WORKLOADS["mnist-shape"], name=name, rows=4000, epochs=1, dtype="float64")


SERIES = {
    series.name: series
    for series in (
        Series("rows", (100, 1000, 10_000, 100_000, 1_000_000), 1, 1, "every row costs the same"),
        Series("width", (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096), 2, 2, "weights between two such layers"),
        Series("depth", (1, 2, 4, 8, 16, 32), 1, 1, "every layer costs the same"),
        Series("batch size", (1, 4, 16, 64, 256, 1024, 4096), 0, None, "the same rows, in fewer steps"),
        Series("threads", tuple(2**n for n in range(CORES.bit_length())), -1, 0, "the work is shared out"),
        Series("candidates", (2, 4, 8, 16), 1, None, "every candidate costs the same"),
    )
}
ALPHAS = np.logspace(-5, 1, 16)


def fit(series: Series, value: int) -> Trial:
    """Time a training; measure the peak of the memory that `fit` allocates."""
    made = training.fastmlp(series.workload(value), threads=value if series.name == "threads" else CORES)
    (run,) = made.runs.values()

    def check(weights: training.Weights) -> dict[str, Any]:
        made.check(weights)
        # Memory is traced in a separate run, because tracing slows down the program. Everything is compiled by now.
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return {"memory": peak}

    return Trial(made.runs, check, facts={"series": series.name, "value": value})


def search(estimator: str, candidates: int) -> GridSearchCV:
    """Return a finished search over the first `candidates` values of alpha."""
    grid = {"mlpclassifier__alpha": ALPHAS[:candidates]}
    with parallel_config("threading"), ThreadpoolController().limit(limits=1):
        return grid_search.search(estimator, *WORKLOADS["wine"].data(), CORES, grid)


def candidates(series: Series, value: int) -> Trial:
    """Time a grid search over `value` candidates, on threads."""

    def check(found: GridSearchCV) -> dict[str, Any]:
        scores, wanted = (s.cv_results_["mean_test_score"] for s in (found, search("scikit-learn", value)))
        np.testing.assert_allclose(scores, wanted, atol=0.5 / WORKLOADS["wine"].rows)
        return {}

    facts = {"series": series.name, "value": value}
    return Trial({f"{CORES} workers": partial(search, "fastmlp", value)}, check, facts=facts)


def cases(effort: Effort) -> list[Case]:
    """Return the cases of every series; `Effort.FULL` includes the largest values."""
    found = []
    for series in SERIES.values():
        make = candidates if series.name == "candidates" else fit
        for value in series.values[: 3 if effort < Effort.FULL else None]:
            key = Key("scaling", f"{series.name} = {value:,}", "float64", "fastmlp")
            found.append(Case(key, partial(make, series, value)))
    return found
