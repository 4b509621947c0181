"""All that stays the same during a search, and how one recipe of it is trained; it chooses nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine import run
from classifine.config import Config, Hub
from classifine.data.read import Split, paired
from classifine.data.seen import fingerprint
from classifine.data.split import sampled
from classifine.errors import ClassifineError, ConfigError
from classifine.metrics import LOWER_IS_BETTER
from classifine.model.base import Base, find_base
from classifine.say import Say
from classifine.train.choose import learns_from_all
from classifine.train.fit import fit
from classifine.train.method import Labelled, choose_method, learnable
from classifine.train.progress import Watched, rank
from classifine.train.ready import ready, seeded
from classifine.train.recipe import Method, Recipe
from classifine.train.search import Space, Trial, space_of

STUDY, TRIALS = "study.db", "trials.jsonl"
LARGE = 20_000  # training rows from which trials on a part of them are advised


@dataclass(frozen=True)
class Work:
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

    def learns_from_all(self, config: Config) -> bool:
        """Whether `train` with these settings would learn from validation rows, too, once they have told what they can."""
        return learns_from_all(config.train, self.usual_of(config).method, self.data.three.spare)

    @property
    def sign(self) -> int:
        """By what the metric is multiplied so that more is better."""
        return -1 if self.metric in LOWER_IS_BETTER else 1

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The best of the trials that were not pruned and did not fail, as epochs are chosen; the first of equals."""
        whole = [one for one in trials if one.state == "complete"]
        return max(whole, key=lambda one: rank(self.metric, {self.metric: one.value or 0.0, "loss": one.loss or 0.0}), default=None)  # fmt: skip


def wished(config: Config, say: Say) -> Config:
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


def _method_of_all(config: Config, data: run.Prepared, base: Base, rows: Split, say: Say) -> Config:
    """The settings with the method that suits all train rows, said, where that for `rows` of them is another."""

    def suited(part: Split) -> tuple[Method, str]:
        labels = data.labels
        known = Labelled(*learnable(part.names), labels.task, paired(part), base.pooling is not None)
        return choose_method(config.train, config.model, known)

    method, why = suited(data.three.train)
    other, _ = suited(rows)
    if other == method:
        return config
    say(
        f"method  {method}: {why}; so in trials, too, where for {len(rows)} rows (--rows) it would be {other} (--method)"
    )
    return _with(config, method=method)


def prepared(config: Config, folder: Path, say: Say) -> Work:
    """Everything known before the first trial, said aloud."""
    names = list(dict.fromkeys(config.search.bases))
    if names:
        config = config.model_copy(update={"model": config.model.model_copy(update={"base": names[0]})})
    data, wanted = run.prepare(config, say), config.search
    rows = sampled(data.three.train, wanted.rows, config.train.seed)
    bases = {data.base.name: data.base, **{name: find_base(name) for name in names[1:]}}
    part, usual = len(rows) < len(data.three.train), {}
    for name, base in bases.items():
        own = _method_of_all(config, data, base, rows, say)
        with seeded(config.train.seed):
            _, _, usual[name] = ready(rows, data.labels, base, own, say, method_known=own is not config)
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
    return Work(folder, config, data, rows, bases, space, next(iter(usual.values())).metric, say)


def fit_recipe(work: Work, rows: Split, config: Config, seed: int, watch: Any = None) -> Any:
    """Fit one recipe with one seed, without words, judged on the validation rows."""
    data = work.data
    base = work.bases[work.base_of(config)]
    # By the number of rows it could be another one for trials than in the end.
    own = _with(config, seed=seed, seeds=1, method=work.usual_of(config).method)
    return fit(
        rows, data.three.validation, data.columns, data.labels, base, own, lambda line: None,
        callbacks=[Watched(watch)] if watch else [],
    )  # fmt: skip


def in_one_line(failure: BaseException) -> str:
    """Why a recipe failed, named where the reason is not one of our own sentences."""
    name = "" if isinstance(failure, ClassifineError) else f"{type(failure).__name__}: "
    return f"{name}{str(failure).partition(chr(10))[0]}"


def reached(work: Work, config: Config, epochs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The metrics of the epoch that `train` would keep of these so far: the best, or the last where the method keeps that."""
    if work.usual_of(config).keeps_last:
        return epochs[-1]
    return max(epochs, key=lambda one: rank(work.metric, one))
