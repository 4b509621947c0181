"""What is wrong with labelled texts, all of it at once, before anything is trained.

A fault is an error where nothing honest can be trained, else a warning that says what will be done; `clean` then
does just that. It looks at texts and label names only: how many tokens a text has is told to it by the caller.
"""

import difflib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

from classifine.config import Data
from classifine.data.language import Language
from classifine.data.read import Split, Splits
from classifine.data.row import Text, joined
from classifine.data.values import number_of
from classifine.errors import DataError

OFTEN = 5  # times as many rows as another class: what a name that is nearly its own may be a slip of
NEARLY = 0.85  # the likeness (difflib's ratio) of two names from which on one may be a slip of the other
FEW_ROWS = 10  # a class with fewer training rows gets a warning: its scores will be unsure
_PAIRS = 1_000_000  # of names that are compared, in three seconds
_TOKENISED = 2000  # rows that are tokenised to estimate how many are cut
_SHOWN = 10  # row numbers shown in a message; the JSON report holds them all
_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Fault:
    """One finding: `rows` are row numbers (from 1) in the split's source, `drop` positions (from 0) to leave out."""

    kind: str
    severity: Literal["error", "warning"]
    split: str
    message: str
    action: str
    rows: tuple[int, ...] = ()
    drop: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"{self.message} {self.action}"

    def as_json(self) -> dict[str, Any]:
        """The fault as plain values, all of its row numbers included."""
        keys = ("kind", "severity", "split", "message", "action", "rows")
        return {key: getattr(self, key) for key in keys}


@dataclass(frozen=True)
class DataReport:
    """Every fault found, beside what the data is: rows, classes and length of texts per split."""

    faults: tuple[Fault, ...]
    summary: dict[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that forbid training."""
        return tuple(fault for fault in self.faults if fault.severity == "error")

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """The faults that `clean` deals with."""
        return tuple(fault for fault in self.faults if fault.severity == "warning")

    def raise_errors(self) -> None:
        """DataError that lists every error; nothing where there is none."""
        if self.errors:
            raise DataError.of(str(fault) for fault in self.errors)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values, as it stands in data_report.json."""
        return {**self.summary, "faults": [fault.as_json() for fault in self.faults]}


def normalised(text: Text) -> str:
    """The text as its words alone, in one letter case and one Unicode form: what makes two texts, or pairs, copies."""
    if not isinstance(text, str):
        return "\n".join(map(normalised, text))
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(_WORD.findall(text.casefold())) or text.strip()


def has_words(text: Text) -> bool:
    """Whether a text, or both of a pair, hold more than blanks."""
    return all(part.strip() for part in ([text] if isinstance(text, str) else text))


def check_splits(
    splits: Splits,
    config: Data,
    count_tokens: Callable[[Sequence[str]], list[int]] | None = None,
    max_length: int = 0,
    language: Language | None = None,
) -> DataReport:
    """All faults of `splits`.

    With `count_tokens` (texts -> number of tokens each) also texts beyond `max_length`, with the `language` of train
    also rows in another one.
    """
    faults = [fault for split in splits.all for fault in _missing(split)]
    usable = clean(splits, faults)
    keys = {split.name: [normalised(text) for text in split.texts] for split in usable.all}
    for check in (_labels, _copies, _shared):
        faults += check(usable, keys, config)
    faults = _positions_in(splits, usable, faults)
    # What is left out can be the last of its class, so classes are compared over the rows that stay.
    kept = clean(splits, faults)
    faults += _positions_in(splits, kept, _unseen(kept, config))
    if count_tokens and len(usable.train):
        faults += _too_long(usable.train, count_tokens, max_length)
    if language is not None:
        faults += _foreign(splits.train, language)
    return DataReport(tuple(faults), _summary(splits, language))


def clean(splits: Splits, faults: Iterable[Fault]) -> Splits:
    """The splits without the rows that the faults said would be left out; an emptied evaluation split is gone."""
    drops: dict[str, set[int]] = defaultdict(set)
    for fault in faults:
        drops[fault.split] |= fault.drop

    def kept(split: Split | None) -> Split | None:
        if split is None or not drops[split.name]:
            return split
        left = [i for i in range(len(split)) if i not in drops[split.name]]
        return split.take(left) if left or split.name == "train" else None

    train = kept(splits.train)
    assert train is not None
    return replace(splits, train=train, validation=kept(splits.validation), test=kept(splits.test))


def _missing(split: Split) -> Iterator[Fault]:
    texts, labels, ids = split.texts, split.labels, split.ids
    blank = [i for i, text in enumerate(texts) if text is not None and not has_words(text)]
    found = {
        "missing-text": ("no text", [i for i, text in enumerate(texts) if text is None]),
        "empty-text": ("an empty text", blank),
        "missing-label": ("no label", [i for i, label in enumerate(labels) if label is None]),
    }
    if split.name != "train" and len(found["missing-label"][1]) == len(split):
        yield Fault(
            "unlabelled-split", "warning", split.name, f"{split.source} has no labels at all.",
            f"It cannot judge anything and is left out; a {split.name} split is cut from train.",
            (), frozenset(range(len(split))),
        )  # fmt: skip
        return
    for kind, (words, positions) in found.items():
        if positions:
            name = "unlabelled-rows" if kind == "missing-label" and split.name != "train" else kind
            yield _fault(
                name, split, positions, f"{_count(positions, split)} {_has(positions)} {words}.", "Left out.", ids
            )


def _labels(splits: Splits, keys: dict[str, list[str]], config: Data) -> Iterator[Fault]:
    counts = Counter(chain.from_iterable(splits.train.names))
    if len(set(_unordered(splits.train))) < 2:
        yield _no_choice(splits)
        return
    if len(counts) > 0.5 * len(splits.train) and len(splits.train) > 20:
        yield Fault(
            "too-many-classes", "error", "train",
            f"{splits.train.source} has {len(counts)} classes in {len(splits.train)} rows; expected a label that repeats.",
            "Name the right column with --label.",
        )  # fmt: skip
    if len(set(keys["train"])) < 2:
        yield Fault(
            "one-text", "error", "train", f"All rows of {splits.train.source} carry the same text.", "Check --text."
        )
    yield from _few_rows(splits, counts)
    never = [name for name in splits.columns.indicators if name not in counts]
    if never:
        yield Fault(
            "label-without-rows", "warning", "train", f"No row of {splits.train.source} has 1 in {_names(never)}.",
            "Left out of the labels; nothing can be learned of them.",
        )  # fmt: skip
    yield from _spelling(splits, counts)


def _unordered(split: Split) -> list[Any]:
    """The labels (rows,) as they are compared: several are the same ones in any order."""
    return [frozenset(label) if isinstance(label, tuple) else label for label in split.labels]


def _no_choice(splits: Splits) -> Fault:
    label = next(iter(splits.train.labels), None)
    shown = ", ".join(label) if isinstance(label, tuple) else label
    found = "no row with both text and label" if label is None else f"only the label '{shown}'"
    expected = "numbers that differ" if splits.task == "score" else "two classes or more"
    return Fault(
        "constant-label", "error", "train", f"{splits.train.source} has {found}; expected {expected}.",
        "Check the label column (--label).",
    )  # fmt: skip


def _few_rows(splits: Splits, counts: Counter[str]) -> Iterator[Fault]:
    few = sorted((name for name, count in counts.items() if count < FEW_ROWS), key=lambda name: (counts[name], name))
    if few:
        shown = ", ".join(f"'{name}' {counts[name]}" for name in few[:_SHOWN]) + (" ..." if len(few) > _SHOWN else "")
        yield Fault(
            "few-rows", "warning", "train", f"{len(few)} of {len(counts)} classes {_has(few)} fewer than {FEW_ROWS} rows: {shown}.",
            "They are trained on, but what the report says of them will be unsure; label more of them.",
        )  # fmt: skip


def _spelling(splits: Splits, counts: Counter[str]) -> Iterator[Fault]:
    alike: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        # The marks of a number are part of it: -1 is not 1.
        alike[normalised(name.replace("_", " ")) if number_of(name) is None else name].append(name)
    found = [("differ in spelling only", names) for names in alike.values() if len(names) > 1]
    found += [("are nearly the same", names) for names in _slips(alike, counts)]
    for how, names in found:
        shown = ", ".join(f"'{name}' ({counts[name]} row{'s' * (counts[name] != 1)})" for name in sorted(names))
        yield Fault(
            "label-spelling", "warning", "train", f"Labels that {how}: {shown}.",
            "They are kept apart; write them alike if they are one class.",
        )  # fmt: skip


def _slips(alike: Mapping[str, Sequence[str]], counts: Counter[str]) -> Iterator[list[str]]:
    """The names of each class that is nearly called like others with one or two rows, and the names of those."""
    rows = {key: sum(counts[name] for name in names) for key, names in alike.items() if number_of(key) is None}
    often = [key for key, count in rows.items() if count >= OFTEN]
    slips: dict[str, list[str]] = defaultdict(list)
    seldom = [key for key, count in rows.items() if count <= 2]
    # A column with that many names is not coded by hand, and comparing them would take a minute.
    for key in seldom if len(seldom) * len(often) <= _PAIRS else ():
        near = difflib.get_close_matches(key, often, cutoff=NEARLY)
        # Digits tell classes apart (grade 1, grade 2), however alike the rest is.
        fit = (one for one in near if rows[one] >= OFTEN * rows[key] and _DIGITS.findall(one) == _DIGITS.findall(key))
        if (meant := next(fit, None)) is not None:
            slips[meant] += alike[key]
    for key, names in slips.items():
        yield [*alike[key], *names]


def _unseen(splits: Splits, config: Data) -> Iterator[Fault]:
    counts = Counter(chain.from_iterable(splits.train.names))
    if len(set(_unordered(splits.train))) < 2 or splits.task == "score":
        return
    for split in splits.all[1:]:
        found = split.names
        strange = [i for i, names in enumerate(found) if not counts.keys() >= set(names)]
        if strange:
            names = sorted({name for i in strange for name in found[i]} - set(counts))
            message = f"{_count(strange, split)} {_has(strange)} a label that train lacks: {_names(names)}."
            if config.drop_unseen:
                yield _fault("unseen-class", split, strange, message, "Left out (--drop-unseen).", split.ids)
            else:
                action = "Correct them, add such rows to train, or leave them out with --drop-unseen."
                yield replace(_fault("unseen-class", split, strange, message, action, split.ids), severity="error")
        absent = sorted(set(counts) - set(chain.from_iterable(found)))
        if absent:
            yield Fault(
                "absent-class", "warning", split.name, f"{split.source} has no row of {len(absent)} of the {len(counts)} classes of train: {_names(absent)}.",
                "Nothing will be known about them from this split.",
            )  # fmt: skip


def _copies(splits: Splits, keys: dict[str, list[str]], config: Data) -> Iterator[Fault]:
    for split in splits.all:
        texts, ids, labels = split.texts, split.ids, _unordered(split)
        groups: dict[str, list[int]] = defaultdict(list)
        for i, key in enumerate(keys[split.name]):
            groups[key].append(i)
        repeated = [group for group in groups.values() if len(group) > 1]
        clashes = [group for group in repeated if len({labels[i] for i in group}) > 1]
        exact, near = _later_copies(repeated, texts)
        training = split.name == "train"
        for kind, positions, words in (
            ("duplicate", exact, "the text of an earlier row"),
            ("near-duplicate", near, "the text of an earlier row but for case, spaces or marks"),
        ):
            if positions:
                dropped = training and config.drop_duplicates
                action = "Left out (--drop-duplicates)." if dropped else (
                    "Kept; --drop-duplicates leaves them out." if training else "Kept."
                )  # fmt: skip
                message = f"{_count(positions, split)} {_has(positions)} {words}."
                yield _fault(kind, split, positions, message, action, ids, dropped)
        if clashes:
            positions = sorted(i for group in clashes for i in group)
            dropped = training and config.drop_conflicts
            action = _action_on_conflicts(config) if training else "Kept."
            message = f"{_count(positions, split)} share a text but not its label ({len(clashes)} such text{'s' * (len(clashes) != 1)})."
            yield _fault("conflicting-labels", split, positions, message, action, ids, dropped)


def _action_on_conflicts(config: Data) -> str:
    if config.drop_conflicts:
        return "Left out (--drop-conflicts)."
    if config.drop_duplicates:
        return "The first row of each text stays, with its label; correct them, or leave all out with --drop-conflicts."
    return "Kept; correct them, or leave them out with --drop-conflicts."


def _later_copies(groups: Iterable[list[int]], texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Positions of all but the first of each group: letter for letter the same as an earlier one, or only nearly."""
    exact: list[int] = []
    near: list[int] = []
    for group in groups:
        seen = {texts[group[0]]}
        for i in group[1:]:
            (exact if texts[i] in seen else near).append(i)
            seen.add(texts[i])
    return sorted(exact), sorted(near)


def _shared(splits: Splits, keys: dict[str, list[str]], config: Data) -> Iterator[Fault]:
    later: set[str] = set()
    for split in reversed(splits.all):
        shared = [i for i, key in enumerate(keys[split.name]) if key in later]
        if shared:
            others = "validation or test" if split.name == "train" else "test"
            message = f"{_count(shared, split)} {_has(shared)} a text that is also in {others}."
            if config.keep_shared:
                action = "Kept (--keep-shared): the report will flatter."
                yield _fault("shared-rows", split, shared, message, action, split.ids, False)
            else:
                action = f"Left out of {split.name}, so that the report stays honest (--keep-shared keeps them)."
                fault = _fault("shared-rows", split, shared, message, action, split.ids)
                yield fault if len(shared) < len(split) else _nothing_left(fault, split)
        later |= set(keys[split.name])


def _nothing_left(fault: Fault, split: Split) -> Fault:
    action = "Give other rows, or train on them all the same with --keep-shared."
    return replace(
        fault, severity="error", message=f"Every row of {split.source} is also in a later split.", action=action
    )


def _too_long(train: Split, count_tokens: Callable[[Sequence[str]], list[int]], max_length: int) -> Iterator[Fault]:
    # A token is at least a byte, so a text of no more bytes than that cannot be cut.
    texts = list(map(joined, train.texts))
    candidates = [
        i for i, text in enumerate(texts) if len(text) > max_length // 4 and len(text.encode()) > max_length - 2
    ]
    step = max(1, len(candidates) // _TOKENISED)
    looked_at = candidates[::step]
    cut = [i for i, n in zip(looked_at, count_tokens([texts[i] for i in looked_at]), strict=True) if n > max_length]
    if cut:
        count = len(cut) * step
        about = "About " if step > 1 else ""
        ids = train.ids
        yield Fault(
            "too-long", "warning", "train",
            f"{about}{count} row{'s' * (count != 1)} of {train.source} ({count / len(train):.1%}) {'have' if count != 1 else 'has'} more than {max_length} tokens, such as {_rows([ids[i] for i in cut])}.",
            "Their end is cut off; --max-length changes that, --long head-tail keeps the beginning and the end, and "
            "--long windows reads all of them.", tuple(ids[i] for i in cut),
        )  # fmt: skip


def _foreign(train: Split, language: Language) -> Iterator[Fault]:
    # In a mixture no language is the foreign one.
    if language.foreign and not language.mixed:
        all_rows = len(train) == language.looked_at
        looked = "" if all_rows else f" (of {language.looked_at} that were looked at)"
        message = f"{_count(language.foreign, train)} {_has(language.foreign)} a text in another language than {language.code}{looked}."
        yield _fault(
            "other-language",
            train,
            language.foreign,
            message,
            "Kept; remove them if they do not belong.",
            train.ids,
            False,
        )


def _summary(splits: Splits, language: Language | None) -> dict[str, Any]:
    result: dict[str, Any] = {
        "language": None if language is None else {"code": language.code, "shares": dict(language.shares)},
        "task": splits.task,
        "columns": splits.columns.as_json(),
        "splits": {},
    }
    result["notes"] = list(splits.notes)
    for split in splits.all:
        lengths = sorted(len(joined(text)) for text in split.texts if text) or [0]
        counts = Counter(chain.from_iterable(split.names))
        scores = [score for score in split.labels if score is not None] if splits.task == "score" else []
        result["splits"][split.name] = {
            "source": split.source,
            "rows": len(split),
            "classes": dict(sorted(counts.items())),
            **({"scores": {"lowest": min(scores), "highest": max(scores)}} if scores else {}),
            "characters": {"median": lengths[len(lengths) // 2], "longest": lengths[-1]},
        }
    return result


def _positions_in(splits: Splits, usable: Splits, faults: Iterable[Fault]) -> list[Fault]:
    """The faults with `drop` counted in `splits` where it was counted in `usable`, the same rows less the missing."""
    result: list[Fault] = []
    for fault in faults:
        before = next(split for split in splits.all if split.name == fault.split)
        after = next((split for split in usable.all if split.name == fault.split), None)
        if after is not None and after is not before and fault.drop and not _about_missing(fault):
            place = {row: i for i, row in enumerate(before.ids)}
            ids = after.ids
            fault = replace(fault, drop=frozenset(place[ids[i]] for i in fault.drop))
        result.append(fault)
    return result


def _about_missing(fault: Fault) -> bool:
    return fault.kind in ("missing-text", "empty-text", "missing-label", "unlabelled-rows", "unlabelled-split")


def _fault(
    kind: str, split: Split, positions: Sequence[int], message: str, action: str, ids: Sequence[int], drop: bool = True
) -> Fault:
    rows = tuple(ids[i] for i in positions)
    return Fault(kind, "warning", split.name, message, action, rows, frozenset(positions if drop else ()))


def _count(positions: Sequence[int], split: Split) -> str:
    """`1 row (7) of a.csv` or `12 rows (3, 9, ...) of a.csv`."""
    ids = split.ids
    numbers = _rows([ids[i] for i in positions], "")
    return f"{len(positions)} row{'s' * (len(positions) != 1)} ({numbers}) of {split.source}"


def _has(counted: Sequence[Any]) -> str:
    return "has" if len(counted) == 1 else "have"


def _rows(ids: Sequence[int], word: str = "row ") -> str:
    return word + ", ".join(map(str, ids[:_SHOWN])) + (", ..." if len(ids) > _SHOWN else "")


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
