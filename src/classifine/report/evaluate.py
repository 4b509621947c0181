"""Judge a classifier on rows it has not seen, beside what simpler means reach on the same rows.

It takes logits and truth and knows nothing about networks, files or training.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine import metrics
from classifine.decide import Decision, Floats
from classifine.labels import Labels
from classifine.metrics import ClassScore
from classifine.model.folder import json_text


@dataclass(frozen=True)
class Baseline:
    """What a simpler method reaches on the same rows."""

    name: str
    accuracy: float
    macro_f1: float


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one classifier on one set of rows; each metric is also an attribute, such as `.macro_f1`.

    `confusion` counts (true class, predicted class) in label order.
    """

    rows: int
    metrics: dict[str, float]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    baselines: tuple[Baseline, ...] = ()
    labels: tuple[str, ...] = field(default=())

    def __getattr__(self, name: str) -> float:
        found: Mapping[str, float] = self.__dict__.get("metrics", {})
        if name in found:
            return found[name]
        raise AttributeError(f"An Evaluation has no '{name}'; its metrics are {', '.join(found)}.")

    @property
    def verdict(self) -> str:
        """One plain sentence: whether the network beats the simpler methods."""
        best = max(self.baselines, key=lambda baseline: baseline.accuracy, default=None)
        if best is None:
            return f"Accuracy {self.accuracy:.3f} on {self.rows} rows."
        if self.accuracy > best.accuracy:
            return f"The network beats {best.name}: accuracy {self.accuracy:.3f} against {best.accuracy:.3f}."
        return (
            f"The network does not beat {best.name}: accuracy {self.accuracy:.3f} against {best.accuracy:.3f}. "
            f"Use the simpler method, or give more rows or --epochs."
        )

    def as_json(self) -> dict[str, Any]:
        """The evaluation as plain values, as it stands in evaluation.json."""
        return {
            "rows": self.rows,
            "metrics": self.metrics,
            "baselines": [{"name": b.name, "accuracy": b.accuracy, "macro_f1": b.macro_f1} for b in self.baselines],
            "verdict": self.verdict,
            "labels": list(self.labels),
            "classes": metrics.as_rows(self.classes),
            "confusion": [list(row) for row in self.confusion],
        }


def evaluate(
    logits: Floats, truth: Sequence[int], labels: Labels, decision: Decision, baselines: Sequence[Baseline] = ()
) -> Evaluation:
    """The Evaluation of `logits` (rows, labels) against the true class ids `truth` (rows,)."""
    true = np.asarray(truth, dtype=np.int64)
    scores = decision.scores(logits)
    predicted = decision.choose(scores)
    found = metrics.single_label(true, predicted)
    found["nll"] = metrics.negative_log_likelihood(true, scores)
    table = metrics.confusion(true, predicted, len(labels))
    return Evaluation(
        rows=len(true),
        metrics=found,
        classes=tuple(metrics.per_class(true, predicted, labels.names)),
        confusion=tuple(tuple(int(count) for count in row) for row in table),
        baselines=tuple(baselines),
        labels=labels.names,
    )


def baselines(
    train_texts: Sequence[str], train_labels: Sequence[int], texts: Sequence[str], truth: Sequence[int]
) -> tuple[Baseline, Baseline]:
    """The majority guess, and TF-IDF with logistic regression, fitted on train and judged on the given rows."""
    true = np.asarray(truth)
    majority = np.full(len(true), np.bincount(train_labels).argmax())
    return _baseline("the majority guess", true, majority), _baseline(
        "TF-IDF with logistic regression", true, _tfidf(train_texts, train_labels, texts)
    )


def _tfidf(train_texts: Sequence[str], train_labels: Sequence[int], texts: Sequence[str]) -> NDArray[np.int64]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # Words of any script and their pairs; the usual settings of such a baseline, none of them tuned to a set.
    words = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=2 if len(train_texts) > 2000 else 1, max_features=200_000
    )
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=100, tol=1e-3))
    try:
        model.fit(train_texts, train_labels)
    except ValueError:
        # Texts without a single word, such as emoji alone: all that is left is the majority.
        return np.full(len(texts), np.bincount(train_labels).argmax(), dtype=np.int64)
    return np.asarray(model.predict(texts), dtype=np.int64)


def _baseline(name: str, truth: NDArray[Any], predicted: NDArray[Any]) -> Baseline:
    found = metrics.single_label(truth, predicted)
    return Baseline(name, found["accuracy"], found["macro_f1"])


def prediction_lines(
    ids: Sequence[int], texts: Sequence[str], truth: Sequence[int], scores: Floats, labels: Labels, decision: Decision
) -> Iterator[str]:
    """One JSON line a row, worst first: the row whose true label got the lowest score opens the list."""
    predicted = decision.choose(scores)
    own = scores[np.arange(len(truth)), np.asarray(truth)]
    for i in np.argsort(own, kind="stable"):
        yield json_text(
            {
                "id": ids[i],
                "text": texts[i],
                "truth": labels.names[truth[i]],
                "prediction": labels.names[predicted[i]],
                "correct": bool(truth[i] == predicted[i]),
                "scores": {name: round(float(score), 6) for name, score in zip(labels.names, scores[i], strict=True)},
            }
        )
