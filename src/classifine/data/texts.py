"""Unlabelled texts out of files: each once, none empty, some of them drawn where there are too many.

It finds columns as `read` does, or as a classifier that is to judge the texts reads them, and neither needs labels nor
looks at them. It knows nothing about networks.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from classifine.config import Data
from classifine.data.columns import Columns, find_asked, find_texts
from classifine.data.formats import Row, Table
from classifine.data.read import sample_of, tables_of
from classifine.data.row import Text, joined, text_of, texts_of
from classifine.errors import DataError

FEWEST = 10  # texts, with fewer of which there is nothing to learn and nothing to judge by


@dataclass(frozen=True)
class Texts:
    """Texts to learn from and texts to judge by; `notes` say where they came from and what was left out."""

    train: tuple[Text, ...]
    held_out: tuple[Text, ...]
    notes: tuple[str, ...] = ()


def read_texts(
    sources: Sequence[str],
    config: Data,
    held_out: float,
    most_held_out: int,
    rows: int | None,
    seed: int,
    asked: Columns | None = None,
) -> Texts:
    """The texts of all sources, a pair as two, shuffled by seed; `rows` of them at most, a share of these held out.

    Where they are for a classifier, `asked` are the columns that it was trained on, and a pair is one text of two parts.

    Of a folder, or a set of the Hub, the train rows are taken. Raises DataError where something cannot be read or fewer
    than ten texts are left.
    """
    tables = list(chain.from_iterable(_tables(source, config) for source in sources))
    found: dict[Text, None] = {}
    notes = [f"{table.name}: {note}" for table in tables for note in table.notes]
    read = empty = 0
    for table in tables:
        texts: Iterator[Text | None]
        if asked is None:
            text, pair, own = find_texts(sample_of(table), config, table.name)
            notes += [note if len(tables) == 1 else f"{table.name}: {note}" for note in own]
            texts = _texts(table.rows(), text, pair)
        else:
            texts = _asked(table, config, asked)
        for one in texts:
            read += 1
            if one is None or not joined(one).strip():
                empty += 1
            else:
                found[one] = None
    named = sources[0] if len(sources) == 1 else f"{len(sources)} files"
    notes.append(f"{read} texts of {named}: {empty} empty ones and {read - empty - len(found)} exact copies left out")
    return _parted(list(found), named, held_out, most_held_out, rows, seed, notes)


def _parted(
    texts: list[Text], named: str, held_out: float, most_held_out: int, rows: int | None, seed: int, notes: list[str]
) -> Texts:
    random.Random(seed).shuffle(texts)
    if rows is not None and rows < len(texts):
        notes.append(f"{rows} of {len(texts)} texts drawn (--max-rows)")
        texts = texts[:rows]
    if len(texts) < FEWEST:
        raise DataError(f"{named} has {len(texts)} different texts; expected {FEWEST} at least. Give more texts.")
    count = max(1, min(round(held_out * len(texts)), most_held_out))
    notes.append(f"{len(texts) - count} texts to learn from, {count} held out to judge by (--held-out)")
    return Texts(tuple(texts[count:]), tuple(texts[:count]), tuple(notes))


def _tables(source: str, config: Data) -> list[Table]:
    tables = tables_of(config.model_copy(update={"source": source}))
    if "train" not in tables:
        given = ", ".join(part.name for parts in tables.values() for part in parts)
        raise DataError(f"{source} has no train file. It has {given}. Give the path of one.")
    return tables["train"]


def _asked(table: Table, config: Data, asked: Columns) -> Iterator[Text | None]:
    """The texts, or pairs, that a classifier would judge of a table."""
    sample = sample_of(table)
    names = list(dict.fromkeys(name for row in sample for name in row))
    text, pair = find_asked(sample, names, config, asked, table.name)
    return (texts_of(row, text, pair) for row in table.rows())


def _texts(rows: Iterator[Row], text: Sequence[str], pair: str | None) -> Iterator[str | None]:
    for row in rows:
        yield text_of(row, text)
        if pair is not None:
            yield text_of(row, (pair,))
