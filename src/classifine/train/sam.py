"""Sharpness-aware minimisation: step by the gradient at the worst point nearby instead of the gradient here.

Plain: Foret et al. 2021, "Sharpness-Aware Minimization for Efficiently Improving Generalization". Adaptive: Kwon et
al. 2021, "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks". Ascent
on a part of the rows: Bahri, Mobahi and Tay 2022, "Sharpness-Aware Minimization Improves Language Model
Generalization". It knows nothing about Trainers and batches of texts.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

# Kwon et al. add it to the size of a weight, so that one near nothing can move, too.
ETA = 0.01


@dataclass(frozen=True)
class Sharpness:
    """How far to climb: `rho` is the length of the way, `share` the part of the rows that show the direction."""

    rho: float
    adaptive: bool = False
    share: float = 1.0

    @torch.no_grad()
    def climb(self, network: nn.Module) -> list[tuple[Tensor, Tensor]]:
        """Move the weights to the worst point nearby, by the gradients that they hold, and clear those.

        Returns each weight with its value before, for `descend`. Where the gradient is nothing, or no number, the
        weights stay: the step is then the ordinary one.
        """
        moved = [(name, weight) for name, weight in network.named_parameters() if weight.grad is not None]
        scales = {name: self._scale(name, weight) for name, weight in moved}
        # In one type, as a network may have weights of several.
        parts = [(scales[name] * weight.grad).float().norm() for name, weight in moved]
        length = torch.stack(parts).norm() if parts else torch.zeros(())
        before: list[tuple[Tensor, Tensor]] = [(weight, weight.detach().clone()) for _, weight in moved]
        if torch.isfinite(length) and length > 0:
            for name, weight in moved:
                weight.add_(scales[name] ** 2 * weight.grad * (self.rho / length).to(weight.dtype))
        for _, weight in moved:
            weight.grad = None
        return before

    def _scale(self, name: str, weight: Tensor) -> Any:
        return weight.abs() + ETA if self.adaptive and name.endswith("weight") else 1.0

    def part(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The rows of a batch that show the direction: evenly spread, as batches can be sorted by length."""
        rows = next(len(values) for values in inputs.values() if isinstance(values, Tensor))
        kept = torch.linspace(0, rows - 1, max(1, math.ceil(self.share * rows))).round().long()
        if len(kept) == rows:
            return dict(inputs)
        return {
            name: values[kept.to(values.device)] if isinstance(values, Tensor) else values
            for name, values in inputs.items()
        }


@torch.no_grad()
def descend(before: list[tuple[Tensor, Tensor]]) -> None:
    """Put the weights back to the last bit; the gradients, of the worst point, stay."""
    for weight, value in before:
        weight.copy_(value)
