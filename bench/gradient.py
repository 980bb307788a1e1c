"""One gradient of one mini-batch: loops, vectorised NumPy, and the kernels."""

from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from fastmlp import cost_and_gradient
from fastmlp.inspection._objective import Objective
from fastmlp.reference import loops, vectorized
from fastmlp.training._engine import prepare_data
from fastmlp.training._network import Network

from .harness import CORES, Case, Effort, Key, Trial, thread_counts
from .workloads import ALPHA, TRAINING, WORKLOADS, Workload, start_of

__all__ = ["cases"]

LOOP_ROWS = 4
TOLERANCE = 2e-5  # of the largest component, in float32


def problem(workload: Workload, rows: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return (coefs, intercepts, X, Y) and the options of `cost_and_gradient`."""
    X, y = (array[:rows] for array in workload.data())
    start = start_of(workload)
    return (start.coefs, start.intercepts, X, workload.targets(y)), {"output": workload.output, "alpha": ALPHA}


def trial(workload: Workload, rows: int, runs: dict[str, Any]) -> Trial:
    """Return a trial of runs that return (J, coef_grads, intercept_grads) for the first `rows` rows."""
    arrays, options = problem(workload, rows)
    J, *expected = vectorized.cost_and_gradient(
        *([W.astype(np.float64) for W in a] if isinstance(a, list) else a.astype(np.float64) for a in arrays), **options
    )

    def judge(found: tuple[Any, ...]) -> dict[str, Any]:
        np.testing.assert_allclose(found[0], J, rtol=TOLERANCE)
        for ours, theirs in zip([*found[1], *found[2]], [*expected[0], *expected[1]], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())
        return {}

    batch = min(workload.batch, workload.rows)
    facts = {"flops": workload.flops * batch / workload.rows, "rows": batch, "rows measured": rows}
    # Seconds for a mini-batch; the loops get a few of its rows.
    return Trial(runs, judge, per=rows / batch, facts=facts)


def in_loops(workload: Workload) -> Trial:
    """The loops, on a few rows; the time is scaled to the mini-batch."""
    arrays, options = problem(workload, LOOP_ROWS)
    return trial(workload, LOOP_ROWS, {"1 thread": partial(loops.cost_and_gradient, *arrays, **options)})


def in_numpy(workload: Workload) -> Trial:
    """The vectorised reference in float32, with the better number of BLAS threads."""
    arrays, options = problem(workload, workload.batch)
    blas = ThreadpoolController()

    def run(threads: int) -> tuple[Any, ...]:
        with blas.limit(limits=threads):
            return vectorized.cost_and_gradient(*arrays, **options)

    return trial(workload, workload.batch, {name: partial(run, n) for name, n in thread_counts().items()})


def in_public(workload: Workload) -> Trial:
    """`fastmlp.cost_and_gradient`, which checks its arguments and gathers the weights."""
    arrays, options = problem(workload, workload.batch)
    return trial(workload, workload.batch, {"all threads": partial(cost_and_gradient, *arrays, **options)})


def in_kernels(workload: Workload, threads: int) -> Trial:
    """What L-BFGS evaluates: the kernels, prepared once for the data."""
    (coefs, intercepts, X, Y), _ = problem(workload, workload.batch)
    network = Network(
        workload.units,
        ("relu",) * len(workload.hidden),
        workload.output,
        "log_loss",
    )
    w = network.pack((coefs, intercepts, [], []), workload.dtype)
    objective = Objective(network, prepare_data(X, Y, None, w.dtype), w, ALPHA, "mean", threads)

    def run() -> tuple[Any, ...]:
        J, g = objective.cost_and_gradient()
        parts = network.parts(g)
        return J, parts.coefs, parts.intercepts

    return trial(workload, workload.batch, {f"at most {threads}": run})


def cases(effort: Effort) -> list[Case]:
    """Return the cases, workload by workload."""
    contestants = {"loops": in_loops, "NumPy": in_numpy, "fastmlp, 1 thread": partial(in_kernels, threads=1)}
    if CORES > 1:
        contestants["fastmlp"] = partial(in_kernels, threads=CORES)
    contestants["cost_and_gradient"] = in_public
    return [
        Case(Key("gradient", name, contestant), partial(make, WORKLOADS[name]))
        for name in TRAINING[: 3 if effort < Effort.FULL else None]
        for contestant, make in contestants.items()
    ]
