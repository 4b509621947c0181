"""Dropout whose masks are drawn eight at a time, for training on a processor.

PyTorch draws a processor's dropout masks element by element in one thread, which is a large part of a training step. Here each
64-bit random number gives the masks of eight elements, so a probability is rounded to 1/256 (0.1 becomes 26/256).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class _Masked(torch.autograd.Function):
    """Multiply by a mask and a scale, forward and backward, keeping one byte an element in between."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, mask: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.scale = scale
        masked: Tensor = torch.ops.aten.native_dropout_backward(values, mask, scale)
        return masked

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (mask,) = ctx.saved_tensors
        return torch.ops.aten.native_dropout_backward(gradients[0], mask, ctx.scale), None, None


class ByteDropout(nn.Dropout):
    """`nn.Dropout` with masks drawn in bytes from torch's generator; the same in every other way."""

    def forward(self, input: Tensor) -> Tensor:
        """Zero elements of any shape with probability `p` and scale the rest, in training mode only."""
        threshold = round(self.p * 256)
        if not self.training or threshold == 0:
            return input
        if threshold >= 256:
            return super().forward(input)
        count = input.numel()
        words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
        mask = words.view(torch.uint8)[:count].view(input.shape) >= threshold
        result: Tensor = _Masked.apply(input, mask, 256 / (256 - threshold))  # type: ignore[no-untyped-call]  # torch does not annotate it
        return result


@contextlib.contextmanager
def fast_dropout(network: nn.Module) -> Iterator[None]:
    """Draw the masks of all of the network's dropout layers in bytes while the context is open."""
    layers = [layer for layer in network.modules() if type(layer) is nn.Dropout]
    for layer in layers:
        layer.__class__ = ByteDropout
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.Dropout
