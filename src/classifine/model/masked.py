"""A base model with the head that guesses masked tokens: loaded, given one where it has none, and written as a base.

What is written is an ordinary transformers checkpoint that `train --base` takes, with a record of ours beside it. This
file knows nothing about training or texts.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine.errors import ModelError
from classifine.model.base import ADAPTED, Base
from classifine.model.disk import write_json
from classifine.model.network import ATTENTION_DROPOUT, LOCAL, loading, quiet_transformers

ROLE = "a model that guesses masked tokens"
ANOTHER = "Choose another --base, such as FacebookAI/roberta-base."


@dataclass(frozen=True)
class Masked:
    """A network with such a head, and its tokenizer; `new_head` where it was drawn, as the base came without."""

    network: Any
    tokenizer: Any
    new_head: bool


def load_masked(
    base: Base, attention: str | None = None, attention_dropout: bool = True, layers: int | None = None
) -> Masked:
    """A base with the head that guesses masked tokens, in float32; with its first `layers` alone, if that is given.

    A head that the base lacks is drawn from torch's generator: seed it before; its last layer is that of the input
    embeddings. `attention` names transformers' implementation, None leaves the choice to it. Raises ModelError where
    the folder holds no network that can have such a head.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoConfig, AutoTokenizer

    with quiet_transformers(), loading(base.name, role=ROLE):
        tokenizer = AutoTokenizer.from_pretrained(base.folder, **LOCAL)
        config = AutoConfig.from_pretrained(base.folder, **LOCAL)
        if type(config) not in MODEL_FOR_MASKED_LM_MAPPING or config.is_encoder_decoder:
            raise ModelError(f"{base.name} is of the family {config.model_type}, which guesses no masks. {ANOTHER}")
        if tokenizer.mask_token_id is None:
            raise ModelError(f"{base.name} has no token for a mask. {ANOTHER}")
        kept = {name: getattr(config, name) for name in ATTENTION_DROPOUT if hasattr(config, name)}
        for name in kept if not attention_dropout else ():
            setattr(config, name, 0.0)
        if layers is not None:
            _cut(config, layers, base.name)
        network, missing = _load(base, config, attention)
        # A new last layer that is not tied would be noise. (The oldest transformers' CamemBERT lacks the setting.)
        if missing and not getattr(config, "tie_word_embeddings", False):
            config.tie_word_embeddings = True
            network, missing = _load(base, config, attention)
        inside = [name for name in missing if name.startswith(f"{network.base_model_prefix}.")]
        if inside:
            # transformers would draw them at random and go on.
            raise ValueError(f"its weights lack {min(inside)}.")
    # As in `load_base`: what is left out for speed belongs to this run.
    for name, value in kept.items():
        setattr(network.config, name, value)
    return Masked(network, tokenizer, bool(missing))


def _cut(config: Any, layers: int, name: str) -> None:
    """Let a network of `config` have so many layers; ModelError where its family does not have them in a row."""
    before = config.num_hidden_layers
    try:
        config.num_hidden_layers = layers
    except NotImplementedError:
        raise ModelError(
            f"{name} is of the family {config.model_type}, which cannot have fewer layers. Leave out --objective "
            "replaced, or choose another --base."
        ) from None
    # Some families have settings for each layer.
    for key, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == before:
            setattr(config, key, value[:layers])


def _load(base: Base, config: Any, attention: str | None) -> tuple[Any, set[str]]:
    from transformers import AutoModelForMaskedLM

    network, found = AutoModelForMaskedLM.from_pretrained(
        base.folder, config=config, dtype="float32", attn_implementation=attention, **LOCAL, output_loading_info=True
    )
    return network, set(found["missing_keys"])


def save_adapted(place: Path, network: Any, tokenizer: Any, base: Base, record: dict[str, Any]) -> None:
    """Write network, tokenizer and record into `place`; what `base` has and this network does not use comes along."""
    with quiet_transformers():
        network.save_pretrained(place, state_dict={**network.state_dict(), **_unused(network, base)})
        tokenizer.save_pretrained(place)
    write_json(place / ADAPTED, record)


def _unused(network: Any, base: Base) -> dict[str, Any]:
    """Weights of the base's encoder that an adapted network leaves out, as its pooler, by their names in a checkpoint.

    Classifiers of BERT's family read them: without, `train` would begin with others than the base's.
    """
    from transformers import AutoModel

    with quiet_transformers(), loading(base.name, role=ROLE):
        encoder, found = AutoModel.from_pretrained(base.folder, dtype="float32", **LOCAL, output_loading_info=True)
    here = network.base_model.state_dict()
    prefix = "" if network.base_model is network else f"{network.base_model_prefix}."
    return {
        f"{prefix}{name}": weight for name, weight in encoder.state_dict().items()
        if name not in here and name not in found["missing_keys"]
    }  # fmt: skip
