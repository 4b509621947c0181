"""How long the texts of each split are in tokens, and how many are cut: what the report draws.

How many tokens a text has is told to it by the caller. It knows nothing about networks.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from classifine.data.read import Split
from classifine.data.row import Text

LOOKED_AT = (
    5000  # rows of a split at most, spread evenly over it: tokenising ten million would take a quarter of an hour
)
BINS = 40


def token_lengths(
    splits: Sequence[Split], count_tokens: Callable[[Sequence[Text]], list[int]], max_length: int
) -> dict[str, Any]:
    """The histogram of tokens of each split, before anything is cut at `max_length`.

    Bin k counts the texts with more than k and at most k + 1 times `width` tokens; the last one all longer ones, too.
    """
    counts = {}
    for split in splits:
        step = max(1, math.ceil(len(split) / LOOKED_AT))
        counts[split.name] = np.array(count_tokens(split.texts[::step]), dtype=np.int64)
    longest = max(int(found.max(initial=1)) for found in counts.values())
    # A single text of a book's length would leave one bar for all others.
    width = math.ceil(min(longest, 2 * max_length) / BINS)
    about = {
        split.name: {"rows": len(split), **_about(counts[split.name], width, max_length)} for split in splits
    }  # fmt: skip
    return {"max_length": max_length, "width": width, "splits": about}


def _about(found: np.ndarray[Any, np.dtype[np.int64]], width: int, max_length: int) -> dict[str, Any]:
    place = np.clip((found - 1) // width, 0, BINS - 1)
    return {
        "looked_at": len(found),
        "median": int(np.median(found)) if len(found) else 0,
        "most": int(np.quantile(found, 0.95)) if len(found) else 0,
        "longest": int(found.max(initial=0)),
        "cut": int((found > max_length).sum()),
        "counts": np.bincount(place, minlength=BINS).tolist(),
    }
