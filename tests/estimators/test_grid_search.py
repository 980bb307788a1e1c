"""Pipelines and searches: the same scores with one process, several processes or threads."""

import joblib
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_predict, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def search(problem, n_jobs, estimator, **grid):
    pipeline = make_pipeline(StandardScaler(), estimator)
    name = pipeline.steps[-1][0]
    grid = {f"{name}__{parameter}": values for parameter, values in grid.items()}
    found = GridSearchCV(pipeline, grid, cv=3, n_jobs=n_jobs, return_train_score=True).fit(problem.X, problem.y)
    scores = {key: value for key, value in found.cv_results_.items() if key.endswith("score")}
    return found, scores


@pytest.mark.parametrize(
    ("kind", "Estimator", "grid"),
    [
        ("multiclass", MLPClassifier, {"hidden_layer_sizes": [8, (8, 8)], "alpha": [1e-4, 1.0]}),
        ("regression", MLPRegressor, {"solver": ["sgd", "adam", "lbfgs"], "activation": ["tanh", "relu"]}),
    ],
)
def test_scores_do_not_depend_on_the_joblib_backend(kind, Estimator, grid, problems):
    problem = problems[kind]
    estimator = Estimator(max_iter=12, random_state=0)
    expected, scores = search(problem, 1, estimator, **grid)
    assert np.isfinite(scores["mean_test_score"]).all()
    assert np.ptp(scores["mean_test_score"]) > 0
    for backend in ("loky", "threading"):
        with joblib.parallel_config(backend=backend):
            found, others = search(problem, 2, estimator, **grid)
        assert scores.keys() == others.keys()
        for key, value in scores.items():
            if not key.startswith("rank"):
                assert_array_equal(others[key], value, err_msg=f"{backend}: {key}")
        assert found.best_params_ == expected.best_params_
        assert_array_equal(found.predict(problem.X), expected.predict(problem.X))


def test_scores_match_scikit_learn(problems):
    problem = problems["binary"]
    grid = {"hidden_layer_sizes": [4, 9], "alpha": [1e-4, 3.0]}
    ours, _ = search(problem, 1, problem.ours(max_iter=10, random_state=0), **grid)
    theirs, _ = search(problem, 1, problem.theirs(max_iter=10, random_state=0), **grid)
    assert_array_equal(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert ours.best_params_ == theirs.best_params_


def test_random_search_over_own_parameters(problems):
    problem = problems["strings"]
    found = RandomizedSearchCV(
        MLPClassifier(hidden_layer_sizes=(13, 13), learning_rate_init=0.01, max_iter=40, random_state=0),
        {
            "activation": ["gelu", ["maxout", "tanh"]],
            "residual": [True, False],
            "batch_norm": [True, False],
            "init": ["he", "orthogonal"],
            "penalty_scaling": ["mean", "sum"],
            "out_activation": ["softmax", "logistic"],
        },
        n_iter=6,
        cv=3,
        random_state=0,
        error_score="raise",
    ).fit(problem.X, problem.y)
    assert found.best_score_ > 0.9


def test_estimators_inside_other_estimators(problems):
    problem = problems["regression"]
    regressor = MLPRegressor(hidden_layer_sizes=12, solver="lbfgs", alpha=20, max_iter=60, random_state=0)
    model = TransformedTargetRegressor(make_pipeline(StandardScaler(), PCA(8), regressor), transformer=StandardScaler())
    assert cross_val_score(model, problem.X, problem.y, cv=4).mean() > 0.3
    many = problems["outputs"]
    each = MultiOutputRegressor(regressor).fit(many.X, many.y)
    assert each.predict(many.X).shape == many.y.shape
    problem = problems["binary"]
    bag = BaggingClassifier(MLPClassifier(max_iter=20, random_state=0), n_estimators=3, random_state=0)
    assert cross_val_predict(bag, problem.X, problem.y, cv=3, method="predict_proba").shape == (len(problem.y), 2)


def test_concurrent_fits_in_threads(problems):
    """Every fit has its own threads and memory."""
    problem = problems["multiclass"]
    models = [MLPClassifier(max_iter=15, random_state=seed, n_jobs=seed % 3 + 1) for seed in range(6)]
    alone = [[coef.copy() for coef in model.fit(problem.X, problem.y).coefs_] for model in models]
    with joblib.parallel_config(backend="threading"):
        together = joblib.Parallel(n_jobs=6)(joblib.delayed(model.fit)(problem.X, problem.y) for model in models)
    for coefs, model in zip(alone, together, strict=True):
        for a, b in zip(coefs, model.coefs_, strict=True):
            assert_array_equal(a, b)


def test_concurrent_predictions_with_one_model(problems):
    problem = problems["multiclass"]
    model = MLPClassifier(max_iter=5, random_state=0).fit(problem.X, problem.y)
    expected = model.predict_proba(problem.X)
    with joblib.parallel_config(backend="threading"):
        results = joblib.Parallel(n_jobs=4)(joblib.delayed(model.predict_proba)(problem.X) for _ in range(40))
    for result in results:
        assert_array_equal(result, expected)
