"""One call of `fit`: it takes effect as a whole or, if an argument is refused, not at all."""

import copy

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastmlp import MLPClassifier, MLPRegressor

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


@pytest.mark.parametrize("change", ["nan in X", "fewer targets"])
def test_a_failed_first_call_of_partial_fit_leaves_no_classes(change, problems):
    problem = problems["multiclass"]
    X, y = problem.X[::6], problem.y[::6]
    model = MLPClassifier(5, random_state=0)
    with pytest.raises(ValueError, match=r"NaN|inconsistent"):
        model.partial_fit(*CHANGES[change](X, y), classes=[0, 1])
    assert not hasattr(model, "classes_")
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    assert model.partial_fit(X, y, classes=range(10)).classes_.tolist() == list(range(10))


def test_a_warm_start_with_another_output_link(problems):
    """`out_activation_` and the predictions belong to the network of the last fit."""
    problem = problems["multiclass"]
    model = MLPClassifier(5, warm_start=True, max_iter=3, random_state=0).fit(problem.X, problem.y)
    model.set_params(out_activation="logistic").fit(problem.X, problem.y)
    assert model.out_activation_ == "logistic"
    assert_allclose(model.predict_proba(problem.X).sum(axis=1), 1, rtol=1e-12)  # a sum of ten numbers
    problem = problems["poisson"]
    model = MLPRegressor(hidden_layer_sizes=5, warm_start=True, max_iter=3, random_state=0).fit(problem.X, problem.y)
    model.set_params(loss="poisson").fit(problem.X, problem.y)
    assert model.out_activation_ == "exp"
    assert (model.predict(problem.X) > 0).all()


@pytest.mark.parametrize("first", [False, True])
def test_a_warm_start_does_not_change_batch_normalisation(first, problems):
    problem = problems["multiclass"]
    model = MLPClassifier(5, batch_norm=first, max_iter=3, random_state=0).fit(problem.X, problem.y)
    before = numbers(model)
    model.set_params(batch_norm=not first, warm_start=True)
    for method in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"batch_norm={not first}, but .* are those of batch_norm={first}"):
            method(problem.X, problem.y)
    assert numbers(model).keys() == before.keys()
    assert_array_equal(numbers(model)["coefs_"], before["coefs_"])
    # A fit that begins anew may change it, and the next one continues that.
    model.set_params(warm_start=False).fit(problem.X, problem.y)
    assert hasattr(model, "gammas_") == hasattr(model, "betas_") == (not first)
    model.set_params(warm_start=True).fit(problem.X, problem.y)
