"""The only loop that runs a network forward: evaluation, prediction and serving all come through here.

Rows are sorted by length and cut into batches of a bounded number of tokens, so that hardly any padding is
computed; the logits come back in the order of the rows. It knows nothing about texts, labels or decisions.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.data.encode import pad

BATCH_TOKENS = 4096  # rows x longest row of a batch, padding included


def logits(
    network: Any,
    columns: dict[str, list[list[int]]],
    pad_id: int,
    precision: str = "float32",
    done: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Logits (rows, labels) of token ids as `data.encode.tokenise` gives them.

    `precision` is "float32" (the same scores as plain transformers) or "bf16" (faster, scores equal to about 1e-2);
    `done` is told the number of rows after each batch. The network's train mode is left as it was.
    """
    import torch

    lengths = [len(ids) for ids in columns["input_ids"]]
    parts: list[tuple[list[int], NDArray[np.float32]]] = []
    training = network.training
    network.eval()
    device = network.device
    try:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            for rows in batches(lengths):
                batch = pad({name: [values[i] for i in rows] for name, values in columns.items()}, pad_id)
                inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
                parts.append((rows, network(**inputs).logits.float().cpu().numpy()))
                if done:
                    done(len(rows))
    finally:
        network.train(training)
    result = np.empty((len(lengths), network.config.num_labels), dtype=np.float32)
    for rows, values in parts:
        result[rows] = values
    return result


def batches(lengths: Sequence[int], tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Positions of rows of similar length, longest first; rows x longest stays within `tokens`, or is one row."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    start = 0
    while start < len(order):
        size = max(1, tokens // max(lengths[order[start]], 1))
        yield order[start : start + size]
        start += size
