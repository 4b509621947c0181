"""What a wrong answer costs while a network learns.

Weights by the size of a label, focal loss, smoothed targets, and what such weights do to the scores; and what it costs
that two readings of a row do not agree. It knows nothing about networks or the Trainer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from classifine.labels import Task
from classifine.train.recipe import Recipe

GUESSED = 5000  # rows at least by which the best answer for all of them is found
RARE = 1.0  # rows that a label counts as having at least, so that none weighs without end


@dataclass(frozen=True)
class Cost:
    """How the loss of a batch comes from logits (rows, labels) and targets, for `single` and `multi`.

    `weights` (labels,) multiply the loss of a class, or of several labels that of the rows which have the label.
    `focus` above 0 makes what is answered well count less (Lin et al. 2017, arXiv 1708.02002, gamma). `smoothing` is
    the share of a target that goes to all labels alike (Szegedy et al. 2016, arXiv 1512.00567).
    """

    task: Task
    weights: tuple[float, ...] = ()
    focus: float = 0.0
    smoothing: float = 0.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of the rows, each times the weight of its label.

        Not divided by the weights of the batch, as torch has it: a batch that is worked through in parts, of a single row
        even, is to give the same gradient as at once.
        """
        found = logits.float()
        weights = torch.tensor(self.weights, device=found.device) if self.weights else None
        return (self._of_several if self.task == "multi" else self._of_one)(found, targets, weights)

    def guess(self, targets: NDArray[Any]) -> float:
        """The loss of the best answer that is the same for all rows: each label by its share, as much as it weighs, and
        with `focus` or `smoothing` less sure than that.
        """
        shares = (
            targets.mean(axis=0)
            if targets.ndim == 2
            else np.bincount(targets, minlength=len(self.weights)) / len(targets)
        )
        weights = np.asarray(self.weights or np.ones(len(shares)))
        if self.task == "multi":
            weighed = weights * shares / (weights * shares + 1 - shares)
            odds = np.log(np.clip(weighed, 1e-6, 1)) - np.log(np.clip(1 - weighed, 1e-6, 1))
        else:
            odds = np.log(np.clip(weights * shares / (weights * shares).sum(), 1e-6, 1))
        best = torch.from_numpy(odds)
        if self.focus or self.smoothing:
            best = self._best(best, torch.from_numpy(targets[:: max(1, len(targets) // GUESSED)]))
        return float(self(best.expand(len(targets), -1), torch.from_numpy(targets)))

    def _best(self, odds: Tensor, targets: Tensor) -> Tensor:
        """The logits (labels,) that cost least where they answer all rows, found from `odds` on."""
        answer = odds.clone().requires_grad_()
        search = torch.optim.LBFGS([answer], max_iter=100, line_search_fn="strong_wolfe")

        def cost() -> Tensor:
            search.zero_grad()
            loss = self(answer.expand(len(targets), -1), targets)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not annotate it
            return loss

        with torch.enable_grad():
            search.step(cost)  # type: ignore[no-untyped-call]
        return answer.detach()

    def _of_one(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        losses = functional.cross_entropy(logits, targets, reduction="none", label_smoothing=self.smoothing)
        if self.focus:
            losses = losses * _doubt(functional.cross_entropy(logits, targets, reduction="none")) ** self.focus
        if weights is None:
            return losses.mean()
        return (weights[targets] * losses).mean()

    def _of_several(self, logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        true = targets.float()
        smooth = true * (1 - self.smoothing) + self.smoothing / 2
        losses = functional.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
        if self.focus:
            plain = functional.binary_cross_entropy_with_logits(logits, true, reduction="none")
            losses = losses * _doubt(plain) ** self.focus
        return losses.mean()


def _doubt(losses: Tensor) -> Tensor:
    """1 less the score that the truth was given, by its plain loss."""
    return 1 - torch.exp(-losses)


def twice(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A batch, and behind it the same rows again."""
    return {name: torch.cat([values, values]) for name, values in batch.items()}


def disagreement(logits: Tensor, task: Task) -> Tensor:
    """How far the answers to a batch are apart that was read `twice`: logits (2 * rows, labels).

    The mean over the rows of half the Kullback-Leibler divergence in both directions (Liang et al. 2021, "R-Drop:
    Regularized Dropout for Neural Networks", arXiv 2106.14448), of several labels also over these, as their loss is; of
    numbers the squared difference.
    """
    one, other = logits.float().chunk(2)
    if task == "score":
        return (one - other).square().mean()
    several = task == "multi"
    # In both directions together what makes scores of logits cancels: it is the difference of the one times that of the other.
    apart = (torch.exp(_log_scores(one, several)) - torch.exp(_log_scores(other, several))) * (one - other) / 2
    return apart.mean() if several else apart.sum(dim=1).mean()


def _log_scores(logits: Tensor, several: bool) -> Tensor:
    return -functional.softplus(-logits) if several else logits - torch.logsumexp(logits, dim=1, keepdim=True)


def balanced(targets: NDArray[Any], labels: int) -> tuple[float, ...]:
    """Weights under which all classes count alike, with a mean of 1 over the rows; of several labels, rows that have a label as much as those that lack it.

    `targets` (rows,) of class ids or (rows, labels) of 0 and 1. The former are scikit-learn's "balanced" ones.
    """
    if targets.ndim == 2:
        positive = np.maximum(targets.sum(axis=0), RARE)
        return tuple(float(weight) for weight in np.maximum(len(targets) - positive, RARE) / positive)
    sizes = np.maximum(np.bincount(targets.astype(np.int64), minlength=labels), RARE)
    return tuple(float(weight) for weight in len(targets) / (labels * sizes))


def softened(weights: tuple[float, ...]) -> tuple[float, ...]:
    """The square roots of weights: half the way, in ratios, to labels that all count alike."""
    return tuple(float(np.sqrt(weight)) for weight in weights)


def shift_of(weights: tuple[float, ...]) -> NDArray[np.float64]:
    """What to add to the logits of a network that learned with `weights`, so that its scores are those of the data.

    Rows that come so many times as often act as such weights do (Elkan 2001, "The Foundations of Cost-Sensitive Learning";
    King & Zeng 2001): the odds of a label are too high by that factor.
    """
    return -np.log(np.asarray(weights, dtype=np.float64))


def cost_of(recipe: Recipe, targets: NDArray[Any], labels: int) -> Cost | None:
    """The loss that a recipe asks for, by the targets of the training rows; None where it is the network's own."""
    if recipe.task is None or recipe.task == "score":
        return None
    weights = weights_of(recipe, targets, labels)
    if not weights and not recipe.focal and not recipe.label_smoothing:
        return None
    return Cost(recipe.task, weights, recipe.focal, recipe.label_smoothing)


def weights_of(recipe: Recipe, targets: NDArray[Any], labels: int) -> tuple[float, ...]:
    """The weight of each of so many labels; nothing where all weigh the same. Of classes their mean over the rows is 1."""
    return _evening(recipe.class_weights, targets, labels)


def how_often(recipe: Recipe, targets: NDArray[Any], labels: int) -> tuple[float, ...]:
    """How many times a row of each of so many classes comes in an epoch, on average; nothing where every row comes once.

    There are as many rows in an epoch as ever.
    """
    return _evening(recipe.sampling, targets, labels)


def _evening(how: str, targets: NDArray[Any], labels: int) -> tuple[float, ...]:
    """Factors for the labels that make them as even as `how` says; nothing where it says to leave them."""
    if how in ("none", "natural"):
        return ()
    found = balanced(targets, labels)
    if how == "sqrt":
        found = softened(found)
    if targets.ndim == 2:
        return found
    mean = float(np.mean(np.asarray(found)[targets]))
    return tuple(weight / mean for weight in found)


def prior_shift(recipe: Recipe, targets: NDArray[Any], labels: int) -> NDArray[np.float64] | None:
    """What the recipe adds to the logits after training, for `labels` labels; None where it leaves them."""
    if not recipe.correct_prior:
        return None
    return shift_of(weights_of(recipe, targets, labels) or how_often(recipe, targets, labels))
