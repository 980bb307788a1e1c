"""Class weights, label smoothing and the focal loss of the classifier."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss, recall_score
from sklearn.utils import compute_class_weight, compute_sample_weight
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPClassifier, check_gradient, diagnose
from fastmlp.reference import vectorized

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KINDS = ["binary", "multiclass", "strings", "multilabel"]


def assert_same_fit(one, other):
    for ours, theirs in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        assert_array_equal(ours, theirs)
    assert one.loss_ == other.loss_


def model_of(**params):
    return MLPClassifier(**{"hidden_layer_sizes": 5, "max_iter": 4, "random_state": 0} | params)


# ---- Class weights


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("params", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_balanced_weights_match_scikit_learn(kind, params, given, problems):
    X, y = problems[kind].X, problems[kind].y
    weights = np.linspace(0.1, 2, len(y)) if given else np.ones(len(y))
    product = weights * compute_sample_weight("balanced", y)
    model = model_of(class_weight="balanced", **params).fit(X, y, sample_weight=weights if given else None)
    assert_same_fit(model, model_of(**params).fit(X, y, sample_weight=product))
    if params.get("early_stopping"):
        assert model.validation_scores_ == model_of(**params).fit(X, y, sample_weight=product).validation_scores_


@pytest.mark.parametrize("kind", ["binary", "multiclass", "strings"])
def test_weights_of_single_classes(kind, problems):
    X, y = problems[kind].X, problems[kind].y
    names = np.unique(y)
    weights = {name: 1.0 + k for k, name in enumerate(names)}
    expected = model_of().fit(X, y, sample_weight=np.searchsorted(names, y) + 1.0)
    assert_same_fit(model_of(class_weight=weights).fit(X, y), expected)
    # Classes that are not named weigh 1, as in scikit-learn.
    expected = model_of().fit(X, y, sample_weight=np.where(y == names[-1], 3.0, 1.0))
    assert_same_fit(model_of(class_weight={names[-1]: 3}).fit(X, y), expected)


def test_weights_of_labels(problems):
    X, y = problems["multilabel"].X, problems["multilabel"].y
    weights = [{0: 1, 1: 2}, {0: 0.5, 1: 1}, {0: 1, 1: 1}]
    expected = model_of().fit(X, y, sample_weight=compute_sample_weight(weights, y))
    assert_same_fit(model_of(class_weight=weights).fit(X, y), expected)
    with pytest.raises(ValueError, match="For multi-output, class_weight should be a list of dicts"):
        model_of(class_weight={0: 1, 1: 2}).fit(X, y)
    with pytest.raises(ValueError, match="number of elements in class_weight should match number of outputs"):
        model_of(class_weight=weights[:2]).fit(X, y)


def test_balanced_weights_find_the_rare_class(rng):
    X, y = load_digits(return_X_y=True)
    rare = np.flatnonzero(y == 8)[8:]
    X, y = np.delete(X, rare, axis=0) / 16, np.delete(y, rare) == 8
    noisy = X + rng.normal(scale=0.4, size=X.shape)
    found = [
        recall_score(y, model_of(max_iter=30, class_weight=weight).fit(noisy, y).predict(noisy))
        for weight in (None, "balanced")
    ]
    assert found[0] < 0.3
    assert found[1] > 0.6


def test_partial_fit_takes_weights_of_classes_that_a_batch_lacks(problems):
    X, y = problems["multiclass"].X, problems["multiclass"].y
    weights = {k: 0.5 + k for k in range(10)}
    ours, theirs = model_of(class_weight=weights), model_of()
    for rows in (y < 5, y >= 3):
        ours.partial_fit(X[rows], y[rows], classes=range(10))
        theirs.partial_fit(X[rows], y[rows], sample_weight=0.5 + y[rows], classes=range(10))
    assert_same_fit(ours, theirs)


def test_partial_fit_refuses_balanced_weights(problems):
    X, y = problems["multiclass"].X, problems["multiclass"].y
    model = model_of(class_weight="balanced")
    with pytest.raises(ValueError, match=r"class_weight='balanced' is not supported by partial_fit, .*compute_class_w"):
        model.partial_fit(X, y, classes=range(10))
    assert not hasattr(model, "classes_")


def test_objective_has_the_class_weights(problems):
    X, y = problems["strings"].X, problems["strings"].y
    ours = model_of(class_weight="balanced", solver="lbfgs", max_iter=3).fit(X, y)
    weights = compute_class_weight("balanced", classes=ours.classes_, y=y)[np.searchsorted(ours.classes_, y)]
    inputs = ours.__fastmlp_objective__(X, y)
    assert_array_equal(inputs.data.sample_weight, weights)
    inputs = ours.__fastmlp_objective__(X, y, np.arange(len(y)))
    assert_array_equal(inputs.data.sample_weight, np.arange(len(y)) * weights)
    assert check_gradient(ours, X, y, max_params=20)


@pytest.mark.parametrize(
    "weights",
    ["auto", 3, 1.5, np.nan, {0: -1.0}, {0: np.nan}, {0: np.inf}, {0: "heavy"}, {0: None}, [{0: -1}], ({0: 1},)],
)
def test_bad_class_weights_are_refused(weights, problems):
    X, y = problems["binary"].X, problems["binary"].y
    model = model_of().fit(X, y)
    before = vars(model).copy()
    model.set_params(class_weight=weights)
    with pytest.raises(InvalidParameterError, match="'class_weight' parameter") as error:
        model.fit(X, y)
    assert repr(weights) in str(error.value)
    assert vars(model) == before | {"class_weight": weights}


def test_class_weights_of_another_kind_of_target_are_refused(problems):
    X, y = problems["binary"].X, problems["binary"].y
    with pytest.raises(ValueError, match=r"class_weight as a list is for label indicators; .* must be a dict"):
        model_of(class_weight=[{0: 1, 1: 2}]).fit(X, y)
    with pytest.raises(ValueError, match=r"The classes, \[1\], are not in class_weight"):
        model_of(class_weight={0: 1, 7: 2}).fit(X, y)
    with pytest.raises(ValueError, match="at least one non-zero number"):
        model_of(class_weight={0: 0, 1: 0}).fit(X, y)


# ---- Label smoothing and focal loss


def indicators(model, y):
    """Return targets as the network sees them."""
    if y.ndim == 2:
        return y.astype(float)
    one_hot = (y[:, np.newaxis] == model.classes_).astype(float)
    return one_hot[:, 1:] if len(model.classes_) == 2 else one_hot


CASES = [
    ("binary", {}),
    ("multiclass", {}),
    ("multiclass", {"out_activation": "logistic"}),
    ("strings", {}),
    ("multilabel", {}),
]
OPTIONS = [
    ("log_loss", 0.1, 0.0),
    ("focal", 0.0, 2.0),
    ("focal", 0.0, 0.5),
    ("focal", 0.2, 1.0),
    ("squared_error", 0.1, 0.0),
]


@pytest.mark.parametrize(("loss", "smoothing", "gamma"), OPTIONS)
@pytest.mark.parametrize(("kind", "params"), CASES, ids=str)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_training_matches_the_reference(kind, params, loss, smoothing, gamma, solver, problems):
    X, y = problems[kind].X, problems[kind].y
    weights = np.linspace(0, 2, len(y))
    settings = {"batch_size": 64, "learning_rate_init": 0.01, "solver": solver, "alpha": 0.01}
    model = model_of(loss=loss, label_smoothing=smoothing, focal_gamma=gamma, **params, **settings)
    if loss == "squared_error" and kind in ("multiclass", "strings") and not params:
        with pytest.raises(ValueError, match="does not go with softmax"):
            model.fit(X, y)
        return
    model.fit(X, y, sample_weight=weights)
    Y = indicators(model, y)
    rng = np.random.RandomState(0)
    start = vectorized.initial_weights([X.shape[1], 5, Y.shape[1]], rng, activation="relu")
    coefs, intercepts, losses = vectorized.fit(
        *start,
        X,
        Y,
        epochs=4,
        rng=rng,
        output=model.out_activation_,
        loss=loss,
        loss_parameter=gamma if loss == "focal" else None,
        label_smoothing=smoothing,
        sample_weight=weights,
        **settings,
    )
    scale = Y.shape[1] if loss == "squared_error" else 1  # the mean over the outputs is reported
    if scale == 1:
        assert_allclose(model.loss_curve_, losses, rtol=1e-9)
    for ours, theirs in zip([*model.coefs_, *model.intercepts_], [*coefs, *intercepts], strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("kind", "params"), CASES, ids=str)
def test_reported_loss_uses_the_smoothed_targets(kind, params, problems):
    X, y = problems[kind].X, problems[kind].y
    model = model_of(label_smoothing=0.2, solver="lbfgs", alpha=0, max_iter=30, **params).fit(X, y)
    Y, h = indicators(model, y), 1 / (1 + np.exp(-np.atleast_2d(model.decision_function(X).T).T))
    if model.out_activation_ == "softmax":
        h = model.predict_proba(X)
        expected = -np.sum((0.8 * Y + 0.2 / Y.shape[1]) * np.log(h), axis=1)
        assert model.loss_ == pytest.approx(0.8 * log_loss(y, h) - 0.2 * np.log(h).mean(), rel=1e-9)
    else:
        smoothed = 0.8 * Y + 0.1
        expected = -np.sum(smoothed * np.log(h) + (1 - smoothed) * np.log(1 - h), axis=1)
    assert model.loss_ == pytest.approx(expected.mean(), rel=1e-9)


def test_smoothed_probabilities_stay_away_from_0_and_1(problems):
    X, y = problems["multiclass"].X, problems["multiclass"].y
    largest = [
        model_of(label_smoothing=s, hidden_layer_sizes=30, solver="lbfgs", max_iter=500)
        .fit(X, y)
        .predict_proba(X)
        .max(axis=1)
        .mean()
        for s in (0.0, 0.2)
    ]
    assert largest[0] > 0.99
    assert largest[1] == pytest.approx(0.8 + 0.2 / 10, abs=0.01)


@pytest.mark.parametrize(("kind", "params"), CASES, ids=str)
def test_focal_loss_of_gamma_0_is_the_log_loss(kind, params, problems):
    X, y = problems[kind].X, problems[kind].y
    one, other = (model_of(loss=loss, focal_gamma=0, **params).fit(X, y) for loss in ("focal", "log_loss"))
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)
    for ours, theirs in zip(one.coefs_, other.coefs_, strict=True):
        assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("kind", "params"), CASES, ids=str)
@pytest.mark.parametrize("loss", ["log_loss", "focal"])
def test_gradient_and_diagnosis(kind, params, loss, problems):
    X, y = problems[kind].X[:60], problems[kind].y[:60]
    model = model_of(loss=loss, label_smoothing=0.1, activation="tanh", batch_norm=True, solver="lbfgs", **params)
    check = check_gradient(model, X, y, max_params=20, sample_weight=np.linspace(0, 1, 60))
    assert check, check
    assert check.relative < 1e-6
    assert np.isfinite(diagnose(model.fit(X, y), X, y).layers[-1].error)


@pytest.mark.parametrize("loss", ["log_loss", "focal"])
def test_dtypes_and_sparse_input(loss, problems):
    X, y = problems["multiclass"].X, problems["multiclass"].y
    model = model_of(loss=loss, label_smoothing=0.1, class_weight="balanced")
    dense = model.fit(X, y).predict_proba(X)
    assert_allclose(clone(model).fit(scipy.sparse.csr_array(X), y).predict_proba(X), dense, rtol=1e-9)
    single = clone(model).fit(X.astype(np.float32), y)
    assert single.coefs_[0].dtype == np.float32
    assert_allclose(single.predict_proba(X.astype(np.float32)), dense, rtol=1e-3, atol=1e-5)


def test_confident_networks_have_finite_losses():
    """Neither a target of probability 1 nor one of probability 0 overflows."""
    X = np.array([[1.0], [-1.0]] * 20)
    for y in (np.tile([0, 1], 20), np.tile([0, 2, 1, 1], 10)):
        for gamma in (0.0, 0.3, 2.0):
            for size in (1.0, 1e6):
                K = 1 if y.max() == 1 else 3
                init = [np.array([[size, -size, 0.0][:K]])], [np.zeros(K)]
                model = model_of(hidden_layer_sizes=(), loss="focal", focal_gamma=gamma, init=init, max_iter=2)
                model.fit(X, y)
                assert np.isfinite(model.loss_curve_).all()
                assert np.isfinite(model.coefs_[0]).all()


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("focal_gamma", value) for value in (-0.1, np.nan, "two", None, [2.0])]
    + [("label_smoothing", value) for value in (-0.1, 1.0, 1.5, np.nan, "some", None, [0.1])],
)
def test_bad_values_are_refused(parameter, value, problems):
    X, y = problems["binary"].X, problems["binary"].y
    with pytest.raises(InvalidParameterError, match=f"'{parameter}' parameter .* must be a float") as error:
        model_of(**{parameter: value}).fit(X, y)
    assert repr(value) in str(error.value)
