"""`RobustSmoothClipScaler` computes its formula, and stays finite whatever the numbers are."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_diabetes

from fastmlp.tabular import RobustSmoothClipScaler


def test_formula():
    X = load_diabetes(scaled=False).data
    q1, median, q3 = np.quantile(X, [0.25, 0.5, 0.75], axis=0)
    width = np.where(q3 > q1, q3 - q1, np.ptp(X, axis=0) / 2)
    z = (X - median) / width
    # Two roundings more than in this expression, each of at most 2^-53.
    assert_allclose(RobustSmoothClipScaler().fit_transform(X), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-14, atol=1e-15)


def test_half_the_range_where_quartiles_are_equal():
    X = np.array([[0.0]] * 9 + [[4.0]])
    assert_allclose(RobustSmoothClipScaler().fit_transform(X)[-1], 2 / np.sqrt(1 + 4 / 9))


def test_constant_and_missing_columns():
    X = np.array([[5.0, np.nan, 1.0], [5.0, np.nan, np.nan], [5.0, np.nan, 3.0]])
    scaler = RobustSmoothClipScaler().fit(X)
    assert_array_equal(scaler.scale_ == 0, [True, True, False])
    out = scaler.transform([[7.0, 8.0, np.nan]])
    assert_array_equal(out, [[0, 0, np.nan]])


def test_missing_values_do_not_change_the_scale():
    X = np.random.default_rng(0).normal(size=(40, 1))
    with_missing = np.vstack([X, [[np.nan]] * 7])
    assert_array_equal(
        RobustSmoothClipScaler().fit_transform(with_missing)[:40], RobustSmoothClipScaler().fit_transform(X)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype(dtype):
    X = np.random.default_rng(0).normal(size=(20, 2)).astype(dtype)
    assert RobustSmoothClipScaler().fit_transform(X).dtype == dtype


@given(arrays(np.float64, (7, 2), elements=st.floats(allow_nan=False, allow_infinity=False)))
def test_finite_and_limited(X):
    out = RobustSmoothClipScaler().fit_transform(X)
    assert np.isfinite(out).all()
    assert (np.abs(out) <= 3).all()


def test_order_is_kept():
    X = np.sort(np.random.default_rng(0).standard_cauchy((200, 1)), axis=0)
    assert (np.diff(RobustSmoothClipScaler().fit_transform(X), axis=0) >= 0).all()


@pytest.mark.parametrize(("container", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_data_frames(container, frame):
    X = frame({"a": [1.0, 2.0, 4.0], "b": [0.0, 1.0, 0.0]})
    out = RobustSmoothClipScaler().set_output(transform=container).fit_transform(X)
    assert isinstance(out, frame)
    assert list(out.columns) == ["a", "b"]


def test_pickle_and_clone():
    X = load_diabetes().data
    scaler = RobustSmoothClipScaler().fit(X)
    assert_array_equal(pickle.loads(pickle.dumps(scaler)).transform(X), scaler.transform(X))
    assert_array_equal(clone(scaler).fit_transform(X), scaler.transform(X))
