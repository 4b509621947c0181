"""A classifier whose last layer answers for the first token alone, where its head reads no other.

The heads of BERT's family look at the state of the first token; the last layer's states of all others would be computed
and thrown away, but for the keys and values made of what went in. It knows nothing about training or engines.
"""

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

from torch import Tensor

# Families, by transformers' name, whose layers are alike in their attention and whose heads read the first token.
FAMILIES = ("bert", "camembert", "electra", "roberta", "xlm-roberta")


@contextlib.contextmanager
def first_token_alone(network: Any) -> Iterator[None]:
    """Let the encoder give the first token's state alone (rows, 1, width) while the context is open.

    The logits stay as they are, up to rounding. A network of another kind is left as it is.
    """
    attention = _last_attention(network)
    kind: Any = type(attention)
    own = _asking_first(kind)
    if attention is None or own is None:
        yield
        return
    attention.__class__ = own
    try:
        yield
    finally:
        attention.__class__ = kind


def _last_attention(network: Any) -> Any | None:
    """The attention of the last layer, where the head reads the first token; else None."""
    config = getattr(network, "config", None)
    if getattr(config, "model_type", None) not in FAMILIES or getattr(config, "is_decoder", False):
        return None
    if not type(network).__name__.endswith("ForSequenceClassification"):
        return None
    return network.base_model.encoder.layer[-1].attention


@functools.cache
def _asking_first(kind: Any) -> type[Any] | None:
    """A kind of attention module that asks for the first token alone; None where it does already, or cannot."""
    # Queries from elsewhere than keys and values is what transformers calls cross attention; its weights have the same
    # names, so that it works on those of self attention.
    name = f"{kind.__name__.removesuffix('Attention')}CrossAttention"
    across = getattr(sys.modules[kind.__module__], name, None)
    if across is None or hasattr(kind, "first_token_alone"):
        return None

    def forward(
        self: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Any]:
        # Flash attention's masks have two dimensions, and it takes a single query for a text that is being written.
        if attention_mask is not None and attention_mask.ndim != 4:
            whole: tuple[Tensor, Any] = kind.forward(self, hidden_states, attention_mask, *args, **kwargs)
            return whole
        first = hidden_states[:, :1]
        mask = None if attention_mask is None else attention_mask[:, :, :1]
        state, weights = across.forward(self.self, first, encoder_hidden_states=hidden_states, attention_mask=mask)
        return self.output(state, first), weights

    return type(kind.__name__, (kind,), {"forward": forward, "first_token_alone": True})
