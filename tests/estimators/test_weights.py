"""The weights of an estimator: the vector, its views in the public attributes, and arrays that the user replaces."""

import pickle

import joblib
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor
from fastmlp.estimators._weights import current_network, weight_vector

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_public_arrays_can_be_changed_and_replaced(problems):
    problem = problems["regression"]
    model = MLPRegressor(max_iter=5, random_state=0).fit(problem.X, problem.y)
    before = model.predict(problem.X)
    model.intercepts_[-1] += 2.0
    assert_allclose(model.predict(problem.X), before + 2.0)
    model.coefs_[-1] = np.zeros_like(model.coefs_[-1])
    assert_array_equal(model.predict(problem.X), np.full(len(before), model.intercepts_[-1][0]))
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(problem.X), model.predict(problem.X))


def test_a_fitted_model_keeps_its_network(tmp_path, problems):
    """Parameters that are set after `fit` take effect in the next fit, also in copies of the model."""
    problem = problems["multiclass"]
    model = MLPClassifier((6, 6), activation=["maxout", "tanh"], max_iter=3).fit(problem.X, problem.y)
    expected = model.predict_proba(problem.X)
    model.set_params(activation="relu", hidden_layer_sizes=3, maxout_pieces=3, residual=True, batch_norm=True)
    joblib.dump(model, tmp_path / "model.joblib")
    for other in (model, pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib", mmap_mode="r")):
        assert_array_equal(other.predict_proba(problem.X), expected)


def test_a_pickle_contains_each_weight_once(problems):
    problem = problems["multiclass"]
    model = MLPClassifier((200, 200), solver="lbfgs", max_iter=2).fit(problem.X, problem.y)
    weights = sum(array.nbytes for array in [*model.coefs_, *model.intercepts_])
    assert len(pickle.dumps(model)) < 1.2 * weights + 20_000


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_partial_fit_and_warm_start_require_the_same_shapes(name, problems):
    problem = problems["multiclass" if name == "MLPClassifier" else "regression"]
    X, y = problem.X[::6], problem.y[::6]
    Estimator = getattr(fastmlp, name)
    classes = {"classes": range(10)} if name == "MLPClassifier" else {}
    model = Estimator().partial_fit(X, y, **classes)
    with pytest.raises(ValueError, match=f"X has {X.shape[1] - 1} features, but {name} is expecting"):
        model.partial_fit(X[:, 1:], y)
    model.set_params(hidden_layer_sizes=3)
    with pytest.raises(ValueError, match=r"same network: .*hidden_layer_sizes=3 and the data require"):
        model.partial_fit(X, y)
    model = Estimator(warm_start=True, max_iter=2).fit(X, y)
    with pytest.raises(ValueError, match=r"same network: .*hidden_layer_sizes=\(7, 7\)"):
        model.set_params(hidden_layer_sizes=(7, 7)).fit(X, y)


def test_the_vector_is_kept_until_an_array_is_replaced(problems):
    problem = problems["multiclass"]
    model = MLPClassifier((6, 6), batch_norm=True, max_iter=2, random_state=0).fit(problem.X, problem.y)
    network = current_network(model)
    w = weight_vector(model, network)
    assert w is weight_vector(model, network)
    arrays = [*model.coefs_, *model.intercepts_, *model.gammas_, *model.betas_]
    assert all(np.shares_memory(array, w) for array in arrays)
    assert sum(array.size for array in arrays) == w.size
    for name in ("coefs_", "intercepts_", "gammas_", "betas_"):
        kept = getattr(model, name)[0]
        getattr(model, name)[0] = kept + 1
        changed = weight_vector(model, network)
        assert np.count_nonzero(changed != w) == kept.size
        getattr(model, name)[0] = kept
    assert weight_vector(model, network) is w


def test_the_network_follows_arrays_of_another_shape(problems):
    problem = problems["regression"]
    model = MLPRegressor(hidden_layer_sizes=5, max_iter=2, random_state=0).fit(problem.X, problem.y)
    assert current_network(model).units == (10, 5, 1)
    model.coefs_, model.intercepts_ = [np.ones((10, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    assert current_network(model).units == (10, 3, 1)
    expected = 3 * np.maximum(problem.X.sum(axis=1), 0)
    assert_allclose(model.predict(problem.X), expected, atol=1e-12)
