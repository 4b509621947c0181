"""Labels in the cells of files: a new one is written as the other rows of its column have theirs.

It knows what the cells of a file can say, and nothing about why a row gets another label.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import pyarrow as pa

from classifine.data.columns import Columns
from classifine.data.formats import Row, Table
from classifine.data.lists import WRITTEN, as_written, list_in
from classifine.data.write import BAR
from classifine.labels import as_name

_WITHOUT_LISTS = ("csv", "tsv", "xlsx")


@dataclass(frozen=True)
class Cells:
    """The cells of a split that is written as `form`.

    `names` are all its columns, `samples` has a value of each column with labels, and `values` what stands for the names
    that are not text; `lists` tells whether a cell holds a list of labels.
    """

    columns: Columns
    form: str
    names: tuple[str, ...] = ()
    samples: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    lists: bool = False

    def trouble(self, label: Any) -> str | None:
        """Why no cell could be read again as `label`, which is a name, a tuple of them or a number; None if one could."""
        if self.columns.indicators or not isinstance(label, tuple) or (self.lists and self.form not in _WITHOUT_LISTS):
            return None
        if self.columns.separator == WRITTEN and not self.lists:
            return None
        mark = BAR if self.lists else self.columns.separator
        cell = f"a cell of '{self.columns.label}' in .{self.form}"
        otherwise = "Write .jsonl instead" if self.lists else "Choose another label, or drop the row"
        if not label:
            return f"none of the labels, which {cell} cannot tell from a missing one. {otherwise}"
        if mark is None and len(label) > 1:
            return f"{len(label)} labels, and {cell} holds one. Name what parts them by --label-separator"
        odd = next((name for name in label if mark and mark in name), None)
        return odd and f"the label '{odd}', which '{mark}' would part in {cell}. {otherwise}"

    def trouble_of(self, row: Row) -> str | None:
        """Why the labels that a row has could not be read again from the new file; None if they could."""
        if not self.lists or self.form not in _WITHOUT_LISTS or not isinstance(row.get(self.columns.label or ""), list):
            return None
        return self.trouble(tuple(name for one in row[self.columns.label or ""] if (name := as_name(one))))

    def filled(self, row: Row, label: Any) -> Row:
        """The row with another label, in the form that it had before or that other rows have."""
        old = {name: self.samples.get(name) if as_name(row.get(name)) is None else row[name] for name in self.samples}
        if self.columns.indicators:
            held = set(label if isinstance(label, tuple) else (label,))
            return {**row, **{name: _flag(old.get(name), name in held) for name in self.columns.indicators}}
        assert self.columns.label is not None
        return {**row, self.columns.label: self._value(old.get(self.columns.label), label)}

    def types(self, known: Mapping[str, Any], labels: Iterable[Any]) -> dict[str, Any]:
        """Arrow's types of columns, as `known` but that whole numbers are floats where one of `labels` is not whole."""
        whole = not any(isinstance(one, float) and not one.is_integer() for one in labels)
        label = {} if whole else {name: kind for name, kind in known.items() if name == self.columns.label}
        return {**known, **{name: pa.float64() for name, kind in label.items() if pa.types.is_integer(kind)}}

    def _value(self, old: Any, label: Any) -> Any:
        if isinstance(label, float):
            if isinstance(old, str):
                return as_name(label)
            return int(label) if isinstance(old, int) and label.is_integer() else label
        if isinstance(label, str):
            return self.values.get(label, label)
        if self.lists:
            return [self.values.get(name, name) for name in label]
        if self.columns.separator == WRITTEN:
            return as_written([self.values.get(name, name) for name in label], old)
        return self.values.get(label[0], label[0]) if len(label) == 1 else (self.columns.separator or BAR).join(label)


def _flag(old: Any, holds: bool) -> Any:
    """Whether a label holds, in the way in which its column tells it."""
    if isinstance(old, str):
        written, word = old.strip(), str(holds)
        if written.lower() not in ("true", "false"):
            return str(int(holds))
        return word.upper() if written.isupper() else word.lower() if written.islower() else word
    return holds if isinstance(old, bool) else int(holds)


def cells_of(tables: Mapping[str, Sequence[Table]], columns: Columns, forms: Mapping[str, str]) -> dict[str, Cells]:
    """The cells of each split, whose rows are looked through, where it is written in the form of `forms`."""
    everywhere: dict[str, Any] = {}  # a row may get a label that only another split has
    found = {}
    for split, parts in tables.items():
        names: dict[str, None] = {}
        samples: dict[str, Any] = {}
        values: dict[str, Any] = {}
        lists = False
        for row in chain.from_iterable(part.rows() for part in parts):
            names.update(dict.fromkeys(row))
            for name in filter(None, (columns.label, *columns.indicators)):
                if as_name(value := row.get(name)) is not None:
                    samples.setdefault(name, value)
            value = row.get(columns.label or "")
            lists = lists or isinstance(value, list)
            if columns.separator == WRITTEN and (written := list_in(value)) is not None:
                value = written
            for one in value if isinstance(value, list) else (value,):
                if not isinstance(one, str) and (known := as_name(one)):
                    values.setdefault(known, one)
        found[split] = Cells(columns, forms[split], tuple(names), samples, values, lists)
        everywhere = {**values, **everywhere}
    # Where a split has text alone, it gets no number.
    return {
        split: replace(cells, values={**everywhere, **cells.values}) if cells.values else cells
        for split, cells in found.items()
    }
