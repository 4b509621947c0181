"""What a report is made of: sections of sentences, lists, tables, charts and explained texts, all plain values.

It knows neither what they say nor how they look.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from classifine.infer.explain import Explanation

LONGEST = 300  # characters of a text in a table
FILTERED_FROM = 15  # rows; fewer are seen at a glance


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and what it is sorted by where that is something else."""

    text: str
    sort: float | None = None


@dataclass(frozen=True)
class Note:
    """A sentence or two; a warning stands out."""

    text: str
    warning: bool = False
    kind: str = field(default="note", init=False)


@dataclass(frozen=True)
class Listing:
    """Sentences under a heading, each for itself."""

    id: str
    heading: str
    sentences: tuple[str, ...]
    kind: str = field(default="listing", init=False)


@dataclass(frozen=True)
class Table:
    """Rows under a caption; a column holds either numbers or text. `printed` is how many rows go to paper."""

    id: str
    caption: str
    columns: tuple[str, ...]
    rows: list[list[Cell]]
    note: str = ""
    printed: int = 25
    kind: str = field(default="table", init=False)

    @property
    def looks(self) -> tuple[str, ...]:
        """What each column holds: "number"s, "wide" running text, or "short" words that need not be broken; or neither."""
        return tuple(_look([row[i] for row in self.rows]) for i in range(len(self.columns)))

    @property
    def filtered(self) -> bool:
        """Whether it has so many rows that one wants to look for some."""
        return len(self.rows) > FILTERED_FROM


def _look(cells: Sequence[Cell]) -> str:
    if any(cell.sort is not None for cell in cells):
        return "number"
    longest = max((len(cell.text) for cell in cells), default=0)
    return "wide" if longest > 40 else "short" if longest <= 20 else ""


@dataclass(frozen=True)
class Chart:
    """A drawing called `draws` of `data`, with its `title`, a sentence on how to read it, and its numbers as a table."""

    id: str
    draws: str
    title: str
    reading: str
    data: dict[str, Any]
    table: Table | None = None
    kind: str = field(default="chart", init=False)


@dataclass(frozen=True)
class Explained:
    """A text with its words marked by what they add, under a heading; with the score of the label where it has one."""

    heading: str
    explanation: Explanation
    note: str = ""
    scored: bool = True
    kind: str = field(default="explained", init=False)


Block = Note | Listing | Table | Chart | Explained


@dataclass(frozen=True)
class Section:
    """A part of the report under a heading of its own."""

    id: str
    title: str
    blocks: list[Block]


def words(value: Any) -> Cell:
    """Text; of several labels all, of nothing a dash."""
    if isinstance(value, tuple):
        return Cell(", ".join(value) or "none")
    if isinstance(value, float):
        return number(value)
    return Cell("–" if value is None else str(value))


def number(value: float | None, digits: int = 3) -> Cell:
    """A number with so many digits behind the point."""
    return Cell("–") if value is None else Cell(f"{value:.{digits}f}", value)


def count(value: int | None) -> Cell:
    """A whole number, its thousands parted."""
    return Cell("–") if value is None else Cell(f"{value:,}", value)


def share(value: float | None) -> Cell:
    """A share in percent."""
    return Cell("–") if value is None else Cell(f"{value:.1%}", value)


def shortened(text: str) -> str:
    """A text as long as a table has room for."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def joined(parts: Sequence[str | None]) -> str:
    """The texts of a pair, or the one text, for a table."""
    return " ‖ ".join(shortened(part) for part in parts if part is not None)
