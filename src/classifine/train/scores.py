"""Numbers of any size as targets: the head starts at their mean, and its last layer learns in units of their spread.

Without it a head that is drawn around 0 spends its epochs on the way to the mean, and numbers in the thousands are
never reached at the rates that suit a network. It knows nothing about texts or the Trainer.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from numpy.typing import NDArray

from classifine.model.network import output_layer


def start_at_mean(network: Any, targets: NDArray[Any]) -> float:
    """Let the last layer answer around the mean of `targets` (rows,); their standard deviation, 1 where it stays as it is.

    The layer is to learn that many times as fast: to the optimiser it is then as if the targets had a mean of 0 and a
    deviation of 1, while losses and weights stay in the units of the targets.
    """
    layer, deviation = output_layer(network), float(targets.std())
    if layer is None or layer.bias is None or not deviation:
        return 1.0
    with torch.no_grad():
        layer.weight *= deviation
        layer.bias.fill_(float(targets.mean()))
    return deviation


@contextlib.contextmanager
def exact_output(network: Any) -> Iterator[None]:
    """Keep the last layer in float32 under autocast while it is open: bfloat16 takes 2001 and 2003 for one number."""
    layer = output_layer(network)
    if layer is None:
        yield
        return
    plain = layer.forward

    def exact(states: Any) -> Any:
        with torch.autocast(states.device.type, enabled=False):
            return plain(states.float())

    layer.forward = exact
    try:
        yield
    finally:
        del layer.forward
