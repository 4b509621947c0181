"""From what the user has (file, folder, Hub id, data frame, lists) to splits with fixed columns.

The only place that knows the user's column names. Behind it every split has the columns `id` (row number in its
source, counted from 1 below the header), `text` and `labels` (a name; null where there is none).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from classifine.config import Data
from classifine.data.columns import Columns, find_columns
from classifine.data.formats import FORMS, Row, Table, name_classes, open_table
from classifine.errors import DataError
from classifine.labels import Kind, Labels, as_name, is_missing, kind_of

SCHEMA = pa.schema([("id", pa.int64()), ("text", pa.string()), ("labels", pa.string())])
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test",
}  # fmt: skip
_SAMPLE = 1000  # rows that are looked at to find the columns
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+(:[\w.-]+)?$")


@dataclass(frozen=True)
class Split:
    """Rows with the fixed columns; `name` is train, validation or test, `source` is what messages call it."""

    name: str
    source: str
    table: pa.Table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def ids(self) -> list[int]:
        """Row numbers (rows,) in the source, counted from 1."""
        return list(self.table.column("id").to_pylist())

    @property
    def texts(self) -> list[Any]:
        """Texts (rows,); None or blank only before the check."""
        return list(self.table.column("text").to_pylist())

    @property
    def labels(self) -> list[Any]:
        """Label names (rows,); None where a row has none."""
        return list(self.table.column("labels").to_pylist())

    def take(self, indices: Sequence[int], name: str | None = None) -> "Split":
        """The rows at `indices` (from 0), in that order, under the same or another split name."""
        return Split(name or self.name, self.source, self.table.take(pa.array(indices, pa.int64())))


@dataclass(frozen=True)
class Splits:
    """What the user gave, one split or up to three, with what was found on the way."""

    train: Split
    validation: Split | None = None
    test: Split | None = None
    columns: Columns = Columns((), None)
    kind: Kind = "str"
    declared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[Split, ...]:
        """The splits that were given, train first."""
        return tuple(split for split in (self.train, self.validation, self.test) if split is not None)

    @property
    def label_set(self) -> Labels:
        """The classes in the order that the source declares, else in the fixed order, from the training rows."""
        found = set(self.train.labels) - {None}
        if self.declared and found <= set(self.declared):
            return Labels(tuple(name for name in self.declared if name in found), "str")
        # The kind was told from the first rows; a later one may be of another.
        whole = all(name.lstrip("-").isdigit() for name in found)
        return Labels.ordered(found, "str" if self.kind == "int" and not whole else self.kind)


def read_splits(config: Data) -> Splits:
    """Read all that `config` names. Raises DataError where something is missing or cannot be read."""
    tables = _tables(config)
    if "train" not in tables:
        given = ", ".join(part.name for parts in tables.values() for part in parts)
        raise DataError(
            f"{config.source} has no train file. It has {given}. Name one train, such as train.csv, or give its path."
        )
    return _assemble(tables, config)


def read_to_judge(config: Data, trained: Columns) -> tuple[Split, tuple[str, ...]]:
    """(rows, notes) to judge a classifier on: the test split of what `config` names, else validation, else train.

    The columns are those of `trained` where the rows have them and `config` names no others, else found anew.
    """
    tables = _tables(config)
    name = next(name for name in ("test", "validation", "train") if name in tables)
    names = set(chain.from_iterable(sample_of(tables[name][0])))
    text = config.text or (trained.text if set(trained.text) <= names else ())
    label = config.label or (trained.label if trained.label in names else None)
    # The rows stand as train here, which is what a single file is.
    found = _assemble({"train": tables[name]}, config.model_copy(update={"text": text, "label": label}))
    return found.train, (f"judged on {found.train.source} ({len(found.train)} rows)", *found.notes)


def _tables(config: Data) -> dict[str, list[Table]]:
    if config.source is None:
        raise DataError("No data is named. Give a file, a folder of split files or a Hub id such as fancyzhx/ag_news.")
    path = Path(config.source)
    try:
        tables = _folder(path, config) if path.is_dir() else _file_or_hub(path, config)
    except OSError as error:
        raise DataError(f"{config.source[:80]} cannot be read: {error.strerror}. Give the path of a file.") from None
    for name, extra in (("validation", config.validation), ("test", config.test)):
        if extra is not None:
            tables[name] = [open_table(Path(extra), config)]
    return tables


def from_rows(rows: Iterable[Row], config: Data, source: str = "the data frame") -> Splits:
    """Splits with train alone, from dictionaries such as the records of a data frame."""
    listed = list(rows)
    return _assemble({"train": [Table(source, lambda: iter(listed))]}, config)


def from_lists(texts: Sequence[Any], labels: Sequence[Any], name: str = "train") -> Split:
    """A split from texts and labels of equal length (rows,); DataError where the lengths differ."""
    if len(texts) != len(labels):
        raise DataError(f"Got {len(texts)} texts and {len(labels)} labels; expected as many of each. Pair them up.")
    rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    return Split(name, f"the {name} texts", _table(rows, Columns(("text",), "label"), f"the {name} texts"))


def sample_of(table: Table) -> list[Row]:
    """The first rows of a table, enough to tell its columns; DataError where there are none."""
    rows = list(islice(table.rows(), _SAMPLE))
    if not rows:
        raise DataError(f"{table.name} holds no rows; expected a text and a label in each. Check the file.")
    return rows


def _file_or_hub(path: Path, config: Data) -> dict[str, list[Table]]:
    source = str(config.source)
    if not path.exists() and _HUB_ID.match(source) and path.suffix.lower() not in {*FORMS, ".gz"}:
        return _hub(source)
    return {"train": [open_table(path, config)]}


def _folder(path: Path, config: Data) -> dict[str, list[Table]]:
    found: dict[str, list[Path]] = {}
    for item in sorted(path.iterdir()):
        name = item.name.lower().removesuffix(".gz")
        stem, ending = Path(name).stem, Path(name).suffix
        split = SPLIT_NAMES.get(_SHARD.sub("", stem))
        if ending in FORMS and split:
            found.setdefault(split, []).append(item)
    if not found:
        names = ", ".join(item.name for item in list(path.iterdir())[:8]) or "nothing"
        raise DataError(
            f"{path} has no train file, nor one for validation or test. It has {names}. Rename one, such as train.csv, or give its path."
        )
    for split, items in found.items():
        if len(items) > 1 and not all(_SHARD.search(Path(item.name).stem) for item in items):
            raise DataError(f"{path} has {len(items)} files for {split}: {', '.join(i.name for i in items)}. Keep one.")
    return {split: [open_table(item, config) for item in items] for split, items in found.items()}


def _hub(source: str) -> dict[str, list[Table]]:
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    repository, _, subset = source.partition(":")
    try:
        found = datasets.load_dataset(repository, subset or None)
    except (datasets.exceptions.DatasetNotFoundError, FileNotFoundError, ConnectionError, HfHubHTTPError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"No such file, and no set of this name came from the Hub: {source} ({reason}). Check the name."
        ) from None
    except ValueError as error:
        raise DataError(f"The set {source} did not load: {error} Add a subset as {repository}:SUBSET.") from None
    tables: dict[str, list[Table]] = {}
    for key, rows in found.items():
        split = SPLIT_NAMES.get(str(key))
        if split:
            declared = {c: tuple(f.names) for c, f in rows.features.items() if isinstance(f, datasets.ClassLabel)}
            tables[split] = [Table(f"{source} {key}", _iterator(rows, declared), (), declared)]
    if not tables:
        raise DataError(
            f"The set {source} has no train split, nor one to judge on. It has {', '.join(map(str, found))}. Choose another set."
        )
    return tables


def _iterator(rows: Any, declared: dict[str, tuple[str, ...]]) -> Any:
    return lambda: (name_classes(row, declared) for row in rows)


def _assemble(tables: dict[str, list[Table]], config: Data) -> Splits:
    first = tables["train"][0]
    columns = find_columns(sample_of(first), config.text, config.label, first.name)
    needed = [name for name in (*columns.text, columns.label) if name]
    splits: dict[str, Split] = {}
    for name, parts in tables.items():
        for part in parts:
            sample = sample_of(part)
            missing = [column for column in needed if not any(column in row for row in sample)]
            if missing:
                has = ", ".join(f"'{c}'" for c in sample[0])
                raise DataError(
                    f"{part.name} has no column '{missing[0]}', which {first.name} has. It has {has}. Rename it."
                )
        rows = chain.from_iterable(part.rows() for part in parts)
        more = f" and {len(parts) - 1} more, counted through" if len(parts) > 1 else ""
        splits[name] = Split(name, parts[0].name + more, _table(rows, columns, parts[0].name))
    kind = _label_kind(tables["train"], columns)
    notes = [f"{part.name}: {note}" for part in chain.from_iterable(tables.values()) for note in part.notes]
    declared = first.declared.get(columns.label or "", ())
    result = Splits(**splits, columns=columns, kind=kind, declared=declared, notes=(*notes, *columns.notes))
    return _without_placeholders(result)


def _label_kind(parts: list[Table], columns: Columns) -> Kind:
    sample = chain.from_iterable(sample_of(part) for part in parts)
    return kind_of(row.get(columns.label or "") for row in sample)


def _without_placeholders(splits: Splits) -> Splits:
    """Public test files carry -1 where the label is withheld: no label, unless train knows a class of that name."""
    if "-1" in set(splits.train.labels):
        return splits

    def cleared(split: Split | None) -> Split | None:
        if split is None or "-1" not in set(split.labels):
            return split
        labels = pa.array([None if label == "-1" else label for label in split.labels], pa.string())
        return replace(split, table=split.table.set_column(2, "labels", labels))

    return replace(splits, validation=cleared(splits.validation), test=cleared(splits.test))


def _table(rows: Iterable[Row], columns: Columns, source: str) -> pa.Table:
    ids: list[int] = []
    texts: list[str | None] = []
    labels: list[str | None] = []
    for number, row in enumerate(rows, 1):
        label = row.get(columns.label) if columns.label else None
        if isinstance(label, (list, dict)):
            raise DataError(
                f"{source} has a list as label in row {number}; expected one label a row. Name another --label."
            )
        ids.append(number)
        texts.append(text_of(row, columns.text))
        labels.append(as_name(label))
    return pa.table([ids, texts, labels], schema=SCHEMA)


def text_of(row: Row, columns: Sequence[str]) -> str | None:
    """The text of a row: the given columns joined by a space, None where all of them are missing."""
    parts = [str(value) for column in columns if not is_missing(value := row.get(column))]
    text = " ".join(part for part in parts if part.strip() or len(parts) == 1) if parts else None
    try:
        return text if text is None or text.isascii() or text.encode() else None
    except UnicodeEncodeError:
        # Half of a letter pair, as cutting a text in JSON leaves it: no tokenizer and no file takes it.
        return str(text).encode(errors="replace").decode()
