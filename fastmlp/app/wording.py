"""Phrases of the application's messages."""

from __future__ import annotations

from collections.abc import Sequence


def shorten(names: Sequence[str], most: int = 10) -> str:
    """Join `names` into one phrase, readable even with hundreds of them."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def brief(cell: object, most: int = 40) -> str:
    """Return the cell as Python writes it, shortened if it is long."""
    text = repr(cell)
    return text if len(text) <= most else f"{text[:most]}..."


def count(number: int, thing: str) -> str:
    """Return how many things there are, such as ``1 row`` or ``2 rows``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its type if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
