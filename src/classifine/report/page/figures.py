"""The numbers behind the charts of a report, from the predictions on test rows.

They come as plain values, no more of them than a chart has room for. It knows nothing about pages.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import HALF, Decision, Floats
from classifine.doubt import answered_curve
from classifine.metrics import reliability
from classifine.report.page.kept import Predictions

STEPS = 20  # of a histogram
POINTS = 1000  # of a scatter
BARS_UP_TO = 40  # classes drawn
Rows = list[dict[str, Any]]


def sure_and_right(found: Predictions, decision: Decision) -> tuple[Floats, NDArray[np.bool_]]:
    """The scores that the calibration error is about, and which of them came true: of one label the score of each answer
    (rows,), of several the score of each label of each row (rows x labels,).
    """
    if decision.task == "single":
        return found.scores[np.arange(len(found)), decision.choose(found.scores)], ~found.wrong
    return found.scores.ravel(), np.asarray(found.truth).ravel() > HALF


def reliability_bins(found: Predictions, decision: Decision) -> Rows:
    """The bins of the calibration error."""
    return [asdict(one) for one in reliability(*sure_and_right(found, decision))]


def score_histogram(found: Predictions, decision: Decision) -> Rows:
    """How often scores from `low` to `high` came true (`right`) and did not (`wrong`)."""
    sure, right = sure_and_right(found, decision)
    edges = np.linspace(0, 1, STEPS + 1)
    hits, misses = (np.histogram(sure[kind], edges)[0] for kind in (right, ~right))
    return [
        {"low": float(low), "high": float(high), "right": int(hit), "wrong": int(miss)}
        for low, high, hit, miss in zip(edges[:-1], edges[1:], hits, misses, strict=True)
    ]


def coverage(found: Predictions, decision: Decision) -> Rows:
    """The share of rows that are answered, the lowest score among them and the share that is right: the surest first.

    Of several labels a row is as sure as the least sure of its decisions, and right where all of them are.
    """
    sure = _surety(found, decision)
    curve = answered_curve(sure, ~found.wrong)
    return [{"share": share, "score": score, "accuracy": accuracy} for share, score, accuracy in curve]


def _surety(found: Predictions, decision: Decision) -> Floats:
    if decision.task == "single":
        return np.asarray(found.scores.max(axis=1))
    return np.asarray(np.where(decision.choose(found.scores), found.scores, 1 - found.scores).min(axis=1))


def at_shares(curve: Rows, shares: tuple[float, ...] = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25)) -> Rows:
    """The points of a coverage curve that a table shows: of each share the largest that is no greater."""
    kept = []
    for share in shares:
        fitting = [point for point in curve if point["share"] <= share + 1e-9]
        if fitting and fitting[-1] not in kept:
            kept.append(fitting[-1])
    return kept


def scatter(found: Predictions) -> Rows:
    """True and predicted numbers of rows spread evenly from the worst to the best."""
    places = np.unique(np.linspace(0, len(found) - 1, min(len(found), POINTS)).astype(int))
    return [{"true": float(found.truth[i]), "predicted": round(float(found.scores[i, 0]), 4)} for i in places]


def residuals(found: Predictions) -> Rows:
    """How many predicted numbers are from `low` to `high` above the true ones."""
    off = found.scores[:, 0] - found.truth
    reach = float(np.abs(off).max()) or 1.0
    counts, edges = np.histogram(off, np.linspace(-reach, reach, STEPS + 2))
    return [
        {"low": float(low), "high": float(high), "rows": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def frequent_confusions(labels: tuple[str, ...], table: tuple[tuple[int, ...], ...], most: int) -> Rows:
    """Which class was taken for which, the most frequent first; `share` is that of the rows of the true class."""
    found: Rows = [
        {"true": labels[i], "predicted": labels[j], "rows": count, "share": count / sum(row)}
        for i, row in enumerate(table)
        for j, count in enumerate(row)
        if i != j and count
    ]
    return sorted(found, key=lambda one: (-one["rows"], -one["share"], one["true"], one["predicted"]))[:most]
