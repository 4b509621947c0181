"""Answers of a teacher as what is to be learned: how sure it is of every label, softened by a temperature.

Hinton et al. 2015, "Distilling the Knowledge in a Neural Network" (arXiv 1503.02531). It knows nothing about where the
answers come from.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from classifine.decide import Decision
from classifine.labels import Task
from classifine.train.progress import constant_guess
from classifine.train.start import start_at_odds


def soft_targets(answers: NDArray[np.float32], task: Task, temperature: float) -> NDArray[np.float32]:
    """What is to be learned of logits (rows, labels): shares (rows, labels) at a temperature, or numbers (rows,)."""
    scores = Decision(task, temperature).scores(answers).astype(np.float32)
    return scores[:, 0] if task == "score" else scores


def begin(
    network: Any, answers: NDArray[np.float32], task: Task, temperature: float
) -> tuple[NDArray[np.float32], float]:
    """(targets, their `constant_loss`) of logits (rows, labels) that `network` is to learn; of several labels its head begins
    at their odds.
    """
    targets = soft_targets(answers, task, temperature)
    if task == "multi":
        start_at_odds(network, targets.mean(axis=0), len(targets), temperature=temperature)
    return targets, constant_loss(targets, task, temperature)


def soft_loss(task: Task, temperature: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of logits (rows, labels) against the teacher's shares at this temperature, or its numbers (rows,).

    The Kullback-Leibler divergence, which is 0 where the answers are the teacher's however unsure that is, times the
    temperature's square, so that gradients are as large at any (section 2 of the paper).
    """

    def loss(found: Tensor, targets: Tensor) -> Tensor:
        if task == "score":
            return torch.nn.functional.mse_loss(found[:, 0].float(), targets)
        soft = found.float() / temperature
        if task == "single":
            apart = torch.nn.functional.cross_entropy(soft, targets)
        else:
            apart = torch.nn.functional.binary_cross_entropy_with_logits(soft, targets)
        return (apart - _unsure(targets, task)) * temperature**2

    return loss


def _unsure(targets: Tensor, task: Task) -> Tensor:
    """The mean entropy of shares (rows, labels), of several labels over these, too, as their loss is."""
    found: Tensor = torch.special.entr(targets)
    if task == "multi":
        found += torch.special.entr(1 - targets)
    return found.mean() if task == "multi" else found.sum(dim=-1).mean()


def constant_loss(targets: NDArray[Any], task: Task, temperature: float) -> float:
    """The loss of the best answer that is the same for all rows: the mean of the targets."""
    if task == "score":
        return constant_guess(targets)
    own = torch.from_numpy(targets).double()
    return float(_unsure(own.mean(dim=0, keepdim=True), task) - _unsure(own, task)) * temperature**2
