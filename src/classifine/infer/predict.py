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
from classifine.data.read import text_of
from classifine.decide import Decision
from classifine.infer.forward import logits
from classifine.model.folder import Saved

CHUNK = 1024  # rows held in memory at once: enough to sort by length, little enough to stream


def decision_of(record: dict[str, Any]) -> Decision:
    """The decision that was fitted with the classifier."""
    return Decision(temperature=float(record["decision"]["temperature"]))


def text_logits(saved: Saved, texts: Sequence[str], precision: str = "float32") -> NDArray[np.float32]:
    """Logits (texts, labels), in the order of the texts."""
    if not texts:
        return np.empty((0, len(saved.labels)), dtype=np.float32)
    columns = tokenise(texts, saved.tokenizer, saved.max_length)
    return logits(saved.network, columns, pad_id(saved.tokenizer), precision)


def scored_rows(
    saved: Saved, rows: Iterable[Row], text: Sequence[str], precision: str = "float32"
) -> Iterator[tuple[Row, NDArray[np.float64] | None]]:
    """Each row with the scores of its text (labels,), in order; None where it has no text to judge."""
    decision = decision_of(saved.record)
    remaining = iter(rows)
    while chunk := list(islice(remaining, CHUNK)):
        texts = [text_of(row, text) for row in chunk]
        asked = [i for i, value in enumerate(texts) if value is not None and value.strip()]
        scores = decision.scores(text_logits(saved, [str(texts[i]) for i in asked], precision))
        place = dict(zip(asked, range(len(asked)), strict=True))
        for i, row in enumerate(chunk):
            yield row, scores[place[i]] if i in place else None


class Answer:
    """Turns scores into the columns that are added to a row; the names avoid those that the rows already have."""

    def __init__(self, saved: Saved, taken: Iterable[str], top_k: int = 1, all_scores: bool = False) -> None:
        self._names = saved.labels.names
        self._decision = decision_of(saved.record)
        self._top_k = min(top_k, len(self._names))
        ranks = [""] + [f"_{rank}" for rank in range(2, self._top_k + 1)]
        self.columns = _free([f"{word}{rank}" for rank in ranks for word in ("label", "score")], set(taken))
        self._all = _free([f"score:{name}" for name in self._names], set(taken)) if all_scores else []
        self.columns += self._all
        self.scores = [*self.columns[1 : 2 * self._top_k : 2], *self._all]

    def __call__(self, row: Row, scores: NDArray[np.float64] | None) -> Row:
        """The row with label and score columns; they are None where there were no scores."""
        if scores is None:
            return {**row, **dict.fromkeys(self.columns)}
        best = self._decision.ranked(scores, self._top_k)
        values: list[Any] = []
        for i in best:
            values += [self._names[i], round(float(scores[i]), 6)]
        values += [round(float(score), 6) for score in scores] if self._all else []
        return {**row, **dict(zip(self.columns, values, strict=True))}


def _free(names: list[str], taken: set[str]) -> list[str]:
    """The names, all of them prefixed until none is taken: twice where the rows are themselves an answer of ours."""
    while taken & set(names):
        names = [f"predicted_{name}" for name in names]
    return names
