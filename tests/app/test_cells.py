"""Numbers and dates in cells: recognition, values, and the cell that an error message contains."""

import numpy as np
import pandas as pd
import pytest

from fastmlp.app import cells


def column(*values, name="x"):
    return pd.Series(list(values), name=name, dtype=object)


@pytest.mark.parametrize(
    ("cell", "decimal", "value"),
    [
        ("1.5", ".", 1.5),
        ("-.5e3", ".", -500),
        (" 2 ", ".", 2),
        ("1,5", ",", 1.5),
        ("1,234,567.5", ".", 1234567.5),
        ("1.234.567,5", ",", 1234567.5),
        ("1,5", ".", None),
        ("1.5", ",", None),
        ("1_000", ".", None),
        ("0x10", ".", None),
        ("inf", ".", None),
        ("1e200", ".", None),
        ("--1", ".", None),
        ("1-1", ".", None),
    ],
)
def test_number(cell, decimal, value):
    values, odd = cells.find_numbers(column("1", cell, None), decimal)
    assert odd.tolist() == [False, value is None, False]
    np.testing.assert_array_equal(values, [1, np.nan if value is None else value, np.nan])


@pytest.mark.parametrize("infinite", [np.inf, -np.inf, 1e200])
def test_floats_that_no_network_can_use(infinite):
    with pytest.raises(ValueError, match=r"row 1, column 'x': '.*' is not a number"):
        cells.read_numbers(pd.Series([1.0, infinite], name="x"))


@pytest.mark.parametrize(
    "missing", ["", " ", "NA", "NaN", "n/a", "#N/A", "null", "None", "?", None, np.nan, pd.NA, pd.NaT]
)
def test_missing(missing):
    assert cells.text_cells(column("a", missing)).isna().tolist() == [False, True]


def test_texts_of_numbers():
    """A code is the same text, whatever the type of the column that it passed through."""
    assert cells.text_cells(pd.Series([7, 8])).tolist() == ["7", "8"]
    assert cells.text_cells(pd.Series([7.0, 8.5])).tolist() == ["7", "8.5"]
    assert cells.text_cells(pd.Series([True, False])).tolist() == ["True", "False"]


@pytest.mark.parametrize(
    ("columns", "delimiter", "decimal"),
    [
        ([["1,5", "2,25"], ["a", "b"]], ";", ","),
        ([["1.5", "2.25"], ["3", "4"]], ";", "."),
        ([["1", "2"]], ";", "."),
        # Thousands or three decimals: what else the table holds decides, and then the separator.
        ([["1,234", "2,345"], ["1.5", "2.5"]], ";", "."),
        ([["1,234", "2,345"], ["1,5", "2,5"]], ";", ","),
        ([["1,234", "2,345"]], ";", ","),
        ([["1,234", "2,345"]], ",", "."),
        # Both signs: the last one is the decimal sign.
        ([["1.234,5", "2.345,25"]], ";", ","),
        ([["1.234,5", "999,25", "12"]], ";", ","),
        ([["1,234.5", "2,345.25"]], ";", "."),
        ([["1.234.567,5", *["-2,5"] * 12, "about 3"]], ";", ","),
        ([["1.234", "2,345"]], ";", "."),
        ([["1.234,5", "2,345.25"]], ";", "."),
        # Dates and sentences do not count.
        ([["01.02.2024", "03.04.2024"], ["1,5", "2,5"]], ";", ","),
        ([["a, b", "c, d"], ["1.5", "2.5"]], ";", "."),
        # Nor does a single odd cell.
        ([["1,5", *["2,5"] * 12, "about 3"]], ";", ","),
    ],
)
def test_decimal_sign(columns, delimiter, decimal):
    assert cells.find_decimal([column(*values) for values in columns], delimiter) == decimal


@pytest.mark.parametrize(
    ("first", "second", "form"),
    [
        ("2024-01-31", "2023-12-01", "ISO8601"),
        ("2024-01-31T10:00:00Z", "2024-01-31 12:30:00+02:00", "ISO8601"),
        ("2024/01/31", "2023/12/01", "ISO8601"),
        ("2024.01.31", "2023.12.01", "ISO8601"),
        ("31.01.2024", "1.12.2023", "%d.%m.%Y"),
        ("31.01.24", "01.12.23", "%d.%m.%y"),
        ("31/01/2024", "01/12/2023", "%d/%m/%Y"),
        ("01/31/2024", "12/01/2023", "%m/%d/%Y"),
        ("31-01-2024", "01-12-2023", "%d-%m-%Y"),
        ("31 Jan 2024", "01 Dec 2023", "%d %b %Y"),
        ("January 31, 2024", "December 1, 2023", "%B %d, %Y"),
        ("31.01.2024 10:30", "01.12.2023 00:00", "%d.%m.%Y %H:%M"),
    ],
)
def test_date_formats(first, second, form):
    dates = column(first, second, None)
    assert cells.find_date_format(dates) == (form, "")
    read = cells.read_dates(dates, form)
    assert str(read[0]).startswith("2024-01-31")
    assert read.isna().tolist() == [False, False, True]


def test_ambiguous_dates_are_reported():
    dates = column("01/02/2024", "03/04/2024")
    assert cells.find_date_format(dates) == ("%m/%d/%Y", "%d/%m/%Y")
    assert cells.show_format("%d/%m/%Y") == "DD/MM/YYYY"


@pytest.mark.parametrize("values", [["a", "b"], ["1-2", "3-4"], ["12:30", "13:45"], ["A/5 21", "B/6 22"], [None, None]])
def test_other_texts_are_no_dates(values):
    assert cells.find_date_format(column(*values)) is None


def test_odd_date_is_named():
    dates = column(*["31.01.2024"] * 20, "soon", name="due")
    assert cells.find_date_format(dates)[0] == "%d.%m.%Y"
    with pytest.raises(ValueError, match=r"row 20, column 'due': 'soon' is not a date of the form DD\.MM\.YYYY"):
        cells.read_dates(dates, "%d.%m.%Y")
