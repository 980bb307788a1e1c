"""Tables of every supported type are read alike, and what cannot be read is refused with the column's name."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from numpy.testing import assert_array_equal

from fastmlp.tabular._frame import CATEGORY, NUMBER, as_kind, read_columns

DAY = dt.date(2020, 1, 2)
MOMENT = dt.datetime(2020, 1, 2, 12)
DAYS = (DAY - dt.date(1970, 1, 1)).days

PANDAS = {
    "int": ([1, 2, 3], NUMBER, [1, 2, 3]),
    "float": ([1.5, None, 2.5], NUMBER, [1.5, np.nan, 2.5]),
    "bool": ([True, False, True], NUMBER, [1, 0, 1]),
    "nullable bool": (pd.array([True, None, False], dtype="boolean"), NUMBER, [1, np.nan, 0]),
    "nullable int": (pd.array([1, None, 3], dtype="Int64"), NUMBER, [1, np.nan, 3]),
    "nullable float": (pd.array([1.5, None, 3], dtype="Float32"), NUMBER, [1.5, np.nan, 3]),
    "arrow float": (pd.array([1.5, None, 2], dtype=pd.ArrowDtype(pa.float64())), NUMBER, [1.5, np.nan, 2]),
    "arrow int": (pd.array([1, None, 2], dtype=pd.ArrowDtype(pa.int8())), NUMBER, [1, np.nan, 2]),
    "arrow bool": (pd.array([True, None, False], dtype=pd.ArrowDtype(pa.bool_())), NUMBER, [1, np.nan, 0]),
    "arrow string": (pd.array(["a", None, "b"], dtype=pd.ArrowDtype(pa.string())), CATEGORY, ["a", None, "b"]),
    "string": (pd.array(["a", None, "b"], dtype="string"), CATEGORY, ["a", None, "b"]),
    "str": (["a", None, "b"], CATEGORY, ["a", None, "b"]),
    "object of strings": (pd.Series(["a", np.nan, "b"], dtype=object), CATEGORY, ["a", None, "b"]),
    "object of numbers": (pd.Series([1, None, True], dtype=object), NUMBER, [1, np.nan, 1]),
    "object of dates": (pd.Series([DAY, None, DAY], dtype=object), NUMBER, [DAYS, np.nan, DAYS]),
    "category": (pd.Categorical(["b", None, "a"]), CATEGORY, ["b", None, "a"]),
    "category of numbers": (pd.Categorical([1, None, 2]), CATEGORY, ["1", None, "2"]),
    "datetime": (pd.to_datetime([MOMENT, None, DAY]), NUMBER, [DAYS + 0.5, np.nan, DAYS]),
    "datetime with zone": (pd.to_datetime([MOMENT] * 3).tz_localize("UTC"), NUMBER, [DAYS + 0.5] * 3),
    "timedelta": (pd.to_timedelta([1, None, 36], unit="h"), NUMBER, [1 / 24, np.nan, 1.5]),
    "missing": (pd.Series([np.nan] * 3), NUMBER, [np.nan] * 3),
}
POLARS = {
    "int": (pl.Series([1, None, 3]), NUMBER, [1, np.nan, 3]),
    "float": (pl.Series([1.5, float("nan"), None]), NUMBER, [1.5, np.nan, np.nan]),
    "decimal": (pl.Series([1, 2, 3]).cast(pl.Decimal(10, 2)), NUMBER, [1, 2, 3]),
    "bool": (pl.Series([True, None, False]), NUMBER, [1, np.nan, 0]),
    "str": (pl.Series(["a", None, "b"]), CATEGORY, ["a", None, "b"]),
    "categorical": (pl.Series(["b", None, "a"], dtype=pl.Categorical), CATEGORY, ["b", None, "a"]),
    "enum": (pl.Series(["b", None, "a"], dtype=pl.Enum(["a", "b"])), CATEGORY, ["b", None, "a"]),
    "date": (pl.Series([DAY, None, DAY]), NUMBER, [DAYS, np.nan, DAYS]),
    "datetime": (pl.Series([MOMENT, None, MOMENT]), NUMBER, [DAYS + 0.5, np.nan, DAYS + 0.5]),
    "duration": (pl.Series([dt.timedelta(hours=36), None, None]), NUMBER, [1.5, np.nan, np.nan]),
    "null": (pl.Series([None, None, None]), NUMBER, [np.nan] * 3),
}


def check(column, kind, values):
    assert column.kind == kind
    if kind == NUMBER:
        assert column.values.dtype == np.float64
        assert_array_equal(column.values, np.array(values, float))
    else:
        assert column.values.dtype == object
        assert column.values.tolist() == values


@pytest.mark.parametrize("what", PANDAS)
def test_pandas_columns(what):
    values, kind, expected = PANDAS[what]
    (column,) = read_columns(pd.DataFrame({what: values}))
    assert column.name == what
    check(column, kind, expected)


@pytest.mark.parametrize("what", POLARS)
def test_polars_columns(what):
    values, kind, expected = POLARS[what]
    (column,) = read_columns(pl.DataFrame({what: values}))
    check(column, kind, expected)


def test_arrow_table():
    number, category = read_columns(pa.table({"a": [1, None], "b": ["x", None]}))
    check(number, NUMBER, [1, np.nan])
    check(category, CATEGORY, ["x", None])


@pytest.mark.parametrize("convert", [list, tuple, lambda rows: np.array(rows, dtype=object)])
def test_rows_of_mixed_types(convert):
    number, category, boolean, date = read_columns(convert([[1, "a", True, DAY], [None, None, False, None]]))
    check(number, NUMBER, [1, np.nan])
    check(category, CATEGORY, ["a", None])
    check(boolean, NUMBER, [1, 0])
    check(date, NUMBER, [DAYS, np.nan])


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (np.ones((2, 1), np.float32), NUMBER),
        (np.ones((2, 1), np.int8), NUMBER),
        (np.ones((2, 1), bool), NUMBER),
        (np.array([["a"], ["b"]]), CATEGORY),
        (np.array([["2020-01-01"], ["NaT"]], dtype="datetime64[D]"), NUMBER),
        (np.array([[1], [2]], dtype="timedelta64[h]"), NUMBER),
        ([[1], [2]], NUMBER),
    ],
)
def test_arrays(X, kind):
    (column,) = read_columns(X)
    assert column.kind == kind


def test_names_that_are_not_strings():
    assert [column.name for column in read_columns(pd.DataFrame([[1, 2]], columns=[7, ("a", 1)]))] == [7, ("a", 1)]


@pytest.mark.parametrize(
    ("frame", "error", "message"),
    [
        (pd.DataFrame({"h": [[1], [2]]}), TypeError, "Column 'h' holds values of type list"),
        (pl.DataFrame({"h": [[1], [2]]}), TypeError, r"Column 'h' holds values of type List\(Int64\)"),
        (pl.DataFrame({"h": [{"a": 1}]}), TypeError, "Column 'h' holds values of type Struct"),
        (pl.DataFrame({"h": [dt.time(1)]}), TypeError, "Column 'h' holds values of type Time"),
        (pd.DataFrame({"h": [{1}, {2}]}), TypeError, "Column 'h' holds values of type set"),
        (pd.DataFrame({"h": [b"a", b"b"]}), TypeError, "Column 'h' holds values of type bytes"),
        (pd.DataFrame({"h": [1j, 2]}), TypeError, "Column 'h' holds values of type complex"),
        (pd.DataFrame({"h": [1, "a"]}), ValueError, r"Column 'h' mixes numbers \(1\) and strings \('a'\).*to_numeric"),
        (pd.DataFrame({"h": [DAY, "a"]}, dtype=object), ValueError, "Column 'h' mixes dates .* and strings"),
        (pd.DataFrame({"h": [1.0, np.inf]}), ValueError, r"Column 'h' contains infinity \(first in row 1\)"),
        (pd.DataFrame([[1, 2]], columns=["h", "h"]), ValueError, "several columns with the name 'h'"),
        (pd.DataFrame({"h": []}), ValueError, r"0 sample\(s\)"),
        (pd.DataFrame(index=[0]), ValueError, r"0 feature\(s\)"),
        (pl.DataFrame({"h": [1]}).lazy(), TypeError, r"lazy.*collect\(\)"),
        (scipy.sparse.eye(2, format="csr"), TypeError, "[Ss]parse"),
        (np.ones(3), ValueError, "Reshape your data"),
        (np.array([[1j]]), ValueError, "Complex data not supported"),
        ([[{}, 1]], TypeError, "Column 0 holds values of type dict; an entry must be a string or a number"),
    ],
)
def test_refused(frame, error, message):
    with pytest.raises(error, match=message):
        read_columns(frame)


def test_numbers_where_categories_are_expected():
    (fitted,) = read_columns(pd.DataFrame({"a": pd.Categorical([1, 2, None])}))
    (numbers,) = read_columns(pd.DataFrame({"a": [1.0, 2.0, np.nan]}))
    check(as_kind(numbers, CATEGORY), CATEGORY, fitted.values.tolist())


def test_categories_where_numbers_are_expected():
    missing, strings = read_columns(pl.DataFrame({"a": pl.Series([None, None], dtype=pl.String), "b": ["1", "x"]}))
    check(as_kind(missing, NUMBER), NUMBER, [np.nan, np.nan])
    with pytest.raises(ValueError, match="Column 'b' held numbers in fit and holds the string '1' now"):
        as_kind(strings, NUMBER)
