"""Files of rows: csv, tsv, json, jsonl, parquet, xlsx and plain lines, the text forms also gzipped.

A file becomes an iterator of dictionaries, column name -> value, in file order and one row at a time, so memory
does not grow with the file (json is the exception: it is read whole). It knows nothing about which column is the
text or the label.
"""

import contextlib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

from classifine.config import Data
from classifine.data.delimited import check_distinct, check_header, one_character, parse_csv, sniff_delimiter
from classifine.data.encoding import find_encoding, named_encoding, open_binary
from classifine.errors import DataError, NoRowsError

Row = dict[str, Any]

TEXT_FORMS = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}
FORMS = {**TEXT_FORMS, ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx"}
_BATCH = 4096  # rows of Parquet that are held at once
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
# Failing disks and damaged pages (OSError), XML in a spreadsheet (SyntaxError), JSON nested without end.
_BROKEN = (OSError, SyntaxError, RecursionError, BadZipFile)


@dataclass(frozen=True)
class Table:
    """Rows ready to be read: `notes` say what was guessed, `declared` the class names of columns in their order.

    `known` is the number of rows and `types` Arrow's types of the columns, where the file tells them.
    """

    name: str
    rows: Callable[[], Iterator[Row]]
    notes: tuple[str, ...] = ()
    declared: dict[str, tuple[str, ...]] = field(default_factory=dict)
    known: int | None = None
    types: dict[str, Any] = field(default_factory=dict)


def form_of(path: Path) -> str:
    """The form of a file by its name, such as "csv"; DataError for an ending that cannot be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    zipped = bool(suffixes) and suffixes[-1] == ".gz"
    ending = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    known = TEXT_FORMS if zipped else FORMS
    if ending not in known:
        raise DataError(
            f"{path} ends in '{ending}{'.gz' * zipped}'. Expected one of {', '.join(FORMS)} (text forms also with .gz)."
        )
    return known[ending]


def unzipped(path: Path) -> Path:
    """The name of a file without the ending of gzip."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def open_table(path: Path, config: Data, form: str | None = None) -> Table:
    """Look at a file, guess what it does not say (encoding, delimiter, sheet) and return it ready to be read.

    Raises DataError where there is no such file, it is empty or it is not what its ending says.
    """
    try:
        if not path.exists():
            raise DataError(f"No such file: {path}. {_neighbours(path)}")
        if path.is_dir():
            raise DataError(f"{path} is a folder; expected a file. Give one of the files in it.")
        form = form or form_of(path)
        if path.stat().st_size == 0:
            raise NoRowsError(f"{path} is empty; expected rows of texts. Give another.")
        opener = {"parquet": _parquet, "xlsx": _xlsx, "json": _json}.get(form, _text)
        table = opener(path, form, config)
        return replace(table, rows=lambda: _guarded(table.name, table.rows()))
    except _DAMAGED as error:
        raise DataError(_damaged(str(path), error)) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Check the file and its permissions."
        ) from None


def stream_table(stream: IO[bytes], name: str, form: str, config: Data) -> Iterator[Row]:
    """The rows of an open byte stream, such as standard input, in one of the text forms but json."""
    encoding = named_encoding(config.encoding or "utf-8")
    delimiter = one_character(config.delimiter or ("\t" if form == "tsv" else ","))

    def rows() -> Iterator[Row]:
        lines = io.TextIOWrapper(stream, encoding=encoding, newline="")
        try:
            yield from _parse(lines, form, delimiter, name)
        finally:
            # The stream is the caller's to close.
            if not stream.closed:
                lines.detach()

    return _guarded(name, rows())


def _parse(lines: IO[str], form: str, delimiter: str, name: str) -> Iterator[Row]:
    if form == "jsonl":
        return _parse_jsonl(lines, name)
    if form == "lines":
        return ({"text": line.rstrip("\r\n")} for line in lines)
    return parse_csv(lines, delimiter, name)


def _guarded(name: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Pass rows on, with the mistakes of a file's content turned into sentences."""
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise DataError(_undecodable(name, error)) from None
    except _DAMAGED as error:
        raise DataError(_damaged(name, error)) from None
    except _BROKEN as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{name} cannot be read to its end: {reason}. Check the file or write it again.") from None


def _undecodable(name: str, error: UnicodeDecodeError) -> str:
    byte = f"byte {error.object[error.start]:#04x}"
    return f"{name} is not {error.encoding} ({byte}). Save it as UTF-8 or name its --encoding."


def _damaged(name: str, error: BaseException) -> str:
    return f"{name} is not a whole gzip file: {error}. Compress it again."


# --- text forms -------------------------------------------------------------------------------------------------


def _text(path: Path, form: str, config: Data) -> Table:
    encoding, notes = find_encoding(path, config.encoding)
    delimiter = ""
    if form in ("csv", "tsv"):
        delimiter = one_character(config.delimiter or sniff_delimiter(path, encoding, "\t" if form == "tsv" else ","))
        if delimiter not in (config.delimiter, ",", "\t"):
            notes = (*notes, f"columns separated by {delimiter!r} (--delimiter changes it)")

    def rows() -> Iterator[Row]:
        with io.TextIOWrapper(open_binary(path), encoding=encoding, newline="") as lines:
            yield from _parse(lines, form, delimiter, str(path))

    return Table(str(path), rows, notes)


def _parse_jsonl(lines: IO[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{name} is not JSON in line {number}: {error}. Expected one object a line.") from None
        if not isinstance(row, dict):
            raise DataError(
                f'{name} has no object in line {number}; expected one such as {{"text": ..., "label": ...}}.'
            )
        yield row


# --- forms that are read through a library or whole -----------------------------------------------------------


def _json(path: Path, form: str, config: Data) -> Table:
    encoding, notes = find_encoding(path, config.encoding)
    try:
        with io.TextIOWrapper(open_binary(path), encoding=encoding) as file:
            found = json.load(file)
    except UnicodeDecodeError as error:
        raise DataError(_undecodable(str(path), error)) from None
    except (ValueError, RecursionError) as error:
        hint = " It looks like one object a line: name it .jsonl." if "Extra data" in str(error) else ""
        raise DataError(f"{path} is not valid JSON: {error}.{hint or ' Mend it or save it again.'}") from None
    records = _records(found, path)
    return Table(str(path), lambda: iter(records), notes, known=len(records))


def _records(found: Any, path: Path) -> list[Row]:
    if isinstance(found, dict) and found and all(isinstance(column, list) for column in found.values()):
        if len(found) == 1 and all(isinstance(row, dict) for row in next(iter(found.values()))):
            return list(next(iter(found.values())))
        sizes = {name: len(column) for name, column in found.items()}
        if len(set(sizes.values())) > 1:
            shown = ", ".join(f"'{name}' {size}" for name, size in sizes.items())
            raise DataError(f"{path} has columns of different lengths: {shown}. Expected as many labels as texts.")
        return [dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True)]
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        return found
    raise DataError(
        f'{path} holds neither records nor columns. Expected [{{"text": ..., "label": ...}}, ...] or '
        '{"text": [...], "label": [...]}.'
    )


def _parquet(path: Path, form: str, config: Data) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            schema, count = file.schema_arrow, file.metadata.num_rows
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {str(error).splitlines()[0]} Write it again.") from None
    check_distinct(schema.names, str(path))
    declared = _declared(schema)
    stored, schema = schema, _with_texts(path, schema)
    as_stored = schema == stored

    def rows() -> Iterator[Row]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=_BATCH):
                    read = batch if as_stored else pa.Table.from_batches([batch]).cast(schema)
                    yield from (name_classes(row, declared) for row in read.to_pylist())
        except (pa.ArrowException, ValueError, OverflowError) as error:
            # Such as lists of a fixed size some of which are missing, or a date beyond the year 9999.
            reason = str(error).partition("\n")[0].rstrip(".")
            raise DataError(f"{path} has a column that cannot be read: {reason}. Write it again without it.") from None

    # A number that is declared to stand for a class becomes its name.
    types = {column.name: column.type for column in schema if column.name not in declared}
    return Table(str(path), rows, (), declared, count, types)


def _declared(schema: Any) -> dict[str, tuple[str, ...]]:
    """Class names that `datasets` keeps in the schema of the Parquet files it writes, of the columns that still hold their
    numbers: other programs change columns and leave these words as they are.
    """
    import pyarrow as pa

    words = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = words.get("info", {}).get("features", {})
    # A column of lists declares its classes one level below.
    kinds = {column: f.get("feature", f) if isinstance(f, dict) else {} for column, f in features.items()}
    found = {column.name: getattr(column.type, "value_type", column.type) for column in schema}
    return {
        column: tuple(kind["names"])
        for column, kind in kinds.items()
        if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and kind.get("names")
        and column in found and pa.types.is_integer(found[column])
    }  # fmt: skip


def _with_texts(path: Path, schema: Any) -> Any:
    """The schema with text for bytes that hold text, by the first rows: Impala, and Spark of old, do not mark it as such."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    bare = [
        column.name for column in schema if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    ]
    if not bare:
        return schema
    with pq.ParquetFile(path) as file:
        first = next(iter(file.iter_batches(batch_size=_BATCH, columns=bare)), pa.RecordBatch.from_pylist([]))
    for column in first.schema:
        with contextlib.suppress(pa.ArrowException):
            held = first.column(column.name).cast(pa.large_string())
            if held.null_count < len(held):
                schema = schema.set(schema.get_field_index(column.name), pa.field(column.name, held.type))
    return schema


def name_classes(row: Row, declared: dict[str, tuple[str, ...]]) -> Row:
    """The row with the numbers of declared class columns replaced by names; -1, no label, becomes None."""

    def named(column: str, value: Any, names: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [named(column, number, names) for number in value if number is not None and number >= 0]
        if value is None or value < 0:
            return None
        if value >= len(names):
            raise DataError(f"'{column}' holds class {value}, and {len(names)} classes are declared. Correct it.")
        return names[value]

    return {**row, **{column: named(column, row.get(column), names) for column, names in declared.items()}}


def _xlsx(path: Path, form: str, config: Data) -> Table:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise DataError(f"{path} is not an xlsx file: {error}. Save it as xlsx or csv.") from None
    names = _sheet_names(book)
    if not names:
        raise DataError(f"{path} has charts alone; expected a sheet with rows. Give another file.")
    sheet = config.sheet or names[0]
    if sheet not in names:
        raise DataError(f"{path} has no sheet '{sheet}'. It has '{', '.join(names)}'. Change --sheet.")
    notes = (f"sheet '{sheet}' of {len(names)} (--sheet changes it)",) if len(names) > 1 else ()

    def rows() -> Iterator[Row]:
        cells = _sheet(book, sheet).iter_rows(values_only=True)
        first = next((line for line in cells if any(cell is not None for cell in line)), ())
        width = max((i + 1 for i, cell in enumerate(first) if cell is not None), default=0)
        header = ["" if cell is None else str(cell) for cell in first[:width]]
        check_header(header, str(path))
        for line in cells:
            if any(cell is not None for cell in line):
                # Empty cells at the end of a line are not stored.
                yield dict(zip_longest(header, line[:width]))

    return Table(str(path), rows, notes)


def _sheet_names(book: Any) -> list[str]:
    """The sheets that have rows, which one of a chart has not; those that are hidden last, as nobody looks at them."""
    sheets = sorted(book.worksheets, key=lambda sheet: bool(sheet.sheet_state != "visible"))
    return [sheet.title for sheet in sheets]


def _sheet(book: Any, name: str) -> Any:
    """A sheet of a workbook, read to its end: programs other than Excel leave a size in it that it had long ago."""
    sheet = book[name]
    sheet.reset_dimensions()
    return sheet


def _is_of_rows(name: str) -> bool:
    return not name.startswith(".") and unzipped(Path(name)).suffix.lower() in FORMS


def _neighbours(path: Path) -> str:
    import difflib

    folder = path.parent
    names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    # All names of one ending are alike in it, so the stems are compared first.
    stems = {unzipped(Path(name)).stem: name for name in sorted(names, reverse=True) if _is_of_rows(name)}
    near = difflib.get_close_matches(unzipped(path).stem, stems, n=1, cutoff=0.7)
    if near:
        return f"Did you mean {folder / stems[near[0]]}?"
    return "Check the path." if folder.is_dir() else f"The folder {folder} does not exist either."
