"""From the network's logits to scores and labels: the only softmax and argmax of the project.

Training, evaluation, prediction and serving all decide through here, so they agree to the last digit.
It knows nothing about texts, networks or metrics.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Decision:
    """How logits become an answer when one label is chosen among several.

    `temperature` divides the logits before the softmax: above 1 it makes the scores more modest, and never
    changes which label wins (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """

    temperature: float = 1.0

    def scores(self, logits: Floats) -> NDArray[np.float64]:
        """Softmax of `logits` (rows, labels) -> scores (rows, labels), each row summing to 1."""
        scaled = np.asarray(logits, dtype=np.float64) / self.temperature
        scaled = scaled - scaled.max(axis=-1, keepdims=True)
        powers = np.exp(scaled)
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)

    def choose(self, scores: Floats) -> NDArray[np.int64]:
        """The id of the best label of each row (rows,); of equal scores the first label wins."""
        return np.asarray(scores.argmax(axis=-1), dtype=np.int64)

    def ranked(self, scores: Floats, k: int) -> NDArray[np.int64]:
        """Ids of the `k` best labels of each row (rows, k), best first; ties in label order, as in `choose`."""
        return np.asarray(np.argsort(-scores, axis=-1, kind="stable")[..., :k], dtype=np.int64)
