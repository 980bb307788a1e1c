"""Phrases of the application's messages."""

from __future__ import annotations

from collections.abc import Sequence


def shorten(names: Sequence[str], most: int = 10) -> str:
    """Join `names` with commas. After `most` names, only the number of the others is given."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def brief(cell: object, most: int = 40) -> str:
    """Return the `repr` of the cell, shortened if it is long."""
    text = repr(cell)
    return text if len(text) <= most else f"{text[:most]}..."


def count(number: int, thing: str) -> str:
    """Return a number with a noun in singular or plural, such as ``1 row`` or ``2 rows``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
