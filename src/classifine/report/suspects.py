"""Labels that are probably wrong, classes that overlap, and rows that lie apart: what vectors of the texts tell.

Every label is judged by a simple classifier that did not see the row (cross-validation), and `cleanlab` tells errors of
labels from errors of that classifier (Northcutt et al. 2021, "Confident Learning"). Columns of probabilities stand in
the order of the class ids, which is the one that cleanlab expects. It knows nothing about files.
"""

import random
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.data.row import Text, joined
from classifine.decide import Decision
from classifine.labels import Task

FOLDS = 5
NEIGHBOURS = 10  # whose mean distance says how far apart a row lies
# A row is an outlier from so many times the usual spread above the middle distance on; at most this share of rows are.
FAR, FARTHEST = 2.0, 0.02
# Rows at most among which neighbours are looked for: time grows with the rows, not with their square.
_REFERENCE = 20_000
_SPREAD = 1.4826  # of a median deviation, in standard deviations of a normal distribution
STRENGTH, STEPS = 0.01, 200  # of the logistic regression: its C, on vectors of spread 1, and its most iterations
WORDS = 200_000  # and pairs of words at most, the most frequent
WRONG = 3.0  # times the usual deviation from what is predicted, from where on a number is probably wrong
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Suspect:
    """A row (its position), what its label should rather be (ids; or the number), and how good the label is (0 to 1)."""

    row: int
    suggested: Any
    score: float


@dataclass(frozen=True)
class Overlap:
    """Two classes (ids) that are labelled as each other, with an estimate of the rows that are."""

    one: int
    other: int
    rows: int


def folds(strata: Sequence[Any], families: NDArray[Any], seed: int) -> NDArray[np.int64]:
    """The fold of each row (rows,), from 0: every stratum is spread evenly, and a family of copies stays in one.

    A copy with the same wrong label would otherwise vouch for it.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for i, family in enumerate(families.tolist()):
        members[family].append(i)
    of_stratum: dict[Any, list[list[int]]] = defaultdict(list)
    for rows in members.values():
        # Rows by a template are one large family: together they would leave nothing to learn from.
        parted = len(rows) > max(2, len(families) // (4 * FOLDS))
        for group in [[row] for row in rows] if parted else [rows]:
            of_stratum[strata[group[0]]].append(group)
    for key, found in of_stratum.items():
        if len(found) < FOLDS:
            of_stratum[key] = [[row] for rows in found for row in rows]
    draw, result = random.Random(seed), np.zeros(len(families), dtype=np.int64)
    for number, key in enumerate(sorted(of_stratum, key=str)):
        draw.shuffle(of_stratum[key])
        sizes = [0] * FOLDS
        for rows in of_stratum[key]:
            # Equal folds are filled in turn, beginning with another one for each stratum.
            fold = min(range(FOLDS), key=lambda i: (sizes[i], (i + number) % FOLDS))
            sizes[fold] += len(rows)
            result[rows] = fold
    return result


def strata_of(targets: NDArray[Any], task: Task) -> list[int]:
    """What each row (rows,) stands for when a part is to keep the shares: its class, its rarest label (-1 where it has
    none), or a tenth of the numbers in their order.
    """
    if task == "single":
        return list(targets.tolist())
    if task == "score":
        return list(np.digitize(targets, np.quantile(targets, np.arange(0.1, 1, 0.1))).tolist())
    held = targets.sum(axis=0)
    return [int(min(np.flatnonzero(row), key=lambda i: held[i], default=-1)) for row in targets]


def words_of(texts: Sequence[Text]) -> Any:
    """A sparse matrix (texts, words and pairs of words) of how telling each is of a text (tf-idf)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    # A word that no second text has tells nothing of others.
    often = 2 if len(texts) > 100 else 1
    reader = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=often, max_features=WORDS, dtype=np.float32)
    try:
        return reader.fit_transform(map(joined, texts))
    except ValueError:  # not one word in them
        return None


def out_of_sample(
    views: Sequence[Any], targets: NDArray[Any], task: Task, fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Scores (rows, labels) of each row by classifiers that were fitted to the other folds alone.

    Each of the `views`, matrices of the same rows, has a classifier of its own, and their scores are averaged: sentence
    vectors and words err on different rows. `targets` are as `Labels.targets` gives them; the columns are the class ids
    in their order, also of those that a part lacks. Of a number there is one column.
    """
    width = 1 if task == "score" else targets.shape[1] if task == "multi" else int(targets.max()) + 1
    result = np.zeros((len(targets), width))
    for held in np.unique(fold):
        out = fold == held
        found = [scores_of(view[~out], targets[~out], view[out], task, width) for view in views]
        result[out] = np.mean(found, axis=0)
    return result


def scores_of(given: Any, targets: NDArray[Any], asked: Any, task: Task, width: int) -> NDArray[np.float64]:
    """Scores (asked rows, `width`) by a classifier fitted to `given` rows and `targets`: logistic regression, one for
    each of several labels, or ridge regression where the target is a number. Rows are vectors, or sparse ones of words.
    """
    from scipy.sparse import issparse
    from sklearn.linear_model import Ridge
    from sklearn.preprocessing import StandardScaler

    if dense := not issparse(given):
        scaler = StandardScaler().fit(given)
        given, asked = scaler.transform(given), scaler.transform(asked)
    if task == "score":
        strength = len(targets) / 10 if dense else 1.0
        return np.asarray(Ridge(alpha=strength).fit(given, targets).predict(asked)).reshape(-1, 1)
    if task == "single":
        return _shares(given, targets, asked, width, dense)
    columns = [_shares(given, column.astype(np.int64), asked, 2, dense)[:, 1] for column in targets.T]
    return np.stack(columns, axis=1)


def _shares(given: Any, classes: NDArray[Any], asked: Any, width: int, dense: bool) -> NDArray[np.float64]:
    """Probabilities (asked rows, `width`) of the class ids in their order; 0 for those that `classes` lacks."""
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    # On sparse rows of two classes liblinear is several times as fast.
    solver = "liblinear" if width == 2 and not dense else "lbfgs"
    model = LogisticRegression(C=STRENGTH if dense else 1.0, max_iter=STEPS, solver=solver)
    if len(np.unique(classes)) < 2:
        model = DummyClassifier()
    with warnings.catch_warnings():
        # Where it stopped is near enough: what counts is the order of the rows.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(given, classes)
    result = np.zeros((asked.shape[0], width))
    result[:, model.classes_] = model.predict_proba(asked)
    return result


@dataclass(frozen=True)
class Judged:
    """Labels that are probably wrong, worst first; classes that overlap, most first; ids of those too rare to judge."""

    errors: tuple[Suspect, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    rare: tuple[int, ...] = ()


def judge_labels(views: Sequence[Any], targets: NDArray[Any], task: Task, families: NDArray[Any], seed: int) -> Judged:
    """What cross-validation says of the labels `targets` (rows, or rows x labels) of rows that `views` describe.

    `families` (rows,) are as `data.copies` gives them. Classes with fewer rows than folds cannot be judged and are left out,
    and so are numbers where there are fewer.
    """
    if task == "score":
        return Judged(tuple(_wrong_numbers(views, targets, families, seed)) if len(targets) >= FOLDS else ())
    return (_judge_classes if task == "single" else _judge_several)(views, targets, families, seed)


def wrong_labels(targets: NDArray[Any], scores: NDArray[np.float64], task: Task) -> list[Suspect]:
    """Labels `targets` (rows, or rows x labels) that are probably wrong, worst first, by what a classifier that has not
    seen the rows gave them: `scores` (rows, labels).

    Classes with fewer rows than folds cannot be judged and are left out.
    """
    if task == "score":
        return list(_far_off(targets, scores[:, 0]))
    known = _judgeable(targets)
    if len(known) < (2 if task == "single" else 1):
        return []
    if task == "multi":
        return _wrong_sets(targets, known, scores[:, known])
    rows = np.flatnonzero(np.isin(targets, known))
    own = scores[np.ix_(rows, known)]
    shares = own / np.maximum(own.sum(axis=1, keepdims=True), 1e-12)
    return _in_all(_wrong_classes(np.searchsorted(known, targets[rows]), shares), rows, known)


def _judgeable(targets: NDArray[Any]) -> NDArray[np.int64]:
    """Ids of the classes with enough rows to judge their labels; of several labels also with enough rows without."""
    if targets.ndim == 1:
        return np.flatnonzero(np.bincount(targets) >= FOLDS)
    held = targets.sum(axis=0)
    return np.flatnonzero((held >= FOLDS) & (len(targets) - held >= FOLDS))


def _in_all(found: Sequence[Suspect], rows: NDArray[np.int64], known: NDArray[np.int64]) -> list[Suspect]:
    """Suspects among some `rows` of the `known` classes, as suspects among all; worst first."""
    all_rows = [Suspect(int(rows[one.row]), int(known[one.suggested]), one.score) for one in found]
    return sorted(all_rows, key=lambda one: (one.score, one.row))


def _wrong_classes(labels: NDArray[Any], scores: NDArray[np.float64]) -> list[Suspect]:
    """Suspects by scores (rows, classes) of ids without gaps, which is what cleanlab wants."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    wrong = np.flatnonzero(find_label_issues(labels, scores, n_jobs=1))
    quality = get_label_quality_scores(labels, scores, method="self_confidence")
    better = Decision().choose(scores)
    return [Suspect(int(i), int(better[i]), float(quality[i])) for i in wrong if better[i] != labels[i]]


def _wrong_sets(targets: NDArray[Any], known: NDArray[np.int64], scores: NDArray[np.float64]) -> list[Suspect]:
    """Suspects among rows with several labels, by scores (rows, known); worst first."""
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    from cleanlab.multilabel_classification.rank import get_label_quality_scores_per_class

    names = [np.flatnonzero(row).tolist() for row in targets[:, known]]
    wrong = np.asarray(find_multilabel_issues_per_class(names, scores, n_jobs=1))
    quality = np.asarray(get_label_quality_scores_per_class(names, scores))
    found = []
    for i in np.flatnonzero(wrong.any(axis=1)):
        better = targets[i] > 0
        better[known] ^= wrong[i]
        found.append(Suspect(int(i), tuple(np.flatnonzero(better).tolist()), float(quality[i][wrong[i]].min())))
    return sorted(found, key=lambda one: (one.score, one.row))


def _judge_classes(views: Sequence[Any], targets: NDArray[Any], families: NDArray[Any], seed: int) -> Judged:
    from cleanlab.dataset import find_overlapping_classes

    counts, known = np.bincount(targets), _judgeable(targets)
    rare = tuple(np.flatnonzero((counts > 0) & (counts < FOLDS)).tolist())
    rows = np.flatnonzero(np.isin(targets, known))
    if len(known) < 2:
        return Judged(rare=rare)
    labels = np.searchsorted(known, targets[rows])
    fold = folds(strata_of(labels, "single"), families[rows], seed)
    scores = out_of_sample([view[rows] for view in views], labels, "single", fold)
    found = _in_all(_wrong_classes(labels, scores), rows, known)
    table = find_overlapping_classes(labels, scores)
    pairs = zip(*(table[name] for name in ("Class Index A", "Class Index B", "Num Overlapping Examples")), strict=True)
    overlaps = [Overlap(int(known[one]), int(known[other]), round(count)) for one, other, count in pairs if count >= 1]
    return Judged(tuple(found), tuple(overlaps), rare)


def _judge_several(views: Sequence[Any], targets: NDArray[Any], families: NDArray[Any], seed: int) -> Judged:
    held, known = targets.sum(axis=0), _judgeable(targets)
    rare = tuple(np.flatnonzero((held > 0) & (held < FOLDS)).tolist())
    if not len(known):
        return Judged(rare=rare)
    fold = folds(strata_of(targets, "multi"), families, seed)
    scores = out_of_sample(views, targets[:, known], "multi", fold)
    return Judged(tuple(_wrong_sets(targets, known, scores)), (), rare)


def _wrong_numbers(views: Sequence[Any], targets: NDArray[Any], families: NDArray[Any], seed: int) -> Iterator[Suspect]:
    scores = out_of_sample(views, targets, "score", folds(strata_of(targets, "score"), families, seed))[:, 0]
    yield from _far_off(targets, scores)


def _far_off(targets: NDArray[Any], scores: NDArray[np.float64]) -> Iterator[Suspect]:
    """Suspects among numbers (rows,) by what was predicted of them (rows,), worst first."""
    from cleanlab.regression.rank import get_label_quality_scores

    off = np.abs(targets - scores)
    quality = get_label_quality_scores(targets, scores, method="residual")
    for i in np.argsort(-off, kind="stable"):
        if off[i] > WRONG * _SPREAD * np.median(off):
            yield Suspect(int(i), float(scores[i]), float(quality[i]))


def outliers(vectors: Floats, seed: int) -> list[Suspect]:
    """Rows that are unlike all others, worst first: the mean distance to their nearest neighbours is far above the usual.

    The score is the usual distance as a share of theirs: 0.5 of a row that lies twice as far away. Vectors have length 1.
    Ramaswamy et al. 2000, "Efficient Algorithms for Mining Outliers from Large Data Sets".
    """
    from sklearn.neighbors import NearestNeighbors

    count = len(vectors)
    if count <= 2 * NEIGHBOURS:
        return []
    chosen = sorted(random.Random(seed).sample(range(count), min(count, _REFERENCE)))
    # One more than is wanted: a row that was drawn finds itself, another one loses its last neighbour.
    search = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute").fit(vectors[chosen])
    near = search.kneighbors(vectors)[0]
    drawn = np.isin(np.arange(count), chosen)
    far = np.where(drawn, near[:, 1:].mean(axis=1), near[:, :-1].mean(axis=1))
    usual = float(np.median(far))
    limit = usual + FAR * _SPREAD * float(np.median(np.abs(far - usual)))
    worst = np.argsort(-far, kind="stable")[: max(1, round(FARTHEST * count))]
    return [Suspect(int(i), None, usual / float(far[i])) for i in worst if far[i] > limit]
