"""Whether validation rows can tell what was learned from a guess, and the guess itself, for a network that learned nothing.

It knows nothing about texts or steps.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifine.config import Train
from classifine.decide import Decision
from classifine.model.network import output_layer, shift_output
from classifine.say import Say
from classifine.train.lesson import targets_of
from classifine.train.recipe import Recipe
from classifine.train.wishes import LOSS, changed

ROWS = 50  # on fewer it cannot be told
# Scores whose loss is above such a share of the guess's know no more than it does.
NO_BETTER = 0.99
NEVER_SEEN = 1e-6  # the share of a label without rows


def shares_of(targets: NDArray[Any], labels: int) -> NDArray[np.float64]:
    """The share (labels,) that each of so many classes has in targets (rows,)."""
    return np.maximum(np.bincount(targets, minlength=labels) / max(len(targets), 1), NEVER_SEEN)


def always(truth: NDArray[Any], shares: NDArray[np.float64]) -> float:
    """The accuracy of the most frequent class as the answer to every row."""
    return float((truth == Decision("single").choose(shares[None])).mean())


def is_unlearned(reached: Mapping[str, float], nll: float, truth: NDArray[Any], shares: NDArray[np.float64]) -> bool:
    """Whether a classifier knows no more of validation rows, `truth` (rows,) class ids, than the `shares` of train tell.

    Both must hold: its calibrated scores, whose loss is `nll`, are no better than the shares as scores of every row; and
    the accuracy it `reached` is not beyond that of the most frequent class by more than a standard error. Few rows, or
    a network that is too sure of itself, can make one of them hold where something was learned.
    """
    if len(truth) < ROWS:
        return False
    guess = float(-np.log(shares)[truth].mean())
    share = always(truth, shares)
    error = np.sqrt(share * (1 - share) / len(truth))
    return bool(nll > NO_BETTER * guess and reached["accuracy"] <= share + error)


@torch.no_grad()
def guess_alike(network: Any, shares: NDArray[np.float64]) -> bool:
    """Let a network give every text the same scores, the `shares` (labels,); False where its head cannot, and stays."""
    layer = output_layer(network)
    if layer is None or layer.bias is None:
        return False
    layer.weight.zero_()
    layer.bias.zero_()
    shift_output(network, np.log(shares))
    return True


def in_our_way(wishes: Train, recipe: Recipe) -> bool:
    """Whether a network was fine-tuned to one label a text as we see fit: who wishes for more gets what that leads to."""
    as_chosen = not changed(wishes, ("epochs", "learning_rate", *LOSS))
    return as_chosen and recipe.method == "finetune" and recipe.task == "single"


def settled(
    network: Any, rows: Any, validation: Any, reached: Mapping[str, float], told: Mapping[str, Any], say: Say
) -> str:
    """An alarm, said, where the network learned nothing, which then gives every text the guess that is right most often."""
    shares, truth = shares_of(targets_of(rows), network.config.num_labels), targets_of(validation)
    unlearned = is_unlearned(reached, told["calibration"]["after"]["nll"], truth, shares)
    if not (unlearned and guess_alike(network, shares)):
        return ""
    alarm = (
        f"Nothing was learned that holds for validation rows (accuracy {reached['accuracy']:.3f}; the most frequent label "
        f"for all {always(truth, shares):.3f}), so every text gets that label, with its share as score. Check "
        "the labels, give more rows, or name --epochs or --learning-rate to get the network as it was trained."
    )
    say(f"ALARM {alarm}")
    return alarm
