"""Comma-separated values and their kin: the delimiter, the header, the records.

Stricter than the standard library where a lenient reading would lose rows without a word.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from classifine.data.encoding import open_binary
from classifine.errors import DataError

DELIMITERS = ",;\t|"
MIN_ROWS = 5  # lines of one record from which on they are rows where a comma parts them, and not a tab
MAX_CELL = 1_000_000  # characters; a longer cell is nearly always a quotation mark that is never closed


def one_character(delimiter: str) -> str:
    """The delimiter that was named, checked; `\\t` and "tab" mean a tabulator."""
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter  # shells do not make it easy to type one
    if len(delimiter) != 1:
        raise DataError(f"--delimiter is {delimiter!r}; expected a single character such as ';'. Change it.")
    return delimiter


def sniff_delimiter(path: Path, encoding: str, expected: str) -> str:
    """The delimiter under which the first records have equally many columns; `expected` where none splits them."""
    with io.TextIOWrapper(open_binary(path), encoding=encoding, newline="", errors="replace") as file:
        sample = file.read(1 << 16)

    def fit(delimiter: str) -> tuple[float, bool, int]:
        try:
            records = [record for record in csv.reader(io.StringIO(sample), delimiter=delimiter) if record][:50]
        except csv.Error:
            return 0.0, False, 0
        width = len(records[0]) if records else 0
        # The last record of a sample may be cut in its middle.
        alike = sum(len(record) == width for record in records[:-1] or records) / max(len(records[:-1]), 1)
        return (alike if width > 1 else 0.0), delimiter == expected, width

    best = max(DELIMITERS, key=fit)
    return best if fit(best)[0] > 0 else expected


def parse_csv(lines: IO[str], delimiter: str, name: str) -> Iterator[dict[str, Any]]:
    """The rows of an open file below its header; DataError for one that is ragged or damaged."""
    before = csv.field_size_limit(MAX_CELL)
    try:
        records = _csv_records(lines, delimiter, name)
        header = next(records, [])
        check_header(header, name)
        ragged: list[str] = []
        for number, record in enumerate(records, 1):
            if len(record) != len(header):
                ragged.append(f"{number} ({len(record)})")
                if len(ragged) == 10:
                    break
            elif not ragged:
                # An empty cell is no value, as in a spreadsheet.
                yield dict(zip(header, (cell or None for cell in record), strict=True))
    except csv.Error as error:
        raise DataError(_csv_sentence(name, str(error))) from None
    finally:
        csv.field_size_limit(before)
    if ragged:
        raise DataError(
            f"{name} has rows with another number of columns than its header ({len(header)}): row {', '.join(ragged)}. "
            f"Put quotation marks around texts that contain {delimiter!r}, or name the --delimiter."
        )


def _csv_records(lines: IO[str], delimiter: str, name: str) -> Iterator[list[str]]:
    """The records that are not empty; DataError where a quotation mark swallows rows, which csv lets pass."""
    raw: list[str] = []  # the lines of the record that is being read

    def kept() -> Iterator[str]:
        for line in lines:
            raw.append(line)
            yield line

    number, width, unclosed, swallowed = -1, 0, False, False
    for record in csv.reader(kept(), delimiter=delimiter):
        if swallowed:
            break
        unclosed = len(raw) > 1 and sum(line.count('"') for line in raw) % 2 == 1
        swallowed = len(raw) > 1 and (_swallows(raw, delimiter) or _are_rows(raw, delimiter, width))
        width = width or len(record)
        raw.clear()
        if record:
            number += 1
            yield record
    if unclosed and not raw:
        raise DataError(
            f"{name} ends inside a quotation mark that row {number} opens; expected a closing one. "
            "Close it, or double the marks inside the text."
        )
    if swallowed:
        raise DataError(
            f"{name} opens a quotation mark in row {number} that takes the lines below it into the same cell; expected a "
            f"closing one before {delimiter!r}. Put marks around that text and double those inside it, or save it as .jsonl."
        )


def _swallows(lines: Sequence[str], delimiter: str) -> bool:
    """Whether a record of several lines is made of rows, the first of which begins with a mark that another one closes by
    chance: then more text follows it, which csv lets pass.
    """
    try:
        list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "expected after" in str(error)
    return False


def _are_rows(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether each line of a record looks like a row of its own, so that the marks around them are there by chance.

    A text that is quoted as it should be has hardly a tab in every line, but at its beginning. Commas it has: so there
    must be some lines, and one of the columns that they make must repeat, as labels do and parts of sentences do not.
    """
    rows = [[cell.strip('" \r\n') for cell in line.split(delimiter)] for line in lines]
    if width < 2 or not all(len(row) == width and row[0] for row in rows):
        return False
    repeats = any(2 * len(set(column)) <= len(rows) for column in zip(*rows, strict=True))
    return delimiter == "\t" or (len(rows) >= MIN_ROWS and repeats)


def _csv_sentence(name: str, error: str) -> str:
    if "field limit" in error:
        return (
            f"{name} has a cell of more than {MAX_CELL:,} characters; expected texts. "
            "Look for a quotation mark that is opened and never closed."
        )
    return f"{name} is not valid csv: {error}. Save it again as csv in UTF-8."


def check_header(header: list[str], name: str) -> None:
    """DataError where a first line is missing, names a column twice or looks like a row."""
    if not header:
        raise DataError(f"{name} holds no rows; expected a header line and rows below it.")
    check_distinct(header, name)
    if any(column.strip().lstrip("-").isdigit() or len(column) > 100 for column in header):
        shown = ", ".join(column[:30] for column in header[:5])
        raise DataError(f"{name} seems to have no header: its first line is '{shown}'. Add a line such as text,label.")


def check_distinct(columns: Sequence[str], name: str) -> None:
    """DataError where two columns have one name."""
    repeated = min((column for column, count in Counter(columns).items() if count > 1), default=None)
    if repeated is not None:
        raise DataError(f"{name} has two columns named '{repeated}'; expected distinct names. Rename one of them.")
