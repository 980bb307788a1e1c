"""What a fresh process pays: importing, the first fit, the first grid search. Each in a process of its own."""

import os
import subprocess
import sys
import tempfile
from functools import partial
from typing import Any

from .harness import Case, Effort, Key, Trial

__all__ = ["cases"]

IMPORTS = {
    "NumPy": ("import numpy", ""),
    "scikit-learn": ("from sklearn.neural_network import MLPClassifier", ""),
    "fastmlp": ("from fastmlp import MLPClassifier", ""),
    "PyTorch": ("import torch", "torch"),
    "JAX": ("import jax", "jax"),
}
FIT = """
from sklearn.datasets import load_digits
X, y = load_digits(return_X_y=True)
print(MLPClassifier(max_iter=5, random_state=0).fit(X, y).score(X, y))
"""
GRID = """
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
X, y = load_wine(return_X_y=True)
grid = {"mlpclassifier__alpha": [1e-4, 1e-3, 1e-2, 1e-1], "mlpclassifier__hidden_layer_sizes": [(25,), (50,), (100,)]}
pipeline = make_pipeline(StandardScaler(), MLPClassifier(random_state=0))
print(GridSearchCV(pipeline, grid, n_jobs=-1).fit(X, y).best_params_)
"""


def process(code: str, expected: str | None, fresh_cache: bool = False) -> Trial:
    """A process that runs `code` and prints what `expected` prints; `fresh_cache`: no kernel is compiled yet."""

    def run(code: str = code) -> str:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"PYTHONWARNINGS": "ignore"}
            if fresh_cache:
                environment["NUMBA_CACHE_DIR"] = folder
            done = subprocess.run(
                [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
            )
        return done.stdout

    def check(printed: str) -> dict[str, Any]:
        wanted = run(expected) if expected else ""
        assert printed == wanted, f"printed {printed!r}, scikit-learn {wanted!r}"
        return {}

    return Trial({"a process": run}, check)


def cases(effort: Effort) -> list[Case]:
    """Return the cases; compiling takes long, so not in a hurry."""
    made = [
        Case(Key("start_up", "import", "none", name), partial(process, code, None), needs)
        for name, (code, needs) in IMPORTS.items()
    ]
    firsts = {"first fit": FIT, "first grid search": GRID}
    for workload, code in list(firsts.items())[: 1 if effort < Effort.FULL else None]:
        sklearns = IMPORTS["scikit-learn"][0] + code
        for name in ("scikit-learn", "fastmlp"):
            make = partial(process, IMPORTS[name][0] + code, sklearns)
            made.append(Case(Key("start_up", workload, "float64", name), make))
    if effort == Effort.FULL:
        make = partial(process, IMPORTS["fastmlp"][0] + FIT, IMPORTS["scikit-learn"][0] + FIT, fresh_cache=True)
        made.append(Case(Key("start_up", "first fit after installation", "float64", "fastmlp"), make))
    return made
