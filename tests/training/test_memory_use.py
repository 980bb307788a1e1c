"""Memory: repeated fits do not leak, X is not copied, and sparse data are not converted to dense."""

import gc
import subprocess
import sys
import tracemalloc
import warnings

import pytest
from sklearn.datasets import load_digits

import fastmlp
from fastmlp.training import _engine

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
MIB = 1 << 20


def resident():
    """Return the resident memory of this process in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@linux
@pytest.mark.slow
@pytest.mark.parametrize(("solver", "n_jobs"), [("adam", 2), ("lbfgs", 1)])
def test_five_hundred_fits_do_not_leak(solver, n_jobs, monkeypatch):
    monkeypatch.setattr(_engine, "FLOPS_PER_THREAD", 1)
    X, y = load_digits(return_X_y=True)
    X, y = X[:40] / 16, y[:40]

    def fits(count):
        for seed in range(count):
            model = fastmlp.MLPClassifier(5, solver=solver, max_iter=2, random_state=seed, n_jobs=n_jobs)
            model.fit(X, y).predict(X)
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits(1)  # compiles, perhaps
        tracemalloc.start()
        try:
            fits(400)  # until the free lists and caches of Python and NumPy stop growing
            traced, before = tracemalloc.get_traced_memory()[0], resident()
            fits(500)
            growth, grown = tracemalloc.get_traced_memory()[0] - traced, resident() - before
        finally:
            tracemalloc.stop()
    sys.stdout.write(f"{solver}, {n_jobs} threads: 500 fits leak {growth} bytes, {grown / MIB:.1f} MiB resident\n")
    assert growth < 500 * 60  # every array is larger than this
    assert grown < 4 * MIB


# Prints the peak memory of a fit, and of a fit and a prediction, in bytes beyond the memory before. A small fit
# compiles and imports everything first.
PEAK = """
import sys, warnings
import fastmlp
import numpy as np
import scipy.sparse
warnings.simplefilter("ignore")

def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

rng = np.random.default_rng(0)
{make}
small = X[:300, :20]
fastmlp.MLPClassifier(**params).fit(small, y[:300]).predict(small)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # reset the peak
before = memory("VmRSS")
model = fastmlp.MLPClassifier(**params).fit(X, y)
fitted = memory("VmHWM")
model.predict(X)
print(fitted - before, memory("VmHWM") - before)
"""


def needs(make):
    """Return the bytes that a fit, and a fit and a prediction, need beyond the memory before."""
    command = [sys.executable, "-c", PEAK.format(make=make)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stderr
    return [int(number) for number in run.stdout.split()]


@linux
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solver", ["adam", pytest.param("sgd", marks=pytest.mark.slow), "lbfgs"])
def test_x_is_not_copied(solver, dtype):
    """With 200 MB of data, a fit needs the state of the optimizer, buffers for one mini-batch, and at most 64 MiB."""
    if solver == "lbfgs" and dtype == "float32":
        pytest.skip("L-BFGS computes in float64, so float32 data are converted")
    columns = {"float32": 100, "float64": 50}[dtype]
    make = f"""
X = rng.random((500_000, {columns}), dtype=np.{dtype})
y = rng.integers(0, 3, 500_000)
params = dict(hidden_layer_sizes=(64,), max_iter=1, solver="{solver}", max_fun=2, random_state=0)
"""
    # Weights, two moments and copies need a few 100 kB; targets, row order and predictions at most 10 bytes per row.
    fit, both = needs(make)
    sys.stdout.write(f"{solver}, {dtype}: fit needs {fit / MIB:.0f} MiB beyond X, with predict {both / MIB:.0f}\n")
    assert fit < 64 * MIB
    assert both < 64 * MIB


@linux
def test_sparse_data_stay_sparse():
    """20,000 x 20,000 with a density of 0.1 % needs 5 MB, and 3.2 GB as a dense array."""
    make = """
X = scipy.sparse.random_array((20_000, 20_000), density=0.001, format="csr", rng=rng)
y = rng.integers(0, 2, 20_000)
params = dict(hidden_layer_sizes=(50,), max_iter=1, random_state=0)
"""
    weights, stored = 20_000 * 50 * 8, 400_000 * (8 + 4)
    fit, both = needs(make)
    sys.stdout.write(f"sparse: fit needs {fit / MIB:.0f} MiB beyond X, with predict {both / MIB:.0f}\n")
    # Weights, two moments, the last finite and the best weights, and freed memory that was not returned to the system.
    assert both < 8 * weights + 4 * stored + 64 * MIB
