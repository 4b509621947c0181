"""Where the last layer of a head begins: at the answer that suits all rows alike, before any of them was read.

A head that is drawn around 0 spends its epochs on the way there, and drags the encoder along. It knows nothing about
texts or the Trainer.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifine.errors import DataError
from classifine.model.network import draw_anew, output_layer
from classifine.train.probe import log_odds

LARGEST = 1e18  # of numbers that are learned: the squares of a batch of them are added up in float32
SEEN_UNSEEN = 0.1  # times that a token counts as seen which no text has


def start_at_mean(network: Any, targets: NDArray[Any]) -> float:
    """Let the last layer answer around the mean of `targets` (rows,); their standard deviation, 1 where it stays as it is.

    Numbers in the thousands are never reached from 0 at the rates that suit a network. The layer is to learn as many times
    as fast as the deviation says: to the optimiser it is then as if the targets had a mean of 0 and a deviation of 1,
    while losses and weights stay in the units of the targets. A head that comes with a bias answers in these units
    already and stays, unless that is beyond all targets: then it answered other numbers, and is drawn anew.

    Raises DataError where a target is so large that the loss of it has no room.
    """
    if (largest := float(np.abs(targets).max())) > LARGEST:
        raise DataError(
            f"A number to learn is {largest:.3g} away from 0; expected {LARGEST:.0e} at most, as losses are squares in float32. "
            "Divide all of them by one number."
        )
    layer, deviation = output_layer(network), float(targets.std())
    if layer is None or layer.bias is None or not deviation:
        return 1.0
    with torch.no_grad():
        if layer.bias.any():
            if targets.min() <= layer.bias.item() <= targets.max():
                return deviation
            draw_anew(network)
        layer.weight *= deviation
        layer.bias.fill_(float(targets.mean()))
    return deviation


@torch.no_grad()
def start_at_odds(
    network: Any, shares: NDArray[Any], rows: int, weights: Sequence[float] = (), temperature: float = 1.0
) -> None:
    """Let the head answer with the odds of each of several labels, by the `shares` (labels,) of `rows` rows that have it.

    Where a label's rows have `weights` (labels,), as much as they weigh; where the shares are a teacher's at a
    `temperature`, as its logits would be at 1. A head that comes with a bias knows better, and stays.

    Of 103 topics of which a text has one or two, drawn around 0 each is answered with a half, and that none is the case
    is all that an encoder learns for long: after two epochs of 2,700 rows of Reuters micro-F1 on rows cut from train was
    0.04, from here on 0.85.
    """
    layer = output_layer(network)
    if layer is None or layer.bias is None or layer.bias.any():
        return
    odds = log_odds(shares * rows, rows) + (np.log(weights) if len(weights) else 0)
    layer.bias.copy_(torch.from_numpy(np.asarray(odds * temperature)))


def start_at_shares(network: Any, rows: list[list[int]], special: list[int]) -> None:
    """Let a new head guess each token as often as the texts have it, rather than all alike.

    Its bias would take thousands of steps to learn so much by itself. Where the head has none it stays as it is.
    """
    size = network.config.vocab_size
    biases = [weight for weight in network.parameters() if weight.shape == (size,)]
    tokens = np.fromiter(chain.from_iterable(rows), np.int64)
    counts = torch.bincount(torch.from_numpy(tokens), minlength=size).float()
    counts[torch.tensor(special)] = 0
    with torch.no_grad():
        for bias in biases:
            bias.copy_(torch.log((counts + SEEN_UNSEEN) / (counts + SEEN_UNSEEN).sum()))
