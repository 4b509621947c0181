"""How a classifier fares on parts of the rows: short and long texts, and each language where there are several.

It takes texts, truth and answers, and knows nothing about networks or files.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from classifine.data.row import Text, joined
from classifine.decide import HALF
from classifine.labels import Task

# Of each task the metric that is a mean over rows, so that parts of the rows can be compared.
METRIC: dict[Task, str] = {"single": "accuracy", "multi": "sample_f1", "score": "mae"}
PARTS = 4
LEAST = 30  # rows of a part; of fewer the mean says too little


@dataclass(frozen=True)
class Slice:
    """A part of the rows: the mean of `metric` there, and its standard error."""

    kind: Literal["length", "language"]
    name: str
    rows: int
    metric: str
    value: float
    error: float

    def as_json(self) -> dict[str, Any]:
        """The slice as plain values."""
        return asdict(self)


def slices(
    texts: Sequence[Text], truth: NDArray[Any], answers: NDArray[Any], task: Task, languages: Sequence[str | None] = ()
) -> tuple[Slice, ...]:
    """The quarters of the rows by length, shortest first, then the `languages` of the rows, most frequent first.

    `truth` and `answers` are as `Labels.targets` and `Decision.choose` give them. Parts of few rows are left out.
    """
    worth = _worth(truth, answers, task)
    return (*_by_length(texts, worth, METRIC[task]), *_by_language(languages, worth, METRIC[task]))


def _worth(truth: NDArray[Any], answers: NDArray[Any], task: Task) -> NDArray[np.float64]:
    """The metric of each row (rows,)."""
    if task == "score":
        return np.asarray(np.abs(answers - truth), dtype=np.float64)
    if task == "single":
        return np.asarray(answers == truth, dtype=np.float64)
    true, given = np.asarray(truth) > HALF, np.asarray(answers, dtype=np.bool_)
    both, either = (true & given).sum(axis=1), true.sum(axis=1) + given.sum(axis=1)
    return np.asarray(2 * both / np.maximum(either, 1), dtype=np.float64)


def _by_length(texts: Sequence[Text], worth: NDArray[np.float64], metric: str) -> Iterator[Slice]:
    lengths = np.array([len(joined(text)) for text in texts])
    if len(lengths) < PARTS * LEAST:
        return
    # Texts of one length stay together, so where many are alike there are fewer parts.
    ends = np.unique(np.quantile(lengths, np.arange(1, PARTS + 1) / PARTS, method="lower"))
    for low, high in zip([-1, *ends[:-1]], ends, strict=True):
        inside = (lengths > low) & (lengths <= high)
        name = f"{low + 1} to {high} characters"
        if low < 0 or high == ends[-1]:
            name = f"up to {high} characters" if low < 0 else f"more than {low} characters"
        # Ties make a quarter a little smaller than it should be.
        yield from _slice("length", name, worth[inside], metric, LEAST // 2)


def _by_language(languages: Sequence[str | None], worth: NDArray[np.float64], metric: str) -> Iterator[Slice]:
    places: dict[str, list[int]] = defaultdict(list)
    for i, code in enumerate(languages):
        if code is not None:
            places[code].append(i)
    for code, rows in sorted(places.items(), key=lambda item: (-len(item[1]), item[0])):
        yield from _slice("language", code, worth[rows], metric)


def _slice(
    kind: Literal["length", "language"], name: str, worth: NDArray[np.float64], metric: str, least: int = LEAST
) -> Iterator[Slice]:
    if len(worth) >= least:
        error = float(worth.std() / math.sqrt(len(worth)))
        yield Slice(kind, name, len(worth), metric, float(worth.mean()), error)
