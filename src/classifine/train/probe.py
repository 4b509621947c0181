"""A linear probe: logistic regression on vectors of texts that somebody else made, as the head of a network.

How strongly it is regularised is chosen by cross-validation, whose answers to the rows left out also tell how far it
can be trusted: where labels are few, a validation split is too small for either. It knows nothing about texts or networks.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine import metrics
from classifine.decide import HALF, Decision
from classifine.labels import Task

Floats = NDArray[np.floating]
# Inverse strengths of the penalty on vectors of length 1, the strongest penalty first.
STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)
# Of a head that is trained on: small steps turn its weights, but hardly lengthen them.
START = 10.0
# Of the head that is fitted once more when everything was trained: by then the classes lie apart, and a longer head would
# only be surer.
END = 1.0
FOLDS = 5


@dataclass(frozen=True)
class Probe:
    """A linear head: `weight` (labels, width) and `bias` (labels,), the `strength` that was chosen (scikit-learn's C).

    `out_of_fold` are the logits (rows, labels) of the `folds` probes that had not seen a row, `loss` is theirs.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: float
    folds: int
    loss: float
    out_of_fold: NDArray[np.float64]

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """The logits (rows, labels) of vectors (rows, width)."""
        return np.asarray(features @ self.weight.T + self.bias)


def fit_probe(
    features: Floats,
    targets: NDArray[Any],
    count: int,
    task: Task,
    seed: int,
    strengths: Sequence[float] = STRENGTHS,
) -> Probe:
    """The probe of vectors (rows, width) for `count` labels, with targets as `Labels.targets` gives them.

    The strength is the one of `strengths` with the least loss on rows left out. Where no label has two rows there is nothing to leave
    out: the middle strength is taken, and `out_of_fold` is what the probe itself says.
    """
    parts = list(_folds(targets, seed))
    if not parts:
        middle = strengths[len(strengths) // 2]
        weight, bias = fit_head(features, targets, count, middle)
        own = features @ weight.T + bias
        return Probe(weight, bias, middle, 0, _loss(own, targets, task), own)
    best: tuple[float, float, NDArray[np.float64]] | None = None
    for strength in strengths:
        found = np.zeros((len(features), count))
        for learned, left_out in parts:
            weight, bias = fit_head(features[learned], targets[learned], count, strength)
            found[left_out] = features[left_out] @ weight.T + bias
        loss = _loss(found, targets, task)
        if best is None or loss < best[0]:
            best = loss, strength, found
    assert best is not None
    return Probe(*fit_head(features, targets, count, best[1]), best[1], len(parts), best[0], best[2])


def _folds(targets: NDArray[Any], seed: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """(rows to learn from, rows left out), each row left out once; of one label in the shares of all, as far as rare
    classes can be parted.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    if targets.ndim == 2:
        folds = min(FOLDS, len(targets))
        yield from KFold(folds, shuffle=True, random_state=seed).split(targets) if folds > 1 else ()
        return
    counts = np.bincount(targets)
    if counts.max() < 2:
        return
    fewest = int(counts[counts > 1].min())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of classes with fewer rows than folds
        yield from StratifiedKFold(min(FOLDS, fewest), shuffle=True, random_state=seed).split(targets, targets)


def fit_head(
    features: Floats, targets: NDArray[Any], count: int, strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(weight (labels, width), bias (labels,)): one regression over all classes, or one for each of several labels."""
    weight, bias = np.zeros((count, features.shape[1])), np.zeros(count)
    if targets.ndim == 1:
        bias[:] = np.log(0.5 / len(targets))  # of a class without a row
        present = np.unique(targets)
        own, offset = np.zeros((1, features.shape[1])), np.zeros(1)
        if len(present) > 1:
            model = _regression(strength).fit(features, targets)
            own, offset = model.coef_, model.intercept_
        if len(present) == 2:  # scikit-learn keeps what speaks for the second
            own, offset = np.concatenate([-own, own]) / 2, np.concatenate([-offset, offset]) / 2
        weight[present], bias[present] = own, offset
        return weight, bias
    for i in range(count):
        true = targets[:, i] > HALF
        if true.all() or not true.any():
            # Nothing tells the rows apart: the odds, with half a row of doubt.
            bias[i] = np.log((true.sum() + 0.5) / ((~true).sum() + 0.5))
            continue
        model = _regression(strength).fit(features, true)
        weight[i], bias[i] = model.coef_[0], model.intercept_[0]
    return weight, bias


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000)


def _loss(logits: Floats, targets: NDArray[Any], task: Task) -> float:
    decision = Decision(task)
    return float(metrics.judge(targets, decision.scores(logits), decision)[metrics.LOSS[task]])
