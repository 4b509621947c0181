"""A saved classifier on a file or on standard input: rows in, the same rows with labels and scores out.

It goes through the rows as a stream, so memory does not grow with them. What goes to a file can be stopped at any
moment and goes on where it was.
"""

import re
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from classifine import __version__
from classifine.config import Data
from classifine.data.columns import Columns, find_asked
from classifine.data.encoding import open_binary
from classifine.data.formats import Row, form_of, open_table, stream_table
from classifine.data.read import sample_of
from classifine.data.write import check_room, column_types, output_form, remove_leftovers, write_rows
from classifine.doubt import UNLIKE
from classifine.errors import DataError, OutputError
from classifine.infer.choose import open_engine
from classifine.infer.engine import Engine
from classifine.infer.journal import Journal, Values, digest_of
from classifine.infer.meter import QUICK, Meter
from classifine.infer.predict import CHUNK, Answer, Wanted, scored_chunks
from classifine.model.disk import writing
from classifine.model.folder import Saved
from classifine.say import Say

STREAMED = ("lines", "jsonl", "csv", "tsv")  # forms that standard input may have
_FIRST = 100  # rows of standard input that are looked at to find the text
_BLOCK = 1 << 22  # bytes that are looked at at once to count lines


@dataclass(frozen=True)
class PredictOptions:
    """What to add to each row, how to run, and in `data` how to read: `data.text` names the columns to judge.

    `shard` (i, n) takes the i-th of n runs of neighbouring rows, counted from 1. `start_over` throws away what a
    stopped job left. `of_folder` is for one file of many, whose names may differ in their endings alone: what a stopped
    job left of it is thrown away where it has changed since.
    """

    wanted: Wanted = Wanted()
    engine: str = "auto"
    precision: str = "auto"
    form: str | None = None
    shard: tuple[int, int] = (1, 1)
    data: Data = Data()
    start_over: bool = False
    of_folder: bool = False


@dataclass(frozen=True)
class _Input:
    """Rows to judge: the file they are in (None: standard input), its form, its columns, its first rows, and all of them."""

    path: Path | None
    form: str
    columns: list[str]
    sample: list[Row]
    rows: Iterable[Row]
    total: int | None = None
    types: dict[str, Any] = field(default_factory=dict)


def predict_file(
    saved: Saved,
    source: str,
    output: Path | None,
    options: PredictOptions,
    stdin: IO[bytes],
    say: Say,
    engine: Engine | None = None,
) -> int:
    """Label the rows of `source` ("-" is `stdin`) in order; the number of rows written to `output`.

    Without `output` they go to standard output, in the form they came in where that is text. Raises DataError where
    the rows cannot be read or have no text, OutputError where they cannot be written; the file is whole or absent. A
    job that was stopped goes on after the last rows that it answered. An `engine` that is open already may be given.
    """
    form = None if output is None else output_form(output)
    given = _standard_input(stdin, options) if source == "-" else _file(Path(source), options, form, say)
    columns = given.columns
    trained = Columns.from_json(saved.record["columns"], saved.labels.task)
    where = "standard input" if source == "-" else source
    text, pair = find_asked(given.sample, columns, options.data, trained, where)
    answer = Answer(saved, columns, options.wanted)
    engine = engine or open_engine(saved, options.engine, options.precision)
    say(f"judging {' + '.join(text)}{f' with {pair}' if pair else ''} of {source} with {saved.folder} ({engine.name})")
    if given.form == "lines" and options.form is None and _like_a_header(given.sample[0]["text"], trained):
        say(
            f"warning: the first line, {given.sample[0]['text']!r}, looks like the header of a table; every line is taken for "
            "a text. If it is one, add --format csv"
        )
    if options.wanted.accuracy:
        say(
            f"answers from a score of {answer.threshold:.4f} on: {answer.share:.1%} of validation rows, of which "
            f"{answer.reached:.1%} were right"
        )
    if options.wanted.unlike and saved.doubt.rows * UNLIKE < 1:
        say(
            f"warning: what is unlike was set by {saved.doubt.rows} validation rows, so little will be found; with "
            f"{round(1 / UNLIKE)} or more it is told better"
        )
    with ExitStack() as opened:
        journal = None
        if output is not None:
            with writing(output):
                output.parent.mkdir(parents=True, exist_ok=True)
            # Of standard input nothing can be kept, but nobody else should write to the same file meanwhile.
            read = [str(given.path.absolute()), digest_of(given.path)] if given.path else []
            job = job_of(saved, engine, read, options, (text, pair))
            changed, whole = ("input",) if options.of_folder else (), options.of_folder
            kept = Journal(output, job, CHUNK, options.start_over, changed, whole)
            held = opened.enter_context(_kept(kept, say))
            if held.after_a_kill:
                remove_leftovers(output)
            journal = held if given.path else None
        stream = _Stream(saved, engine, answer, journal, (text, pair), source)
        if given.total is not None:
            stream.meter = opened.enter_context(closing(Meter("predicting", given.total, say, silent=QUICK)))
        rows = opened.enter_context(closing(stream.answered(given.rows, columns)))
        target = form or (given.form if given.form in ("csv", "tsv") else "jsonl")
        count = write_rows(rows, output, target, {**given.types, **answer.types}, [*columns, *answer.columns])
        if journal is not None:
            journal.remove()
    blank, unsure = stream.blank, stream.unsure
    told = f", {blank} without text left unlabelled" * bool(blank) + f", {unsure} too unsure" * bool(unsure)
    say(f"{count} rows{told}{f', in {output}' if output else ''}")
    if stream.cut:
        say(
            f"warning: {stream.cut} texts fill all {saved.max_length} tokens that are read, and what is beyond was not "
            "(train --max-length, --long)"
        )
    return count


def _like_a_header(line: str, trained: Columns) -> bool:
    """Whether a line of text names columns, one of them that of the texts of training."""
    cells = {cell.strip(" \"'").lower() for cell in re.split("[,;\t]", line)}
    return not {name.lower() for name in trained.text}.isdisjoint(cells)


@dataclass
class _Stream:
    """Rows on their way from the source to the file."""

    saved: Saved
    engine: Engine
    answer: Answer
    journal: Journal | None
    asked: tuple[tuple[str, ...], str | None]
    source: str
    meter: Meter | None = None
    blank: int = 0
    unsure: int = 0
    cut: int = 0

    def answered(self, rows: Iterable[Row], columns: list[str]) -> Generator[Row, None, None]:
        """Every row with its answer, in order: those that the journal holds, then those of the network."""
        known, remaining = set(columns), iter(rows)
        for row, values in chain(self._known(remaining), self._new(remaining)):
            blank = all(value is None for value in values)
            self.blank += blank
            self.unsure += values[0] is None and not blank
            if not row.keys() <= known:
                late = min(row.keys() - known)
                raise DataError(
                    f"{self.source} has a column '{late}' that its first rows lack. Write it there too, if empty."
                )
            # The first row's columns are those of the file, and it may lack some that later ones have.
            yield self.answer.row({**dict.fromkeys(columns), **row}, values)

    def _known(self, rows: Iterator[Row]) -> Iterator[tuple[Row, Values]]:
        if self.journal is not None and self.journal.done:
            yield from zip(islice(rows, self.journal.done), self.journal.before(), strict=True)
            if self.meter:
                self.meter.skip(self.journal.done)

    def _new(self, rows: Iterator[Row]) -> Iterator[tuple[Row, Values]]:
        for chunk in scored_chunks(self.saved, self.engine, rows, *self.asked):
            values = [self.answer.values(judged) for _, judged in chunk]
            self.cut += sum(judged is not None and judged.full for _, judged in chunk)
            if self.journal is not None:
                self.journal.add(values)
            if self.meter:
                self.meter.add(len(chunk))
            yield from zip((row for row, _ in chunk), values, strict=True)


@contextmanager
def _kept(journal: Journal, say: Say) -> Iterator[Journal]:
    """The journal while its job runs; what it holds afterwards is said, and thrown away where it can serve nobody."""
    if journal.done:
        say(f"goes on after the {journal.done} rows that were answered before")
    with closing(journal):
        try:
            yield journal
        except DataError:
            journal.remove()  # the input must change, and then it is another job
            raise
        except BaseException as error:
            # What does not go into one form may go into another, and the journal serves both.
            more = ", also with another ending of -o" if isinstance(error, OutputError) else ""
            if journal.kept:
                say(f"{journal.kept} rows are answered. The same command goes on from there{more}.")
            raise


def job_of(saved: Saved, engine: Engine, read: list[Any], options: PredictOptions, asked: Any) -> dict[str, Any]:
    """What makes two jobs the same, so that one may go on with the other's answers; people read its names."""
    return {
        "version": __version__, "classifier": saved.record, "engine": engine.name, "columns": asked, "chunk": CHUNK,
        "input": read,
        "flags": [asdict(options.wanted), options.form, options.shard, options.data.model_dump(mode="json")],
    }  # fmt: skip


def _file(path: Path, options: PredictOptions, target: str | None, say: Say) -> _Input:
    """A file, its rows or those of a shard; OutputError where the form `target` cannot hold so many."""
    table = open_table(path, options.data, options.form)
    for note in table.notes:
        say(f"{path}: {note}")
    form, sample = options.form or form_of(path), sample_of(table)
    number, parts = options.shard
    first, last = 0, None
    if parts == 1:
        total = None if form == "xlsx" else table.known or _about(path)
    else:
        whole = table.known if table.known is not None else sum(1 for _ in table.rows())
        first, last = whole * (number - 1) // parts, whole * number // parts
        total = last - first
        say(f"{path}: {f'rows {first + 1} to {last}' if total else 'no rows'} of {whole} (--shard {number}/{parts})")
    if target is not None and total is not None:
        check_room(target, islice(table.rows(), first, last), total)
    # What the first rows of some forms do not tell of later ones should be known before all are judged, and be the same
    # for every shard.
    columns, types = _columns(table.rows() if form in ("jsonl", "json") else sample), table.types
    if target == "parquet" and form in ("jsonl", "json", "xlsx"):
        types = column_types(table.rows(), columns)
    return _Input(path, form, columns, sample, islice(table.rows(), first, last), total, types)


def _columns(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _about(path: Path) -> int:
    """About how many rows a text file has: its lines."""
    count = 0
    # What is damaged is said by the one who reads it.
    with suppress(OSError, EOFError, zlib.error), open_binary(path) as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            count += block.count(b"\n")
    return count


def _standard_input(stdin: IO[bytes], options: PredictOptions) -> _Input:
    """Standard input; only as much is read ahead as it takes to find the text."""
    form = options.form or "lines"
    if form not in STREAMED:
        raise DataError(f"--format is {form}; standard input takes {', '.join(STREAMED)}. Give a file instead.")
    if options.shard[1] > 1:
        raise DataError("--shard is for files, as standard input cannot be counted. Give a file, or drop --shard.")
    rows = stream_table(stdin, "standard input", form, options.data)
    sample = list(islice(rows, 1 if form == "lines" else _FIRST))
    if not sample:
        raise DataError("Standard input is empty; expected a text a line, or rows in the --format that you name.")
    return _Input(None, form, _columns(sample), sample, chain(sample, rows))
