"""Fit a network to encoded rows by a recipe: once, or anew where memory or the rate does not do.

It knows nothing about texts, files of data or saved classifiers.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from classifine.errors import TrainingError
from classifine.say import Say
from classifine.train.averaging import Average
from classifine.train.documents import collator
from classifine.train.judged import Consistency, JudgedTrainer
from classifine.train.lesson import Lesson, labelled, targets_of
from classifine.train.losses import weights_of
from classifine.train.memory import free_memory, give_back_freed_memory, keep_freed_memory
from classifine.train.progress import Alarm, Best, History, Kept, Pace, Stalled, Weights
from classifine.train.quicker import quicker
from classifine.train.recipe import Recipe, training_arguments
from classifine.train.start import start_at_mean, start_at_odds

STALLED_STEPS = 100  # after which a rate that has taught nothing will teach nothing
TIDY_STEPS = 50  # optimiser steps between two returns of freed memory to the system


@dataclass(frozen=True)
class Training:
    """What fitting left behind, beside the network's weights: the recipe in the end, one dictionary an epoch, alarms, time."""

    recipe: Recipe
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    alarms: tuple[str, ...]
    seconds: float
    rows_per_second: float

    def reaching(self, validation: dict[str, float]) -> "Training":
        """The account where the network was changed since: the epoch that was kept now has these metrics."""
        history, place = list(self.history), self.best_epoch - 1
        history[place] = {**history[place], "validation": validation}
        return replace(self, history=tuple(history))


class Tidy(TrainerCallback):
    """Bounds the memory that `keep_freed_memory` lets grow, at a cost too small to measure."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give freed memory back every so many steps."""
        if state.global_step % TIDY_STEPS == 0:
            give_back_freed_memory()


def train(
    network: Any,
    rows: Any,
    validation: Any,
    pad_id: int,
    recipe: Recipe,
    folder: str,
    say: Say,
    kept: Kept | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    lesson: Lesson | None = None,
) -> Training:
    """Fit `network` in place to encoded `rows`; it ends with the weights of the best epoch on `validation`.

    What is frozen stays as it is; the recipe's adapters are for the caller to put on it and to merge.

    `rows` and `validation` are datasets as `data.encode.encode` makes them; `folder` is the Trainer's to write to.
    Their labels are learned unless there is another `lesson`, whose targets stand in their place.
    `kept` is called after each epoch that is better than those before, with `network` as it then stands. Where the
    device's memory does not hold a batch it starts anew with parts of it, whose gradients are added up, so that the
    steps are the same; where nothing is learned it starts anew at the recipe's `fallback_rate`.
    """
    spread = 1.0
    if recipe.task == "score":
        spread = start_at_mean(network, targets_of(rows))
    elif recipe.task == "multi" and lesson is None:
        targets = targets_of(rows)
        start_at_odds(network, targets.mean(axis=0), len(targets), weights_of(recipe, targets, targets.shape[1]))
    begun, lesson = Weights(network), lesson or labelled(rows, validation, pad_id, recipe, network.config.num_labels)
    lost, alarms = 0.0, list[str]()
    while True:
        best = Best(recipe.metric, None if recipe.keeps_last else recipe.patience, kept)
        # Twice the warm-up, so that a rate is not judged before it was reached.
        steps = max(STALLED_STEPS, 2 * recipe.warmup_steps)
        stalled = Stalled(lesson.guess_on_validation, steps, lesson.guess) if recipe.fallback_rate else None
        try:
            found = walk(
                network, rows, validation, recipe, folder, say, collator(pad_id, recipe.most_windows), lesson, best,
                [*callbacks, *([stalled] if stalled else [])], spread,
            )  # fmt: skip
        except torch.OutOfMemoryError:
            recipe = in_parts(recipe, say)
        else:
            if stalled is None or recipe.fallback_rate is None or not stalled.learned_nothing:
                check_finite(network)
                return replace(found, alarms=(*alarms, *found.alarms), seconds=round(lost + found.seconds, 1))
            alarms.append(
                f"At the rate {recipe.learning_rate:g} nothing was learned in {len(found.history)} epochs; started anew "
                f"at {recipe.fallback_rate:g}."
            )
            say(f"ALARM {alarms[-1]}")
            lost += found.seconds
            recipe = replace(recipe, learning_rate=recipe.fallback_rate, fallback_rate=None)
        start_over(network, begun)


def start_over(network: Any, begun: Weights) -> None:
    """Put back the weights that a network began with, and let go of what the attempt since then held."""
    begun.restore(network)
    network.zero_grad()
    free_memory()


def in_parts(recipe: Recipe, say: Say) -> Recipe:
    """The recipe with at most half as many rows at once, as many as make up a whole batch, and said; TrainingError after one row."""
    own = recipe.rows_at_once
    if recipe.method == "contrastive":
        raise TrainingError(
            f"The {recipe.device}'s memory does not hold {own} rows of {recipe.max_length} tokens, which --method contrastive "
            "compares with one another. Lower --batch-size or --max-length, or use --method lp-ft."
        ) from None
    if own == 1:
        raise TrainingError(
            f"The {recipe.device}'s memory does not hold 1 rows of {recipe.max_length} tokens. "
            "Lower --batch-size or --max-length, or choose a smaller --base."
        ) from None
    part = max(part for part in range(1, own // 2 + 1) if own % part == 0)
    found = replace(recipe, rows_at_once=part)
    windows = f", {found.most_windows} windows of a text at most" if recipe.long == "windows" else ""
    say(f"out of memory: starts anew with {part} rows at once, batches of {recipe.batch_size} as before{windows}")
    return found


def walk(
    network: Any,
    rows: Any,
    validation: Any,
    recipe: Recipe,
    folder: str,
    say: Say,
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]],
    lesson: Lesson,
    best: Best,
    callbacks: Sequence[TrainerCallback] = (),
    spread: float = 1.0,
) -> Training:
    """Train `network` in place on batches that `collate` makes of `rows`, each epoch judged as the `lesson` says, once.

    It ends with the weights that `best` kept. Where the lesson has no loss, it is the network's own on such a batch.
    `spread` is the standard deviation of numbers that are learned.
    """
    history, pace = History(lesson.shown, say), Pace(recipe.batch_size, say)
    # Of few rows an epoch is a step or two, and of many epochs the first are still warming up.
    since = recipe.epochs if recipe.keeps_last else max(2, recipe.epochs // 4)
    # What rows that are read twice cost besides is no part of a guess's loss.
    guess = lesson.guess if lesson.guess is None or not recipe.r_drop else math.inf
    alarms = [] if guess is None else [Alarm(guess, history, say, since, len(validation), lesson.learned)]
    trainer = JudgedTrainer(
        model=network,
        args=training_arguments(recipe, folder),
        train_dataset=rows,
        eval_dataset=validation,
        data_collator=collate,
        callbacks=[history, pace, best, *alarms, *callbacks],
        lesson=lesson,
        head_rate=recipe.head_rate,
        spread=spread,
        sharpness=recipe.sharpness,
        average=Average() if recipe.averaging else None,
        consistency=Consistency(recipe.r_drop, recipe.task) if recipe.r_drop and recipe.task else None,
    )
    on_cpu = recipe.device == "cpu"
    if on_cpu and keep_freed_memory():
        trainer.add_callback(Tidy())
    start = time.monotonic()
    try:
        with quicker(network, recipe):
            trainer.train()
        best.restore(network)
    finally:
        pace.close()
        # accelerate leaves a forward in bf16 on the object: the report would be in bf16, the saved folder not. And its
        # mark: what has it is not prepared again, so a second training of the network would be in float32.
        for name in ("forward", "_original_forward", "_is_accelerate_prepared"):
            vars(network).pop(name, None)
    seconds = time.monotonic() - start
    rate = len(rows) * len(history.epochs) / seconds
    said = tuple(line for alarm in alarms for line in alarm.said)
    return Training(recipe, tuple(history.epochs), best.epoch, said, round(seconds, 1), round(rate, 1))


def check_finite(network: Any, flags: str = "--learning-rate or --head-rate") -> None:
    """TrainingError, with the flags that help, where a weight is no number."""
    if not all(torch.isfinite(weight).all() for weight in network.parameters()):
        raise TrainingError(f"The network diverged: its weights are no numbers any more. Lower {flags}.")
