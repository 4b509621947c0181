"""What a column looks like by its name and a sample of its values: whether it can hold texts, labels, flags or numbers.

It judges one column at a time, and chooses none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from classifine.data.formats import Row
from classifine.data.lists import WRITTEN, is_clear, list_in, parts_of
from classifine.data.values import NO, YES, flag_of, number_of
from classifine.labels import as_name

# Names seen on public sets and in spreadsheets, the surest first; compared in lower case.
TEXT_NAMES = (
    "text", "sentence", "texts", "content", "body", "message", "review", "tweet", "comment", "utterance", "document",
    "description", "review_text", "full_text", "review_body", "abstract", "article", "post", "question", "query",
    "headline", "title", "input", "texte", "kalimat", "satz", "nachricht", "texto", "mensaje",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "label_name", "label_text", "class", "class_name", "category", "categories", "topic", "topics",
    "theme", "themes", "sentiment", "intent", "emotion", "emotions", "target", "tag", "tags", "genres", "stance", "code",
    "codes", "y", "output", "quality", "rating", "stars", "score", "similarity", "relatedness",
    "kategorie", "klasse", "etiquette", "étiquette", "classe", "categoria", "categoría", "etiqueta", "kategori",
)  # fmt: skip
SEPARATORS = ("|", ";", ",")  # what parts the labels of a row, the least common in names first
# A label repeats: with more distinct values than this share of the rows a column is no label.
MAX_DISTINCT = 0.5
MAX_ONCE = 0.2  # of the labels in all cells of a column, the share that no other row has
MAX_WORDS = 4  # of the names of labels in one cell, on average; parts of sentences are longer


@dataclass(frozen=True)
class Facts:
    """What a column looks like: its name and the values (rows,) of a sample, without those that are missing."""

    name: str
    values: tuple[Any, ...]

    def rank(self, names: tuple[str, ...]) -> int | None:
        """The place of the column's name in `names`, which are in lower case; None where it is not among them."""
        lowered = self.name.strip().lower()
        return names.index(lowered) if lowered in names else None

    def same_partition(self, other: "Facts") -> bool:
        """Whether both part the rows in the same way, as a number and the name of a label do."""
        pairs = set(zip(map(as_name, self.values), map(as_name, other.values), strict=False))
        return len(self.values) == len(other.values) and len(pairs) == self.distinct == other.distinct

    @property
    def words(self) -> float:
        """Words of a text, on average."""
        texts = [value for value in self.values if isinstance(value, str)]
        return sum(len(text.split()) for text in texts) / max(len(texts), 1)

    @property
    def distinct(self) -> int:
        """Different values, told apart as the names of labels are."""
        return len(set(map(as_name, self.values)))

    @property
    def lists(self) -> bool:
        """Whether some values are lists, as JSON and Parquet have them."""
        return any(isinstance(value, list) for value in self.values)

    @cached_property
    def written_lists(self) -> tuple[list[Any] | None, ...]:
        """The list that was written as text in each of the values (rows,); None where it is none."""
        return tuple(map(list_in, self.values))

    @property
    def written(self) -> bool:
        """Whether all values are lists that were written as text."""
        return bool(self.values) and None not in self.written_lists

    @property
    def separator(self) -> str | None:
        """What parts the labels of a row, unless it may be the comma of decimal numbers or a name in brackets."""
        if self.written and any(not found or is_clear(found) for found in self.written_lists):
            return WRITTEN
        numbers = all(number_of(value) is not None for value in self.values if isinstance(value, str))
        return None if numbers else self.mark

    @property
    def mark(self) -> str | None:
        """What parts the values: parted, they are put together from fewer names than there are values."""
        texts = [value for value in self.values if isinstance(value, str)]
        for mark in SEPARATORS:
            parts = {part.strip() for text in texts for part in text.split(mark)} - {""}
            if any(mark in text for text in texts) and len(parts) < len(set(texts)):
                return mark
        return None

    def has_several(self, mark: str) -> bool:
        """Whether the cells hold labels by their content alone: short parts, of which hardly one does not return."""
        cells = [{str(part).strip() for part in parts_of(str(value), mark)} - {""} for value in self.values]
        counts = Counter(chain.from_iterable(cells))
        once = sum(count == 1 for count in counts.values())
        words = sum(len(part.split()) for part in counts) / max(len(counts), 1)
        # Commas of a sentence stand between parts that are long, and that are found in it alone.
        few = len(counts) <= MAX_DISTINCT * len(cells) and once <= MAX_ONCE * counts.total()
        return few and words <= MAX_WORDS

    @property
    def binary(self) -> bool:
        """Whether all values say yes or no, as those of a column of 0 and 1."""
        return bool(self.values) and {flag_of(value) for value in self.values} <= {*NO, *YES}

    @property
    def all_numbers(self) -> bool:
        """Whether all values are numbers."""
        return all(number_of(value) is not None for value in self.values)

    @property
    def of_numbers(self) -> bool:
        """Whether all values are numbers, or lists of them."""
        cells = [
            value if isinstance(value, list) else [value] if found is None else found
            for value, found in zip(self.values, self.written_lists, strict=True)
        ]
        return all(number_of(one) is not None for one in chain.from_iterable(cells))

    @property
    def numbers(self) -> bool:
        """Whether all values are numbers and some of them not whole, as no class is."""
        return self.all_numbers and bool(self.values) and not self.whole_numbers

    @property
    def whole_numbers(self) -> bool:
        """Whether all values are whole numbers, as the classes of a rating are."""
        found = [number_of(value) for value in self.values]
        return bool(found) and all(number is not None and number.is_integer() for number in found)

    @property
    def can_be_text(self) -> bool:
        """Whether at least half of the values are words."""
        # A spreadsheet stores a text such as 12345 as a number, so not every value need be text.
        texts = sum(isinstance(value, str) and number_of(value) is None for value in self.values)
        return bool(self.values) and texts >= 0.5 * len(self.values)

    @property
    def can_be_label(self) -> bool:
        """Whether the values are few and short enough for the names of labels."""
        if not self.values or not all(isinstance(value, (str, int, float, bool)) for value in self.values):
            return False
        if self.separator:
            named = self.rank(LABEL_NAMES) is not None
            return named or (self.rank(TEXT_NAMES) is None and self.has_several(self.separator))
        return not self.numbers and self.distinct <= max(2, MAX_DISTINCT * len(self.values)) and self.words < 8

    @property
    def named_label(self) -> bool:
        """Whether the name says that it is the label, and nothing in it speaks against that."""
        named = self.rank(LABEL_NAMES) is not None
        return named and bool(self.values) and (self.lists or self.numbers or self.can_be_label)


def facts_of(sample: Sequence[Row], names: Sequence[str]) -> list[Facts]:
    """What the columns `names` look like in a sample of rows, in the same order."""
    return [Facts(name, tuple(v for row in sample if _present(v := row.get(name)))) for name in names]


def _present(value: Any) -> bool:
    return isinstance(value, (list, dict)) or as_name(value) is not None
