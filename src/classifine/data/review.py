"""A list of faults that somebody went through, and the data with what was decided.

The list is a file with the columns `row` (from 1), `split`, `kind`, `suggested`, `text` and `action`. It knows nothing
about how the faults were found.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from classifine.config import Data
from classifine.data.cells import Cells
from classifine.data.check import normalised
from classifine.data.formats import Row, Table, open_table
from classifine.data.read import Splits
from classifine.data.row import Text, joined
from classifine.data.values import number_of
from classifine.data.write import BAR
from classifine.errors import DataError, OutputError
from classifine.labels import Labels, as_name

ACTIONS = ("keep", "drop", "relabel")
_NEEDED = ("row", "suggested", "text", "action")
_COMPARED = 200  # letters of a text by which a row is known again; spreadsheets cut long ones off
Place = tuple[str, int]


@dataclass(frozen=True)
class Review:
    """What was decided: rows to leave out, and the labels of those that get others; the rest stays as it is."""

    dropped: frozenset[Place] = frozenset()
    relabelled: dict[Place, Any] = field(default_factory=dict)


def read_review(path: Path, found: Splits, labels: Labels, cells: Mapping[str, Cells]) -> Review:
    """The decisions of a reviewed list about the rows of `found`; DataError lists every line that cannot be followed.

    `drop` leaves the row out, `relabel` gives it the label in `suggested`, `keep` and an empty cell leave it as it is.
    Where several lines name a row, drop goes before relabel and relabel before keep. `cells` of each split tell which
    labels can be written.
    """
    lines = list(open_table(path, Data()).rows())
    missing = [name for name in _NEEDED if lines and name not in lines[0]]
    if missing or not lines:
        has = f"no column '{missing[0]}'" if missing else "no rows"
        raise DataError(f"{path} has {has}; expected a list that `classifine audit` wrote. Give that one.")
    texts = {(part.name, number): text for part in found.all for number, text in zip(part.ids, part.texts, strict=True)}
    dropped: set[Place] = set()
    relabelled: dict[Place, Any] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        try:
            place, action = _place(line, found), _action(line)
            if place not in texts:
                raise ValueError(f"is about row {place[1]} of {place[0]}, which the data does not have. Name another")
            _known_again(line, texts[place])
            if action == "drop":
                dropped.add(place)
            elif action == "relabel":
                label = _label(line, labels)
                if trouble := cells[place[0]].trouble(label):
                    raise ValueError(f"asks for {trouble}")
                if relabelled.setdefault(place, label) != label:
                    raise ValueError("names a row that another line gives another label. Choose one of them")
        except ValueError as error:
            problems.append(f"Row {number} of {path} {error}.")
    if problems:
        more = [f"So it is with {len(problems) - 10} more rows."] if len(problems) > 10 else []
        raise DataError.of([*problems[:10], *more])
    return Review(frozenset(dropped), {place: label for place, label in relabelled.items() if place not in dropped})


def reviewed_rows(name: str, parts: Sequence[Table], cells: Cells, review: Review) -> Iterator[Row]:
    """The rows of the split `name` as its files have them, without those that are dropped, with the new labels.

    OutputError for a row whose labels the cells of the new file cannot say.
    """
    for number, row in enumerate(chain.from_iterable(part.rows() for part in parts), 1):
        place = (name, number)
        if place in review.relabelled:
            yield cells.filled(row, review.relabelled[place])
        elif place not in review.dropped:
            if trouble := cells.trouble_of(row):
                raise OutputError(f"Row {number} of {parts[0].name} has {trouble}.")
            yield row


def _place(line: Row, found: Splits) -> Place:
    number = number_of(as_name(line["row"]) or "")
    if number is None or not number.is_integer():
        raise ValueError(f"has {line['row']!r} in 'row'; expected the number of a row")
    split = as_name(line.get("split")) or "train"
    if split not in {part.name for part in found.all}:
        there = ", ".join(part.name for part in found.all)
        raise ValueError(f"is about the split '{split}', which the data does not have. It has {there}")
    return split, int(number)


def _action(line: Row) -> str:
    action = (as_name(line["action"]) or "keep").lower()
    if action not in ACTIONS:
        raise ValueError(f"has '{action}' in 'action'; expected {', '.join(ACTIONS)} or nothing")
    return action


def _known_again(line: Row, text: Text | None) -> None:
    """ValueError where a line holds another text than the row that it names."""
    written = as_name(line["text"]) or ""
    known = normalised(joined(text)) if text is not None else ""
    if not known or known[:_COMPARED] != normalised(written)[:_COMPARED]:
        raise ValueError("holds another text than that row of the data. Audit the data anew, or name what was audited")


def _label(line: Row, labels: Labels) -> Any:
    """The label value in `suggested`: a name, a tuple of them or a number."""
    given = line["suggested"]
    if labels.task == "multi":
        return _several(given, labels.names)
    written = as_name(given) or ""
    if labels.task == "score":
        number = number_of(written)
        if number is None or not math.isfinite(number):
            raise ValueError(f"asks for the score '{written}'; expected a number in 'suggested'")
        return number
    return _known(written, labels.names)


def _several(given: Any, names: Sequence[str]) -> tuple[str, ...]:
    parts = map(as_name, given) if isinstance(given, list) else _parted(as_name(given) or "", names)
    return tuple(dict.fromkeys(_known(part, names) for part in parts if part))


def _known(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise ValueError(f"asks for the label '{name}'; expected one of {', '.join(names[:20])} in 'suggested'")
    return name


def _parted(written: str, names: Collection[str]) -> Iterator[str]:
    """What the bars of a cell part; a bar inside the name of a label parts nothing."""
    parts = written.split(BAR)
    while parts:
        together = (size for size in range(len(parts), 0, -1) if BAR.join(parts[:size]).strip() in names)
        size = next(together, 1)
        yield BAR.join(parts[:size]).strip()
        parts = parts[size:]
