"""Bad tables are handled as documented, or refused with the column's name, and leave a fitted model as it was."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from fastmlp.tabular import TabularMLPClassifier, TabularMLPRegressor

SMALL = {"n_estimators": 2, "n_folds": 2, "hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
ROWS = 60
RNG = np.random.default_rng(0)
X = pd.DataFrame({"a": RNG.normal(size=ROWS), "b": RNG.choice(["u", "v"], size=ROWS)})
Y = RNG.normal(size=ROWS)

HANDLED = {
    "constant": np.ones(ROWS),
    "missing": np.full(ROWS, np.nan),
    "missing objects": [None] * ROWS,
    "missing integers": pd.array([pd.NA] * ROWS, dtype="Int64"),
    "missing strings": pd.array([pd.NA] * ROWS, dtype="string"),
    "missing dates": pd.to_datetime([None] * ROWS),
    "constant string": ["k"] * ROWS,
    "constant or missing": [1.0, np.nan] * (ROWS // 2),
    "durations": pd.to_timedelta(np.arange(ROWS), "D"),
    "date objects": pd.Series([datetime.date(2020, 1, 1), None, datetime.date(2020, 2, 1)] * (ROWS // 3), dtype=object),
    "booleans and missing": pd.Series([True, None, False] * (ROWS // 3), dtype=object),
    "dates": pd.date_range("2020-01-01", periods=ROWS),
    "identifiers": [f"id{i}" for i in range(ROWS)],
    "huge": RNG.normal(size=ROWS) * 1e300,
    "tiny": RNG.normal(size=ROWS) * 1e-300,
    "integers that are too large for float64": np.arange(ROWS) + 2**60,
}

LEFT_OUT = {
    "constant",
    "missing",
    "missing objects",
    "missing integers",
    "missing strings",
    "missing dates",
    "constant string",
    "integers that are too large for float64",  # all are rounded to the same number
}


@pytest.mark.parametrize("what", HANDLED)
def test_handled(what):
    table = X.assign(c=HANDLED[what])
    model = TabularMLPRegressor(**SMALL).fit(table, Y)
    assert np.isfinite(model.predict(table)).all()
    names = {name.split("_")[0] for name in model.encoder_.get_feature_names_out()}
    assert ("c" in names) == (what not in LEFT_OUT)


@pytest.mark.parametrize("new", [{"b": ["new"] * ROWS}, {"b": [None] * ROWS}, {"b": 1}, {"a": [np.nan] * ROWS}])
def test_new_values_at_prediction(new):
    model = TabularMLPRegressor(**SMALL).fit(X, Y)
    assert np.isfinite(model.predict(X.assign(**new))).all()


REFUSED = {
    "list": (X.assign(c=[[1]] * ROWS), Y, TypeError, "Column 'c' holds values of type list.*expand"),
    "list in one row": (X.assign(c=[1.0] * (ROWS - 1) + [[1]]), Y, TypeError, "Column 'c' holds values of type list"),
    "time of day": (X.assign(c=datetime.time(3)), Y, TypeError, "Column 'c' holds values of type time"),
    "numbers and dates": (
        X.assign(c=pd.Series([1, datetime.date(2020, 1, 1)] * (ROWS // 2), dtype=object)),
        Y,
        ValueError,
        "Column 'c' mixes dates .* and numbers",
    ),
    "duplicate in PyArrow": (
        pa.Table.from_arrays([pa.array(Y), pa.array(Y)], names=["a", "a"]),
        Y,
        ValueError,
        "several columns with the name 'a': rename",
    ),
    "list as target": (X, pd.Series([[1]] * ROWS), TypeError, "y holds values of type list, first in row 0"),
    "date as target": (X, pd.date_range("2020-01-01", periods=ROWS), TypeError, "y holds values of type datetime64"),
    "mixed": (X.assign(c=["a", 1] * (ROWS // 2)), Y, ValueError, "Column 'c' mixes numbers .* and strings .*astype"),
    "infinite": (X.assign(c=np.inf), Y, ValueError, "Column 'c' contains infinity"),
    "duplicate": (pd.concat([X, X[["a"]]], axis=1), Y, ValueError, "several columns with the name 'a': rename"),
    "nothing varies": (pd.DataFrame({"c": np.ones(ROWS)}), Y, ValueError, "No column of X varies"),
    "missing target": (X, np.where(np.arange(ROWS) == 7, np.nan, Y), ValueError, "1 of 60 .* first in row 7. Drop"),
    "infinite target": (X, np.where(np.arange(ROWS) == 7, np.inf, Y), ValueError, "y contains infinity.*row 7. Drop"),
    "no target": (X, None, ValueError, "requires y to be passed"),
    "few rows": (X[:1], Y[:1], ValueError, "n_samples=1 .*fewer than n_folds=2.*Lower n_folds"),
    "other length": (X, Y[1:], ValueError, "inconsistent numbers of samples"),
    "text target": (
        X,
        np.where(Y > 0, "yes", "no"),
        ValueError,
        "y holds the string.*needs numbers.*TabularMLPClassifier",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_and_the_fitted_model_unchanged(what):
    table, target, error, message = REFUSED[what]
    model = TabularMLPRegressor(**SMALL).fit(X, Y)
    before = model.__dict__.copy()
    with pytest.raises(error, match=message):
        model.fit(table, target)
    assert model.__dict__ == before
    assert np.isfinite(model.predict(X)).all()


CLASSES_REFUSED = {
    "one class": (np.zeros(ROWS, int), "one class only, '0'.*two or more"),
    "labels and numbers": (pd.Series([1, "a"] * 30, dtype=object), r"y mixes strings \('a'\) .* \(1\).*astype"),
    "numbers": (Y, "Unknown label type: continuous"),
    "missing number": (np.where(np.arange(ROWS) == 7, np.nan, Y > 0), "1 of 60 values are missing"),
    "missing string": (pd.Series(["u", None, "v"] * 20), "20 of 60 values are missing, the first in row 1"),
    "missing category": (pd.Series(["u", None, "v"] * 20, dtype="category"), "20 of 60 values are missing"),
    "missing nullable": (pd.Series([1, None, 0] * 20, dtype="Int64"), "20 of 60 values are missing"),
    "missing in polars": (pl.Series(["u", None, "v"] * 20), "20 of 60 values are missing"),
}


@pytest.mark.parametrize("what", CLASSES_REFUSED)
def test_classes_refused(what):
    target, message = CLASSES_REFUSED[what]
    with pytest.raises(ValueError, match=message):
        TabularMLPClassifier(**SMALL).fit(X, target)


def test_too_few_rows_in_classes_of_several_rows():
    with pytest.raises(ValueError, match=r"y has 0 rows in classes of two or more rows, fewer than n_folds=2.*Lower"):
        TabularMLPClassifier(**SMALL).fit(X[:2], ["p", "q"])
    with pytest.raises(ValueError, match="y has 3 rows in classes of two or more rows, fewer than n_folds=4"):
        TabularMLPClassifier(**{**SMALL, "n_folds": 4}).fit(X[:7], list("aaabcde"))


def test_classes_whose_weights_are_zero_do_not_count():
    with pytest.raises(ValueError, match=r"one class only, 'u'.*weights are not 0"):
        TabularMLPClassifier(**SMALL).fit(X, ["u", "v"] * 30, [1.0, 0.0] * 30)


@pytest.mark.parametrize(
    "target",
    [
        pd.Series(["u", "v", "u"] * 20, dtype="category"),
        pd.Series([True, False, True] * 20),
        pd.Series([1, 0, 1] * 20, dtype="Int64"),
        pl.Series(["u", "v", "u"] * 20),
        ["u", "v", "u"] * 20,
        np.array(["u", "v", "u"] * 20, dtype=object),
    ],
)
def test_types_of_labels(target):
    clf = TabularMLPClassifier(**SMALL).fit(X, target)
    assert set(clf.predict(X)) <= set(target)
    assert len(clf.classes_) == 2


def test_other_columns_at_prediction():
    model = TabularMLPRegressor(**SMALL).fit(X, Y)
    with pytest.raises(ValueError, match="Feature names seen at fit time, yet now missing:\n- b"):
        model.predict(X[["a"]])
    with pytest.raises(ValueError, match="Column 'a' held numbers in fit and holds the string 'x' now"):
        model.predict(X.assign(a="x"))


def test_one_row_predicted():
    model = TabularMLPRegressor(**SMALL).fit(X, Y)
    assert_array_equal(model.predict(X[:1]), model.predict(X)[:1])
