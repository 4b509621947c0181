"""The names of the classes and their one fixed order.

The order is decided here once and then only read: numbers as numbers, everything else sorted, unless the source
declares an order of its own. It knows nothing about probabilities or files.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from classifine.errors import DataError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["str", "int", "bool"]
# What is asked of a text: one label ("choosing"), any number of them ("deciding"), or a number.
Task = Literal["single", "multi", "score"]
# What a spreadsheet writes into a cell whose formula failed: no label, but no empty cell either.
CELL_ERRORS = frozenset(("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"))
# Answers to a question that is written nowhere.
ANSWERS = frozenset(("true", "false", "yes", "no"))
_SYLLABLES = ("CJK", "HANGUL", "HIRAGANA", "KATAKANA")
_WORDS = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Labels:
    """What a text may be answered with: the classes in their order, or the one name of a number.

    `kind` tells what the names were before they became text, `task` how many of them an answer has.
    """

    names: tuple[str, ...]
    kind: Kind = "str"
    task: Task = "single"

    @classmethod
    def ordered(cls, names: Iterable[str], kind: Kind = "str", task: Task = "single") -> "Labels":
        """Distinct names in the fixed order: by value where every name is a number, else by code point."""
        distinct = sorted(set(names))
        if all(_is_number(name) for name in distinct):
            distinct.sort(key=float)
        return cls(tuple(distinct), kind, task)

    @classmethod
    def from_config(cls, id2label: Mapping[Any, str], kind: Kind = "str", task: Task = "single") -> "Labels":
        """The labels of a saved network's `id2label`; ModelError where its ids are not 0 .. n-1."""
        by_id = {int(key): name for key, name in id2label.items()}
        if sorted(by_id) != list(range(len(by_id))):
            raise ModelError(f"config.json numbers its labels {sorted(by_id)}; expected 0 to {len(by_id) - 1}.")
        return cls(tuple(by_id[i] for i in range(len(by_id))), kind, task)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def id2label(self) -> dict[int, str]:
        """Class id to name, as config.json holds it."""
        return dict(enumerate(self.names))

    @property
    def label2id(self) -> dict[str, int]:
        """Name to class id."""
        return {name: i for i, name in enumerate(self.names)}

    def encode(self, names: Sequence[str | None]) -> list[int]:
        """Names to ids; DataError names the first that is not one of the classes."""
        ids = self.label2id
        try:
            return [ids[name] for name in names]  # type: ignore[index]  # None is caught like any unknown name
        except KeyError as error:
            raise DataError(f"Label {error} is not one of the classes {', '.join(self.names[:20])}.") from None

    def targets(self, values: Sequence[Any]) -> "NDArray[Any]":
        """What a network is to answer, from the label values of the rows: class ids (rows,) of int64; 0 or 1 for each
        label (rows, labels) of float32; or numbers (rows,) of float32. DataError names an unknown label.
        """
        import numpy as np

        if self.task == "single":
            return np.array(self.encode(values), dtype=np.int64)
        if self.task == "score":
            return np.array(values, dtype=np.float32)
        result = np.zeros((len(values), len(self)), dtype=np.float32)
        for row, names in zip(result, values, strict=True):
            row[self.encode(names)] = 1
        return result

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Ids to names."""
        return [self.names[i] for i in ids]

    def as_texts(self) -> list[str]:
        """What the labels (labels,) are called, as somebody would write it; nothing where that says nothing of them: of
        numbers and single letters, with one word before all of them or none, as `7` and `LABEL_0`, of truth values, and
        where a number is answered.
        """
        if self.task == "score" or self.kind != "str":
            return []
        texts = [" ".join(name.replace("_", " ").split()) for name in self.names]
        words = {" ".join(_WORDS.findall(text)) for text in texts}
        numbered = len(texts) > 1 and len(words) == 1 and words != {""}
        few = 2 * sum(map(_has_word, texts)) <= len(texts)
        return [] if numbered or few or {text.lower() for text in texts} <= ANSWERS else texts

    def values(self) -> list[Any]:
        """The names as the values that they were in the data: text, whole numbers or booleans."""
        if self.kind == "int":
            return [int(name) for name in self.names]
        if self.kind == "bool":
            return [name == "True" for name in self.names]
        return list(self.names)


def _has_word(text: str) -> bool:
    """Whether there are two letters at least, of a script that writes words or syllables one."""
    letters = [letter for letter in text if unicodedata.category(letter)[0] in "LM"]
    return len(letters) > 1 or any(unicodedata.name(letter, "").startswith(_SYLLABLES) for letter in letters)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def is_missing(value: Any) -> bool:
    """Whether a value of the data stands for none: None, NaN, and what data frames use for them."""
    try:
        return value is None or bool(value != value)
    except TypeError:  # pandas.NA answers every comparison with itself
        return True
    except ValueError:  # an array answers with one of truths
        return False


def as_name(value: Any) -> str | None:
    """The name of a label value as found in data: stripped text; None for a missing one or a spreadsheet's error.

    A whole number that a spreadsheet or a data frame turned into 3.0 is named "3".
    """
    if is_missing(value):
        return None
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    name = str(value).strip()
    return None if name in CELL_ERRORS else name or None


def kind_of(values: Iterable[Any]) -> Kind:
    """What the label values were: "bool", "int" or "str"; missing ones do not count."""
    kinds: set[Kind] = set()
    for value in values:
        if as_name(value) is None:
            continue
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        kinds.add("bool" if isinstance(value, bool) else "int" if whole else "str")
    return kinds.pop() if len(kinds) == 1 else "str"
