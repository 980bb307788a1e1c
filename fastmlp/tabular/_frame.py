"""Read any supported table into columns of numbers and columns of categories."""

import datetime
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple, NoReturn

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

__all__ = ["CATEGORY", "NUMBER", "Column", "as_kind", "is_missing", "read_columns"]

NUMBER, CATEGORY = "number", "category"
MILLISECONDS_PER_DAY = 86_400_000


class Column(NamedTuple):
    """One column of a table."""

    name: Any  # the data frame's name, or the position
    kind: str  # NUMBER or CATEGORY
    values: NDArray[Any]  # (m,): float64 with NaN for missing, or object with str labels and None for missing


def read_columns(X: Any) -> list[Column]:
    """Return the columns of a table.

    Parameters
    ----------
    X : data frame or array-like of shape (n_samples, n_features)
        A data frame of pandas, polars, PyArrow or another library that narwhals supports, a NumPy array, or a list of
        rows.

    Returns
    -------
    list of Column
        One for each column of X, in their order.

    Raises
    ------
    TypeError
        X is sparse, lazy or no table, or a column holds values that are neither numbers, strings, booleans, dates nor
        durations.
    ValueError
        X is empty, a name occurs twice, a number is infinite, or a column mixes numbers, strings and dates.
    """
    if nw.dependencies.is_into_dataframe(X):
        return _columns_of_frame(X)
    if nw.dependencies.is_into_lazyframe(X):
        raise TypeError(f"X is a lazy data frame ({type(X).__name__}): call its method collect() first.")
    if not isinstance(X, np.ndarray) and isinstance(X, (list, tuple)):
        array = np.asarray(X)
        # NumPy would turn the numbers of a list of mixed rows into strings.
        X = np.array(X, dtype=object) if array.dtype.kind in "USO" else array
    X = check_array(X, dtype=None, ensure_all_finite=False)
    if X.dtype.kind in "biuf":
        return [_number(j, X[:, j]) for j in range(X.shape[1])]
    return [_from_entries(j, X[:, j].tolist() if X.dtype.kind != "M" else list(X[:, j])) for j in range(X.shape[1])]


def as_kind(column: Column, kind: str) -> Column:
    """Return the column as numbers or categories, as it was in `fit`.

    Raises
    ------
    ValueError
        The column held numbers in `fit` and holds strings now.
    """
    if column.kind == kind:
        return column
    if kind == CATEGORY:
        labels = [None if np.isnan(value) else _label(value) for value in column.values.tolist()]
        return Column(column.name, CATEGORY, _labels(labels))
    present = [value for value in column.values if value is not None]
    if present:
        raise ValueError(
            f"Column {column.name!r} held numbers in fit and holds the string {present[0]!r} now: convert it to "
            "numbers, for example with pandas.to_numeric(..., errors='coerce')."
        )
    return _number(column.name, np.full(len(column.values), np.nan))


def _columns_of_frame(X: Any) -> list[Column]:
    try:
        frame = nw.from_native(X, eager_only=True)
        names = list(frame.columns)
    except nw.exceptions.DuplicateError:
        # The columns of a PyArrow table are its data.
        names = list(getattr(X, "column_names", X.columns))
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"X has several columns with the name {', '.join(map(repr, repeated))}: rename or drop them.")
    m, n = frame.shape
    for count, what in ((m, "sample"), (n, "feature")):
        if count == 0:
            raise ValueError(f"Found array with 0 {what}(s) (shape=({m}, {n})) while a minimum of 1 is required.")
    return [_from_series(name, series) for name, series in zip(names, frame.iter_columns(), strict=True)]


def _from_series(name: Any, series: Any) -> Column:
    dtype = series.dtype
    if dtype.is_numeric() or dtype == nw.Boolean:
        # Booleans first become integers: not every library converts them to floating point directly.
        numbers = series.cast(nw.Int8) if dtype == nw.Boolean and series.null_count() == 0 else series
        return _number(name, _to_float(numbers))
    if dtype in (nw.Date, nw.Datetime):
        return _number(name, _to_float(series.dt.timestamp("ms")) / MILLISECONDS_PER_DAY)
    if dtype == nw.Duration:
        return _number(name, _to_float(series.dt.total_milliseconds()) / MILLISECONDS_PER_DAY)
    missing = series.is_null().to_list()
    entries = [None if gone else value for gone, value in zip(missing, series.to_list(), strict=True)]
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        return Column(name, CATEGORY, _labels([None if value is None else _label(value) for value in entries]))
    if dtype in (nw.Object, nw.Unknown):
        return _from_entries(name, entries)
    _refuse(name, str(dtype))


def _to_float(series: Any) -> NDArray[Any]:
    """Return float64 numbers, NaN where they are missing."""
    if series.null_count() == 0:
        return np.asarray(series.to_numpy(), dtype=np.float64)
    present = ~series.is_null().to_numpy().astype(bool)
    numbers = np.full(len(series), np.nan)
    numbers[present] = np.asarray(series.drop_nulls().to_numpy(), dtype=np.float64)
    return numbers


def _number(name: Any, values: Any) -> Column:
    values = np.asarray(values, dtype=np.float64)
    if np.isinf(values).any():
        row = int(np.flatnonzero(np.isinf(values))[0])
        raise ValueError(
            f"Column {name!r} contains infinity (first in row {row}): replace it by a finite number or by NaN, "
            "which means missing."
        )
    return Column(name, NUMBER, values)


def _labels(entries: list[Any]) -> NDArray[Any]:
    labels = np.empty(len(entries), dtype=object)
    labels[:] = entries
    return labels


def _label(value: Any) -> str:
    """Return the label of a category; equal numbers have equal labels, whatever their type."""
    if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)) and float(value).is_integer():
        return str(int(float(value)))
    return str(value)


def is_missing(value: Any) -> bool:
    """Return whether an entry of a column without a type says that there is no value."""
    # pandas is not imported for its markers: by name they are known without it.
    return value is None or type(value).__name__ in ("NAType", "NaTType") or bool(value != value)


def _class_of(value: Any) -> str:
    """Return what an entry of a column without a type is."""
    if isinstance(value, str):
        return "strings"
    if isinstance(value, (bool, np.bool_, Real, Decimal)):
        return "numbers"
    if isinstance(value, (datetime.date, np.datetime64)):
        return "dates"
    if isinstance(value, (datetime.timedelta, np.timedelta64)):
        return "durations"
    return type(value).__name__


def _from_entries(name: Any, entries: Iterable[Any]) -> Column:
    """Return the column of Python objects."""
    values: list[Any] = []
    first: dict[str, Any] = {}
    for value in entries:
        if isinstance(value, (list, tuple, dict, set, np.ndarray)):
            _refuse(name, type(value).__name__)
        missing = is_missing(value)
        values.append(None if missing else value)
        if not missing:
            first.setdefault(_class_of(value), value)
    kinds = sorted(first)
    for kind in kinds:
        if kind not in ("strings", "numbers", "dates", "durations"):
            _refuse(name, kind)
    if len(kinds) > 1:
        shown = " and ".join(f"{kind} ({first[kind]!r})" for kind in kinds)
        raise ValueError(
            f"Column {name!r} mixes {shown}: convert it to numbers, for example with pandas.to_numeric(..., "
            "errors='coerce'), or to strings, for example with .astype(str)."
        )
    if kinds == ["strings"]:
        return Column(name, CATEGORY, _labels(values))
    if kinds in (["dates"], ["durations"]):
        unit = "datetime64[ms]" if kinds == ["dates"] else "timedelta64[ms]"
        times = np.array([_without_zone(value) for value in values], dtype=unit)
        days = times.astype(np.int64) / MILLISECONDS_PER_DAY
        days[np.isnat(times)] = np.nan
        return _number(name, days)
    return _number(name, [np.nan if value is None else float(value) for value in values])


def _without_zone(value: Any) -> Any:
    """Return a date in UTC and without its time zone, which NumPy does not know."""
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return np.datetime64(value.isoformat(timespec="milliseconds"), "ms")
    return value


def _refuse(name: Any, what: str) -> NoReturn:
    raise TypeError(
        f"Column {name!r} holds values of type {what}; an entry must be a string or a number, a boolean, a date or a "
        "duration: expand the column into columns of such values, or drop it."
    )
