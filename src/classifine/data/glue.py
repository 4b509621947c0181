"""The ten tasks of GLUE: their columns, labels, official metrics and files, and how to read them.

Wang et al. 2019, "GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding". The labels
of the test rows are withheld, so train is split for choosing, and the validation rows ("dev") are reported on, once.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine.config import Data
from classifine.data.columns import Columns
from classifine.data.formats import open_table
from classifine.data.read import Split, Splits, from_lists
from classifine.errors import DataError
from classifine.labels import Task

HUB = "nyu-mll/glue"


@dataclass(frozen=True)
class GlueTask:
    """One task.

    `texts` and `label` are column names, in each of the layouts that are about; `labels` are the names in id order,
    none where a number is asked for. `metrics` are the official ones, the leading one first. The leaderboard expects
    `test_rows` rows in the file `submission`; `words` says that it wants label names there, not ids. `part` is what
    the files of MNLI's two validation and test sets are called by.
    """

    name: str
    submission: str
    test_rows: int
    folder: str
    texts: tuple[tuple[str, ...], ...]
    label: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    words: bool = False
    part: str = ""

    @property
    def task(self) -> Task:
        """What is asked of a text or pair."""
        return "single" if self.labels else "score"

    @property
    def subset(self) -> str:
        """The subset of the set on the Hub."""
        return self.name.removesuffix("-mm")

    def files(self, split: str) -> tuple[str, ...]:
        """Names, without ending, that the file of a split goes by."""
        part = f"_{self.part}" if self.part and split != "train" else ""
        return tuple(f"{name}{part}" for name in ({"validation": ("dev", "validation")}.get(split, (split,))))


_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_MNLI = (
    "MNLI", (("premise", "hypothesis"), _PAIR), ("label", "gold_label"), ("entailment", "neutral", "contradiction"),
    ("accuracy",), True,
)  # fmt: skip
TASKS = {
    task.name: task
    for task in (
        GlueTask("cola", "CoLA", 1063, "CoLA", (("sentence",),), ("label",), ("unacceptable", "acceptable"), ("mcc",)),
        GlueTask("sst2", "SST-2", 1821, "SST-2", (("sentence",),), ("label",), ("negative", "positive"), ("accuracy",)),
        GlueTask(
            "mrpc", "MRPC", 1725, "MRPC", (_PAIR, ("#1 String", "#2 String")), ("label", "Quality"),
            ("not_equivalent", "equivalent"), ("f1", "accuracy"),
        ),
        GlueTask("stsb", "STS-B", 1379, "STS-B", (_PAIR,), ("label", "score"), (), ("pearson", "spearman")),
        GlueTask(
            "qqp", "QQP", 390965, "QQP", (("question1", "question2"),), ("label", "is_duplicate"),
            ("not_duplicate", "duplicate"), ("f1", "accuracy"),
        ),
        GlueTask("mnli", "MNLI-m", 9796, *_MNLI, "matched"),
        GlueTask("mnli-mm", "MNLI-mm", 9847, *_MNLI, "mismatched"),
        GlueTask("qnli", "QNLI", 5463, "QNLI", (("question", "sentence"),), ("label",), _ENTAILMENT, ("accuracy",), True),
        GlueTask("rte", "RTE", 3000, "RTE", (_PAIR,), ("label",), _ENTAILMENT, ("accuracy",), True),
        GlueTask("wnli", "WNLI", 146, "WNLI", (_PAIR,), ("label",), _ENTAILMENT[::-1], ("accuracy",)),
    )
}  # fmt: skip


def task_named(name: str) -> GlueTask:
    """The task of this name, as the Hub or the leaderboard writes it; DataError where there is none."""
    plain = name.lower().replace("_", "-")
    found = TASKS.get(plain) or TASKS.get(plain.replace("-", ""))
    if found is None:
        raise DataError(f"GLUE has no task '{name}'. Choose one of {', '.join(TASKS)}.")
    return found


def read_glue(task: GlueTask, source: str | None) -> Splits:
    """Train, and validation as the rows to report on, from a folder or (None) from the Hub; DataError without them."""
    train, validation = (_split(task, source, name) for name in ("train", "validation"))
    missing = [name for name, part in (("train", train), ("dev", validation)) if part is None]
    if missing:
        raise DataError(f"{source or HUB} has no {' and no '.join(missing)} rows of {task.submission}. {_layout(task)}")
    paired = len(task.texts[0]) == 2
    columns = Columns(("text",), "label", pair="text_pair" if paired else None, task=task.task)
    test = Split("test", validation.source, validation.table) if validation else None
    assert train is not None
    return Splits(train, None, test, columns, task.task, "str", task.labels, judged="validation")


def has_task(task: GlueTask, source: str) -> bool:
    """Whether a folder holds train and validation rows of the task."""
    return all(_file(task, Path(source), split) for split in ("train", "validation"))


def read_test(task: GlueTask, source: str | None) -> Split:
    """The test rows, without labels, in the order of the leaderboard; DataError where there are none."""
    found = _split(task, source, "test")
    if found is None:
        raise DataError(f"{source or HUB} has no test rows of {task.submission}. {_layout(task)}")
    return found


def _layout(task: GlueTask) -> str:
    names = ", ".join(f"{task.files(split)[0]}.tsv" for split in ("train", "validation", "test"))
    return f"Expected {names} (or .jsonl) in a folder {task.folder}, {task.subset} or glue_{task.subset}."


def _split(task: GlueTask, source: str | None, split: str) -> Split | None:
    if source is None:
        rows, name = _hub_rows(task, split), f"{HUB}:{task.subset} {split}"
    else:
        if not Path(source).is_dir():
            raise DataError(f"No such folder: {source}. Give the folder that holds GLUE, or drop --data for the Hub.")
        file = _file(task, Path(source), split)
        if file is None:
            return None
        rows, name = _file_rows(task, file, split), str(file)
    texts, labels = [], []
    for number, row in enumerate(rows, 1):
        texts.append(_texts(task, row, f"row {number} of {name}"))
        labels.append(None if split == "test" else _label(task, row, f"row {number} of {name}"))
    if not texts:
        raise DataError(f"{name} holds no rows. Fetch it again.")
    found = from_lists(texts, labels, split, task.task)
    return Split(split, name, found.table)


def _file(task: GlueTask, folder: Path, split: str) -> Path | None:
    places = [folder / name for name in (task.folder, task.subset, f"glue_{task.subset}")] + [folder]
    for place in places:
        for name in task.files(split):
            for ending in (".tsv", ".jsonl"):
                if (place / f"{name}{ending}").is_file():
                    return place / f"{name}{ending}"
    return None


def _file_rows(task: GlueTask, file: Path, split: str) -> Iterator[dict[str, Any]]:
    if file.suffix == ".jsonl":
        yield from open_table(file, Data()).rows()
        return
    with file.open(encoding="utf-8-sig", newline="") as lines:
        # The official files quote nothing; a quotation mark is a letter like any other.
        cells = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        # CoLA's train and dev files have no header.
        headless = task.name == "cola" and split != "test"
        header = ["source", "label", "mark", "sentence"] if headless else next(cells, [])
        yield from (dict(zip(header, row, strict=False)) for row in cells)


def _hub_rows(task: GlueTask, split: str) -> Iterable[dict[str, Any]]:
    import datasets

    name = f"{split}_{task.part}" if task.part and split != "train" else split
    try:
        rows: Iterable[dict[str, Any]] = datasets.load_dataset(HUB, task.subset, split=name)
    except (datasets.exceptions.DatasetNotFoundError, FileNotFoundError, ConnectionError, OSError) as error:
        raise DataError(
            f"The Hub did not give {HUB}:{task.subset} ({str(error).splitlines()[0]}). Name a folder with --data."
        ) from None
    return rows


def _texts(task: GlueTask, row: dict[str, Any], place: str) -> Any:
    for names in task.texts:
        if all(row.get(name) is not None for name in names):
            found = tuple(str(row[name]) for name in names)
            return found if len(found) == 2 else found[0]
    raise DataError(f"{place} has no {' and '.join(task.texts[0])}. It has {', '.join(row)}. {_layout(task)}")


def _label(task: GlueTask, row: dict[str, Any], place: str) -> Any:
    value = next((row[name] for name in task.label if row.get(name) is not None), None)
    try:
        if task.task == "score":
            return float(value)  # type: ignore[arg-type]  # what is no number is said below
        if value in task.labels:
            return value
        return dict(enumerate(task.labels))[int(value)]  # type: ignore[arg-type]  # the same
    except (TypeError, ValueError, KeyError):
        expected = ", ".join(task.labels) or "a number"
        raise DataError(f"{place} has {value!r} as label; expected {expected}. Fetch the file again.") from None
