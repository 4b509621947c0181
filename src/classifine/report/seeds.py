"""Two recipes over the same seeds: whether the one that a search found is better than the default one.

The difference of their means has two sources of chance: the seeds, whose differences are paired, and the rows that both
are judged on, by the paired bootstrap. It knows nothing about networks or files.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.special import ndtri

from classifine.labels import Task
from classifine.metrics import LOSS, LOWER_IS_BETTER
from classifine.report.compare import Comparison
from classifine.report.intervals import LEVEL


@dataclass(frozen=True)
class OverSeeds:
    """What `metric` is for the default and for the found recipe (seeds,), and the standard error that rows add to its difference."""

    metric: str
    seeds: tuple[int, ...]
    default: tuple[float, ...]
    found: tuple[float, ...]
    rows_error: float

    @property
    def gain(self) -> float:
        """By how much the found one is better on average; negative where it is worse."""
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        return sign * statistics.mean(b - a for a, b in zip(self.default, self.found, strict=True))

    @property
    def error(self) -> float:
        """The standard error of the gain."""
        differences = [b - a for a, b in zip(self.default, self.found, strict=True)]
        return math.hypot(statistics.stdev(differences) / math.sqrt(len(differences)), self.rows_error)

    @property
    def better(self) -> bool:
        """Whether the found one is better by more than one standard error."""
        return self.gain > self.error

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        means = f"{statistics.mean(self.found):.4f} against {statistics.mean(self.default):.4f}"
        numbers = f"{self.metric} {means} on validation rows over {len(self.seeds)} seeds, a gain of {self.gain:+.4f} (standard error {self.error:.4f})"
        if self.better:
            return f"The best trial's recipe is better than the default one by more than one standard error, and is kept: {numbers}."
        return f"The best trial's recipe is not better than the default one by more than one standard error, so the default is kept: {numbers}."

    def as_json(self) -> dict[str, Any]:
        """The numbers and what follows from them, as plain values."""
        return {**asdict(self), "gain": self.gain, "error": self.error, "better": self.better}


def rows_error(comparisons: Sequence[Comparison], metric: str, task: Task) -> float:
    """The standard error that rows give the difference in `metric`, from the intervals of the seeds' comparisons.

    It is about the same for each seed, and does not fall with their number: they are judged on the same rows.
    """
    wanted = LOSS[task] if metric == "loss" else metric
    widths = [one.high - one.low for each in comparisons for one in each.differences if one.metric == wanted]
    return statistics.mean(widths) / float(2 * ndtri((1 + LEVEL) / 2)) if widths else 0.0
