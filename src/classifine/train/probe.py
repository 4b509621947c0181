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
# Rows of a label that its name counts for at most, read as a text, and never more than a label has on average. On rows cut
# from train SST-2 with 8 rows a class reached accuracy 0.679 for 0.638 without names (lp-ft, five draws).
TIMES = 4
# As many times the loss on rows left out may be with names as without: few rows tell little, and names mostly mean what they
# say. Over 48 draws of 8 and 16 rows a class of SST-2 and AG News it let through all true names, and 7 of 48 sets that were swapped.
DOUBT = 1.05


@dataclass(frozen=True)
class Probe:
    """A linear head: `weight` (labels, width) and `bias` (labels,), the `strength` that was chosen (scikit-learn's C).

    `out_of_fold` are the logits (rows, labels) of the `folds` probes that had not seen a row, `loss` is theirs. The name
    of each label was learned from as so many rows as `names` says; 0 is not at all.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    strength: float
    folds: int
    loss: float
    out_of_fold: NDArray[np.float64]
    names: int = 0

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
    names: Floats | None = None,
    asked: bool = True,
) -> Probe:
    """The probe of vectors (rows, width) for `count` labels, with targets as `Labels.targets` gives them.

    The strength is the one of `strengths` with the least loss on rows left out. `names` (labels, width), vectors of what
    the labels of a single-label task are called, are learned from, too, unless that loss is clearly greater with them, if rows left out are `asked`. Where
    no label has two rows there is nothing to leave out: the middle strength and the names are taken, and `out_of_fold` is
    what the probe itself says.
    """

    def fitted(rows: Any, strength: float, times: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = features[rows], targets[rows]
        if names is not None and times:
            found = joined(found, (names, np.arange(count)), times)
        return fit_head(*found, count, strength)

    def tried(strength: float, times: int) -> tuple[float, float, int, NDArray[np.float64]]:
        found = np.zeros((len(features), count))
        for learned, left_out in parts:
            weight, bias = fitted(learned, strength, times)
            found[left_out] = features[left_out] @ weight.T + bias
        return _loss(found, targets, task), strength, times, found

    most = 0 if names is None else times_of(len(targets), count)
    ways = (0, most) if most and asked else (most,)
    parts = list(_folds(targets, seed))
    if not parts:
        middle = strengths[len(strengths) // 2]
        weight, bias = fitted(slice(None), middle, ways[-1])
        own = features @ weight.T + bias
        return Probe(weight, bias, middle, 0, _loss(own, targets, task), own, ways[-1])
    best = [min((tried(strength, times) for strength in strengths), key=lambda one: one[0]) for times in ways]
    loss, strength, times, found = best[0] if best[-1][0] > DOUBT * best[0][0] else best[-1]
    return Probe(*fitted(slice(None), strength, times), strength, len(parts), loss, found, times)


def times_of(rows: int, labels: int) -> int:
    """How many rows the name of each of so many labels counts for beside so many rows."""
    return max(1, min(TIMES, round(rows / labels)))


def joined(
    rows: tuple[Floats, NDArray[Any]], names: tuple[Floats, NDArray[Any]], times: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """(vectors, targets) of rows with those of names behind them, each so many times."""
    features, targets = ([own, *[more] * times] for own, more in zip(rows, names, strict=True))
    return np.concatenate(features), np.concatenate(targets)


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
            bias[i] = log_odds(true.sum(), len(true))  # nothing tells the rows apart
            continue
        model = _regression(strength).fit(features, true)
        weight[i], bias[i] = model.coef_[0], model.intercept_[0]
    return weight, bias


def log_odds(true: Any, rows: int) -> Any:
    """The logarithm of the odds of a label that `true` of so many rows have, with half a row of doubt."""
    return np.log((true + 0.5) / (rows - true + 0.5))


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=2000)


def _loss(logits: Floats, targets: NDArray[Any], task: Task) -> float:
    decision = Decision(task)
    return float(metrics.judge(targets, decision.scores(logits), decision)[metrics.LOSS[task]])
