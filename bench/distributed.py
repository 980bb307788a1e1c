"""DaskMLPClassifier beside MLPClassifier on one machine: seconds of a step, and what of it is communication.

`python -m bench.distributed` starts a LocalCluster with one worker process of one thread for each core, so both have
the same cores, and prints the time of a step: of an evaluation of 'lbfgs' over all rows, and of a mini-batch of 'adam'.
The workers cannot be faster here. What they take longer is what further machines have to make up for. Data of 50
columns and 7 classes, hidden layers of 128 and 64 units, float32 ('lbfgs' computes in float64).
"""

import time
import warnings
from typing import Any

import dask.array as da
import distributed
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier
from fastmlp.distributed import DaskMLPClassifier

from .harness import CORES

__all__ = ["measure"]

# Rows of a step, rows of the data, and the parameter that counts steps, with its value for a short fit.
CASES: list[tuple[str, int, int, str, int]] = [
    ("lbfgs", 10_000, 10_000, "max_fun", 5),
    ("lbfgs", 100_000, 100_000, "max_fun", 5),
    ("lbfgs", 1_000_000, 1_000_000, "max_fun", 3),
    ("adam", 200, 4_000, "max_iter", 1),
    ("adam", 20_000, 200_000, "max_iter", 1),
]
COLUMNS, CLASSES = 50, 7


def measure(client: Any, case: tuple[str, int, int, str, int], repeats: int = 3) -> list[float]:
    """Return the seconds of one step: local, and by the workers.

    It is a share of the difference between a fit and one of twice as many steps, of each the fastest.
    """
    solver, batch, rows, counter, short = case
    random, chunk = da.random.default_rng(0), -(-rows // CORES)
    X = random.standard_normal((rows, COLUMNS), chunks=(chunk, -1), dtype=np.float32)
    lazy = client.persist([X, random.integers(0, CLASSES, rows, chunks=chunk)])
    local = client.compute(lazy, sync=True)
    params = {"hidden_layer_sizes": (128, 64), "solver": solver, "batch_size": batch, "random_state": 0, "tol": 0}
    models = [MLPClassifier(**params), DaskMLPClassifier(**params)]
    best = np.full((2, 2), np.inf)
    for _ in range(repeats):
        for times in (1, 2):
            for i, (model, data) in enumerate(zip(models, (local, lazy), strict=True)):
                model.set_params(**{counter: times * short})
                begin = time.perf_counter()
                model.fit(*data)
                best[i, times - 1] = min(best[i, times - 1], time.perf_counter() - begin)
    steps = short if solver == "lbfgs" else rows // batch
    return list((best[:, 1] - best[:, 0]) / steps)


def main() -> None:
    """Print the table."""
    with (
        distributed.LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        print(f"{CORES} cores, {CORES} workers of one thread; milliseconds of one step")
        for case in CASES:
            local, remote = measure(client, case)
            print(f"{case[0]:5} {case[1]:9,} rows: local {1e3 * local:8.2f}, Dask {1e3 * remote:8.2f}", flush=True)


if __name__ == "__main__":
    main()
