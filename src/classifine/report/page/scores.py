"""How far scores can be trusted, and how far numbers are off.

What the charts draw is counted in `figures`; here it is put into words and tables.
"""

from collections.abc import Iterator

from classifine.metrics import CALIBRATION
from classifine.report.page import figures
from classifine.report.page.blocks import Block, Cell, Chart, Note, Table, count, number, share
from classifine.report.page.kept import PREDICTIONS, Kept
from classifine.report.page.missing import lacks
from classifine.report.text import calibrated_on


def scores(kept: Kept) -> Iterator[Block]:
    """Whether scores come true, and what leaving out the least sure rows brings."""
    found = kept.predictions
    if found is None:
        yield lacks(PREDICTIONS, "how often scores come true")
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
    rows = calibrated_on(own.left_out, kept.record.recipe)
    yield Note(f"Scores were calibrated on {rows} ({how}). On test rows: {', '.join(told)}.")


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


def numbers(kept: Kept) -> Iterator[Block]:
    """How far predicted numbers are off."""
    found = kept.predictions
    if found is None:
        yield lacks(PREDICTIONS, "how far the numbers are off")
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
