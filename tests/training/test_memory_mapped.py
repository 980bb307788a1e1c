"""Training on a memory-mapped file reads pages when they are needed, and copies none."""

import subprocess
import sys

import numpy as np
import pytest

MIB = 1 << 20

# Prints the peak of the memory that NumPy and Python allocate in a fit and a prediction, and the growth of the private
# memory of the process, which excludes file pages in the page cache of the system.
SCRIPT = """
import sys, tracemalloc, warnings
import numpy as np
import fastmlp
warnings.simplefilter("ignore")

def private():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))

path, dtype, columns, params = sys.argv[1], sys.argv[2], int(sys.argv[3]), eval(sys.argv[4])
X = np.memmap(path + "/X", dtype, "r").reshape(-1, columns)
y = np.memmap(path + "/y", np.int8, "r")
fastmlp.MLPClassifier(**params).fit(X[:300], y[:300]).predict(X[:300])
before = private()
tracemalloc.start()
model = fastmlp.MLPClassifier(**params).fit(X, y)
model.predict(X)
print(X.nbytes, tracemalloc.get_traced_memory()[1], private() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("solver", "dtype"),
    [
        ("adam", "float32"),
        ("lbfgs", "float64"),  # computes in float64, so float32 data are converted
        pytest.param("adam", "float64", marks=pytest.mark.slow),
        pytest.param("sgd", "float32", marks=pytest.mark.slow),
        pytest.param("sgd", "float64", marks=pytest.mark.slow),
    ],
)
def test_file_is_not_loaded_into_memory(solver, dtype, tmp_path):
    rng, columns = np.random.default_rng(0), 100
    part = rng.random((50_000, columns)).astype(dtype)
    with open(tmp_path / "X", "wb") as file:
        for _ in range(10 if dtype == "float32" else 5):  # 190 MiB
            part.tofile(file)
    rows = (tmp_path / "X").stat().st_size // part[0].nbytes
    rng.integers(0, 3, rows, dtype=np.int8).tofile(tmp_path / "y")
    params = {"hidden_layer_sizes": 32, "max_iter": 1, "max_fun": 2, "solver": solver, "random_state": 0}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), dtype, str(columns), repr(params)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stderr
    size, allocated, grown = map(int, run.stdout.split())
    sys.stdout.write(
        f"{solver}, {dtype}: file {size / MIB:.0f} MiB, allocated at most {allocated / MIB:.0f} MiB,"
        f" private memory grown by {grown / MIB:.0f} MiB\n"
    )
    # Labels, row numbers and predictions need about 20 bytes per row; the rest are buffers of fixed size.
    assert allocated < 32 * MIB
    assert grown < 48 * MIB
