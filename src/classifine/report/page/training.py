"""How a run went, epoch by epoch, and what would repeat it: recipe, settings and versions.

It knows nothing about what the classifier is worth.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from classifine.metrics import HEADLINE, LOWER_IS_BETTER
from classifine.report.page.blocks import Block, Cell, Chart, Note, Table, number, shortened
from classifine.report.page.kept import HISTORY, Kept
from classifine.report.page.missing import lacks


def _which_weights(kept: Kept, metric: str) -> Iterator[Note]:
    """Of which epochs and losses the curves are."""
    best = kept.record.best_epoch
    if kept.record.averaged:
        yield Note(
            "The weights are an average over seeds; these are the epochs of the one that was best on validation rows."
        )
    elif best is not None:
        why = "the last" if kept.record.keeps_last else f"the best by {metric} on validation rows"
        yield Note(f"The weights are those of epoch {best} of {len(kept.history)}, {why}.")
    if kept.record.taught_by and kept.task != "score":
        yield Note(
            "The training loss is that of what the seeds answer, softened, and of another scale than that of the labels of "
            "validation rows."
        )


def learning_curves(kept: Kept, clean: Callable[[str], str]) -> Iterator[Block]:
    """How losses and metrics went, epoch by epoch."""
    if not kept.history:
        yield lacks(HISTORY, "how the training went")
        return
    metric = str(kept.record.recipe.get("metric") or HEADLINE[kept.task][0])
    # Of a student it is how often it agrees with its teacher.
    names = list(dict.fromkeys([metric, *HEADLINE[kept.task][:2], "agreement"]))
    names = [name for name in names if any(name in one.validation for one in kept.history)]
    names = [name for name in names if name not in LOWER_IS_BETTER]
    best = kept.record.best_epoch
    yield from _which_weights(kept, metric)
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


def recipe(kept: Kept, clean: Callable[[str], str]) -> Iterator[Block]:
    """What was run: base, time, recipe, versions and settings."""
    record = kept.record
    if record.search is not None:
        yield Note(
            f"Settings were searched in {record.search.tried} trials, judged on validation rows; search.html draws them. "
            f"{clean(record.search.verdict)}"
        )
    which = "the last one kept" if record.keeps_last else f"the best: {record.best_epoch}"
    facts = {
        "base model": clean(record.base) or None,
        "time of training": None if record.train_seconds is None else _duration(record.train_seconds),
        "speed": None if record.train_rows_per_second is None else f"{record.train_rows_per_second:.0f} rows/s",
        "most memory": None
        if record.peak_memory_mib is None
        else f"{record.peak_memory_mib:,.0f} MiB{_whose(record.recipe)}",
        "epochs": None if record.epochs_run is None else f"{record.epochs_run} run, {which}",
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


def _whose(recipe: Mapping[str, Any]) -> str:
    """Whose memory it was: on a GPU its own runs out, not the machine's."""
    return " of the GPU" if recipe.get("device") == "cuda" else ""
