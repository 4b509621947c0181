"""Rows out: jsonl, csv, tsv, parquet and xlsx, as a stream, whole or not at all.

A file is written under another name and moved into place at the end. It knows nothing about what the rows mean.
"""

import contextlib
import csv
import gzip
import io
import json
import secrets
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from classifine.data.formats import Row, form_of
from classifine.errors import OutputError


def write_rows(rows: Iterable[Row], path: Path | None, form: str) -> int:
    """Write rows to `path`, or to standard output where it is None; the number of rows written.

    `form` is one of jsonl, csv, tsv, parquet, xlsx, json; all rows have the columns of the first.
    """
    if path is None:
        count = _write_text(rows, sys.stdout, form)
        sys.stdout.flush()
        return count
    with _in_place(path) as place:
        if form == "parquet":
            return _write_parquet(rows, place)
        if form == "xlsx":
            return _write_xlsx(rows, place)
        opener: Any = gzip.open if path.suffix.lower() == ".gz" else open
        with opener(place, "wt", encoding="utf-8", newline="") as file:
            return _write_text(rows, file, form)


def output_form(path: Path) -> str:
    """The form that an output path asks for by its ending; OutputError for one that cannot be written."""
    form = form_of(path)
    if form == "lines":
        raise OutputError(f"{path} ends in .txt; expected .jsonl, .csv, .tsv, .parquet or .xlsx. Change -o.")
    return form


def check_target(path: Path) -> None:
    """OutputError, before any work is done, where nothing could be written to `path`."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected a file such as {path / 'predictions.csv'}. Change -o.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist. Make it or change -o.")
    output_form(path)


def _write_text(rows: Iterable[Row], file: IO[str], form: str) -> int:
    if form in ("csv", "tsv"):
        return _write_csv(rows, file, "," if form == "csv" else "\t")
    if form == "json":
        return _write_json(rows, file)
    count = 0
    for row in rows:
        count += 1
        file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    return count


def _write_json(rows: Iterable[Row], file: IO[str]) -> int:
    count = 0
    file.write("[")
    for count, row in enumerate(rows, 1):
        file.write(("\n" if count == 1 else ",\n") + json.dumps(row, ensure_ascii=False, default=str))
    file.write("\n]\n")
    return count


def _write_csv(rows: Iterable[Row], file: IO[str], delimiter: str) -> int:
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return 0
    writer = csv.DictWriter(file, list(first), delimiter=delimiter, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in chain([first], remaining):
        count += 1
        writer.writerow(row)
    return count


def _write_parquet(rows: Iterable[Row], place: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    remaining, count, writer = iter(rows), 0, None
    try:
        while chunk := list(islice(remaining, 4096)):
            schema = writer.schema if writer else _schema(chunk)
            writer = writer or pq.ParquetWriter(place, schema)
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise OutputError(
            f"A column of the rows holds values of several types ({error}); Parquet expects one. Write .jsonl instead."
        ) from None
    finally:
        if writer:
            writer.close()
    return count


def _schema(chunk: list[Row]) -> Any:
    """The types of the first rows; a column that is empty there is taken for text, as later rows may fill it."""
    import pyarrow as pa

    found = pa.Table.from_pylist(chunk).schema
    return pa.schema([(field.name, pa.string() if pa.types.is_null(field.type) else field.type) for field in found])


def _write_xlsx(rows: Iterable[Row], place: Path) -> int:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("predictions")
    count, header = 0, []
    try:
        for count, row in enumerate(rows, 1):
            if count == 1:
                header = list(row)
                sheet.append([_cell(sheet, name) for name in header])
            sheet.append([_cell(sheet, row.get(name)) for name in header])
    finally:
        sheet.close()
    buffer = io.BytesIO()
    book.save(buffer)
    place.write_bytes(buffer.getvalue())
    return count


def _cell(sheet: Any, value: Any) -> Any:
    """A value as a cell: a text stays a text, also where it begins like a formula or holds control characters."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if value is None or isinstance(value, (int, float)):
        return value
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", str(value)))
    cell.data_type = "s"
    return cell


@contextlib.contextmanager
def _in_place(path: Path) -> Iterator[Path]:
    place = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield place
        if place.exists():
            place.replace(path)
        else:
            path.touch()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Free some space or change -o."
        ) from error
    finally:
        place.unlink(missing_ok=True)
