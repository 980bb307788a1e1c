"""One call of `fit`: it takes effect as a whole or, if an argument is refused, not at all."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fastmlp import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def numbers(model):
    """Return copies of all fitted attributes."""
    return {
        key: np.concatenate([np.ravel(part) for part in value]) if isinstance(value, list) else value
        for key, value in vars(copy.deepcopy(model)).items()
        if key.endswith("_") and not key.startswith("_")
    }


CHANGES = {
    "none": lambda X, y: (X, y),
    "nan in X": lambda X, y: (np.where(np.arange(X.size).reshape(X.shape) == 7, np.nan, X), y),
    "fewer targets": lambda X, y: (X, y[1:]),
    "no columns": lambda X, y: (X[:, :0], y),
    "two classes": lambda X, y: (X[:, :9], y > 4),
}


@pytest.mark.parametrize(
    ("params", "change"),
    [
        ({}, "nan in X"),
        ({}, "fewer targets"),
        ({}, "no columns"),
        ({"hidden_layer_sizes": 10**9}, "none"),
        ({"hidden_layer_sizes": [0]}, "none"),
        ({"activation": ["relu", "relu"]}, "none"),
        ({"alpha": -1}, "none"),
        ({"early_stopping": True, "validation_fraction": 0.999}, "none"),
        ({"out_activation": "softmax"}, "two classes"),
        ({"init": ([], [])}, "none"),
    ],
)
def test_a_failed_fit_leaves_the_model_unchanged(params, change, problems):
    problem = problems["multiclass"]
    X, y = problem.X[::6], problem.y[::6]
    model = MLPClassifier(max_iter=3, random_state=0).fit(X, y)
    before, expected = numbers(model), model.predict_proba(X)
    others = CHANGES[change](X, y)
    copies = [np.copy(a) for a in others]
    valid = model.get_params()
    with pytest.raises((ValueError, TypeError, MemoryError)):
        model.set_params(**params).fit(*others)
    model.set_params(**valid)
    after = numbers(model)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert_array_equal(after[key], value)
    assert_array_equal(model.predict_proba(X), expected)
    for a, b in zip(others, copies, strict=True):
        assert_array_equal(a, b)
