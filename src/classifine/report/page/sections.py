"""What a report says of a run: which sections it has, in which order, and the sentence above them.

Paths of the machine are told by their last part. It knows nothing about HTML, networks or how charts are drawn.
"""

from collections.abc import Callable

from classifine.report.card import METHODS, asked_of, last_part, lessons, own_base
from classifine.report.page.blocks import Section
from classifine.report.page.classes import classes, confusion
from classifine.report.page.data import data_and_faults, lengths
from classifine.report.page.kept import Kept
from classifine.report.page.mistakes import errors, label_errors
from classifine.report.page.results import results
from classifine.report.page.scores import numbers, scores
from classifine.report.page.training import learning_curves, recipe


def sections_of(kept: Kept) -> list[Section]:
    """Every section that the task has, in the order of the page."""
    clean = hider(kept)
    found = [
        Section("results", "Results", list(results(kept))),
        Section("data", "The data and its faults", list(data_and_faults(kept, clean))),
        Section("length", "Length and truncation", list(lengths(kept))),
        Section("training", "Learning curves", list(learning_curves(kept, clean))),
    ]
    if kept.task == "score":
        found.append(Section("numbers", "Predicted and true numbers", list(numbers(kept))))
    else:
        found.append(Section("classes", "Classes", list(classes(kept))))
        if kept.task == "single":
            found.append(Section("confusion", "Confusion", list(confusion(kept))))
        found.append(Section("scores", "How far scores can be trusted", list(scores(kept))))
    return [
        *found,
        Section("errors", "The worst errors", list(errors(kept))),
        Section("labels", "Probable label errors", list(label_errors(kept))),
        Section("recipe", "Recipe, time and versions", list(recipe(kept, clean))),
    ]


def lead_of(kept: Kept) -> str:
    """What the classifier does and what it was made of; in Markdown as the card has it, as far as code goes."""
    asked = asked_of(kept.task, len(kept.labels), kept.pair)
    if kept.record.distilled:
        return f"A network that {asked}, {lessons(kept.record.base, kept.record.distilled.model_dump())}"
    base = last_part(kept.record.base) if own_base(dict(kept.record)) else kept.record.base
    # What a later version may call its methods is not known.
    made = METHODS.get(str(kept.record.recipe.get("method", "finetune")), "made of {base}")
    language = f" Its training texts are in “{kept.record.language}”." if kept.record.language else ""
    how = f", {made.format(base=base).rstrip(',')}" if base else ""
    return f"A network that {asked}{how}.{language}"


def hider(kept: Kept) -> Callable[[str], str]:
    """What replaces each path of the machine in a text by its last part."""
    data = kept.record.config.get("data", {})
    paths = [data.get("validation"), data.get("test")]
    if not kept.record.data_on_hub:
        paths += [data.get("source"), *(split.source for split in (kept.data.splits if kept.data else {}).values())]
    if own_base(dict(kept.record)):
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
