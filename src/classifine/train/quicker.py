"""A network as it trains faster on its device; the weights and what they mean are the same."""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from classifine.model.first_token import first_token_alone
from classifine.train.documents import one_loss_a_document
from classifine.train.dropout import fast_dropout
from classifine.train.recipe import Recipe
from classifine.train.scores import exact_output


@contextlib.contextmanager
def narrow_stream(network: Any) -> Iterator[None]:
    """Under bfloat16 on a processor, hand the encoder's layers bfloat16 from the embeddings on, while it is open.

    Layer norms and sums pass on the type that they are given. Left in float32, that stream is cast again by each
    matrix product of each layer, which costs time and memory for digits that the product drops anyway.
    """
    embeddings = getattr(network.base_model, "embeddings", None)
    if not isinstance(embeddings, torch.nn.Module):
        yield
        return

    def cast(module: Any, inputs: Any, output: Any) -> Any:
        narrow = torch.is_autocast_enabled("cpu") and isinstance(output, Tensor)
        return output.to(torch.get_autocast_dtype("cpu")) if narrow else output

    handle = embeddings.register_forward_hook(cast)
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def quicker(network: Any, recipe: Recipe) -> Iterator[None]:
    """The network as it trains faster on the recipe's device, while the context is open."""
    with contextlib.ExitStack() as opened:
        opened.enter_context(first_token_alone(network))
        if recipe.device == "cpu":
            opened.enter_context(fast_dropout(network))
            opened.enter_context(narrow_stream(network))
        if recipe.task == "score":
            opened.enter_context(exact_output(network))
        if recipe.long == "windows":
            opened.enter_context(one_loss_a_document(network))
        yield
