"""A training that is over: the classifier, and what its record tells of how it would be done, with which versions, and how it went."""

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from classifine.config import Config
from classifine.data.columns import Columns
from classifine.model.base import Base
from classifine.model.folder import Saved
from classifine.train.memory import peak_memory_mib
from classifine.train.recipe import Recipe
from classifine.train.trainer import Training


def known_before(config: Config, columns: Columns, base: Base, recipe: Recipe) -> dict[str, Any]:
    """What of the record is known before training: how it will be done, with which versions."""
    return {
        "config": config.model_dump(mode="json", exclude={"search"}),
        "recipe": recipe.as_json(),
        "columns": columns.as_json(),
        "max_length": recipe.max_length,
        "long": recipe.long,
        "stride": recipe.stride,
        "base": base.name,
        "base_origin": base.origin,
        "base_adapted_from": base.adapted_from,
        "seed": recipe.seed,
        "versions": versions(*(["peft"] if recipe.adapter else [])),
    }


def versions(*more: str) -> dict[str, str]:
    """What a run was made with; `more` are packages that not every run needs."""
    packages = ("classifine", "torch", "transformers", "tokenizers", "datasets", "scikit-learn", *more)
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def known_after(training: Training) -> dict[str, Any]:
    """What of the record training brings: how it went, in how much time, by which recipe in the end."""
    return {
        "recipe": training.recipe.as_json(),
        "best_epoch": training.best_epoch,
        "epochs_run": len(training.history),
        "alarms": list(training.alarms),
        "train_seconds": training.seconds,
        "train_rows_per_second": training.rows_per_second,
        "peak_memory_mib": peak_memory_mib(training.recipe.device),
    }


@dataclass(frozen=True)
class Fitted:
    """A classifier ready to predict, as one loaded from a folder is, and the account of its training."""

    classifier: Saved
    training: Training


def on_validation(training: Training) -> dict[str, float]:
    """The metrics on validation of the epoch that was kept."""
    return dict(training.history[training.best_epoch - 1]["validation"])
