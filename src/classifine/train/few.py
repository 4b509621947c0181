"""Few labels: the head of a network that sums up texts is a probe on what its encoder makes of them.

It stands in place of all training (probe), before it (lp-ft), or after the encoder was adapted to the labels
(contrastive). This file knows nothing about texts or folders.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifine import metrics
from classifine.infer.embed import of_length_one
from classifine.infer.forward import logits
from classifine.infer.torch_engine import EncoderEngine
from classifine.say import Say
from classifine.train.contrast import pair_loss
from classifine.train.lesson import input_columns, labelled, targets_of, validator
from classifine.train.probe import START, STRENGTHS, Probe, fit_head, fit_probe
from classifine.train.progress import Kept, spoken
from classifine.train.recipe import Recipe
from classifine.train.trainer import Training, check_finite, train
from classifine.windows import pooled, taken_apart


def learn(
    network: Any,
    rows: Any,
    validation: Any,
    pad_id: int,
    recipe: Recipe,
    folder: str,
    say: Say,
    kept: Kept | None = None,
    callbacks: Sequence[Any] = (),
) -> tuple[Training, Probe]:
    """Fit a `model.pooled` network in place by one of the methods for few labels; arguments as `trainer.train` has them.

    The probe that comes with it is the one on the encoder as it came.
    """
    start = time.monotonic()
    network.to(recipe.device)
    assert recipe.task is not None
    targets, count = targets_of(rows), network.config.num_labels
    found = features(network, rows, pad_id, recipe.precision)
    strengths = (START,) if recipe.method == "lp-ft" else STRENGTHS
    probe = fit_probe(found, targets, count, recipe.task, recipe.seed, strengths)
    put_head(network, probe.weight, probe.bias)
    say(f"probe   {_in_words(probe, len(targets))}")
    seconds = time.monotonic() - start
    if recipe.method == "probe":
        training = _judged(network, targets, validation, pad_id, recipe, probe, start, say)
        if kept:
            kept(1)
        return training, probe

    lesson = labelled(rows, validation, pad_id, recipe, count)
    judge = lesson.validate

    def with_head(network: Any) -> dict[str, float]:
        found = features(network, rows, pad_id, recipe.precision)
        put_head(network, *fit_head(found, targets, count, probe.strength))
        return judge(network)

    if recipe.method == "contrastive":
        # What it learns is no answer, so a head is fitted whenever answers are asked for.
        lesson = replace(lesson, validate=with_head, guess=None, loss=lambda given, own: pair_loss(given.features, own))
    training = train(network, rows, validation, pad_id, recipe, folder, say, kept, callbacks, lesson)
    return replace(training, seconds=round(seconds + training.seconds, 1)), probe


def features(network: Any, rows: Any, pad_id: int, precision: str) -> NDArray[np.float32]:
    """What the encoder makes of encoded rows: vectors (rows, width) of length 1."""
    engine = EncoderEngine(network.encoder, precision, network.pooling)
    # Of windows each has its vector of length 1 before they are pooled, as the network has it.
    columns, counts = taken_apart(input_columns(rows))
    return np.stack(list(pooled(of_length_one(logits(engine, columns, pad_id)), counts)))


@torch.no_grad()
def put_head(network: Any, weight: NDArray[Any], bias: NDArray[Any]) -> None:
    """Let the head of a network be this one."""
    network.classifier.weight.copy_(torch.from_numpy(weight))
    network.classifier.bias.copy_(torch.from_numpy(bias))


def _judged(
    network: Any,
    targets: NDArray[Any],
    validation: Any,
    pad_id: int,
    recipe: Recipe,
    probe: Probe,
    start: float,
    say: Say,
) -> Training:
    """The account of a probe, in the form of one epoch; its training loss is that on rows left out."""
    assert recipe.task is not None
    check_finite(network)
    found = validator(validation, pad_id, recipe.task, recipe.precision)(network)
    seconds = max(time.monotonic() - start, 1e-9)
    epoch = {"epoch": 1, "train_loss": probe.loss, "validation": found, "seconds": round(seconds, 1)}
    say(f"probe   validation {spoken(found, metrics.HEADLINE[recipe.task][:2])}")
    return Training(recipe, (epoch,), 1, (), round(seconds, 1), round(len(targets) / seconds, 1))


def _in_words(probe: Probe, rows: int) -> str:
    how = f"rows left out in {probe.folds} parts" if probe.folds else "the same rows"
    return f"fitted to {rows} rows with C {probe.strength:g}; loss {probe.loss:.4f} on {how}"
