"""The end of a search: its best recipe and the default trained with the same seeds, and the choice between them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from classifine import run
from classifine.config import Config
from classifine.data.read import Split
from classifine.errors import TrainingError
from classifine.infer.predict import text_logits
from classifine.model.disk import workplace
from classifine.model.folder import Saved, load, read_record, save
from classifine.report.compare import Comparison, compare
from classifine.report.page.kept import HISTORY
from classifine.report.seeds import OverSeeds, rows_error
from classifine.strict_json import json_text
from classifine.train.memory import free_memory
from classifine.train.progress import rank
from classifine.train.search import Trial
from classifine.tune.work import Work, fit_recipe, in_one_line

FINALS = "finals"


@dataclass(frozen=True)
class Final:
    """One recipe trained on all train rows with one seed, in a folder of its own."""

    seed: int
    folder: Path

    @property
    def saved(self) -> Saved:
        """The classifier, its network loaded anew."""
        return load(self.folder)

    @property
    def history(self) -> list[dict[str, Any]]:
        """Its epochs."""
        return [json.loads(line) for line in (self.folder / HISTORY).read_text(encoding="utf-8").splitlines()]

    @property
    def validation(self) -> dict[str, float]:
        """The metrics on validation rows of the epoch that was kept."""
        return dict(self.history[read_record(self.folder)["best_epoch"] - 1]["validation"])


@dataclass(frozen=True)
class Outcome:
    """What was kept and why: `finals` are those of the recipe that was kept, `best_trial` is the search's."""

    config: Config
    finals: list[Final]
    best_trial: Trial
    kept: Literal["best", "default"]
    verdict: str
    over_seeds: OverSeeds | None
    test: Comparison | None


def choose(work: Work, trials: Sequence[Trial]) -> Outcome:
    """Train the best trial's recipe and the default with the same seeds, and keep the best where it is clearly better.

    A recipe that fails with a seed loses to one that does not. TrainingError where nothing comes to its end.
    """
    best = work.best(trials)
    if best is None:
        first = str(trials[0].error).rstrip(".")
        raise TrainingError(
            f"None of {len(trials)} trials came to its end; the first: {first}. Mend that, and begin anew with --overwrite."
        )
    first_seed = work.config.train.seed + 1  # with that of the trials the best of them was lucky
    seeds = range(first_seed, first_seed + work.config.search.final_seeds)
    default, found = (work.space.config(point, work.config) for point in (work.space.default, best.point))
    usual, failed = _finals(work, 0, default, seeds)
    if best.number == 0:
        if not usual:
            raise TrainingError(
                f"The default recipe, the best of the trials, failed {failed}. Begin anew with --overwrite."
            )
        without = f" It failed {failed}." if failed else ""
        verdict = f"No trial was better than the default recipe on validation rows ({work.metric} {best.value:.4f}), so the default is kept.{without}"
        return Outcome(default, usual, best, "default", verdict, None, None)
    others, also_failed = _finals(work, best.number, found, seeds)
    if not usual and not others:
        raise TrainingError(
            f"The best trial's recipe failed {also_failed}, and the default one {failed}. Mend that, and begin anew with --overwrite."
        )
    if not also_failed and not failed:
        return _compared(work, best, (default, usual), (found, others))
    if usual and also_failed:
        verdict = f"The best trial's recipe failed {also_failed}, so the default is kept."
        return Outcome(default, usual, best, "default", verdict, None, None)
    verdict = f"The default recipe failed {failed}, so the best trial's is kept."
    return Outcome(found, others, best, "best", verdict, None, None)


def _finals(work: Work, trial: int, config: Config, seeds: Sequence[int]) -> tuple[list[Final], str]:
    """(a recipe trained with each seed, with which seeds it failed and why: nothing where it did with none)."""
    made, failed, why = list[Final](), list[int](), ""
    for seed in seeds:
        try:
            made.append(_final(work, trial, config, seed))
            continue
        except (TrainingError, RuntimeError, MemoryError) as failure:
            failed.append(seed)
            why = why or in_one_line(failure)
        free_memory()  # by now the failure is gone, which held what failed
    many = "s" if len(failed) > 1 else ""
    return made, f"with seed{many} {', '.join(map(str, failed))} ({why})" if failed else ""


def _final(work: Work, trial: int, config: Config, seed: int) -> Final:
    """A recipe on all train rows with one seed; read back where it is there already."""
    final = Final(seed, work.folder / FINALS / f"trial-{trial}-seed-{seed}")
    if not final.folder.exists():
        fitted = fit_recipe(work, work.data.three.train, config, seed)
        with workplace(final.folder) as place:
            save(place, fitted.classifier.network, fitted.classifier.tokenizer, work.data.labels, fitted.classifier.record)  # fmt: skip
            run.write_lines(place / HISTORY, map(json_text, fitted.training.history))
        del fitted
        free_memory()
        name = "the default recipe" if trial == 0 else f"trial {trial}"
        work.say(f"final   {name}, seed {seed}: {work.metric} {final.validation[work.metric]:.4f} on validation")
    return final


def _compared(
    work: Work, best: Trial, default: tuple[Config, list[Final]], found: tuple[Config, list[Final]]
) -> Outcome:
    """The choice between two recipes by validation rows, and then, for the reader alone, both on test rows."""
    three, pairs = work.data.three, list(zip(default[1], found[1], strict=True))
    errors = [_compare(one, other, three.validation) for one, other in pairs]
    usual, other = (tuple(one.validation[work.metric] for one in finals) for finals in (default[1], found[1]))
    by_rows = rows_error(errors, work.metric, work.data.labels.task)
    over_seeds = OverSeeds(work.metric, tuple(one.seed for one in default[1]), usual, other, by_rows)
    kept: Literal["best", "default"] = "best" if over_seeds.better else "default"
    config, finals = found if over_seeds.better else default
    test = _compare(best_seed(work, default[1]), best_seed(work, found[1]), three.test)
    return Outcome(config, finals, best, kept, over_seeds.verdict, over_seeds, test)


def best_seed(work: Work, finals: Sequence[Final]) -> Final:
    """The best seed on validation rows."""
    return max(finals, key=lambda one: rank(work.metric, one.validation))


def _compare(first: Final, second: Final, rows: Split) -> Comparison:
    both = first.saved, second.saved
    truth = both[0].labels.targets(rows.labels)
    one, other = (saved.decision.scores(text_logits(saved, rows.texts)) for saved in both)
    return compare(
        truth, one, other, (both[0].decision, both[1].decision), ("the default recipe", "the best trial's recipe")
    )
