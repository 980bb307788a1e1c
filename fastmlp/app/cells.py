"""Recognise and read numbers and dates in the cells of a column. Requires pandas."""

from __future__ import annotations

import datetime
import decimal as decimals
import math
import numbers
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from fastmlp.app.wording import brief

MISSING = frozenset({"", "?", "na", "#n/a", "n/a", "nan", "none", "null"})

# If at most one cell in ten is not a number, the column is numeric and these cells are errors. If there are more of
# them (ticket numbers such as "A/5 21171" among plain numbers), the column is text. The same rule holds for dates.
ODD_CELLS = 0.1
LARGEST = 1e150  # the variance of larger numbers overflows

PLAIN = {
    ".": re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"),
    ",": re.compile(r"[+-]?([0-9]+,?[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?"),
}
# Numbers with thousands separators. The separator is the sign that is not the decimal sign.
GROUPED = {
    ".": re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?"),
    ",": re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]*)?"),
}

_DAYS = (
    "%d.%m.%Y",
    "%d.%m.%y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
_TIMES = ("", " %H:%M", " %H:%M:%S")
ISO = "ISO8601"
DATE_FORMATS = (ISO, *(day + time for day in _DAYS for time in _TIMES))
SAMPLE_CELLS = 100  # a format is tried on this many cells first, and on the whole column only if it fits them

_SHOWN = {
    "%Y": "YYYY",
    "%y": "YY",
    "%m": "MM",
    "%d": "DD",
    "%b": "Mon",
    "%B": "Month",
    "%H": "hh",
    "%M": "mm",
    "%S": "ss",
}


def text_cells(column: pd.Series) -> pd.Series:
    """Return the cells as stripped strings in a column of objects. Missing cells are NaN."""
    known = column.notna().to_numpy()
    values = [_text(cell) if there else None for cell, there in zip(column.tolist(), known, strict=True)]
    cells: list[Any] = [np.nan if text is None or text.lower() in MISSING else text for text in values]
    return pd.Series(cells, index=column.index, name=column.name, dtype=object)


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return str(int(cell))  # a code such as 12 that pandas stores as 12.0 in a column of floats
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    return str(cell).strip()


def is_numeric(column: pd.Series) -> bool:
    """Return whether all cells have a numeric type. Booleans do not count as numbers."""
    if pd.api.types.is_bool_dtype(column):
        return False
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_timedelta64_dtype(column):
        return not pd.api.types.is_complex_dtype(column)
    if column.dtype != object:
        return False
    known = column.dropna()
    return bool(len(known)) and all(
        isinstance(cell, numbers.Real | decimals.Decimal) and not isinstance(cell, bool) for cell in known
    )


def find_numbers(column: pd.Series, decimal: str = ".") -> tuple[pd.Series, pd.Series]:
    """Return the column as floats, with NaN for missing cells, and a mask of the cells that are not numbers."""
    if pd.api.types.is_timedelta64_dtype(column):
        column = column.dt.total_seconds()
    if is_numeric(column):
        values = pd.Series(column.to_numpy(dtype=np.float64, na_value=np.nan), index=column.index, name=column.name)
        odd = values.abs() >= LARGEST
        return values.mask(odd), odd
    cells = text_cells(column)
    known = cells.dropna()
    joined = "\n".join(known)
    if re.fullmatch(rf"[0-9eE+\-\n{decimal}]*", joined):
        # Convert all cells at once, which is many times faster than matching the cells one by one.
        try:
            found = np.array(joined.replace(decimal, ".").split("\n"), dtype=np.float64) if len(known) else np.empty(0)
        except ValueError:
            pass
        else:
            values = pd.Series(np.nan, index=column.index, name=column.name)
            values[cells.notna()] = found
            odd = values.abs() >= LARGEST
            return values.mask(odd), odd
    values = pd.Series([_number(cell, decimal) for cell in cells], index=column.index, name=column.name, dtype=float)
    return values, values.isna() & cells.notna()


def _number(cell: Any, decimal: str) -> float:
    if not isinstance(cell, str):
        return math.nan
    if PLAIN[decimal].fullmatch(cell):
        value = float(cell.replace(",", "."))
    elif GROUPED[decimal].fullmatch(cell):
        value = float(cell.replace("." if decimal == "," else ",", "").replace(",", "."))
    else:
        return math.nan
    return value if abs(value) < LARGEST else math.nan


def read_numbers(column: pd.Series, decimal: str = ".") -> pd.Series:
    """Return the column as floats, with NaN for missing cells.

    Raises
    ------
    ValueError
        If a cell is not a number. The message names the cell, the column and the row.
    """
    values, odd = find_numbers(column, decimal)
    if odd.any():
        raise ValueError(f"{where(column, odd)} is not a number")
    return values


def meant_as(column: pd.Series, odd: pd.Series) -> bool:
    """Return whether the odd cells are few enough to be errors in a column of numbers or dates."""
    strange = int(odd.sum())
    known = int(column.notna().sum())
    return strange < known and strange <= max(1, ODD_CELLS * known)


def where(column: pd.Series, odd: pd.Series) -> str:
    """Return the row, the column and the content of the first odd cell, for an error message."""
    first = int(odd.to_numpy().argmax())
    index = column.index
    return f"{index.name or 'row'} {index[first]}, column {column.name!r}: {brief(_text(column.iloc[first]))}"


def find_decimal(columns: Iterable[pd.Series], delimiter: str) -> str:
    """Return the decimal sign of a table of texts.

    A column votes for a sign if its cells are numbers with only this sign, or some with the other sign as thousands
    separator, as in ``1.234,50``. In cells such as ``1,234``, the comma can
    be a decimal comma or a thousands separator. These cells decide only if no column votes: the comma is then the
    decimal sign, unless commas separate the cells of the table.
    """
    votes = {".": 0, ",": 0}
    thousands = 0
    for column in columns:
        known = column.dropna()
        joined = "\n".join(known)
        if not re.fullmatch(r"[0-9eE+\-\n.,]*", joined):
            known = known[[_is_number(cell, ".") or _is_number(cell, ",") for cell in known]]
            if len(known) < (1 - ODD_CELLS) * column.notna().sum():
                continue
            joined = "\n".join(known)
        for sign, other in (".,", ",."):
            if sign not in joined:
                continue
            if other in joined:
                votes[sign] += all(_is_number(cell, sign) for cell in known)
            elif all(GROUPED[other].fullmatch(cell) for cell in known if sign in cell):
                thousands += sign == ","
            elif all(PLAIN[sign].fullmatch(cell) for cell in known):
                votes[sign] += 1
    if votes["."] == votes[","] == 0:
        return "," if thousands and delimiter != "," else "."
    return "," if votes[","] > votes["."] else "."


def _is_number(cell: str, decimal: str) -> bool:
    return bool(PLAIN[decimal].fullmatch(cell) or GROUPED[decimal].fullmatch(cell))


def is_date(column: pd.Series) -> bool:
    """Return whether all cells have a date type."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return True
    if column.dtype != object:
        return False
    known = column.dropna()
    return bool(len(known)) and all(isinstance(cell, datetime.date) for cell in known)


def find_date_format(column: pd.Series) -> tuple[str, str] | None:
    """Return the format of the dates in a column, and a second format that fits as well or "". None: no dates."""
    if is_date(column):
        return ISO, ""
    cells = text_cells(column)
    known = cells.dropna()
    sample = known.iloc[:SAMPLE_CELLS]
    if not len(sample) or not sample.str.contains(r"[0-9].*[-/. ,].*[0-9]").mean() > 1 - 2 * ODD_CELLS:
        return None
    found: list[str] = []
    for form in DATE_FORMATS:
        if parse_dates(sample, form).notna().mean() <= 1 - 2 * ODD_CELLS:
            continue
        if meant_as(known, parse_dates(known, form).isna()):
            found.append(form)
    if not found:
        return None
    found.sort(key=lambda form: -int(parse_dates(known, form).notna().sum()))  # stable: the first of equals stays
    ambiguous = [form for form in found[1:] if parse_dates(known, form).notna().sum() == len(known)]
    return found[0], ambiguous[0] if ambiguous else ""


def parse_dates(column: pd.Series, form: str) -> pd.Series:
    """Return dates without a time zone, and NaT for cells that do not fit the format. Zones are converted to UTC."""
    dates = pd.to_datetime(column, format=form, errors="coerce", utc=True)
    return dates.dt.tz_localize(None)


def read_dates(column: pd.Series, form: str) -> pd.Series:
    """Return the column as dates, with NaT for missing cells.

    Raises
    ------
    ValueError
        If a cell is not a date of the given format. The message names the cell, the column and the row.
    """
    if is_date(column):
        return parse_dates(column, ISO)
    cells = text_cells(column)
    dates = parse_dates(cells, form)
    odd = dates.isna() & cells.notna()
    if odd.any():
        raise ValueError(f"{where(column, odd)} is not a date of the form {show_format(form)}")
    return dates


def show_format(form: str) -> str:
    """Return a date format as people write it, such as DD.MM.YYYY."""
    if form == ISO:
        return "YYYY-MM-DD"
    return re.sub("%.", lambda code: _SHOWN[code[0]], form)
