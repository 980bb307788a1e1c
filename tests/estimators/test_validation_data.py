"""Validation data: given or set aside, scored by any scorer, and the weights of the best epoch."""

import numpy as np
import pytest
import scipy.sparse
import sklearn
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.metrics import accuracy_score, get_scorer, log_loss, make_scorer, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils._param_validation import InvalidParameterError

from fastmlp import MLPAutoencoder, MLPClassifier, MLPRegressor
from fastmlp.estimators import _validation_data
from fastmlp.estimators._regressor import _r_squared

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
STOPPING = {"early_stopping": True, "n_iter_no_change": 3, "random_state": 0, "max_iter": 40}


def parts(load, rows=400):
    X, y = load(return_X_y=True)
    X, y = scale(X)[:rows], y[:rows]
    return train_test_split(X, y, random_state=0, test_size=0.3)


@pytest.fixture(scope="module")
def digits():
    return parts(load_digits)


@pytest.fixture(scope="module")
def diabetes():
    X, X_val, y, y_val = parts(load_diabetes)
    return X, X_val, y / 100, y_val / 100


def test_given_data_equal_data_that_were_set_aside(digits):
    """The split that fit draws, given by hand to a fit that draws none, ends in the same weights."""
    X, _, y, _ = digits
    whole = MLPClassifier(20, **STOPPING).fit(X, y)
    random = np.random.RandomState(0)
    given = MLPClassifier(20, **STOPPING | {"random_state": random})
    # The initial weights are drawn before the split.
    shadow = np.random.RandomState(0)
    MLPClassifier(20, random_state=shadow, max_iter=1, shuffle=False).fit(X, y)
    X_train, X_val, y_train, y_val = train_test_split(X, y, random_state=shadow, test_size=0.1)
    given.fit(X_train, y_train, X_val=X_val, y_val=y_val)
    assert given.loss_curve_[0] != whole.loss_curve_[0]  # rows are drawn in another order
    assert_allclose(given.validation_scores_[0], whole.validation_scores_[0], atol=0.2)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_no_row_is_set_aside(solver, digits):
    X, X_val, y, y_val = digits
    params = {"solver": solver, "max_iter": 3, "random_state": 0}
    plain = MLPClassifier(20, **params).fit(X, y)
    watched = MLPClassifier(20, **params).fit(X, y, X_val=X_val, y_val=y_val)
    stopping = MLPClassifier(20, **params, early_stopping=True, restore_best_weights=False)
    stopping.fit(X, y, X_val=X_val, y_val=y_val)
    for other in (watched, stopping):
        for ours, theirs in zip(other.coefs_, plain.coefs_, strict=True):
            assert_array_equal(ours, theirs)
        assert len(other.validation_scores_) == len(other.validation_loss_curve_) == 3
    assert watched.validation_scores_ == stopping.validation_scores_
    assert watched.validation_scores_[-1] == plain.score(X_val, y_val)


CASES = {
    "softmax": (load_digits, MLPClassifier(15)),
    "one unit": (load_breast_cancer, MLPClassifier(15)),
    "one against all": (load_digits, MLPClassifier(15, out_activation="logistic")),
    "regression": (load_diabetes, MLPRegressor(hidden_layer_sizes=15)),
    "poisson": (load_diabetes, MLPRegressor("poisson", 15)),
    "batch norm": (load_digits, MLPClassifier(15, batch_norm=True, dropout=0.2)),
}


def expected_loss(model, X, y, weight):
    """The mean loss without the penalty, from predictions."""
    if isinstance(model, MLPRegressor):
        h = model.predict(X)
        losses = y * np.log(y / h) - y + h if model.loss == "poisson" else (h - y) ** 2 / 2
    else:
        p = model.predict_proba(X)
        if model.out_activation == "logistic":
            Z = X @ model.coefs_[0] + model.intercepts_[0]
            h = 1 / (1 + np.exp(-(np.maximum(Z, 0) @ model.coefs_[1] + model.intercepts_[1])))
            Y = np.eye(h.shape[1])[y]
            losses = -(Y * np.log(h) + (1 - Y) * np.log(1 - h)).sum(axis=1)
        else:
            losses = -np.log(p[np.arange(len(y)), y])
    return np.average(losses, weights=weight)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_validation_loss(case, weighted, sparse):
    load, model = CASES[case]
    X, X_val, y, y_val = parts(load)
    y, y_val = (y / 100, y_val / 100) if load is load_diabetes else (y, y_val)
    weight = np.linspace(0.5, 2, len(y_val)) if weighted else None
    convert = scipy.sparse.csr_array if sparse else np.asarray
    model = clone(model).set_params(max_iter=4, random_state=0)
    model.fit(convert(X), y, X_val=convert(X_val), y_val=y_val, sample_weight_val=weight)
    assert len(model.validation_loss_curve_) == 4
    # Predictions of size 10 or logits of size 30 are sums of up to 64 products: a relative error of 64 units in the
    # last place, which the logarithm of a small probability makes absolute.
    assert model.validation_loss_curve_[-1] == pytest.approx(expected_loss(model, X_val, y_val, weight), rel=1e-11)


@pytest.mark.parametrize("loss", ["log_loss", "focal"])
@pytest.mark.parametrize("targets", ["one unit", "multilabel", "softmax", "one against all"])
def test_validation_loss_of_smoothed_labels(targets, loss):
    """Each epoch measures the loss of the same labels, whatever was measured before."""
    X, X_val, y, y_val = parts(load_digits)
    Y, Y_val = (np.column_stack([t > 4, t % 2, t % 3 == 0]).astype(int) for t in (y, y_val))
    y, y_val = {"one unit": (Y[:, 0], Y_val[:, 0]), "multilabel": (Y, Y_val)}.get(targets, (y, y_val))
    model = MLPClassifier(15, loss=loss, label_smoothing=0.2, focal_gamma=1.5, max_iter=5, random_state=0)
    model.set_params(out_activation="logistic" if targets == "one against all" else "auto")
    model.fit(X, y, X_val=X_val, y_val=y_val)
    Z = model.decision_function(X_val).reshape(len(X_val), -1)
    known = {"one unit": Y_val[:, :1], "multilabel": Y_val}.get(targets, np.eye(10)[y_val])
    if targets == "softmax":
        terms = [(0.8 * known + 0.2 / 10, np.exp(Z) / np.exp(Z).sum(axis=1, keepdims=True))]
    else:
        smoothed, h = 0.8 * known + 0.2 / 2, 1 / (1 + np.exp(-Z))
        terms = [(smoothed, h), (1 - smoothed, 1 - h)]
    gamma = 1.5 if loss == "focal" else 0
    expected = -sum((t * (1 - p) ** gamma * np.log(p)).sum() for t, p in terms) / len(X_val)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-11)  # as in `test_validation_loss`


def test_float32_validation(digits):
    X, X_val, y, y_val = digits
    fits = [
        MLPClassifier(15, max_iter=4, random_state=0).fit(X.astype(d), y, X_val=X_val, y_val=y_val)
        for d in ("f4", "f8")
    ]
    # Four epochs of two batches in float32.
    assert_allclose(fits[0].validation_loss_curve_, fits[1].validation_loss_curve_, rtol=1e-4)


SCORERS = [
    "neg_log_loss",
    "accuracy",
    "loss",
    make_scorer(log_loss, response_method="predict_proba", greater_is_better=False),
]


@pytest.mark.parametrize("scoring", SCORERS, ids=str)
def test_scorers_decide_about_the_best_epoch(scoring, digits):
    X, X_val, y, y_val = digits
    model = MLPClassifier(20, scoring=scoring, learning_rate_init=0.02, **STOPPING)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    scores = model.validation_scores_
    assert model.best_epoch_ == int(np.argmax(scores)) + 1
    assert model.best_validation_score_ == max(scores)
    if scoring == "loss":
        assert_array_equal(scores, -np.array(model.validation_loss_curve_))
        assert model.best_loss_ == min(model.validation_loss_curve_)
        now = log_loss(y_val, model.predict_proba(X_val))
        assert now == pytest.approx(model.best_loss_, rel=1e-12)
    else:
        scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
        # The weights of the best epoch are back.
        assert scorer(model, X_val, y_val) == pytest.approx(max(scores), rel=1e-12)
    assert model.n_iter_ < 40


def test_scorers_of_regressors(diabetes):
    X, X_val, y, y_val = diabetes
    model = MLPRegressor(hidden_layer_sizes=20, scoring="neg_mean_squared_error", **STOPPING)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert -mean_squared_error(y_val, model.predict(X_val)) == pytest.approx(model.best_validation_score_, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", ["one output", "two outputs", "a constant output", "two rows"])
def test_scores_of_regressors_have_the_bits_of_scikit_learn(target, weighted, dtype, diabetes):
    X, X_val, y, y_val = (part.astype(dtype) for part in diabetes)
    if target == "two outputs":
        y, y_val = np.column_stack([y, X[:, 0]]), np.column_stack([y_val, X_val[:, 0]])
    if target == "a constant output":
        y, y_val = np.column_stack([y, y]), np.column_stack([y_val, np.full_like(y_val, 3)])
    if target == "two rows":
        X_val, y_val = X_val[:2], y_val[:2]
    weight = np.linspace(0.5, 2, len(y_val), dtype=dtype) if weighted else None
    data = {"X_val": X_val, "y_val": y_val, "sample_weight_val": weight}
    for scoring in (None, "r2"):
        model = MLPRegressor(hidden_layer_sizes=8, max_iter=3, random_state=0, scoring=scoring).fit(X, y, **data)
        score = r2_score(y_val, model.predict(X_val), sample_weight=weight)
        assert model.validation_scores_[-1] == score
    exact = model._predict(X_val, check_input=False)
    assert _r_squared(exact, exact, weight) == 1


@pytest.mark.parametrize(("scoring", "model"), [("accuracy", MLPClassifier), ("r2", MLPRegressor)])
def test_scores_that_the_model_computes_itself(scoring, model, digits, monkeypatch):
    """The checks of scikit-learn's scorer would take longer than an epoch."""
    X, X_val, y, y_val = digits
    params = {"hidden_layer_sizes": 10, "max_iter": 3, "random_state": 0}
    scorer = make_scorer(accuracy_score if scoring == "accuracy" else r2_score)
    expected = model(**params, scoring=scorer).fit(X, y, X_val=X_val, y_val=y_val).validation_scores_
    monkeypatch.setattr(_validation_data, "check_scoring", None)
    found = model(**params, scoring=scoring).fit(X, y, X_val=X_val, y_val=y_val).validation_scores_
    assert_array_equal(found, expected)


def test_best_weights_by_the_training_loss(digits):
    X, _, y, _ = digits
    params = {"solver": "sgd", "learning_rate_init": 1.2, "max_iter": 25, "random_state": 1, "tol": 0}
    last = MLPClassifier(20, **params).fit(X, y)
    best = MLPClassifier(20, **params, restore_best_weights=True).fit(X, y)
    assert best.loss_curve_ == last.loss_curve_
    assert best.best_epoch_ == last.best_epoch_ == int(np.argmin(best.loss_curve_)) + 1
    until = MLPClassifier(20, **params | {"max_iter": best.best_epoch_}).fit(X, y)
    for ours, theirs in zip(best.coefs_, until.coefs_, strict=True):
        assert_array_equal(ours, theirs)


def test_stratified_splits_of_many_classes():
    X, y = load_digits(return_X_y=True)
    keep = np.concatenate([np.flatnonzero(y == k)[: 10 * (k + 1)] for k in range(10)])
    X, y = scale(X[keep]), y[keep]
    seen = []

    def note(model, X, y):
        seen.append(np.bincount(y, minlength=10))
        return model.score(X, y)

    MLPClassifier(5, early_stopping=True, scoring=note, stratify=True, max_iter=1, random_state=0).fit(X, y)
    np.testing.assert_allclose(seen[0], (np.arange(10) + 1), atol=1)


def test_a_class_with_one_member_is_explained(digits):
    X, _, y, _ = digits
    y = y.copy()
    y[y == 3] = 4
    y[0] = 3
    with pytest.raises(ValueError, match=r"only 1 member.*give validation data as X_val and y_val, set stratify=False"):
        MLPClassifier(5, early_stopping=True, stratify=True).fit(X, y)
    MLPClassifier(5, early_stopping=True, max_iter=1, random_state=0).fit(X, y)


@pytest.mark.parametrize(("weighted", "what"), [("train", "that early_stopping sets aside"), ("val", "for training")])
def test_parts_without_weight_are_refused(weighted, what, diabetes):
    """With such validation data, all scores were NaN, and the best weights were the initial ones."""
    X, _, y, _ = diabetes
    rows = []

    def note(model, X, y, sample_weight=None):
        rows.append({row.tobytes() for row in X})
        return 0.0

    MLPRegressor(hidden_layer_sizes=5, scoring=note, **STOPPING | {"max_iter": 1}).fit(X, y)
    held_out = np.array([row.tobytes() in rows[0] for row in X])
    weight = (held_out if weighted == "val" else ~held_out).astype(float)
    with pytest.raises(ValueError, match=f"sample_weight is 0 for all rows.*{what}"):
        MLPRegressor(hidden_layer_sizes=5, **STOPPING).fit(X, y, sample_weight=weight)


def test_autoencoder(digits):
    X, X_val, _, _ = digits
    model = MLPAutoencoder((8,), max_iter=5, random_state=0, scoring="loss").fit(X, X_val=X_val)
    error = ((model.reconstruct(X_val) - X_val) ** 2).mean() / 2
    assert model.validation_loss_curve_[-1] == pytest.approx(error, rel=1e-12)


def test_pipeline_transforms_the_validation_data(digits):
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 6):
        pytest.skip("transform_input is new in scikit-learn 1.6")
    X, X_val, y, y_val = digits
    with sklearn.config_context(enable_metadata_routing=True):
        model = MLPClassifier(10, max_iter=3, random_state=0).set_fit_request(X_val=True, y_val=True)
        pipeline = make_pipeline(StandardScaler(), model, transform_input=["X_val"])
        pipeline.fit(7 * X, y, X_val=7 * X_val, y_val=y_val)
    scaler = StandardScaler().fit(7 * X)
    expected = MLPClassifier(10, max_iter=3, random_state=0)
    expected.fit(scaler.transform(7 * X), y, X_val=scaler.transform(7 * X_val), y_val=y_val)
    assert pipeline[-1].validation_loss_curve_ == expected.validation_loss_curve_


@pytest.mark.filterwarnings("error:X does not have valid feature names")
@pytest.mark.parametrize("scoring", [None, "loss", "accuracy", "neg_log_loss"])
@pytest.mark.parametrize("given", [False, True])
def test_data_frames_are_scored_without_a_warning(given, scoring, digits):
    pandas = pytest.importorskip("pandas")
    X, X_val, y, y_val = digits
    names = [f"pixel {j}" for j in range(X.shape[1])]
    frame, frame_val = pandas.DataFrame(X, columns=names), pandas.DataFrame(X_val, columns=names)
    model = MLPClassifier(10, scoring=scoring, stratify=True, **STOPPING | {"max_iter": 3})  # all classes on both sides
    arrays = clone(model).fit(X, y, **{"X_val": X_val, "y_val": y_val} if given else {})
    model.fit(frame, y, **{"X_val": frame_val, "y_val": y_val} if given else {})
    assert model.validation_scores_ == arrays.validation_scores_
    assert list(model.feature_names_in_) == names


@pytest.mark.parametrize("fits", [1, 2])
def test_validation_data_of_a_warm_start_may_lack_classes(fits, digits):
    X, X_val, y, y_val = digits
    few = y_val < 4
    model = MLPClassifier(10, warm_start=True, max_iter=3, random_state=0)
    for _ in range(fits):
        model.fit(X, y, X_val=X_val[few], y_val=y_val[few])
    assert model.validation_scores_[-1] == model.score(X_val[few], y_val[few])


def bad(digits):
    _, X_val, _, y_val = digits
    unknown = y_val.copy()
    unknown[0] = 77
    return {
        "y without X": ({"y_val": y_val}, "y_val is given without X_val"),
        "weight without X": ({"sample_weight_val": np.ones(3)}, "sample_weight_val is given without X_val"),
        "X without y": ({"X_val": X_val}, "X_val is given without y_val"),
        "columns": ({"X_val": X_val[:, :5], "y_val": y_val}, "X has 5 features, but MLPClassifier is expecting 64"),
        "lengths": (
            {"X_val": X_val[:9], "y_val": y_val},
            "X_val and y_val do not fit.*inconsistent numbers of samples",
        ),
        "classes": ({"X_val": X_val, "y_val": unknown}, "X_val and y_val do not fit.*classes not in"),
        "NaN": ({"X_val": np.full_like(X_val, np.nan), "y_val": y_val}, "X_val and y_val do not fit.*contains NaN"),
        "weights": (
            {"X_val": X_val, "y_val": y_val, "sample_weight_val": np.ones(3)},
            r"sample_weight.shape == \(3,\)",
        ),
    }


@pytest.mark.parametrize(
    "name", ["y without X", "weight without X", "X without y", "columns", "lengths", "classes", "NaN", "weights"]
)
def test_bad_validation_data_are_refused(name, digits):
    X, _, y, _ = digits
    model = MLPClassifier(5, max_iter=2, random_state=0).fit(X, y)
    before, given = [coef.copy() for coef in model.coefs_], bad(digits)[name]
    with pytest.raises(ValueError, match=given[1]):
        model.fit(X, y, **given[0])
    for ours, theirs in zip(model.coefs_, before, strict=True):
        assert_array_equal(ours, theirs)


def test_one_column_is_no_label_indicator(digits):
    X, X_val, y, y_val = digits
    Y = np.eye(10, dtype=int)[y]
    model = MLPClassifier(5, max_iter=2, random_state=0)
    with pytest.raises(ValueError, match=r"X_val and y_val do not fit.*label indicators of shape \(n_samples, 10\)"):
        model.fit(X, Y, X_val=X_val, y_val=y_val)
    with pytest.raises(ValueError, match=r"label indicators of shape \(n_samples, 10\)"):
        model.fit(X, Y).partial_fit(X, y)


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("columns_val", [1, 2, 3])
@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_squared_error"])
def test_validation_targets_have_the_columns_of_the_targets(scoring, columns_val, columns, diabetes):
    X, X_val, y, y_val = diabetes
    Y, Y_val = (np.tile(t[:, np.newaxis], n).squeeze() for t, n in ((y, columns), (y_val, columns_val)))
    model = MLPRegressor(hidden_layer_sizes=5, scoring=scoring, max_iter=2, random_state=0).fit(X, Y)
    if columns_val == columns:
        assert len(model.fit(X, Y, X_val=X_val, y_val=Y_val).validation_scores_) == 2
        return
    before = [coef.copy() for coef in model.coefs_]
    with pytest.raises(ValueError, match=f"y_val must have as many columns as y, {columns}, got {columns_val}"):
        model.fit(X, Y, X_val=X_val, y_val=Y_val)
    for ours, theirs in zip(model.coefs_, before, strict=True):
        assert_array_equal(ours, theirs)


@pytest.mark.parametrize("scoring", [None, "r2"])
def test_r2_of_one_row_is_refused(scoring, diabetes):
    X, X_val, y, y_val = diabetes
    model = MLPRegressor(hidden_layer_sizes=5, max_iter=2, random_state=0, scoring=scoring)
    with pytest.raises(ValueError, match=r"X_val and y_val do not fit.*R\^2 needs at least two rows.*scoring='loss'"):
        model.fit(X, y, X_val=X_val[:1], y_val=y_val[:1])
    assert len(model.set_params(scoring="loss").fit(X, y, X_val=X_val[:1], y_val=y_val[:1]).validation_scores_) == 2


@pytest.mark.parametrize("model", [MLPClassifier(5), MLPRegressor(hidden_layer_sizes=5), MLPAutoencoder((5,))])
def test_lbfgs_refuses_validation_data(model, digits):
    X, X_val, y, y_val = digits
    given = {"X_val": X_val} if isinstance(model, MLPAutoencoder) else {"X_val": X_val, "y_val": y_val}
    with pytest.raises(ValueError, match="X_val needs solver='sgd' or solver='adam', got 'lbfgs'"):
        clone(model).set_params(solver="lbfgs").fit(X, y, **given)


@pytest.mark.parametrize("scoring", ["accuracies", 3, "roc_auc_ovr_"])
def test_an_unknown_scorer_is_refused(scoring, digits):
    X, X_val, y, y_val = digits
    with pytest.raises((ValueError, InvalidParameterError), match="scoring"):
        MLPClassifier(5, scoring=scoring).fit(X, y, X_val=X_val, y_val=y_val)


@pytest.mark.parametrize("name", ["stratify", "restore_best_weights"])
@pytest.mark.parametrize("value", ["yes", None, 2, np.nan])
def test_bad_options_are_refused(name, value, digits):
    with pytest.raises(InvalidParameterError, match=name):
        MLPClassifier(5, **{name: value}).fit(*digits[::2])


def test_partial_fit_for_several_epochs(digits):
    X, _, y, _ = digits
    classes = np.arange(10)
    many = MLPClassifier(10, random_state=0, shuffle=False).partial_fit(X, y, classes=classes, n_epochs=3)
    one = MLPClassifier(10, random_state=0, shuffle=False)
    for _ in range(3):
        one.partial_fit(X, y, classes=classes)
    for ours, theirs in zip(many.coefs_, one.coefs_, strict=True):
        assert_array_equal(ours, theirs)
    assert many.loss_curve_ == one.loss_curve_
    for wrong in (0, -1, 1.5, "1", None, True):
        with pytest.raises(ValueError, match="n_epochs must be an integer >= 1"):
            many.partial_fit(X, y, n_epochs=wrong)
