"""Numbers as targets: the last layer of the head answers them in float32. It knows nothing about texts or the Trainer."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from classifine.model.network import output_layer


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
