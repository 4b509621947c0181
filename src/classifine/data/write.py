"""Rows out: jsonl, csv, tsv, parquet and xlsx, as a stream, whole or not at all.

A file is written under another name and moved into place at the end. It knows nothing about what the rows mean.
"""

import base64
import contextlib
import csv
import gzip
import io
import math
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from classifine.data.formats import Row, form_of
from classifine.errors import DataError, OutputError
from classifine.strict_json import json_text

BAR = "|"  # between several labels in a cell
MAX_XLSX_ROWS = 1 << 20  # lines of a sheet, the header among them
MAX_XLSX_TEXT = 32_767  # characters of a cell
_CHUNK = 4096  # rows of Parquet that are held at once
_RANDOM = 4  # bytes in the name of a file that is not finished


def write_rows(
    rows: Iterable[Row], path: Path | None, form: str, types: Mapping[str, Any] | None = None,
    columns: Sequence[str] = (),
) -> int:  # fmt: skip
    """Write rows to `path`, or to standard output where it is None; the number of rows written.

    `form` is one of jsonl, csv, tsv, parquet, xlsx, json; a table has `columns`, or else those of the first row. `types`
    has Arrow's types of columns, for Parquet; of the others they are those of the first rows. OutputError where a value
    does not go into Parquet as it is.
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


def check_room(form: str, rows: Iterable[Row], about: int) -> None:
    """OutputError, before any work is done, where a form cannot hold so many rows: where `about` is near, all count."""
    if form == "xlsx" and about + 1 >= MAX_XLSX_ROWS and sum(1 for _ in islice(rows, MAX_XLSX_ROWS)) == MAX_XLSX_ROWS:
        raise _too_many()


def _too_many() -> OutputError:
    return OutputError(f"An xlsx sheet holds {MAX_XLSX_ROWS:,} lines, and there are more. Write .csv instead.")


def _write_text(rows: Iterable[Row], file: IO[str], form: str, columns: Sequence[str]) -> int:
    if form in ("csv", "tsv"):
        return _write_csv(rows, file, "," if form == "csv" else "\t", columns)
    if form == "json":
        return _write_json(rows, file)
    count = 0
    for row in rows:
        count += 1
        file.write(_as_json(row) + "\n")
    return count


def _write_json(rows: Iterable[Row], file: IO[str]) -> int:
    count = 0
    file.write("[")
    for count, row in enumerate(rows, 1):
        file.write(("\n" if count == 1 else ",\n") + _as_json(row))
    file.write("\n]\n")
    return count


def _write_csv(rows: Iterable[Row], file: IO[str], delimiter: str, columns: Sequence[str]) -> int:
    header, rows = _headed(rows, columns)
    if not header:
        return 0
    plain, quoted = (
        csv.DictWriter(file, header, delimiter=delimiter, extrasaction="ignore", lineterminator="\n", quoting=quoting)
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    plain.writeheader()
    count = 0
    for row in rows:
        count += 1
        cells = {name: in_one(value) for name, value in row.items()}
        # Readers take a lone carriage return for the end of a line, and the writer of Python 3.11 leaves it bare.
        bare = any(isinstance(cell, str) and "\r" in cell for cell in cells.values())
        (quoted if bare else plain).writerow(cells)
    return count


def _headed(rows: Iterable[Row], columns: Sequence[str]) -> tuple[list[str], Iterator[Row]]:
    """The columns that are given, else those of the first row; and all rows."""
    remaining = iter(rows)
    first = list(islice(remaining, 1))
    return list(columns or chain.from_iterable(first)), chain(first, remaining)


def in_one(value: Any) -> Any:
    """A value for a cell: several labels are parted by a bar, as they can be read again; what is nested is JSON."""
    if isinstance(value, list) and not any(isinstance(one, (list, tuple, dict, bytes, type(None))) for one in value):
        return BAR.join(map(str, value))
    if isinstance(value, (list, tuple, dict)):
        return _as_json(value)
    return _as_text(value) if isinstance(value, bytes) else value


def _as_json(value: Any) -> str:
    return json_text(value, default=_as_text)


def _as_text(value: Any) -> str:
    """What JSON has no form for, such as a date; bytes are in base64, as is the custom there."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _write_parquet(rows: Iterable[Row], place: Path, types: Mapping[str, Any], columns: Sequence[str]) -> int:
    import pyarrow.parquet as pq

    remaining, count, writer = iter(rows), 0, None
    try:
        while chunk := list(islice(remaining, _CHUNK)):
            schema = writer.schema if writer else _schema(chunk, types, columns or list(chunk[0]))
            table = _arrow(chunk, schema)
            writer = writer or pq.ParquetWriter(place, schema)
            writer.write_table(table)
            count += len(chunk)
        if writer is None and columns:
            writer = pq.ParquetWriter(place, _schema([], types, columns))
    finally:
        if writer:
            writer.close()
    return count


@contextlib.contextmanager
def _of_one_type(name: str) -> Iterator[None]:
    """Turn what Arrow says of values that do not fit into their column into a sentence."""
    import pyarrow as pa

    try:
        yield
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        pa.ArrowNotImplementedError,
        OverflowError,
        UnicodeEncodeError,
    ) as error:
        raise OutputError(
            f"Column '{name}' holds values that no one type of Parquet holds ({error}). Write .jsonl instead."
        ) from None


def column_types(rows: Iterable[Row], columns: Sequence[str]) -> dict[str, Any]:
    """Arrow's type of each column, wide enough for all rows; OutputError, naming the column, where there is none.

    Whole numbers and others make decimals, keys that some rows lack are there for all; a column that is empty is taken
    for text.
    """
    import pyarrow as pa

    found: dict[str, Any] = dict.fromkeys(columns, pa.null())
    remaining = iter(rows)
    while chunk := list(islice(remaining, _CHUNK)):
        for name, kind in found.items():
            with _of_one_type(name):
                found[name] = _wider(kind, pa.array([row.get(name) for row in chunk]).type)
    for name, kind in found.items():
        with _of_one_type(name):
            _check_parquet(name, kind)
    return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in found.items()}


def _wider(one: Any, other: Any) -> Any:
    import pyarrow as pa

    both = [pa.schema([("", kind)]) for kind in (one, other)]
    return one if one == other else pa.unify_schemas(both, promote_options="permissive").field(0).type


def _check_parquet(name: str, kind: Any) -> None:
    """Arrow's error where Parquet has no such type, as for objects without a key."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.ParquetWriter(io.BytesIO(), pa.schema([(name, kind)])).close()


def _schema(chunk: list[Row], types: Mapping[str, Any], columns: Sequence[str]) -> Any:
    """The types that are known, and else those of the first rows."""
    import pyarrow as pa

    seen = column_types(chunk, [name for name in columns if name not in types])
    return pa.schema([(name, {**seen, **types}[name]) for name in columns])


def _arrow(chunk: list[Row], schema: Any) -> Any:
    """Rows as Arrow's table, the same when they are read again: it would cut 1.5 to 1, and leave out keys, to make them fit."""
    import pyarrow as pa

    arrays = []
    for field in schema:
        given = [row.get(field.name) for row in chunk]
        with _of_one_type(field.name):
            arrays.append(pa.array(given, field.type))
            kept = arrays[-1].to_pylist()
            if given != kept and (odd := [one for one, two in zip(given, kept, strict=True) if not _same(one, two)]):
                raise pa.ArrowInvalid(f"{str(odd[0])[:80]}, where {field.type} is expected")
    return pa.Table.from_arrays(arrays, schema=schema)


def _same(given: Any, kept: Any) -> bool:
    """Whether a value is read again as it was; a key without a value is as good as none."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return all(_same(value, kept.get(key)) for key, value in given.items())
    if isinstance(given, (list, tuple)) and isinstance(kept, list):
        return len(given) == len(kept) and all(map(_same, given, kept))
    if isinstance(given, float) and isinstance(kept, float):
        # A column of short floats holds the nearest that there is.
        return math.isclose(given, kept, rel_tol=1e-3) or (math.isnan(given) and math.isnan(kept))
    return bool(given == kept)


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
                raise _too_many()
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

    if value is None or (isinstance(value, (int, float)) and not _beyond_floats(value)):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub("", str(value))
    if len(text) > MAX_XLSX_TEXT:
        raise OutputError(
            f"A text of {len(text)} characters ({text[:40]!r}...) is longer than the {MAX_XLSX_TEXT} that a cell of xlsx "
            "holds. Let -o end in .csv, .jsonl or .parquet."
        )
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    return cell


def _beyond_floats(value: float) -> bool:
    """Whether it is a whole number of which xlsx, whose numbers are all floats, would keep the first digits only."""
    return isinstance(value, int) and abs(value) > 2**53


def remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed had written of `path`; for who knows that none is at work on it now."""
    unfinished = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{{2 * _RANDOM}}}")
    with contextlib.suppress(OSError):
        for item in path.absolute().parent.iterdir():
            if unfinished.fullmatch(item.name) and item.is_file() and not item.is_symlink():
                item.unlink(missing_ok=True)


@contextlib.contextmanager
def in_place(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place at the end; OutputError where that cannot be done."""
    place = path.with_name(f".{path.name}.{secrets.token_hex(_RANDOM)}")
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
