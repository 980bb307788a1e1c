"""Workloads state what they are."""

import numpy as np
import pytest

from bench.workloads import WORKLOADS


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_workloads_state_what_they_are(workload):
    X, y = workload.data()
    assert X.shape == (workload.rows, workload.columns)
    assert str(X.dtype) == workload.dtype
    assert set(np.unique(y)) == set(range(workload.classes))
    assert workload.batch <= workload.rows


def test_flops_of_an_epoch():
    digits = WORKLOADS["digits"]
    assert digits.flops == 1797 * (6 * (64 * 100 + 100 * 10) - 2 * 64 * 100)
