"""The tabular estimators predict well, honestly and reproducibly, and work within scikit-learn."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from fastmlp.tabular import TabularMLPClassifier, TabularMLPRegressor, _base

SMALL = {"n_estimators": 2, "n_folds": 2, "hidden_layer_sizes": (16,), "max_iter": 30, "random_state": 0}


def mixed_table(rows=300, seed=0):
    """A table of numbers, categories, booleans, dates and missing values, and a number that depends on them."""
    rng = np.random.default_rng(seed)
    size = rng.lognormal(size=rows)
    colour = rng.choice(["red", "green", "blue"], size=rows)
    city = rng.integers(80, size=rows)
    closed = rng.random(rows) < 0.5
    effect = np.random.default_rng(1).normal(size=80)
    y = np.log(size) * np.where(colour == "red", 1, -1) + 2 * effect[city] + closed
    X = pd.DataFrame(
        {
            "size": np.where(rng.random(rows) < 0.1, np.nan, size),
            "colour": pd.Categorical(np.where(rng.random(rows) < 0.1, None, colour)),
            "city": [f"city {code}" for code in city],
            "closed": closed,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(1000, size=rows), unit="D"),
        }
    )
    return X, y


@pytest.fixture(scope="module")
def table():
    return mixed_table()


def test_classifier_on_real_data():
    X, y = load_wine(return_X_y=True, as_frame=True)
    names = np.array(["barolo", "grignolino", "barbera"])[y]
    X_train, X_test, y_train, y_test = train_test_split(X, names, stratify=names, random_state=0)
    clf = TabularMLPClassifier(random_state=0).fit(X_train, y_train)
    assert clf.score(X_test, y_test) > 0.95
    probabilities = clf.predict_proba(X_test)
    assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert_array_equal(clf.classes_, ["barbera", "barolo", "grignolino"])


def test_regressor_on_real_data():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    model = TabularMLPRegressor(random_state=0).fit(X_train, y_train)
    # A linear model is hard to beat on these data; gradient boosting explains 17 % less of the variance than it does.
    linear, boosted = LinearRegression(), HistGradientBoostingRegressor(random_state=0)
    best, worse = (other.fit(X_train, y_train).score(X_test, y_test) for other in (linear, boosted))
    assert model.score(X_test, y_test) > max(best - 0.1, worse)


def test_regressor_on_mixed_table():
    X, y = mixed_table(rows=2000)
    model = TabularMLPRegressor(random_state=0).fit(X[:1500], y[:1500])
    # The city alone explains more than half of the variance; without it no model could reach this.
    assert model.score(X[1500:], y[1500:]) > 0.6


def test_classifier_on_mixed_table():
    X, y = mixed_table(rows=2000)
    labels = np.array(["low", "middle", "high"])[np.digitize(y, [-1, 1])]
    clf = TabularMLPClassifier(random_state=0).fit(X[:1500], labels[:1500])
    assert clf.score(X[1500:], labels[1500:]) > 0.6


@pytest.mark.parametrize("n_estimators", [2, 4, 5])
def test_out_of_fold_predictions_do_not_see_their_rows(n_estimators):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(200, 5)), rng.normal(size=200)
    model = TabularMLPRegressor(n_estimators=n_estimators, n_folds=2, random_state=0).fit(X, y)
    assert not np.isnan(model.oof_prediction_).any()
    # There is nothing to learn: an honest prediction is no better than the mean, one that has seen the row is.
    assert np.mean((y - model.oof_prediction_) ** 2) > np.var(y)
    assert np.mean((y - model.predict(X)) ** 2) < np.var(y)


def test_networks_are_trained_further_on_all_rows(table, monkeypatch):
    """After their out-of-fold predictions, so these do not depend on it."""
    X, y = table
    model = TabularMLPRegressor(**SMALL).fit(X, y)
    monkeypatch.setattr(_base, "train_on_all_rows", lambda network, step, best_epoch: None)
    without = TabularMLPRegressor(**SMALL).fit(X, y)
    assert_array_equal(model.oof_prediction_, without.oof_prediction_)
    assert np.mean((y - model.predict(X)) ** 2) < 0.95 * np.mean((y - without.predict(X)) ** 2)


def test_out_of_fold_predictions_tell_the_test_error():
    X, y = load_wine(return_X_y=True)
    clf = TabularMLPClassifier(random_state=0).fit(X, y)
    assert clf.oof_prediction_.shape == (178, 3)
    assert log_loss(y, clf.oof_prediction_) < 0.3


def test_probabilities_are_calibrated_on_out_of_fold_predictions():
    X, y = load_breast_cancer(return_X_y=True)
    clf = TabularMLPClassifier(**SMALL).fit(X, y)
    loss = log_loss(y, clf.oof_prediction_)
    for exponent in (0.9, 1.1):
        other = clf.oof_prediction_**exponent
        assert log_loss(y, other / other.sum(axis=1, keepdims=True)) > loss
    mean = sum(member.predict_proba(clf.encoder_.transform(X)) for member in clf.estimators_) / 2
    expected = mean**clf.exponent_ / (mean**clf.exponent_).sum(axis=1, keepdims=True)
    # Predictions of the networks are float32.
    assert_allclose(clf.predict_proba(X), expected, rtol=1e-4, atol=1e-7)


def test_label_smoothing_of_the_networks_is_undone():
    X, y = load_breast_cancer(return_X_y=True)
    plain, smooth = (TabularMLPClassifier(**SMALL, label_smoothing=s).fit(X, y) for s in (0.0, 0.4))
    assert smooth.exponent_ > 1.2 * plain.exponent_
    largest = [member.predict_proba(smooth.encoder_.transform(X)).max() for member in smooth.estimators_]
    assert np.mean(largest) < 0.95
    assert smooth.predict_proba(X).max() > 0.97


def test_dropout_changes_training(table):
    X, y = table
    first, same, other = (TabularMLPRegressor(**SMALL, dropout=d).fit(X, y).predict(X) for d in (0.1, 0.1, 0.5))
    assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_rows_in_no_fold_have_no_out_of_fold_prediction():
    X, y = load_diabetes(return_X_y=True)
    model = TabularMLPRegressor(**{**SMALL, "n_estimators": 1, "n_folds": 4}).fit(X, y)
    assert np.isnan(model.oof_prediction_).sum() == pytest.approx(0.75 * len(y), abs=1)


def test_class_with_one_row():
    X, y = load_iris(return_X_y=True)
    y = y.copy()
    y[0] = 7
    clf = TabularMLPClassifier(**SMALL).fit(X, y)
    assert clf.predict_proba(X).shape == (150, 4)
    assert np.isnan(clf.oof_prediction_[0]).all()
    assert not np.isnan(clf.oof_prediction_[1:]).any()


def test_predictions_stay_in_the_range_of_the_targets():
    x = np.linspace(0, 1, 100)[:, np.newaxis]
    model = TabularMLPRegressor(**SMALL).fit(x, 5 * x[:, 0])
    predictions = model.predict([[-10.0], [10.0]])
    assert ((predictions >= 0) & (predictions <= 5)).all()


@pytest.mark.parametrize("scale", [1e-6, 1e6, 1e-200, 1e200])
def test_scale_of_the_target_does_not_matter(scale):
    X, y = load_diabetes(return_X_y=True)
    plain = TabularMLPRegressor(**SMALL).fit(X, y).predict(X)
    scaled = TabularMLPRegressor(**SMALL).fit(X, scale * y).predict(X)
    # Standardised targets differ by roundings of float32, which training amplifies.
    assert_allclose(scaled / scale, plain, rtol=1e-2)


def test_constant_target():
    X, _ = load_diabetes(return_X_y=True)
    model = TabularMLPRegressor(**SMALL).fit(X, np.full(len(X), 3.5))
    assert_array_equal(model.predict(X), 3.5)


@pytest.mark.parametrize("Estimator", [TabularMLPClassifier, TabularMLPRegressor])
def test_same_bits_for_any_number_of_threads(Estimator, table):
    X, y = table
    target = y > 0 if Estimator is TabularMLPClassifier else y
    params = {**SMALL, "n_estimators": 3, "hidden_layer_sizes": (128, 128), "max_iter": 5}
    first = Estimator(**params, n_jobs=1).fit(X, target)
    for n_jobs in (2, 4, None):
        other = Estimator(**params, n_jobs=n_jobs).fit(X, target)
        assert_array_equal(other.oof_prediction_, first.oof_prediction_)
        assert_array_equal(other.predict(X), first.predict(X))


def test_seeds(table):
    X, y = table
    first, same, other = (TabularMLPRegressor(**{**SMALL, "random_state": s}).fit(X, y).predict(X) for s in (0, 0, 1))
    assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("labels", [None, ["low", "middle", "high"]])
def test_encoder_of_a_fitted_estimator_can_be_used(labels, table):
    X, y = table
    target = y if labels is None else np.array(labels)[np.digitize(y, [-1, 1])]
    model = (TabularMLPRegressor if labels is None else TabularMLPClassifier)(**SMALL).fit(X, target)
    encoded = model.encoder_.transform(X)
    names = list(model.encoder_.get_feature_names_out())
    assert encoded.shape == (len(X), len(names))
    means = ["city_target"] if labels is None else [f"city_target_{label}" for label in sorted(labels)]
    assert names[-len(means) :] == means


def test_pandas_and_polars_give_the_same(table):
    X, y = table
    model = TabularMLPRegressor(**SMALL).fit(X, y)
    assert_array_equal(TabularMLPRegressor(**SMALL).fit(pl.from_pandas(X), pl.Series(y)).predict(X), model.predict(X))


def test_rows_of_weight_zero_are_not_used(table):
    X, y = table
    weight = np.repeat([1.0, 0.0], [200, 100])
    weighted = TabularMLPRegressor(**SMALL).fit(X, np.where(weight > 0, y, 1e9), weight)
    fewer = TabularMLPRegressor(**SMALL).fit(X[:200], y[:200], np.ones(200))
    assert_array_equal(weighted.predict(X), fewer.predict(X))
    # All networks predict them, for none is trained on them.
    assert_array_equal(weighted.oof_prediction_[200:], fewer.predict(X[200:]))


def test_weights_change_what_is_learned():
    x = np.repeat([0.0, 1.0], 100)[:, np.newaxis]
    y = np.tile([0.0, 1.0], 100)
    model = TabularMLPRegressor(**{**SMALL, "max_iter": 200}).fit(x, y, np.where(y > 0, 9.0, 1.0))
    assert_allclose(model.predict([[0.0], [1.0]]), 0.9, atol=0.05)


@pytest.mark.parametrize(
    ("weight", "message"),
    [(np.zeros(300), "at least one non-zero number"), (np.r_[-1.0, np.ones(299)], "[Nn]egative")],
)
def test_weights_refused(table, weight, message):
    with pytest.raises(ValueError, match=message):
        TabularMLPRegressor(**SMALL).fit(*table, weight)


def test_pickle_and_clone(table):
    X, y = table
    model = TabularMLPClassifier(**SMALL).fit(X, y > 0)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), model.predict_proba(X))
    assert_array_equal(clone(model).fit(X, y > 0).predict_proba(X), model.predict_proba(X))


def test_grid_search_and_pipeline(table):
    X, y = table
    search = GridSearchCV(TabularMLPRegressor(**SMALL), {"n_bins": [1, 8]}, cv=2).fit(X, y)
    assert search.best_params_["n_bins"] in (1, 8)
    pipeline = make_pipeline(FunctionTransformer(lambda X: X.drop(columns="day")), TabularMLPRegressor(**SMALL))
    assert_array_equal(pipeline.fit(X, y)[-1].feature_names_in_, ["size", "colour", "city", "closed"])
    assert cross_val_score(DummyRegressor(), X, y, cv=2).max() < search.best_score_


@pytest.mark.parametrize(
    "params",
    [
        {"n_estimators": 0},
        {"n_folds": 1},
        {"n_bins": 0},
        {"activation": "step"},
        {"learning_rate_init": 0.0},
        {"n_jobs": 0},
        {"max_one_hot": 0},
        {"dropout": 1.0},
    ],
)
def test_parameters_refused(params, table):
    (name,) = params
    with pytest.raises(ValueError, match=f"'{name}' parameter"):
        TabularMLPRegressor(**params).fit(*table)
