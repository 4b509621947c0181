"""What runs a static classifier: arrays of NumPy, so that neither torch nor transformers is loaded.

The vectors of a batch's words are summed up by a product with a sparse matrix, one pass over them in C.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.model.static import read_static

TOKENS = 1 << 20  # rows x longest row of a batch, padding included: there is no square of lengths to pay


@dataclass(frozen=True)
class StaticEngine:
    """The logits of padded ids: the mean of rows of `table` (words, labels), and `bias`.

    There is nothing between the mean and the layer, so the layer is taken of the vectors first: a word is then as many
    numbers as there are labels.
    """

    table: NDArray[np.float32]
    bias: NDArray[np.float32]
    name: str = "static float32"
    tokens: int = TOKENS

    @property
    def width(self) -> int:
        """The number of labels."""
        return len(self.bias)

    def __call__(self, batch: dict[str, NDArray[np.int64]]) -> NDArray[np.float32]:
        """The logits of a batch."""
        from scipy.sparse import csr_array

        given = batch["attention_mask"].astype(bool)
        ids, counts = batch["input_ids"][given], given.sum(axis=1)
        ends = np.concatenate([[0], np.cumsum(counts)])
        words = csr_array((np.ones(len(ids), np.float32), ids, ends), shape=(len(counts), len(self.table)))
        summed: Any = words @ self.table
        return np.asarray(summed / np.maximum(counts, 1)[:, None].astype(np.float32) + self.bias, dtype=np.float32)


def open_static(folder: Path) -> StaticEngine:
    """The engine of a saved folder."""
    arrays = read_static(folder)
    return StaticEngine(arrays["embedding"] @ arrays["weight"].T, arrays["bias"])
