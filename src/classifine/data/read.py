"""From what the user has (file, folder, Hub id, data frame, lists) to splits with fixed columns.

The only place that knows the user's column names. Behind it every split has the columns `id` (row number in its
source, counted from 1 below the header), `text`, `text_pair` (null but for pairs) and `labels`: by task a name, a list
of names or a number; null where there is none.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from classifine.config import Data
from classifine.data.columns import CHANGES_LABEL, Columns, find_columns, unpaired
from classifine.data.formats import FORMS, Row, Table, name_classes, open_table, unzipped
from classifine.data.lists import WRITTEN, list_in
from classifine.data.row import label_of, text_of
from classifine.data.values import check_thousands
from classifine.errors import ConfigError, DataError, NoRowsError
from classifine.labels import Kind, Labels, Task, as_name, is_missing, kind_of

LABEL_TYPES: dict[Task, pa.DataType] = {"single": pa.string(), "multi": pa.list_(pa.string()), "score": pa.float64()}
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
        """Texts (rows,), or pairs of texts; None or blank only before the check."""
        texts = self.table.column("text").to_pylist()
        return list(map(_pair, texts, self.table.column("text_pair").to_pylist())) if paired(self) else list(texts)

    @property
    def labels(self) -> list[Any]:
        """Label names, tuples of them or numbers (rows,); None where a row has none."""
        found = self.table.column("labels").to_pylist()
        if pa.types.is_list(self.table.schema.field("labels").type):
            return [None if names is None else tuple(names) for names in found]
        return list(found)

    @property
    def names(self) -> list[tuple[str, ...]]:
        """The label names of each row (rows,), however many; none where the label is a number."""
        kind = self.table.schema.field("labels").type
        if pa.types.is_floating(kind):
            return [()] * len(self)
        return [label or () if pa.types.is_list(kind) else (label,) if label else () for label in self.labels]

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
    task: Task = "single"
    kind: Kind = "str"
    declared: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    # What the source itself calls the rows to report on; GLUE keeps the labels of its own test rows.
    judged: str = "test"

    @property
    def all(self) -> tuple[Split, ...]:
        """The splits that were given, train first."""
        return tuple(split for split in (self.train, self.validation, self.test) if split is not None)

    @property
    def label_set(self) -> Labels:
        """The classes in the order that the source declares, else in the fixed order, from the training rows."""
        if self.task == "score":
            return Labels((self.columns.label or "score",), "str", "score")
        found = set(chain.from_iterable(self.train.names))
        if self.declared and found <= set(self.declared):
            return Labels(tuple(name for name in self.declared if name in found), "str", self.task)
        # The kind was told from the first rows; a later one may be of another.
        whole = all(name.lstrip("-").isdigit() for name in found)
        return Labels.ordered(found, "str" if self.kind == "int" and not whole else self.kind, self.task)


def read_splits(config: Data) -> Splits:
    """Read all that `config` names. Raises DataError where something is missing or cannot be read."""
    _check_shares(config)
    tables = tables_of(config)
    if "train" not in tables:
        given = ", ".join(part.name for parts in tables.values() for part in parts)
        raise DataError(
            f"{config.source} has no train file. It has {given}. Name one train, such as train.csv, or give its path."
        )
    return _assemble(tables, config)


def _check_shares(config: Data) -> None:
    """ConfigError where a share of the rows is asked for beside the file that makes it unnecessary."""
    for name in ("validation", "test"):
        share = f"{name}_share"
        if getattr(config, name) is not None and getattr(config, share) != getattr(Data(), share):
            raise ConfigError(
                f"--{name} names the {name} rows, so no share of train is set aside for them. Leave out --{name}-share."
            )


def read_to_judge(config: Data, trained: Columns) -> Splits:
    """Rows to judge a classifier on, as train: the test split of what `config` names, else validation, else train.

    The columns are those of `trained` where the rows have them and `config` names no others, else found anew.
    DataError where the rows are single texts and those of training were pairs, or the other way round.
    """
    tables = tables_of(config)
    name = next(name for name in ("test", "validation", "train") if name in tables)
    names = set(chain.from_iterable(sample_of(tables[name][0])))
    text = config.text or (trained.text if set(trained.text) <= names else ())
    label = config.label or tuple(name for name in (trained.label, *trained.indicators) if name in names)
    if trained.indicators and not config.label and set(label) != set(trained.indicators):
        absent = ", ".join(f"'{column}'" for column in trained.indicators if column not in names)
        raise DataError(f"{tables[name][0].name} has no column {absent}, a label of the classifier. Add it.")
    pair = config.text_pair or (trained.pair if trained.pair in names else None)
    known = {"text": text, "text_pair": pair, "label": label, "task": trained.task,
             "label_separator": config.label_separator or trained.separator}  # fmt: skip
    # The rows stand as train here, which is what a single file is.
    try:
        found = _assemble({"train": tables[name]}, config.model_copy(update=known))
    except DataError as error:
        raise DataError(_as_learned(str(error))) from None
    if (found.columns.pair is None) != (trained.pair is None):
        raise DataError(unpaired(tables[name][0].name, trained.pair, found.columns.pair, sorted(names), config))
    why = "" if label else f", as there is no '{trained.label}'"
    said = (note.replace(CHANGES_LABEL, f"{why}{CHANGES_LABEL}") for note in found.notes)
    return replace(found, notes=(f"judged on {found.train.source} ({len(found.train)} rows)", *said))


def _as_learned(sentence: str) -> str:
    """What is said of a task that nobody named: the classifier has learned it."""
    for named, learned in (
        ("as --task is single. Drop --task single, or name", "as the classifier chooses one. Name"),
        ("as --task is score. Correct it or --task.", "as the classifier gives numbers. Correct it."),
        (" or --task single.", "."), (" or --task multi.", "."),
    ):  # fmt: skip
        sentence = sentence.replace(named, learned)
    return sentence


def tables_of(config: Data) -> dict[str, list[Table]]:
    """The tables of each split that `config` names, ready to be read; a split may be in several files.

    Raises DataError where one is missing or cannot be read.
    """
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


def from_lists(texts: Sequence[Any], labels: Sequence[Any], name: str = "train", task: Task = "single") -> Split:
    """A split from texts, or pairs of them, and labels of equal length (rows,); DataError where the lengths differ, or
    where a text is a whole row.
    """
    if len(texts) != len(labels):
        raise DataError(f"Got {len(texts)} texts and {len(labels)} labels; expected as many of each. Pair them up.")
    for number, text in enumerate(texts, 1):
        if isinstance(text, Mapping):
            raise DataError(
                f"Text {number} is a dictionary with {', '.join(map(repr, text))[:80]}; expected a text, or a pair of texts. "
                "Take the text out of each, as [row[column] for row in rows]."
            )
    paired = any(isinstance(text, (tuple, list)) for text in texts)
    rows: list[Row] = []
    for text, label in zip(texts, labels, strict=True):
        first, second = _both(text, len(rows) + 1) if paired else (text, None)
        rows.append({"text": first, "text_pair": second, "label": label})
    columns = Columns(("text",), "label", pair="text_pair" if paired else None, task=task)
    return Split(name, f"the {name} texts", _table(rows, columns, f"the {name} texts"))


def paired(split: Split) -> bool:
    """Whether the rows of a split are pairs of texts."""
    return (split.table.schema.metadata or {}).get(b"paired") == b"yes"


def _both(text: Any, number: int) -> tuple[Any, Any]:
    if not isinstance(text, (tuple, list)) or len(text) != 2:
        raise DataError(f"Text {number} is {text!r}; expected a pair (first, second), as others are. Make it one.")
    return text[0], text[1]


def _pair(first: str | None, second: str | None) -> tuple[str, str] | None:
    return None if first is None or second is None else (first, second)


def task_of(labels: Iterable[Any]) -> Task:
    """What labels in Python ask for: lists or sets of labels for several, numbers that are not whole for a score."""
    present = [label for label in labels if not is_missing(label)]
    if any(isinstance(label, (list, tuple, set, frozenset)) for label in present):
        return "multi"
    numbers = bool(present) and all(isinstance(label, (int, float)) for label in present)
    return "score" if numbers and any(not float(label).is_integer() for label in present) else "single"


def sample_of(table: Table) -> list[Row]:
    """The first rows of a table, enough to tell its columns; DataError where there are none."""
    rows = list(islice(table.rows(), _SAMPLE))
    if not rows:
        raise NoRowsError(f"{table.name} holds no rows; expected some with a text in each. Check the file.")
    return rows


def _file_or_hub(path: Path, config: Data) -> dict[str, list[Table]]:
    source = str(config.source)
    # A name below a folder that is here is a path that is mistyped, and nobody's folder names go to the Hub.
    hub = not path.parent.exists() and _HUB_ID.match(source) and path.suffix.lower() not in {*FORMS, ".gz"}
    if not path.exists() and hub:
        return _hub(source)
    return {"train": [open_table(path, config)]}


def split_of(path: Path) -> str | None:
    """The split that a file in a folder holds by its name; None for any other file."""
    name = Path(path.name.lower().removesuffix(".gz"))
    return SPLIT_NAMES.get(_SHARD.sub("", name.stem)) if name.suffix in FORMS else None


def _folder(path: Path, config: Data) -> dict[str, list[Table]]:
    found: dict[str, list[Path]] = {}
    for item in sorted(path.iterdir()):
        if split := split_of(item):
            found.setdefault(split, []).append(item)
    if not found:
        names = ", ".join(item.name for item in list(path.iterdir())[:8]) or "nothing"
        raise DataError(
            f"{path} has no train file, nor one for validation or test. It has {names}. Rename one, such as train.csv, or give its path."
        )
    for split, items in found.items():
        if len(items) > 1 and not all(_SHARD.search(unzipped(Path(item.name)).stem) for item in items):
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
            # A column of lists declares its classes one level below.
            kinds = {column: getattr(kind, "feature", kind) for column, kind in rows.features.items()}
            declared = {c: tuple(f.names) for c, f in kinds.items() if isinstance(f, datasets.ClassLabel)}
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
    columns = find_columns(sample_of(first), config, first.name)
    splits: dict[str, Split] = {}
    for name, parts in tables.items():
        for part in parts:
            sample = sample_of(part)
            missing = [column for column in columns.needed if not any(column in row for row in sample)]
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
    notes += columns.notes
    given = (splits["train"], splits.get("validation"), splits.get("test"))
    result = Splits(*given, columns, columns.task, kind, declared, tuple(notes))
    return _without_placeholders(result)


def _label_kind(parts: list[Table], columns: Columns) -> Kind:
    if columns.indicators or columns.separator not in (None, WRITTEN):
        return "str"
    values = [row.get(columns.label or "") for part in parts for row in sample_of(part)]
    if columns.separator:
        values = [value if (found := list_in(value)) is None else found for value in values]
    return kind_of(chain.from_iterable(value if isinstance(value, list) else [value] for value in values))


def _without_placeholders(splits: Splits) -> Splits:
    """Public test files carry -1 where the label is withheld: no label, unless train has such a one, too."""
    nothing = -1.0 if splits.task == "score" else "-1"
    if splits.task == "multi" or nothing in set(splits.train.labels):
        return splits

    def cleared(split: Split | None) -> Split | None:
        if split is None or nothing not in set(split.labels):
            return split
        labels = pa.array([None if label == nothing else label for label in split.labels], LABEL_TYPES[splits.task])
        return replace(split, table=split.table.set_column(split.table.num_columns - 1, "labels", labels))

    return replace(splits, validation=cleared(splits.validation), test=cleared(splits.test))


def _table(rows: Iterable[Row], columns: Columns, source: str) -> pa.Table:
    ids: list[int] = []
    texts: list[str | None] = []
    second: list[str | None] = []
    labels: list[Any] = []
    written: list[Any] = []
    for number, row in enumerate(rows, 1):
        ids.append(number)
        texts.append(text_of(row, columns.text))
        second.append(text_of(row, (columns.pair,)) if columns.pair else None)
        labels.append(label_of(row, columns, f"row {number} of {source}"))
        if columns.task == "score":
            written.append(row.get(columns.label or ""))
    # A mark of thousands may be in few of the numbers, far below those that told the columns.
    check_thousands([value for value in written if as_name(value) is not None], columns.label or "", source)
    kind = LABEL_TYPES[columns.task]
    # A column of plain strings ends at two gibibytes.
    text = pa.large_string()
    types = [("id", pa.int64()), ("text", text), ("text_pair", text), ("labels", kind)]
    return pa.table([ids, texts, second, labels], schema=pa.schema(types, {"paired": "yes" if columns.pair else "no"}))
