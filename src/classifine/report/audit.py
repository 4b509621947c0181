"""Faults of the data as a list to work through, worst first, and a summary of it.

It puts together what `data.copies`, `suspects` and `curve` find; it knows nothing about networks or files.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import numpy as np

from classifine.data.check import has_words
from classifine.data.copies import Copies, families, near_copies
from classifine.data.read import Split, Splits
from classifine.data.row import joined
from classifine.data.write import in_one
from classifine.labels import Labels, as_name
from classifine.report.curve import Curve, learning_curve
from classifine.report.suspects import Floats, Judged, Suspect, judge_labels, outliers, words_of

Kind = Literal["label-error", "near-duplicate", "outlier"]
KINDS: tuple[Kind, ...] = ("label-error", "near-duplicate", "outlier")
COLUMNS = ("row", "kind", "label", "suggested", "score", "text", "split", "action")
_SHOWN = 5  # pairs of classes in the summary


@dataclass(frozen=True)
class Finding:
    """One line of the list: `row` counts from 1 in `split`, `score` goes from 0, surely a fault, to 1."""

    row: int
    kind: Kind
    label: Any
    suggested: Any
    score: float
    text: str
    split: str

    def as_row(self) -> dict[str, Any]:
        """The line as it stands in the file, with an empty `action` for whoever reviews it.

        Labels are text, whatever they are: their column also tells which row another one copies.
        """
        label, suggested = (
            in_one(list(one)) if isinstance(one, tuple) else as_name(one) for one in (self.label, self.suggested)
        )
        return dict(
            zip(
                COLUMNS,
                (self.row, self.kind, label, suggested, round(self.score, 6), self.text, self.split, ""),
                strict=True,
            )
        )


@dataclass(frozen=True)
class Audit:
    """The findings, first all label errors, then near duplicates, then outliers, each worst first; and the summary."""

    findings: tuple[Finding, ...]
    rows: int
    overlaps: tuple[tuple[str, str, int], ...] = ()
    rare: tuple[str, ...] = ()
    curve: Curve | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings of each kind."""
        found = Counter(finding.kind for finding in self.findings)
        return {kind: found[kind] for kind in KINDS}

    def as_json(self) -> dict[str, Any]:
        """The summary as plain values."""
        return {
            "rows": self.rows,
            "found": self.counts,
            "overlapping_classes": [{"classes": [one, other], "rows": rows} for one, other, rows in self.overlaps],
            "too_rare_to_judge": list(self.rare),
            "learning_curve": None if self.curve is None else self.curve.as_json(),
        }

    def lines(self) -> Iterator[str]:
        """The summary in words."""
        for kind, count in self.counts.items():
            yield f"{kind:15} {count:6} of {self.rows} rows ({count / max(self.rows, 1):.1%})"
        for one, other, rows in self.overlaps[:_SHOWN]:
            yield f"classes that overlap: '{one}' and '{other}', about {rows} rows"
        if self.rare:
            yield f"too few rows to judge their labels: {', '.join(self.rare[:20])}"
        if self.curve is not None:
            yield from self.curve.lines()


@dataclass(frozen=True)
class Rows:
    """The rows of all splits one behind the other, train first: those that have a text."""

    splits: tuple[Split, ...]
    labels: Labels

    @classmethod
    def of(cls, found: Splits) -> "Rows":
        """The rows of `found` with a text; the labels are those of all splits, in the order of train's."""
        kept = [part.take([i for i, text in enumerate(part.texts) if text and has_words(text)]) for part in found.all]
        names = set(chain.from_iterable(chain.from_iterable(part.names for part in kept)))
        known = found.label_set
        if found.task != "score" and names - set(known.names):
            known = Labels.ordered({*names, *known.names}, "str", found.task)
        return cls(tuple(kept), known)

    @property
    def texts(self) -> list[Any]:
        """Texts, or pairs of them (rows,)."""
        return list(chain.from_iterable(part.texts for part in self.splits))

    @property
    def given(self) -> list[Any]:
        """Label values (rows,), None where a row has none."""
        return list(chain.from_iterable(part.labels for part in self.splits))

    @property
    def places(self) -> list[tuple[str, int]]:
        """(split, row number) of each row."""
        return [(part.name, number) for part in self.splits for number in part.ids]


def audit(rows: Rows, vectors: Floats, curve: bool, seed: int) -> Audit:
    """The faults of rows with `vectors` (rows, width) of length 1; with `curve` what more labels would bring."""
    texts, given, places = rows.texts, rows.given, rows.places
    copies = near_copies(texts)
    family = families(texts, copies)
    labelled = np.array([i for i, label in enumerate(given) if label is not None], dtype=np.int64)
    targets = rows.labels.targets([given[i] for i in labelled])
    words = words_of(texts)
    views = [view[labelled] for view in (vectors, words) if view is not None]
    judged = judge_labels(views, targets, rows.labels.task, family[labelled], seed) if len(labelled) else Judged()
    found: list[tuple[Kind, int, Any, float]] = []
    found += [("label-error", int(labelled[one.row]), _named(one, rows.labels), one.score) for one in judged.errors]
    found += [("near-duplicate", *line) for line in _copies(copies, places)]
    found += [("outlier", one.row, None, one.score) for one in outliers(vectors, seed)]
    findings = tuple(
        Finding(places[i][1], kind, given[i], suggested, score, joined(texts[i]), places[i][0])
        for kind, i, suggested, score in found
    )
    names = rows.labels.names
    overlaps = tuple((names[one.one], names[one.other], one.rows) for one in judged.overlaps)
    drawn = (
        learning_curve(vectors[labelled], targets, rows.labels, family[labelled], seed)
        if curve and len(labelled)
        else None
    )
    return Audit(findings, len(texts), overlaps, tuple(names[i] for i in judged.rare), drawn)


def _named(one: Suspect, labels: Labels) -> Any:
    if labels.task == "score":
        return round(one.suggested, 4)
    return tuple(labels.decode(one.suggested)) if labels.task == "multi" else labels.names[one.suggested]


def _copies(copies: Sequence[Copies], places: Sequence[tuple[str, int]]) -> Iterator[tuple[int, str, float]]:
    """(row, name of the row that it copies, score), the likest first, each row once with its likest copy.

    Of two rows of one split the later is listed; of two splits both are, since either may be the one to go.
    """
    seen: set[int] = set()
    for pair in copies:
        across = places[pair.first][0] != places[pair.second][0]
        for row, other in ((pair.second, pair.first), (pair.first, pair.second))[: 1 + across]:
            if row not in seen:
                seen.add(row)
                split, number = places[other]
                yield row, f"row {number} of {split}", 1 - pair.likeness
