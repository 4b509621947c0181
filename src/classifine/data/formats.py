"""Files of rows: csv, tsv, json, jsonl, parquet, xlsx and plain lines, the text forms also gzipped.

A file becomes an iterator of dictionaries, column name -> value, in file order and one row at a time, so memory
does not grow with the file (json is the exception: it is read whole). It knows nothing about which column is the
text or the label.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

from classifine.config import Data
from classifine.errors import DataError

Row = dict[str, Any]

TEXT_FORMS = {".csv": "csv", ".tsv": "tsv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}
FORMS = {**TEXT_FORMS, ".parquet": "parquet", ".pq": "parquet", ".xlsx": "xlsx"}
DELIMITERS = ",;\t|"
MAX_CELL = 1_000_000  # characters; a longer cell is nearly always a quotation mark that is never closed
_VERIFY = 1 << 26  # bytes of a file that are read ahead to be sure of its encoding
_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


# Beside UTF-8 and UTF-16: what spreadsheets of the last thirty years write.
_CODE_PAGES = (
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257",
    "cp932", "euc_jp", "gb18030", "big5", "cp949", "koi8_r",
)  # fmt: skip
_WESTERN = frozenset(
    "àáâãäåæçèéêëìíîïñòóôõöøœùúûüÿßÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜŸ“”‘’„‚–—…€°«»¡¿·•§®™£ªº´\N{NO-BREAK SPACE}"
)


@dataclass(frozen=True)
class Table:
    """Rows ready to be read: `notes` say what was guessed, `declared` the class names of columns in their order."""

    name: str
    rows: Callable[[], Iterator[Row]]
    notes: tuple[str, ...] = ()
    declared: dict[str, tuple[str, ...]] = field(default_factory=dict)


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


def open_table(path: Path, config: Data, form: str | None = None) -> Table:
    """Look at a file, guess what it does not say (encoding, delimiter, sheet) and return it ready to be read.

    Raises DataError where there is no such file, it is empty or it is not what its ending says.
    """
    if not path.exists():
        raise DataError(f"No such file: {path}. {_neighbours(path)}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file. Give one of the files in it.")
    form = form or form_of(path)
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty; expected rows with a text and a label.")
        opener = {"parquet": _parquet, "xlsx": _xlsx, "json": _json}.get(form, _text)
        return opener(path, form, config)
    except _DAMAGED as error:
        raise DataError(_damaged(str(path), error)) from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}. Check the file and its permissions."
        ) from None


def stream_table(stream: IO[bytes], name: str, form: str, config: Data) -> Iterator[Row]:
    """The rows of an open byte stream, such as standard input, in one of the text forms but json."""
    encoding = _named_encoding(config.encoding or "utf-8")
    delimiter = _one_character(config.delimiter or ("\t" if form == "tsv" else ","))

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
    return _parse_csv(lines, delimiter, name)


def _guarded(name: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Pass rows on, with the mistakes of a file's content turned into sentences."""
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise DataError(_undecodable(name, error)) from None
    except _DAMAGED as error:
        raise DataError(_damaged(name, error)) from None


def _undecodable(name: str, error: UnicodeDecodeError) -> str:
    byte = f"byte {error.object[error.start]:#04x}"
    return f"{name} is not {error.encoding} ({byte}). Save it as UTF-8 or name its --encoding."


def _damaged(name: str, error: BaseException) -> str:
    return f"{name} is not a whole gzip file: {error}. Compress it again."


# --- text forms -------------------------------------------------------------------------------------------------


def _binary(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _text(path: Path, form: str, config: Data) -> Table:
    encoding, notes = find_encoding(path, config.encoding)
    delimiter = ""
    if form in ("csv", "tsv"):
        delimiter = _one_character(config.delimiter or _sniff_delimiter(path, encoding, "\t" if form == "tsv" else ","))
        if delimiter not in (config.delimiter, ",", "\t"):
            notes = (*notes, f"columns separated by {delimiter!r} (--delimiter changes it)")

    def rows() -> Iterator[Row]:
        with io.TextIOWrapper(_binary(path), encoding=encoding, newline="") as lines:
            yield from _guarded(str(path), _parse(lines, form, delimiter, str(path)))

    return Table(str(path), rows, notes)


def find_encoding(path: Path, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The encoding of a text file and a note where it was guessed: mark, then UTF-8, then by its letters."""
    if wanted:
        return _named_encoding(wanted), ()
    with _binary(path) as file:
        head = file.read(_VERIFY)
    for mark, encoding in _BOMS.items():
        if head.startswith(mark):
            return encoding, ()
    if b"\0" in head:
        return _utf16_without_mark(path, head)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
        return "utf-8", ()
    except UnicodeDecodeError:
        return _guess_encoding(path, head)


def _named_encoding(wanted: str) -> str:
    try:
        "".encode(wanted)  # fails also for what Python calls an encoding but is none of text, such as base64
        name = codecs.lookup(wanted).name
    except LookupError:
        raise DataError(
            f"--encoding is '{wanted}'; expected a name such as utf-8 or cp1252. Correct it or leave it out."
        ) from None
    # utf-8-sig reads UTF-8 with and without a mark; a mark left in would become part of the first column's name.
    return "utf-8-sig" if name == "utf-8" else name


def _one_character(delimiter: str) -> str:
    delimiter = "\t" if delimiter in ("\\t", "tab") else delimiter  # shells do not make it easy to type one
    if len(delimiter) != 1:
        raise DataError(f"--delimiter is {delimiter!r}; expected a single character such as ';'. Change it.")
    return delimiter


def _utf16_without_mark(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    sample = head[:4096]
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if sample[offset::2].count(0) > 0.4 * len(sample[offset::2]) and 0 not in sample[1 - offset :: 2]:
            return encoding, (f"read as {encoding}, a guess (--encoding changes it)",)
    raise DataError(
        f"{path} holds NUL bytes, so it is not a text file. Save it as csv, jsonl or xlsx with that ending."
    )


def _guess_encoding(path: Path, head: bytes) -> tuple[str, tuple[str, ...]]:
    from charset_normalizer import from_bytes

    sample = head[: 1 << 18]
    best = None if _is_western(sample) else from_bytes(sample, cp_isolation=list(_CODE_PAGES)).best()
    if best is None and not _is_western(sample):
        raise DataError(f"{path} is in no encoding that we know. Save it as UTF-8 or name its --encoding.")
    encoding = best.encoding if best else "cp1252"
    return encoding, (f"read as {encoding}, a guess (--encoding changes it)",)


def _is_western(sample: bytes) -> bool:
    """Whether cp1252 makes the sample a text of Western European letters, most of them plain.

    Decided here because charset-normalizer takes short French and Portuguese texts for Baltic or Czech ones.
    """
    text = sample.decode("cp1252", errors="replace")
    special = [letter for letter in text if not letter.isascii()]
    accented = sum(letter.isalpha() for letter in special)
    return _WESTERN.issuperset(special) and accented < 0.25 * sum(letter.isalpha() for letter in text)


def _sniff_delimiter(path: Path, encoding: str, expected: str) -> str:
    """The delimiter under which the first records have equally many columns; `expected` where none splits them."""
    with io.TextIOWrapper(_binary(path), encoding=encoding, newline="", errors="replace") as file:
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


def _parse_csv(lines: IO[str], delimiter: str, name: str) -> Iterator[Row]:
    before = csv.field_size_limit(MAX_CELL)
    try:
        records = _csv_records(lines, delimiter, name)
        header = next(records, [])
        _check_header(header, name)
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
    """The records that are not empty; DataError where the file ends inside quotation marks, which csv lets pass."""
    raw: list[str] = []  # the lines of the record that is being read

    def kept() -> Iterator[str]:
        for line in lines:
            raw.append(line)
            yield line

    number, unclosed = -1, False
    for record in csv.reader(kept(), delimiter=delimiter):
        unclosed = len(raw) > 1 and sum(line.count('"') for line in raw) % 2 == 1
        raw.clear()
        if record:
            number += 1
            yield record
    if unclosed:
        raise DataError(
            f"{name} ends inside a quotation mark that row {number} opens; expected a closing one. "
            "Close it, or double the marks inside the text."
        )


def _csv_sentence(name: str, error: str) -> str:
    if "field limit" in error:
        return (
            f"{name} has a cell of more than {MAX_CELL:,} characters; expected texts. "
            "Look for a quotation mark that is opened and never closed."
        )
    return f"{name} is not valid csv: {error}. Save it again as csv in UTF-8."


def _check_header(header: list[str], name: str) -> None:
    if not header:
        raise DataError(f"{name} holds no rows; expected a header line and rows below it.")
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise DataError(f"{name} has two columns named '{repeated[0]}'; expected distinct names. Rename one of them.")
    if any(column.strip().lstrip("-").isdigit() or len(column) > 100 for column in header):
        shown = ", ".join(column[:30] for column in header[:5])
        raise DataError(f"{name} seems to have no header: its first line is '{shown}'. Add a line such as text,label.")


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
        with io.TextIOWrapper(_binary(path), encoding=encoding) as file:
            found = json.load(file)
    except UnicodeDecodeError as error:
        raise DataError(_undecodable(str(path), error)) from None
    except (ValueError, RecursionError) as error:
        hint = " It looks like one object a line: name it .jsonl." if "Extra data" in str(error) else ""
        raise DataError(f"{path} is not valid JSON: {error}.{hint or ' Mend it or save it again.'}") from None
    records = _records(found, path)
    return Table(str(path), lambda: iter(records), notes)


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
        schema = pq.read_schema(path)
    except pa.ArrowException as error:
        raise DataError(f"{path} is not a Parquet file: {str(error).splitlines()[0]} Write it again.") from None
    declared = _declared(schema.metadata or {})

    def rows() -> Iterator[Row]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=4096):
                yield from (name_classes(row, declared) for row in batch.to_pylist())

    return Table(str(path), rows, (), declared)


def _declared(metadata: dict[bytes, bytes]) -> dict[str, tuple[str, ...]]:
    """Class names that `datasets` keeps in the schema of the Parquet files it writes."""
    features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return {
        column: tuple(feature["names"])
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }


def name_classes(row: Row, declared: dict[str, tuple[str, ...]]) -> Row:
    """The row with the numbers of declared class columns replaced by names; -1, no label, becomes None."""
    named = {c: names[row[c]] if row.get(c) is not None and row[c] >= 0 else None for c, names in declared.items()}
    return {**row, **named}


def _xlsx(path: Path, form: str, config: Data) -> Table:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError) as error:
        raise DataError(f"{path} is not an xlsx file: {error}. Save it as xlsx or csv.") from None
    sheet = config.sheet or book.sheetnames[0]
    if sheet not in book.sheetnames:
        raise DataError(f"{path} has no sheet '{sheet}'. It has '{', '.join(book.sheetnames)}'. Change --sheet.")
    notes = (f"sheet '{sheet}' of {len(book.sheetnames)} (--sheet changes it)",) if len(book.sheetnames) > 1 else ()

    def rows() -> Iterator[Row]:
        cells = book[sheet].iter_rows(values_only=True)
        first = next((line for line in cells if any(cell is not None for cell in line)), ())
        width = max((i + 1 for i, cell in enumerate(first) if cell is not None), default=0)
        header = ["" if cell is None else str(cell) for cell in first[:width]]
        _check_header(header, str(path))
        for line in cells:
            if any(cell is not None for cell in line):
                # Empty cells at the end of a line are not stored.
                yield dict(zip_longest(header, line[:width]))

    return Table(str(path), rows, notes)


def _neighbours(path: Path) -> str:
    import difflib

    folder = path.parent
    names = [item.name for item in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return f"Did you mean {folder / near[0]}?"
    return "Check the path." if folder.is_dir() else f"The folder {folder} does not exist either."
