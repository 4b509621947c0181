"""How good a classifier is: its metrics beside simpler methods, on parts of the rows, from other seeds, and where it is weak.

It repeats what the evaluation says and judges nothing.
"""

from collections.abc import Iterator

from classifine.metrics import HEADLINE
from classifine.report.card import judged_on
from classifine.report.limits import limits
from classifine.report.page.blocks import Block, Cell, Chart, Listing, Note, Table, count, number
from classifine.report.page.kept import EVALUATION, EvaluationFact, Kept, Metric
from classifine.report.page.missing import lacks
from classifine.report.text import kept_of_seeds

# What the metrics are, for who has not met them.
MEANING = {
    "accuracy": "share of rows with the right label", "macro_f1": "F1 of each class, averaged over those that occur; of several labels a text over all",
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
    "macro_precision": "share of answers that are right, averaged as macro_f1 is",
    "macro_recall": "share of true rows that are found, averaged as macro_f1 is",
    "mcc": "Matthews correlation: 0 is chance, 1 is perfect", "nll": "negative log-likelihood, lower is better",
    "brier": "mean squared error of the scores, lower is better",
    "ece": "expected calibration error: distance of scores from shares that come true, lower is better",
    "pearson": "linear correlation with the true numbers", "spearman": "correlation of the ranks",
    "mse": "mean squared error, lower is better", "mae": "mean absolute error, lower is better",
}  # fmt: skip


def results(kept: Kept) -> Iterator[Block]:
    """How good the classifier is, beside simpler methods, on parts of the rows, from other seeds, and where it is weak."""
    found = kept.evaluation
    if found is None:
        yield lacks(EVALUATION, "how good the classifier is")
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
        note = f"This report is about {kept_of_seeds(kept.record.averaged, kept.record.taught_by)}."
        yield Table("seeds-table", "The same recipe from other seeds, on test rows", ("seed", *names), rows, note)
    yield Listing("limits", "Limits found", tuple(limits(dict(kept.record), found.model_dump())))


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
