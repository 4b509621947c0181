"""What one row says, once the columns are known: its text, or both of a pair, and its label."""

import math
from collections.abc import Sequence
from typing import Any

from classifine.data.columns import Columns
from classifine.data.formats import Row
from classifine.data.lists import WRITTEN, list_in, parts_of
from classifine.data.values import is_flag, is_one, number_of
from classifine.errors import DataError
from classifine.labels import as_name, is_missing

# A text, or the two of a pair.
Text = str | tuple[str, str]


def texts_of(row: Row, columns: Sequence[str], pair: str | None) -> Text | None:
    """What is judged of a row: its text, or both texts of a pair; None where it has none, or only blanks."""
    text = text_of(row, columns)
    if text is None or not text.strip():
        return None
    if pair is None:
        return text
    second = text_of(row, (pair,))
    return None if second is None or not second.strip() else (text, second)


def joined(text: Text) -> str:
    """A text, or both of a pair as one, for what looks at words alone."""
    return text if isinstance(text, str) else "\n".join(text)


def text_of(row: Row, columns: Sequence[str]) -> str | None:
    """The text of a row: the given columns joined by a space, None where all of them are missing."""
    parts = [str(value) for column in columns if not is_missing(value := row.get(column))]
    text = " ".join(part for part in parts if part.strip() or len(parts) == 1) if parts else None
    return None if text is None else whole(text)


def whole(text: str) -> str:
    """The text with a question mark for what is no letter: half of a letter pair, as cutting a text in JSON leaves it,
    or a byte that is not UTF-8 on a command line. No tokenizer and no file takes those.
    """
    try:
        return text if text.isascii() or text.encode() else ""
    except UnicodeEncodeError:
        return text.encode(errors="replace").decode()


def label_of(row: Row, columns: Columns, place: str) -> Any:
    """The label of a row as its task has it; None where it has none."""
    if columns.indicators:
        cells = {name: row.get(name) for name in columns.indicators}
        if all(as_name(value) is None for value in cells.values()):
            return None
        odd = next((name for name, value in cells.items() if not is_flag(value)), None)
        if odd is not None:
            raise DataError(f"{place} has {cells[odd]!r} in '{odd}'; expected 0 or 1. Correct it.")
        names = [name for name, value in cells.items() if is_one(value)]
        if columns.task == "multi":
            return names
        if len(names) > 1:
            raise DataError(f"{place} has 1 for {', '.join(names)}; expected one of them. Correct it or --task multi.")
        return names[0] if names else None
    value = row.get(columns.label) if columns.label else None
    if columns.task == "multi":
        return _several(value, columns.separator, place)
    if isinstance(value, (list, dict)):
        raise DataError(f"{place} has a list as label; expected one label a row. Name another --label or --task multi.")
    name = _name(value)
    if columns.task == "single" or name is None:
        return name
    number = number_of(name)
    if number is None:
        raise DataError(f"{place} has {value!r} as score; expected a number. Correct it or --task single.")
    return number if math.isfinite(number) else None


def _several(value: Any, separator: str | None, place: str) -> list[str] | None:
    if not isinstance(value, (list, tuple, set, frozenset)):
        name = _name(value)
        if name is None:
            return None
        if separator == WRITTEN and list_in(name) is None:
            raise DataError(
                f"{place} has {name[:80]!r} as labels; expected a list such as ['a', 'b'], as in other rows. Correct it, or "
                "name what parts the labels by --label-separator."
            )
        value = parts_of(name, separator) if separator else [name]
    wrong = next((item for item in value if isinstance(item, (list, dict, tuple, set))), None)
    if wrong is not None:
        raise DataError(f"{place} has {wrong!r} in its list of labels; expected names. Name another --label.")
    return list(dict.fromkeys(name for item in value if (name := _name(item))))


def _name(value: Any) -> str | None:
    """A value as the name of a label that every file takes."""
    name = as_name(value)
    return None if name is None else whole(name)
