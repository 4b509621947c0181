"""The only loop that runs a network forward: evaluation, prediction and serving all come through here.

Rows are sorted by length and cut into batches of a bounded number of tokens, so that hardly any padding is
computed; the logits come back in the order of the rows. It knows nothing about texts, labels or decisions.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from classifine.data.encode import pad
from classifine.infer.engine import Engine

Columns = dict[str, list[list[int]]]


def logits(engine: Engine, columns: Columns, pad_id: int) -> NDArray[np.float32]:
    """Logits (rows, labels) of token ids as `data.encode.tokenise` gives them."""
    result = np.empty((len(columns["input_ids"]), engine.width), dtype=np.float32)
    for rows, found in logits_by_batch(engine, columns, pad_id):
        result[rows] = found
    return result


def logits_by_batch(engine: Engine, columns: Columns, pad_id: int) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
    """(positions, logits) of one batch after the other, the longest rows first."""
    for rows in batches([len(ids) for ids in columns["input_ids"]], engine.tokens):
        batch = pad({name: [values[i] for i in rows] for name, values in columns.items()}, pad_id)
        yield rows, engine(batch)


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Positions of rows of similar length, longest first; rows x longest stays within `tokens`, or is one row."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, tokens // max(lengths[order[start]], 1))
        yield order[start : start + size]
        start += size
