"""Another process uses one core, and ends with the context manager."""

import os

import pytest

from bench.harness import CORES, Effort
from bench.one_core_busy import busy_core, cases


def test_the_process_ends_with_the_context():
    with busy_core() as process:
        assert process.poll() is None
    assert process.poll() is not None


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not bind processes to cores")
def test_the_process_stays_on_one_core():
    with busy_core() as process:
        assert len(os.sched_getaffinity(process.pid)) == 1


@pytest.mark.skipif(CORES == 1, reason="there is nothing to compare with one core")
def test_all_workloads_are_measured_in_both_dtypes_with_all_threads_and_with_one():
    found = {(case.key.workload, case.key.dtype, case.key.implementation) for case in cases(Effort.FULL)}
    assert found == {
        (workload, dtype, implementation)
        for workload in ("digits", "tabular-mid", "mnist-shape", "wide")
        for dtype in ("float32", "float64")
        for implementation in ("fastmlp", "fastmlp, 1 thread")
    }
