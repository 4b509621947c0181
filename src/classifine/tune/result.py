"""What a search leaves: the classifier in its folder, the settings as a file, the page that draws the search."""

import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifine import run
from classifine.config import Config, Section
from classifine.model.disk import workplace
from classifine.report.evaluate import Evaluation
from classifine.report.page.search import SearchFacts, search_page
from classifine.settings import placed, starter
from classifine.train.search import DRAWN_BASE, Trial
from classifine.tune.finals import Outcome, best_seed
from classifine.tune.work import STUDY, TRIALS, Work

TUNED, SEARCH_PAGE = "tuned.toml", "search.html"


@dataclass(frozen=True)
class Tuned:
    """Where the classifier was written, what it reached on test, and what the search came to, as the record has it."""

    folder: Path
    evaluation: Evaluation
    search: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"folder": str(self.folder), **self.evaluation.as_json(), "search": self.search}


def keep(work: Work, outcome: Outcome, trials: Sequence[Trial], importances: dict[str, float]) -> Tuned:
    """Judge what was kept on test, and put the classifier with all that tells of the search in the folder's place."""
    folder, say, data = work.folder, work.say, work.data
    say(f"search  {outcome.verdict}")
    chosen = best_seed(work, outcome.finals)
    told = [
        {"seed": one.seed, "validation": one.validation, "test": run.metrics_on(one.saved, data.three.test)}
        for one in outcome.finals
    ]
    account = _account(work, outcome, trials, importances)
    saved = chosen.saved
    record = {
        **saved.record,
        "config": outcome.config.model_dump(mode="json", exclude={"search"}),
        "seeds": told,
        "search": account,
    }
    with workplace(folder) as place:
        evaluation = run.keep(place, folder.name, replace(saved, record=record), chosen.history, data, work.config.data, say)  # fmt: skip
        if outcome.test is not None:
            say(f"test    {outcome.test.verdict}")
        for name in (STUDY, TRIALS):
            shutil.copyfile(folder / name, place / name)
        (place / TUNED).write_text(_toml(outcome.config, folder), encoding="utf-8")
        page = search_page(_facts(work, outcome, trials, importances))
        (place / SEARCH_PAGE).write_text(page, encoding="utf-8")
    run.say_saved(folder, saved.record, say)
    say(f"search  {folder / SEARCH_PAGE} draws it. Again by hand: classifine train {folder / TUNED}")
    say(
        f"search  which trains with seed {outcome.config.train.seed}; of those of the comparison {saved.record['seed']} was kept here"
    )
    if work.learns_from_all(outcome.config):
        say(
            f"search  and {TUNED} makes `train` learn from validation rows, too, in the end (--no-all-rows); what was compared here did not"
        )
    return Tuned(folder, evaluation, account)


def _account(work: Work, outcome: Outcome, trials: Sequence[Trial], importances: dict[str, float]) -> dict[str, Any]:
    """What the record tells of the search."""
    best = outcome.best_trial
    settings = dict(best.settings)
    if DRAWN_BASE in settings and Path(settings[DRAWN_BASE]).is_dir():
        # The record is published with the classifier, and paths of this machine are nobody else's to read.
        settings[DRAWN_BASE] = Path(settings[DRAWN_BASE]).name
    return {
        "metric": work.metric,
        "trials": {"all": len(trials), **Counter(one.state for one in trials)},
        "seconds": round(sum(one.seconds for one in trials), 1),
        "rows": len(work.rows),
        "seed": work.config.train.seed,
        "space": work.space.lines(),
        "importances": importances,
        "best": {"trial": best.number, "settings": settings, "value": best.value},
        "kept": outcome.kept,
        "verdict": outcome.verdict,
        "over_seeds": outcome.over_seeds.as_json() if outcome.over_seeds else None,
        "test": outcome.test.as_json() if outcome.test else None,
    }


def _facts(work: Work, outcome: Outcome, trials: Sequence[Trial], importances: dict[str, float]) -> SearchFacts:
    part = len(work.rows) < len(work.data.three.train)
    return SearchFacts(
        work.folder.name, work.metric, work.sign < 0, tuple(trials), tuple(work.space.drawn), importances,
        outcome.best_trial.number, outcome.verdict, outcome.over_seeds,
        outcome.test, len(work.rows), len(work.data.three.train) if part else None, len(work.data.three.validation),
    )  # fmt: skip


def _toml(config: Config, folder: Path) -> str:
    """The settings that were kept as a file for `train`, which will stand in `folder`; the seed cuts the same rows."""
    chosen = {name: _given(part) for name, part in config if name != "search"}
    chosen["train"]["seed"] = config.train.seed
    return starter(placed(chosen, folder))


def _given(part: Section) -> dict[str, Any]:
    return {name: value for name, value in part.model_dump(exclude_unset=True).items() if value is not None}
