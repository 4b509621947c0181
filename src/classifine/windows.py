"""A text that is longer than a network reads at once: which of its tokens are read, and in which windows together.

Windows of a document become rows for the network, and their logits one answer again: by `pooled`, in training as in
prediction. It knows nothing about tokenizers, networks or labels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import ceil
from typing import Any

from classifine.config import LongTexts, Model
from classifine.errors import ConfigError

# Of 510 tokens the first 128 and the last 382, as Sun et al. 2019, "How to Fine-Tune BERT for Text Classification",
# found best; of another number the same shares.
HEAD_SHARE = 128 / 510
STRIDE: float = Model.model_fields["stride"].default
# Windows of a document in one step of training. It bounds a step's time and memory by what it is worth: other windows
# are drawn in the next epoch, so more would not be read, but sooner.
MOST_WINDOWS = 16
WINDOWS = "windows"  # the column that holds the number of tokens of each window of a document
Columns = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Long:
    """What is read of a text that is too long, and how far each window starts behind the one before, as a share of it."""

    way: LongTexts = "truncate"
    stride: float = STRIDE


TRUNCATE = Long()


def check_long(model: Model) -> None:
    """ConfigError where a stride is named and there are no windows."""
    if model.stride != STRIDE and model.long != "windows":
        raise ConfigError("--stride belongs to --long windows. Add it, or drop --stride.")


def sides(of_part: Sequence[int | None], count: int) -> tuple[list[int], list[list[int]]]:
    """(places of special tokens, places of the tokens of each of `count` texts), by what a tokenizer says of each token."""
    special = [place for place, part in enumerate(of_part) if part is None]
    return special, [[place for place, part in enumerate(of_part) if part == number] for number in range(count)]


def read_together(parts: Sequence[Sequence[int]], room: int, long: Long) -> list[list[int]]:
    """The places of a text, or of both of a pair, that are read together, a list for each window of `room` places."""
    rooms = _rooms([len(own) for own in parts], room)
    if long.way == "windows":
        return list(windows(parts, rooms, long.stride))
    kept = _head_and_tail if long.way == "head-tail" else _head
    return [[place for own, space in zip(parts, rooms, strict=True) for place in kept(own, space)]]


def windows(parts: Sequence[Sequence[int]], rooms: Sequence[int], stride: float) -> Iterator[list[int]]:
    """The places of text in each window; where both of a pair are too long they advance side by side.

    The last window ends with the text, so that it has as much to go by as the others.
    """
    starts = [_starts(len(own), room, stride) for own, room in zip(parts, rooms, strict=True)]
    most = max(len(own) for own in starts)
    for i in range(most):
        begins = [own[i * len(own) // most] for own in starts]
        yield [p for own, begin, room in zip(parts, begins, rooms, strict=True) for p in own[begin : begin + room]]


def _starts(tokens: int, room: int, stride: float) -> list[int]:
    last = tokens - room
    return [*range(0, last, max(1, ceil(room * stride))), last] if room and last > 0 else [0]


def _rooms(lengths: Sequence[int], room: int) -> list[int]:
    """How many tokens of each text are read at once: of a pair the longer one gives way first, as tokenizers have it.

    So the shorter one is whole in every window of the longer one, unless it is longer than half the room itself.
    """
    if len(lengths) == 1 or sum(lengths) <= room:
        return [min(length, room) for length in lengths]
    short = min(*lengths, room // 2)
    return [short, room - short] if lengths[0] <= lengths[1] else [room - short, short]


def _head(own: Sequence[int], room: int) -> Sequence[int]:
    return own[:room]


def _head_and_tail(own: Sequence[int], room: int) -> Sequence[int]:
    if len(own) <= room:
        return own
    head = round(room * HEAD_SHARE)
    return [*own[:head], *own[len(own) - (room - head) :]]


def taken_apart(columns: Columns) -> tuple[Columns, list[int]]:
    """(columns with a row for each window, number of windows of each document).

    Without a column of windows each row is a document of one.
    """
    if WINDOWS not in columns:
        return columns, [1] * len(columns["input_ids"])
    ends = [list(accumulate(own)) for own in columns[WINDOWS]]
    rows = {
        name: [ids[end - size : end] for ids, own, at in zip(values, columns[WINDOWS], ends, strict=True)
               for size, end in zip(own, at, strict=True)]
        for name, values in columns.items() if name != WINDOWS
    }  # fmt: skip
    return rows, [len(own) for own in ends]


def drawn(count: int, most: int, draw: Callable[[int], int]) -> list[int]:
    """`most` of a document's windows at most, spread evenly over it: one of each of as many equal stretches.

    `draw` gives a number below its argument.
    """
    if count <= most:
        return list(range(count))
    edges = [i * count // most for i in range(most + 1)]
    return [edge + draw(end - edge) for edge, end in pairwise(edges)]


def pooled(logits: Any, counts: Sequence[int]) -> Iterator[Any]:
    """The logits (labels,) of each document: the mean of those of its windows, which follow one another in `logits`
    (windows, labels), an array or a tensor.

    The mean also where a text may have several labels. The best window of each label would find what is told in one
    place, but of more windows the best is higher by chance alone: thresholds would hold for one length only, and what
    training sees of a very long text (some windows) would not be what prediction sees (all). The mean of some windows
    is on average that of all.
    """
    for count, end in zip(counts, accumulate(counts), strict=True):
        yield logits[end - count : end].mean(0)
