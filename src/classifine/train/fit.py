"""From three splits of text to a fitted classifier: load the base, encode, choose the recipe, train.

Both faces, the command line and the Python class, come through here. It knows nothing about files of data or
about reports.
"""

import contextlib
import platform
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np

from classifine.config import Config
from classifine.data.columns import Columns
from classifine.data.encode import encode, pad_id, text_kind
from classifine.data.read import Split
from classifine.decide import Decision
from classifine.doubt import Doubt
from classifine.infer.engine import TorchEngine
from classifine.infer.forward import logits
from classifine.labels import Labels, Task
from classifine.metrics import calibration_of
from classifine.model.base import Base
from classifine.model.folder import Saved, fold_temperature, load_base, quiet_transformers
from classifine.say import Say
from classifine.train.adapters import trained_weights
from classifine.train.memory import peak_memory_mib
from classifine.train.progress import rank
from classifine.train.recipe import Recipe, attention_on, choose, look_at_hardware
from classifine.train.track import Tracking
from classifine.train.trainer import Training, input_columns, targets_of, train

_TRIED = 16  # rows that show whether the head was found


@dataclass(frozen=True)
class Fitted:
    """A classifier ready to predict, as one loaded from a folder is, and the account of its training."""

    classifier: Saved
    training: Training


def fit(
    train_split: Split,
    validation_split: Split,
    columns: Columns,
    labels: Labels,
    base: Base,
    config: Config,
    say: Say,
    tracking: Tracking | None = None,
    better: Callable[[Saved, int], None] | None = None,
    judged: Callable[[Saved], dict[str, float]] | None = None,
) -> Fitted:
    """Train a classifier on one split, its best epoch chosen on the other; test rows never come here.

    `tracking` is told of the run, of each seed as a run of its own. `better` is called with the classifier and the number of the epoch after each epoch
    that is better than those before. Of several seeds the best on validation is returned; its record tells of all,
    with what `judged` said of each.
    """
    best, told = None, []
    seeds = range(config.train.seed, config.train.seed + config.train.seeds)
    for seed in seeds:
        if len(seeds) > 1:
            say(f"seed {seed}")
            if tracking is not None:
                tracking.name_seed(seed)
        own = config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
        found = _fit_once(train_split, validation_split, columns, labels, base, own, say, tracking, better)
        told.append({"seed": seed, "validation": _on_validation(found)})
        if judged is not None and len(seeds) > 1:
            on_test = judged(found.classifier)
            told[-1]["test"] = on_test
            if tracking is not None:
                tracking.finish(on_test)
        if best is None or _rank(found) > _rank(best):
            best = found
    assert best is not None
    if len(seeds) == 1:
        return best
    say(f"seed {best.classifier.record['seed']} is the best on validation, and stays")
    record = {**best.classifier.record, "config": config.model_dump(mode="json"), "seeds": told}
    return replace(best, classifier=replace(best.classifier, record=record))


def _on_validation(found: Fitted) -> dict[str, float]:
    """The metrics on validation of the epoch that was kept."""
    return dict(found.training.history[found.training.best_epoch - 1]["validation"])


def _rank(found: Fitted) -> tuple[float, float]:
    """What is greater for a better seed: seeds are chosen as epochs are."""
    return rank(found.classifier.record["recipe"]["metric"], _on_validation(found))


def _fit_once(
    train_split: Split,
    validation_split: Split,
    columns: Columns,
    labels: Labels,
    base: Base,
    config: Config,
    say: Say,
    tracking: Tracking | None,
    better: Callable[[Saved, int], None] | None,
) -> Fitted:
    with seeded(config.train.seed):
        network, tokenizer, recipe = ready(train_split, labels, base, config, say)
        before = _before(config, columns, base, recipe)
        if tracking is not None:
            tracking.describe({**before["config"], "recipe": before["recipe"], "run": _plain(before)})
        parts = (train_split, validation_split)
        rows, validation = (encode(part, tokenizer, labels, recipe.max_length, recipe.reading) for part in parts)
        with quiet_transformers(), tempfile.TemporaryDirectory() as folder, adapted(network, recipe, say) as whole:
            trained = trained_weights(network)
            training = train(
                network, rows, validation, pad_id(tokenizer), recipe, folder, say,
                kept=None if better is None else lambda epoch: better(_so_far(before, whole(), tokenizer, labels), epoch),
                callbacks=[tracking] if tracking is not None else [],
            )  # fmt: skip
        decision, told = _decided(network, validation, pad_id(tokenizer), labels.task)
    known = {"decision": decision.as_json(), **told, **_after(training)}
    record = {**before, **known, "trained_weights": trained, "train_rows_cut": _longer(rows, recipe)}
    return Fitted(Saved(None, network.eval, lambda: tokenizer, labels, record), training)


def _longer(rows: Any, recipe: Recipe) -> int:
    """How many rows are longer than what is read at once; without windows one that fills all places is taken for longer."""
    return int((np.array(rows["length"][:]) >= recipe.max_length + (recipe.long == "windows")).sum())


def _decided(network: Any, validation: Any, padding: int, task: Task) -> tuple[Decision, dict[str, Any]]:
    """The decision fitted on validation rows, and for the record what calibration did there and when to doubt.

    Folded into the head, the temperature holds for plain transformers, too; where that cannot be, the decision keeps it.
    """
    if task == "score":
        return Decision(task), {"calibration": None, "doubt": None}
    columns, truth = input_columns(validation), targets_of(validation)
    found = logits(TorchEngine(network), columns, padding)
    raw = Decision(task)
    fitted = raw.calibrated(found, truth)
    few = {name: values[:_TRIED] for name, values in columns.items()}

    def as_expected() -> bool:
        expected = found[:_TRIED] / np.asarray(fitted.temperature)
        return bool(np.allclose(logits(TorchEngine(network), few, padding), expected, rtol=1e-3, atol=1e-3))

    folded = fold_temperature(network, fitted.temperature, as_expected)
    calibration = {
        "temperature": fitted.as_json()["temperature"], "folded": folded,
        "before": calibration_of(truth, raw.scores(found), raw), "after": calibration_of(truth, fitted.scores(found), fitted),
    }  # fmt: skip
    fitted = fitted.fit(found, truth)
    if folded:
        found, fitted = found / np.asarray(fitted.temperature), replace(fitted, temperature=1.0)
    return fitted, {"calibration": calibration, "doubt": Doubt.fit(found, truth, fitted).as_json()}


def ready(rows: Split, labels: Labels, base: Base, config: Config, say: Say) -> tuple[Any, Any, Recipe]:
    """(network, tokenizer, recipe) for these training rows, said aloud; the head comes from torch's generator."""
    hardware = look_at_hardware()
    max_length = base.max_length(config.model.max_length)
    network, tokenizer = load_base(base, labels, *attention_on(hardware))
    weights = network.num_parameters()
    kind = text_kind(rows.texts, tokenizer, max_length)
    recipe = choose(config.train, hardware, len(rows), weights, max_length, labels.task, kind, config.model)
    say(f"base    {base.name} ({network.num_parameters() / 1e6:.1f}M weights), from {base.origin} (--base)")
    for i, line in enumerate(recipe.lines()):
        say(f"{'recipe' if i == 0 else '':7} {line}")
    return network, tokenizer, recipe


@contextlib.contextmanager
def adapted(network: Any, recipe: Recipe, say: Say) -> Iterator[Callable[[], Any]]:
    """The network with the recipe's adapters, if it has any, while the context is open; they are merged in the end.

    Gives a function that tells the network as it is to be saved while training goes on.
    """
    if recipe.adapters is None:
        yield lambda: network
        return
    every = network.num_parameters()
    with recipe.adapters.on(network) as whole:
        say(
            f"adapter {trained_weights(network) / 1e6:.2f}M weights are trained, the head among them, beside {every / 1e6:.1f}M"
        )
        yield whole


def _so_far(before: dict[str, Any], network: Any, tokenizer: Any, labels: Labels) -> Saved:
    """The classifier in the middle of its training, its decision not fitted yet."""
    return Saved(
        None, lambda: network, lambda: tokenizer, labels, {**before, "decision": Decision(labels.task).as_json()}
    )


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if not isinstance(value, (dict, list))}


def _before(config: Config, columns: Columns, base: Base, recipe: Recipe) -> dict[str, Any]:
    """What of the record is known before training: how it will be done, with which versions."""
    return {
        "config": config.model_dump(mode="json"),
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


def _after(training: Training) -> dict[str, Any]:
    """What of the record training brings: how it went, in how much time, by which recipe in the end."""
    return {
        "recipe": training.recipe.as_json(),
        "best_epoch": training.best_epoch,
        "epochs_run": len(training.history),
        "alarms": list(training.alarms),
        "train_seconds": training.seconds,
        "train_rows_per_second": training.rows_per_second,
        "peak_memory_mib": peak_memory_mib(),
    }


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every generator that head, order and dropout follow from; the caller's own are as before afterwards."""
    import torch
    from transformers import set_seed

    ours, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        set_seed(seed)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(arrays)
