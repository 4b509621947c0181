"""Engines that run a network of torch, on the device where it is: a classifier's, and an encoder's without a head."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.infer.engine import Batch
from classifine.model.base import Pooling

# Rows x longest row of a batch: on a processor what its caches like, on a GPU enough to keep it busy.
BATCH_TOKENS, GPU_BATCH_TOKENS = 4096, 65536


@dataclass(frozen=True)
class TorchEngine:
    """The network itself, on the device where it is; its train mode is left as it was.

    `precision` is "float32" (the same scores as plain transformers) or "bf16" (faster, scores equal to about 1e-2).
    """

    network: Any
    precision: str = "float32"

    @property
    def name(self) -> str:
        """The engine and its number format."""
        return f"torch {self.precision}"

    @property
    def width(self) -> int:
        """The number of labels."""
        return int(self.network.config.num_labels)

    @property
    def tokens(self) -> int:
        """The size of batch that suits the device."""
        return _suited(self.network)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The logits of a batch."""
        return run_torch(self.network, batch, self.precision, lambda answer, mask: answer.logits.float())


@dataclass(frozen=True)
class EncoderEngine:
    """A pre-trained encoder without a head: a text's last states summed up, by their mean unless `pooling` says
    otherwise, as the default base was trained to (Reimers and Gurevych 2019, "Sentence-BERT").
    """

    network: Any
    precision: str = "float32"
    pooling: Pooling = "mean"

    @property
    def name(self) -> str:
        """The engine and its number format."""
        return f"encoder {self.precision}"

    @property
    def width(self) -> int:
        """The size of a state."""
        return int(self.network.config.hidden_size)

    @property
    def tokens(self) -> int:
        """The size of batch that suits the device."""
        return _suited(self.network)

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """The vectors (rows, width) of a batch."""
        from classifine.model.pooled import pooled

        def summed(answer: Any, mask: Any) -> Any:
            return pooled(answer.last_hidden_state, mask, self.pooling)

        return run_torch(self.network, batch, self.precision, summed)


def _suited(network: Any) -> int:
    return BATCH_TOKENS if network.device.type == "cpu" else GPU_BATCH_TOKENS


def run_torch(network: Any, batch: Batch, precision: str, taken: Callable[[Any, Any], Any]) -> NDArray[np.float32]:
    """What is `taken` of a torch network's answer to a batch, and its mask; the train mode is left as it was.

    A batch that the device's memory does not hold is answered in halves.
    """
    import torch

    from classifine.model.first_token import first_token_alone

    device, training = network.device, network.training
    network.eval()
    try:
        narrow = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        with torch.inference_mode(), narrow, first_token_alone(network):
            inputs = {name: torch.from_numpy(array).to(device) for name, array in batch.items()}
            found: NDArray[np.float32] = taken(network(**inputs), inputs["attention_mask"]).cpu().numpy()
            return found
    except torch.OutOfMemoryError:
        rows = len(batch["input_ids"])
        if rows == 1:
            raise
    finally:
        network.train(training)
    # Outside, so that nothing of the failed answer is held any more.
    halves = (
        {name: array[part] for name, array in batch.items()} for part in (slice(rows // 2), slice(rows // 2, None))
    )
    return np.concatenate([run_torch(network, half, precision, taken) for half in halves])
