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

TEMPERATURE = 2.0  # unless another is asked for


def softened(answers: NDArray[np.float32], task: Task, temperature: float) -> NDArray[np.float32]:
    """What is to be learned of logits (rows, labels): shares (rows, labels) at a temperature, or numbers (rows,)."""
    scores = Decision(task, temperature).scores(answers).astype(np.float32)
    return scores[:, 0] if task == "score" else scores


def soft_loss(task: Task, temperature: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of logits (rows, labels) against the teacher's shares at this temperature, or its numbers (rows,).

    Times the temperature's square, so that gradients are as large at any (section 2 of the paper).
    """

    def loss(found: Tensor, targets: Tensor) -> Tensor:
        if task == "score":
            return torch.nn.functional.mse_loss(found[:, 0].float(), targets)
        soft = found.float() / temperature
        of = torch.nn.functional.cross_entropy if task == "single" else _binary
        return of(soft, targets) * temperature**2

    return loss


def _binary(found: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(found, targets)


def constant_loss(targets: NDArray[Any], task: Task, temperature: float) -> float:
    """The loss of the best answer that is the same for all rows: the mean of the targets."""
    if task == "score":
        return constant_guess(targets)
    if task == "multi":
        return constant_guess(targets) * temperature**2
    mean = np.clip(targets.mean(axis=0, dtype=np.float64), 1e-12, 1)
    return float(-(mean * np.log(mean)).sum()) * temperature**2
