"""Whether validation rows can tell what was learned from a guess, and the guess itself, for a network that learned nothing.

It knows nothing about texts or how a network is trained.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifine.decide import Decision
from classifine.model.network import output_layer, shift_output

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
