"""`TableEncoder` turns every supported table into the documented matrix."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

from fastmlp.tabular import PiecewiseLinearEncoder, RobustSmoothClipScaler, TableEncoder


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "size": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0],
            "colour": pd.Categorical(["red", "blue", None, "red", "blue", "red"]),
            "open": [True, False, True, True, False, True],
        }
    )


def many_levels(n_levels=100, rows=500):
    rng = np.random.default_rng(0)
    levels = rng.integers(n_levels, size=rows)
    effect = rng.normal(size=n_levels)[levels]
    return pd.DataFrame({"city": [f"c{level}" for level in levels], "x": rng.normal(size=rows)}), effect


def test_names(table):
    encoder = TableEncoder(3).fit(table)
    bins = ["size_bin1", "size_bin2", "size_bin3"]
    levels = ["colour_missing", "colour_blue", "colour_red"]
    assert_array_equal(encoder.get_feature_names_out(), ["size", "open", *bins, "size_missing", *levels])
    assert encoder.transform(table).shape == (6, 9)


def test_numbers_are_scaled_and_encoded():
    X = load_diabetes(scaled=False).data[:, [0, 2]]
    expected = np.hstack([RobustSmoothClipScaler().fit_transform(X), PiecewiseLinearEncoder().fit_transform(X)])
    out = TableEncoder().fit_transform(X)
    assert out.dtype == np.float32
    assert_array_equal(out, expected.astype(np.float32))


def test_missing_number_is_the_median_with_an_indicator(table):
    encoder = TableEncoder(3).fit(table)
    median = table.assign(size=table["size"].fillna(4.0))
    missing, present = encoder.transform(table)[2], encoder.transform(median)[2]
    names = list(encoder.get_feature_names_out())
    differing = [name for name, a, b in zip(names, missing, present, strict=True) if a != b]
    assert differing == ["size_missing"]


def test_missing_number_that_fit_has_not_seen(table):
    encoder = TableEncoder().fit(table.dropna())
    out = encoder.transform(table)
    assert np.isfinite(out).all()


def test_unknown_and_missing_levels(table):
    encoder = TableEncoder().set_output(transform="pandas").fit(table)
    new = table.assign(colour=["green", None, "red", "blue", "red", "blue"])
    out = encoder.transform(new)[["colour_missing", "colour_blue", "colour_red"]].to_numpy()
    assert_array_equal(out[:4], [[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_columns_that_say_nothing_are_left_out(table):
    X = table.assign(constant=1.0, empty=np.nan, same="a", key=[f"id{i}" for i in range(6)])
    encoder = TableEncoder(max_one_hot=5).fit(X)
    assert_array_equal(encoder.get_feature_names_out(), TableEncoder().fit(table).get_feature_names_out())
    X["constant"], X["empty"], X["same"] = 2.0, 3.0, "b"
    assert_array_equal(encoder.transform(X), TableEncoder().fit_transform(table))


def test_constant_column_with_missing_values_has_an_indicator():
    X = pd.DataFrame({"a": [1.0, np.nan, 1.0]})
    out = TableEncoder().set_output(transform="pandas").fit_transform(X)
    assert out.to_dict("list") == {"a_missing": [0, 1, 0]}


def test_no_column_varies():
    with pytest.raises(ValueError, match="No column of X varies in its n_samples=2 rows"):
        TableEncoder().fit(pd.DataFrame({"a": [1, 1], "b": [None, None]}))


def test_far_numbers_stay_bounded():
    X = load_diabetes(scaled=False).data
    encoder = TableEncoder().fit(X)
    far = np.vstack([X[0] + 1e12, X[0] - 1e12])
    assert np.abs(encoder.transform(far)).max() <= 3


def test_many_levels_are_target_encoded():
    X, y = many_levels()
    encoder = TableEncoder(random_state=3)
    out = encoder.fit_transform(X, y)
    seed = int(np.random.RandomState(3).randint(np.iinfo(np.int32).max))
    expected = np.empty((len(y), 1))
    for train, test in KFold(5, shuffle=True, random_state=seed).split(X):
        means = TargetEncoder(target_type="continuous").fit(X.loc[train, ["city"]], y[train])
        expected[test] = means.transform(X.loc[test, ["city"]])
    assert encoder.get_feature_names_out()[-1] == "city_target"
    # The levels have other numbers here, so a sum may have another order.
    np.testing.assert_allclose(out[:, -1:], expected, rtol=1e-6)
    new = encoder.transform(X.assign(city="unknown"))
    np.testing.assert_allclose(new[:, -1], y.mean(), rtol=1e-6)


def test_target_encoding_does_not_leak():
    X, y = many_levels(n_levels=400)
    noise = np.random.default_rng(1).normal(size=len(y))
    out = TableEncoder(random_state=0).fit_transform(X, noise)
    # For levels of about one row, means that see the row's own target would correlate by more than 0.5. The bound is
    # four standard errors of the correlation of independent columns.
    assert abs(np.corrcoef(out[:, -1], noise)[0, 1]) < 4 / np.sqrt(len(y))


def test_target_encoding_of_classes():
    X, y = many_levels()
    labels = np.array(["low", "middle", "high"])[np.digitize(y, [-0.5, 0.5])]
    encoder = TableEncoder().fit(X, labels)
    assert_array_equal(
        encoder.get_feature_names_out()[-3:], ["city_target_high", "city_target_low", "city_target_middle"]
    )
    assert encoder.transform(X).shape[1] == len(encoder.get_feature_names_out())


def test_target_is_needed_for_many_levels():
    X, _ = many_levels()
    with pytest.raises(ValueError, match=r"Column 'city' has .* levels, more than max_one_hot=64.*pass y"):
        TableEncoder().fit(X)


def test_polars_and_numpy_are_encoded_as_pandas(table):
    expected = TableEncoder().fit_transform(table)
    assert_array_equal(TableEncoder().fit_transform(pl.from_pandas(table)), expected)
    rows = table.astype(object).to_numpy()
    assert_array_equal(TableEncoder().fit_transform(rows), expected)
    assert_array_equal(TableEncoder().fit_transform(rows.tolist()), expected)


def test_other_columns_are_refused(table):
    encoder = TableEncoder().fit(table)
    with pytest.raises(ValueError, match="now missing:\n- size"):
        encoder.transform(table.drop(columns="size"))
    with pytest.raises(ValueError, match="Column 'size' held numbers in fit"):
        encoder.transform(table.assign(size="large"))


def test_pickle_and_clone():
    X, y = many_levels()
    encoder = TableEncoder(random_state=0).fit(X, y)
    assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), encoder.transform(X))
    assert_array_equal(clone(encoder).fit(X, y).transform(X), encoder.transform(X))
