"""The loss of a network at masked tokens, computed there alone.

Scores over a vocabulary of tens of thousands of tokens cost a small encoder more than all its layers, and only one
token in seven is asked for. So the states of the masked places are picked before the head sees them. It knows nothing
about texts, or about how masks are drawn.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.infer.engine import Batch
from classifine.infer.forward import logits
from classifine.infer.torch_engine import BATCH_TOKENS, run_torch

NOT_ASKED = -100  # in the place of a target; what transformers' collators write


@contextlib.contextmanager
def asked_alone(network: Any) -> Iterator[None]:
    """While it is open, `network(labels=..., **inputs)` scores the places that have a label and no others.

    It then answers with `loss`, the mean over these places (0 where there are none), `sums` (rows, 2), for each row
    the sum of its losses and the number of its places, and `logits` (places, tokens). For networks whose head works on
    each state by itself.
    """
    import torch
    from torch.nn.functional import cross_entropy

    def ask(module: Any, args: Any, kwargs: Any) -> Any:
        # On the module that runs, so that each of several GPUs finds its own.
        module.base_model.asked = kwargs["labels"]
        return args, {name: value for name, value in kwargs.items() if name != "labels"}

    def pick(module: Any, args: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][module.asked != NOT_ASKED]
        return output

    def judge(module: Any, args: Any, output: Any) -> Any:
        labels = module.base_model.asked
        module.base_model.asked = None
        rows, places = (labels != NOT_ASKED).nonzero(as_tuple=True)
        losses = cross_entropy(output["logits"].float(), labels[rows, places], reduction="none")
        sums = torch.zeros(len(labels), 2, device=losses.device)
        sums.index_add_(0, rows, torch.stack([losses.detach(), torch.ones_like(losses)], dim=1))
        return {"loss": losses.sum() / max(len(losses), 1), "sums": sums, "logits": output["logits"]}

    handles = [
        network.register_forward_pre_hook(ask, with_kwargs=True),
        network.base_model.register_forward_hook(pick),
        network.register_forward_hook(judge),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        vars(network.base_model).pop("asked", None)


@dataclass(frozen=True)
class MaskedEngine:
    """A network inside `asked_alone`, or one that has such inside, with `width` sums of each row.

    Its batches have a column `targets` with each masked token's id + 1, else 0.

    Beyond what a text's tokens need, 0 is also what a batch is padded with.
    """

    network: Any
    precision: str = "float32"
    name: str = "masked"
    width: int = 2
    tokens: int = BATCH_TOKENS

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        """For each row of a batch its `sums`: first the sum of its losses and the number of its masked tokens."""
        targets = batch["targets"]
        inputs = {name: values for name, values in batch.items() if name != "targets"}
        inputs["labels"] = np.where(targets > 0, targets - 1, NOT_ASKED)
        return run_torch(self.network, inputs, self.precision, lambda answer, mask: answer["sums"])


def mean_loss(engine: MaskedEngine, columns: dict[str, list[list[int]]], pad_id: int) -> float:
    """The mean loss over all masked tokens of `columns`, in nats; NaN where there is none."""
    losses, places = logits(engine, columns, pad_id).astype(np.float64).sum(axis=0)
    return float(losses / places) if places else float("nan")
