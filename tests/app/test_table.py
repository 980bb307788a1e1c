"""Tables of users: recognition of target and task, notes in the report, and errors for unusable tables."""

import csv

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_diabetes, load_wine

from fastmlp.app import UserError
from fastmlp.app.table import digits
from fastmlp.app.table import read_table as read_path
from fastmlp.app.wording import shorten


def read_table(path, target, task=None, **options):
    return read_path(str(path), target, task, **options)


def write(path, header, rows, delimiter=","):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def wine_rows():
    """Return scikit-learn's wine as a list of rows of text, the cultivar's name last."""
    data = load_wine()
    return [
        [repr(float(x)) for x in row] + [str(data.target_names[t])]
        for row, t in zip(data.data, data.target, strict=True)
    ]


WINE = [*load_wine().feature_names, "cultivar"]


def test_numbers_arrive_unchanged(tmp_path, wine_rows):
    table = read_table(write(tmp_path / "wine.csv", WINE, wine_rows), "cultivar")
    data = load_wine()
    assert_array_equal(table.X, data.data)
    assert_array_equal(table.y, data.target_names[data.target])
    assert list(table.X) == data.feature_names
    assert (table.X.dtypes == np.float64).all()
    assert table.task == "classification"
    assert "3 different texts" in table.notes[1]


def test_digits_are_images():
    table = digits()
    assert table.X.shape == (1797, 64)
    assert table.image_shape == (8, 8)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_recognised(tmp_path, wine_rows, delimiter):
    table = read_table(write(tmp_path / "wine.csv", WINE, wine_rows, delimiter), "cultivar")
    assert table.X.shape == (178, 13)


def test_byte_order_mark_and_empty_lines(tmp_path, wine_rows):
    path = write(tmp_path / "wine.csv", WINE, wine_rows)
    path.write_text("\ufeff" + "\n" + path.read_text().replace("\n", "\n\n"), encoding="utf-8")
    table = read_table(path, "cultivar")
    assert next(iter(table.X)) == "alcohol"
    assert table.X.shape == (178, 13)


def test_text_columns_become_categories(tmp_path, wine_rows):
    towns = ["Rome", "Oslo", "Kyōto"]
    rows = [[towns[i % 3], *row] for i, row in enumerate(wine_rows)]
    table = read_table(write(tmp_path / "wine.csv", ["town", *WINE], rows), "cultivar")
    assert sorted(table.X["town"].cat.categories) == ["Kyōto", "Oslo", "Rome"]
    assert list(table.X["town"][:3]) == towns
    assert "text columns, one-hot encoded (values): town (3)" in table.notes


@pytest.mark.parametrize("missing", ["", " ", "NA", "NaN", "n/a", "null", "None", "?"])
def test_missing_values(tmp_path, wine_rows, missing):
    wine_rows[3][1] = wine_rows[9][1] = missing
    table = read_table(write(tmp_path / "wine.csv", WINE, wine_rows), "cultivar")
    assert_array_equal(np.argwhere(np.isnan(table.X)), [[3, 1], [9, 1]])
    assert table.notes[-1].endswith("(cells): malic_acid (2)")


def test_rows_without_target_are_left_out(tmp_path, wine_rows):
    wine_rows[0][-1] = ""
    table = read_table(write(tmp_path / "wine.csv", WINE, wine_rows), "cultivar")
    assert len(table.y) == len(table.X) == 177
    assert "left out, without a target: 1 row" in table.notes


def test_identifiers_and_nameless_columns_are_left_out(tmp_path, wine_rows):
    # What pandas writes: an index without a name comes first.
    rows = [[str(i), f"bottle {i}", "", *row] for i, row in enumerate(wine_rows)]
    path = write(tmp_path / "wine.csv", ["", "label", "remark", *WINE], rows)
    table = read_table(path, "cultivar")
    assert list(table.X) == WINE[:-1]
    assert "left out, without a name or without values: 2 columns" in table.notes
    assert "left out, text with as many different values as an identifier: label (178)" in table.notes


def test_many_odd_cells_make_a_text_column(tmp_path, wine_rows):
    """Ticket numbers of the Titanic: a quarter of them carries letters, and none is a quantity."""
    rows = [[f"A/{i % 5}" if i % 4 == 0 else str(i % 5), *row] for i, row in enumerate(wine_rows)]
    table = read_table(write(tmp_path / "wine.csv", ["ticket", *WINE], rows), "cultivar")
    assert len(table.X["ticket"].cat.categories) == 10


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["0", "1"] * 50, "classification"),
        (["1.0", "2.0", "3.0"] * 10, "classification"),
        (["yes", "no"] * 50, "classification"),
        (["0.5", "1"] * 50, "regression"),
        ([str(i) for i in range(21)], "regression"),
    ],
)
def test_recognised_task(tmp_path, values, task):
    rows = [[str(i * i), value] for i, value in enumerate(values)]
    path = write(tmp_path / "table.csv", ["x", "y"], rows)
    table = read_table(path, "y")
    assert table.task == task
    assert table.notes[1].startswith(f"{task} of 'y' (recognised by its {len(set(values))} different ")


def test_task_overrides(tmp_path):
    rows = [[str(i * i), str(i % 4)] for i in range(40)]
    path = write(tmp_path / "table.csv", ["x", "y"], rows)
    table = read_table(path, "y", "regression")
    assert table.task == "regression"
    assert table.y.dtype == np.float64
    assert table.notes[1:] == ("regression of 'y' (as --task says)",)
    # Ages with "10+" among them: classes, if the user says so.
    rows = [[str(i * i), "10+" if i % 10 == 0 else str(i % 3)] for i in range(100)]
    path = write(tmp_path / "table.csv", ["x", "y"], rows)
    assert set(read_table(path, "y", "classification").y) == {"0", "1", "2", "10+"}
    with pytest.raises(UserError, match=r"line 2, column 'y': '10\+' is not a number"):
        read_table(path, "y")


def test_regression_target_keeps_its_values(tmp_path):
    data = load_diabetes()
    rows = np.column_stack([data.data, data.target]).tolist()
    path = write(tmp_path / "diabetes.csv", [*data.feature_names, "progression"], rows)
    table = read_table(path, "progression")
    assert_array_equal(table.X, data.data)
    assert_array_equal(table.y, data.target)


@pytest.mark.parametrize("cell", ["12,x", "1.2.3", "1_000", "inf", "1e200", "twelve"])
def test_unreadable_cell_is_named(tmp_path, wine_rows, cell):
    wine_rows[40][2] = cell
    path = write(tmp_path / "wine.csv", WINE, wine_rows)
    with pytest.raises(UserError) as raised:
        read_table(path, "cultivar")
    assert str(raised.value).startswith(f"{path}, line 42, column 'ash': '{cell}' is not a number")


ROWS = "1,2,a\n3,4,b\n" * 10
UNUSABLE = {
    "empty file": (b"", "c", "is empty"),
    "only a header": (b"a,b,c\n", "c", "has a header but no rows"),
    "only empty lines": (b"\n\n", "c", "is empty"),
    "unknown column": (b"a,b,c\n1,2,3\n", "d", "has no column 'd'; the columns are a, b, c"),
    "misspelt column": (
        b"a,b,Cultivar\n1,2,3\n",
        "cultiver",
        "the columns are a, b, Cultivar; did you mean 'Cultivar'?",
    ),
    "no target given": (b"a,b,c\n1,2,3\n", None, "Add --target NAME; the columns are a, b, c"),
    "duplicated names": (b"a,b,a\n1,2,3\n", "b", "the header names a more than once"),
    "row too long": (b"a,b,c\n1,2,3\n1,2,3,4\n", "c", "line 3: 4 cells under a header of 3"),
    "row too short": (b"a,b,c\n1,2\n", "c", "line 2: 2 cells under a header of 3"),
    "cut off gzip": (b"\x1f\x8b\x08\x00rest", "c", "cannot decompress"),
    "damaged Parquet": (b"PAR1 and no more", "c", "as a Parquet file"),
    "damaged old Excel": (b"\xd0\xcf\x11\xe0 and no more", "c", "Excel file"),
    "open quote": (b'a,b,c\n1,"2,3\n', "c", "line 2: unexpected end of data"),
    "target all missing": (b"a,b\n1,\n2,NA\n", "b", "every cell of the target 'b' is missing"),
    "constant target": (b"a,b\n1,5\n2,5\n3,\n", "b", "the target 'b' is '5' in every row"),
    "constant text": (b"a,b\n1,x\n2,x\n", "b", "the target 'b' is 'x' in every row"),
    "rare class": (f"a,b,c\n{ROWS}5,6,z\n".encode(), "c", r"the class 'z' of 'c' has too few rows \(1\)"),
    "few rows": (b"a,b\n1,1.5\n2,2.5\n", "b", "2 rows are too few"),
    "only a target": (b"c\n" + b"a\nb\n" * 10, "c", "no column is left to predict 'c' from"),
    "only identifiers": (
        b"id,c\n" + b"".join(b"i%d,%d\n" % (i, i % 2) for i in range(40)),
        "c",
        r"no column is left to predict 'c' from \(.*id \(40\)\)",
    ),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_table_is_explained_in_one_line(tmp_path, case):
    content, target, message = UNUSABLE[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_table(path, target)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*absent.csv: No such file"):
        read_table(tmp_path / "absent.csv", "y")
    with pytest.raises(UserError, match="cannot read"):
        read_table(tmp_path, "y")


def test_text_target_cannot_be_a_quantity(tmp_path, wine_rows):
    path = write(tmp_path / "wine.csv", WINE, wine_rows)
    with pytest.raises(UserError, match="--task regression needs numbers"):
        read_table(path, "cultivar", "regression")


def test_shorten():
    assert shorten(["a", "b"]) == "a, b"
    assert shorten([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
