"""What an engine is: it takes a padded batch of token ids and gives logits.

It knows nothing about texts, order or decisions. `infer.choose` opens the one that suits a saved classifier.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Batch = dict[str, NDArray[np.int64]]


class Engine(Protocol):
    """Runs a batch (rows, longest) of `input_ids`, `attention_mask` and maybe `token_type_ids`; logits (rows, labels)."""

    @property
    def name(self) -> str:
        """What people call it, such as "openvino int8"."""

    @property
    def width(self) -> int:
        """The number of labels."""

    @property
    def tokens(self) -> int:
        """The size of batch that suits it: rows x longest row, padding included."""

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The logits of a batch."""
