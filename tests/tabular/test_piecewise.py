"""`PiecewiseLinearEncoder` computes its formula, and stays finite whatever the numbers are."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from fastmlp.tabular import PiecewiseLinearEncoder


def reference(x, edges):
    """One row by the formula of the paper."""
    n_bins = len(edges) - 1
    out = []
    for t in range(1, n_bins + 1):
        component = (x - edges[t - 1]) / (edges[t] - edges[t - 1])
        if t > 1:
            component = max(component, 0.0)
        if t < n_bins:
            component = min(component, 1.0)
        out.append(component)
    return out


@pytest.mark.parametrize("n_bins", [1, 2, 5, 16])
def test_formula(n_bins):
    column = load_diabetes(scaled=False).data[:, 2]
    edges = np.unique(np.quantile(column, np.linspace(0, 1, n_bins + 1)))
    asked = np.concatenate([column, [-50.0, 0.0, 200.0]])
    encoder = PiecewiseLinearEncoder(n_bins).fit(column[:, np.newaxis])
    assert_array_equal(encoder.edges_[0], edges)
    assert_array_equal(encoder.transform(asked[:, np.newaxis]), [reference(x, edges) for x in asked])


def test_few_distinct_values_become_steps():
    encoder = PiecewiseLinearEncoder().fit([[1.0], [2.0], [5.0]] * 30)
    assert_array_equal(encoder.transform([[1.0], [2.0], [5.0]]), [[0, 0], [1, 0], [1, 1]])


def test_frequent_value_does_not_take_all_bins():
    others = np.arange(1.0, 101.0)
    column = np.concatenate([np.zeros(1000), others])
    (edges,) = PiecewiseLinearEncoder(16).fit(column[:, np.newaxis]).edges_
    assert edges[0] == 0
    assert edges[-1] == 100
    assert edges.size > 14
    # Beyond the frequent value, the edges stand at quantiles of the others.
    assert_allclose(np.diff(edges[2:]), 100 / 14, atol=1.5)


def test_constant_and_missing_columns_have_no_component():
    X = np.array([[5.0, np.nan, 1.0], [5.0, np.nan, np.nan], [5.0, np.nan, 3.0]])
    encoder = PiecewiseLinearEncoder().fit(X)
    assert_array_equal(encoder.get_feature_names_out(), ["x2_bin1"])
    assert_array_equal(encoder.transform(X), [[0], [np.nan], [1]])


def test_linear_model_becomes_piecewise_linear():
    x = np.linspace(-3, 3, 201)[:, np.newaxis]
    model = make_pipeline(PiecewiseLinearEncoder(2), LinearRegression()).fit(x, np.abs(x[:, 0]))
    # Least squares on 201 rows with a well-conditioned matrix; |x| is in its range.
    assert_allclose(model.predict(x), np.abs(x[:, 0]), atol=1e-12)


@given(arrays(np.float64, (7, 1), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_finite_and_limited_inside_the_range(X):
    out = PiecewiseLinearEncoder(3).fit_transform(X)
    assert np.isfinite(out).all()
    assert ((out >= 0) & (out <= 1)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype(dtype):
    X = np.random.default_rng(0).normal(size=(20, 2)).astype(dtype)
    assert PiecewiseLinearEncoder().fit_transform(X).dtype == dtype


def test_close_edges_in_float32():
    X = 1e9 + np.arange(40.0)[:, np.newaxis]
    out = PiecewiseLinearEncoder().fit(X).transform(X.astype(np.float32))
    assert np.isfinite(out).all()


def test_data_frame():
    X = pd.DataFrame({"a": [1.0, 2.0, 4.0], "b": [0.0, 1.0, 0.0]})
    out = PiecewiseLinearEncoder().set_output(transform="pandas").fit_transform(X)
    assert list(out.columns) == ["a_bin1", "a_bin2", "b_bin1"]


def test_pickle_and_clone():
    X = load_diabetes().data
    encoder = PiecewiseLinearEncoder(5).fit(X)
    assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(X), encoder.transform(X))
    assert_array_equal(clone(encoder).fit_transform(X), encoder.transform(X))


@pytest.mark.parametrize("n_bins", [0, 1.5, "16"])
def test_n_bins_refused(n_bins):
    with pytest.raises(ValueError, match="n_bins"):
        PiecewiseLinearEncoder(n_bins).fit([[1.0], [2.0]])
