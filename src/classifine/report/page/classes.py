"""How each class fared, and which are taken for which.

It repeats what the evaluation counted; scores are none of its business.
"""

from collections.abc import Iterator

from classifine.report.page import figures
from classifine.report.page.blocks import Block, Cell, Chart, Note, Table, count, number, share
from classifine.report.page.kept import EVALUATION, Kept
from classifine.report.page.missing import lacks

MATRIX_UP_TO = 30  # classes; a larger one cannot be read
CONFUSIONS = 100  # rows of the table


def classes(kept: Kept) -> Iterator[Block]:
    """How each class fared, the worst first."""
    found = kept.evaluation
    if found is None or not found.classes:
        yield lacks(EVALUATION, "how each class fared")
        return
    limits = dict(zip(kept.labels.names, kept.thresholds, strict=False))
    order = sorted(found.classes, key=lambda one: (one.f1, one.label))
    drawn = [one.model_dump() for one in order[: figures.BARS_UP_TO]]
    fewer = f" The {figures.BARS_UP_TO} worst of {len(order)} are drawn." if len(order) > figures.BARS_UP_TO else ""
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


def confusion(kept: Kept) -> Iterator[Block]:
    """Which classes are taken for which."""
    found = kept.evaluation
    if found is None or not found.confusion:
        yield lacks(EVALUATION, "which classes are taken for which")
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
