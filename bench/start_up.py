"""Measure new processes: the import, the first fit, and the first grid search.

"Empty caches" is the state right after the installation: there is no code on disk that Numba has compiled. The kernels
that are part of the package are available; with `FASTMLP_JIT=1` they are not used. The report subtracts the time of the
same script with scikit-learn's estimators.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import fastmlp.kernels
import numpy as np

import fastmlp

from .harness import Case, Effort, Key, Trial

__all__ = ["cases"]

SCORE_TOLERANCE = 0.01  # a few rows of float32 may be classified differently
LEAST_SCORE = 0.3  # of scripts that scikit-learn cannot run; random guesses and means score 0.1 and 0

IMPORTS = {
    "NumPy": ("import numpy", ""),
    "scikit-learn": ("import sklearn.neural_network", ""),
    "fastmlp": ("import fastmlp", ""),
    "PyTorch": ("import torch", "torch"),
    "JAX": ("import jax", "jax"),
}
PACKAGES = {"scikit-learn": "sklearn.neural_network", "fastmlp": "fastmlp", "fastmlp, FASTMLP_JIT=1": "fastmlp"}
FIT = """
import numpy as np
from sklearn.datasets import load_digits
from {package} import MLPClassifier
X, y = load_digits(return_X_y=True)
for dtype in (np.float64, np.float32):
    A = (X / 16).astype(dtype)
    print((MLPClassifier(max_iter=5, random_state=0).fit(A, y).predict(A) == y).mean())
"""
GRID = """
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from {package} import MLPClassifier
X, y = load_wine(return_X_y=True)
grid = {{"mlpclassifier__alpha": [1e-4, 1e-3, 1e-2, 1e-1], "mlpclassifier__hidden_layer_sizes": [(25,), (50,), (100,)]}}
pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
print(GridSearchCV(pipeline, grid, n_jobs=-1).fit(X, y).best_score_)
"""
DIGITS = """
from scipy.sparse import csr_matrix
from sklearn.datasets import load_diabetes, load_digits
from sklearn.preprocessing import scale
from {package} import *
X, y = load_digits(return_X_y=True)
X = X / 16
"""
RECONSTRUCTED = "print(1 - ((model.reconstruct(X) - X) ** 2).mean() / X.var(axis=0).mean())"


class Feature(NamedTuple):
    """A script that follows `DIGITS` and prints a score; `both` is True if scikit-learn can run it."""

    script: str
    both: bool


FEATURES = {
    "L-BFGS": Feature("print(MLPClassifier(solver='lbfgs', max_iter=15, random_state=0).fit(X, y).score(X, y))", True),
    "sparse input": Feature(
        "print(MLPClassifier(max_iter=5, random_state=0).fit(csr_matrix(X), y).score(csr_matrix(X), y))", True
    ),
    "batch norm": Feature(
        "print(MLPClassifier(batch_norm=True, max_iter=5, random_state=0).fit(X, y).score(X, y))", False
    ),
    "maxout": Feature(
        "print(MLPClassifier(activation='maxout', max_iter=5, random_state=0).fit(X, y).score(X, y))", False
    ),
    "regressor": Feature(
        "X, y = load_diabetes(return_X_y=True, scaled=False); X, y = scale(X), scale(y)\n"
        "print(MLPRegressor(max_iter=20, random_state=0).fit(X, y).score(X, y))",
        True,
    ),
    "autoencoder": Feature(
        f"model = MLPAutoencoder((32,), max_iter=40, random_state=0).fit(X)\n{RECONSTRUCTED}", False
    ),
    "tied weights": Feature(
        f"model = MLPAutoencoder((32,), tied_weights=True, max_iter=40, random_state=0).fit(X)\n{RECONSTRUCTED}", False
    ),
}


def environment(implementation: str, **changes: str) -> dict[str, str]:
    """Return the environment of a child process; only it decides whether kernels are compiled."""
    variables = os.environ | {"PYTHONWARNINGS": "ignore"} | changes
    variables.pop("FASTMLP_JIT", None)
    if implementation.endswith("FASTMLP_JIT=1"):
        variables["FASTMLP_JIT"] = "1"
    return variables


@contextlib.contextmanager
def warm_caches(implementation: str) -> Iterator[dict[str, Any]]:
    """Yield a function that starts a process, which finds the code that earlier processes have compiled."""
    yield {"env": environment(implementation)}


@contextlib.contextmanager
def empty_caches(implementation: str) -> Iterator[dict[str, Any]]:
    """Yield a function that starts a process with an empty folder for compiled kernels."""
    with tempfile.TemporaryDirectory() as folder:
        yield {"env": environment(implementation, NUMBA_CACHE_DIR=folder)}


def install_read_only(site: Path) -> None:
    """Copy the package into `site`; plain files instead of the cache folders prevent writing, also for root."""
    source, kernels = Path(fastmlp.__file__).parent, Path(fastmlp.kernels.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, site / "fastmlp", ignore=ignored)
    if not (site / "fastmlp" / "kernels").exists():
        shutil.copytree(kernels, site / "fastmlp" / "kernels", ignore=ignored)
    for folder in [site / "fastmlp", *(site / "fastmlp").rglob("*")]:
        if folder.is_dir():
            (folder / "__pycache__").touch()


@contextlib.contextmanager
def read_only(implementation: str) -> Iterator[dict[str, Any]]:
    """Yield a function that starts a process that cannot write to the package, the home folder or a cache folder."""
    with tempfile.TemporaryDirectory() as folder:
        site, no_folder = Path(folder) / "site", Path(folder) / "file"
        no_folder.touch()
        install_read_only(site)
        nowhere = {name: str(no_folder) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME")}
        variables = environment(implementation, PYTHONPATH=str(site), PYTHONDONTWRITEBYTECODE="1", **nowhere)
        variables.pop("NUMBA_CACHE_DIR", None)
        yield {"env": variables, "cwd": str(site)}
        written = [str(path) for path in Path(folder).rglob("*.nb?")]
        assert not written, f"the installation was not read-only: {written}"


def processes(
    script: str, expected: str | None, implementation: str, state: Callable[[str], Any], workers: int = 1
) -> Trial:
    """Time processes that start at the same moment, run `script` and print scores.

    `expected` is the script with scikit-learn's estimators, whose scores must be the same; None if there is none.
    """

    def start(source: str, options: Mapping[str, Any]) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", source]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    def run(source: str = script, workers: int = workers) -> np.ndarray:
        with state(implementation) as options:
            started = [start(source, options) for _ in range(workers)]
            ended = [process.communicate() for process in started]
        for process, (_, errors) in zip(started, ended, strict=True):
            if process.returncode:
                raise RuntimeError(f"a process exited with {process.returncode}: {errors}")
        return np.array([printed.split() for printed, _ in ended], dtype=float)

    def check(scores: np.ndarray) -> dict[str, Any]:
        if not scores.size:
            return {}
        if expected is None:
            assert scores.min() > LEAST_SCORE, f"the score is {scores.min()}"
        else:
            wanted = run(expected, 1)
            np.testing.assert_allclose(scores, wanted.repeat(len(scores), axis=0), atol=SCORE_TOLERANCE)
        return {"score": float(scores.mean())}

    if state is warm_caches:
        run()
    return Trial({f"{workers} process{'es' * (workers > 1)}": run}, check)


def cases(effort: Effort) -> list[Case]:
    """Return the cases; compiling takes long, so only `Effort.FULL` starts with empty caches."""
    made: list[Case] = []

    def add(
        workload: str, dtype: str, script: str, state: Callable[[str], Any], both: bool = True, workers: int = 1
    ) -> None:
        expected = script.format(package=PACKAGES["scikit-learn"]) if both else None
        for implementation, package in PACKAGES.items():
            if implementation != "scikit-learn" or both:
                source = script.format(package=package)
                make = partial(processes, source, expected, implementation, state, workers)
                made.append(Case(Key("start_up", workload, dtype, implementation), make))

    for name, (code, needs) in IMPORTS.items():
        make = partial(processes, code, None, name, warm_caches)
        made.append(Case(Key("start_up", "import", "none", name), make, needs))
    add("first fit and predict, warm caches", "both", FIT, warm_caches)
    if effort == Effort.CHECK:
        return made
    add("first grid search, warm caches", "float64", GRID, warm_caches)
    if effort == Effort.QUICK:
        return made
    add("first fit and predict, empty caches", "both", FIT, empty_caches)
    add("two workers at once, empty caches", "both", FIT, empty_caches, workers=2)
    add("read-only installation", "both", FIT, read_only)
    for name, feature in FEATURES.items():
        add(f"{name}, empty caches", "float64", DIGITS + feature.script, empty_caches, both=feature.both)
    return made
