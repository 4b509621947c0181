"""Lists of labels in the one cell of a file: as Python or JSON writes a list, or parted by a mark.

Only names and whole numbers stand in them; what else is in brackets is the name of a label. It knows nothing about
columns and rows.
"""

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

# In the place of the mark that parts labels: each cell is a list as Python or JSON writes it.
WRITTEN = "[]"
# Python takes 'a' 'b', as numpy writes two names, for one, and more escapes than it writes itself.
_NAME = r"""'(?:[^'\\]|\\['"\\nrtxuU])*'|"(?:[^"\\]|\\['"\\/bfnrtxuU])*\""""
_ITEM = rf"(?:{_NAME}|-?\d+)"
_LIST = re.compile(rf"\[\s*(?:{_ITEM}\s*(?:,\s*{_ITEM}\s*)*)?\]")


def list_in(cell: Any) -> list[Any] | None:
    """The names or whole numbers of a list that was written as text, `['a', 'b']`, `["a"]` or `[3, 10]`; None for others."""
    if not in_brackets(cell) or not _LIST.fullmatch(written := cell.strip()):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            return list(read(written))
        except (ValueError, SyntaxError):  # an escape that is cut short, a number such as 007
            continue
    return None


def in_brackets(cell: Any) -> bool:
    """Whether a value is text in square brackets."""
    return isinstance(cell, str) and cell.strip().startswith("[") and cell.strip().endswith("]")


def is_clear(found: Sequence[Any] | None) -> bool:
    """Whether what `list_in` found is a list beyond doubt: `[spam]` is a name in brackets, and so `[3]` may be one."""
    return found is not None and (len(found) > 1 or any(isinstance(one, str) for one in found))


def parts_of(cell: str, mark: str) -> list[Any]:
    """The labels of a cell, parted by `mark`; the whole cell where it is no list, and lists were expected."""
    if mark != WRITTEN:
        return cell.split(mark)
    found = list_in(cell)
    return [cell] if found is None else found


def as_written(names: Sequence[Any], other: Any) -> str:
    """A list of names or whole numbers as text, in the form of another cell of its column."""
    return json.dumps(names, ensure_ascii=False) if '"' in str(other) and "'" not in str(other) else str(list(names))
