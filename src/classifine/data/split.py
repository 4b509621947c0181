"""Three splits always: what the user gave is kept, what is missing is cut from train.

The cut is stratified by label and seeded, and copies of a text, as pairs that share one, stay on one side. It knows nothing about files,
tokens or networks.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from classifine.config import Data
from classifine.data.check import Fault, clean, normalised
from classifine.data.read import Split, Splits
from classifine.data.row import Text
from classifine.errors import DataError
from classifine.labels import Labels

MAX_VALIDATION = 2000  # rows: standard error of an accuracy near 0.9 is 0.7 points, enough to choose an epoch
MAX_FAMILY = 20  # pairs that are kept together because they share texts
MAX_TEST = 10_000  # rows: the same is 0.3 points


@dataclass(frozen=True)
class ThreeSplits:
    """Train to fit on, validation to choose with, test to report on, once; `notes` say what was cut from where, `spare`
    whether validation was, so that it may be learned from once it has told what it can.
    """

    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()
    spare: bool = False

    @property
    def all(self) -> tuple[Split, Split, Split]:
        """Train, validation, test."""
        return self.train, self.validation, self.test


def prepared(found: Splits, faults: Sequence[Fault], wanted: Data, seed: int) -> tuple[ThreeSplits, Labels]:
    """What a run trains, chooses and reports on: the rows without faults, split and limited as wanted; and its labels.

    Labels are those of all train rows, also where only some of the rows are read.
    """
    three = split(clean(found, faults), wanted.validation_share, wanted.test_share, seed)
    labels = replace(found, train=three.train).label_set
    return limited(three, wanted.max_train_rows, wanted.max_eval_rows, seed), labels


def split(splits: Splits, validation_share: float, test_share: float, seed: int) -> ThreeSplits:
    """Complete `splits` to three. Shares are of the given train rows; cut splits are bounded in rows.

    Raises DataError where too few rows are left for a split.
    """
    train, test, notes = splits.train, splits.test, []
    if test is None:
        rows = min(round(test_share * len(train)), MAX_TEST)
        train, test = _cut(train, rows, "test", seed)
        notes.append(_note(test, train))
    # The share is of the rows that were given, also where test has taken some of them.
    share = validation_share * len(splits.train) / max(len(train), 1)
    train, validation = with_validation(replace(splits, train=train), share, seed)
    if splits.validation is None:
        notes.append(_note(validation, train))
    return ThreeSplits(train, validation, test, tuple(notes), splits.validation is None)


def limited(three: ThreeSplits, train_rows: int | None, eval_rows: int | None, seed: int) -> ThreeSplits:
    """The splits with so many rows at most, drawn by seed; None keeps all."""
    parts, notes = [], list(three.notes)
    for part, rows in zip(three.all, (train_rows, eval_rows, eval_rows), strict=True):
        small = sampled(part, rows, seed)
        if small is not part:
            flag = "--max-train-rows" if part is three.train else "--max-eval-rows"
            lost = sorted(set(chain.from_iterable(part.names)) - set(chain.from_iterable(small.names)))
            without = f"; none of them has {', '.join(lost[:10])}" if lost else ""
            notes.append(f"{part.name}: {len(small)} of {len(part)} rows drawn ({flag}){without}")
        parts.append(small)
    train, validation, test = parts
    return ThreeSplits(train, validation, test, tuple(notes), three.spare)


def sampled(part: Split, rows: int | None, seed: int) -> Split:
    """Exactly `rows` rows in their order, each class with its share, as far as there is room one row at the least.

    The split itself where it has no more, or where `rows` is None.
    """
    if rows is None or rows >= len(part):
        return part
    groups: dict[str, list[int]] = defaultdict(list)
    for i, stratum in enumerate(strata(part)):
        groups[stratum].append(i)
    draw = random.Random(seed)
    for group in groups.values():
        draw.shuffle(group)
    # The rows of each class spread evenly over 0 to 1; the first of each comes before all others.
    order = sorted(
        (rank > 0, (rank + 0.5) / len(group), i) for group in groups.values() for rank, i in enumerate(group)
    )
    return part.take(sorted(i for _, _, i in order[:rows]))


def with_validation(splits: Splits, share: float, seed: int) -> tuple[Split, Split]:
    """(train, validation): the validation rows that were given, else a share of train set aside."""
    train, validation = splits.train, splits.validation
    if validation is None:
        rows = min(round(share * len(train)), MAX_VALIDATION)
        train, validation = _cut(train, rows, "validation", seed + 1)
    if len(set(strata(train))) < 2:
        raise DataError(f"Too few rows of {train.source} are left to train on ({len(train)}). Add rows.")
    return train, validation


def _note(part: Split, train: Split) -> str:
    return f"{part.name}: {len(part)} rows cut from {train.source} (--{part.name} FILE gives your own)"


def _cut(source: Split, rows: int, name: str, seed: int) -> tuple[Split, Split]:
    """About `rows` rows of `source` as a new split, and the rest; both in the order of `source`."""
    groups = _families(source.texts)
    labels = strata(source)
    by_label: dict[str, list[list[int]]] = defaultdict(list)
    for group in groups:
        by_label[labels[group[0]]].append(group)
    chosen: set[int] = set()
    draw = random.Random(seed)
    share = rows / max(len(source), 1)
    # A row with several labels stands for its rarest one alone, but takes all of them along.
    carried = [{stratum, *names} for stratum, names in zip(labels, source.names, strict=True)]
    left = Counter(chain.from_iterable(carried))
    for label in sorted(by_label):
        chosen |= _draw(by_label[label], share, draw, carried, left)
    if not chosen:
        raise DataError(
            f"{source.source} has too few distinct texts ({len(groups)}) to cut a {name} split from. "
            f"Add rows, or give --{name} FILE."
        )
    rest = [i for i in range(len(source)) if i not in chosen]
    return source.take(rest), source.take(sorted(chosen), name)


def _families(texts: Sequence[Text]) -> list[list[int]]:
    """Positions of the rows that stay on one side: those of one text, and of pairs those that share one of their texts.

    What is learned of a premise holds for its other rows, too, so they would make a network look better than it is.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for i, text in enumerate(texts):
        copies[normalised(text)].append(i)
    alike = list(copies.values())
    if not texts or isinstance(texts[0], str):
        return alike
    sharing: dict[str, list[int]] = defaultdict(list)
    for i, group in enumerate(alike):
        for text in set(map(normalised, texts[group[0]])):
            sharing[text].append(i)
    links = [(i, shared[0]) for shared in sharing.values() if len(shared) <= MAX_FAMILY for i in shared]
    ones, others = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = sparse.coo_array((np.ones(len(links)), (ones, others)), shape=(len(alike), len(alike)))
    families: dict[int, list[int]] = defaultdict(list)
    for i, family in enumerate(connected_components(graph, directed=False)[1].tolist()):
        families[family].append(i)
    result: list[list[int]] = []
    for members in families.values():
        rows = [alike[i] for i in members]
        # A chain of ever more rows would leave nothing to learn from.
        result += [sorted(chain.from_iterable(rows))] if len(members) <= MAX_FAMILY else rows
    return result


def strata(part: Split) -> list[str]:
    """What each row (rows,) stands for when a cut is to keep the shares: its label, its rarest one, or a tenth of
    the scores in their order.
    """
    labels, names = part.labels, part.names
    if any(names):
        counts = Counter(chain.from_iterable(names))
        return [min(found, key=lambda name: (counts[name], name)) if found else "" for found in names]
    ranks = {score: rank for rank, score in enumerate(sorted(set(labels)))}
    return [str(10 * ranks[score] // len(ranks)) for score in labels]


def _draw(
    groups: Sequence[list[int]], share: float, draw: random.Random, carried: Sequence[set[str]], left: Counter[str]
) -> set[int]:
    """Rows of about `share` of a class in whole groups; at least one group if the class has three, never all.

    What is taken is subtracted from `left`, the rows of each label that the source keeps, by the labels that each row
    has `carried`.
    """
    total = sum(map(len, groups))
    wanted = max(round(share * total), 1 if len(groups) >= 3 else 0)
    shuffled = list(groups)
    draw.shuffle(shuffled)
    taken: set[int] = set()
    for group in shuffled[1:]:
        # A group that overshoots by more than it fills would bend the class's share.
        fits = len(taken) < wanted and len(taken) + len(group) <= wanted + len(group) // 2
        # Copies of a text may carry several labels, so a group can hold the last row of another class.
        lost = Counter(chain.from_iterable(carried[i] for i in group))
        if fits and all(left[label] > count for label, count in lost.items()):
            taken |= set(group)
            left -= lost
    return taken
