"""Losses of the regressor, compared with scikit-learn's metrics, with the reference, and with their purposes."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import (
    d2_pinball_score,
    mean_absolute_error,
    mean_gamma_deviance,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_tweedie_deviance,
    r2_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPRegressor, check_gradient, diagnose
from fastmlp.reference import vectorized

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def tweedie(power):
    return lambda y, h, **weight: mean_tweedie_deviance(y, h, power=power, **weight) / 2


def mean_of(function):
    return lambda y, h, sample_weight=None: np.average(function(y, h), weights=sample_weight)


# The expected `loss_` without a penalty: scikit-learn's metric if there is one, otherwise SciPy's loss.
LOSSES = {
    "absolute_error": ({}, mean_absolute_error),
    "huber": ({"huber_delta": 0.3}, mean_of(lambda y, h: special.huber(0.3, y - h))),
    "cauchy": ({}, mean_of(lambda y, h: np.log1p((y - h) ** 2) / 2)),
    "quantile": ({"quantile": 0.8}, lambda y, h, **weight: mean_pinball_loss(y, h, alpha=0.8, **weight)),
    "poisson": ({}, lambda y, h, **weight: mean_poisson_deviance(y, h, **weight) / 2),
    "gamma": ({}, lambda y, h, **weight: mean_gamma_deviance(y, h, **weight) / 2),
    "tweedie": ({}, tweedie(1.5)),
    "tweedie of power 1": ({"power": 1}, tweedie(1)),
    "tweedie of power 1.9": ({"power": 1.9}, tweedie(1.9)),
    "tweedie of power 2": ({"power": 2}, tweedie(2)),
    "tweedie of power 3": ({"power": 3.0}, tweedie(3)),
}


def model_of(name, **params):
    return MLPRegressor(name.split()[0], **{"hidden_layer_sizes": 6, "random_state": 0} | LOSSES[name][0] | params)


@pytest.fixture(scope="module")
def data():
    """Return inputs, a positive target, and sample weights."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return scale(X)[:200], y[:200] / 50, np.linspace(0, 2, 200)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_loss_matches_the_metric(name, weighted, data):
    X, y, weights = data
    weight = {"sample_weight": weights} if weighted else {}
    model = model_of(name, solver="lbfgs", alpha=0, max_iter=30).fit(X, y, **weight)
    metric = LOSSES[name][1]
    assert model.loss_ == pytest.approx(metric(y, model.predict(X), **weight), rel=1e-9)
    # It is lower than that of the best constant near the mean, so training has lowered it.
    constants = np.quantile(y, np.linspace(0.2, 0.9, 20))
    assert model.loss_ < min(metric(y, np.full(len(y), c), **weight) for c in constants)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_sums_over_the_outputs(name, data):
    X, y, _ = data
    Y = np.column_stack([y, y[::-1], y**2])
    model = model_of(name, solver="lbfgs", alpha=0, max_iter=3).fit(X, Y)
    h = model.predict(X)
    assert h.shape == Y.shape
    expected = sum(LOSSES[name][1](Y[:, k], h[:, k]) for k in range(3))
    assert model.loss_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", [*LOSSES, "quantiles"])
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_matches_the_reference(name, solver, data):
    X, y, weights = data
    if name == "quantiles":
        model = MLPRegressor("quantile", 6, quantile=[0.1, 0.5, 0.9], random_state=0)
        link, parameter, Y = "ordered", [0.1, 0.5, 0.9], np.repeat(y[:, np.newaxis], 3, axis=1)
    else:
        model, Y = model_of(name), y[:, np.newaxis]
        link = "exp" if name.split()[0] in ("poisson", "gamma", "tweedie") else "identity"
        parameter = LOSSES[name][0].get(next(iter(LOSSES[name][0]), None))
        parameter = 1.5 if name == "tweedie" else parameter
    params = {"batch_size": 32, "learning_rate_init": 0.01, "solver": solver, "alpha": 0.01}
    model.set_params(max_iter=5, **params).fit(X, y, sample_weight=weights)
    rng = np.random.RandomState(0)
    start = vectorized.initial_weights([X.shape[1], 6, Y.shape[1]], rng, activation="relu")
    coefs, intercepts, losses = vectorized.fit(
        *start,
        X,
        Y,
        epochs=5,
        rng=rng,
        output=link,
        loss=model.loss,
        loss_parameter=parameter,
        sample_weight=weights,
        **params,
    )
    assert_allclose(model.loss_curve_, losses, rtol=1e-9)
    for ours, theirs in zip([*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", [*LOSSES, "quantiles"])
def test_gradient_and_diagnosis(name, data):
    X, y, weights = data
    model = model_of("quantile" if name == "quantiles" else name, activation="tanh", batch_norm=True, residual=True)
    model.set_params(hidden_layer_sizes=(6, 6))
    if name == "quantiles":
        model.set_params(quantile=[0.2, 0.5, 0.7])
    check = check_gradient(model, X[:60], y[:60], sample_weight=weights[:60])
    assert check, check
    assert check.relative < 1e-6
    assert np.isfinite(diagnose(model.fit(X, y), X, y).layers[-1].error)


@pytest.mark.parametrize("name", LOSSES)
def test_dtypes_and_sparse_input(name, data):
    X, y, _ = data
    X = np.where(np.abs(X) < 0.5, 0, X)
    model = model_of(name, max_iter=3)
    dense = model.fit(X, y).predict(X)
    sparse = clone(model).fit(scipy.sparse.csr_array(X), y)
    assert_allclose(sparse.predict(scipy.sparse.csr_array(X)), dense, rtol=1e-9)
    single = clone(model).fit(X.astype(np.float32), y.astype(np.float32))
    assert single.coefs_[0].dtype == single.predict(X.astype(np.float32)).dtype == np.float32
    # Rounding may turn a step of a loss with kinks at a sample whose error is almost zero.
    assert_allclose(single.predict(X.astype(np.float32)), dense, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", [*LOSSES, "quantiles"])
def test_integer_targets(name, data):
    X, y, _ = data
    y = np.ceil(y).astype(int)
    model = model_of("quantile", quantile=[0.1, 0.5]) if name == "quantiles" else model_of(name)
    model.set_params(max_iter=2)
    assert_array_equal(clone(model).fit(X, y).predict(X), model.fit(X, y.astype(float)).predict(X))


def test_tweedie_of_poisson_and_gamma(data):
    X, y, _ = data
    for power, loss in [(1, "poisson"), (2, "gamma")]:
        one, other = (
            MLPRegressor(name, 6, max_iter=20, random_state=0, power=power).fit(X, y) for name in ("tweedie", loss)
        )
        assert_allclose(one.predict(X), other.predict(X), rtol=1e-7)
        assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-7)


# ---- What they are for


def test_each_loss_predicts_its_statistic_of_constant_inputs(rng):
    """A network that sees only zeros predicts the constant with the smallest loss."""
    y = np.concatenate([rng.gamma(2.0, size=300), [50.0]])
    X = np.zeros((len(y), 1))
    settings = {"alpha": 0, "max_iter": 3000, "tol": 0, "learning_rate_init": 0.01, "batch_size": len(y)}

    def constant(loss, **params):
        return MLPRegressor(loss, (), random_state=0, **settings, **params).fit(X, y).predict(X[:1])

    assert_allclose(constant("absolute_error"), np.median(y), atol=0.05)
    assert_allclose(constant("quantile", quantile=0.9), np.quantile(y, 0.9), atol=0.1)
    assert_allclose(constant("quantile", quantile=[0.1, 0.5, 0.9])[0], np.quantile(y, [0.1, 0.5, 0.9]), atol=0.15)
    for loss in ("poisson", "gamma", "tweedie"):
        assert_allclose(constant(loss), y.mean(), rtol=1e-2)


def test_outliers_hardly_move_robust_losses(data):
    X, y, _ = data
    spoiled = y.copy()
    spoiled[::20] += 1000
    found = {}
    for loss in ("squared_error", "absolute_error", "huber", "cauchy"):
        model = MLPRegressor(loss, (), solver="lbfgs", max_iter=500, random_state=0)
        found[loss] = r2_score(y, model.fit(X, spoiled).predict(X))
    assert found.pop("squared_error") < 0
    assert min(found.values()) > 0.4, found


# ---- Several quantiles

LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


def test_quantiles_cover_and_never_cross(data, rng):
    X, y, _ = data
    model = MLPRegressor("quantile", 20, quantile=LEVELS, max_iter=400, learning_rate_init=0.01, random_state=0)
    model.fit(X, y)
    h = model.predict(X)
    assert h.shape == (len(y), 5)
    assert model.out_activation_ == "ordered"
    assert_allclose((y[:, np.newaxis] <= h).mean(axis=0), LEVELS, atol=0.08)
    far = rng.normal(scale=100, size=(2000, X.shape[1]))
    for some in (X, far, far.astype(np.float32)):
        assert (np.diff(model.predict(some), axis=1) >= 0).all()
    scores = [d2_pinball_score(y, h[:, k], alpha=level) for k, level in enumerate(LEVELS)]
    assert model.score(X, y) == pytest.approx(np.mean(scores), rel=1e-12)
    weights = np.linspace(0, 1, len(y))
    scores = [d2_pinball_score(y, h[:, k], alpha=level, sample_weight=weights) for k, level in enumerate(LEVELS)]
    assert model.score(X, y, weights) == pytest.approx(np.mean(scores), rel=1e-12)


def test_loss_of_several_quantiles_is_the_sum_of_the_metric(data):
    X, y, _ = data
    model = MLPRegressor("quantile", 6, quantile=LEVELS, solver="lbfgs", alpha=0, max_iter=20, random_state=0)
    h = model.fit(X, y).predict(X)
    assert model.loss_ == pytest.approx(
        sum(mean_pinball_loss(y, h[:, k], alpha=level) for k, level in enumerate(LEVELS)), rel=1e-9
    )


def test_quantiles_in_the_whole_workflow(data):
    X, y, _ = data
    model = MLPRegressor("quantile", 6, quantile=np.array([0.25, 0.75]), random_state=0, max_iter=5)
    early = clone(model).set_params(early_stopping=True).fit(X, y)
    assert len(early.validation_scores_) == 5
    assert early.validation_scores_[-1] < 1
    partial = clone(model).partial_fit(X, y).partial_fit(X, y)
    assert partial.predict(X).shape == (200, 2)
    search = GridSearchCV(model, {"quantile": [[0.1, 0.9], 0.5]}, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    column = clone(model).set_params(quantile=[0.5]).fit(X, y)
    assert column.predict(X).shape == (200, 1)
    assert_array_equal(column.predict(X)[:, 0], clone(model).set_params(quantile=0.5).fit(X, y).predict(X))
    with pytest.raises(ValueError, match=r"quantile=\[0.1, 0.9\] needs y with one column, got 2"):
        clone(model).set_params(quantile=[0.1, 0.9]).fit(X, np.column_stack([y, y]))


# ---- What is refused


BAD_QUANTILES = [0, 1, 0.0, 1.0, -0.1, np.nan, np.inf, "half", None, {0.5}]
BAD_QUANTILES += [[], [0.9, 0.1], [0.5, 0.5], [0.5, 1.0], [0, 0.5], [0.1, np.nan], [[0.1, 0.9]], ["low"], [None]]


@pytest.mark.parametrize("quantile", BAD_QUANTILES)
def test_bad_quantiles_are_refused(quantile, data):
    X, y, _ = data
    model = MLPRegressor("quantile", 3, max_iter=2, random_state=0, quantile=[0.2, 0.8]).fit(X, y)
    before = vars(model).copy()
    model.set_params(quantile=quantile)
    with pytest.raises(InvalidParameterError, match="'quantile' parameter") as error:
        model.fit(X, y)
    assert " must be a " in str(error.value)
    assert repr(quantile) in str(error.value)
    assert vars(model) == before | {"quantile": quantile}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("huber_delta", value) for value in (0, -1.0, np.nan, np.inf, "one", None, [1.0])],
        *[("power", value) for value in (0.99, -1, np.nan, np.inf, "one", None, [1.5])],
        *[("loss", value) for value in ("absolute", None, 3, ["huber"])],
    ],
)
def test_bad_parameters_are_refused(name, value, data):
    X, y, _ = data
    model = MLPRegressor("huber", 3, max_iter=2, random_state=0).fit(X, y)
    before = vars(model).copy()
    with pytest.raises(InvalidParameterError, match=rf"The '{name}' parameter of MLPRegressor must be a") as error:
        model.set_params(**{name: value}).fit(X, y)
    assert repr(value) in str(error.value)
    assert vars(model) == before | {name: value}


@pytest.mark.parametrize("batch_norm", [False, True])
def test_quantiles_with_replaced_weights(batch_norm, data):
    X, y, _ = data
    model = MLPRegressor("quantile", 4, quantile=[0.2, 0.8], batch_norm=batch_norm, max_iter=3, random_state=0)
    model.fit(X, y)
    expected = model.predict(X)
    model.coefs_ = [coef.copy() for coef in model.coefs_]
    assert_array_equal(model.predict(X), expected)
    if not batch_norm:  # another width, so the network of the fit is not the one to predict with
        model.coefs_ = [np.hstack([model.coefs_[0], model.coefs_[0][:, :1]]), np.vstack([model.coefs_[1], [0, 0]])]
        model.intercepts_ = [np.append(model.intercepts_[0], 0), model.intercepts_[1]]
        assert_allclose(model.predict(X), expected, rtol=1e-12)


def test_score_of_the_quantiles_that_were_fitted(data):
    X, y, _ = data
    model = MLPRegressor("quantile", 4, quantile=[0.2, 0.8], max_iter=3, random_state=0).fit(X, y)
    score = model.score(X, y)
    assert model.set_params(quantile=0.5).score(X, y) == score
    assert model.set_params(quantile=[0.1, 0.5, 0.9]).predict(X).shape == (200, 2)


@pytest.mark.parametrize(
    ("name", "scoring"),
    [
        *[(name, scoring) for name in LOSSES for scoring in (None, "loss", "neg_mean_absolute_error")],
        *[("quantiles", scoring) for scoring in (None, "loss")],
    ],
)
def test_validation_data(name, scoring, data):
    """The validation loss is the loss of these rows, as it is reported of training."""
    X, y, weights = data
    model = model_of(name, max_iter=4, alpha=0) if name in LOSSES else None
    model = model or MLPRegressor("quantile", 6, quantile=[0.1, 0.9], max_iter=4, random_state=0)
    model.set_params(scoring=scoring, early_stopping=True)
    model.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:], sample_weight_val=weights[150:])
    h = model.predict(X[150:])
    if name in LOSSES:
        expected = LOSSES[name][1](y[150:], h, sample_weight=weights[150:])
    else:
        expected = sum(
            mean_pinball_loss(y[150:], h[:, k], alpha=level, sample_weight=weights[150:])
            for k, level in enumerate((0.1, 0.9))
        )
    best = int(np.argmax(model.validation_scores_))
    assert model.validation_loss_curve_[best] == pytest.approx(expected, rel=1e-9)
    if scoring == "loss":
        assert model.validation_scores_[best] == pytest.approx(-expected, rel=1e-9)


def test_validation_targets_outside_the_domain_are_refused(data):
    X, y, _ = data
    model = MLPRegressor("gamma", 3, max_iter=2)
    with pytest.raises(ValueError, match=r"X_val and y_val do not fit .*: loss='gamma' needs y > 0, got -1.0"):
        model.fit(X, y, X_val=X, y_val=np.full(len(y), -1.0))
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize(
    ("params", "low", "needs"),
    [
        ({"loss": "poisson"}, -0.5, "needs y >= 0, got -0.5"),
        ({"loss": "gamma"}, 0.0, "needs y > 0, got 0.0"),
        ({"loss": "gamma"}, -1.0, "needs y > 0, got -1.0"),
        ({"loss": "tweedie"}, -1.0, "with power=1.5 needs y >= 0, got -1.0"),
        ({"loss": "tweedie", "power": 2}, 0.0, "with power=2 needs y > 0, got 0.0"),
        ({"loss": "tweedie", "power": 3.5}, 0.0, "with power=3.5 needs y > 0, got 0.0"),
    ],
)
def test_targets_outside_the_domain_are_refused(params, low, needs, data):
    X, y, _ = data
    model = MLPRegressor(hidden_layer_sizes=3, max_iter=2, random_state=0, **params)
    spoiled = y.copy()
    spoiled[7] = low
    with pytest.raises(ValueError, match=f"loss='{params['loss']}'.* {needs}"):
        model.fit(X, spoiled)
    assert not hasattr(model, "coefs_")
    model.fit(X, y)
    weights = [w.copy() for w in model.coefs_]
    with pytest.raises(ValueError, match=needs):
        model.partial_fit(X, spoiled)
    for ours, kept in zip(model.coefs_, weights, strict=True):
        assert_array_equal(ours, kept)
    if low == 0.0:
        clone(model).set_params(loss="tweedie", power=1.99).fit(X, spoiled)


def test_zero_targets_of_tweedie(data):
    X, y, _ = data
    y = np.where(y < 2, 0, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = MLPRegressor("tweedie", 6, power=1.3, solver="lbfgs", alpha=0, max_iter=100, random_state=0).fit(X, y)
    assert model.loss_ == pytest.approx(mean_tweedie_deviance(y, model.predict(X), power=1.3) / 2, rel=1e-9)
    assert (model.predict(X) > 0).all()
