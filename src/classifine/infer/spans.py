"""A text as a network reads it, token by token: which tokens make up a word, and windows where there are too many.

It knows nothing about networks or answers.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from classifine.data.read import Text
from classifine.errors import ModelError
from classifine.model.folder import quiet_transformers

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
    that fit into the network together; the first is what `predict` reads, and every word is in one of them.
    """

    columns: dict[str, list[int]]
    special: frozenset[int]
    words: tuple[Span, ...]
    windows: tuple[tuple[int, ...], ...]

    def rows(self, chosen: Sequence[Sequence[int]]) -> dict[str, list[list[int]]]:
        """Token ids of rows that hold the chosen places, as `infer.forward.logits` takes them."""
        return {name: [[values[i] for i in places] for places in chosen] for name, values in self.columns.items()}


def read(text: Text, tokenizer: Any, max_length: int) -> Reading:
    """A text or pair by a transformers tokenizer, in windows of `max_length` tokens.

    A long text is cut every three quarters of a window, so that what stands at an edge is also read in its context.
    Raises ModelError where the tokenizer does not tell where its tokens stand.
    """
    parts = (text,) if isinstance(text, str) else text
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"The tokenizer of this classifier ({type(tokenizer).__name__}) does not tell where its tokens stand; "
            "expected one with a tokenizer.json. Train on another base."
        )
    with quiet_transformers():  # which would warn of a long text, though it is never read as a whole
        whole = tokenizer(*parts, truncation=False, return_offsets_mapping=True, return_attention_mask=False)
    kept = tokenizer(*parts, truncation=True, max_length=max_length).sequence_ids()
    of_part = whole.sequence_ids()
    places = [[i for i, part in enumerate(of_part) if part == number] for number in range(len(parts))]
    special = frozenset(i for i, part in enumerate(of_part) if part is None)
    rooms = [sum(part == number for part in kept) for number in range(len(parts))]
    words: list[Span] = []
    for number, part in enumerate(parts):
        words += _words(part, number, [(i, *whole["offset_mapping"][i]) for i in places[number]])
    columns = {name: list(whole[name]) for name in whole if name in ("input_ids", "token_type_ids")}
    windows = tuple(tuple(sorted([*special, *inside])) for inside in _windows(places, rooms))
    return Reading(columns, special, tuple(words), windows)


def _windows(places: Sequence[Sequence[int]], rooms: Sequence[int]) -> Iterator[list[int]]:
    """The places of text in each window; where both of a pair are too long they advance side by side."""
    starts = [_starts(len(own), room) for own, room in zip(places, rooms, strict=True)]
    most = max(len(own) for own in starts)
    for i in range(most):
        begins = [own[i * len(own) // most] for own in starts]
        yield [p for own, begin, room in zip(places, begins, rooms, strict=True) for p in own[begin : begin + room]]


def _starts(tokens: int, room: int) -> list[int]:
    last = tokens - room
    return [*range(0, last, max(1, room - room // 4)), last] if room and last > 0 else [0]


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
