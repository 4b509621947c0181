"""Networks out of a base: with a new head for the labels at hand, and what may be done to a head.

It knows nothing about saved classifiers, training or texts.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from typing import Any

from classifine.errors import ModelError
from classifine.labels import Labels, Task
from classifine.model.base import Base, Pooling
from classifine.model.hub import reason

# Without the second, transformers asks on standard output whether to run code that a folder brings along.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
# What transformers calls the tasks: its loss and the activation of its pipeline follow from it.
PROBLEM_TYPES: dict[Task, str] = {
    "single": "single_label_classification", "multi": "multi_label_classification", "score": "regression",
}  # fmt: skip
# What the families call the dropout on attention weights.
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without transformers' progress bars and load reports, which say nothing that our users can act on."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load_base(
    base: Base,
    labels: Labels,
    attention: str | None = None,
    attention_dropout: bool = True,
    pooling: Pooling | None = None,
) -> tuple[Any, Any]:
    """(network, tokenizer) of a base with a new head for `labels`, in float32.

    The head is drawn from torch's generator: seed it before. That of a base which answers the same labels, in the same
    order and by the same task, stays. With `pooling` the head stands on texts that are summed up so (`model.pooled`), and
    begins with nothing. `attention` names transformers' implementation, None leaves the choice to it. Raises ModelError
    where the folder holds no network that can classify.
    """
    from transformers import AutoConfig, AutoTokenizer

    with quiet_transformers(), loading(base.name):
        config = AutoConfig.from_pretrained(
            base.folder, num_labels=len(labels), id2label=labels.id2label, label2id=labels.label2id,
            problem_type=PROBLEM_TYPES[labels.task], **LOCAL,
        )  # fmt: skip
        kept = {name: getattr(config, name) for name in ATTENTION_DROPOUT if hasattr(config, name)}
        for name in kept if not attention_dropout else ():
            setattr(config, name, 0.0)
        tokenizer = AutoTokenizer.from_pretrained(base.folder, **LOCAL)
        own = AutoConfig.from_pretrained(base.folder, **LOCAL)
        network = (
            _pooled(base, config, attention, pooling)
            if pooling
            else _first_token(base, config, attention, _answers(own, labels))
        )
    # What is left out for speed belongs to this run, not to the network that others may train on: the layers have
    # read the setting by now, and config.json tells what the base said.
    for name, value in kept.items():
        setattr(network.config, name, value)
    return network, tokenizer


def _answers(config: Any, labels: Labels) -> bool:
    """Whether a network of this config answers these labels, in their order, by their task.

    One that does not name its task has what transformers takes it for: a number where there is one label.
    """
    usual = PROBLEM_TYPES["score" if len(config.id2label) == 1 else "single"]
    return config.id2label == labels.id2label and (config.problem_type or usual) == PROBLEM_TYPES[labels.task]


def _first_token(base: Base, config: Any, attention: str | None, alike: bool) -> Any:
    """The network as transformers has it, most often with a head on the first token; its last layer is as it came where
    what it answered is `alike`.
    """
    from transformers import AutoModelForSequenceClassification

    network, found = AutoModelForSequenceClassification.from_pretrained(
        base.folder, config=config, dtype="float32", attn_implementation=attention, **LOCAL,
        ignore_mismatched_sizes=True, output_loading_info=True,
    )  # fmt: skip
    # Of another number of labels the last layer is drawn anew; nothing of the encoder may be.
    prefix = f"{network.base_model_prefix}."
    wrong = [key[0] for key in found["mismatched_keys"] if key[0].startswith(prefix)]
    if wrong:
        raise ValueError(f"{min(wrong)} has another shape than config.json says.")
    _check_whole(found, prefix)
    if not alike:
        _forget_answers(network, {*found["missing_keys"], *(key[0] for key in found["mismatched_keys"])})
    return network


def _forget_answers(network: Any, drawn: Collection[str]) -> None:
    """Draw the last layer of the head anew, unless its weight is one of the names that were `drawn` already."""
    layer = output_layer(network)
    if layer is not None and not any(own is layer.weight for name, own in network.named_parameters() if name in drawn):
        draw_anew(network)


def _pooled(base: Base, config: Any, attention: str | None, pooling: Pooling) -> Any:
    """The network that sums up a text."""
    from transformers import AutoModel

    from classifine.model.pooled import PooledClassifier

    encoder, found = AutoModel.from_pretrained(
        base.folder, config=config, dtype="float32", attn_implementation=attention, **LOCAL, output_loading_info=True
    )
    _check_whole(found)
    return PooledClassifier(encoder, pooling)


def _check_whole(found: Any, prefix: str = "") -> None:
    """ValueError where weights of an encoder, whose names begin with `prefix`, are not in its file.

    transformers draws those from chance, with a warning at most. Many bases come without a pooler, which is the head's
    matter: see `in_head`.
    """
    own = [name for name in found["missing_keys"] if name.startswith(prefix)]
    if lacking := [name for name in own if not name.startswith(f"{prefix}pooler.")]:
        raise ValueError(f"its weights lack {min(lacking)}.")


def output_layer(network: Any) -> Any | None:
    """The last layer of the head: the last linear one outside the encoder with an output for each label."""
    import torch

    inner = f"{network.base_model_prefix}."
    layers = [
        layer for name, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear) and layer.out_features == network.config.num_labels
        and not name.startswith(inner)
    ]  # fmt: skip
    return layers[-1] if layers else None


def draw_anew(network: Any) -> None:
    """Draw the last layer of the head from torch's generator, as the network's family does; without one nothing changes."""
    layer = output_layer(network)
    if layer is None:
        return
    for weight in layer.parameters():
        vars(weight).pop("_is_hf_initialized", None)  # by which transformers leaves alone what was loaded
    network._init_weights(layer)


def in_head(network: Any, name: str) -> bool:
    """Whether a weight belongs to what stands between the encoder's last layer and the logits.

    That is all that is outside the pre-trained encoder, whose weights carry its prefix, and the pooler inside it:
    sentence encoders and RoBERTa's family never trained theirs, and what BERT trained it for is another task.
    """
    prefix = f"{network.base_model_prefix}."
    return not name.startswith(prefix) or name.startswith(f"{prefix}pooler.")


def fold_temperature(network: Any, temperature: float | tuple[float, ...], as_expected: Callable[[], bool]) -> bool:
    """Divide what the head gives by `temperature`, one for all labels or one for each; False where that cannot be done.

    `as_expected` tells whether the network's logits then are what they should be. If not, it is left as it was.
    """
    import torch

    layer = output_layer(network)
    if layer is None:
        return False
    weights = [weight for weight in (layer.weight, layer.bias) if weight is not None]
    before = [weight.detach().clone() for weight in weights]
    with torch.no_grad():
        for weight in weights:
            own = torch.as_tensor(temperature, dtype=weight.dtype, device=weight.device)
            weight /= own[:, None] if own.ndim and weight.ndim == 2 else own
        if as_expected():
            return True
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    return False


def output_bias(network: Any) -> Any:
    """The bias of the head's last layer, one number for each label; ModelError where it has none."""
    layer = output_layer(network)
    if layer is None or layer.bias is None:
        raise ModelError("The head of this base has no bias that could be shifted. Leave out --correct-prior.")
    return layer.bias


def shift_output(network: Any, shift: Any) -> None:
    """Add `shift` (labels,) to the logits, in the bias of the head; ModelError where it has none."""
    import torch

    bias = output_bias(network)
    with torch.no_grad():
        bias += torch.as_tensor(shift, dtype=bias.dtype, device=bias.device)


def load_encoder(base: Base) -> tuple[Any, Any]:
    """(network, tokenizer) of a base without a head, in float32, on the fastest device.

    Raises ModelError where the folder holds none.
    """
    from transformers import AutoModel, AutoTokenizer

    with quiet_transformers(), loading(base.name):
        tokenizer = AutoTokenizer.from_pretrained(base.folder, **LOCAL)
        network, found = AutoModel.from_pretrained(base.folder, dtype="float32", **LOCAL, output_loading_info=True)
        _check_whole(found)
    return network.eval().to(fastest_device()), tokenizer


def fastest_device() -> str:
    """The device that networks run on: a GPU where torch can use one, else the processor."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def loading(name: str, *more: type[Exception], role: str = "a text classifier") -> Iterator[None]:
    """Turn what transformers raises on a folder that it cannot load, or `more` kinds of errors, into one sentence."""
    from safetensors import SafetensorError

    kinds: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, RuntimeError, SafetensorError, *more)
    try:
        yield
    except kinds as error:
        said = reason(error).rstrip(".")
        raise ModelError(f"{name} did not load as {role}: {said}. Check the files of it, or name another.") from error
