"""Read a file of any supported format into a data frame of raw cells. Requires pandas."""

from __future__ import annotations

import csv
import gzip
import io
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fastmlp.app import UserError
from fastmlp.app.cells import MISSING, find_decimal
from fastmlp.app.wording import first_line, shorten

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "blanks"}
DECIMALS = {".": "point", ",": "comma"}
SAMPLE_ROWS = 200  # rows that are compared to find the separator

GZIP, ZIP, PARQUET, OLD_EXCEL = b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class Raw:
    """The cells of a file, before the kinds of its columns are recognised.

    Attributes
    ----------
    name : str
        Name of the file, for messages.
    frame : DataFrame
        One column for each named column of the file. The index holds the numbers of the rows in the file, and is
        named ``line`` (text) or ``row`` (Excel, Parquet).
    nameless : int
        Number of columns without a name, which `frame` does not contain.
    decimal : {".", ","}
        The decimal sign of numbers that are still text.
    notes : tuple of str
        Descriptions of how the file was read, for the report.
    """

    name: str
    frame: pd.DataFrame
    nameless: int = 0
    decimal: str = "."
    notes: tuple[str, ...] = ()


def read_raw(
    path: str, *, separator: str | None = None, decimal: str | None = None, encoding: str | None = None
) -> Raw:
    """Read the table in `path`, or on standard input if `path` is ``-``.

    The format is detected from the content, not from the name of the file. Text, Excel and Parquet are supported,
    also compressed with gzip.

    Parameters
    ----------
    path : str
        The file, or ``-``.
    separator : {",", ";", "\\t", "|", " "} or None
        Separator of the cells of a text file; a blank stands for any number of blanks. None detects it.
    decimal : {".", ","} or None
        The decimal sign of a text file. None detects it.
    encoding : str or None
        The encoding of a text file. None detects it.

    Returns
    -------
    Raw

    Raises
    ------
    UserError
        If the file cannot be read or does not contain a table.
    """
    name = "standard input" if path == "-" else path
    content = _content(path, name)
    if content.startswith(GZIP):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"cannot decompress {name}: {first_line(error)}") from error
    if content.startswith(PARQUET):
        return _read_parquet(name, content)
    if content.startswith(OLD_EXCEL) or _is_workbook(content):
        return _read_excel(name, content)
    return _read_text(name, content, separator, decimal, encoding)


def _content(path: str, name: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read()
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from error


def _is_workbook(content: bytes) -> bool:
    return content.startswith(ZIP) and zipfile.is_zipfile(io.BytesIO(content))


def _read_parquet(name: str, content: bytes) -> Raw:
    try:
        frame = pd.read_parquet(io.BytesIO(content))
    except ImportError as error:
        raise UserError(f'{name} is a Parquet file, which needs pyarrow: pip install "fastmlp[app]"') from error
    except Exception as error:  # pyarrow defines its own exceptions
        raise UserError(f"cannot read {name} as a Parquet file: {first_line(error)}") from error
    if frame.index.name is not None:
        frame = frame.reset_index()
    return _named(name, [str(column) for column in frame.columns], frame, 1, "Parquet")


def _read_excel(name: str, content: bytes) -> Raw:
    try:
        with pd.ExcelFile(io.BytesIO(content)) as book:
            sheets = [str(sheet) for sheet in book.sheet_names]
            # Without a header, so that pandas renames no column, and as objects, so that each cell keeps its type.
            frame = pd.read_excel(book, sheet_name=0, header=None, dtype=object, keep_default_na=False)
    except ImportError as error:
        raise UserError(f"{name} is an Excel file; {first_line(error)}") from error
    except Exception as error:  # openpyxl, zipfile and the XML parsers define their own exceptions
        raise UserError(f"cannot read {name} as an Excel file: {first_line(error)}") from error
    frame = frame.mask(frame.map(lambda cell: isinstance(cell, str) and not cell.strip()))
    empty = frame.isna().all(axis=1)
    if empty.all():
        raise UserError(f"{name}: the sheet {sheets[0]!r} is empty; its first row must name the columns")
    header = int(empty.argmin())
    names = ["" if pd.isna(cell) else str(cell) for cell in frame.iloc[header]]
    rows = frame[~empty].loc[header + 1 :]
    of = f", sheet {sheets[0]!r} (the first of {len(sheets)})" if len(sheets) > 1 else ""
    return _named(name, names, rows, 1, f"Excel{of}")


def _named(name: str, names: list[str], frame: pd.DataFrame, first: int, what: str) -> Raw:
    """Return the table with normalised column names and the file's row numbers."""
    names = [" ".join(column.split()) for column in names]
    _check_header(name, names)
    if not len(frame):
        raise UserError(f"{name} has a header but no rows")
    frame = frame.set_axis(pd.RangeIndex(len(frame)) + first if what == "Parquet" else frame.index + first)
    frame = frame.set_axis(names, axis="columns").rename_axis(index="row").infer_objects()
    kept = [bool(column) for column in names]
    return Raw(name, frame.loc[:, kept], kept.count(False), notes=(f"read as {what}",))


def _check_header(name: str, header: list[str]) -> None:
    if not header:
        raise UserError(f"{name} is empty; its first line must name the columns")
    twice = [column for column, count in Counter(header).items() if column and count > 1]
    if twice:
        raise UserError(f"{name}: the header names {shorten(twice)} more than once")


def _read_text(name: str, content: bytes, separator: str | None, decimal: str | None, encoding: str | None) -> Raw:
    text, encoding = _decode(name, content, encoding)
    delimiter = separator or find_delimiter(text)
    header, rows, lines = _read_cells(name, text, delimiter)
    cells = {
        column: [None if cell.lower() in MISSING else cell for cell in values]
        for column, values in zip(header, zip(*rows, strict=True), strict=True)
        if column
    }
    frame = pd.DataFrame(cells, index=pd.Index(lines, name="line"), dtype=object)
    decimal = decimal or find_decimal([frame[column] for column in frame], delimiter)
    note = f"read with separator {DELIMITERS[delimiter]}, decimal {DECIMALS[decimal]}, encoding {encoding}"
    return Raw(name, frame, len(header) - len(cells), decimal, (note,))


def _decode(name: str, content: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text and the name of its encoding."""
    encoding = encoding or find_encoding(content)
    try:
        return content.decode(encoding).removeprefix("\ufeff"), encoding.removesuffix("-sig")
    except UnicodeError as error:
        raise UserError(f"{name} is not {encoding} text: {first_line(error)}; choose another --encoding") from error
    except LookupError as error:
        raise UserError(f"--encoding {encoding}: Python has no such encoding") from error


def find_encoding(content: bytes) -> str:
    """Return the encoding of a text.

    UTF-16 is recognised by its byte order mark, and UTF-8 by decoding without an error. For other encodings,
    charset-normalizer estimates the encoding. Text in the Latin alphabet is always decoded as Windows-1252, which
    contains Latin-1, because charset-normalizer often takes short French or Spanish text for Windows-1250.
    """
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if b"\0" not in content:
            return "utf-8"
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return "cp1252"
    best = from_bytes(content).best()
    if best is None or not (set(best.alphabets) - LATIN or best.encoding.startswith("utf_16")):
        try:
            content.decode("cp1252")
        except UnicodeDecodeError:
            return "latin-1"
        return "cp1252"
    return best.encoding


LATIN = {
    "Basic Latin",
    "Latin-1 Supplement",
    "Latin Extended-A",
    "Latin Extended-B",
    "General Punctuation",
    "Spacing Modifier Letters",
    "Currency Symbols",
    "Letterlike Symbols",
    "Control character",
}


def find_delimiter(text: str) -> str:
    """Return the separator that splits most of the first rows into the same number of cells, and into the most cells.

    csv.Sniffer does not find the separator if the cells are separated by several blanks or if there is one column.
    """
    sample = "\n".join(line for _, line in zip(range(SAMPLE_ROWS), _lines(text), strict=False))
    best, best_key = ",", (0.0, 1)
    for delimiter in DELIMITERS:
        try:
            widths = [len(row) for row in _reader(sample, delimiter, strict=False) if row]
        except csv.Error:
            continue
        if not widths or widths[0] < 2:
            continue
        key = (widths.count(widths[0]) / len(widths), widths[0])
        # Blanks also occur inside cells, so any other separator that fits is preferred.
        if key > best_key and not (delimiter == " " and best_key[0] > 0.9):
            best, best_key = delimiter, key
    return best


def _lines(text: str) -> Iterator[str]:
    for line in io.StringIO(text):
        if line.strip():
            yield line.rstrip("\r\n")


def _reader(text: str, delimiter: str, *, strict: bool) -> Any:
    source: Any = io.StringIO(text, newline="")
    if delimiter == " ":
        source = (line.strip(" \t\r\n").replace("\t", " ") + "\n" for line in source)
    return csv.reader(source, delimiter=delimiter, skipinitialspace=True, strict=strict)


def _read_cells(name: str, text: str, delimiter: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the header, the rows and the line on which each row ends."""
    rows: list[list[str]] = []
    lines: list[int] = []
    reader = _reader(text, delimiter, strict=True)
    try:
        header = [" ".join(column.split()) for column in next(filter(None, reader), [])]
        _check_header(name, header)
        for cells in reader:
            line = reader.line_num
            if not cells:
                continue  # an empty line
            if len(cells) != len(header):
                raise UserError(f"{name}, line {line}: {len(cells)} cells under a header of {len(header)}")
            rows.append([cell.strip() for cell in cells])
            lines.append(line)
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num}: {error}") from error
    if not rows:
        raise UserError(f"{name} has a header but no rows")
    return header, rows, lines
