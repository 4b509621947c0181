"""The numbers that judge a classifier, under one set of names for 2 labels or 200.

All come from scikit-learn. It knows nothing about how a prediction came about.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from classifine.decide import Floats, Ints


@dataclass(frozen=True)
class ClassScore:
    """How one class fared: `support` is its number of true rows, `predicted` how often it was answered."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


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


def negative_log_likelihood(truth: Ints, scores: Floats) -> float:
    """Mean of -ln(score of the true label), in nats; `scores` is (rows, labels)."""
    own = scores[np.arange(len(truth)), truth]
    return float(-np.log(np.clip(own, 1e-12, 1)).mean())


def per_class(truth: Ints, predicted: Ints, names: Sequence[str]) -> list[ClassScore]:
    """One ClassScore for each name, in label order."""
    from sklearn.metrics import precision_recall_fscore_support

    ids = np.arange(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=ids, average=None, zero_division=0
    )
    answered = np.bincount(predicted, minlength=len(names))
    columns = zip(names, precision, recall, f1, support, answered, strict=True)
    return [ClassScore(n, float(p), float(r), float(f), int(s), int(a)) for n, p, r, f, s, a in columns]


def confusion(truth: Ints, predicted: Ints, classes: int) -> NDArray[np.int64]:
    """Counts (true class, predicted class)."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(truth, predicted, labels=np.arange(classes)), dtype=np.int64)


def as_rows(scores: Sequence[ClassScore]) -> list[dict[str, object]]:
    """The per-class table as plain dictionaries, for JSON."""
    return [asdict(score) for score in scores]
