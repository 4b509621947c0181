"""When a classifier should not answer, as validation rows show it: the score that a wanted accuracy takes, sets of
labels that hold the true one as often as is wanted, and texts unlike all that it knows.

It knows nothing about texts or networks.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import HALF, Decision, Floats
from classifine.errors import ConfigError

_POINTS = 200  # of a curve that is kept
_KEPT = 2000  # of the validation rows' misfits
UNLIKE = 0.01  # share of validation rows that would be taken for unlike


@dataclass(frozen=True)
class Doubt:
    """What validation rows say of the scores.

    `answered` holds (share of rows that is answered, lowest score among them, accuracy on them), the surest first.
    `misfits` are 1 - (score of the true label), of several labels the worst, in order, of `rows` rows. `likeness` is
    the value below which a text is unlike them.
    """

    answered: tuple[tuple[float, float, float], ...]
    misfits: tuple[float, ...]
    rows: int
    likeness: float

    @classmethod
    def fit(cls, logits: Floats, truth: NDArray[Any], decision: Decision) -> "Doubt":
        """The Doubt by validation rows' logits (rows, labels), with the decision that was fitted to them."""
        scores = decision.scores(logits)
        curve: tuple[tuple[float, float, float], ...] = ()
        if decision.task == "multi":
            true = np.asarray(truth) > HALF
            misfit = np.where(true, 1 - scores, 0).max(axis=1)
        else:
            misfit = 1 - scores[np.arange(len(truth)), truth]
            curve = answered_curve(scores.max(axis=1), decision.choose(scores) == truth)
        # Where few of many are kept they are the larger ones, so that sets rather hold too much than too little.
        order = np.sort(misfit)
        kept = np.ceil(np.arange(1, min(len(order), _KEPT) + 1) * len(order) / min(len(order), _KEPT)).astype(int) - 1
        misfits = tuple(math.ceil(value * 1e6) / 1e6 for value in order[kept])
        low = float(np.quantile(likeness(logits, decision), UNLIKE))
        return cls(curve, misfits, len(order), low)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Doubt":
        """The Doubt that a record holds."""
        answered = tuple((share, score, accuracy) for share, score, accuracy in found["answered"])
        return cls(answered, tuple(found["misfits"]), found["rows"], found["likeness"])

    def as_json(self) -> dict[str, Any]:
        """What the record keeps."""
        return {
            "answered": [list(point) for point in self.answered], "misfits": list(self.misfits), "rows": self.rows,
            "likeness": self.likeness,
        }  # fmt: skip

    def threshold(self, accuracy: float) -> tuple[float, float, float]:
        """(score, share, reached): answer from this score on, and this share of rows like validation's is answered,
        of which so many are right: `accuracy` at least, also with one more error among them.

        The best of many points flatters where rows are few; with the further error the share of wrong answers among new
        ones is on average what was asked for (Angelopoulos et al. 2022, "Conformal Risk Control"). ConfigError where
        the rows do not show so much, or where several labels are decided on.
        """
        if not self.answered:
            raise ConfigError(
                "--accuracy and --abstain are for classifiers that choose one label; this one does not. Drop it."
            )
        sure = [self._with_one_more_error(share, reached) for share, _, reached in self.answered]
        fitting = [point for point, least in zip(self.answered, sure, strict=True) if least >= accuracy]
        if not fitting:
            raise ConfigError(
                f"--accuracy is {accuracy:g}; {self.rows} validation rows show {max(sure):.3f} at most, however few are "
                "answered. Lower it, or train with more validation rows."
            )
        share, score, reached = max(fitting)
        return score, share, reached

    def _with_one_more_error(self, share: float, reached: float) -> float:
        answered = share * self.rows
        return answered * reached / (answered + 1)

    def misfit(self, coverage: float) -> float:
        """The misfit up to which a label belongs to the set that holds the truth with this probability at least.

        Split conformal prediction (Vovk 2005; Sadinle 2019, "Least Ambiguous Set-Valued Classifiers"): the
        ceil((n + 1) coverage)-th smallest of n misfits.
        """
        rank = math.ceil((self.rows + 1) * coverage)
        if rank > self.rows:
            return 1.0
        return self.misfits[math.ceil(rank * len(self.misfits) / self.rows) - 1]

    def sets(self, scores: Floats, coverage: float) -> NDArray[np.bool_]:
        """Which labels (rows, labels) belong to each row's set."""
        return np.asarray(1 - scores <= self.misfit(coverage) + 1e-9)


def likeness(logits: Floats, decision: Decision) -> NDArray[np.float64]:
    """How like the training texts each row (rows,) is: the negative free energy of its logits (rows, labels).

    Liu et al. 2020, "Energy-based Out-of-distribution Detection"; of several labels the sum over them (Wang 2021).
    """
    values = np.asarray(logits, dtype=np.float64)
    if decision.task == "multi":
        return np.asarray(np.logaddexp(0, values).sum(axis=-1))
    return np.asarray(np.logaddexp.reduce(values, axis=-1))


def answered_curve(sure: Floats, right: NDArray[np.bool_]) -> tuple[tuple[float, float, float], ...]:
    """(share of rows (n,) that is answered, lowest score among them, share of them that is right), the surest first."""
    order = np.argsort(-sure, kind="stable")
    ranked, accuracy = sure[order], np.cumsum(right[order]) / np.arange(1, len(sure) + 1)
    # Rows with one score are answered together or not at all.
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    ends = ends[np.unique(np.linspace(0, len(ends) - 1, min(len(ends), _POINTS)).astype(int))]
    return tuple(((int(i) + 1) / len(sure), round(float(ranked[i]), 9), round(float(accuracy[i]), 6)) for i in ends)
