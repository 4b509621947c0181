"""A saved classifier on new texts: a list of them, or a stream of rows in order, chunk by chunk.

It knows nothing about files: rows come in as dictionaries and go out as the same dictionaries with columns added.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.data.encode import pad_id, tokenise
from classifine.data.formats import Row
from classifine.data.read import Text, texts_of
from classifine.infer.forward import logits
from classifine.model.folder import Saved

CHUNK = 1024  # rows held in memory at once: enough to sort by length, little enough to stream


def text_logits(saved: Saved, texts: Sequence[Text], precision: str = "float32") -> NDArray[np.float32]:
    """Logits (texts, labels), in the order of the texts."""
    if not texts:
        return np.empty((0, len(saved.labels)), dtype=np.float32)
    columns = tokenise(texts, saved.tokenizer, saved.max_length)
    return logits(saved.network, columns, pad_id(saved.tokenizer), precision)


def scored_rows(
    saved: Saved, rows: Iterable[Row], text: Sequence[str], pair: str | None, precision: str = "float32"
) -> Iterator[tuple[Row, NDArray[np.float64] | None]]:
    """Each row with the scores of its text (labels,), in order; None where it has no text to judge."""
    decision = saved.decision
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        found = [(i, asked) for i, row in enumerate(chunk) if (asked := texts_of(row, text, pair)) is not None]
        scores = decision.scores(text_logits(saved, [asked for _, asked in found], precision))
        place = {i: rank for rank, (i, _) in enumerate(found)}
        for i, row in enumerate(chunk):
            yield row, scores[place[i]] if i in place else None


class Answer:
    """Turns scores into the columns that are added to a row; the names avoid those that the rows already have.

    `label` and `score`; of several labels those that hold as a list, `labels`; of a number `score` alone.
    """

    def __init__(self, saved: Saved, taken: Iterable[str], top_k: int = 1, all_scores: bool = False) -> None:
        self._names = saved.labels.names
        self._decision, task = saved.decision, saved.labels.task
        self._top_k = min(top_k, len(self._names))
        ranks = [""] + [f"_{rank}" for rank in range(2, self._top_k + 1)]
        best = [f"{word}{rank}" for rank in ranks for word in ("label", "score")]
        if task == "multi":
            best = ["labels"] + (best if top_k > 1 else [])
        self.columns = _free(["score"] if task == "score" else best, set(taken))
        self._all = (
            _free([f"score:{name}" for name in self._names], set(taken)) if all_scores and task != "score" else []
        )
        self.columns += self._all
        self.scores = [name for name in self.columns if name in self._all or name.rpartition("score")[1]]

    def __call__(self, row: Row, scores: NDArray[np.float64] | None) -> Row:
        """The row with label and score columns; they are None where there were no scores."""
        if scores is None:
            return {**row, **dict.fromkeys(self.columns)}
        task, values = self._decision.task, list[Any]()
        if task == "score":
            return {**row, self.columns[0]: round(float(self._decision.choose(scores)), 6)}
        if task == "multi":
            given = self._decision.choose(scores)
            values.append([name for name, holds in zip(self._names, given, strict=True) if holds])
        if task == "single" or self._top_k > 1:
            for i in self._decision.ranked(scores, self._top_k):
                values += [self._names[i], round(float(scores[i]), 6)]
        values += [round(float(score), 6) for score in scores] if self._all else []
        return {**row, **dict(zip(self.columns, values, strict=True))}


def _free(names: list[str], taken: set[str]) -> list[str]:
    """The names, all of them prefixed until none is taken: twice where the rows are themselves an answer of ours."""
    while taken & set(names):
        names = [f"predicted_{name}" for name in names]
    return names
