"""Searches with joblib's Ray backend have the same scores. They run in a new process, which Ray may change."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("ray")

SEARCH = """
import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from fastmlp import MLPClassifier
from fastmlp.search import HyperbandSearchCV

ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False)
register_ray()
X, y = load_digits(return_X_y=True)
grid = {"alpha": [0.1, 1.0], "hidden_layer_sizes": [4, 8]}
model = MLPClassifier(max_iter=9, random_state=0)
for search in GridSearchCV(model, grid, cv=3), HyperbandSearchCV(model, grid, cv=3, random_state=0):
    expected = search.set_params(n_jobs=1).fit(X[:300], y[:300]).cv_results_["mean_test_score"]
    with joblib.parallel_config("ray"):
        found = search.set_params(n_jobs=2).fit(X[:300], y[:300]).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(found, expected)
ray.shutdown()
print("equal")
"""


@pytest.mark.slow
def test_scores_are_those_of_this_process():
    environment = os.environ | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", SEARCH]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == "equal"
