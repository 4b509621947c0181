"""The only loop that runs a network forward: evaluation, prediction and serving all come through here.

Rows are sorted by length and cut into batches of a bounded number of tokens, so that hardly any padding is
computed; the logits come back in the order of the rows. Windows of a document are rows of their own on the way, and
come back as one. It knows nothing about texts, labels or decisions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from classifine.data.encode import pad
from classifine.infer.engine import Engine
from classifine.infer.exported_engine import answered
from classifine.windows import WINDOWS, Columns, pooled, taken_apart


def logits(engine: Engine, columns: Columns, pad_id: int) -> NDArray[np.float32]:
    """Logits (rows, labels) of token ids as `data.encode.tokenise` gives them; of documents in windows the pooled ones."""
    result = np.empty((len(columns["input_ids"]), engine.width), dtype=np.float32)
    for rows, found in logits_by_batch(engine, columns, pad_id):
        result[rows] = found
    return result


def logits_by_batch(engine: Engine, columns: Columns, pad_id: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """(positions of rows, their logits) after each batch, the longest rows first; of a document with its last window."""
    rows, counts = taken_apart(columns)
    found = _by_batch(engine, rows, pad_id)
    return _by_document(found, counts, engine.width) if WINDOWS in columns else found


def _by_document(
    found: Iterator[tuple[list[int], NDArray[np.float32]]], counts: Sequence[int], width: int
) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """The documents whose windows are all answered, after each batch of windows: maybe none."""
    owner, left = np.repeat(np.arange(len(counts)), counts), np.array(counts)
    starts = np.cumsum(left) - left
    kept = np.empty((len(owner), width), dtype=np.float32)
    for rows, answers in found:
        kept[rows] = answers
        np.subtract.at(left, owner[rows], 1)
        done = [int(i) for i in np.unique(owner[rows]) if not left[i]]
        windows = [place for i in done for place in range(starts[i], starts[i] + counts[i])]
        whole = list(pooled(kept[windows], [counts[i] for i in done]))
        yield done, np.array(whole, dtype=np.float32).reshape(len(done), width)


def _by_batch(engine: Engine, columns: Columns, pad_id: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    parts = list(batches([len(ids) for ids in columns["input_ids"]], engine.tokens))
    padded = (pad({name: [values[i] for i in rows] for name, values in columns.items()}, pad_id) for rows in parts)
    yield from zip(parts, answered(engine, padded, len(parts)), strict=True)


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Positions of rows of similar length, longest first; rows x longest stays within `tokens`, or is one row."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, tokens // max(lengths[order[start]], 1))
        yield order[start : start + size]
        start += size
