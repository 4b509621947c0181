"""From the network's logits to scores and answers: the only softmax, sigmoid, argmax and threshold of the project.

Training, evaluation, prediction and serving all decide through here, so they agree to the last digit.
It knows nothing about texts, networks or metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.labels import Task

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
HALF = 0.5  # the threshold of several labels before any was fitted
# A temperature fitted on fewer positive rows would follow chance; such a label gets the one that all share.
MIN_POSITIVE = 5
# So many true rows of a label count as much as its scores where its threshold is fitted. On halves of validation rows of
# GoEmotions (28 labels, 4 to 651 of 2,001 rows), fitted on one and judged on the other 100 times, macro-F1 was 0.462 with
# 200 rows, 0.456 with 50, 0.462 by scores alone, and 0.437 by truth alone.
TRUSTED_ROWS = 200
# No threshold is lower. The best F1 of a label is to be expected at half of that F1 (Lipton et al. 2014, arXiv
# 1402.1892), so a lower one is that of a label which is hardly known, or of chance: on 20 draws of 500 of 4,752 rows
# of Reuters (103 labels) micro-F1 on the others was 0.869 with it and 0.862 without, macro-F1 0.508 and 0.507; on 60
# halves of 2,001 rows of GoEmotions 0.578 and 0.577, 0.502 both.
LEAST_LIKELY = 0.1
SPREAD = 0.5  # of the logarithm of temperatures, before any row was seen


@dataclass(frozen=True)
class Decision:
    """How logits (rows, labels) become answers, by task.

    single: softmax, and the label with the best score. multi: a sigmoid for each label, and every label whose score
    reaches its threshold. score: the number as it is.

    `temperature` divides the logits before softmax or sigmoid: above 1 it makes the scores more modest, and never
    changes their order (Guo et al. 2017, "On Calibration of Modern Neural Networks"); of several labels each may have
    its own. `thresholds` holds one for each label, or nothing, which stands for 0.5.
    """

    task: Task = "single"
    temperature: float | tuple[float, ...] = 1.0
    thresholds: tuple[float, ...] = ()

    @classmethod
    def from_json(cls, task: Task, found: Mapping[str, Any]) -> "Decision":
        """The decision that a record holds; KeyError, TypeError or ValueError where it is damaged."""
        temperature = found["temperature"]
        own = tuple(map(float, temperature)) if isinstance(temperature, (list, tuple)) else float(temperature)
        return cls(task, own, tuple(map(float, found["thresholds"])))

    def as_json(self) -> dict[str, Any]:
        """What was fitted, as plain values."""
        own = self.temperature
        return {"temperature": list(own) if isinstance(own, tuple) else own, "thresholds": list(self.thresholds)}

    def scores(self, logits: Floats) -> NDArray[np.float64]:
        """Logits (rows, labels) -> scores (rows, labels): shares that sum to 1, shares of their own, or the numbers."""
        scaled = np.asarray(logits, dtype=np.float64)
        if self.task == "score":
            return scaled
        scaled = scaled / np.asarray(self.temperature)
        if self.task == "multi":
            # The form that overflows for no logit.
            return np.asarray(0.5 * (1 + np.tanh(0.5 * scaled)), dtype=np.float64)
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float64)

    def choose(self, scores: Floats) -> NDArray[Any]:
        """The answer to each row: class ids (rows,) of int64, labels given (rows, labels) of bool, or numbers (rows,).

        Of equal best scores the first label wins.
        """
        if self.task == "multi":
            return np.asarray(scores >= (np.array(self.thresholds) if self.thresholds else HALF), dtype=np.bool_)
        if self.task == "score":
            return np.asarray(scores[..., 0], dtype=np.float64)
        return np.asarray(scores.argmax(axis=-1), dtype=np.int64)

    def ranked(self, scores: Floats, k: int) -> NDArray[np.int64]:
        """Ids of the `k` best labels of each row (rows, k), best first; ties in label order, as in `choose`."""
        if k == 1:  # a sort would take most of the time of a fast classifier's answer
            return np.asarray(scores.argmax(axis=-1, keepdims=True), dtype=np.int64)
        return np.asarray(np.argsort(-scores, axis=-1, kind="stable")[..., :k], dtype=np.int64)

    def calibrated(self, logits: Floats, truth: NDArray[Any]) -> "Decision":
        """This decision with the temperature under which `truth` is least surprising; a number has none.

        `truth` is as `Labels.targets` gives it, or holds the share (rows, labels) that each label is to have. Of several labels each gets its own, rare ones the one that is best
        for all labels together. It is fitted on the rows given, so judge it on others.
        """
        if self.task == "score":
            return self
        if self.task == "single":
            own = np.asarray(truth)
            return replace(
                self, temperature=_coolest(self, logits, own if own.ndim == 2 else np.eye(logits.shape[1])[own])
            )
        true = np.asarray(truth, dtype=np.float64)
        shared = _coolest(self, logits, true)
        each = [
            _coolest(self, logits[:, [i]], true[:, [i]])
            if MIN_POSITIVE <= true[:, i].sum() <= len(true) - MIN_POSITIVE
            else shared
            for i in range(true.shape[1])
        ]
        return replace(self, temperature=tuple(each))

    def fit(self, logits: Floats, truth: NDArray[Any]) -> "Decision":
        """This decision with its thresholds fitted to `truth` (rows, labels) of 0 and 1; others have none to fit.

        Each label gets the threshold of the best F1 that is to be expected by its calibrated scores (Lewis 1995,
        "Evaluating and optimizing autonomous text classification systems"), and the more by `truth` the more rows have
        it: the threshold that was best for a handful of rows (SCut, Yang 2001) follows chance. It is a tenth at least, of
        scores that add up to the rows there are; where they add up to other numbers as many times more or less, but a
        half at most. A label that no row has is given where it is more likely than not. They are chosen on the rows given,
        so judge them on others.
        """
        if self.task != "multi":
            return self
        scores, true = self.scores(logits), np.asarray(truth) > HALF
        own = [_threshold(scores[:, i], true[:, i]) if true[:, i].any() else HALF for i in range(scores.shape[1])]
        return replace(self, thresholds=tuple(own))


def _threshold(scores: Floats, true: NDArray[np.bool_]) -> float:
    """The threshold of a label by its scores (rows,) and truth (rows,): how likely a row is true is something between."""
    count = true.sum()
    # Scores that are too high or too low for all rows come to as many as there are.
    times = (count + MIN_POSITIVE) / (scores.sum() + MIN_POSITIVE)
    expected = np.minimum(1.0, scores * times)
    likely = (count * true + TRUSTED_ROWS * expected) / (count + TRUSTED_ROWS)
    return max(_best_threshold(scores, likely), float(min(LEAST_LIKELY / times, HALF)))


def _coolest(decision: Decision, logits: Floats, true: Floats) -> float:
    """The temperature from 0.1 to 10 with the least sum of -ln(score given to what is true), and of our doubt in it.

    `true` (rows, labels) holds 1 for the label of each row, or of several labels for each that applies; or shares.
    """
    from scipy.optimize import minimize_scalar

    def surprise(log_temperature: float) -> float:
        scores = replace(decision, temperature=float(np.exp(log_temperature))).scores(logits)
        told = true * np.log(np.clip(scores, 1e-12, 1))
        if decision.task == "multi":
            told += (1 - true) * np.log(np.clip(1 - scores, 1e-12, 1))
        # Few rows that are all right would ask for certainty: far from 1 a temperature has to be worth it.
        doubt = (log_temperature / SPREAD) ** 2 / 2
        return float(doubt - told.sum())

    found = minimize_scalar(surprise, bounds=(-np.log(10), np.log(10)), method="bounded")
    return float(np.exp(found.x))


def _best_threshold(scores: Floats, likely: Floats) -> float:
    """The threshold with the best F1 of `scores` (rows,) where each row is so `likely` true, halfway between two scores."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(likely[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + hits[-1])
    below = np.append(ranked[1:], 0.0)
    f1[ranked == below] = -1  # equal scores cannot be parted
    best = int(f1.argmax())
    return float((ranked[best] + below[best]) / 2)
