"""Each problem that a test builds in is reported, none for networks that learn; fit warns of unscaled columns."""

import contextlib
import warnings

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor, cost_and_gradient, diagnose
from fastmlp.reference import vectorized

# A fit that diverges warns of the scales and then fails; these tests check the warning.
SCALES = "X has columns with root mean squares from"


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def fit(model, *args):
    """Fit without the convergence warning that so few epochs cause."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args)


# ---- Problems ----


@pytest.mark.parametrize("trained", [False, True])
def test_ten_logistic_layers_have_vanishing_gradients(digits, trained):
    model = MLPClassifier((20,) * 10, "logistic", random_state=0, max_iter=20)
    diagnosis = diagnose(fit(model, *digits) if trained else model, *digits)
    assert list(diagnosis.findings) == ["vanishing gradients"]
    assert "batch_norm=True" in str(diagnosis)
    errors = [layer.error for layer in diagnosis.layers]
    assert errors == sorted(errors)


@pytest.mark.parametrize("remedy", [{"activation": "relu", "init": "he"}, {"batch_norm": True}, {"residual": True}])
def test_remedies_of_vanishing_gradients_help(digits, remedy):
    model = MLPClassifier((20,) * 10, "logistic", random_state=0).set_params(**remedy)
    assert not diagnose(model, *digits).findings


@pytest.mark.parametrize(
    ("activation", "problem"),
    [
        ("relu", "exploding gradients"),
        ("gelu", "exploding gradients"),
        ("tanh", "saturated units"),
        ("logistic", "saturated units"),
    ],
)
def test_huge_weights_are_reported(digits, activation, problem):
    model = MLPClassifier((50,) * 4, activation, init="uniform", init_scale=5, random_state=0)
    diagnosis = diagnose(model, *digits)
    assert list(diagnosis.findings) == [problem]
    assert "begin with smaller weights" in diagnosis.findings[problem]


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_huge_learning_rate_leaves_dead_relu_units(digits, solver):
    model = MLPClassifier((50, 50), solver=solver, learning_rate_init=1.0, random_state=0, max_iter=20)
    diagnosis = diagnose(fit(model, *digits), *digits)
    assert list(diagnosis.findings) == ["dead units"]
    assert "lower learning_rate_init" in diagnosis.findings["dead units"]
    assert diagnosis.layers[1].stuck > 0.9


def test_unscaled_columns_are_reported(digits):
    X, y = digits
    diagnosis = diagnose(MLPClassifier(random_state=0), 1000 * X, y)
    assert list(diagnosis.findings) == ["unscaled inputs"]
    assert "StandardScaler" in diagnosis.findings["unscaled inputs"]
    for load in (load_wine, load_breast_cancer):
        assert "unscaled inputs" in diagnose(MLPClassifier(random_state=0), *load(return_X_y=True)).findings


def test_overflow_is_reported_as_exploding_gradients(digits):
    W = [np.full((64, 5), 1e200), np.full((5, 10), 1e200)]
    W[0][:, 0] = 2e200
    model = MLPClassifier((5,), init=(W, [np.zeros(5), np.zeros(10)]))
    diagnosis = diagnose(model, *digits)
    assert "exploding gradients" in diagnosis.findings
    assert "overflows" in str(diagnosis)


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("activation", ["relu", "tanh", "logistic", "elu", "gelu", "maxout", "leaky_relu"])
@pytest.mark.parametrize("sizes", [(20, 20), pytest.param((40,), marks=pytest.mark.slow)], ids=str)
def test_nothing_is_reported_for_networks_that_learn(sizes, activation, solver):
    """New and trained networks; L-BFGS fits the data exactly, sometimes with saturated units."""
    for load in (load_iris, load_wine, load_digits, load_diabetes):
        X, y = (part[:400] for part in load(return_X_y=True))
        Estimator = MLPRegressor if load is load_diabetes else MLPClassifier
        y = scale(y) if load is load_diabetes else y
        model = Estimator(hidden_layer_sizes=sizes, activation=activation, solver=solver, random_state=0)
        model.set_params(max_iter=50)
        assert not diagnose(model, scale(X), y).findings
        diagnosis = diagnose(fit(model, scale(X), y), scale(X), y)
        assert not diagnosis.findings, diagnosis
        assert str(diagnosis).endswith("Nothing unusual.")


# ---- Measurements ----


def test_measurements_match_the_reference(digits):
    X, y = digits
    weights = np.random.default_rng(0).uniform(size=len(y))
    model = fit(MLPClassifier((12, 7), ["tanh", "relu"], alpha=2.0, max_iter=20, random_state=0), X, y)
    options = {"activation": ["tanh", "relu"], "sample_weight": weights}
    diagnosis = diagnose(model, X, y, sample_weight=weights)
    J, gradients, _ = cost_and_gradient(model.coefs_, model.intercepts_, X, np.eye(10)[y], alpha=2.0, **options)
    A = vectorized.forward(model.coefs_, model.intercepts_, X, **options)[1:]
    D = vectorized.backward(model.coefs_, model.intercepts_, X, np.eye(10)[y], **options)
    assert diagnosis.cost == J
    for l, layer in enumerate(diagnosis.layers):
        assert layer.name == ["hidden 1", "hidden 2", "output"][l]
        assert layer.activation == ["tanh", "relu", "softmax"][l]
        expected = [
            np.linalg.norm(model.coefs_[l]),
            np.linalg.norm(gradients[l]),
            np.sqrt(np.mean(D[l] ** 2)),
            A[l].mean(),
            A[l].std(),
        ]
        assert_allclose(layer[2:7], expected, rtol=1e-12)
    assert diagnosis.layers[0].stuck == np.mean(1 - A[0] ** 2 < 0.05)
    assert diagnosis.layers[1].stuck == np.mean(~A[1].any(axis=0))
    assert np.isnan(diagnosis.layers[2].stuck)


def test_every_kind_of_estimator_and_data(digits):
    X, y = digits
    assert not diagnose(MLPRegressor(random_state=0), X, np.column_stack([y, y])).findings
    assert not diagnose(MLPRegressor(loss="poisson", random_state=0), X, y).findings
    assert not diagnose(MLPAutoencoder((32, 8), loss="log_loss", random_state=0), X).findings
    assert len(diagnose(MLPClassifier((), random_state=0), X, y % 2).layers) == 1
    model = MLPClassifier((12, 12), "maxout", batch_norm=True, residual=True, random_state=0)
    dense, sparse = diagnose(model, X, y), diagnose(model, scipy.sparse.csr_matrix(X), y)
    assert_allclose([layer[2:7] for layer in sparse.layers], [layer[2:7] for layer in dense.layers], rtol=1e-9)
    assert len(str(dense).splitlines()) == 1 + 3 + 1
    assert repr(dense) == str(dense)


# ---- The warning of fit ----


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
@pytest.mark.parametrize("sparse", [False, True])
def test_fit_warns_of_unscaled_columns_in_classification(load, sparse):
    X, y = load(return_X_y=True)
    X = scipy.sparse.csr_matrix(X) if sparse else X
    model = MLPClassifier(solver="sgd", max_iter=2, random_state=0)
    with pytest.warns(UserWarning, match=rf"{SCALES} .* standardise the columns .*StandardScaler") as caught:
        fit(model, X, y)
    assert len(caught) == 1


def test_fit_warns_of_unscaled_columns_in_regression():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(solver="sgd", random_state=0, learning_rate_init=0.01)
    with (
        pytest.raises(ValueError, match="Training diverged"),
        pytest.warns(UserWarning, match=SCALES),
    ):
        model.fit(1000 * scale(X), scale(y))
    fit(model, scale(X), scale(y))


def test_batch_normalisation_trains_on_unscaled_columns():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(solver="sgd", random_state=0, learning_rate_init=0.01, max_iter=30, batch_norm=True)
    assert fit(model, 1000 * scale(X), scale(y)).score(1000 * scale(X), scale(y)) > 0.3


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer, load_digits, load_iris])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_fit_does_not_warn_if_training_works(load, solver):
    X, y = load(return_X_y=True)
    fit(MLPClassifier(solver=solver, max_iter=3, random_state=0), X, y)


@pytest.mark.parametrize("factor", [0.01, 1, 3])
def test_fit_does_not_warn_of_scaled_columns(factor, rng):
    """Many columns and large learning rates are not reported as a problem of scale."""
    X, y = rng.normal(size=(50, 3000)) * factor, rng.normal(size=50)
    model = MLPRegressor(solver="sgd", max_iter=1, random_state=0, hidden_layer_sizes=2, learning_rate_init=0.02)
    with contextlib.suppress(ValueError):  # diverged, for the larger of them: the rate was too large
        fit(model, X, y)
    digits, target = load_digits(return_X_y=True)
    fit(MLPClassifier(solver="sgd", max_iter=1, random_state=0), digits * factor, target)
