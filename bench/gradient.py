"""Cost and gradient of one mini-batch: loops, vectorised NumPy, and the public function."""

from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from fastmlp import cost_and_gradient
from fastmlp.reference import loops, vectorized

from .harness import Case, Effort, Key, Trial, thread_counts
from .workloads import ALPHA, TRAINING, Workload, in_dtypes, start_of

__all__ = ["cases"]

LOOP_ROWS = 4
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}  # of the largest component


def problem(workload: Workload, rows: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return (coefs, intercepts, X, Y) and the options of `cost_and_gradient`."""
    X, y = (array[:rows] for array in workload.data())
    start = start_of(workload)
    return (start.coefs, start.intercepts, X, workload.targets(y)), {"output": workload.output, "alpha": ALPHA}


def trial(workload: Workload, rows: int, runs: dict[str, Any]) -> Trial:
    """Return a trial of runs that return (J, coef_grads, intercept_grads) for the first `rows` rows."""
    (coefs, intercepts, X, Y), options = problem(workload, rows)
    coefs, intercepts = ([array.astype(np.float64) for array in arrays] for arrays in (coefs, intercepts))
    J, *expected = vectorized.cost_and_gradient(
        coefs, intercepts, X.astype(np.float64), Y.astype(np.float64), **options
    )
    tolerance = TOLERANCE[workload.dtype]

    def check(found: tuple[Any, ...]) -> dict[str, Any]:
        np.testing.assert_allclose(found[0], J, rtol=tolerance)
        for ours, theirs in zip([*found[1], *found[2]], [*expected[0], *expected[1]], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())
        return {}

    batch = min(workload.batch, workload.rows)
    facts = {"flops": workload.flops * batch / workload.rows, "rows": batch, "rows measured": rows}
    # Seconds for a mini-batch; the loops get a few of its rows.
    return Trial(runs, check, per=rows / batch, facts=facts)


def in_loops(workload: Workload) -> Trial:
    """Time the loops on a few rows; the time is scaled to the mini-batch."""
    arrays, options = problem(workload, LOOP_ROWS)
    return trial(workload, LOOP_ROWS, {"1 thread": partial(loops.cost_and_gradient, *arrays, **options)})


def in_numpy(workload: Workload) -> Trial:
    """Time the vectorised reference, with the better number of BLAS threads."""
    arrays, options = problem(workload, workload.batch)
    blas = ThreadpoolController()

    def run(threads: int) -> tuple[Any, ...]:
        with blas.limit(limits=threads):
            return vectorized.cost_and_gradient(*arrays, **options)

    return trial(workload, workload.batch, {name: partial(run, n) for name, n in thread_counts().items()})


def ours(workload: Workload) -> Trial:
    """Time `fastmlp.cost_and_gradient`, which checks its arguments and chooses its number of threads."""
    arrays, options = problem(workload, workload.batch)
    run = partial(cost_and_gradient, *arrays, **options)
    return trial(workload, workload.batch, {"threads chosen by fastmlp": run})


def cases(effort: Effort) -> list[Case]:
    """Return the cases, workload by workload."""
    implementations = {"loops": in_loops, "NumPy": in_numpy, "fastmlp": ours}
    return [
        Case(Key("gradient", workload.name, workload.dtype, name), partial(make, workload))
        for workload in in_dtypes(*TRAINING[: 3 if effort < Effort.FULL else None])
        for name, make in implementations.items()
        if name != "loops" or workload.dtype == "float32"
    ]
