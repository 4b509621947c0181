"""Judge a classifier on rows it has not seen, beside what simpler means reach on the same rows.

It takes logits and truth and knows nothing about networks, files or training.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine import metrics
from classifine.data.row import Text, joined
from classifine.decide import HALF, Decision, Floats
from classifine.labels import Labels, Task
from classifine.metrics import ClassScore
from classifine.report.intervals import intervals
from classifine.report.slices import Slice, slices
from classifine.strict_json import json_text

MOST_FITTED = 200_000  # train rows of a baseline; scikit-learn holds every pair of words of all of them at once


@dataclass(frozen=True)
class Baseline:
    """What a simpler method reaches on the same rows: the first two headline metrics of the task."""

    name: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The metrics of one classifier on one set of rows; each metric is also an attribute, such as `.macro_f1`.

    `intervals` are the 95 % intervals (low, high) of the metrics, `uncalibrated` those of calibration as they would be
    without the temperature that was fitted, `plain` the headline metrics of plain transformers where those read less of
    long texts, `slices` those of short and long texts and of languages. `confusion` counts (true class, predicted class) in
    label order, where one label is chosen.
    """

    task: Task
    rows: int
    metrics: dict[str, float]
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    baselines: tuple[Baseline, ...] = ()
    labels: tuple[str, ...] = field(default=())
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    uncalibrated: dict[str, float] = field(default_factory=dict)
    slices: tuple[Slice, ...] = ()
    plain: dict[str, float] = field(default_factory=dict)

    def __getattr__(self, name: str) -> float:
        found: Mapping[str, float] = self.__dict__.get("metrics", {})
        if name in found:
            return found[name]
        raise AttributeError(f"An Evaluation has no '{name}'; its metrics are {', '.join(found)}.")

    @property
    def verdict(self) -> str:
        """One plain sentence: whether the network beats the simpler methods."""
        name = metrics.HEADLINE[self.task][0]
        own, word = self.metrics[name], name.replace("_", " ")
        best = max(self.baselines, key=lambda baseline: baseline.metrics[name], default=None)
        if best is None:
            return f"{word.capitalize()} {own:.3f} on {self.rows} rows."
        other = best.metrics[name]
        low, high = self.intervals.get(name, (own, own))
        if own > other:
            # By chance alone it could be as low as the other is.
            sure = low > other or name not in self.intervals
            doubt = f"; {self.rows} rows are too few to be sure (95 %: {low:.3f} to {high:.3f})"
            return (
                f"The network beats {best.name}: {word} {own:.3f} against {other:.3f}{doubt * (not sure)}.{self._but}"
            )
        return (
            f"The network does not beat {best.name}: {word} {own:.3f} against {other:.3f}. "
            "Use the simpler method, or give more rows."
        )

    @property
    def _but(self) -> str:
        """By which other headline metric a simpler method is better; nothing where none is."""
        for name in metrics.HEADLINE[self.task][1:]:
            known = [baseline for baseline in self.baselines if name in baseline.metrics and name in self.metrics]
            best = max(known, key=lambda baseline: baseline.metrics[name], default=None)
            if best is not None and round(best.metrics[name], 3) > round(self.metrics[name], 3):
                word, own, other = name.replace("_", " "), self.metrics[name], best.metrics[name]
                low, high = self.intervals.get(name, (own, own))
                doubt = f"; {self.rows} rows are too few to be sure" if low <= other <= high else ""
                return f" But by {word} {best.name} is better: {other:.3f} against {own:.3f}{doubt}."
        return ""

    def _with_interval(self, name: str) -> float | dict[str, float]:
        if name not in self.intervals:
            return self.metrics[name]
        low, high = self.intervals[name]
        return {"value": self.metrics[name], "low": low, "high": high}

    def as_json(self) -> dict[str, Any]:
        """The evaluation as plain values, as it stands in evaluation.json."""
        return {
            "task": self.task,
            "rows": self.rows,
            "metrics": {name: self._with_interval(name) for name in self.metrics},
            "uncalibrated": self.uncalibrated,
            **({"plain": self.plain} if self.plain else {}),
            "baselines": [{"name": b.name, **b.metrics} for b in self.baselines],
            "verdict": self.verdict,
            "labels": list(self.labels),
            "classes": metrics.as_rows(self.classes),
            "slices": [part.as_json() for part in self.slices],
            "confusion": [list(row) for row in self.confusion],
        }


def evaluate(
    logits: Floats,
    truth: NDArray[Any],
    labels: Labels,
    decision: Decision,
    baselines: Sequence[Baseline] = (),
    calibration: Mapping[str, Any] | None = None,
    texts: Sequence[Text] = (),
    languages: Sequence[str | None] = (),
    plain: Floats | None = None,
) -> Evaluation:
    """The Evaluation of `logits` (rows, labels) against `truth`, which `Labels.targets` makes.

    `calibration` is what the record says of it, for a look at the scores without; by `texts`, and `languages` where
    they differ, parts of the rows are looked at, too. `plain` are the logits of plain transformers where they are others.
    """
    scores = decision.scores(logits)
    predicted = decision.choose(scores)
    table = metrics.confusion(truth, predicted, len(labels)).tolist() if labels.task == "single" else []
    return Evaluation(
        task=labels.task,
        rows=len(truth),
        metrics=metrics.judge(truth, scores, decision),
        classes=tuple(metrics.per_class(truth, predicted, labels.names)) if labels.task != "score" else (),
        confusion=tuple(map(tuple, table)),
        baselines=tuple(baselines),
        intervals=intervals(truth, scores, decision),
        uncalibrated=_uncalibrated(logits, truth, decision, calibration) if calibration else {},
        labels=labels.names,
        slices=slices(texts, truth, predicted, labels.task, languages) if texts else (),
        plain=_headline(plain, truth, decision) if plain is not None else {},
    )


def _headline(logits: Floats, truth: NDArray[Any], decision: Decision) -> dict[str, float]:
    found = metrics.judge(truth, decision.scores(logits), decision)
    return {name: found[name] for name in metrics.HEADLINE[decision.task]}


def _uncalibrated(
    logits: Floats, truth: NDArray[Any], decision: Decision, calibration: Mapping[str, Any]
) -> dict[str, float]:
    own = np.asarray(calibration["temperature"])
    raw = replace(decision, temperature=1.0)
    return metrics.calibration_of(truth, raw.scores(logits * own if calibration["folded"] else logits), raw)


def baselines(
    train_texts: Sequence[Text], train_truth: NDArray[Any], texts: Sequence[Text], truth: NDArray[Any], task: Task
) -> tuple[Baseline, Baseline]:
    """The best constant guess, and TF-IDF with a linear model, fitted on train and judged on the given rows.

    Of very many train rows TF-IDF is fitted on a sample, as its name then says.
    """
    guess = _constant(train_truth, len(texts), task)
    some = ""
    if len(train_texts) > MOST_FITTED:
        chosen = np.sort(np.random.default_rng(0).choice(len(train_texts), MOST_FITTED, replace=False))
        train_texts, train_truth = [train_texts[i] for i in chosen], train_truth[chosen]
        some = f" on {MOST_FITTED} train rows"
    words = _tfidf(list(map(joined, train_texts)), train_truth, list(map(joined, texts)), task)
    name = {"single": "the majority guess", "multi": "the same labels for all", "score": "the mean"}[task]
    model = "ridge regression" if task == "score" else "logistic regression"
    return _baseline(name, truth, guess, task), _baseline(f"TF-IDF with {model}{some}", truth, words, task)


def _constant(truth: NDArray[Any], rows: int, task: Task) -> NDArray[Any]:
    if task == "single":
        return np.full(rows, np.bincount(truth).argmax())
    if task == "score":
        return np.full(rows, truth.mean())
    # Of the most frequent labels as many as give the best F1 when all rows get them.
    shares = np.sort(truth.mean(axis=0))[::-1]
    f1 = 2 * np.cumsum(shares) / (np.arange(1, len(shares) + 1) + shares.sum())
    return np.tile(truth.mean(axis=0) >= shares[f1.argmax()], (rows, 1))


def _tfidf(train_texts: Sequence[str], truth: NDArray[Any], texts: Sequence[str], task: Task) -> NDArray[Any]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    # Words of any script and their pairs; the usual settings of such a baseline, none of them tuned to a set.
    words = TfidfVectorizer(
        sublinear_tf=True, ngram_range=(1, 2), min_df=2 if len(train_texts) > 2000 else 1, max_features=200_000
    )
    linear = Ridge() if task == "score" else LogisticRegression(C=10, max_iter=100, tol=1e-3)
    model = make_pipeline(words, OneVsRestClassifier(linear) if task == "multi" else linear)
    result = _constant(truth, len(texts), task)
    try:
        if task != "multi":
            return np.asarray(model.fit(train_texts, truth).predict(texts))
        # A label that all rows of train have, or none, stays as it is; the library warns of it.
        varied = truth.min(axis=0) < truth.max(axis=0)
        found = model.fit(train_texts, truth[:, varied].astype(int)).predict(texts)
        result[:, varied] = found.reshape(len(texts), -1)
    except ValueError:
        # Texts without a single word, such as emoji alone: all that is left is the constant guess.
        pass
    return result


def _baseline(name: str, truth: NDArray[Any], predicted: NDArray[Any], task: Task) -> Baseline:
    of_task: dict[Task, Any] = {
        "single": metrics.single_label, "multi": metrics.multi_label, "score": metrics.regression,
    }  # fmt: skip
    found = of_task[task](truth, predicted)
    return Baseline(name, {key: found[key] for key in metrics.HEADLINE[task][:2]})


def prediction_lines(
    ids: Sequence[int], texts: Sequence[Text], truth: NDArray[Any], scores: Floats, labels: Labels, decision: Decision
) -> Iterator[str]:
    """One JSON line a row, worst first: the row whose truth got the lowest score, or is furthest off, opens the list."""
    predicted = decision.choose(scores)
    for i in np.argsort(_worth(truth, scores, labels.task), kind="stable"):
        text = (
            {"text": texts[i]} if isinstance(texts[i], str) else dict(zip(("text", "text_pair"), texts[i], strict=True))
        )
        answer, true = _in_words(predicted[i], labels), _in_words(truth[i], labels)
        line = {"id": ids[i], **text, "truth": true, "prediction": answer}
        if labels.task != "score":
            line["correct"] = answer == true
            line["scores"] = {name: round(float(s), 6) for name, s in zip(labels.names, scores[i], strict=True)}
        yield json_text(line)


def _worth(truth: NDArray[Any], scores: Floats, task: Task) -> NDArray[Any]:
    """What the answer to each row (rows,) was worth: the score of the truth (of several labels the least), or -|error|."""
    if task == "single":
        return np.asarray(scores[np.arange(len(truth)), truth])
    if task == "score":
        return np.asarray(-np.abs(scores[:, 0] - truth))
    return np.asarray(np.where(truth > HALF, scores, 1 - scores).min(axis=1))


def _in_words(value: Any, labels: Labels) -> Any:
    """An answer or a truth as people read it: a name, a list of names, or a number."""
    if labels.task == "single":
        return labels.names[int(value)]
    if labels.task == "score":
        return round(float(value), 6)
    return [name for name, holds in zip(labels.names, value, strict=True) if holds]
