"""A search for better settings than the default recipe's: trials, the comparison of the best with the default, the folder.

Trials choose by validation rows, which are the same for all of them; test rows have no part before the choice is made.
What people should read goes to `say`; nothing here prints.
"""

import contextlib
import gc
import json
import math
import os
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from classifine import run
from classifine.config import Config, Hub, Section, starter
from classifine.data.read import Split, paired
from classifine.data.seen import fingerprint
from classifine.data.split import sampled
from classifine.errors import ClassifineError, ConfigError, OutputError, TrainingError
from classifine.infer.predict import text_logits
from classifine.metrics import LOWER_IS_BETTER
from classifine.model.base import Base, find_base
from classifine.model.folder import RECORD, Saved, check_output, json_text, load, read_record, save, workplace, writing
from classifine.report.compare import Comparison, compare
from classifine.report.evaluate import Evaluation
from classifine.report.page.kept import HISTORY
from classifine.report.page.search import SearchFacts, search_page
from classifine.report.seeds import OverSeeds, rows_error
from classifine.say import Say
from classifine.train.fit import fit, ready, seeded
from classifine.train.method import Labelled, choose_method
from classifine.train.progress import Watched, rank
from classifine.train.recipe import Method, Recipe
from classifine.train.search import DRAWN_BASE, Space, State, Trial, space_of
from classifine.train.study import Asked, Pruned, Study, check_tuning

STUDY, TRIALS, TUNED, SEARCH_PAGE, FINALS = "study.db", "trials.jsonl", "tuned.toml", "search.html", "finals"
LARGE = 20_000  # training rows from which trials on a part of them are advised


@dataclass(frozen=True)
class Tuned:
    """Where the classifier was written, what it reached on test, and what the search came to, as the record has it."""

    folder: Path
    evaluation: Evaluation
    search: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return {"folder": str(self.folder), **self.evaluation.as_json(), "search": self.search}


@dataclass(frozen=True)
class _Work:
    """All that stays the same during a search; trials train on `rows`, a part of the train rows or all."""

    folder: Path
    config: Config
    data: run.Prepared
    rows: Split
    bases: dict[str, Base]
    space: Space
    metric: str
    say: Say

    @property
    def job(self) -> dict[str, Any]:
        """What must be the same for another session to go on with the search."""
        three, config = self.data.three, self.config
        return {
            # The rows themselves, wherever they are.
            "rows": [fingerprint(part) for part in (self.rows, three.train, three.validation)],
            "search space": self.space.as_json(),
            "settings": {
                "model": config.model.model_dump(mode="json"),
                "train": config.train.model_dump(mode="json", exclude={"track", "seeds"}),
            },
        }

    def base_of(self, config: Config) -> str:
        """The name of the base that these settings train."""
        return config.model.base or self.data.base.name

    def usual_of(self, config: Config) -> Recipe:
        """What the recipe would choose for the base of these settings; its method is that of trials and finals."""
        return self.space.usual[self.base_of(config)]

    @property
    def sign(self) -> int:
        """By what the metric is multiplied so that more is better."""
        return -1 if self.metric in LOWER_IS_BETTER else 1

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The best of the trials that were not pruned and did not fail, as epochs are chosen; the first of equals."""
        whole = [one for one in trials if one.state == "complete"]
        return max(whole, key=lambda one: rank(self.metric, {self.metric: one.value or 0.0, "loss": one.loss or 0.0}), default=None)  # fmt: skip


@dataclass(frozen=True)
class _Final:
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
class _Outcome:
    """What was kept and why: `finals` are those of the recipe that was kept, `best_trial` is the search's."""

    config: Config
    finals: list[_Final]
    best_trial: Trial
    kept: Literal["best", "default"]
    verdict: str
    over_seeds: OverSeeds | None
    test: Comparison | None


def tune(config: Config, output: Path | None, overwrite: bool, say: Say) -> Tuned:
    """Labelled texts in, the best classifier that a search finds in a folder out, or the default one's.

    Raises a ClassifineError, and begins nothing, where settings, data, bases or output do not do, or where the folder
    holds another search that was not finished. After KeyboardInterrupt the same call goes on.
    """
    check_tuning()
    config = _wished(config, say)
    folder = output or run.free_folder(str(config.data.source), "-tuned", unfinished)
    if overwrite or not unfinished(folder):
        check_output(folder, overwrite, record=STUDY if unfinished(folder) else RECORD)
    work = _prepared(config, folder, say)
    if overwrite and folder.exists():
        shutil.rmtree(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder), _told_how_to_go_on(work):
        with Study(folder / STUDY, work.space, work.job, work.sign < 0, config.train.seed) as study:
            _search(work, study)
            trials, importances = study.trials(), study.importances()
        outcome = _choose(work, trials)
        return _keep(work, outcome, trials, importances)


def unfinished(folder: Path) -> bool:
    """Whether a folder holds a search that was not finished."""
    return (folder / STUDY).is_file() and not (folder / RECORD).exists()


def _wished(config: Config, say: Say) -> Config:
    """The settings without what a search has no use for, which is said; ConfigError for what cannot be searched."""
    if config.train.method == "probe":
        raise ConfigError(
            "--method probe takes no steps, so there is nothing to search. Use --method lp-ft, or `train`."
        )
    if config.train.keep != "best":
        say(f"warning keep is {config.train.keep}, which a search does not do: the best of the final seeds stays")
        config = _with(config, keep="best")
    # One seed at a time, neither tracked nor published.
    run.check_faces(_with(config, seeds=1, track=()).model_copy(update={"hub": Hub()}))
    return config


def _with(config: Config, **train: Any) -> Config:
    return config.model_copy(update={"train": config.train.model_copy(update=train)})


def _method_of_all(config: Config, data: run.Prepared, base: Base, rows: Split, say: Say) -> tuple[Config, Say]:
    """The settings with the method that suits all train rows, where that for `rows` of them is another; and who tells."""

    def suited(part: Split) -> tuple[Method, str]:
        labels = data.labels
        known = Labelled(len(part), len(labels), labels.task, paired(part), base.pooling is not None)
        return choose_method(config.train, config.model, known)

    method, why = suited(data.three.train)
    other, _ = suited(rows)
    if other == method:
        return config, say
    say(
        f"method  {method}: {why}; so in trials, too, where for {len(rows)} rows (--rows) it would be {other} (--method)"
    )

    def tell(line: str) -> None:
        if not line.startswith("method "):  # it is said, and nobody asked for it
            say(line)

    return _with(config, method=method), tell


def _prepared(config: Config, folder: Path, say: Say) -> _Work:
    """Everything known before the first trial, said aloud."""
    names = list(dict.fromkeys(config.search.bases))
    if names:
        config = config.model_copy(update={"model": config.model.model_copy(update={"base": names[0]})})
    data, wanted = run.prepare(config, say), config.search
    rows = sampled(data.three.train, wanted.rows, config.train.seed)
    bases = {data.base.name: data.base, **{name: find_base(name) for name in names[1:]}}
    part, usual = len(rows) < len(data.three.train), {}
    for name, base in bases.items():
        own, tell = _method_of_all(config, data, base, rows, say)
        with seeded(config.train.seed):
            _, _, usual[name] = ready(rows, data.labels, base, own, tell)
    space = space_of(config, usual, len(rows), part)
    for i, line in enumerate(space.lines()):
        say(f"{'search' if i == 0 else '':7} {line}")
    if part:
        say(
            f"search  trials train on {len(rows)} of {len(data.three.train)} rows (--rows), and the recipe chooses the "
            "epochs by the number of rows; what is compared in the end trains on all of them"
        )
    elif len(rows) >= LARGE:
        say(f"search  each trial trains on {len(rows)} rows; --rows 5000 would make a trial shorter")
    if config.train.track or config.hub.publish:
        say("warning trials are not tracked, and the result is not published; `train` and `publish` do so (tuned.toml)")
    return _Work(folder, config, data, rows, bases, space, next(iter(usual.values())).metric, say)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else searches in `folder` meanwhile, as far as the system can tell; OutputError where somebody does."""
    try:
        import fcntl

        number = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows has no such locks
        yield
        return
    try:
        with contextlib.suppress(OSError):  # nor have some systems of files
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"Another process is searching in {folder}. Wait for it to end, or change -o."
                ) from None
        yield
    finally:
        os.close(number)


@contextlib.contextmanager
def _told_how_to_go_on(work: _Work) -> Iterator[None]:
    """An interruption that says what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        file = work.folder / TRIALS
        done = len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
        raise KeyboardInterrupt(
            f"stopped after {done} of {work.config.search.trials} trials, kept in {work.folder}; the same command goes on from there."
        ) from None


def _search(work: _Work, study: Study) -> None:
    """Make the trials that are wanted and not made yet, as far as there is time for them."""
    wanted, done = work.config.search, study.trials()
    if done:
        work.say(f"search  goes on after {len(done)} trials in {work.folder}")
    while len(done) < wanted.trials:
        left = math.inf if wanted.minutes is None else 60 * wanted.minutes - sum(one.seconds for one in done)
        if done and left <= 0:
            work.say(f"search  the {wanted.minutes:g} minutes are over after {len(done)} trials (--minutes)")
            break
        _try(work, study.ask(), left)
        done = study.trials()
        run.write_lines(work.folder / TRIALS, (json_text(one.as_json()) for one in done))
        work.say(_line(work, done))


def _try(work: _Work, asked: Asked, left: float) -> None:
    """Make one trial, which ends early where it falls behind or its seconds are over; the default always goes to its end."""
    begun, seen = time.monotonic(), list[dict[str, float]]()
    config = work.space.config(asked.point, work.config)

    def watch(share: float, epochs: Sequence[dict[str, float]]) -> None:
        seen[:] = epochs
        if asked.falls_behind(share, _reached(work, config, epochs)[work.metric]):
            raise Pruned(f"worse than half of the others after epoch {len(epochs)}")
        if asked.number and share < 1 and time.monotonic() - begun > left:
            raise Pruned(f"the minutes were over after epoch {len(epochs)}")

    state: State = "complete"
    error = None
    try:
        _train(work, work.rows, config, work.config.train.seed, watch)
    except Pruned as end:
        state, error = "pruned", str(end)
    # What torch raises where memory is short is a RuntimeError on every device.
    except (ClassifineError, RuntimeError, MemoryError) as failure:
        own = isinstance(failure, ClassifineError)
        state, error = "failed", f"{'' if own else f'{type(failure).__name__}: '}{str(failure).partition(chr(10))[0]}"
    reached = _reached(work, config, seen) if seen else {}
    value = reached.get(work.metric)
    if state == "complete" and (value is None or not math.isfinite(value)):
        state, error = "failed", f"its {work.metric} is no number"
    asked.ends(state, value, seen, reached.get("loss"), time.monotonic() - begun, error)
    _free_memory()


def _train(work: _Work, rows: Split, config: Config, seed: int, watch: Any = None) -> Any:
    """Fit one recipe with one seed, without words, judged on the validation rows."""
    data = work.data
    base = work.bases[work.base_of(config)]
    # By the number of rows it could be another one for trials than in the end.
    own = _with(config, seed=seed, seeds=1, method=work.usual_of(config).method)
    return fit(
        rows, data.three.validation, data.columns, data.labels, base, own, lambda line: None,
        callbacks=[Watched(watch)] if watch else [],
    )  # fmt: skip


def _reached(work: _Work, config: Config, epochs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The metrics of the epoch that `train` would keep of these: the best, or the last where the method keeps that."""
    if work.usual_of(config).keeps_last:
        return epochs[-1]
    return max(epochs, key=lambda one: rank(work.metric, one))


def _free_memory() -> None:
    """Let go of what a trial held, also of one that failed for want of memory."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _line(work: _Work, done: Sequence[Trial]) -> str:
    """How the last trial ended, and how long all the rest may take."""
    last, best = done[-1], work.best(done)
    value = "" if last.value is None else f" {work.metric} {last.value:.4f}"
    how = {"complete": value, "pruned": f"{value}, stopped: {last.error}", "failed": f" failed: {last.error}"}
    leads = f"; best {best.value:.4f} by trial {best.number}" if best else ""
    more = work.config.search.trials - len(done)
    words = "the default recipe" if last.number == 0 else last.words()
    return (
        f"trial   {last.number}:{how[last.state]} in {last.seconds:.0f} s ({words}){leads}; "
        f"{more} to go, about {_duration(_left(work, done))} left"
    )


def _left(work: _Work, done: Sequence[Trial]) -> float:
    """Seconds that the trials to come, and the trainings to compare, may take by those that were made."""
    wanted, spent = work.config.search, sum(one.seconds for one in done)
    trials = max(0, wanted.trials - len(done)) * spent / len(done)
    if wanted.minutes is not None:
        trials = min(trials, max(0.0, 60 * wanted.minutes - spent))
    whole = [one.seconds for one in done if one.state == "complete"] or [spent / len(done)]
    # What a part of the rows takes, taken as often as all of them have it.
    larger = len(work.data.three.train) / max(len(work.rows), 1)
    return trials + 2 * wanted.final_seeds * statistics.mean(whole) * larger


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _choose(work: _Work, trials: Sequence[Trial]) -> _Outcome:
    """Train the best trial's recipe and the default with the same seeds, and keep the best where it is clearly better."""
    best = work.best(trials)
    if best is None:
        raise TrainingError(
            f"None of {len(trials)} trials came to its end; the first: {trials[0].error} Mend that, and begin anew with --overwrite."
        )
    first = work.config.train.seed + 1  # with that of the trials the best of them was lucky
    seeds = range(first, first + work.config.search.final_seeds)
    default = work.space.config(work.space.default, work.config)
    if best.number == 0:
        finals = [_final(work, 0, default, seed) for seed in seeds]
        verdict = f"No trial was better than the default recipe on validation rows ({work.metric} {best.value:.4f}), so the default is kept."
        return _Outcome(default, finals, best, "default", verdict, None, None)
    found = work.space.config(best.point, work.config)
    usual, others = list[_Final](), list[_Final]()
    for seed in seeds:
        usual.append(_final(work, 0, default, seed))
        try:
            others.append(_final(work, best.number, found, seed))
        except (TrainingError, RuntimeError, MemoryError) as failure:
            verdict = f"The best trial's recipe failed with seed {seed} ({failure}), so the default is kept."
            return _Outcome(default, usual, best, "default", verdict, None, None)
    return _compared(work, best, (default, usual), (found, others))


def _final(work: _Work, trial: int, config: Config, seed: int) -> _Final:
    """A recipe on all train rows with one seed; read back where it is there already."""
    final = _Final(seed, work.folder / FINALS / f"trial-{trial}-seed-{seed}")
    if not final.folder.exists():
        fitted = _train(work, work.data.three.train, config, seed)
        with workplace(final.folder) as place:
            save(place, fitted.classifier.network, fitted.classifier.tokenizer, work.data.labels, fitted.classifier.record)  # fmt: skip
            run.write_lines(place / HISTORY, map(json_text, fitted.training.history))
        del fitted
        _free_memory()
        name = "the default recipe" if trial == 0 else f"trial {trial}"
        work.say(f"final   {name}, seed {seed}: {work.metric} {final.validation[work.metric]:.4f} on validation")
    return final


def _compared(
    work: _Work, best: Trial, default: tuple[Config, list[_Final]], found: tuple[Config, list[_Final]]
) -> _Outcome:
    """The choice between two recipes by validation rows, and then, for the reader alone, both on test rows."""
    three, pairs = work.data.three, list(zip(default[1], found[1], strict=True))
    errors = [_compare(one, other, three.validation) for one, other in pairs]
    usual, other = (tuple(one.validation[work.metric] for one in finals) for finals in (default[1], found[1]))
    by_rows = rows_error(errors, work.metric, work.data.labels.task)
    over_seeds = OverSeeds(work.metric, tuple(one.seed for one in default[1]), usual, other, by_rows)
    kept: Literal["best", "default"] = "best" if over_seeds.better else "default"
    config, finals = found if over_seeds.better else default
    test = _compare(_chosen(work, default[1]), _chosen(work, found[1]), three.test)
    return _Outcome(config, finals, best, kept, over_seeds.verdict, over_seeds, test)


def _chosen(work: _Work, finals: Sequence[_Final]) -> _Final:
    """The best seed on validation rows."""
    return max(finals, key=lambda one: rank(work.metric, one.validation))


def _compare(first: _Final, second: _Final, rows: Split) -> Comparison:
    both = first.saved, second.saved
    truth = both[0].labels.targets(rows.labels)
    one, other = (saved.decision.scores(text_logits(saved, rows.texts)) for saved in both)
    return compare(
        truth, one, other, (both[0].decision, both[1].decision), ("the default recipe", "the best trial's recipe")
    )


def _keep(work: _Work, outcome: _Outcome, trials: Sequence[Trial], importances: dict[str, float]) -> Tuned:
    """Judge what was kept on test, and put the classifier with all that tells of the search in the folder's place."""
    folder, say, data = work.folder, work.say, work.data
    say(f"search  {outcome.verdict}")
    chosen = _chosen(work, outcome.finals)
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
    return Tuned(folder, evaluation, account)


def _account(work: _Work, outcome: _Outcome, trials: Sequence[Trial], importances: dict[str, float]) -> dict[str, Any]:
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


def _facts(work: _Work, outcome: _Outcome, trials: Sequence[Trial], importances: dict[str, float]) -> SearchFacts:
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
    for name in ("source", "validation", "test"):
        place = chosen["data"].get(name)
        if place and Path(place).exists():
            # Paths in the file count from its folder.
            chosen["data"][name] = os.path.relpath(place, folder.absolute())
    base = chosen["model"].get(DRAWN_BASE)
    if base and Path(base).is_dir():
        chosen["model"][DRAWN_BASE] = str(Path(base).absolute())
    return starter(chosen)


def _given(part: Section) -> dict[str, Any]:
    return {name: value for name, value in part.model_dump(exclude_unset=True).items() if value is not None}
