"""Two classifiers on the same rows: whether the one is better, or the rows cannot tell.

Accuracy by McNemar's exact test on the rows that one of them has right and the other wrong (McNemar 1947; Dietterich
1998), every other metric by the paired bootstrap (Efron and Tibshirani 1993, chapter 16; Berg-Kirkpatrick 2012). It
knows nothing about networks or files.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import Decision, Floats
from classifine.metrics import HEADLINE, LOWER_IS_BETTER
from classifine.report.intervals import LEVEL, Summed, resamples, summed_up, unstratified, unvaried

ALPHA = 1 - LEVEL


@dataclass(frozen=True)
class Difference:
    """One metric of both, their difference (second less first) with its 95 % interval, and how likely chance is."""

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    test: str

    @property
    def better(self) -> int:
        """0 where the rows show no difference, else 1 or 2: which of them is better."""
        if self.p >= ALPHA or not self.difference:
            return 0
        return 1 + ((self.difference > 0) != (self.metric in LOWER_IS_BETTER))


@dataclass(frozen=True)
class Comparison:
    """What `rows` rows say of two classifiers, called by `names`; the first difference is the one that decides."""

    names: tuple[str, str]
    rows: int
    differences: tuple[Difference, ...]

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        found = self.differences[0]
        # The one that is better stands first, and the difference is what it has more; else what the second has more.
        turned = found.better == 2
        names, values = ((pair[::-1] if turned else pair) for pair in (self.names, (found.first, found.second)))
        # Added so that nothing is not less than nothing.
        points = [100 * (-one if found.better == 1 else one) + 0.0 for one in (found.difference, found.low, found.high)]
        low, high = sorted(points[1:])
        numbers = (
            f"{found.metric.replace('_', ' ')} {values[0]:.4f} {'against' if found.better else 'and'} {values[1]:.4f}, {points[0]:+.2f} points "
            f"(95 %: {low:+.2f} to {high:+.2f}), p = {found.p:.3g} by {found.test}"
        )
        if not found.better:
            return f"No difference that {self.rows} rows could show between {names[0]} and {names[1]}: {numbers}."
        return f"{names[0]} is better than {names[1]} on {self.rows} rows: {numbers}."

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain values."""
        return {
            "first": self.names[0], "second": self.names[1], "rows": self.rows, "verdict": self.verdict,
            "better": self.differences[0].better, "differences": [asdict(one) for one in self.differences],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """The comparison in words and a table."""
        yield self.verdict
        width = max(len(one.metric) for one in self.differences)
        yield ""
        yield f"{'metric':{width}}    first   second   second - first   95 % interval            p"
        for one in self.differences:
            interval = f"{one.low:+.4f} to {one.high:+.4f}"
            yield f"{one.metric:{width}} {one.first:8.4f} {one.second:8.4f}         {one.difference:+8.4f}   {interval:19} {one.p:8.3g}"


def compare(
    truth: NDArray[Any], first: Floats, second: Floats, decisions: tuple[Decision, Decision],
    names: tuple[str, str] = ("the first", "the second"), seed: int = 0,
) -> Comparison:  # fmt: skip
    """The Comparison by the scores (rows, labels) of both, each with its own decision; labels in one order."""
    one, other = summed_up(truth, first, decisions[0]), summed_up(truth, second, decisions[1])
    point = [side.of(np.ones((1, len(truth)))) for side in (one, other)]
    drawn = _drawn(one, other, seed)
    # As where both give all rows one answer: by classes drawn apart the rows would seem to know it for certain.
    if fixed := [
        name for name in drawn if unvaried(drawn[name]) and not unvaried(np.append(*(p[name] for p in point)))
    ]:
        free = _drawn(unstratified(one), other, seed)
        drawn |= {name: free[name] for name in fixed}
    task = decisions[0].task
    wanted = dict.fromkeys([*HEADLINE[task], *(name for name in point[0] if not name.endswith("_at_half"))])
    found = [_difference(name, float(point[0][name][0]), float(point[1][name][0]), drawn[name]) for name in wanted]
    if task == "single":
        hits = [decision.choose(scores) == truth for decision, scores in zip(decisions, (first, second), strict=True)]
        found[0] = _by_mcnemar(found[0], *hits)
    return Comparison(names, len(truth), tuple(found))


def _drawn(one: Summed, other: Summed, seed: int) -> dict[str, NDArray[np.float64]]:
    """What each metric of the other has more than that of the one, in each resample (resamples,)."""
    parts: dict[str, list[NDArray[np.float64]]] = {}
    for weights in resamples(one, seed):
        left, right = one.of(weights), other.of(weights)
        for name, values in left.items():
            parts.setdefault(name, []).append(right[name] - values)
    return {name: np.concatenate(part) for name, part in parts.items()}


def _difference(name: str, first: float, second: float, drawn: NDArray[np.float64]) -> Difference:
    low, high = np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2])
    # Twice the share of resamples on the other side of no difference; one is always there, so p is never 0.
    below, above = (drawn <= 0).sum() + 1, (drawn >= 0).sum() + 1
    p = min(1.0, 2 * float(min(below, above)) / (len(drawn) + 1))
    return Difference(name, first, second, second - first, float(low), float(high), p, "the paired bootstrap")


def _by_mcnemar(found: Difference, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    from scipy.stats import binomtest

    gained, lost = int((second & ~first).sum()), int((first & ~second).sum())
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return Difference(
        found.metric, found.first, found.second, found.difference, found.low, found.high, p, "McNemar's test"
    )
