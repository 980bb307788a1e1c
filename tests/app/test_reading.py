"""Files of every supported format give the same table; separator, decimal sign and encoding are detected."""

import gzip
import io
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from fastmlp.app import UserError
from fastmlp.app.preparation import TablePreparation, recognize, with_numbers
from fastmlp.app.reading import DELIMITERS, find_delimiter, find_encoding, read_raw


@pytest.fixture(scope="module")
def frame():
    """Return wine with a text column that has letters outside ASCII."""
    frame = load_wine(as_frame=True).data.astype(float)
    frame.insert(0, "région", np.array(["Nîmes", "Orléans", "Zürich"])[np.arange(len(frame)) % 3])
    return frame


def prepared(path, **options):
    raw = read_raw(str(path), **options)
    kinds = recognize(raw.frame, decimal=raw.decimal).kinds
    return TablePreparation(kinds).fit_transform(with_numbers(raw.frame, kinds, raw.decimal))


def assert_same(table, frame):
    assert list(table) == list(frame)
    assert list(table["région"]) == list(frame["région"])
    # Excel keeps 16 significant digits.
    np.testing.assert_allclose(table.iloc[:, 1:].to_numpy(), frame.iloc[:, 1:].to_numpy(), rtol=1e-15)


@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("separator", list(DELIMITERS))
def test_separator_and_decimal_sign_are_detected(tmp_path, frame, separator, decimal):
    path = tmp_path / "wine.csv"
    frame.to_csv(path, sep=separator, decimal=decimal, index=False)  # with quotes where both are commas
    assert_same(prepared(path), frame)
    raw = read_raw(str(path))
    assert raw.decimal == decimal
    assert f"separator {DELIMITERS[separator]}, decimal {'comma' if decimal == ',' else 'point'}" in raw.notes[0]
    assert_same(prepared(path, separator=separator, decimal=decimal), frame)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_encoding_is_detected(tmp_path, frame, encoding):
    path = tmp_path / "wine.csv"
    frame.to_csv(path, sep=";", index=False, encoding=encoding)
    assert_same(prepared(path), frame)
    assert_same(prepared(path, encoding=encoding), frame)


def test_other_alphabets_are_detected():
    text = "город;цена\n" + "Москва;1,5\nКазань;2,5\n" * 20
    assert find_encoding(text.encode("cp1251")) == "cp1251"


def test_short_western_text_is_not_taken_for_central_european():
    """charset-normalizer alone reads it as Windows-1250."""
    text = "año;señal\n" + "1;sí\n2;no\n" * 20
    assert text.encode("latin-1").decode(find_encoding(text.encode("latin-1"))) == text


@pytest.mark.parametrize("name", ["wine.parquet", "wine.xlsx", "wine.csv.gz", "no extension"])
def test_formats_are_recognised_by_their_content(tmp_path, frame, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        frame.to_parquet(path)
    elif name.endswith("xlsx"):
        frame.to_excel(path, index=False)
    else:
        frame.to_csv(path, sep="\t", index=False, compression="gzip")
    assert_same(prepared(path), frame)


def test_standard_input(monkeypatch, frame):
    content = gzip.compress(frame.to_csv(index=False).encode("utf-16"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert_same(prepared("-"), frame)


def test_excel_keeps_types_and_rows(tmp_path):
    """The header is not the first row, there are dates, an empty row and a second sheet."""
    path = tmp_path / "sales.xlsx"
    days = pd.date_range("2024-01-01", periods=4)
    rows = [[None] * 3, ["day", "code", "price"], *zip(days, [7, 8, "y", "x"], [1.5, 2, None, 3], strict=True)]
    rows.insert(4, [None] * 3)
    with pd.ExcelWriter(path) as book:
        pd.DataFrame(rows).to_excel(book, header=False, index=False, sheet_name="sales")
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="more")
    raw = read_raw(str(path))
    assert raw.notes == ("read as Excel, sheet 'sales' (the first of 2)",)
    assert list(raw.frame.index) == [3, 4, 6, 7]
    kinds = recognize(raw.frame).kinds
    assert kinds == {"day": "date ISO8601", "code": "text", "price": "number"}
    table = TablePreparation(kinds).fit_transform(raw.frame)
    assert list(table["code"]) == ["7", "8", "y", "x"]
    np.testing.assert_array_equal(table["day (days)"], [19723, 19724, 19725, 19726])


def test_named_index_of_a_parquet_file_is_a_column(tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index(["a", "b"], name="key")).to_parquet(path)
    assert list(read_raw(str(path)).frame) == ["key", "x"]


def test_types_of_a_parquet_file(tmp_path):
    path = tmp_path / "table.parquet"
    frame = pd.DataFrame(
        {
            "count": pd.array([1, None, 3], dtype="Int64"),
            "flag": [True, False, True],
            "label": pd.Categorical(["u", None, "v"]),
            "wait": pd.to_timedelta([1, 2, None], unit="h"),
            "when": pd.to_datetime(["2024-01-01T12:00Z", None, "2024-01-03T00:00Z"]),
        }
    )
    frame.to_parquet(path)
    table = prepared(path)
    np.testing.assert_array_equal(table["count"], [1, np.nan, 3])
    assert list(table["flag"]) == ["True", "False", "True"]
    assert list(table["label"].dropna()) == ["u", "v"]
    np.testing.assert_array_equal(table["wait"], [3600, 7200, np.nan])
    np.testing.assert_array_equal(table["when (days)"], [19723.5, np.nan, 19725])
    np.testing.assert_array_equal(table["when (hour)"], [12, np.nan, 0])


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("abc\nxx\nyx\nzx\n", ","),
        ("a b c\n1  2 3\n4  5 6\n", " "),
        ("  a   b\n  1   2\n 10  20\n", " "),
        ("a;b;c\n1,5;2,5;x y\n2,5;3,5;y z\n", ";"),
        ('a,b\n"x, y; z",1\n"u, v; w",2\n', ","),
        ("a|b\nx y z|1\nu v w|2\n", "|"),
        ("when,x\n12:30:01,5\n12:31:07,6\n", ","),
        ("a\tb c\n1\t2 3\n4\t5 6\n", "\t"),
    ],
)
def test_separator(text, delimiter):
    assert find_delimiter(text) == delimiter


def test_several_blanks_separate_once(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("  a   b\n  1   2.5\n 10  20\n")
    assert read_raw(str(path)).frame.to_dict("list") == {"a": ["1", "10"], "b": ["2.5", "20"]}


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("utf-8", "is not utf-8 text: .*choose another --encoding"), ("utf-99", "--encoding utf-99: Python has no")],
)
def test_wrong_encoding_is_refused(tmp_path, encoding, message):
    path = tmp_path / "table.csv"
    path.write_bytes("a,b,é\n1,2,3\n".encode("latin-1"))
    with pytest.raises(UserError, match=message):
        read_raw(str(path), encoding=encoding)


def test_empty_sheet_and_table_are_refused(tmp_path):
    pd.DataFrame().to_excel(tmp_path / "empty.xlsx", index=False)
    with pytest.raises(UserError, match="is empty; its first row must name the columns"):
        read_raw(str(tmp_path / "empty.xlsx"))
    pd.DataFrame({"a": []}).to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(UserError, match="has a header but no rows"):
        read_raw(str(tmp_path / "empty.parquet"))
