"""The trials of a search: each trains by other settings and is judged on validation rows."""

import math
import statistics
import time
from collections.abc import Sequence

from classifine import run
from classifine.errors import ClassifineError
from classifine.strict_json import json_text
from classifine.train.account import on_validation
from classifine.train.memory import free_memory
from classifine.train.search import State, Trial
from classifine.train.study import Asked, Pruned, Study
from classifine.tune.work import TRIALS, Work, fit_recipe, in_one_line, reached


def search(work: Work, study: Study) -> None:
    """Make the trials that are wanted and not made yet, as far as there is time for them."""
    wanted, done = work.config.search, study.trials()
    if done:
        work.say(f"search  goes on after {len(done)} trials in {work.folder}")
    while len(done) < wanted.trials:
        if study.exhausted:
            work.say(f"search  all {len(done)} points that there are were tried")
            break
        left = math.inf if wanted.minutes is None else 60 * wanted.minutes - sum(one.seconds for one in done)
        if done and left <= 0:
            work.say(f"search  the {wanted.minutes:g} minutes are over after {len(done)} trials (--minutes)")
            break
        _try(work, study.ask(), left)
        done = study.trials()
        run.write_lines(work.folder / TRIALS, (json_text(one.as_json()) for one in done))
        work.say(_line(work, done))


def _try(work: Work, asked: Asked, left: float) -> None:
    """Make one trial, which ends early where it falls behind or its seconds are over; the default always goes to its end."""
    begun, seen = time.monotonic(), list[dict[str, float]]()
    config = work.space.config(asked.point, work.config)

    def watch(share: float, epochs: Sequence[dict[str, float]]) -> None:
        seen[:] = epochs
        if asked.falls_behind(share, reached(work, config, epochs)[work.metric]):
            raise Pruned(f"worse than half of the others after epoch {len(epochs)}")
        if asked.number and share < 1 and time.monotonic() - begun > left:
            raise Pruned(f"the minutes were over after epoch {len(epochs)}")

    state: State = "complete"
    error, kept = None, None
    try:
        # What is kept can be other than the epochs that were seen: lp-ft fits its head anew in the end.
        kept = on_validation(fit_recipe(work, work.rows, config, work.config.train.seed, watch).training)
    except Pruned as end:
        state, error = "pruned", str(end)
    # What torch raises where memory is short is a RuntimeError on every device.
    except (ClassifineError, RuntimeError, MemoryError) as failure:
        state, error = "failed", in_one_line(failure)
    found = kept or (reached(work, config, seen) if seen else {})
    value = found.get(work.metric)
    if value is not None and not math.isfinite(value):
        value = None
    if state == "complete" and value is None:
        state, error = "failed", f"its {work.metric} is no number"
    asked.ends(state, value, seen, found.get("loss"), time.monotonic() - begun, error)
    free_memory()


def _line(work: Work, done: Sequence[Trial]) -> str:
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


def _left(work: Work, done: Sequence[Trial]) -> float:
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
