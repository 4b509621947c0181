"""A text as a network reads it, token by token: which tokens make up a word, and windows where there are too many.

It knows nothing about networks or answers.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from classifine.data.row import Text
from classifine.errors import ModelError
from classifine.windows import STRIDE, TRUNCATE, WINDOWS, Long, read_together, sides, windows

# What stands inside words beside letters, marks and digits: apostrophes, and the joiners of Indic and Persian scripts.
_JOINING = frozenset("'’_\u200c\u200d")
# First and last code points of scripts that put no blanks between words; there the tokens themselves are shown. Thai and
# Lao, Tibetan and Burmese, Khmer, Kana, Han (without the Korean letters amid them), Yi and the later blocks of Han.
_WITHOUT_BLANKS = (
    (0x0E00, 0x0EFF), (0x0F00, 0x109F), (0x1780, 0x17FF), (0x2E80, 0x312F), (0x31A0, 0xA4CF), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip


@dataclass(frozen=True)
class Span:
    """A word: its characters `start` to `end` of text number `part` (1 is the second of a pair), and its tokens' places."""

    part: int
    start: int
    end: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """The tokens of a text or pair, uncut: what each is (`columns`, a value a token), and which `words` they make up.

    `special` are the places of the tokens that stand around every text. Each window holds the places of the tokens
    that fit into the network together, and every word is in one of them. The first `judged` of them are what `predict`
    reads: one, or all where the logits of windows are pooled.
    """

    columns: dict[str, list[int]]
    special: frozenset[int]
    words: tuple[Span, ...]
    windows: tuple[tuple[int, ...], ...]
    judged: int = 1

    @property
    def read(self) -> frozenset[int]:
        """The places that `predict` reads."""
        return frozenset(place for window in self.windows[: self.judged] for place in window)

    def rows(self, chosen: Sequence[Sequence[int]]) -> dict[str, list[list[int]]]:
        """Token ids of rows that hold the chosen places, as `infer.forward.logits` takes them."""
        return {name: [[values[i] for i in places] for places in chosen] for name, values in self.columns.items()}

    def without(self, gone: Sequence[frozenset[int]]) -> dict[str, list[list[int]]]:
        """The same of rows that are what `predict` reads without the places that are `gone` of each, in its windows."""
        kept = [[[p for p in window if p not in own] for window in self.windows[: self.judged]] for own in gone]
        return {
            **self.rows([[place for window in row for place in window] for row in kept]),
            WINDOWS: [[len(window) for window in row] for row in kept],
        }


def read(text: Text, tokenizer: Any, max_length: int, long: Long = TRUNCATE) -> Reading:
    """A text or pair by a transformers tokenizer, in windows of `max_length` tokens.

    They are those that `predict` reads. Where it reads a part of the text, others follow that hold the rest, each
    three quarters of a window behind the last, so that what stands at an edge is also read in its context.
    Raises ModelError where the tokenizer does not tell where its tokens stand.
    """
    parts = (text,) if isinstance(text, str) else text
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"The tokenizer of this classifier ({type(tokenizer).__name__}) does not tell where its tokens stand; "
            "expected one with a tokenizer.json. Train on another base."
        )
    # It would warn of a long text, though it is never read as a whole.
    whole = tokenizer(*parts, truncation=False, return_offsets_mapping=True, return_attention_mask=False, verbose=False)
    special, places = sides(whole.sequence_ids(), len(parts))
    words: list[Span] = []
    for number, part in enumerate(parts):
        words += _words(part, number, [(i, *whole["offset_mapping"][i]) for i in places[number]])
    columns = {name: list(whole[name]) for name in whole if name in ("input_ids", "token_type_ids")}
    judged = read_together(places, max_length - len(special), long)
    others = () if long.way == "windows" else _others(places, judged[0], long)
    inside = tuple(tuple(sorted([*special, *own])) for own in (*judged, *others))
    return Reading(columns, frozenset(special), tuple(words), inside, len(judged))


def _others(places: Sequence[Sequence[int]], judged: Sequence[int], long: Long) -> Iterator[list[int]]:
    """Windows of the size of what `predict` reads of a text that hold what it does not."""
    read = set(judged)
    rooms = [sum(place in read for place in own) for own in places]
    if all(len(own) == room for own, room in zip(places, rooms, strict=True)):
        return
    for window in windows(places, rooms, STRIDE):
        if not read.issuperset(window):
            yield window


def _words(text: str, part: int, tokens: Sequence[tuple[int, int, int]]) -> Iterator[Span]:
    """Tokens (place, start, end) of one text merged to words; one that is but a blank belongs to the word after it."""
    start = end = -1
    own: list[int] = []
    blanks: list[int] = []
    for place, left, right in tokens:
        piece = text[left:right]
        left, right = left + len(piece) - len(piece.lstrip()), right - len(piece) + len(piece.rstrip())
        right = _with_marks(text, right) if left < right else right
        if left >= right:
            blanks.append(place)
        elif own and not blanks and _together(text, end, left):
            end = max(end, right)
            own.append(place)
        else:
            if own:
                yield Span(part, start, end, tuple(own))
            start, end, own, blanks = left, right, [*blanks, place], []
    if own:
        yield Span(part, start, end, (*own, *blanks))


def _with_marks(text: str, end: int) -> int:
    """`end` behind the marks on the last character, which some tokenizers drop."""
    while end < len(text) and unicodedata.category(text[end])[0] == "M":
        end += 1
    return end


def _together(text: str, end: int, start: int) -> bool:
    """Whether what ends at `end` and what starts at `start` are one word; bytes of one character always are."""
    if start != end:
        return start < end
    return all(_inside_words(character) for character in text[end - 1 : end + 1])


def _inside_words(character: str) -> bool:
    if any(first <= ord(character) <= last for first, last in _WITHOUT_BLANKS):
        return False
    return character in _JOINING or unicodedata.category(character)[0] in "LMN"
