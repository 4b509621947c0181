"""A saved classifier on a file or on standard input: rows in, the same rows with labels and scores out.

It goes through the rows as a stream, so memory does not grow with them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO

from classifine.config import Data
from classifine.data.columns import Columns, find_text
from classifine.data.formats import Row, form_of, open_table, stream_table
from classifine.data.read import sample_of
from classifine.data.write import output_form, write_rows
from classifine.errors import DataError
from classifine.infer.predict import Answer, scored_rows
from classifine.model.folder import Saved

Say = Callable[[str], None]
STREAMED = ("lines", "jsonl", "csv", "tsv")  # forms that standard input may have
_FIRST = 100  # rows of standard input that are looked at to find the text


@dataclass(frozen=True)
class PredictOptions:
    """What to add to each row, and in `data` how to read rows that do not say: `data.text` names the columns to judge."""

    top_k: int = 1
    all_scores: bool = False
    precision: str = "float32"
    form: str | None = None
    data: Data = Data()


def predict_file(
    saved: Saved, source: str, output: Path | None, options: PredictOptions, stdin: IO[bytes], say: Say
) -> int:
    """Label the rows of `source` ("-" is `stdin`) in order; the number of rows written to `output`.

    Without `output` they go to standard output, in the form they came in where that is text. Raises DataError where
    the rows cannot be read or have no text, OutputError where they cannot be written; nothing is left half-written.
    """
    rows, form, sample = _standard_input(stdin, options) if source == "-" else _file(Path(source), options, say)
    columns = list(dict.fromkeys(name for row in sample for name in row))
    for name in options.data.text:
        if name not in columns:
            raise DataError(f"{source} has no column '{name}'. It has {', '.join(columns)}. Change --text.")
    trained = Columns.from_json(saved.record["columns"], saved.labels.task)
    pair = options.data.text_pair or trained.pair
    if (pair is None) != (trained.pair is None) or (pair is not None and pair not in columns):
        raise DataError(_unpaired(source, trained.pair, pair, columns))
    if pair in options.data.text:
        raise DataError(f"'{pair}' is both --text and --text-pair; expected two columns. Change one of them.")
    text = find_text(sample, options.data.text or trained.text, source, pair)
    say(f"judging {' + '.join(text)}{f' with {pair}' if pair else ''} of {source} with {saved.folder}")
    answer = Answer(saved, columns, options.top_k, options.all_scores)
    blank = 0

    def answered() -> Iterator[Row]:
        nonlocal blank
        for row, scores in scored_rows(saved, rows, text, pair, options.precision):
            blank += scores is None
            if not row.keys() <= known:
                late = min(row.keys() - known)
                raise DataError(
                    f"{source} has a column '{late}' that its first rows lack. Write it there too, if empty."
                )
            # The first row's columns are those of the file, and it may lack some that later ones have.
            yield answer({**dict.fromkeys(columns), **row}, scores)

    known = set(columns)
    target = output_form(output) if output else form if form in ("csv", "tsv") else "jsonl"
    count = write_rows(answered(), output, target, numbers=answer.scores)
    say(f"{count} rows{f', {blank} without text left unlabelled' * bool(blank)}{f', in {output}' if output else ''}")
    return count


def _unpaired(source: str, trained: str | None, pair: str | None, columns: list[str]) -> str:
    if trained is None:
        return f"--text-pair is {pair}, and the classifier judges single texts. Drop --text-pair."
    return (
        f"{source} has no column '{pair}'; the classifier judges pairs of texts. It has {', '.join(columns)}. "
        "Name the second text with --text-pair."
    )


def _file(path: Path, options: PredictOptions, say: Say) -> tuple[Iterable[Row], str, list[Row]]:
    """(rows, form, the first rows) of a file."""
    table = open_table(path, options.data, options.form)
    for note in table.notes:
        say(f"{path}: {note}")
    return table.rows(), options.form or form_of(path), sample_of(table)


def _standard_input(stdin: IO[bytes], options: PredictOptions) -> tuple[Iterable[Row], str, list[Row]]:
    """(rows, form, the first rows) of standard input; only as much is read ahead as it takes to find the text."""
    form = options.form or "lines"
    if form not in STREAMED:
        raise DataError(f"--format is {form}; standard input takes {', '.join(STREAMED)}. Give a file instead.")
    rows = stream_table(stdin, "standard input", form, options.data)
    sample = list(islice(rows, 1 if form == "lines" else _FIRST))
    if not sample:
        raise DataError("Standard input is empty; expected a text a line, or rows in the --format that you name.")
    return chain(sample, rows), form, sample
