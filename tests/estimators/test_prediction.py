"""Predictions of a fitted estimator, and the input that they refuse."""

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import accuracy_score, r2_score

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("labels", [np.array([3]), np.array([-1, 4]), np.array(["a", "b", "c"]), np.arange(10) > 4])
def test_predictions_match_label_binarizer(labels):
    X, y = load_digits(return_X_y=True)
    y = labels[y % len(labels)]
    model = MLPClassifier((4,), max_iter=3, random_state=0).fit(X / 16, y)
    outputs = model.predict_proba(X / 16)
    assert outputs.shape == (len(y), len(model.classes_))
    # The output of a single unit is the probability of the second class; there may be none.
    single = outputs[:, 1] if len(model.classes_) == 2 else 1 - outputs[:, 0]
    expected = model._label_binarizer.inverse_transform(outputs if model.n_outputs_ > 1 else single)
    np.testing.assert_array_equal(model.predict(X / 16), expected, strict=True)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    return X / 16, y, MLPClassifier(5, max_iter=3, random_state=0).fit(X / 16, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda y: y,
        lambda y: y.tolist(),
        lambda y: y.astype(np.uint8),
        lambda y: y == 1,
        lambda y: y.astype(float),
        lambda y: np.arange(len(y)),  # more classes than half of the rows: a warning
        lambda y: y.astype(str),  # cannot be compared with integers: an error
        lambda y: y[:-1],
        lambda y: y + 0.5,
        lambda y: np.where(y == 2, np.nan, y),
        lambda y: y[:, np.newaxis],
        lambda y: np.stack([y, y], axis=1),
    ],
)
@pytest.mark.parametrize("rows", [20, 300])
def test_accuracy_is_that_of_scikit_learn(digits, change, rows):
    X, y, model = digits
    X, y = X[:rows], change(y[:rows])

    def outcome(score):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = score()
            except Exception as error:
                found = str(error)
        return found, [str(warning.message) for warning in caught]

    ours = outcome(lambda: model.score(X, y))
    assert ours == outcome(lambda: accuracy_score(y, model.predict(X)))
    assert isinstance(ours[0], (float, str))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_r_squared_is_that_of_scikit_learn(dtype, rng):
    X, y = rng.normal(size=(40, 3)), (10 * rng.normal(size=40)).astype(dtype)
    model = MLPRegressor(random_state=0, solver="lbfgs", tol=1.0).fit(X, y)
    for targets in (y, np.full(40, y[0]), y.tolist(), y[:, np.newaxis], np.stack([y, y])[0]):
        assert model.score(X, targets) == r2_score(targets, model.predict(X))
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(model.score(X[:1], y[:1]))
    with pytest.raises(ValueError, match="NaN"):
        model.score(X, np.where(y == y.max(), np.nan, y))
