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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from classifine.data.formats import Row, form_of
from classifine.errors import DataError, OutputError

BAR = "|"  # between several labels in a cell
MAX_XLSX_ROWS = 1 << 20  # lines of a sheet, the header among them


def write_rows(
    rows: Iterable[Row], path: Path | None, form: str, types: Mapping[str, Any] | None = None,
    columns: Sequence[str] = (),
) -> int:  # fmt: skip
    """Write rows to `path`, or to standard output where it is None; the number of rows written.

    `form` is one of jsonl, csv, tsv, parquet, xlsx, json; all rows have the columns of the first, or `columns` where
    there is none. `types` has Arrow's types of columns, for Parquet; of the others they are those of the first rows.
    """
    if path is None:
        count = _write_text(rows, sys.stdout, form, columns)
        sys.stdout.flush()
        return count
    with in_place(path) as place:
        if form == "parquet":
            return _write_parquet(rows, place, types or {}, columns)
        if form == "xlsx":
            return _write_xlsx(rows, place, columns)
        with place.open("wb") as raw:
            # Without a name and a time in it the file is the same whenever it is written.
            file: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.suffix.lower() == ".gz" else raw
            # Half a letter pair, which JSON can hold, becomes its escape.
            with io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="") as text:
                return _write_text(rows, text, form, columns)


def output_form(path: Path) -> str:
    """The form that an output path asks for by its ending; OutputError for one that cannot be written."""
    try:
        form = form_of(path)
    except DataError:
        form = "lines"
    if form == "lines":
        raise OutputError(f"{path} should end in .jsonl, .json, .csv, .tsv, .parquet or .xlsx. Change -o.")
    return form


def check_target(path: Path) -> None:
    """OutputError, before any work is done, where nothing could be written to `path`."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder; expected a file such as {path / 'predictions.csv'}. Change -o.")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"The folder of {path} does not exist. Make it or change -o.")
    output_form(path)


def _write_text(rows: Iterable[Row], file: IO[str], form: str, columns: Sequence[str]) -> int:
    if form in ("csv", "tsv"):
        return _write_csv(rows, file, "," if form == "csv" else "\t", columns)
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


def _write_csv(rows: Iterable[Row], file: IO[str], delimiter: str, columns: Sequence[str]) -> int:
    header, rows = _headed(rows, columns)
    if not header:
        return 0
    writer = csv.DictWriter(file, header, delimiter=delimiter, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    count = 0
    for row in rows:
        count += 1
        writer.writerow({name: in_one(value) for name, value in row.items()})
    return count


def _headed(rows: Iterable[Row], columns: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """The columns of the first row, else those given; and all rows."""
    remaining = iter(rows)
    first = list(islice(remaining, 1))
    return list(first[0] if first else columns), chain(first, remaining)


def in_one(value: Any) -> Any:
    """A value for a cell: several labels are parted by a bar, as they can be read again."""
    return BAR.join(map(str, value)) if isinstance(value, list) else value


def _write_parquet(rows: Iterable[Row], place: Path, types: Mapping[str, Any], columns: Sequence[str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    remaining, count, writer = iter(rows), 0, None
    try:
        while chunk := list(islice(remaining, 4096)):
            schema = writer.schema if writer else _schema(chunk, types)
            writer = writer or pq.ParquetWriter(place, schema)
            writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
            count += len(chunk)
        if writer is None and columns:
            schema = pa.schema([(name, types.get(name) or pa.string()) for name in columns])
            writer = pq.ParquetWriter(place, schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise OutputError(
            f"A column of the rows holds values of several types ({error}); Parquet expects one. Write .jsonl instead."
        ) from None
    finally:
        if writer:
            writer.close()
    return count


def _schema(chunk: list[Row], types: Mapping[str, Any]) -> Any:
    """The types that are known, and else those of the first rows; a column that is empty there is taken for text."""
    import pyarrow as pa

    unknown = [{name: value for name, value in row.items() if name not in types} for row in chunk]
    found = pa.Table.from_pylist(unknown).schema
    seen = {field.name: pa.string() if pa.types.is_null(field.type) else field.type for field in found}
    return pa.schema([(name, types.get(name) or seen[name]) for name in chunk[0]])


def _write_xlsx(rows: Iterable[Row], place: Path, columns: Sequence[str]) -> int:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("predictions")
    count = 0
    header, rows = _headed(rows, columns)
    try:
        if header:
            sheet.append([_cell(sheet, name) for name in header])
        for count, row in enumerate(rows, 1):
            if count == MAX_XLSX_ROWS:
                raise OutputError(
                    f"An xlsx sheet holds {MAX_XLSX_ROWS:,} lines, and there are more. Write .csv instead."
                )
            sheet.append([_cell(sheet, in_one(row.get(name))) for name in header])
    finally:
        sheet.close()
    with place.open("wb") as file:
        book.save(file)
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
def in_place(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end; OutputError where that cannot be done."""
    place = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield place
        if place.exists():
            place.replace(path)
        else:
            path.touch()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Free some space or change -o."
        ) from error
    finally:
        place.unlink(missing_ok=True)
