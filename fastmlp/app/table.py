"""Make a table ready for a search: recognise the target and the task, prepare the inputs, and check the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from fastmlp.app import UserError
from fastmlp.app.wording import brief, count, shorten

if TYPE_CHECKING:
    import pandas as pd

    from fastmlp.app.preparation import Recognition, TablePreparation
    from fastmlp.app.reading import Raw

# A fifth of the rows are test rows, and the others are divided into five folds. With seven rows of each class, or
# with twenty rows for regression, every fold has rows that can be scored.
MIN_ROWS_PER_CLASS = 7
MIN_ROWS = 20

MAX_CLASSES = 20  # a target with more distinct whole numbers than this means regression


@dataclass(frozen=True)
class Table:
    """A table that is ready to be split.

    Attributes
    ----------
    name : str
        Name of the table in the report.
    X : DataFrame or ndarray of shape (n_rows, n_columns)
        Numbers (NaN is a missing value) and categorical columns.
    y : ndarray of shape (n_rows,)
        Class labels, or float64 quantities.
    task : {"classification", "regression"}
        The task.
    target : str
        Name of the target.
    notes : tuple of str
        Descriptions of what was recognised, for the report.
    preparation : TablePreparation or None
        The fitted transformer that made `X` from the raw data frame; None if nothing was prepared.
    image_shape : tuple of int or None
        Height and width of the images, if the rows are images.
    """

    name: str
    X: Any
    y: NDArray[np.generic]
    task: str
    target: str
    notes: tuple[str, ...] = ()
    preparation: TablePreparation | None = None
    image_shape: tuple[int, int] | None = None


def digits() -> Table:
    """Return scikit-learn's digits: 1797 images of 8 x 8 pixels."""
    data = load_digits()
    return Table("scikit-learn's digits", data.data, data.target, "classification", "digit", image_shape=(8, 8))


def read_table(
    path: str,
    target: str | None,
    task: str | None = None,
    *,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    **options: str | None,
) -> Table:
    """Read the table in the file `path`, whose column `target` is to be predicted.

    Parameters
    ----------
    path : str
        A text file, an Excel workbook or a Parquet file with named columns; ``-`` is standard input.
    target : str or None
        Name of the column to predict; None is an error that lists the columns.
    task : {"classification", "regression"} or None
        The task; None recognises it from the target.
    keep, drop : sequence of str
        Columns to use even if they look like identifiers, and columns not to use.
    **options : str or None
        Options for text files: ``separator``, ``decimal`` and ``encoding`` of `fastmlp.app.reading.read_raw`.

    Returns
    -------
    Table

    Raises
    ------
    UserError
        If the table cannot be read, or has too few rows or columns for a search.
    """
    from fastmlp.app.preparation import LEFT_OUT, TablePreparation, recognize, with_numbers
    from fastmlp.app.reading import read_raw

    raw = read_raw(path, **options)
    name, frame = raw.name, raw.frame
    known = f"the columns are {shorten(list(frame))}"
    if target is None:
        raise UserError(f"{name}: which column should be predicted? Add --target NAME; {known}")
    for option, columns in (("", [target]), ("--keep: ", keep), ("--drop: ", drop)):
        for column in columns:
            if column not in frame:
                near = {str(existing).lower(): existing for existing in frame}
                close = get_close_matches(column.lower(), near, n=1)
                hint = f"; did you mean {near[close[0]]!r}?" if close else ""
                raise UserError(f"{option}{name} has no column {column!r}; {known}{hint}")
    if target in drop:
        raise UserError(f"--drop {target}: this is the target")

    frame, y, task, notes = _read_target(raw, target, task)
    inputs = frame.drop(columns=[target, *drop])
    try:
        recognition = recognize(inputs, keep, raw.decimal)
        inputs = with_numbers(inputs, recognition.kinds, raw.decimal)
        preparation = TablePreparation(recognition.kinds).fit(inputs)
    except ValueError as error:
        raise UserError(f"{name}, {error}") from error
    notes += _notes(inputs, recognition, raw.nameless)
    if drop:
        notes.append(f"left out, as --drop says: {shorten(list(drop))}")
    if all(kind == LEFT_OUT for kind in recognition.kinds.values()):
        raise UserError(f"{name}: no column is left to predict {target!r} from ({'; '.join(notes)})")
    return Table(name, preparation.transform(inputs), y, task, target, (*raw.notes, *notes), preparation)


def _read_target(raw: Raw, target: str, task: str | None) -> tuple[pd.DataFrame, NDArray[np.generic], str, list[str]]:
    """Return the rows that have a target, the targets, the task, and notes about the choice of the task."""
    from fastmlp.app import cells
    from fastmlp.app.preparation import is_numbers

    name = raw.name
    texts = cells.text_cells(raw.frame[target])
    known = texts.notna()
    if not known.any():
        raise UserError(f"{name}: every cell of the target {target!r} is missing")
    notes = []
    if not known.all():
        notes.append(f"left out, without a target: {count(int((~known).sum()), 'row')}")
    frame, texts = raw.frame[known], texts[known]
    if texts.nunique() == 1:
        raise UserError(
            f"{name}: the target {target!r} is {brief(texts.iloc[0])} in every row; there is nothing to learn"
        )
    try:
        numeric = is_numbers(frame[target], raw.decimal)
    except ValueError as error:
        if task != "classification":
            raise UserError(f"{name}, {error}") from error
        numeric = False
    if not numeric and task == "regression":
        raise UserError(f"{name}: --task regression needs numbers, but the target {target!r} is text")

    values = cells.read_numbers(frame[target], raw.decimal).to_numpy() if numeric else None
    whole = values is not None and bool(np.all(values == np.round(values)))
    different = texts.nunique() if values is None else len(np.unique(values))
    what = "texts" if values is None else f"{'whole ' if whole else ''}numbers"
    found = "classification" if values is None or (whole and different <= MAX_CLASSES) else "regression"
    task, because = task or found, "as --task says" if task else f"recognised by its {different} different {what}"
    notes.append(f"{task} of {target!r} ({because}{'' if because.startswith('as') else '; --task overrides'})")
    if task == "regression":
        assert values is not None
        if len(values) < MIN_ROWS:
            raise UserError(
                f"{name}: {len(values)} rows are too few; the test rows and 5 folds need at least {MIN_ROWS}"
            )
        return frame, values, task, notes
    labels = values.astype(np.int64) if whole and values is not None else texts.to_numpy(dtype=str)
    rarest, rows = min(Counter(labels.tolist()).items(), key=lambda item: item[1])
    if rows < MIN_ROWS_PER_CLASS:
        raise UserError(
            f"{name}: the class {brief(rarest)} of {target!r} has too few rows ({rows}); "
            f"the test rows and 5 folds need at least {MIN_ROWS_PER_CLASS}: add rows, or merge or remove such classes"
            + ("" if values is None else ", or use --task regression")
        )
    return frame, labels, task, notes


def _notes(inputs: pd.DataFrame, recognition: Recognition, nameless: int) -> list[str]:
    """Return notes about the kind of each column and about the columns that are left out."""
    from fastmlp.app import cells
    from fastmlp.app.preparation import LEFT_OUT, TEXT

    left_out: dict[str, list[str]] = {"empty": [], "constant": [], "counter": [], "identifier": []}
    for column, reason in recognition.reasons.items():
        different = f" ({cells.text_cells(inputs[column]).nunique()})" if reason == "identifier" else ""
        left_out[reason].append(column + different)
    notes = []
    if useless := nameless + len(left_out["empty"]):
        notes.append(f"left out, without a name or without values: {count(useless, 'column')}")
    for reason, what in (
        ("constant", "the same value in every row"),
        ("counter", "whole numbers that count the rows (--keep NAME overrides)"),
        ("identifier", "text with as many different values as an identifier"),
    ):
        if left_out[reason]:
            notes.append(f"left out, {what}: {shorten(left_out[reason])}")
    dates, encoded, imputed = [], [], []
    for column, kind in recognition.kinds.items():
        if kind == LEFT_OUT:
            continue
        texts = cells.text_cells(inputs[column])
        if kind == TEXT:
            encoded.append(f"{column} ({texts.nunique()})")
        elif form := kind.partition(" ")[2]:
            other = recognition.ambiguous.get(column)
            dates.append(
                f"{column} ({cells.show_format(form)}"
                + (f"; {cells.show_format(other)} fits as well" if other else "")
                + ")"
            )
        if missing := int(texts.isna().sum()):
            imputed.append(f"{column} ({missing})")
    if encoded:
        notes.append(f"text columns, one-hot encoded (values): {shorten(encoded)}")
    if dates:
        notes.append(f"dates, converted to days since 1970, month and weekday (form): {shorten(dates)}")
    if imputed:
        notes.append(f"missing values, imputed by the median or the most frequent text (cells): {shorten(imputed)}")
    return notes
