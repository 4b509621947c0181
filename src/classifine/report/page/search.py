"""A search drawn: how good its trials were, by which settings, which of them mattered, and what was kept in the end.

It knows trials and numbers as they were found, and nothing about how a page looks.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from classifine.report.card import last_part
from classifine.report.compare import Comparison
from classifine.report.page.blocks import Block, Cell, Chart, Note, Section, Table, count, number, share
from classifine.report.page.html import rendered
from classifine.report.seeds import OverSeeds
from classifine.train.search import RATES, Trial

STATES = {"complete": "whole", "pruned": "stopped early", "failed": "failed"}
WORDS = {"learning_rate": "learning rate", "batch_size": "batch size", "weight_decay": "weight decay",
         "warmup": "warm-up (share of steps)", "head_rate": "rate of the head (multiple)"}  # fmt: skip


@dataclass(frozen=True)
class SearchFacts:
    """What a search called `name` found: `kept_from` is None where trials trained on all train rows, else their number."""

    name: str
    metric: str
    lower_is_better: bool
    trials: tuple[Trial, ...]
    searched: tuple[str, ...]
    importances: dict[str, float]
    best: int
    verdict: str
    over_seeds: OverSeeds | None
    test: Comparison | None
    rows: int
    train_rows: int | None
    validation_rows: int

    @property
    def axis(self) -> str:
        """What is drawn of each trial."""
        return f"{self.metric} on validation{' (lower is better)' if self.lower_is_better else ''}"


def search_page(found: SearchFacts) -> str:
    """The page of a search: one file that opens offline."""
    ended = Counter(STATES[one.state] for one in found.trials)
    told = ", ".join(f"{ended[word]} {word}" for word in STATES.values() if ended[word])
    rows = f"{found.rows:,} rows" + (f" of {found.train_rows:,}" if found.train_rows else "")
    lead = (
        f"{len(found.trials)} trials ({told}), each trained on {rows} and judged by "
        f"{found.metric} on the same {found.validation_rows:,} validation rows. Test rows had no part in the choice."
    )
    return rendered(found.name, "search", lead, found.verdict, _sections(found), "the search's trials")


def _sections(found: SearchFacts) -> list[Section]:
    return [
        Section("kept", "What was kept", list(_kept(found))),
        Section("progress", "Best value over trials", list(_progress(found))),
        Section("settings", "Value by setting", list(_by_setting(found))),
        Section("importance", "Which settings mattered", list(_importance(found))),
        Section("trials", "Trials", [_trials(found)]),
    ]


def _kept(found: SearchFacts) -> Iterator[Block]:
    best = found.trials[found.best]
    words = "the default recipe" if best.number == 0 else best.words()
    yield Note(f"The best trial is {best.number}: {words}.")
    over = found.over_seeds
    if over is not None:
        rows = [
            [Cell(str(seed), seed), number(a, 4), number(b, 4)]
            for seed, a, b in zip(over.seeds, over.default, over.found, strict=True)
        ]
        note = (
            "Both were trained on all train rows with the same seeds, none of them that of the trials. The validation rows "
            "are those that chose the best trial, which flatters it."
        )
        caption = f"{found.metric} on validation rows, seed by seed"
        yield Table("seeds", caption, ("seed", "default recipe", "best trial's recipe"), rows, note)
    if found.test is not None:
        yield Note(f"On test rows, which were looked at once, after the choice: {found.test.verdict}")


def _progress(found: SearchFacts) -> Iterator[Block]:
    best: list[dict[str, Any]] = []
    for one in found.trials:
        if one.state == "complete" and one.value is not None:
            values = [one.value, *(row["value"] for row in best[-1:])]
            best.append({"trial": one.number, "value": (min if found.lower_is_better else max)(values)})
    if best:
        best.append({"trial": found.trials[-1].number, "value": best[-1]["value"]})
    reading = "Each sign is a trial, at the value of the epoch that its method keeps; the line is the best whole trial so far."
    data = {"rows": [_dot(one) for one in _drawn(found)], "best": best, "axis": found.axis}
    yield Chart("over-trials", "trials", "Best value over trials", reading, data)


def _by_setting(found: SearchFacts) -> Iterator[Block]:
    yield Note("All settings change from trial to trial, so what one chart shows may be due to another setting.")
    for name in sorted(found.searched, key=lambda one: one != "learning_rate"):
        values = [_shown(one.settings[name]) for one in _drawn(found)]
        # Batch sizes are few, and each the double of another: they are drawn as names are.
        named = name == "batch_size" or any(isinstance(value, str) for value in values)
        if name == "batch_size":
            values = [str(value) for value in values]
        rows = [{**_dot(one), "setting": value} for one, value in zip(_drawn(found), values, strict=True)]
        rows.sort(key=lambda row: row["setting"] if not named else (len(row["setting"]), row["setting"]))
        word = WORDS.get(name, name)
        data = {
            "rows": rows,
            "name": word,
            "log": name in RATES,
            "whole": name == "epochs",
            "named": named,
            "axis": found.axis,
        }
        yield Chart(f"by-{name.replace('_', '-')}", "setting", f"Value by {word}", "Each sign is a trial.", data)


def _importance(found: SearchFacts) -> Iterator[Block]:
    if not found.importances:
        yield Note("Too few whole trials, or trials too much alike, to tell which settings mattered.")
        return
    rows = [{"setting": WORDS.get(name, name), "share": value} for name, value in found.importances.items()]
    reading = (
        "How much of the differences between whole trials is due to each setting within the bounds that were searched, alone "
        "and with others (functional analysis of variance). Of few trials it is a rough guess."
    )
    cells = [[Cell(str(row["setting"])), share(float(str(row["share"])))] for row in rows]
    table = Table("importance-table", "Which settings mattered", ("setting", "share"), cells)
    yield Chart("importances", "importance", "Importance of the settings", reading, {"rows": rows}, table)


def _trials(found: SearchFacts) -> Table:
    rows = [
        [
            count(one.number), Cell(STATES[one.state]), number(one.value, 4), count(len(one.epochs)), number(one.seconds, 1),
            *(_setting(one.settings.get(name)) for name in found.searched),
            Cell(one.error or ("the default recipe" if one.number == 0 else "")),
        ]
        for one in found.trials
    ]  # fmt: skip
    heads = (
        "trial",
        "ended",
        found.metric,
        "epochs run",
        "seconds",
        *(WORDS.get(name, name) for name in found.searched),
    )
    return Table("trials-table", "Every trial", (*heads, "remark"), rows, "Their epochs are in trials.jsonl.")


def _setting(value: Any) -> Cell:
    return Cell(f"{value:g}", float(value)) if isinstance(value, (int, float)) else Cell(_shown(value))


def _shown(value: Any) -> Any:
    """A value as it is drawn: of a base, which may be a path of this machine, the last part."""
    return last_part(value) if isinstance(value, str) else value


def _drawn(found: SearchFacts) -> list[Trial]:
    """The trials that have a value."""
    return [one for one in found.trials if one.value is not None and one.state != "failed"]


def _dot(one: Trial) -> dict[str, Any]:
    kind = "default recipe" if one.number == 0 else STATES[one.state]
    return {"trial": one.number, "value": one.value, "kind": kind, "settings": one.words()}
