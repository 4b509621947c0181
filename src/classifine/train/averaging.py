"""The running mean of a network's weights along the way of its training, which is judged and kept in their place.

It knows nothing about data, losses or how an epoch is judged.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

# The mean forgets so that what counts is about the last ninth of the way: polynomial-decay averaging with eta = 8
# (Shamir & Zhang 2013, arXiv 1212.1824). Unlike a fixed number of steps that suits few rows as well as many.
ETA = 8.0
# Optimiser steps between two looks at the weights: each reads and writes all of them.
EVERY = 5


class Average(TrainerCallback):
    """Follows the trained weights of a network; `standing_in` puts their mean in their place."""

    def __init__(self) -> None:
        self._weights: list[Any] = []
        self._mean: list[Tensor] = []
        self._looks = 0
        self._seen = -1

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Look at the weights every so many steps."""
        if state.global_step % EVERY == 0:
            self.look(model, state.global_step)

    @torch.no_grad()
    def look(self, network: Any, step: int) -> None:
        """Take the weights as they stand after `step` into the mean, once."""
        if step == self._seen:
            return
        self._seen = step
        self._looks += 1
        if not self._mean:
            self._weights = [weight for weight in network.parameters() if weight.requires_grad]
            self._mean = [weight.detach().clone() for weight in self._weights]
            return
        share = min(1.0, (ETA + 1) / (self._looks + ETA))
        torch._foreach_lerp_(self._mean, [weight.detach() for weight in self._weights], share)

    @contextlib.contextmanager
    def standing_in(self, network: Any, step: int) -> Iterator[None]:
        """The mean in the place of the weights, what stands after `step` included, while the context is open."""
        self.look(network, step)
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for weight, mean in zip(self._weights, self._mean, strict=True):
            weight.data, mean.data = mean.data, weight.data
