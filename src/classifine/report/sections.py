"""What a report says of a run, section by section, from what its folder keeps: only facts of that run.

Paths of the machine are told by their last part. It knows nothing about HTML, networks or how charts are drawn.
"""

import importlib.util
import json
from collections.abc import Callable, Iterator
from typing import Any

from classifine.metrics import CALIBRATION, HEADLINE
from classifine.report import figures
from classifine.report.blocks import (
    Block,
    Cell,
    Chart,
    Explained,
    Note,
    Section,
    Table,
    count,
    joined,
    number,
    share,
    shortened,
    words,
)  # fmt: skip
from classifine.report.card import asked_of, judged_on, last_part
from classifine.report.kept import (
    EVALUATION,
    HISTORY,
    PREDICTIONS,
    WHY,
    EvaluationFact,
    Kept,
    Metric,
    PredictionFact,
    TokensFact,
)  # fmt: skip
from classifine.report.suspects import wrong_labels

MATRIX_UP_TO = 30  # classes; a larger one cannot be read
BARS_UP_TO = 40  # classes drawn
ERRORS, SUSPECTS, CONFUSIONS = 200, 100, 100  # rows of the tables
_AGAIN = "Train the classifier again to have it."
# What the metrics are, for who has not met them.
MEANING = {
    "accuracy": "share of rows with the right label", "macro_f1": "F1 of each class, averaged over classes",
    "weighted_precision": "share of answers that are right, classes weighted by their rows",
    "weighted_recall": "share of true rows that are found, classes weighted by their rows",
    "micro_precision": "share of all answers that are right", "micro_recall": "share of all true labels that are found",
    "sample_precision": "share of a row's answers that are right, averaged over rows",
    "sample_recall": "share of a row's true labels that are found, averaged over rows",
    "macro_f1_at_half": "macro_f1 at the fixed threshold 0.5", "micro_f1_at_half": "micro_f1 at the fixed threshold 0.5",
    "subset_accuracy_at_half": "subset_accuracy at the fixed threshold 0.5",
    "weighted_f1": "F1 of each class, averaged over rows", "micro_f1": "F1 over all decisions together",
    "sample_f1": "F1 of each row, averaged over rows", "subset_accuracy": "share of rows with all labels right",
    "ranking_precision": "how high the true labels stand when labels are ordered by score",
    "macro_precision": "share of answers that are right, averaged over classes",
    "macro_recall": "share of true rows that are found, averaged over classes",
    "mcc": "Matthews correlation: 0 is chance, 1 is perfect", "nll": "negative log-likelihood, lower is better",
    "brier": "mean squared error of the scores, lower is better",
    "ece": "expected calibration error: distance of scores from shares that come true, lower is better",
    "pearson": "linear correlation with the true numbers", "spearman": "correlation of the ranks",
    "mse": "mean squared error, lower is better", "mae": "mean absolute error, lower is better",
}  # fmt: skip


def sections_of(kept: Kept) -> list[Section]:
    """Every section that the task has, in the order of the page."""
    clean = hider(kept)
    found = [
        Section("results", "Results", list(_results(kept))),
        Section("data", "The data and its faults", list(_data(kept, clean))),
        Section("length", "Length and truncation", list(_length(kept))),
        Section("training", "Learning curves", list(_training(kept, clean))),
    ]
    if kept.task == "score":
        found.append(Section("numbers", "Predicted and true numbers", list(_numbers(kept))))
    else:
        found.append(Section("classes", "Classes", list(_classes(kept))))
        if kept.task == "single":
            found.append(Section("confusion", "Confusion", list(_confusion(kept))))
        found.append(Section("scores", "How far scores can be trusted", list(_scores(kept))))
    return [
        *found,
        Section("errors", "The worst errors", list(_errors(kept))),
        Section("labels", "Probable label errors", list(_suspects(kept))),
        Section("recipe", "Recipe, time and versions", list(_recipe(kept, clean))),
    ]


def lead_of(kept: Kept) -> str:
    """What the classifier does, in a sentence."""
    asked = asked_of(kept.task, len(kept.labels), kept.pair)
    base = last_part(kept.record.base) if _own_base(kept) else kept.record.base
    language = f" Its training texts are in “{kept.record.language}”." if kept.record.language else ""
    return f"A network that {asked}{f', fine-tuned from {base}' if base else ''}.{language}"


def hider(kept: Kept) -> Callable[[str], str]:
    """What replaces each path of the machine in a text by its last part."""
    data = kept.record.config.get("data", {})
    paths = [data.get("validation"), data.get("test")]
    if not kept.record.data_on_hub:
        paths += [data.get("source"), *(split.source for split in (kept.data.splits if kept.data else {}).values())]
    if _own_base(kept):
        paths += [kept.record.base, kept.record.config.get("model", {}).get("base")]
    # The longer ones first: one may be the beginning of another.
    found = sorted(
        {str(path) for path in paths if path and last_part(str(path)) != path}, key=lambda one: (-len(one), one)
    )

    def clean(text: str) -> str:
        for path in found:
            text = text.replace(path, last_part(path))
        return text

    return clean


def _own_base(kept: Kept) -> bool:
    return kept.record.base_origin == "a local folder"


def _lacks(file: str, what: str) -> Note:
    return Note(f"This folder has no {file}, so {what} is not known. {_AGAIN}")


# Results


def _results(kept: Kept) -> Iterator[Block]:
    found = kept.evaluation
    if found is None:
        yield _lacks(EVALUATION, "how good the classifier is")
        return
    judged = judged_on(kept.record.judged or {}, found.rows)
    yield Note(f"{judged}.", warning="flatter" in judged)
    names = [name for name in HEADLINE[kept.task] if name in found.metrics]
    yield _headline_chart(kept, found, names[:2])
    yield _metrics_table("headline-table", "Main metrics, beside simpler methods on the same rows", found, names)
    others = [name for name in found.metrics if name not in names]
    if others:
        yield _metrics_table("metrics-table", "All other metrics", found, others)
    if found.slices:
        yield _slices_table(found)
    if len(kept.record.seeds) > 1:
        rows = [
            [Cell(str(one.seed), one.seed), *(number(one.test.get(name)) for name in names)]
            for one in kept.record.seeds
        ]
        note = "This report is about the seed that was best on validation rows."
        yield Table("seeds-table", "The same recipe from other seeds, on test rows", ("seed", *names), rows, note)


def _headline_chart(kept: Kept, found: EvaluationFact, names: list[str]) -> Chart:
    data = [
        {
            "metric": name, **found.metrics[name].model_dump(),
            "others": [{"name": one["name"], "value": one.get(name)} for one in found.baselines if one.get(name) is not None],
        }
        for name in names
    ]  # fmt: skip
    reading = "The dot is this classifier, the bar its 95 % interval, each tick a simpler method on the same rows."
    return Chart(
        "headline",
        "headline",
        "This classifier and simpler methods",
        reading,
        {"rows": data, "rows_judged": found.rows},
    )


def _metrics_table(id: str, caption: str, found: EvaluationFact, names: list[str]) -> Table:
    others = [one for one in found.baselines if any(isinstance(one.get(name), float) for name in names)]
    rows = []
    for name in names:
        own = found.metrics[name]
        cells = [Cell(name), number(own.value, 4), Cell(_interval(own))]
        for one in others:
            value = one.get(name)
            cells.append(number(value if isinstance(value, float) else None, 4))
        rows.append([*cells, Cell(MEANING.get(name, ""))])
    heads = ("metric", "value", "95 % interval", *(str(one["name"]) for one in others), "what it is")
    return Table(id, caption, heads, rows)


def _slices_table(found: EvaluationFact) -> Table:
    rows = [
        [Cell(one.kind), Cell(one.name), count(one.rows), Cell(one.metric), number(one.value), number(one.error)]
        for one in found.slices
    ]
    heads = ("by", "part", "rows", "metric", "value", "standard error")
    note = "Lengths are quarters of the test rows by characters. Differences below two standard errors may be chance."
    return Table("slices-table", "On short and long texts, and by language where there are several", heads, rows, note)


def _interval(own: Metric) -> str:
    return "–" if own.low is None or own.high is None else f"{own.low:.4f} to {own.high:.4f}"


# Data


def _data(kept: Kept, clean: Callable[[str], str]) -> Iterator[Block]:
    found = kept.data
    if kept.record.rows:
        yield Note("Used: " + ", ".join(f"{rows:,} rows for {name}" for name, rows in kept.record.rows.items()) + ".")
    if found is None:
        yield _lacks("data_report.json", "what was found in the data")
        return
    yield _splits_table(kept, clean)
    if found.notes:
        yield Note(f"Found: {'; '.join(clean(note) for note in found.notes)}.")
    if found.faults:
        rows = [
            [
                Cell(one.severity),
                Cell(one.split),
                Cell(one.kind.replace("-", " ")),
                Cell(clean(one.message)),
                Cell(one.action),
            ]
            for one in found.faults
        ]
        yield Table(
            "faults", "Faults that were found, and what was done", ("severity", "split", "fault", "what was found", "what was done"),
            rows, "Row numbers count the rows with content below the header, from 1.",
        )  # fmt: skip
    else:
        yield Note("No faults were found.")
    if any(split.classes for split in found.splits.values()):
        yield _class_counts(kept)


def _splits_table(kept: Kept, clean: Callable[[str], str]) -> Table:
    assert kept.data is not None
    rows = []
    for name, split in kept.data.splits.items():
        what = (
            f"scores {split.scores.get('lowest', 0):g} to {split.scores.get('highest', 0):g}"
            if split.scores
            else f"{len(split.classes)} classes"
        )
        cells = [Cell(name), Cell(clean(split.source)), count(split.rows), Cell(what)]
        rows.append([*cells, *(count(split.characters.get(key)) for key in ("median", "longest"))])
    heads = ("split", "from", "rows", "labels", "characters (median)", "characters (longest)")
    cut = [name for name in kept.record.rows if name not in kept.data.splits]
    note = f"The rows for {' and '.join(cut)} were cut from train." if cut else ""
    return Table("splits", "The data as it was given", heads, rows, note)


def _class_counts(kept: Kept) -> Chart:
    assert kept.data is not None
    splits = kept.data.splits
    names = sorted({name for split in splits.values() for name in split.classes})
    names.sort(key=lambda name: -sum(split.classes.get(name, 0) for split in splits.values()))
    totals = {name: sum(split.classes.values()) for name, split in splits.items()}
    rows = [[Cell(name), *(count(split.classes.get(name, 0)) for split in splits.values())] for name in names]
    drawn = [
        {"label": name, "split": part, "share": split.classes.get(name, 0) / max(totals[part], 1), "rows": split.classes.get(name, 0)}
        for name in names[:BARS_UP_TO]
        for part, split in splits.items()
    ]  # fmt: skip
    fewer = f" The {BARS_UP_TO} largest of {len(names)} are drawn." if len(names) > BARS_UP_TO else ""
    reading = f"How often each label stands in the data as it was given, as a share of all labels of its split.{fewer}"
    table = Table("class-counts-table", "Rows of each class", ("class", *splits), rows)
    return Chart(
        "class-counts", "shares", "How the classes are spread", reading, {"rows": drawn, "splits": list(splits)}, table
    )


# Length


def _length(kept: Kept) -> Iterator[Block]:
    tokens = kept.data.tokens if kept.data else None
    if tokens is None:
        yield Note(f"This folder does not keep how many tokens its texts have. {_AGAIN}")
        return
    cut = sum(one.cut for one in tokens.splits.values())
    yield Note(
        f"The network reads the first {tokens.max_length} tokens of a text; a token is a word or a piece of one. "
        + (
            "No text that was looked at is longer."
            if not cut
            else "Of longer texts the end is cut off (--max-length changes that)."
        )
    )
    yield _length_chart(tokens)


def _length_chart(tokens: TokensFact) -> Chart:
    rows = [
        [
            Cell(name), count(one.rows), count(one.looked_at), *map(count, (one.median, one.most, one.longest, one.cut)),
            share(one.cut / max(one.looked_at, 1)),
        ]
        for name, one in tokens.splits.items()
    ]  # fmt: skip
    heads = ("split", "rows", "looked at", "median", "95 % have up to", "longest", "cut", "share cut")
    last = max((k for one in tokens.splits.values() for k, n in enumerate(one.counts) if n), default=0)
    data = [
        {"split": name, "low": k * tokens.width, "high": (k + 1) * tokens.width, "share": n / max(one.looked_at, 1), "rows": n}
        for name, one in tokens.splits.items()
        for k, n in enumerate(one.counts[: last + 1])
    ]  # fmt: skip
    longest = max((one.longest for one in tokens.splits.values()), default=0)
    more = (last + 1) * tokens.width < longest
    reading = "The share of the texts of each split with so many tokens"
    reading += "; the dashed line is where texts are cut." if tokens.max_length < (last + 1) * tokens.width else "."
    reading += " The last bar counts all longer texts, too." if more else ""
    table = Table("length-table", "Tokens of the texts", heads, rows)
    return Chart(
        "tokens", "lengths", "Tokens of the texts", reading,
        {"rows": data, "splits": list(tokens.splits), "max_length": tokens.max_length}, table,
    )  # fmt: skip


# Training


def _training(kept: Kept, clean: Callable[[str], str]) -> Iterator[Block]:
    if not kept.history:
        yield _lacks(HISTORY, "how the training went")
        return
    metric = str(kept.record.recipe.get("metric") or HEADLINE[kept.task][0])
    names = list(dict.fromkeys([metric, *HEADLINE[kept.task][:2]]))
    names = [name for name in names if any(name in one.validation for one in kept.history)]
    best = kept.record.best_epoch
    if best is not None:
        yield Note(
            f"The weights are those of epoch {best} of {len(kept.history)}, the best by {metric} on validation rows."
        )
    yield from (Note(f"During training: {clean(alarm)}", warning=True) for alarm in kept.record.alarms)
    loss = [
        {"epoch": one.epoch, "value": value, "kind": kind}
        for one in kept.history
        for kind, value in (("training", one.train_loss), ("validation", one.validation.get("loss")))
        if value is not None
    ]
    reading = "Lower is better. Where the validation loss rises while the training loss falls, the network learns rows by heart."
    yield Chart(
        "loss", "curves", "Loss by epoch", reading, {"rows": loss, "best": best, "axis": "loss (mean over rows)"}
    )
    quality = [
        {"epoch": one.epoch, "value": one.validation[name], "kind": name}
        for one in kept.history
        for name in names
        if one.validation.get(name) is not None
    ]
    rows = [
        [Cell(str(one.epoch), one.epoch), number(one.train_loss, 4), number(one.validation.get("loss"), 4),
         *(number(one.validation.get(name), 4) for name in names), number(one.seconds, 1)]
        for one in kept.history
    ]  # fmt: skip
    heads = (
        "epoch",
        "training loss",
        "validation loss",
        *(f"validation {name}" for name in names),
        "seconds since the start",
    )
    table = Table("history-table", "Each epoch", heads, rows)
    reading = "Higher is better. The dashed line marks the epoch that was kept."
    yield Chart(
        "quality",
        "curves",
        "Validation metrics by epoch",
        reading,
        {"rows": quality, "best": best, "axis": "metric"},
        table,
    )


# Classes and confusion


def _classes(kept: Kept) -> Iterator[Block]:
    found = kept.evaluation
    if found is None or not found.classes:
        yield _lacks(EVALUATION, "how each class fared")
        return
    limits = dict(zip(kept.labels.names, kept.thresholds, strict=False))
    order = sorted(found.classes, key=lambda one: (one.f1, one.label))
    drawn = [one.model_dump() for one in order[:BARS_UP_TO]]
    fewer = f" The {BARS_UP_TO} worst of {len(order)} are drawn." if len(order) > BARS_UP_TO else ""
    reading = (
        "The bar is F1, the dot precision (the share of its answers that is right), the ring recall (the share of its "
        f"rows that is found). The worst class comes first.{fewer}"
    )
    rows = [
        [Cell(one.label), number(one.precision), number(one.recall), number(one.f1), count(one.support), count(one.predicted),
         *([number(limits.get(one.label))] if limits else [])]
        for one in order
    ]  # fmt: skip
    heads = ("class", "precision", "recall", "F1", "true rows", "predicted rows", *(["threshold"] if limits else []))
    note = (
        "A label is given where its score reaches its threshold, which was fitted on validation rows." if limits else ""
    )
    yield Chart("class-bars", "bars", "Each class on test rows", reading, {"rows": drawn})
    yield Table("class-table", "Each class on test rows", heads, rows, note)


def _confusion(kept: Kept) -> Iterator[Block]:
    found = kept.evaluation
    if found is None or not found.confusion:
        yield _lacks(EVALUATION, "which classes are taken for which")
        return
    names = found.labels
    if len(names) <= MATRIX_UP_TO:
        reading = "Each line is a true class, each column what was answered; the stronger its colour, the larger the share of that class. Right answers lie on the diagonal."
        rows = [[Cell(name), *map(count, line)] for name, line in zip(names, found.confusion, strict=True)]
        table = Table(
            "matrix-table",
            "Rows of each true class (lines) by what was answered (columns)",
            ("true class", *names),
            rows,
        )
        yield Chart(
            "confusion-matrix",
            "matrix",
            "Confusion matrix",
            reading,
            {"labels": names, "counts": found.confusion},
            table,
        )
    common = figures.frequent_confusions(names, found.confusion, CONFUSIONS)
    if not common:
        yield Note("No test row was answered wrongly.")
        return
    rows = [[Cell(one["true"]), Cell(one["predicted"]), count(one["rows"]), share(one["share"])] for one in common]
    heads = ("true class", "answered", "rows", "share of the true class")
    yield Table("confusions", "What is most often taken for what", heads, rows)


# Scores


def _scores(kept: Kept) -> Iterator[Block]:
    found = kept.predictions
    if found is None:
        yield _lacks(PREDICTIONS, "how often scores come true")
        return
    several = kept.task == "multi"
    yield from _calibration(kept)
    bins = figures.reliability_bins(found, kept.decision)
    what = "label of a row" if several else "answer"
    reading = (
        f"Scores that can be taken at their word lie on the dashed line; below it they promise too much. The larger a dot, "
        f"the more scores it stands for (each {what} counts once)."
    )
    rows = [
        [Cell(f"{one['low']:.2f} to {one['high']:.2f}", one["low"]), count(one["rows"]), number(one["score"]), share(one["right"])]
        for one in bins
    ]  # fmt: skip
    table = Table(
        "reliability-table", "Scores in bins of equal width", ("score", "how many", "mean score", "came true"), rows
    )
    yield Chart("reliability", "reliability", "Reliability diagram", reading, {"rows": bins}, table)
    yield _histogram(kept)
    curve = figures.coverage(found, kept.decision)
    right = "all labels right" if several else "the right answer"
    reading = f"The share of answered rows with {right}, when the least sure rows are left without an answer; on the right all are answered."
    points = [[share(one["share"]), number(one["score"]), share(one["accuracy"])] for one in figures.at_shares(curve)]
    table = Table(
        "coverage-table", "What leaving out the least sure rows brings", ("answered", "lowest score", "right"), points
    )
    yield Chart("coverage", "coverage", "Accuracy over coverage", reading, {"rows": curve}, table)


def _calibration(kept: Kept) -> Iterator[Note]:
    found, own = kept.evaluation, kept.record.calibration
    if found is None or not found.uncalibrated or own is None:
        return
    how = f"temperature {own.temperature:.2f}" if isinstance(own.temperature, float) else "a temperature for each label"
    told = [
        f"{name} {found.metrics[name].value:.4f} (before {found.uncalibrated[name]:.4f})"
        for name in CALIBRATION
        if name in found.metrics and found.metrics[name].value is not None and found.uncalibrated.get(name) is not None
    ]
    yield Note(f"Scores were calibrated on validation rows ({how}). On test rows: {', '.join(told)}.")


def _histogram(kept: Kept) -> Chart:
    assert kept.predictions is not None
    bars = figures.score_histogram(kept.predictions, kept.decision)
    several = kept.task == "multi"
    kinds = ("labels that hold", "labels that do not") if several else ("right answers", "wrong answers")
    totals = [max(sum(one[key] for one in bars), 1) for key in ("right", "wrong")]
    data = [
        {"low": one["low"], "high": one["high"], "kind": kind, "rows": one[key], "share": one[key] / total}
        for kind, key, total in zip(kinds, ("right", "wrong"), totals, strict=True)
        for one in bars
    ]
    rows = [
        [Cell(f"{one['low']:.2f} to {one['high']:.2f}", one["low"]), count(one["right"]), count(one["wrong"])]
        for one in bars
    ]
    reading = (
        "The scores of labels that hold and of labels that do not, each as shares of its kind: the further apart, the better."
        if several
        else "The scores of right and of wrong answers, each as shares of its kind: wrong ones should lie further left."
    )
    table = Table("histogram-table", "Scores in bins of equal width", ("score", *kinds), rows)
    return Chart("histogram", "histogram", "How the scores are spread", reading, {"rows": data, "kinds": kinds}, table)


def _numbers(kept: Kept) -> Iterator[Block]:
    found = kept.predictions
    if found is None:
        yield _lacks(PREDICTIONS, "how far the numbers are off")
        return
    reading = "Each dot is a test row; on the dashed line the predicted number is the true one."
    if len(found) > figures.POINTS:
        reading += f" {figures.POINTS:,} of {len(found):,} rows are drawn, evenly from the worst to the best."
    yield Chart("scatter", "scatter", "Predicted over true numbers", reading, {"rows": figures.scatter(found)})
    bars = figures.residuals(found)
    rows = [[Cell(f"{one['low']:.2f} to {one['high']:.2f}", one["low"]), count(one["rows"])] for one in bars]
    table = Table("residuals-table", "Predicted less true number", ("from, to", "rows"), rows)
    reading = "How far predicted numbers are above (right) or below (left) the true ones."
    yield Chart("residuals", "residuals", "Residuals", reading, {"rows": bars}, table)


# Errors


def _errors(kept: Kept) -> Iterator[Block]:
    found = kept.predictions
    if found is None:
        yield _lacks(PREDICTIONS, "which rows are answered wrongly")
        return
    places = [int(i) for i in found.wrong.nonzero()[0][:ERRORS]]
    wrong = int(found.wrong.sum())
    if not places:
        yield Note(f"All {len(found):,} test rows are answered rightly.")
        return
    rows = kept.rows_at(places)
    if kept.task == "score":
        yield Note(f"The {len(places):,} of {len(found):,} test rows that are furthest off.")
    else:
        what = "are answered wrongly" if kept.task == "single" else "do not get all labels right"
        order = "these are the {} whose truth had the lowest scores" if wrong > len(places) else "the worst come first"
        yield Note(
            f"{wrong:,} of {len(found):,} test rows ({wrong / len(found):.1%}) {what}; {order.format(len(places))}."
        )
    yield _errors_table(kept, [rows[i] for i in places])
    yield from _explained(kept)


def _errors_table(kept: Kept, rows: list[PredictionFact]) -> Table:
    heads = (
        "row",
        "truth",
        "answer",
        *{"single": ("its score", "truth's score"), "multi": (), "score": ("off by",)}[kept.task],
        "text",
    )
    lines = []
    for one in rows:
        cells = [Cell(str(one.id), one.id), words(one.truth), words(one.prediction)]
        if kept.task == "single":
            cells += [number(one.scores.get(str(name))) for name in (one.prediction, one.truth)]
        if isinstance(one.truth, float) and isinstance(one.prediction, float):
            cells.append(number(one.prediction - one.truth))
        lines.append([*cells, Cell(joined((one.text, one.text_pair)))])
    return Table(
        "errors-table",
        "The worst errors on test rows",
        heads,
        lines,
        "Long texts are shortened; predictions.jsonl has them whole.",
    )


def _explained(kept: Kept) -> Iterator[Block]:
    if kept.why is None:
        yield Note(
            f"This folder has no {WHY}, so the errors are not explained. `classifine explain MODEL TEXT` explains any text."
        )
        return
    if not kept.why.errors:
        yield Note(kept.why.missing or "No error is explained.")
        return
    told = "speak for the label that is named, red and dashed ones against it"
    if kept.task == "score":
        told = "make the number larger, red and dashed ones smaller"
    yield Note(
        f"The {len(kept.why.errors)} worst explained: blue and underlined words {told}; bold is strong. A word adds what the "
        f"{'number' if kept.task == 'score' else 'logit of the label'} loses when the word is left out."
    )
    for one in kept.why.errors:
        truth, answer = words(one.truth).text, words(one.prediction).text
        about, note = f"answered {answer}, truth {truth}", ""
        if kept.task == "multi":
            given = isinstance(one.prediction, tuple) and one.label in one.prediction
            about = f"{one.label} {'was given and does not hold' if given else 'holds and was not given'}"
            note = f"Answered: {shortened(answer)}. Truth: {shortened(truth)}."
        if one.cut:
            note = f"{note} Only the beginning of the text is explained.".strip()
        yield Explained(f"Row {one.id}: {about}", one.explanation, note, kept.task != "score")


def _suspects(kept: Kept) -> Iterator[Block]:
    found = kept.predictions
    if found is None:
        yield _lacks(PREDICTIONS, "which labels are probably wrong")
        return
    if importlib.util.find_spec("cleanlab") is None:
        yield Note(
            "Labels that are probably wrong are found with cleanlab, which was not installed when this page was made: "
            "`pip install 'classifine[audit]'`, then `classifine report MODEL`. `classifine audit DATA` judges the rows of train."
        )
        return
    wrong = wrong_labels(found.truth, found.scores, kept.task)
    if not wrong:
        yield Note("No label of a test row is probably wrong. `classifine audit DATA` judges the rows of train.")
        return
    yield Note(
        f"{len(wrong):,} of {len(found):,} test rows have a label that this classifier, which has not seen them, and "
        "confident learning (cleanlab) take for wrong. Look before you change one: some are hard rows, not errors. "
        "`classifine audit DATA` judges the rows of train, too."
    )
    rows = kept.rows_at([one.row for one in wrong[:SUSPECTS]])
    lines = []
    for one in wrong[:SUSPECTS]:
        row, named = rows[one.row], one.suggested
        if kept.task != "score":
            named = tuple(kept.labels.decode(named)) if kept.task == "multi" else kept.labels.names[named]
        text = Cell(joined((row.text, row.text_pair)))
        lines.append([Cell(str(row.id), row.id), words(row.truth), words(named), number(one.score), text])
    fewer = f" The worst {SUSPECTS} are listed." if len(wrong) > SUSPECTS else ""
    note = f"The score goes from 0, surely a fault, to 1.{fewer}"
    yield Table(
        "suspects-table",
        "Labels of test rows that are probably wrong",
        ("row", "label", "rather", "score", "text"),
        lines,
        note,
    )


# Recipe


def _recipe(kept: Kept, clean: Callable[[str], str]) -> Iterator[Block]:
    record = kept.record
    facts = {
        "base model": clean(record.base) or None,
        "time of training": None if record.train_seconds is None else _duration(record.train_seconds),
        "speed": None if record.train_rows_per_second is None else f"{record.train_rows_per_second:.0f} rows/s",
        "most memory": None if record.peak_memory_mib is None else f"{record.peak_memory_mib:,.0f} MiB",
        "epochs": None if record.epochs_run is None else f"{record.epochs_run} run, the best: {record.best_epoch}",
        "seed": record.seed,
    }
    known = [[Cell(name), Cell(str(value))] for name, value in facts.items() if value is not None]
    yield Table("run-table", "The run", ("fact", "value"), known)
    for id, caption, found in (
        ("recipe-table", "Recipe", record.recipe), ("versions-table", "Versions", record.versions),
        ("settings-table", "Settings, as they were given", {f"{part}.{name}": value for part, own in record.config.items() for name, value in own.items()}),
    ):  # fmt: skip
        if found:
            rows = [[Cell(name), Cell(shortened(clean(_value(value))))] for name, value in found.items()]
            yield Table(id, caption, ("setting" if id != "versions-table" else "package", "value"), rows)


def _value(value: Any) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
