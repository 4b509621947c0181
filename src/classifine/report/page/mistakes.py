"""Test rows that were answered wrongly, and those whose labels are probably wrong.

It shows them and does not say who is right.
"""

import importlib.util
from collections.abc import Iterator

from classifine.report.page.blocks import Block, Cell, Explained, Note, Table, joined, number, shortened, words
from classifine.report.page.kept import PREDICTIONS, WHY, Kept, PredictionFact
from classifine.report.page.missing import lacks
from classifine.report.suspects import wrong_labels

ERRORS, SUSPECTS = 200, 100  # rows of the tables


def errors(kept: Kept) -> Iterator[Block]:
    """The rows that were answered most wrongly, and why the worst of them were."""
    found = kept.predictions
    if found is None:
        yield lacks(PREDICTIONS, "which rows are answered wrongly")
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


def label_errors(kept: Kept) -> Iterator[Block]:
    """The test rows whose labels are probably wrong."""
    found = kept.predictions
    if found is None:
        yield lacks(PREDICTIONS, "which labels are probably wrong")
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
