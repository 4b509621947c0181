"""The one subclass of transformers' Trainer: its evaluation is ours, its steps are those of the recipe.

It knows nothing about recipes, texts or saved classifiers.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers import PrinterCallback, Trainer

from classifine.labels import Task
from classifine.model.network import in_head, output_layer
from classifine.train.averaging import Average
from classifine.train.documents import parts_of
from classifine.train.lesson import Lesson
from classifine.train.losses import disagreement, twice
from classifine.train.order import Shuffled
from classifine.train.sam import Sharpness, descend


@dataclass(frozen=True)
class Consistency:
    """How much it costs that two readings of a row, each with other dropout, disagree."""

    weight: float
    task: Task


class JudgedTrainer(Trainer):
    """A Trainer whose loss, evaluation and rows are those of a lesson; it keeps the Trainer's own book-keeping.

    The head learns `head_rate` times as fast as the rest, its last layer `spread` times as fast as the rest of it: the
    standard deviation of numbers that are its targets.

    With `sharpness` each step goes by the gradient at the worst point nearby, over all batches that it accumulates.
    With `average` an evaluation, and what callbacks keep of it, is of the mean of the weights so far.
    A batch of documents with more windows than it may have rows is worked through in parts, whose gradients add up.
    """

    def __init__(
        self,
        *,
        lesson: Lesson,
        head_rate: float,
        spread: float = 1.0,
        sharpness: Sharpness | None = None,
        average: Average | None = None,
        consistency: Consistency | None = None,
        **rest: Any,
    ) -> None:
        super().__init__(**rest)
        # The losses of classifiers take no count of items, but their `forward` takes any keyword, from which the Trainer
        # concludes that it need not divide by the number of parts of a batch.
        self.model_accepts_loss_kwargs = False
        # Not the Trainer's `compute_loss_func`: it takes such a loss for one that was divided by the parts of a batch.
        self._lesson = lesson
        self._head_rate = head_rate
        self._spread = spread
        self._sharpness = sharpness
        self._average = average
        self._consistency = consistency
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
            found = {f"{metric_key_prefix}_{name}": value for name, value in self._lesson.validate(self.model).items()}
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
        return Shuffled(self.train_dataset[self.args.length_column_name][:], size, self.args.seed, self._lesson.often)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of the next optimiser step, which the way up needs all at once."""
        result = super().get_batch_samples(*args, **kwargs)
        self._ahead = list(result[0])
        return result

    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        """The loss as it would be if the spread were 1: gradients of any size suit the optimiser and clipping.

        Of a part of a batch it is as much of the loss as there are documents in it. With `consistency` every row is read
        twice.
        """
        read = twice(inputs) if self._consistency else inputs
        if self._lesson.loss is not None:
            given = model(**{name: values for name, values in read.items() if name != "labels"})
            loss = self._lesson.loss(given, read["labels"])
        else:
            loss, given = super().compute_loss(model, read, return_outputs=True, **kwargs)
        if self._consistency:
            loss = loss + self._consistency.weight * disagreement(given.logits, self._consistency.task)
        loss = loss / self._spread**2 * self._share
        return (loss, given) if return_outputs else loss

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Forward and backward on one batch: where the weights stand, or at the worst point nearby.

        The loss that comes back is that of the weights as they stand, so that histories can be compared.
        """
        if self._sharpness is None:
            return self._learn(model, inputs, self._weight(inputs), *args, **kwargs)
        if not self._losses:
            # A step of its own for each batch of the optimiser step: their gradients add up to the direction.
            for batch in self._ahead:
                part = self._sharpness.part(batch)
                self._losses.append(self._learn(model, part, self._weight(batch), *args, **kwargs))
            self._before = self._sharpness.climb(model)
        self._learn(model, inputs, self._weight(inputs), *args, **kwargs)
        loss = self._losses.pop(0)
        if not self._losses:
            # Before the Trainer clips and steps: both are to start from the weights as they stood.
            descend(self._before)
            self._before = []
        return loss

    def _weight(self, batch: Any) -> float:
        """How many rows a batch has, as a share of the mean of all that an optimiser step is of.

        The Trainer divides by the number of these, but the last of an epoch can be smaller than the others, and its rows
        are to count as much as theirs.
        """
        rows = [_rows(one) for one in self._ahead]
        return _rows(batch) * len(rows) / sum(rows)

    def _learn(self, model: Any, inputs: Any, weight: float, *args: Any, **kwargs: Any) -> Any:
        """Forward and backward on one batch, and its loss times a weight: at once, or where that is too many windows in parts."""
        loss: Any = 0
        for part, share in parts_of(inputs, self.args.train_batch_size):
            self._share = share * weight
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


def _rows(batch: Mapping[str, Any]) -> int:
    """How many rows a batch has."""
    return next(len(values) for values in batch.values() if isinstance(values, Tensor))


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
