"""The numbers that judge a classifier, under one set of names for 2 labels or 200.

All come from scikit-learn. It knows nothing about how a prediction came about.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import HALF, Decision, Floats, Ints
from classifine.labels import Task

# The numbers that a line has room for, the one that decides between two methods first.
HEADLINE: dict[Task, tuple[str, ...]] = {
    "single": ("accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall", "mcc"),
    "multi": ("macro_f1", "micro_f1", "weighted_f1", "sample_f1", "subset_accuracy", "ranking_precision"),
    "score": ("pearson", "spearman", "mse", "mae"),
}
# What tells how often two classifiers give the same answer: of several labels all of them, of numbers how straight a line
# they make.
AGREEMENT: dict[Task, str] = {"single": "accuracy", "multi": "subset_accuracy", "score": "pearson"}
LOWER_IS_BETTER = ("loss", "mse", "mae", "nll", "brier", "ece")
CALIBRATION = ("ece", "brier", "nll")
BINS = 15  # of equal width from 0 to 1, for the calibration error
LOSS: dict[Task, str] = {"single": "nll", "multi": "nll", "score": "mse"}


@dataclass(frozen=True)
class ClassScore:
    """How one class fared: `support` is its number of true rows, `predicted` how often it was answered."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


def judge(truth: NDArray[Any], scores: Floats, decision: Decision) -> dict[str, float]:
    """Every metric of the decision's task for `scores` (rows, labels); `truth` is as `Labels.targets` gives it.

    With several labels the fixed threshold is reported beside the fitted ones, as `macro_f1_at_half` and such.
    """
    answers = decision.choose(scores)
    if decision.task == "score":
        return regression(truth, answers)
    if decision.task == "single":
        sure = scores[np.arange(len(truth)), answers]
        return {
            **single_label(truth, answers), "nll": negative_log_likelihood(truth, scores),
            "brier": float(((scores - np.eye(scores.shape[1])[truth]) ** 2).sum(axis=1).mean()),
            "ece": calibration_error(sure, answers == truth),
        }  # fmt: skip
    found = multi_label(truth, answers)
    halves = multi_label(truth, scores >= HALF)
    found |= {f"{name}_at_half": halves[name] for name in ("macro_f1", "micro_f1", "subset_accuracy")}
    true = np.asarray(truth) > HALF
    return {
        **found, "ranking_precision": ranking_precision(truth, scores), "nll": binary_likelihood(truth, scores),
        "brier": float(((scores - true) ** 2).mean()), "ece": calibration_error(scores.ravel(), true.ravel()),
    }  # fmt: skip


def single_label(truth: Ints, predicted: Ints) -> dict[str, float]:
    """Metrics of chosen labels; `truth` and `predicted` are ids (rows,).

    Macro averages run over the classes that occur in `truth` or `predicted`; a class that is never predicted
    counts with precision 0, as is usual.
    """
    from sklearn import metrics as sk

    result = {"accuracy": float(sk.accuracy_score(truth, predicted))}
    for average in ("macro", "weighted", "micro"):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(
            truth, predicted, average=average, zero_division=0
        )
        result[f"{average}_precision"], result[f"{average}_recall"] = float(precision), float(recall)
        result[f"{average}_f1"] = float(f1)
    # Undefined, and warned about, where nothing varies; 0 is then the usual value.
    varies = len(np.union1d(truth, predicted)) > 1
    result["mcc"] = float(sk.matthews_corrcoef(truth, predicted)) if varies else 0.0
    return result


def multi_label(truth: NDArray[Any], given: NDArray[Any]) -> dict[str, float]:
    """Metrics of labels given or not; `truth` and `given` are (rows, labels) of 0 and 1.

    Macro averages run over all labels; one that is neither true nor given anywhere counts with 0, as is usual.
    """
    from sklearn import metrics as sk

    true, answer = np.asarray(truth) > HALF, np.asarray(given) > HALF
    if true.shape[1] == 1:
        # scikit-learn takes one column for two classes; a second label that never holds changes but the averages.
        return _one_label(true[:, 0], answer[:, 0])
    result: dict[str, float] = {}
    for average, name in (("macro", "macro"), ("weighted", "weighted"), ("micro", "micro"), ("samples", "sample")):
        precision, recall, f1, _ = sk.precision_recall_fscore_support(true, answer, average=average, zero_division=0)
        result[f"{name}_precision"], result[f"{name}_recall"] = float(precision), float(recall)
        result[f"{name}_f1"] = float(f1)
    result["subset_accuracy"] = float(sk.accuracy_score(true, answer))
    return result


def _one_label(true: NDArray[Any], answer: NDArray[Any]) -> dict[str, float]:
    from sklearn.metrics import precision_recall_fscore_support

    found = precision_recall_fscore_support(true, answer, average="binary", zero_division=0)[:3]
    result = {
        f"{average}_{name}": float(value)
        for average in ("macro", "weighted", "micro")
        for name, value in zip(("precision", "recall", "f1"), found, strict=True)
    }
    result |= {f"sample_{name}": float((true & answer).mean()) for name in ("precision", "recall", "f1")}
    return {**result, "subset_accuracy": float((true == answer).mean())}


def ranking_precision(truth: NDArray[Any], scores: Floats) -> float:
    """How high the true labels stand in each row's order by score, from 0 to 1 (label ranking average precision)."""
    from sklearn.metrics import label_ranking_average_precision_score

    return float(label_ranking_average_precision_score(np.asarray(truth) > HALF, scores))


def regression(truth: Floats, predicted: Floats) -> dict[str, float]:
    """Metrics of numbers (rows,); a correlation with what does not vary is undefined and counts as 0."""
    from scipy import stats
    from sklearn import metrics as sk

    varies = len(truth) > 1 and np.ptp(truth) > 0 and np.ptp(predicted) > 0
    return {
        "pearson": float(stats.pearsonr(truth, predicted).statistic) if varies else 0.0,
        "spearman": float(stats.spearmanr(truth, predicted).statistic) if varies else 0.0,
        "mse": float(sk.mean_squared_error(truth, predicted)),
        "mae": float(sk.mean_absolute_error(truth, predicted)),
    }


def binary_likelihood(truth: NDArray[Any], scores: Floats) -> float:
    """Mean of -ln(share given to what is true of each label of each row), in nats; both are (rows, labels)."""
    own = np.where(np.asarray(truth) > HALF, scores, 1 - scores)
    return float(-np.log(np.clip(own, 1e-12, 1)).mean())


def negative_log_likelihood(truth: Ints, scores: Floats) -> float:
    """Mean of -ln(score of the true label), in nats; `scores` is (rows, labels)."""
    own = scores[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(own, 1e-12, 1)).mean())


def calibration_of(truth: NDArray[Any], scores: Floats, decision: Decision) -> dict[str, float]:
    """The metrics that tell how far scores can be taken at their word."""
    found = judge(truth, scores, decision)
    return {name: found[name] for name in CALIBRATION}


@dataclass(frozen=True)
class Bin:
    """Scores from `low` to `high`: how many, their mean, and the share of them that is right (None where there are none)."""

    low: float
    high: float
    rows: int
    score: float | None
    right: float | None


def reliability(sure: Floats, right: NDArray[np.bool_]) -> list[Bin]:
    """The bins of `calibration_error`: how far scores (n,) in each can be taken at their word."""
    place, edges = bins_of(sure), np.arange(BINS + 1) / BINS
    counts = np.bincount(place, minlength=BINS)
    scores, hits = (np.bincount(place, values, minlength=BINS) for values in (sure, right))
    return [
        Bin(float(low), float(high), int(n), float(s / n) if n else None, float(r / n) if n else None)
        for low, high, n, s, r in zip(edges[:-1], edges[1:], counts, scores, hits, strict=True)
    ]


def calibration_error(sure: Floats, right: NDArray[np.bool_]) -> float:
    """How far scores (n,) are from the share of them that is right, on average over bins of equal width.

    The expected calibration error of Guo et al. 2017; of several labels each row and label counts as one score.
    """
    place = bins_of(sure)
    gaps = np.bincount(place, sure - right, minlength=BINS)
    return float(np.abs(gaps).sum() / max(len(sure), 1))


def bins_of(sure: Floats) -> NDArray[np.int64]:
    """The bin of each score (n,), from 0; a score on an edge is in the lower one, one that is no number in the first."""
    return np.clip(np.ceil(np.nan_to_num(sure) * BINS).astype(np.int64) - 1, 0, BINS - 1)


def per_class(truth: NDArray[Any], predicted: NDArray[Any], names: Sequence[str]) -> list[ClassScore]:
    """One ClassScore for each name, in label order; ids (rows,), or 0 and 1 (rows, labels) of both kinds."""
    from sklearn.metrics import precision_recall_fscore_support

    ids = np.arange(len(names))
    if truth.ndim == 2:
        truth, predicted = np.asarray(truth) > HALF, np.asarray(predicted) > HALF
        answered = predicted.sum(axis=0)
    else:
        answered = np.bincount(predicted, minlength=len(names))
    if truth.ndim == 2 and len(names) == 1:
        truth, predicted, ids = truth[:, 0], predicted[:, 0], np.array([True])
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=ids, average=None, zero_division=0
    )
    columns = zip(names, precision, recall, f1, support, answered, strict=True)
    return [ClassScore(n, float(p), float(r), float(f), int(s), int(a)) for n, p, r, f, s, a in columns]


def confusion(truth: Ints, predicted: Ints, classes: int) -> NDArray[np.int64]:
    """Counts (true class, predicted class)."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(truth, predicted, labels=np.arange(classes)), dtype=np.int64)


def as_rows(scores: Sequence[ClassScore]) -> list[dict[str, object]]:
    """The per-class table as plain dictionaries, for JSON."""
    return [asdict(score) for score in scores]
