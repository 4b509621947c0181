"""Which rows were used for what, as hashes: enough to know them again, without keeping them.

It knows nothing about files.
"""

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from classifine.data.check import normalised
from classifine.data.read import Split
from classifine.data.row import Text
from classifine.errors import DataError

_BYTES = 4  # of each SHA-256: ten million texts take 53 MB
_HASH = np.dtype("<u4")


def train_texts(texts: Iterable[Text]) -> str:
    """The hashes of the distinct texts, or pairs, in one word of base64; copies of a text have the same one."""
    return base64.b64encode(np.unique(_hashes(texts)).tobytes()).decode("ascii")


def count_seen(texts: Sequence[Text], known: str, source: str = "the train texts") -> int:
    """How many of the texts are among those of `train_texts`; 0 where there are no more of them than chance gives.

    DataError where `known`, which stands in `source`, is no such word.
    """
    try:
        packed = base64.b64decode(known, validate=True)
    except ValueError as error:
        raise DataError(f"{source} is damaged: {error}. Remove it, or train the classifier again.") from None
    if len(packed) % _BYTES:
        raise DataError(f"{source} is damaged: the hashes of the train texts are cut off. Remove it.")
    hashes = np.frombuffer(packed, _HASH)
    count = int(np.isin(_hashes(texts), hashes).sum())
    # Among millions of short hashes a new text meets one now and then: a count with this mean, and its root as spread.
    by_chance = len(texts) * len(hashes) / 2 ** (8 * _BYTES)
    return count if count - by_chance > 5 * math.sqrt(by_chance) else 0


def _hashes(texts: Iterable[Text]) -> NDArray[np.uint32]:
    digests = (hashlib.sha256(normalised(text).encode()).digest()[:_BYTES] for text in texts)
    return np.frombuffer(b"".join(digests), _HASH)


def fingerprint(part: Split) -> str:
    """The sha256 of a split's texts and labels in their order: two runs saw the same rows if it is the same."""
    digest = hashlib.sha256()
    for text, label in zip(part.texts, part.labels, strict=True):
        digest.update(f"{text}\0{label}\0".encode())
    return digest.hexdigest()
