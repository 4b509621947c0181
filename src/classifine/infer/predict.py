"""A saved classifier on new texts: a list of them, or a stream of rows in order, chunk by chunk.

It knows nothing about files: rows come in as dictionaries and go out as the same dictionaries with columns added.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from classifine.data.encode import pad_id, portions, tokenise
from classifine.data.formats import Row
from classifine.data.row import Text, texts_of
from classifine.doubt import likeness
from classifine.infer.ahead import BREATH, REST, ahead
from classifine.infer.engine import Engine
from classifine.infer.forward import logits, logits_by_batch
from classifine.infer.torch_engine import TorchEngine
from classifine.model.folder import Saved
from classifine.windows import Long

CHUNK = 1024  # rows that are sorted by length together: enough for little padding, little enough for memory


@dataclass(frozen=True)
class Judged:
    """The scores of a text (labels,), how like the training texts it is, and whether it fills all tokens that are read."""

    scores: NDArray[np.float64]
    likeness: float
    full: bool = False


@dataclass(frozen=True)
class Wanted:
    """What to add to each row.

    The `top_k` best labels, or all scores; `accuracy` leaves rows without labels that would be answered less well,
    `coverage` adds the set of labels that holds the truth so often, `unlike` whether the text is unlike those of training.
    """

    top_k: int = 1
    all_scores: bool = False
    accuracy: float | None = None
    coverage: float | None = None
    unlike: bool = False


def text_logits(
    saved: Saved, texts: Sequence[Text], engine: Engine | None = None, long: Long | None = None
) -> NDArray[np.float32]:
    """Logits (texts, labels), in the order of the texts; without an engine those of torch.

    What is read of long texts is what the classifier was trained on, or what is named: TRUNCATE is plain transformers.
    """
    if not texts:
        return np.empty((0, len(saved.labels)), dtype=np.float32)
    runner, way = engine or TorchEngine(saved.network), long or saved.long
    found = [
        logits(runner, tokenise(texts[part], saved.reader, saved.max_length, way), pad_id(saved.reader))
        for part in portions(texts, way)
    ]
    return np.concatenate(found)


def scored_chunks(
    saved: Saved, engine: Engine, rows: Iterable[Row], text: Sequence[str], pair: str | None
) -> Iterator[list[tuple[Row, Judged | None]]]:
    """Rows with what was found about their text, in order, some at a time; None where there is no text to judge.

    Reading, tokenising and the network run in threads of their own, a few chunks ahead of what is taken.
    """
    decision, remaining, filler = saved.decision, iter(rows), pad_id(saved.reader)

    def tokenised() -> Iterator[tuple[list[Row], list[int], dict[str, list[list[int]]]]]:
        while True:
            yield REST  # standard input may never say another word
            chunk = list(islice(remaining, CHUNK))
            if not chunk:
                return
            yield BREATH
            asked = [texts_of(row, text, pair) for row in chunk]
            for part in portions(asked, saved.long):
                places = [i for i, one in enumerate(asked[part]) if one is not None]
                given = [one for one in asked[part] if one is not None]
                columns = tokenise(given, saved.reader, saved.max_length, saved.long) if given else {"input_ids": []}
                yield chunk[part], places, columns

    def scored() -> Iterator[list[tuple[Row, Judged | None]]]:
        for chunk, places, columns in ahead(tokenised()):
            found: list[Judged | None] = [None] * len(chunk)
            most = np.inf if saved.long.way == "windows" else saved.max_length
            for rows, values in logits_by_batch(engine, columns, filler):
                likely = likeness(values, decision).tolist()
                for i, scores, like in zip(rows, decision.scores(values), likely, strict=True):
                    found[places[i]] = Judged(scores, like, len(columns["input_ids"][i]) >= most)
                yield BREATH
            yield list(zip(chunk, found, strict=True))

    return ahead(scored())


class Answer:
    """Turns scores into the columns that are added to a row; the names avoid those that the rows already have.

    `label` and `score`; of several labels those that hold as a list, `labels`; of a number `score` alone.
    """

    def __init__(self, saved: Saved, taken: Iterable[str], wanted: Wanted = Wanted()) -> None:
        self._names, self._wanted = saved.labels.names, wanted
        self._decision, task = saved.decision, saved.labels.task
        self._top_k = min(wanted.top_k, len(self._names))
        self._doubt = saved.doubt if wanted.accuracy or wanted.coverage or wanted.unlike else None
        self.threshold, self.share, self.reached = 0.0, 1.0, 0.0
        if self._doubt and wanted.accuracy:
            self.threshold, self.share, self.reached = self._doubt.threshold(wanted.accuracy)
        ranks = [""] + [f"_{rank}" for rank in range(2, self._top_k + 1)]
        best = [f"{word}{rank}" for rank in ranks for word in ("label", "score")]
        if task == "multi":
            best = ["labels"] + (best if wanted.top_k > 1 else [])
        self.columns = _free(["score"] if task == "score" else best, set(taken))
        self._all = (
            _free([f"score:{name}" for name in self._names], set(taken))
            if wanted.all_scores and task != "score"
            else []
        )
        more = [name for name, asked in (("set", wanted.coverage), ("unlike", wanted.unlike)) if asked]
        self.columns += [*self._all, *_free(more, set(taken))]
        self.types = {name: _type_of(name.replace("predicted_", "")) for name in self.columns}

    def row(self, row: Row, values: Sequence[Any]) -> Row:
        """The row with the values of the added columns."""
        return {**row, **dict(zip(self.columns, values, strict=True))}

    def values(self, judged: Judged | None) -> list[Any]:
        """What stands in the added columns for a row of which this was found; None everywhere where it has no text."""
        if judged is None:
            return [None] * len(self.columns)
        task, scores, values = self._decision.task, judged.scores, list[Any]()
        if task == "score":
            return [round(float(self._decision.choose(scores)), 6)]
        if task == "multi":
            given = self._decision.choose(scores)
            values.append([name for name, holds in zip(self._names, given, strict=True) if holds])
        if task == "single" or self._wanted.top_k > 1:
            ranked = self._decision.ranked(scores, self._top_k).tolist()
            sure = scores[ranked[0]] >= self.threshold
            for i in ranked:
                values += [self._names[i] if sure else None, round(float(scores[i]), 6)]
        values += [round(float(score), 6) for score in scores] if self._all else []
        if self._doubt and self._wanted.coverage:
            held = self._doubt.sets(scores, self._wanted.coverage)
            values.append([name for name, inside in zip(self._names, held, strict=True) if inside])
        if self._doubt and self._wanted.unlike:
            values.append(judged.likeness < self._doubt.likeness)
        return values


def _type_of(name: str) -> pa.DataType:
    if name.startswith("score"):
        return pa.float64()
    if name == "unlike":
        return pa.bool_()
    return pa.list_(pa.string()) if name in ("labels", "set") else pa.string()


def _free(names: list[str], taken: set[str]) -> list[str]:
    """The names, all of them prefixed until none is taken: twice where the rows are themselves an answer of ours."""
    while taken & set(names):
        names = [f"predicted_{name}" for name in names]
    return names
