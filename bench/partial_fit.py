"""Compare `partial_fit` on chunks with one `fit` over the same mini-batches: `python -m bench.partial_fit`.

Both train on the same rows in the same order. The times are compared only if the weights have the same bits. A chunk of
at most 200 rows is one mini-batch; larger chunks have mini-batches of 200 rows.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier

__all__ = ["CHUNKS", "NETWORKS", "Network", "compare"]

CHUNKS = (1, 32, 1_000, 100_000)
MINI_BATCHES = {1: 2_000, 32: 2_000, 1_000: 1_000, 100_000: 1_000}


class Network(NamedTuple):
    """A classifier's layers."""

    columns: int
    hidden: tuple[int, ...]
    classes: int


NETWORKS = {
    "20-100-2": Network(20, (100,), 2),
    "54-100-7": Network(54, (100,), 7),
    "784-256-10": Network(784, (256,), 10),
}


def _seconds(run: Callable[[], MLPClassifier], clock: Callable[[], float]) -> float:
    begin = clock()
    run()
    return clock() - begin


def compare(network: Network, chunk: int, repetitions: int = 5, n_jobs: int | None = 1) -> dict[str, float]:
    """Return microseconds for each mini-batch in chunks and in one fit, the best of `repetitions`, alternating.

    With one thread these are microseconds of the CPU, which other programs lengthen less.

    Raises
    ------
    AssertionError
        The weights differ.
    """
    rng = np.random.default_rng(0)
    batch = min(chunk, 200)
    count = MINI_BATCHES[chunk]
    rows = count * batch
    X = rng.normal(size=(rows, network.columns)).astype(np.float32)
    y = rng.integers(network.classes, size=rows)
    y[: network.classes] = np.arange(network.classes)
    classes = np.arange(network.classes)
    params = {"hidden_layer_sizes": network.hidden, "shuffle": False, "random_state": 0, "n_jobs": n_jobs}
    parts = [(X[start : start + chunk], y[start : start + chunk]) for start in range(0, rows, chunk)]

    def in_chunks() -> MLPClassifier:
        model = MLPClassifier(**params)
        for X_part, y_part in parts:
            model.partial_fit(X_part, y_part, classes=classes)
        return model

    def at_once() -> MLPClassifier:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return MLPClassifier(**params, batch_size=batch, max_iter=1).fit(X, y)

    for ours, expected in zip(in_chunks().coefs_, at_once().coefs_, strict=True):
        np.testing.assert_array_equal(ours, expected)
    clock = time.process_time if n_jobs == 1 else time.perf_counter
    times = np.array([[_seconds(in_chunks, clock), _seconds(at_once, clock)] for _ in range(repetitions)])
    chunked, fit = times.min(axis=0) / count * 1e6
    return {
        "partial_fit": chunked,
        "fit": fit,
        "ratio": chunked / fit,
        "overhead of a call": (chunked - fit) * count / len(parts),
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--n-jobs", type=int, default=1)
    options = parser.parse_args()
    found = {
        (name, chunk): compare(network, chunk, options.repetitions, options.n_jobs)
        for name, network in NETWORKS.items()
        for chunk in CHUNKS
    }
    table = pd.DataFrame(found).T
    table.index.names = ["network", "rows of a chunk"]
    print("Microseconds for each mini-batch, float32")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
