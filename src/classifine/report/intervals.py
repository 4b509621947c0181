"""How sure a metric is: 95 % intervals by the bootstrap, all metrics and all resamples at once.

A resample draws as many rows as there are, with replacement, of each true class as many as it has (Efron and
Tibshirani 1993, "An Introduction to the Bootstrap"), of all small classes together as many as they have; every metric
is a function of sums over rows, so a resample is a row of weights and all of them are one product of matrices. A metric
that hangs on the sizes of the classes alone, as where all rows got one answer, is drawn without regard to them. The
quantiles are corrected for bias (chapter 14). It knows nothing about networks or files.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import HALF, Decision, Floats
from classifine.metrics import BINS, bins_of

RESAMPLES = 1000
LEVEL = 0.95
MIN_STRATUM = 20  # rows; a class of fewer would hardly vary when it is drawn apart from the others
_AT_ONCE = 20_000_000  # numbers held in memory: resamples x rows, and resamples x sums
_SHIFT = 1.0  # standard deviations by which quantiles are moved at most
# Others are shares, of which 0 and 1 are the ends.
_NO_SHARES = ("nll", "brier", "mse", "mae", "ece")
# These are 0 by definition where all answers are the same, whatever rows are drawn: no interval would say anything.
_CORRELATIONS = ("mcc", "pearson", "spearman")

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class Summed:
    """What a metric is made of: `columns` (rows, sums), and how sums (resamples, sums) become metrics (resamples,)."""

    columns: Any
    metrics: Callable[[Sums], dict[str, NDArray[np.float64]]]
    strata: NDArray[np.int64]

    def of(self, weights: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
        """The metrics of resamples by the weights of their rows (resamples, rows)."""
        return self.metrics(np.asarray((self.columns.T @ weights.T).T, dtype=np.float64))


def intervals(truth: NDArray[Any], scores: Floats, decision: Decision, seed: int = 0) -> dict[str, tuple[float, float]]:
    """(low, high) of every metric that `metrics.judge` gives for these scores (rows, labels), but for correlations of answers
    that are all the same.
    """
    summed = summed_up(truth, scores, decision)
    point = {name: float(value[0]) for name, value in summed.of(np.ones((1, len(truth)))).items()}
    drawn = _drawn(summed, seed)
    if fixed := [name for name, value in point.items() if unvaried(drawn[name]) and value not in (0.0, 1.0)]:
        free = _drawn(unstratified(summed), seed)
        drawn |= {name: free[name] for name in fixed}
    told = (
        name for name, value in point.items() if not (name in _CORRELATIONS and value == 0 and unvaried(drawn[name]))
    )
    return {name: _interval(name, drawn[name], point[name], len(truth)) for name in told}


def unvaried(drawn: NDArray[np.float64]) -> bool:
    """Whether a metric is the same in every resample (resamples,), but for rounding: it hangs on the sizes of the classes."""
    return bool(np.ptp(drawn) <= 1e-9 * max(1.0, float(np.abs(drawn).max())))


def unstratified(summed: Summed) -> Summed:
    """The same sums, whose resamples are drawn without regard to the classes."""
    return replace(summed, strata=np.zeros_like(summed.strata))


def _drawn(summed: Summed, seed: int) -> dict[str, NDArray[np.float64]]:
    """Every metric in each resample (resamples,)."""
    parts = [summed.of(weights) for weights in resamples(summed, seed)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def resamples(summed: Summed, seed: int, count: int = RESAMPLES) -> Iterator[NDArray[np.int16]]:
    """How often each row is in each resample (resamples, rows), some resamples at a time; strata keep their sizes."""
    rows, sums = summed.columns.shape
    draw = np.random.default_rng(seed)
    groups = _groups(summed.strata)
    step = max(1, min(count, _AT_ONCE // max(rows, sums, 1)))
    for start in range(0, count, step):
        size = min(step, count - start)
        weights = np.zeros((size, rows), dtype=np.int16)
        for group in groups:
            picked = draw.integers(0, len(group), (size, len(group))) + len(group) * np.arange(size)[:, None]
            weights[:, group] = np.bincount(picked.ravel(), minlength=size * len(group)).reshape(size, -1)
        yield weights


def _groups(strata: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows that are drawn among themselves: each large stratum, and all small ones together."""
    found = [np.flatnonzero(strata == one) for one in np.unique(strata)]
    small = [group for group in found if len(group) < MIN_STRATUM]
    large = [group for group in found if len(group) >= MIN_STRATUM]
    if sum(map(len, small)) < MIN_STRATUM and large:
        # Few rows of all small strata would hardly vary, either.
        small.append(large.pop(int(np.argmin([len(group) for group in large]))))
    return [*large, np.sort(np.concatenate(small))] if small else large


def summed_up(truth: NDArray[Any], scores: Floats, decision: Decision) -> Summed:
    """The metrics of the decision's task as sums over rows."""
    return {"single": _single, "multi": _multi, "score": _score}[decision.task](truth, scores, decision)


def _interval(name: str, drawn: NDArray[np.float64], point: float, rows: int) -> tuple[float, float]:
    """The interval of a metric from its value in each resample, corrected for their bias; it holds the value itself."""
    from scipy.special import ndtr, ndtri

    if np.ptp(drawn) == 0 and name not in _NO_SHARES and point in (0.0, 1.0):
        return _exact(point, rows)
    if name == "ece":
        # Noise adds to it, in every resample more than in the rows themselves: what is left is how much it varies.
        low, high = np.quantile(drawn - (drawn.mean() - point), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return min(max(float(low), 0.0), point), max(float(high), point)
    below = float((drawn < point).mean() + (drawn == point).mean() / 2)
    shift = 2 * float(np.clip(ndtri(below), -_SHIFT / 2, _SHIFT / 2))
    edge = ndtri((1 + LEVEL) / 2)
    low, high = np.quantile(drawn, [ndtr(shift - edge), ndtr(shift + edge)])
    return min(float(low), point), max(float(high), point)


def _exact(point: float, rows: int) -> tuple[float, float]:
    """Where no row is wrong, or none right, resamples say nothing: the exact interval of a share of so many rows.

    Clopper and Pearson 1934. For averages over classes it is an approximation.
    """
    edge = ((1 - LEVEL) / 2) ** (1 / rows)
    return (edge, 1.0) if point else (0.0, 1 - edge)


def _single(truth: NDArray[Any], scores: Floats, decision: Decision) -> Summed:
    from scipy import sparse

    rows, classes = scores.shape
    answers = decision.choose(scores)
    place = np.arange(rows)
    cells = sparse.csr_array((np.ones(rows), (place, truth * classes + answers)), shape=(rows, classes**2))
    own = scores[place, truth]
    right = np.eye(classes)[truth]
    rest = np.column_stack([-np.log(np.clip(own, 1e-12, 1)), ((scores - right) ** 2).sum(axis=1)])
    sure = scores[place, answers]
    bins = _in_bins(sure, answers == truth)

    def metrics(sums: Sums) -> dict[str, NDArray[np.float64]]:
        table = sums[:, : classes**2].reshape(-1, classes, classes)
        nll, brier = (sums[:, classes**2 + i] / rows for i in (0, 1))
        return {**_of_table(table), "nll": nll, "brier": brier, "ece": _ece(sums[:, -3 * BINS :], rows)}

    return Summed(sparse.hstack([cells, rest, bins], format="csr"), metrics, np.asarray(truth))


def _of_table(table: Sums) -> dict[str, NDArray[np.float64]]:
    """Metrics of confusion tables (resamples, true, predicted), as scikit-learn defines them."""
    hits = np.diagonal(table, axis1=1, axis2=2)
    true, given = table.sum(axis=2), table.sum(axis=1)
    rows = true.sum(axis=1)
    result = {"accuracy": hits.sum(axis=1) / rows, **_averages(hits, true, given, (true + given) > 0)}
    for name in ("precision", "recall", "f1"):
        result[f"micro_{name}"] = result["accuracy"]
    spread = np.sqrt((rows**2 - (given**2).sum(axis=1)) * (rows**2 - (true**2).sum(axis=1)))
    result["mcc"] = _share(hits.sum(axis=1) * rows - (given * true).sum(axis=1), spread)
    return result


def _averages(hits: Sums, true: Sums, given: Sums, counted: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Macro and weighted averages of precision, recall and F1 over classes (resamples, classes) that are `counted`."""
    found = {"precision": _share(hits, given), "recall": _share(hits, true), "f1": _share(2 * hits, true + given)}
    result = {
        f"macro_{name}": _share((each * counted).sum(axis=1), counted.sum(axis=1)) for name, each in found.items()
    }
    return result | {
        f"weighted_{name}": _share((each * true).sum(axis=1), true.sum(axis=1)) for name, each in found.items()
    }


def _multi(truth: NDArray[Any], scores: Floats, decision: Decision) -> Summed:
    from scipy import sparse

    true = np.asarray(truth) > HALF
    rows, labels = true.shape
    fitted = decision.choose(scores)
    kinds = {"": fitted, "_at_half": scores >= HALF}
    columns, width = list[Any](), 3 * labels + 4
    for given in kinds.values():
        both, either = (true & given).sum(axis=1), true.sum(axis=1) + given.sum(axis=1)
        by_row = [_share(both, given.sum(axis=1)), _share(both, true.sum(axis=1)), _share(2.0 * both, either)]
        columns += [true & given, true, given, np.column_stack([*by_row, (true == given).all(axis=1)])]
    own = np.where(true, scores, 1 - scores)
    error = ((scores - true) ** 2).mean(axis=1)
    rest = np.column_stack([-np.log(np.clip(own, 1e-12, 1)).mean(axis=1), error, _ranking(true, scores)])
    bins = sum(_in_bins(scores[:, i], true[:, i]) for i in range(labels))

    def metrics(sums: Sums) -> dict[str, NDArray[np.float64]]:
        result: dict[str, NDArray[np.float64]] = {}
        for i, kind in enumerate(kinds):
            found = _of_labels(sums[:, i * width : (i + 1) * width], labels, rows)
            kept = found if not kind else ("macro_f1", "micro_f1", "subset_accuracy")
            result |= {f"{name}{kind}": found[name] for name in kept}
        nll, brier, ranking = (sums[:, 2 * width + i] / rows for i in range(3))
        ece = _ece(sums[:, -3 * BINS :], rows * labels)
        return {**result, "ranking_precision": ranking, "nll": nll, "brier": brier, "ece": ece}

    # Of many labels few hold: most of the columns are zeros.
    every = sparse.hstack(
        [sparse.csr_array(np.asarray(one, dtype=float)) for one in (*columns, rest, bins)], format="csr"
    )
    return Summed(every, metrics, np.zeros(rows, dtype=np.int64))


def _of_labels(sums: Sums, labels: int, rows: int) -> dict[str, NDArray[np.float64]]:
    hits, true, given = (sums[:, i * labels : (i + 1) * labels] for i in range(3))
    result = _averages(hits, true, given, np.ones_like(true, dtype=bool))
    every = [each.sum(axis=1) for each in (hits, true, given)]
    micro = {"precision": _share(every[0], every[2]), "recall": _share(every[0], every[1])}
    micro["f1"] = _share(2 * every[0], every[1] + every[2])
    result |= {f"micro_{name}": value for name, value in micro.items()}
    names = ("sample_precision", "sample_recall", "sample_f1", "subset_accuracy")
    return result | {name: sums[:, 3 * labels + i] / rows for i, name in enumerate(names)}


def _ranking(true: NDArray[np.bool_], scores: Floats) -> NDArray[np.float64]:
    """Label ranking average precision of each row (rows,)."""
    from scipy.stats import rankdata

    among_all = rankdata(-scores, method="max", axis=1)
    among_true = rankdata(np.where(true, -scores, np.inf), method="max", axis=1)
    found = np.where(true, among_true / among_all, 0).sum(axis=1)
    held = true.sum(axis=1)
    return np.where((held == 0) | (held == true.shape[1]), 1.0, _share(found, held))


def _score(truth: NDArray[Any], scores: Floats, decision: Decision) -> Summed:
    from scipy.stats import rankdata

    given, true = decision.choose(scores), np.asarray(truth, dtype=np.float64)
    rows = len(true)
    # Centred first: the sums of squares of large numbers would lose the digits that matter.
    pairs = [(true - true.mean(), given - given.mean()), (rankdata(true) - rows / 2, rankdata(given) - rows / 2)]
    columns = [column for x, y in pairs for column in (x, y, x * x, y * y, x * y)]
    error = given - true

    def metrics(sums: Sums) -> dict[str, NDArray[np.float64]]:
        means = sums / rows
        found = {"pearson": _correlation(means[:, :5]), "spearman": _correlation(means[:, 5:10])}
        return {**found, "mse": means[:, 10], "mae": means[:, 11]}

    return Summed(np.column_stack([*columns, error**2, np.abs(error)]), metrics, np.zeros(rows, dtype=np.int64))


def _correlation(means: Sums) -> NDArray[np.float64]:
    x, y, xx, yy, xy = means.T
    return _share(xy - x * y, np.sqrt(np.clip((xx - x * x) * (yy - y * y), 0, None)))


def _in_bins(sure: Floats, right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each row and bin of confidence whether the row is in it, its confidence, and whether it is right there."""
    member = np.eye(BINS)[bins_of(sure)]
    return np.column_stack([member, member * sure[:, None], member * right[:, None]])


def _ece(sums: Sums, rows: int) -> NDArray[np.float64]:
    sure, right = sums[:, BINS : 2 * BINS], sums[:, 2 * BINS :]
    return np.asarray(np.abs(sure - right).sum(axis=1) / rows)


def _share(part: Any, whole: Any) -> NDArray[np.float64]:
    """part / whole, and 0 where the whole is nothing."""
    whole = np.asarray(whole, dtype=np.float64)
    shape = np.broadcast_shapes(np.shape(part), whole.shape)
    return np.asarray(np.divide(part, whole, out=np.zeros(shape), where=whole > 0), dtype=np.float64)
