"""Texts that are nearly the same: copies with typing errors, in another letter case, with words added.

Each text is a set of pieces of a few characters. Sets that share most of their pieces meet by MinHash (Broder 1997,
"On the resemblance and containment of documents"), and those that met are compared exactly. Time and memory grow with
the number of texts, not with that of their pairs. It knows nothing about labels, splits or files.
"""

import difflib
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifine.data.check import normalised
from classifine.data.row import Text

ALIKE = 0.6  # of the pieces of two texts, the share that both have from which on they count as copies
# A typing error changes several pieces but only one letter: from this share of pieces on, the letters in their order
# may make a copy of what the pieces do not. With one in every ten letters wrong 0.9 of them agree; what two reports of
# one event share stays below this.
NEAR, LETTERS = 0.4, 0.87
PIECE = 4  # characters
_LONGEST = 2000  # letters that are compared in their order; the time for it grows with their square
# Two texts that share 0.6 of their pieces agree on a band of 4 permutations with 0.13, on one of 32 bands with 0.99.
_BANDS, _BAND = 32, 4
_REACH = 2  # places in the order of a band within which texts are compared
_CHUNK = 1024  # texts whose pieces are held at once


@dataclass(frozen=True)
class Copies:
    """Two texts that are nearly the same: their positions, and how much of them both have (0 to 1)."""

    first: int
    second: int
    likeness: float


def families(texts: Sequence[Text], copies: Sequence[Copies]) -> NDArray[np.int32]:
    """The number of the family of each text (texts,): its exact copies, its near ones, and theirs."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[str, int] = {}
    pairs = [(i, first.setdefault(normalised(text), i)) for i, text in enumerate(texts)]
    one, other = np.array(pairs + [(pair.first, pair.second) for pair in copies], dtype=np.int32).reshape(-1, 2).T
    links = coo_array((np.ones(len(one), dtype=np.int8), (one, other)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int32)


def near_copies(texts: Sequence[Text]) -> list[Copies]:
    """Pairs of texts (first < second) that are nearly the same, the likest first.

    Of texts that are letter for letter the same only the first counts. Texts that differ in case, blanks and marks alone
    have likeness 1. Not every pair of a large family of copies is among them, but each member is in one.
    """
    places: dict[str, dict[Text, int]] = defaultdict(dict)
    for i, text in enumerate(texts):
        places[normalised(text)].setdefault(text, i)
    heads = [min(same.values()) for same in places.values()]
    found = [Copies(min(same.values()), i, 1.0) for same in places.values() for i in sorted(same.values())[1:]]
    keys = list(places)
    for one, other in _candidates(_signatures(keys)):
        if likeness := _likeness(keys[one], keys[other]):
            first, second = sorted((heads[one], heads[other]))
            found.append(Copies(first, second, likeness))
    return sorted(found, key=lambda pair: (-pair.likeness, pair.second, pair.first))


def pieces(text: str) -> set[bytes]:
    """The pieces of a text, a blank on either side of it included."""
    whole = f" {text} "
    return {whole[i : i + PIECE].encode() for i in range(max(1, len(whole) - PIECE + 1))}


def _likeness(one: str, other: str) -> float:
    """The share of what two texts have that both have, pieces (Jaccard's index) or letters; 0 where they are no copies."""
    mine, theirs = pieces(one), pieces(other)
    both = len(mine & theirs)
    shared = both / (len(mine) + len(theirs) - both)
    if shared >= ALIKE:
        return shared
    if shared < NEAR or max(len(one), len(other)) > _LONGEST:
        return 0.0
    found = difflib.SequenceMatcher(None, one, other, autojunk=False)
    letters = found.ratio() if found.quick_ratio() >= LETTERS else 0.0
    return letters if letters >= LETTERS else 0.0


def _signatures(keys: Sequence[str]) -> NDArray[np.uint32]:
    """The MinHash of each text (texts, permutations)."""
    from datasketch import MinHash

    result = np.empty((len(keys), _BANDS * _BAND), dtype=np.uint32)
    for start in range(0, len(keys), _CHUNK):
        chunk = [pieces(key) for key in keys[start : start + _CHUNK]]
        for i, one in enumerate(MinHash.generator(chunk, num_perm=_BANDS * _BAND, hashfunc=zlib.crc32), start):
            result[i] = one.hashvalues
    return result


def _candidates(signatures: NDArray[np.uint32]) -> Iterator[tuple[int, int]]:
    """Positions of texts that agree on a band and are near each other in its order, each pair once.

    The order goes by the band, then by the one behind it, so that the likest of many that agree are neighbours.
    """
    found = np.empty(0, dtype=np.int64)
    count = len(signatures)
    for band in range(_BANDS):
        turned = np.roll(signatures, -band * _BAND, axis=1)
        order = np.lexsort(turned[:, 2 * _BAND - 1 :: -1].T)
        ranked = turned[order, :_BAND]
        for reach in range(1, _REACH + 1):
            same = (ranked[reach:] == ranked[:-reach]).all(axis=1)
            one, other = order[:-reach][same], order[reach:][same]
            pairs = np.minimum(one, other).astype(np.int64) * count + np.maximum(one, other)
            found = np.union1d(found, pairs)
    for pair in found.tolist():
        yield divmod(pair, count)
