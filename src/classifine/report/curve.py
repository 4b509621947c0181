"""Would more labels help? A simple classifier on growing parts of the rows, and what twice as many would bring.

The error falls about as a power of the number of rows (Cortes et al. 1993, "Learning Curves: Asymptotic Values and Rate
of Convergence"), so a straight line through the logarithms of both goes on beyond the rows that are there. The classifier
is the cheap one of `suspects`; a fine-tuned one stands higher, and what it gains from more labels is of the same kind.
It knows nothing about texts or files.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import Decision
from classifine.labels import Labels
from classifine.metrics import HEADLINE, judge, per_class
from classifine.report.suspects import Floats, folds, scores_of, strata_of

FEWEST = 20  # labelled rows: of fewer the smallest part would have less than two
SHARES = (0.125, 0.25, 0.5, 1.0)  # of the training rows of a fold, each part inside the next


@dataclass(frozen=True)
class Point:
    """What so many training rows reach: the metric over the folds, and the F1 of each class (none of a number)."""

    rows: int
    value: float
    classes: tuple[float, ...] = ()


@dataclass(frozen=True)
class Curve:
    """The metric by rows, the gain that twice the rows would bring, its standard error over folds, and of each class."""

    metric: str
    labels: tuple[str, ...]
    points: tuple[Point, ...]
    gain: float
    spread: float
    class_gains: tuple[float, ...]

    def as_json(self) -> dict[str, Any]:
        """The curve as plain values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The curve in words, the classes that gain most first."""
        for point in self.points:
            yield f"{point.rows:8} training rows: {self.metric} {point.value:.4f}"
        yield (
            f"twice as many labels: about {100 * self.gain:+.1f} points of {self.metric} (standard error {100 * self.spread:.2f}), "
            "by a simple classifier on sentence vectors"
        )
        order = sorted(zip(self.class_gains, self.labels, self.points[-1].classes, strict=False), reverse=True)
        for gain, name, now in order:
            yield f"  {name}: f1 {now:.3f}, about {100 * gain:+.1f} points"


def learning_curve(
    vectors: Floats, targets: NDArray[Any], labels: Labels, families: NDArray[Any], seed: int
) -> Curve | None:
    """The curve of rows with `vectors` (rows, width) and `targets` as `Labels.targets` gives them; None of too few.

    `families` (rows,) are their copies, which stay in one fold. Every fold judges the classifiers that were fitted to
    parts of the others, each part with the same shares of the classes.
    """
    if len(targets) < FEWEST or not len(labels):
        return None
    strata = strata_of(targets, labels.task)
    fold, metric = folds(strata, families, seed), HEADLINE[labels.task][0]
    metric = "macro_f1" if labels.task == "single" else metric
    decision = Decision(labels.task)
    values, counts = defaultdict[float, list[float]](list), defaultdict[float, list[int]](list)
    scores = {share: np.zeros((len(vectors), len(labels))) for share in SHARES}
    for held in np.unique(fold):
        out, rest = fold == held, _spread(np.flatnonzero(fold != held), strata, seed)
        for share in SHARES:
            part = rest[: max(2, round(share * len(rest)))]
            scores[share][out] = scores_of(vectors[part], targets[part], vectors[out], labels.task, len(labels))
            values[share].append(judge(targets[out], scores[share][out], decision)[metric])
            counts[share].append(len(part))
    classes = {share: _classes(targets, scores[share], decision, labels) for share in SHARES}
    points = [Point(round(np.mean(counts[s])), float(np.mean(values[s])), classes[s]) for s in SHARES]
    sizes = [point.rows for point in points]
    gains = [gain_of_doubling(sizes, [values[share][i] for share in SHARES]) for i in range(len(values[1.0]))]
    of_classes = [gain_of_doubling(sizes, found) for found in zip(*classes.values(), strict=True)]
    spread = float(np.std(gains, ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else 0.0
    names = labels.names if labels.task != "score" else ()
    return Curve(metric, names, tuple(points), float(np.mean(gains)), spread, tuple(of_classes))


def gain_of_doubling(rows: Sequence[int], values: Sequence[float]) -> float:
    """What a metric that is 1 at best gains from twice the most `rows`, by a power of the rows fitted to its error.

    Never negative: more labels do no harm, and a line that says so was drawn by chance.
    """
    error = np.log(np.clip(1 - np.asarray(values), 1e-6, None))
    slope = float(np.polyfit(np.log(rows), error, 1)[0])
    return max(0.0, (1 - float(values[-1])) * (1 - float(2.0**slope)))


def _spread(rows: NDArray[Any], strata: Sequence[Any], seed: int) -> NDArray[Any]:
    """The rows in an order whose every beginning has each stratum with its share."""
    order = np.random.default_rng(seed).permutation(rows)
    of_stratum: dict[Any, list[int]] = defaultdict(list)
    for row in order.tolist():
        of_stratum[strata[row]].append(row)
    placed = [((i + 0.5) / len(found), row) for found in of_stratum.values() for i, row in enumerate(found)]
    return np.array([row for _, row in sorted(placed)], dtype=np.int64)


def _classes(targets: NDArray[Any], scores: Floats, decision: Decision, labels: Labels) -> tuple[float, ...]:
    if labels.task == "score":
        return ()
    return tuple(score.f1 for score in per_class(targets, decision.choose(scores), labels.names))
