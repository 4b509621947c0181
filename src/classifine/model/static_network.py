"""The torch network of `model.static`: what trains it, explains it, or asks for plain torch finds it as any other.

It knows nothing about words or files but how its weights are kept.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PretrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from classifine.model.static import read_static, write_static


class StaticNetwork(torch.nn.Module):
    """The mean of the vectors of a text's words, and one layer; `config` is a config.json of `static_config`.

    `input_ids` (rows, longest) are padded with 0, `attention_mask` is of no need then.
    """

    base_model_prefix = "embedding"  # all else is the head

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self._kept = config
        self.config: Any = PretrainedConfig(
            **{k: v for k, v in config.items() if k not in ("model_type", "num_labels")}
        )
        self.embedding = torch.nn.Embedding(config["vocab_size"], config["hidden_size"], padding_idx=0)
        self.linear = torch.nn.Linear(config["hidden_size"], config["num_labels"])
        torch.nn.init.zeros_(self.linear.bias)  # as the heads of transformers begin

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Logits (rows, labels) in float32; `labels` are for the Trainer to know of."""
        with torch.autocast(input_ids.device.type, enabled=False):
            return SequenceClassifierOutput(logits=self.linear(self._mean(input_ids)))

    def _mean(self, ids: Tensor) -> Tensor:
        if self.training:
            # Without a copy of every word's vector; where it is explained each needs one of its own.
            return torch.nn.functional.embedding_bag(ids, self.embedding.weight, mode="mean", padding_idx=0)
        count = (ids != 0).sum(dim=1, keepdim=True).clamp(min=1)
        vectors: Tensor = self.embedding(ids)
        return vectors.sum(dim=1) / count

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.embedding.weight.device

    @property
    def base_model(self) -> torch.nn.Module:
        """What is not the head."""
        return self.embedding

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """The number of its weights, by the names that transformers asks by."""
        weights = self.linear.parameters() if exclude_embeddings else self.parameters()
        return sum(weight.numel() for weight in weights if weight.requires_grad or not only_trainable)

    def get_input_embeddings(self) -> torch.nn.Module:
        """The vectors of the words."""
        return self.embedding

    def save_pretrained(self, place: str | Path) -> None:
        """Write it in sentence-transformers' layout."""
        arrays = {"embedding": self.embedding.weight, "weight": self.linear.weight, "bias": self.linear.bias}
        write_static(
            Path(place), self._kept, {name: array.detach().cpu().numpy().copy() for name, array in arrays.items()}
        )


def load_static(folder: Path) -> StaticNetwork:
    """The network of a saved folder, on the processor, where it is fastest."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network, arrays = StaticNetwork(config), read_static(folder)
    state = {"embedding.weight": arrays["embedding"], "linear.weight": arrays["weight"], "linear.bias": arrays["bias"]}
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return network.eval()
