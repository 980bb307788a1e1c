"""The benchmark of training options trains with every option before it compares times."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from bench.features import compare, features
from fastmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
VALIDATION = {"X_val": X[:100], "y_val": y[:100]}


@pytest.mark.parametrize("name", features({}, None))
def test_every_option_trains(name, tmp_path):
    feature = features(VALIDATION, tmp_path)[name]
    target = y if feature.estimator is MLPClassifier else y + 1.0
    found = compare(feature, X[:200] / 16, target[:200], repetitions=1, epochs=2)
    assert found["ratio"] == found["with"] / found["without"] > 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_option_changes_training(tmp_path):
    """Otherwise, the benchmark would compare a fit with itself."""
    for name, feature in features(VALIDATION, tmp_path).items():
        if not feature.params:
            assert feature.fit or feature.callbacks(), name
            continue
        target = (y if feature.estimator is MLPClassifier else y + 1.0)[:200]
        models = [
            feature.estimator(max_iter=2, random_state=0, **params).fit(X[:200] / 16, target, **fit)
            for params, fit in (({}, {}), (feature.params, feature.fit))
        ]
        plain, changed = (np.concatenate([coef.ravel() for coef in model.coefs_]) for model in models)
        if "scoring" not in feature.params:
            assert plain.shape != changed.shape or (plain != changed).any(), name
