"""Texts as vectors, by a pre-trained encoder that was not fitted to any labels.

It knows nothing about what the vectors are for.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifine.data.encode import pad_id, portions, tokenise
from classifine.data.row import Text
from classifine.infer.forward import logits
from classifine.infer.torch_engine import EncoderEngine
from classifine.model.base import Base
from classifine.model.network import load_encoder
from classifine.windows import TRUNCATE, Long

_CHUNK = 10_000  # texts whose token ids are held at once


def embed(
    texts: Sequence[Text], base: Base, max_length: int, precision: str, long: Long = TRUNCATE
) -> NDArray[np.float32]:
    """Vectors (texts, width) of length 1; of a pair those of both texts, how they differ and where they agree.

    Of a text in windows it is the mean of theirs.

    `precision` is "float32" or "bf16". Raises ModelError where the base does not load.
    """
    network, tokenizer = load_encoder(base)
    engine, filler = EncoderEngine(network, precision, base.pooling or "mean"), pad_id(tokenizer)

    def vectors(given: Sequence[str]) -> NDArray[np.float32]:
        result = np.empty((len(given), engine.width), dtype=np.float32)
        for start in range(0, len(given), _CHUNK):
            chunk = given[start : start + _CHUNK]
            for part in portions(chunk, long):
                columns = tokenise(chunk[part], tokenizer, max_length, long)
                result[start : start + _CHUNK][part] = logits(engine, columns, filler)
        return of_length_one(result)

    if all(isinstance(text, str) for text in texts):
        return vectors([text for text in texts if isinstance(text, str)])
    one, other = vectors([text[0] for text in texts]), vectors([text[1] for text in texts])
    return of_length_one(np.concatenate([one, other, np.abs(one - other), one * other], axis=1))


def of_length_one(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors (rows, width) in their directions."""
    lengths = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(lengths, 1e-12), dtype=np.float32)
