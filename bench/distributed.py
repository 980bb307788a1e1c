"""DaskMLPClassifier beside MLPClassifier on one machine: seconds of a step, and what of it is communication.

`python -m bench.distributed` starts a LocalCluster with one worker process of one thread for each core, so both have
the same cores, and stores the time of a step: of an evaluation of 'lbfgs' over all rows, and of a mini-batch of 'adam'.
What the workers take longer is what further machines have to make up for. Data of 50 columns and 7 classes, hidden
layers of 128 and 64 units, float32 ('lbfgs' computes in float64).
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import dask.array as da
import distributed
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier
from fastmlp.distributed import DaskMLPClassifier

from . import isa
from .harness import CORES, Key
from .store import LIBRARIES, SEPARATE, Run, statistics

__all__ = ["CASES", "Case", "measure"]

COLUMNS, CLASSES = 50, 7
MODELS = {"MLPClassifier": MLPClassifier, "DaskMLPClassifier": DaskMLPClassifier}


class Case(NamedTuple):
    """What is measured: the solver, the rows of a step, the rows of the data, and the steps of the shorter fit."""

    solver: str
    batch: int
    rows: int
    short: int


CASES = [
    Case("adam", 200, 4_000, 20),
    Case("adam", 2_000, 40_000, 20),
    Case("adam", 20_000, 200_000, 10),
    Case("adam", 200_000, 1_000_000, 5),
    Case("lbfgs", 10_000, 10_000, 5),
    Case("lbfgs", 100_000, 100_000, 5),
    Case("lbfgs", 1_000_000, 1_000_000, 3),
]


def measure(client: Any, case: Case, repeats: int = 3) -> list[dict[str, Any]]:
    """Return the records of the local estimator and of the workers, with the seconds of one step.

    A step is the difference between a fit and one of twice as many steps, divided by the steps. Of each fit the fastest
    run counts.
    """
    steps, chunk = "max_fun" if case.solver == "lbfgs" else "max_iter", -(-case.rows // CORES)
    each = case.short if case.solver == "lbfgs" else 1  # of 'adam', one epoch against two
    random = da.random.default_rng(0)
    X = random.standard_normal((case.rows, COLUMNS), chunks=(chunk, -1), dtype=np.float32)
    lazy = client.persist([X, random.integers(0, CLASSES, case.rows, chunks=chunk)])
    local = client.compute(lazy, sync=True)
    params = {"solver": case.solver, "batch_size": case.batch, "random_state": 0, "tol": 0}
    models = {name: model((128, 64), **params) for name, model in MODELS.items()}
    best = {(name, times): np.inf for name in models for times in (1, 2)}
    for _ in range(repeats):
        for times in (1, 2):
            for name, model in models.items():
                model.set_params(**{steps: times * each})
                begin = time.perf_counter()
                model.fit(*(local if name == "MLPClassifier" else lazy))
                best[name, times] = min(best[name, times], time.perf_counter() - begin)
    workload = f"{case.solver}, {case.batch:,} rows"
    return [
        Key("distributed", workload, "float64" if case.solver == "lbfgs" else "float32", name)._asdict()
        | statistics([(best[name, 2] - best[name, 1]) / case.short])
        | {"runs": repeats, "rows": case.batch}
        for name in models
    ]


def main(argv: Sequence[str]) -> int:
    """Measure each case, and store the run."""
    parser = argparse.ArgumentParser(prog="python -m bench.distributed", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--store", type=Path, default=SEPARATE / "distributed.jsonl", help="default: %(default)s")
    args = parser.parse_args(argv)
    begin, records = time.perf_counter(), []
    with (
        distributed.LocalCluster(n_workers=CORES, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        for case in CASES:
            found = measure(client, case, args.repeats)
            for record in found:
                print(
                    f"{record['workload']:24} {record['implementation']:18} {1e3 * record['best']:9.2f} ms", flush=True
                )
            records += found
    minutes = round((time.perf_counter() - begin) / 60, 1)
    libraries = (*LIBRARIES[:4], "dask", "distributed")
    run = Run.here(
        "python -m bench.distributed", isa.current(), records, minutes=minutes, skipped=[], libraries=libraries
    )
    run.save(args.store)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
