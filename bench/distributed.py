"""DaskMLPClassifier beside MLPClassifier on one machine: seconds of a step, and what of it is communication.

`python -m bench.distributed` starts a LocalCluster with one worker process of one thread for each core, so both have
the same cores, and prints the least time of a step for each number of rows: an evaluation of 'lbfgs', and a step of
'adam' with mini-batches of 200 and of 20,000 rows. The workers cannot be faster here; what they take longer is what
further machines have to make up for. Data of 50 columns and 7 classes, hidden layers of 128 and 64 units, float32
('lbfgs' computes in float64).
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

ROWS = (10_000, 100_000, 1_000_000)
SOLVERS: dict[str, dict[str, Any]] = {
    "lbfgs": {"solver": "lbfgs", "max_fun": 4},
    "adam, 200": {"batch_size": 200, "max_iter": 1},
    "adam, 20,000": {"batch_size": 20_000, "max_iter": 1},
}
STEPS = 40  # of adam: more of them would say nothing new


def measure(client: Any, rows: int, solver: str, repeats: int = 3) -> tuple[float, float]:
    """Return the seconds of one step: local, and by the workers."""
    params = {"hidden_layer_sizes": (128, 64), "random_state": 0, **SOLVERS[solver]}
    batch = params.get("batch_size", rows)
    used = min(rows, max(batch, batch * STEPS))
    random = np.random.default_rng(0)
    X, y = random.standard_normal((used, 50), dtype=np.float32), random.integers(0, 7, used)
    chunk = -(-used // CORES)
    lazy = client.persist([da.from_array(X, chunks=(chunk, -1)), da.from_array(y, chunks=chunk)])
    local, cluster = MLPClassifier(**params), DaskMLPClassifier(**params)
    best = [np.inf, np.inf]
    for _ in range(repeats):
        for i, fit in enumerate((lambda: local.fit(X, y), lambda: cluster.fit(*lazy, client=client))):
            seconds = []
            # What a fit takes besides its steps is the same for one epoch and for two.
            for factor in (1, 2):
                key = "max_fun" if solver == "lbfgs" else "max_iter"
                for model in (local, cluster):
                    model.set_params(**{key: params[key] * factor})
                begin = time.perf_counter()
                fit()
                seconds.append(time.perf_counter() - begin)
            steps = params["max_fun"] if solver == "lbfgs" else -(-used // batch)
            best[i] = min(best[i], (seconds[1] - seconds[0]) / steps)
    return best[0], best[1]


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    with (
        distributed.LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        print(f"{CORES} cores, {CORES} workers of one thread; milliseconds of one step")
        for solver in SOLVERS:
            for rows in ROWS:
                if rows < SOLVERS[solver].get("batch_size", 0):
                    continue
                local, remote = measure(client, rows, solver)
                print(f"{solver:13} {rows:9,} rows: local {1e3 * local:9.2f}, Dask {1e3 * remote:9.2f}", flush=True)


if __name__ == "__main__":
    main()
