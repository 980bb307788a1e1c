"""Training with 'sgd' and 'adam', through the estimators: mini-batches, interrupts, divergence, warm starts."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_batches_larger_than_the_data_are_clipped_with_a_warning(problems):
    problem = problems["multiclass"]
    X, y = problem.X[::6], problem.y[::6]
    options = {"max_iter": 3, "random_state": 0}
    with pytest.warns(UserWarning, match="larger than sample size. It is going to be clipped"):
        clipped = MLPClassifier(batch_size=10**12, **options).fit(X, y)
    assert_array_equal(clipped.coefs_[0], MLPClassifier(batch_size=len(y), **options).fit(X, y).coefs_[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("batch_size", [10, 240])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_divergence_reports_its_place_and_keeps_finite_weights(solver, batch_size, n_jobs, dtype, problems):
    problem = problems["regression"]
    rate = 10.0 if solver == "sgd" else 1e30 if dtype is np.float32 else 1e200
    model = MLPRegressor(
        solver=solver,
        learning_rate_init=rate,
        activation="identity",
        batch_size=batch_size,
        random_state=0,
        n_jobs=n_jobs,
        max_iter=1000,
        n_iter_no_change=1000,
    )
    with pytest.raises(ValueError) as error:
        model.fit(problem.X.astype(dtype), problem.y * 10)
    text = str(error.value)
    found = re.search(r"Training diverged in epoch (\d+), mini-batch (\d+), at learning rate (\S+): ", text)
    assert "scale the data or lower learning_rate_init" in text
    assert float(found[3]) == rate
    assert 1 <= int(found[2]) <= -(-240 // batch_size)
    assert int(found[1]) == model.n_iter_ + 1 == len(model.loss_curve_) + 1
    assert model.t_ == model.n_iter_ * 240
    for array in [*model.coefs_, *model.intercepts_]:
        assert np.isfinite(array).all()
    assert np.isfinite(model.loss_curve_).all()
    # The estimator can be fitted again.
    calm = model.set_params(learning_rate_init=1e-3, max_iter=2).fit(problem.X.astype(dtype), problem.y)
    assert np.isfinite(calm.predict(problem.X)).all()


def test_divergence_in_partial_fit(problems):
    problem = problems["regression"]
    model = MLPRegressor(solver="sgd", activation="identity", random_state=0).partial_fit(problem.X, problem.y)
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(ValueError, match="Training diverged in epoch 1, mini-batch 1"):
        model.partial_fit(problem.X * 1e200, problem.y)
    for coef, old in zip(model.coefs_, before, strict=True):
        assert_array_equal(coef, old)
    model.partial_fit(problem.X, problem.y)


def test_divergence_with_early_stopping_warns(problems):
    problem = problems["regression"]
    model = MLPRegressor(
        solver="sgd", learning_rate_init=10.0, activation="identity", early_stopping=True, random_state=0
    )
    with pytest.warns(ConvergenceWarning, match="Training diverged in epoch .* at learning rate 10: scale the data"):
        model.fit(problem.X, problem.y)
    assert np.isnan(model.validation_scores_[-1])
    assert len(model.validation_scores_) == model.n_iter_ == len(model.loss_curve_)
    assert np.isfinite(model.predict(problem.X)).all()


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_warm_start_with_early_stopping_restores_the_best_weights(solver, problems):
    """scikit-learn loses the best weights of the previous fit if no later epoch is better, because it does not copy."""
    problem = problems["strings"]
    model = MLPClassifier(
        solver=solver, early_stopping=True, warm_start=True, learning_rate_init=0.02, max_iter=40, random_state=0
    ).fit(problem.X, problem.y)
    assert model.best_validation_score_ == 1
    before = [coef.copy() for coef in model.coefs_]
    model.set_params(learning_rate_init=0.5, max_iter=5).fit(problem.X, problem.y)
    assert max(model.validation_scores_[-5:]) <= 1
    for a, b in zip(model.coefs_, before, strict=True):
        assert_array_equal(a, b)


def test_a_huge_power_of_inverse_scaling_makes_the_rate_zero(problems):
    X, y = problems["regression"].X, problems["regression"].y
    params = {"solver": "sgd", "learning_rate": "invscaling", "hidden_layer_sizes": 3, "momentum": 0, "random_state": 0}
    models = [MLPRegressor(max_iter=n, power_t=1e308, **params).fit(X, y) for n in (1, 4)]
    for one, more in zip(models[0].coefs_, models[1].coefs_, strict=True):
        assert_array_equal(one, more)
