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
    kind = type(layer)

    def exact(self: Any, states: Any) -> Any:
        with torch.autocast(states.device.type, enabled=False):
            return kind.forward(self, states.float())

    # Not the layer's own attribute: copies of it on other GPUs would answer with the weights of this one.
    layer.__class__ = type(kind.__name__, (kind,), {"forward": exact})
    try:
        yield
    finally:
        layer.__class__ = kind
