"""What a network is to learn from encoded rows, and by what an epoch is judged.

The judge is the same forward loop and the same decision as of every later prediction.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from classifine import metrics
from classifine.data.encode import INPUTS
from classifine.decide import Decision
from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Task
from classifine.train.losses import Cost, cost_of, how_often, prior_shift
from classifine.train.progress import constant_guess
from classifine.train.recipe import Recipe
from classifine.windows import WINDOWS

Validate = Callable[[Any], dict[str, float]]
Loss = Callable[[Any, Tensor], Tensor]  # of what a network gives for a batch, and the targets of the batch


@dataclass(frozen=True)
class Lesson:
    """What a network is to learn from encoded rows, and by what an epoch is judged.

    `guess` and `guess_on_validation` are the losses of the best answer that is the same for all rows, the former None
    where the loss of training is not that of answers. `loss` is of what the network gives for a batch and of its
    targets; without one it is the network's own. `shown` are the metrics that a line has room for. `often` (rows,) is
    how many times each row comes in an epoch, on average; without it all come once. `learned` is the word for the targets.
    """

    validate: Validate
    guess: float | None
    guess_on_validation: float
    shown: tuple[str, ...]
    loss: Loss | None = None
    often: NDArray[np.float64] | None = None
    learned: str = "labels"


def labelled(rows: Any, validation: Any, pad_id: int, recipe: Recipe, labels: int) -> Lesson:
    """The lesson of so many true labels: the recipe's loss, and the metrics of the task."""
    assert recipe.task is not None
    targets = targets_of(rows)
    cost, shift = cost_of(recipe, targets, labels), prior_shift(recipe, targets, labels)
    plain = Lesson(
        validator(validation, pad_id, recipe.task, recipe.precision, shift),
        constant_guess(targets), constant_guess(targets_of(validation)), metrics.HEADLINE[recipe.task][:2],
    )  # fmt: skip
    often = how_often(recipe, targets, labels)
    if cost is None and not often:
        return plain
    # On average rows that come so often cost as much as if they weighed as much, which makes a guess as much dearer.
    own_cost = cost or Cost(recipe.task)
    guess = (replace(own_cost, weights=often) if often else own_cost).guess(targets)
    return replace(
        plain,
        loss=None if cost is None else (lambda given, own: own_cost(given.logits, own)),
        # The loss on validation rows has no weights, so its guess stays; where it is above that and something was learned,
        # the loss of training tells, unless what two readings differ by is part of it.
        guess=guess, guess_on_validation=math.inf if recipe.r_drop else plain.guess_on_validation, often=np.asarray(often)[targets] if often else None,
    )  # fmt: skip


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
        return reached(found, truth, task)

    return validate


def reached(found: NDArray[Any], truth: NDArray[Any], task: Task) -> dict[str, float]:
    """The metrics of logits (rows, labels), their loss and the number of different answers; thresholds fitted to them.

    Of logits that are no numbers, as those of a network that diverged, nothing else is either.
    """
    if not np.isfinite(found).all():
        return dict.fromkeys(reached(np.zeros_like(found), truth, task), math.nan)
    decision = Decision(task).fit(found, truth)
    scores = decision.scores(found)
    result = metrics.judge(truth, scores, decision)
    result["loss"] = result[metrics.LOSS[task]]
    result["predicted_classes"] = len(np.unique(decision.choose(scores), axis=0))
    return result


def targets_of(encoded: Any) -> NDArray[Any]:
    """The targets of an encoded dataset: of a class, of several labels, or a number."""
    return np.array(encoded["labels"][:])


def input_columns(encoded: Any) -> dict[str, list[list[int]]]:
    """The columns of an encoded dataset that the forward loop takes, as lists of token ids."""
    return {name: encoded[name][:] for name in (*INPUTS, WINDOWS) if name in encoded.column_names}
