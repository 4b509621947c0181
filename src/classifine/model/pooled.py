"""A network that sums up a text in one vector of length 1 and puts a linear head on it, in sentence-transformers' layout.

Transformers has no classifier of that kind: its heads read the first token. What is saved is a SentenceTransformer of
four modules (encoder, pooling, normalisation, a linear layer), whose `encode(texts)` gives the logits; safetensors and
JSON only. This file knows nothing about texts, and nothing about how such a network is trained.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils import ModelOutput

from classifine.errors import ModelError
from classifine.model.base import Pooling, pooling_of
from classifine.model.layers import HEAD_WEIGHTS, MODULES, POOLED, POOLED_HEAD, POOLING, write_layers, write_plain

_SHORTEST = 1e-9  # as sentence-transformers has it


@dataclass
class PooledOutput(ModelOutput):
    """Logits (rows, labels) and the `features` (rows, width) of length 1 that they come from; with labels also their loss."""

    loss: Tensor | None = None
    logits: Tensor | None = None
    features: Tensor | None = None


class PooledClassifier(nn.Module):
    """Encoder, pooling, normalisation and a linear head that starts at nothing; it speaks as transformers' networks do."""

    base_model_prefix = "encoder"

    def __init__(self, encoder: Any, pooling: Pooling) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling: Pooling = pooling
        self.classifier = nn.Linear(encoder.config.hidden_size, encoder.config.num_labels)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    @property
    def config(self) -> Any:
        """The encoder's, with the labels."""
        return self.encoder.config

    @property
    def base_model(self) -> Any:
        """The encoder."""
        return self.encoder

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.classifier.weight.device

    def num_parameters(self, exclude_embeddings: bool = False) -> int:
        """How many weights it has, also but for those of the tokens, as the Trainer asks."""
        words = self.get_input_embeddings().weight.numel() if exclude_embeddings else 0
        return sum(weight.numel() for weight in self.parameters()) - int(words)

    def get_input_embeddings(self) -> Any:
        """The encoder's layer of token embeddings."""
        return self.encoder.get_input_embeddings()

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
    ) -> PooledOutput:
        """Answer token ids (rows, longest); `labels` are class ids (rows,), or 0 and 1 for each label (rows, labels)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        more = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        states = self.encoder(input_ids=input_ids, attention_mask=mask, **more).last_hidden_state
        features = functional.normalize(pooled(states, mask, self.pooling), dim=-1)
        logits = self.classifier(features)
        if labels is None:
            return PooledOutput(logits=logits, features=features)
        several = self.config.problem_type == "multi_label_classification"
        loss = functional.binary_cross_entropy_with_logits if several else functional.cross_entropy
        return PooledOutput(loss(logits.float(), labels), logits, features)

    def save_pretrained(self, folder: Path) -> None:
        """Write it to a folder: the encoder as transformers does, and the other modules beside it."""
        self.encoder.save_pretrained(folder)
        weight, bias = (own.detach().cpu().numpy().copy() for own in (self.classifier.weight, self.classifier.bias))
        write_layers(folder, POOLED, weight, bias)
        modes = {"mean_tokens": self.pooling == "mean", "cls_token": self.pooling == "cls", "max_tokens": False}
        pooling = {
            "word_embedding_dimension": self.classifier.in_features,
            **{f"pooling_mode_{name}": on for name, on in modes.items()},
        }
        write_plain(folder / POOLING / "config.json", pooling)


def pooled(states: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Vectors (rows, width) in float32 that sum up the states (rows, longest, width) of the tokens that `mask` leaves."""
    if pooling == "cls":
        return states[:, 0].float()
    own = mask.unsqueeze(-1).float()
    return (states.float() * own).sum(1) / own.sum(1).clamp(min=_SHORTEST)


def load_pooled(folder: Path, **how: Any) -> PooledClassifier:
    """The network of a folder of this kind, in float32; `how` goes to transformers.

    Raises ModelError where modules or weights are missing, or others than ours.
    """
    from safetensors.torch import load_file
    from transformers import AutoModel

    kinds = json.loads((folder / MODULES).read_text(encoding="utf-8"))
    if [(one["path"], one["type"].rpartition(".")[2]) for one in kinds] != list(POOLED):
        raise ModelError(f"{folder / MODULES} names other modules than those of a classifier. Train it again.")
    pooling = pooling_of(folder)
    if pooling is None:
        raise ModelError(f"{folder / POOLING} sums up texts in another way than ours. Train it again.")
    encoder, found = AutoModel.from_pretrained(
        folder, dtype="float32", use_safetensors=True, output_loading_info=True, **how
    )
    if found["missing_keys"]:
        # transformers would draw them at random and go on.
        raise ModelError(f"{folder} is damaged: its weights lack {min(found['missing_keys'])}. Train it again.")
    network = PooledClassifier(encoder, pooling)
    weights = load_file(folder / POOLED_HEAD / HEAD_WEIGHTS)
    network.classifier.load_state_dict({name.removeprefix("linear."): weight for name, weight in weights.items()})
    return network
