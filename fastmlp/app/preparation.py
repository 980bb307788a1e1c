"""The transformer that turns a raw data frame into numbers and categories. Requires pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from fastmlp.app import cells

NUMBER, TEXT, DATE, TIME, LEFT_OUT = "number", "text", "date", "time", "left out"

MAX_CATEGORIES = 200
FEW_CATEGORIES = 20  # up to this many different texts are categories, even if there are few rows
MIN_COUNTED = 20  # in tables with at least this many rows, consecutive whole numbers are an identifier


class Recognition(NamedTuple):
    """The kinds of the columns of a table.

    Attributes
    ----------
    kinds : dict of str to str
        ``number``, ``text``, ``date FORMAT``, ``time FORMAT`` (a date with a time of day) or ``left out`` for each
        column.
    reasons : dict of str to str
        ``empty``, ``constant``, ``counter`` or ``identifier`` for each column that is left out.
    ambiguous : dict of str to str
        The second format of each date column that fits two formats.
    """

    kinds: dict[str, str]
    reasons: dict[str, str]
    ambiguous: dict[str, str]


def recognize(frame: pd.DataFrame, keep: Sequence[str] = (), decimal: str = ".") -> Recognition:
    """Recognise the kind of each column of a raw data frame.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Numbers as numbers; dates as dates or texts.
    keep : sequence of str
        Columns that are used even if they look like identifiers.
    decimal : {".", ","}, default="."
        The decimal sign of numbers that are texts.

    Returns
    -------
    Recognition

    Raises
    ------
    ValueError
        If almost all cells of a column are numbers or dates, but not all.
    """
    kinds: dict[str, str] = {}
    reasons: dict[str, str] = {}
    ambiguous: dict[str, str] = {}
    for name in frame:
        column = frame[name]
        kind, other = _kind(column, decimal)
        kinds[name] = kind
        if other:
            ambiguous[name] = other
        reason = _useless(column, kind, decimal)
        if reason and not (name in keep and reason in ("counter", "identifier")):
            kinds[name], reasons[name] = LEFT_OUT, reason
    return Recognition(kinds, reasons, ambiguous)


def with_numbers(frame: pd.DataFrame, kinds: Mapping[str, str], decimal: str) -> pd.DataFrame:
    """Return the frame of a text file with its columns of kind ``number`` as numbers.

    `TablePreparation` also converts texts to numbers, but only with a decimal point: it does not know the decimal
    sign of the file.
    """
    frame = frame.copy()
    for name, kind in kinds.items():
        if kind == NUMBER and name in frame:
            frame[name] = cells.read_numbers(frame[name], decimal)
    return frame


def is_numbers(column: pd.Series, decimal: str) -> bool:
    """Return whether a column holds numbers.

    Raises
    ------
    ValueError
        If almost all of its cells are numbers, but not all.
    """
    if cells.is_date(column):
        return False
    values, odd = cells.find_numbers(column, decimal)
    if odd.any() and cells.meant_as(column, odd):
        raise ValueError(
            f"{cells.where(column, odd)} is not a number, unlike most cells of the column; "
            f"correct it, or leave it empty if the number is unknown"
        )
    return bool(values.notna().any() and not odd.any())


def _kind(column: pd.Series, decimal: str) -> tuple[str, str]:
    """Return the kind of a column, and a second date format that fits it (or "")."""
    if is_numbers(column, decimal):
        return NUMBER, ""
    formats = cells.find_date_format(column)
    if formats is None:
        return TEXT, ""
    dates = cells.read_dates(column, formats[0]).dropna()
    return f"{DATE if (dates == dates.dt.normalize()).all() else TIME} {formats[0]}", formats[1]


def _useless(column: pd.Series, kind: str, decimal: str) -> str:
    """Return why a column cannot help a prediction, or ""."""
    if kind == TEXT:
        known = cells.text_cells(column).dropna()
        different = known.nunique()
        if different > min(max(FEW_CATEGORIES, len(known) // 2), MAX_CATEGORIES):
            return "identifier"
    elif kind == NUMBER:
        known = cells.read_numbers(column, decimal).dropna()
        different = known.nunique()
        whole = bool((known == known.round()).all())
        if MIN_COUNTED <= different == len(column) and whole and known.max() - known.min() == different - 1:
            return "counter"
    else:
        different = cells.read_dates(column, kind.partition(" ")[2]).nunique()
    return "empty" if not different else "constant" if different == 1 else ""


class TablePreparation(TransformerMixin, BaseEstimator):
    """Turn a raw data frame into a data frame of numbers and categories.

    Columns are identified by their names: their order does not matter, and further columns are ignored.

    - A number stays a number; missing cells become NaN.
    - A date becomes the numbers ``NAME (days)`` since 1970-01-01, ``NAME (month)`` from 1 to 12 and
      ``NAME (weekday)`` from 0 for Monday to 6; with times of day also ``NAME (hour)`` from 0 to 24, and the days have
      a fraction. Times with a zone are converted to UTC.
    - Text becomes a pandas categorical column, as do booleans. Its categories are the texts in the transformed data.
      A later step therefore learns which texts occur in training, and decides how to handle new ones.
    - Identifiers and columns with at most one value are left out.

    Cells that are empty, ``NA``, ``N/A``, ``NaN``, ``none``, ``null`` or ``?`` are missing values.

    Parameters
    ----------
    kinds : dict of str to str or None, default=None
        For each column ``"number"``, ``"text"``, ``"date FORMAT"``, ``"time FORMAT"`` (a date with a time of day) or
        ``"left out"``, where FORMAT is a format of ``datetime.strptime`` or ``ISO8601``. None recognises them in the
        data seen by ``fit``.

    Attributes
    ----------
    kinds_ : dict of str to str
        The kinds of the columns.
    categories_ : dict of str to list of str
        For each text column the sorted texts seen by ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns seen by ``fit``.
    n_features_in_ : int
        Number of columns seen by ``fit``.

    Raises
    ------
    TypeError
        If the data are not a pandas data frame.
    ValueError
        If a column is missing or occurs twice, or a cell is not of the column's kind. The message names the column.

    Examples
    --------
    >>> import pandas as pd
    >>> from fastmlp.app.preparation import TablePreparation
    >>> frame = pd.DataFrame({"size": ["1.5", "2", None], "sold": ["2024-05-01", "2024-05-02", "2024-05-04"]})
    >>> TablePreparation().fit_transform(frame)
       size  sold (days)  sold (month)  sold (weekday)
    0   1.5      19844.0           5.0             2.0
    1   2.0      19845.0           5.0             3.0
    2   NaN      19847.0           5.0             5.0
    """

    def __init__(self, kinds: Mapping[str, str] | None = None) -> None:
        self.kinds = kinds

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:
        """Learn the columns, their kinds and the categories.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            The raw table.
        y : ignored
            Present for scikit-learn's interface.

        Returns
        -------
        TablePreparation
            The fitted transformer itself.
        """
        frame = _checked(X)
        kinds = recognize(frame).kinds if self.kinds is None else dict(self.kinds)
        unknown = [
            kind
            for kind in kinds.values()
            if kind.partition(" ")[0] not in (NUMBER, TEXT, DATE, TIME) and kind != LEFT_OUT
        ]
        if unknown:
            raise ValueError(
                f"kinds has the value {unknown[0]!r}; allowed are 'number', 'text', 'date FORMAT', 'time FORMAT' "
                f"and 'left out'"
            )
        prepared = _prepare(frame, kinds)
        self.kinds_ = kinds
        self.categories_ = {name: sorted(prepared[name].cat.categories) for name, kind in kinds.items() if kind == TEXT}
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        self._names_out = list(prepared.columns)
        return self

    def transform(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return numbers and categories.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            A table with the columns that ``fit`` saw, in any order.

        Returns
        -------
        DataFrame of shape (n_rows, n_features)
            Columns of float64, and categorical columns for texts.
        """
        check_is_fitted(self)
        return _prepare(_checked(X), self.kinds_)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns of the result.

        Parameters
        ----------
        input_features : ignored
            Present for scikit-learn's interface.

        Returns
        -------
        ndarray of str
            The names.
        """
        check_is_fitted(self)
        return np.asarray(self._names_out, dtype=object)

    def new_categories(self, X: pd.DataFrame) -> dict[str, list[str]]:
        """Return the texts that ``fit`` did not see.

        Parameters
        ----------
        X : DataFrame of shape (n_rows, n_columns)
            A table with the columns that ``fit`` saw.

        Returns
        -------
        dict of str to list of str
            For each text column with new texts, the new texts.
        """
        check_is_fitted(self)
        frame = _checked(X)
        found = {}
        for name, known in self.categories_.items():
            new = set(cells.text_cells(frame[name]).dropna()) - set(known)
            if new:
                found[name] = sorted(new)
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        tags.input_tags.two_d_array = False  # data frames only: columns are identified by name
        return tags


def _checked(X: Any) -> pd.DataFrame:
    """Return the data frame with blanks in the column names normalised, as they are when a file is read."""
    if not isinstance(X, pd.DataFrame):
        raise TypeError(f"X must be a pandas DataFrame, because columns are identified by name; got {type(X).__name__}")
    frame = X.set_axis([" ".join(str(name).split()) for name in X.columns], axis="columns")
    if not frame.columns.is_unique:
        raise ValueError(f"column {frame.columns[frame.columns.duplicated()][0]!r} occurs more than once")
    return frame


def _prepare(frame: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    used = {name: kind for name, kind in kinds.items() if kind != LEFT_OUT}
    missing = [name for name in used if name not in frame]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ValueError(f"column {missing[0]!r} is missing{more}; the model needs it")
    prepared: dict[str, pd.Series] = {}
    for name, kind in used.items():
        column = frame[name]
        if kind == NUMBER:
            prepared[name] = cells.read_numbers(column)
        elif kind == TEXT:
            prepared[name] = cells.text_cells(column).astype("category")
        else:
            what, _, form = kind.partition(" ")
            dates = cells.read_dates(column, form)
            prepared[f"{name} (days)"] = (dates - pd.Timestamp(0)) / pd.Timedelta(days=1)
            prepared[f"{name} (month)"] = dates.dt.month.astype(np.float64)
            prepared[f"{name} (weekday)"] = dates.dt.day_of_week.astype(np.float64)
            if what == TIME:
                prepared[f"{name} (hour)"] = (dates - dates.dt.normalize()) / pd.Timedelta(hours=1)
    return pd.DataFrame(prepared, index=frame.index)
