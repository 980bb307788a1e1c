"""Training while another process keeps one core busy: all threads against one thread.

A fit with a fixed share of the work for each thread would wait for the thread that shares its core. The time with all
threads should never exceed the time with one thread, apart from noise.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from . import training
from .harness import CORES, Case, Effort, Key, Trial
from .workloads import Workload, in_dtypes

__all__ = ["busy_core", "cases"]

NAMES = ("digits", "tabular-mid", "mnist-shape", "wide")
# Bound to one core where the system offers that; elsewhere the scheduler may move it.
SPIN = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
print("busy", flush=True)
while os.getppid() == int(sys.argv[1]):
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def busy_core() -> "Iterator[subprocess.Popen[str]]":
    """Keep one core busy with another process, which ends with the context or with this process; yield it."""
    command = [sys.executable, "-c", SPIN, str(os.getpid())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "busy\n":
                raise RuntimeError("the process that keeps a core busy has not started")
            yield process
        finally:
            process.kill()


def fit(workload: Workload, threads: int) -> Trial:
    """Time `fit` of our classifier while one core is busy."""
    return replace(training.fastmlp(workload, threads), during=busy_core)


def cases(effort: Effort) -> list[Case]:
    """Return the cases, workload by workload; with one core there is nothing to compare."""
    if CORES == 1:
        return []
    workloads = in_dtypes(*NAMES[: 1 if effort < Effort.FULL else None])
    if effort == Effort.CHECK:
        workloads = [replace(workload, epochs=training.CHECKED_EPOCHS) for workload in workloads]
    return [
        Case(Key("one_core_busy", workload.name, workload.dtype, name), partial(fit, workload, threads))
        for workload in workloads
        for name, threads in (("fastmlp", CORES), ("fastmlp, 1 thread", 1))
    ]
