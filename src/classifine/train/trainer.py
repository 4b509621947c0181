"""The one place that uses transformers' Trainer: fit a network to encoded rows by a recipe.

The subclass replaces the Trainer's evaluation by ours, so that an epoch is judged by the same forward loop and the
same decision as every later prediction. It knows nothing about texts, files of data or saved classifiers.
"""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PrinterCallback, Trainer, TrainerCallback

from classifine import metrics
from classifine.data.encode import INPUTS
from classifine.decide import Decision
from classifine.errors import TrainingError
from classifine.infer.engine import TorchEngine
from classifine.infer.forward import logits
from classifine.labels import Task
from classifine.model.network import in_head, output_layer
from classifine.say import Say
from classifine.train.averaging import Average
from classifine.train.documents import collator, one_loss_a_document, parts_of
from classifine.train.dropout import fast_dropout
from classifine.train.losses import cost_of, prior_shift
from classifine.train.memory import give_back_freed_memory, keep_freed_memory
from classifine.train.order import Shuffled
from classifine.train.progress import Alarm, Best, History, Kept, Pace, Stalled, Weights, constant_guess
from classifine.train.recipe import Recipe, training_arguments
from classifine.train.sam import Sharpness, descend
from classifine.train.scores import exact_output, start_at_mean
from classifine.windows import WINDOWS

STALLED_STEPS = 100  # after which a rate that has taught nothing will teach nothing
TIDY_STEPS = 50  # optimiser steps between two returns of freed memory to the system
Validate = Callable[[Any], dict[str, float]]
Loss = Callable[[Any, Tensor], Tensor]  # of what a network gives for a batch, and the targets of the batch


@dataclass(frozen=True)
class Training:
    """What fitting left behind, beside the network's weights: the recipe in the end, one dictionary an epoch, alarms, time."""

    recipe: Recipe
    history: tuple[dict[str, Any], ...]
    best_epoch: int
    alarms: tuple[str, ...]
    seconds: float
    rows_per_second: float


@dataclass(frozen=True)
class Lesson:
    """What a network is to learn from encoded rows, and by what an epoch is judged.

    `guess` and `guess_on_validation` are the losses of the best answer that is the same for all rows, the former None
    where the loss of training is not that of answers. `loss` is of what the network gives for a batch and of its
    targets; without one it is the network's own. `shown` are the metrics that a line has room for.
    """

    validate: Validate
    guess: float | None
    guess_on_validation: float
    shown: tuple[str, ...]
    loss: Loss | None = None


def labelled(rows: Any, validation: Any, pad_id: int, recipe: Recipe, labels: int) -> Lesson:
    """The lesson of so many true labels: the recipe's loss, and the metrics of the task."""
    assert recipe.task is not None
    cost, shift = cost_of(recipe, targets_of(rows), labels), prior_shift(recipe, targets_of(rows), labels)
    plain = Lesson(
        validator(validation, pad_id, recipe.task, recipe.precision, shift),
        constant_guess(targets_of(rows)), constant_guess(targets_of(validation)), metrics.HEADLINE[recipe.task][:2],
    )  # fmt: skip
    if cost is None:
        return plain
    # With weights the loss on validation rows, which has none, may be above that of a guess and something be learned.
    guess = cost.guess(targets_of(rows))
    return replace(plain, loss=lambda given, own: cost(given.logits, own), guess=guess, guess_on_validation=math.inf)


class JudgedTrainer(Trainer):
    """A Trainer whose evaluation is `validate(network) -> metrics`; it keeps the Trainer's own book-keeping.

    The head learns `head_rate` times as fast as the rest, its last layer `spread` times as fast as the rest of it: the
    standard deviation of numbers that are its targets.

    With `sharpness` each step goes by the gradient at the worst point nearby, over all batches that it accumulates.
    With `average` an evaluation, and what callbacks keep of it, is of the mean of the weights so far.
    A batch of documents with more windows than it may have rows is worked through in parts, whose gradients add up.
    """

    def __init__(
        self,
        *,
        validate: Validate,
        head_rate: float,
        spread: float = 1.0,
        sharpness: Sharpness | None = None,
        loss: Loss | None = None,
        average: Average | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        # The losses of classifiers take no count of items, but their `forward` takes any keyword, from which the Trainer
        # concludes that it need not divide by the number of parts of a batch.
        self.model_accepts_loss_kwargs = False
        self._validate = validate
        self._head_rate = head_rate
        self._spread = spread
        self._sharpness = sharpness
        # Not the Trainer's `compute_loss_func`: it takes such a loss for one that was divided by the parts of a batch.
        self._loss = loss
        self._average = average
        if average is not None:
            self.add_callback(average)
        self._ahead: list[Any] = []
        self._before: list[Any] = []
        self._losses: list[Tensor] = []
        self._share = 1.0
        # It prints dictionaries to standard output, which carries data only.
        self.remove_callback(PrinterCallback)

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:
        """Judge the network and tell the callbacks, as the Trainer expects of it."""
        with self._as_judged():
            found = {f"{metric_key_prefix}_{name}": value for name, value in self._validate(self.model).items()}
            self.log(found)
            self.control: Any = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def _as_judged(self) -> contextlib.AbstractContextManager[None]:
        if self._average is None:
            return contextlib.nullcontext()
        return self._average.standing_in(self.model, self.state.global_step)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(train_dataset)
        # What it is given has lost the columns that the network does not take. Parts of a batch whose gradients are
        # added up are together as alike as a batch.
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return Shuffled(self.train_dataset[self.args.length_column_name][:], size, self.args.seed)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of the next optimiser step, which the way up needs all at once."""
        result = super().get_batch_samples(*args, **kwargs)
        self._ahead = list(result[0])
        return result

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """The loss as it would be if the spread were 1: gradients of any size suit the optimiser and clipping.

        Of a part of a batch it is as much of the loss as there are documents in it.
        """
        if self._loss is not None:
            given = {name: values for name, values in inputs.items() if name != "labels"}
            return self._loss(model(**given), inputs["labels"]) / self._spread**2 * self._share
        found = super().compute_loss(model, inputs, *args, **kwargs)
        first, *rest = found if isinstance(found, tuple) else (found,)
        own = first / self._spread**2 * self._share
        return (own, *rest) if isinstance(found, tuple) else own

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Forward and backward on one batch: where the weights stand, or at the worst point nearby.

        The loss that comes back is that of the weights as they stand, so that histories can be compared.
        """
        if self._sharpness is None:
            return self._learn(model, inputs, *args, **kwargs)
        if not self._losses:
            # A step of its own for each batch of the optimiser step: their gradients add up to the direction.
            for batch in self._ahead:
                part = self._sharpness.part(batch)
                self._losses.append(self._learn(model, part, *args, **kwargs))
            self._before = self._sharpness.climb(model)
        self._learn(model, inputs, *args, **kwargs)
        loss = self._losses.pop(0)
        if not self._losses:
            # Before the Trainer clips and steps: both are to start from the weights as they stood.
            descend(self._before)
            self._before = []
        return loss

    def _learn(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Forward and backward on one batch, and its loss: at once, or where that is too many windows in parts."""
        loss: Any = 0
        for part, share in parts_of(inputs, self.args.train_batch_size):
            self._share = share
            loss += super().training_step(model, part, *args, **kwargs) * self._spread**2
        self._share = 1.0
        return loss

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """The Trainer's optimiser, with other rates for the new head and its last layer."""
        optimizer = super().create_optimizer(*args, **kwargs)
        head = [weight for name, weight in self.model.named_parameters() if in_head(self.model, name)]
        _quicken(optimizer, head, self._head_rate)
        if self._spread != 1:
            # A step shrinks a weight by rate times decay: by as much as if the spread were 1.
            last: Any = output_layer(self.model)
            _quicken(optimizer, list(last.parameters()), self._spread, 1 / self._spread)
        return optimizer


def _quicken(optimizer: Any, weights: Sequence[Any], times: float, decay: float = 1.0) -> None:
    """Let `weights` learn so many times as fast, with `decay` times their weight decay."""
    chosen = set(map(id, weights))
    for group in list(optimizer.param_groups):
        own = [weight for weight in group["params"] if id(weight) in chosen]
        if own and times != 1:
            group["params"] = [weight for weight in group["params"] if id(weight) not in chosen]
            settings = {key: value for key, value in group.items() if key != "params"}
            changed = {"lr": group["lr"] * times, "weight_decay": group["weight_decay"] * decay}
            optimizer.add_param_group({**settings, **changed, "params": own})


class Tidy(TrainerCallback):
    """Bounds the memory that `keep_freed_memory` lets grow, at a cost too small to measure."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Give freed memory back every so many steps."""
        if state.global_step % TIDY_STEPS == 0:
            give_back_freed_memory()


@contextlib.contextmanager
def narrow_stream(network: Any) -> Iterator[None]:
    """Under bfloat16 on a processor, hand the encoder's layers bfloat16 from the embeddings on, while it is open.

    Layer norms and sums pass on the type that they are given. Left in float32, that stream is cast again by each
    matrix product of each layer, which costs time and memory for digits that the product drops anyway.
    """
    embeddings = getattr(network.base_model, "embeddings", None)
    if not isinstance(embeddings, torch.nn.Module):
        yield
        return

    def cast(module: Any, inputs: Any, output: Any) -> Any:
        narrow = torch.is_autocast_enabled("cpu") and isinstance(output, Tensor)
        return output.to(torch.get_autocast_dtype("cpu")) if narrow else output

    handle = embeddings.register_forward_hook(cast)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def quicker(network: Any, recipe: Recipe) -> Iterator[None]:
    """The network as it trains faster on the recipe's device, while the context is open."""
    with contextlib.ExitStack() as opened:
        if recipe.device == "cpu":
            opened.enter_context(fast_dropout(network))
            opened.enter_context(narrow_stream(network))
        if recipe.task == "score":
            opened.enter_context(exact_output(network))
        if recipe.long == "windows":
            opened.enter_context(one_loss_a_document(network))
        yield


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
    spread = start_at_mean(network, targets_of(rows)) if recipe.task == "score" else 1.0
    begun, lesson = Weights(network), lesson or labelled(rows, validation, pad_id, recipe, network.config.num_labels)
    lost, alarms = 0.0, list[str]()
    while True:
        best = Best(recipe.metric, None if recipe.keeps_last else recipe.patience, kept)
        # Twice the warm-up, so that a rate is not judged before it was reached.
        steps = max(STALLED_STEPS, 2 * recipe.warmup_steps)
        stalled = Stalled(lesson.guess_on_validation, steps) if recipe.fallback_rate else None
        try:
            found = _fitted(
                network, rows, validation, pad_id, recipe, folder, say, best, spread, lesson,
                [*callbacks, *([stalled] if stalled else [])],
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
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


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


def _fitted(
    network: Any,
    rows: Any,
    validation: Any,
    pad_id: int,
    recipe: Recipe,
    folder: str,
    say: Say,
    best: Best,
    spread: float,
    lesson: Lesson,
    callbacks: Sequence[TrainerCallback],
) -> Training:
    history = History(lesson.shown, say)
    # Of few rows an epoch is a step or two.
    since = recipe.epochs if recipe.keeps_last else 2
    alarms = [] if lesson.guess is None else [Alarm(lesson.guess, history, say, since)]
    found = walk(
        network,
        rows,
        validation,
        recipe,
        folder,
        say,
        collator(pad_id, recipe.most_windows),
        lesson.validate,
        history,
        best,
        [*alarms, *callbacks],
        spread,
        lesson.loss,
    )
    return replace(found, alarms=tuple(said for alarm in alarms for said in alarm.said))


def walk(
    network: Any,
    rows: Any,
    validation: Any,
    recipe: Recipe,
    folder: str,
    say: Say,
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]],
    validate: Validate,
    history: History,
    best: Best,
    callbacks: Sequence[TrainerCallback] = (),
    spread: float = 1.0,
    loss: Loss | None = None,
) -> Training:
    """Train `network` in place on batches that `collate` makes of `rows`, each epoch judged by `validate`, once.

    It ends with the weights that `best` kept. What the network learns is the caller's: its loss on such a batch, or the
    `loss` of its logits and the batch's labels.
    """
    pace = Pace(recipe.batch_size, say)
    trainer = JudgedTrainer(
        model=network,
        args=training_arguments(recipe, folder),
        train_dataset=rows,
        eval_dataset=validation,
        data_collator=collate,
        callbacks=[history, pace, best, *callbacks],
        validate=validate,
        head_rate=recipe.head_rate,
        spread=spread,
        sharpness=recipe.sharpness,
        loss=loss,
        average=Average() if recipe.averaging else None,
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
        # accelerate leaves a forward in bf16 on the object: the report would be in bf16, the saved folder not.
        for name in ("forward", "_original_forward"):
            vars(network).pop(name, None)
    seconds = time.monotonic() - start
    rate = len(rows) * len(history.epochs) / seconds
    return Training(recipe, tuple(history.epochs), best.epoch, (), round(seconds, 1), round(rate, 1))


def check_finite(network: Any, flags: str = "--learning-rate or --head-rate") -> None:
    """TrainingError, with the flags that help, where a weight is no number."""
    if not all(torch.isfinite(weight).all() for weight in network.parameters()):
        raise TrainingError(f"The network diverged: its weights are no numbers any more. Lower {flags}.")


def validator(
    encoded: Any, pad_id: int, task: Task, precision: str, shift: NDArray[np.float64] | None = None
) -> Validate:
    """A function that judges a network on `encoded`: its metrics, loss and number of different answers.

    With several labels the thresholds are fitted anew each time, as they will be in the end. `shift` (labels,) is what
    will be added to its logits then.
    """
    columns = input_columns(encoded)
    truth = targets_of(encoded)

    def validate(network: Any) -> dict[str, float]:
        found = logits(TorchEngine(network, precision), columns, pad_id) + (0 if shift is None else shift)
        decision = Decision(task).fit(found, truth)
        scores = decision.scores(found)
        result = metrics.judge(truth, scores, decision)
        result["loss"] = result[metrics.LOSS[task]]
        result["predicted_classes"] = len(np.unique(decision.choose(scores), axis=0))
        return result

    return validate


def targets_of(encoded: Any) -> NDArray[Any]:
    """The targets of an encoded dataset: of a class, of several labels, or a number."""
    return np.array(encoded["labels"][:])


def input_columns(encoded: Any) -> dict[str, list[list[int]]]:
    """The columns of an encoded dataset that the forward loop takes, as lists of token ids."""
    return {name: encoded[name][:] for name in (*INPUTS, WINDOWS) if name in encoded.column_names}
