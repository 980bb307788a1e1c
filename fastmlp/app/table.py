"""Read a user's CSV table: numbers stay numbers, text becomes categories, anything doubtful is an error."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from fastmlp.app import UserError

MISSING = frozenset({"", "?", "na", "#n/a", "n/a", "nan", "none", "null"})

# A fifth goes to the test set and the rest into five folds: with seven rows of a class, or twenty of a
# quantity, every fold still holds something to score.
MIN_ROWS_PER_CLASS = 7
MIN_ROWS = 20

# A column in which at most one cell in ten is not a number was meant to be numbers: those cells are errors.
# With more of them (ticket numbers such as "A/5 21171" among plain ones) it is text.
ODD_CELLS = 0.1

MAX_CLASSES = 20  # a target with more distinct whole numbers than this is a quantity
MAX_CATEGORIES = 200


@dataclass(frozen=True)
class Table:
    """A table in which every cell is a number.

    Attributes
    ----------
    name : str
        What the table is called in the report.
    X : ndarray of shape (n_rows, n_columns)
        Numbers; for a text column the index of the category. NaN is a missing value.
    columns : tuple of str
        Names of the columns of `X`.
    categories : dict of int to tuple of str
        For each text column, by its index, its texts.
    y : ndarray of shape (n_rows,)
        Class labels, or float64 quantities.
    task : {"classification", "regression"}
        What `y` asks for.
    notes : tuple of str
        What was recognised and decided on the way; the report says it aloud.
    image_shape : tuple of int or None
        Shape of the picture that a row is, if it is one.
    """

    name: str
    X: NDArray[np.float64]
    columns: tuple[str, ...]
    categories: dict[int, tuple[str, ...]]
    y: NDArray[np.generic]
    task: str
    notes: tuple[str, ...] = ()
    image_shape: tuple[int, int] | None = None


def digits() -> Table:
    """Return scikit-learn's digits: 1797 images of 8 x 8 pixels."""
    data = load_digits()
    return Table(
        name="scikit-learn's digits",
        X=data.data,
        columns=tuple(data.feature_names),
        categories={},
        y=data.target,
        task="classification",
        image_shape=(8, 8),
    )


def read_table(path: Path, target: str | None, task: str | None = None) -> Table:
    """Read the table in the CSV file `path`, whose column `target` is to be predicted.

    Parameters
    ----------
    path : Path
        A UTF-8 file with a header line, separated by commas, semicolons or tabs.
    target : str or None
        Name of the column to predict; None is an error that lists the columns.
    task : {"classification", "regression"} or None
        What to do; None recognises it from the target.

    Returns
    -------
    Table

    Raises
    ------
    UserError
        If the table cannot be read or is of no use for a search.
    """
    header, rows, lines = _read_cells(path)
    known = f"the columns are {shorten(header)}"
    if target is None:
        raise UserError(f"{path}: which column is to be predicted? Add --target NAME; {known}")
    if target not in header:
        raise UserError(f"{path} has no column {target!r}; {known}")

    where = header.index(target)
    kept = [i for i, row in enumerate(rows) if row[where] is not None]
    if not kept:
        raise UserError(f"{path}: every cell of the target {target!r} is missing")
    notes = []
    if len(kept) < len(rows):
        notes.append(f"left out, without a target: {_count(len(rows) - len(kept), 'row')}")
    rows, lines = [rows[i] for i in kept], [lines[i] for i in kept]

    y, task, why = _read_target(path, target, [row[where] for row in rows], lines, task)
    notes.append(why)
    inputs = [(name, [row[j] for row in rows]) for j, name in enumerate(header) if j != where]
    columns, categories = _read_inputs(path, inputs, lines, notes)
    if not columns:
        raise UserError(f"{path}: no column is left to predict {target!r} from ({'; '.join(notes)})")
    return Table(
        name=str(path),
        X=np.column_stack(list(columns.values())),
        columns=tuple(columns),
        categories=categories,
        y=y,
        task=task,
        notes=tuple(notes),
    )


def shorten(names: Sequence[str], most: int = 10) -> str:
    """Join `names` into one phrase, readable even with hundreds of them."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _read_cells(path: Path) -> tuple[list[str], list[list[str | None]], list[int]]:
    """Return the header, the rows (a missing cell is None) and the line on which each row ends."""
    rows: list[list[str | None]] = []
    lines: list[int] = []
    try:
        # utf-8-sig: spreadsheets begin their CSV files with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
            file.seek(0)
            reader = csv.reader(file, delimiter=max(",;\t", key=first.count), skipinitialspace=True, strict=True)
            header = [" ".join(name.split()) for name in next(filter(None, reader), [])]
            _check_header(path, header)
            for cells in reader:
                line = reader.line_num
                if not cells:
                    continue  # an empty line
                if len(cells) != len(header):
                    raise UserError(f"{path}, line {line}: {len(cells)} cells under a header of {len(header)}")
                rows.append([None if cell.strip().lower() in MISSING else cell.strip() for cell in cells])
                lines.append(line)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x}); save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if not rows:
        raise UserError(f"{path} has a header but no rows")
    return header, rows, lines


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise UserError(f"{path} is empty; its first line must name the columns")
    twice = [name for name, count in Counter(header).items() if name and count > 1]
    if twice:
        raise UserError(f"{path}: the header names {shorten(twice)} more than once")


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    # "1_000" is a number in Python only; the variance of numbers beyond 1e150 overflows.
    return value if "_" not in cell and abs(value) < 1e150 else None


def _read_numbers(path: Path, name: str, cells: list[str | None], lines: list[int]) -> NDArray[np.float64] | None:
    """Return the column as numbers, missing ones as NaN, or None if it is text."""
    values = [np.nan if cell is None else _number(cell) for cell in cells]
    odd = [i for i, value in enumerate(values) if value is None]
    numbers = len(cells) - cells.count(None) - len(odd)
    if odd and (numbers == 0 or len(odd) > max(1, ODD_CELLS * (numbers + len(odd)))):
        return None
    if odd:
        raise UserError(
            f"{path}, line {lines[odd[0]]}, column {name!r}: {_brief(cells[odd[0]])} is not a number, "
            f"as other cells of the column are; correct it, or leave it empty if it is not known"
        )
    return np.array(values, dtype=np.float64)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _brief(cell: str | None, most: int = 40) -> str:
    text = repr(cell)
    return text if len(text) <= most else f"{text[:most]}..."


def _read_target(
    path: Path, name: str, cells: list[str | None], lines: list[int], task: str | None
) -> tuple[NDArray[np.generic], str, str]:
    """Return the target, the task, and why it is that task."""
    numbers = None if task == "classification" else _read_numbers(path, name, cells, lines)
    if len(set(cells if numbers is None else numbers)) == 1:
        raise UserError(f"{path}: the target {name!r} is {_brief(cells[0])} in every row; there is nothing to learn")
    if numbers is None:
        if task == "regression":
            raise UserError(f"{path}: --task regression needs numbers, but the target {name!r} is text")
        labels = np.array(cells, dtype=str)
        found, why = "classification", f"{len(set(cells))} different texts"
    else:
        distinct = np.unique(numbers)
        whole = bool(np.all(distinct == np.round(distinct)))
        labels = np.array([f"{value:.17g}" for value in numbers])
        if whole and len(distinct) <= MAX_CLASSES:
            found, why = "classification", f"{len(distinct)} different whole numbers"
        else:
            found, why = "regression", f"{len(distinct)} different {'whole ' if whole else ''}numbers"

    chosen = task or found
    because = "as --task says" if task else f"recognised by its {why}; --task overrides"
    note = f"{chosen} of {name!r} ({because})"
    if chosen == "regression" and numbers is not None:
        if len(numbers) < MIN_ROWS:
            raise UserError(f"{path}: {len(numbers)} rows are too few; test set and 5 folds need {MIN_ROWS}")
        return numbers, chosen, note
    rarest, count = min(Counter(labels.tolist()).items(), key=lambda item: item[1])
    if count < MIN_ROWS_PER_CLASS:
        raise UserError(
            f"{path}: the class {_brief(rarest)} of {name!r} has too few rows ({count}); "
            f"test set and 5 folds need {MIN_ROWS_PER_CLASS}: add rows, merge or remove such classes"
            + ("" if numbers is None else ", or use --task regression")
        )
    return labels, chosen, note


def _read_inputs(
    path: Path, inputs: list[tuple[str, list[str | None]]], lines: list[int], notes: list[str]
) -> tuple[dict[str, NDArray[np.float64]], dict[int, tuple[str, ...]]]:
    """Return the columns of use and the categories of the text columns; add to `notes` what happened."""
    columns: dict[str, NDArray[np.float64]] = {}
    categories: dict[int, tuple[str, ...]] = {}
    identifiers, encoded, imputed = [], [], []
    for name, cells in inputs:
        known = [cell for cell in cells if cell is not None]
        if not name or not known:
            continue
        values = _read_numbers(path, name, cells, lines)
        if values is None:
            texts = tuple(sorted(set(known)))
            if len(texts) > min(max(20, len(known) // 2), MAX_CATEGORIES):
                identifiers.append(f"{name} ({len(texts)})")
                continue
            index = {text: float(i) for i, text in enumerate(texts)}
            values = np.array([np.nan if cell is None else index[cell] for cell in cells])
            categories[len(columns)] = texts
            encoded.append(f"{name} ({len(texts)})")
        columns[name] = values
        if len(known) < len(cells):
            imputed.append(f"{name} ({len(cells) - len(known)})")
    if useless := len(inputs) - len(columns) - len(identifiers):
        notes.append(f"left out, without a name or without values: {_count(useless, 'column')}")
    if identifiers:
        notes.append(f"left out, text with as many values as identifiers have: {shorten(identifiers)}")
    if encoded:
        notes.append(f"text columns, one-hot encoded (values): {shorten(encoded)}")
    if imputed:
        notes.append(f"missing values, imputed by the median or the most frequent text (cells): {shorten(imputed)}")
    return columns, categories
