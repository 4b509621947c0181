"""What a search tries: which settings, within what bounds, by what the recipe would choose; and the account of a trial.

The bounds are those of habit around the default, which is one of the points. It knows nothing about how points are
drawn (`study`), or about texts and files.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from classifine.config import Config
from classifine.errors import ConfigError
from classifine.train.recipe import Recipe

# Searched as powers of ten, of the multiple of what the recipe would choose: so a point means the same for every base.
RATES = ("learning_rate", "weight_decay", "head_rate")
REACH = 1.0  # powers of ten either way
LONGEST_WARMUP = 0.3
FEWEST_STEPS = 4  # optimiser steps an epoch that a batch may leave
DRAWN_BASE = "base"
State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Between:
    """Any number from `low` to `high`; of `whole` ones each doubling as often as another."""

    low: float
    high: float
    whole: bool = False


@dataclass(frozen=True)
class Among:
    """One of some values."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Space:
    """What is drawn, by setting; the point `default`, which is the recipe's; and by base what the recipe would choose."""

    drawn: dict[str, Between | Among]
    default: dict[str, Any]
    usual: Mapping[str, Recipe]

    def settings(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The values of settings that a point stands for, rates to three digits."""
        usual = self.usual[point.get(DRAWN_BASE, next(iter(self.usual)))]
        return {name: _value(name, drawn, usual) for name, drawn in point.items()}

    def config(self, point: Mapping[str, Any], config: Config) -> Config:
        """The settings of a run by this point. The default point sets nothing, so that it is what `train` does."""
        chosen = self.settings({} if point == self.default else point)
        base = point.get(DRAWN_BASE, next(iter(self.usual)) if len(self.usual) > 1 else None)
        chosen.pop(DRAWN_BASE, None)
        parts: dict[str, Any] = {"train": config.train.model_copy(update=chosen)}
        if base is not None:
            parts["model"] = config.model.model_copy(update={"base": base})
        return config.model_copy(update=parts)

    def as_json(self) -> dict[str, Any]:
        """The space as plain values: two searches with the same one can be one search."""
        return {"drawn": {name: asdict(bounds) for name, bounds in self.drawn.items()}, "default": self.default}

    def lines(self) -> list[str]:
        """The space in words."""
        found = []
        for name, bounds in self.drawn.items():
            if isinstance(bounds, Among):
                found.append(f"{name} {', '.join(map(_plain, bounds.values))}")
            else:
                ends = (_value(name, end, next(iter(self.usual.values()))) for end in (bounds.low, bounds.high))
                found.append(f"{name} {' to '.join(f'{end:g}' for end in ends)}")
        return found


@dataclass(frozen=True)
class Trial:
    """One point that was tried: what it reached on validation rows, by the epoch that is kept, and how it ended.

    `value` is the metric that chooses, None where the trial failed before its first epoch.
    """

    number: int
    state: State
    point: dict[str, Any]
    settings: dict[str, Any]
    value: float | None
    loss: float | None
    epochs: tuple[dict[str, float], ...]
    seconds: float
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The trial as a line of trials.jsonl."""
        kept = ("number", "state", "settings", "value", "seconds", "error")
        told = {name: getattr(self, name) for name in kept}
        return {**told, "default": self.number == 0, "validation": list(self.epochs)}

    def words(self) -> str:
        """Its settings in one line."""
        return ", ".join(f"{name} {_plain(value)}" for name, value in self.settings.items())


def space_of(config: Config, usual: Mapping[str, Recipe], rows: int, part: bool) -> Space:
    """What is searched where trials train on `rows` rows, a `part` of train or all; `usual` has the default base first.

    A setting that was given a value is not searched. ConfigError where nothing is left, or where one is wanted that
    cannot be.
    """
    bounds = _bounds(config, usual, rows)
    given = set(config.train.model_fields_set)
    if part:
        # What suits few rows does not suit many: the recipe chooses by their number, for trials and in the end.
        given.add("epochs")
    wanted: set[str] = set(config.search.over) or set(bounds)
    refused = sorted((wanted & given) if config.search.over else ())
    if refused:
        why = "--rows leaves it to the recipe" if part and refused == ["epochs"] else "it is given a value"
        raise ConfigError(f"--over names {', '.join(refused)}, but {why}. Leave out one of the two.")
    if DRAWN_BASE in config.search.over and len(usual) < 2:
        raise ConfigError("--over names base, but there is one base only. Name another with --base.")
    if config.search.over and len(usual) > 1 and DRAWN_BASE not in config.search.over:
        raise ConfigError("--over leaves out base, but --base names several. Add base to --over, or name one.")
    if config.search.over and "head_rate" in wanted - set(bounds):
        raise ConfigError("--over names head_rate, but --method contrastive fits its head in no steps. Leave it out.")
    drawn = {name: found for name, (found, _) in bounds.items() if name in wanted - given and not _single(found)}
    if not drawn:
        raise ConfigError(
            "Nothing is left to search: every setting is given a value. Leave one out, or name one with --over."
        )
    return Space(drawn, {name: bounds[name][1] for name in drawn}, usual)


def _bounds(config: Config, usual: Mapping[str, Recipe], rows: int) -> dict[str, tuple[Between | Among, Any]]:
    """Of every setting the bounds and the default."""
    recipe = next(iter(usual.values()))
    epochs = [one.epochs for one in usual.values()]
    size = recipe.batch_size
    sizes = [one for one in (size // 2, size, 2 * size) if one == size or 1 <= one <= rows // FEWEST_STEPS]
    found: dict[str, tuple[Between | Among, Any]] = {DRAWN_BASE: (Among(tuple(usual)), next(iter(usual)))}
    found["learning_rate"] = (Between(-REACH, REACH), 0.0)
    found["epochs"] = (Between(max(1, min(epochs) // 2), 2 * max(epochs), whole=True), recipe.epochs)
    found["batch_size"] = (Among(tuple(sizes)), size)
    if recipe.weight_decay:
        found["weight_decay"] = (Between(-REACH, REACH), 0.0)
    found["schedule"] = (Among(("linear", "cosine", "constant")), config.train.schedule)
    found["warmup"] = (Between(0.0, LONGEST_WARMUP), config.train.warmup)
    if recipe.method != "contrastive":  # its head is fitted, not trained
        found["head_rate"] = (Between(-REACH, REACH), 0.0)
    found["optimizer"] = (Among(("adamw", "sam")), config.train.optimizer)
    return found


def _single(bounds: Between | Among) -> bool:
    return len(bounds.values) < 2 if isinstance(bounds, Among) else bounds.low == bounds.high


def _value(name: str, drawn: Any, usual: Recipe) -> Any:
    if name in RATES:
        return float(f"{getattr(usual, name) * 10**drawn:.3g}")
    return round(drawn, 3) if name == "warmup" else drawn


def _plain(value: Any) -> str:
    # Of a base, which may be a path, the last part.
    return f"{value:g}" if isinstance(value, float) else str(value).replace("\\", "/").rstrip("/").rpartition("/")[2]
