"""Cells and tables of the report, as Markdown."""

import pandas as pd
from pytest_benchmark.utils import time_unit

__all__ = ["by_implementation", "cell", "duration", "markdown", "number", "percent", "times"]


def markdown(rows: pd.DataFrame) -> str:
    """Return a Markdown table of strings."""
    return rows.to_markdown(index=False, tablefmt="github", disable_numparse=True)


def number(value: float) -> str:
    """Return a number with three digits."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if rounded >= 100 else f"{rounded:g}"


def duration(value: float) -> str:
    """Return a number of seconds in a suitable unit."""
    prefix, units_per_second = time_unit(value)
    unit = 1 / units_per_second
    return f"{number(value / unit)} {prefix.replace('u', 'µ')}s"


def percent(value: float) -> str:
    """Return a share with two digits; a dash if there is none."""
    return "—" if pd.isna(value) else f"{float(f'{100 * value:.2g}'):g} %"


def spread(case: pd.Series) -> str:
    """Return half the distance of the quartiles, as a share of the median."""
    return f"± {(case['high'] - case['low']) / 2 / case['median']:.0%}"


def cell(case: pd.Series) -> str:
    """Return the median and the spread of a case."""
    return f"{duration(case['median'])} {spread(case) if case['runs'] > 1 else '(once)'}"


def by_implementation(column: pd.Series) -> pd.DataFrame:
    """Return the values of a column as a table, with a column for each implementation, in the order of the run.

    Not `unstack(sort=False)`: for strings, pandas 3.1 attaches wrong labels if the index has unused levels.
    """
    rows, names = column.index.droplevel("implementation").unique(), column.index.unique("implementation")
    return column.unstack("implementation").reindex(index=rows, columns=names)


def times(cases: pd.DataFrame) -> str:
    """Return tables of times: workloads by implementations, one table for each set of implementations."""
    if cases.empty:
        return ""
    cells = by_implementation(cases.apply(cell, axis=1))
    groups = cells.groupby(cells.notna().apply(tuple, axis=1), sort=False)
    return "\n\n".join(markdown(rows.dropna(axis="columns").reset_index()) for _, rows in groups)
