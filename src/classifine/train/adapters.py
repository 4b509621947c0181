"""Adapters: pairs of small matrices beside the linear layers of a frozen encoder, trained instead of it, through peft.

LoRA: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models"; all linear layers get them, as Dettmers et al.
2023 ("QLoRA") found to be needed to come up to full fine-tuning. DoRA, which learns the length of each row of weights apart
from its direction: Liu et al. 2024, "DoRA: Weight-Decomposed Low-Rank Adaptation". rsLoRA, which divides by the root of the rank:
Kalajdzievski 2023, "A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA".

In the end they are merged, so what is saved is a network as full fine-tuning leaves it. This file knows nothing about
texts, the Trainer or folders.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from classifine.errors import ConfigError
from classifine.model.network import in_head


@dataclass(frozen=True)
class Adapters:
    """What is put beside each linear layer: matrices of `rank`, which add `alpha` / rank times their product to the weights."""

    kind: Literal["lora", "dora", "rslora"]
    rank: int
    alpha: float
    dropout: float

    @contextlib.contextmanager
    def on(self, network: Any) -> Iterator[Callable[[], Any]]:
        """Let only adapters and head of `network` learn while the context is open, then merge them into its layers.

        Gives a function that makes a copy of the network as it would be if that were the end, for saving. The head is
        all that is new: it is trained itself. ConfigError where the encoder has no linear layers.
        """
        from peft import LoraConfig, LoraModel

        learning = [weight for weight in network.parameters() if weight.requires_grad]
        config = LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=_layers(network),
            use_dora=self.kind == "dora", use_rslora=self.kind == "rslora",
        )  # fmt: skip
        # In place: to the Trainer, and to all that goes by names of weights, the network stays what it is.
        tuner = LoraModel(network, config, "default")
        for name, weight in network.named_parameters():
            if in_head(network, name):
                weight.requires_grad_(True)
        if self.kind != "dora":
            _leave_inputs(network)
        try:
            yield lambda: _merged(copy.deepcopy(tuner))
        finally:
            _merged(tuner)
            for weight in learning:
                weight.requires_grad_(True)


@torch.no_grad()
def _merged(tuner: Any) -> Any:
    """The network of a tuner without it, its adapters merged."""
    network = tuner.merge_and_unload()
    vars(network).pop("peft_config", None)
    return network


def _layers(network: Any) -> list[str]:
    """The full names of the encoder's linear layers."""
    found = [
        name for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and not in_head(network, f"{name}.")
    ]  # fmt: skip
    if not found:
        raise ConfigError(
            f"--adapter needs linear layers, and {type(network).__name__} has none in its encoder. "
            "Leave it out, or choose another --base."
        )
    return found


def _leave_inputs(network: Any) -> None:
    """Keep peft from casting what adapters read to their float32: autocast would cast it back, at the cost of both.

    DoRA needs it: it takes norms of weights in the type of what it reads.
    """
    for layer in network.modules():
        if hasattr(layer, "cast_input_dtype_enabled"):
            layer.cast_input_dtype_enabled = False


def trained_weights(network: Any) -> int:
    """How many weights of a network training can change."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
