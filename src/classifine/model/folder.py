"""Networks in and out of folders: the base with a new head, and the saved classifier with its record.

A saved folder is an ordinary transformers checkpoint, or one of sentence-transformers (`model.pooled`), with files of
ours beside it: safetensors and JSON only. It is written under another name and moved into place, so a folder of that name is whole or absent. This file knows
nothing about training or texts.
"""

import contextlib
import errno
import functools
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from classifine.config import LongTexts
from classifine.decide import Decision
from classifine.doubt import Doubt
from classifine.errors import ConfigError, ModelError, OutputError
from classifine.labels import Labels, Task
from classifine.model.base import Base, Pooling, is_network
from classifine.model.hub import located, reason
from classifine.model.layers import MODULES
from classifine.model.static import is_static
from classifine.model.words import described, plain
from classifine.windows import STRIDE, TRUNCATE, Long

RECORD = "classifine.json"
REPORT = "data_report.json"  # what was found in the rows; it quotes them, so it is never published
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # a disk that is full or read-only
# What prediction reads from the record.
NEEDED = {"task": str, "labels": list, "label_kind": str, "max_length": int, "decision": dict, "columns": dict}
COLUMNS = ("text", "pair", "label", "indicators", "separator")
# Of the record; a folder written by a newer one is refused, not misread. What an older one would read as it should still
# gets the first; the second says what is read of long texts.
FORMAT, FIRST_FORMAT = 2, 1
# Without the second, transformers asks on standard output whether to run code that a folder brings along.
LOCAL = {"local_files_only": True, "trust_remote_code": False}
# What transformers calls the tasks: its loss and the activation of its pipeline follow from it.
PROBLEM_TYPES: dict[Task, str] = {
    "single": "single_label_classification", "multi": "multi_label_classification", "score": "regression",
}  # fmt: skip
# What the families call the dropout on attention weights.
ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")


@dataclass(frozen=True)
class Saved:
    """A classifier ready to predict: loaded from its folder, or just fitted and not yet in one."""

    folder: Path | None
    load_network: Callable[[], Any]
    load_tokenizer: Callable[[], Any]
    labels: Labels
    record: dict[str, Any]
    words: Any = None

    @property
    def network(self) -> Any:
        """The torch network, loaded when it is first asked for: what was exported runs without it."""
        return self.load_network()

    @property
    def tokenizer(self) -> Any:
        """The transformers tokenizer, loaded when it is first asked for."""
        return self.load_tokenizer()

    @property
    def reader(self) -> Any:
        """What makes token ids of texts: the plain tokenizer where it is known to do as that of transformers."""
        return self.words or self.tokenizer

    @property
    def decision(self) -> Decision:
        """How its logits become answers, as it was fitted."""
        return Decision.from_json(self.labels.task, self.record["decision"])

    @property
    def doubt(self) -> Doubt:
        """When it should not answer; ConfigError where its record does not tell."""
        if not self.record.get("doubt"):
            raise ConfigError(
                f"{self.folder or 'This classifier'} keeps nothing about doubt: it gives numbers, was taught "
                "without true labels, or an older version trained it. Drop --accuracy, --abstain, --coverage and --unlike, or train it again."
            )
        return Doubt.from_json(self.record["doubt"])

    @property
    def max_length(self) -> int:
        """Tokens that are read at once, in training and since."""
        return int(self.record["max_length"])

    @property
    def long(self) -> Long:
        """What is read of texts with more tokens than that, in training and since."""
        return long_of(self.record)


def long_of(record: Mapping[str, Any]) -> Long:
    """What a record says of long texts; ValueError where it is damaged."""
    if record.get("long", "truncate") not in get_args(LongTexts):
        raise ValueError(f"'long' is {record['long']!r}")
    return Long(record.get("long", "truncate"), float(record.get("stride") or STRIDE))


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

    The head is drawn from torch's generator: seed it before. With `pooling` it stands on texts that are summed up so
    (`model.pooled`), and begins with nothing. `attention` names transformers' implementation, None leaves the choice to
    it. Raises ModelError where the folder holds no network that can classify.
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
        network = _pooled(base, config, attention, pooling) if pooling else _first_token(base, config, attention)
    # What is left out for speed belongs to this run, not to the network that others may train on: the layers have
    # read the setting by now, and config.json tells what the base said.
    for name, value in kept.items():
        setattr(network.config, name, value)
    return network, tokenizer


def _first_token(base: Base, config: Any, attention: str | None) -> Any:
    """The network as transformers has it, most often with a head on the first token."""
    from transformers import AutoModelForSequenceClassification

    network, found = AutoModelForSequenceClassification.from_pretrained(
        base.folder, config=config, dtype="float32", attn_implementation=attention, **LOCAL,
        ignore_mismatched_sizes=True, output_loading_info=True,
    )  # fmt: skip
    # The head of a classifier that answered something else is drawn anew; nothing of the encoder may be.
    wrong = [key[0] for key in found["mismatched_keys"] if key[0].startswith(f"{network.base_model_prefix}.")]
    if wrong:
        raise ValueError(f"{min(wrong)} has another shape than config.json says.")
    return network


def _pooled(base: Base, config: Any, attention: str | None, pooling: Pooling) -> Any:
    """The network that sums up a text."""
    from transformers import AutoModel

    from classifine.model.pooled import PooledClassifier

    encoder, found = AutoModel.from_pretrained(
        base.folder, config=config, dtype="float32", attn_implementation=attention, **LOCAL, output_loading_info=True
    )
    # Nothing reads the pooler, which is another thing than the pooling: many bases come without.
    if lacking := [name for name in found["missing_keys"] if not name.startswith("pooler.")]:
        raise ValueError(f"its weights lack {min(lacking)}.")
    return PooledClassifier(encoder, pooling)


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


def shift_output(network: Any, shift: Any) -> None:
    """Add `shift` (labels,) to the logits, in the bias of the head; ModelError where it has none."""
    import torch

    layer = output_layer(network)
    if layer is None or layer.bias is None:
        raise ModelError("The head of this base has no bias that could be shifted. Leave out --correct-prior.")
    with torch.no_grad():
        layer.bias += torch.as_tensor(shift, dtype=layer.bias.dtype, device=layer.bias.device)


def load_encoder(base: Base) -> tuple[Any, Any]:
    """(network, tokenizer) of a base without a head, in float32, on the fastest device.

    Raises ModelError where the folder holds none.
    """
    from transformers import AutoModel, AutoTokenizer

    with quiet_transformers(), loading(base.name):
        tokenizer = AutoTokenizer.from_pretrained(base.folder, **LOCAL)
        network = AutoModel.from_pretrained(base.folder, dtype="float32", **LOCAL)
    return network.eval().to(fastest_device()), tokenizer


def load(folder: Path) -> Saved:
    """A saved classifier, from its folder or the Hub (OWNER/NAME); its network follows when it is first used.

    Raises ModelError where it is none, is damaged or comes from a newer version.
    """
    folder = located(folder)
    record = read_record(folder)
    with loading(str(folder), Exception):  # the tokenizers package raises nothing finer
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        labels = Labels.from_config(config["id2label"], record["label_kind"], record["task"])
        about = record.get("tokenizer")
        words = plain(folder, about, int(record["max_length"])) if about else None
    if list(labels.names) != record["labels"]:
        raise ModelError(f"{folder} is damaged: config.json and {RECORD} name different labels. Train it again.")
    network, tokenizer = (functools.cache(functools.partial(get, folder)) for get in (_network, _tokenizer))
    return Saved(folder, network, tokenizer, labels, record, words)


def kind(folder: Path) -> Literal["transformer", "pooled", "static"]:
    """What a saved folder holds: a network of transformers, or what sentence-transformers loads instead.

    That is one that sums up texts (`model.pooled`), or one without an encoder (`model.static`).
    """
    if is_static(json.loads((folder / "config.json").read_text(encoding="utf-8"))):
        return "static"
    return "pooled" if (folder / MODULES).is_file() else "transformer"


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    with quiet_transformers(), loading(str(folder)):
        return AutoTokenizer.from_pretrained(folder, **LOCAL)


def _network(folder: Path) -> Any:
    read = {"static": _static_network, "pooled": _pooled_network, "transformer": _plain_network}
    with quiet_transformers(), loading(str(folder)):
        network = read[kind(folder)](folder)
    # What has no encoder is fastest on the processor.
    return network.eval() if kind(folder) == "static" else network.eval().to(fastest_device())


def _static_network(folder: Path) -> Any:
    from classifine.model.static_network import load_static

    return load_static(folder)


def _plain_network(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    network, found = AutoModelForSequenceClassification.from_pretrained(
        folder, dtype="float32", use_safetensors=True, **LOCAL, output_loading_info=True
    )
    if found["missing_keys"]:
        # transformers would draw them at random and go on.
        raise ModelError(f"{folder} is damaged: its weights lack {min(found['missing_keys'])}. Train it again.")
    return network


def _pooled_network(folder: Path) -> Any:
    from classifine.model.pooled import load_pooled

    return load_pooled(folder, **LOCAL)


def fastest_device() -> str:
    """The device that networks run on: a GPU where torch can use one, else the processor."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def read_record(folder: Path) -> dict[str, Any]:
    """The record of a saved classifier; ModelError where the folder holds none that this version can read."""
    if not folder.is_dir():
        raise ModelError(f"No such classifier: {folder}. Give a folder that `classifine train` wrote.")
    if not (folder / RECORD).is_file() or not is_network(folder):
        raise ModelError(
            f"{folder} is not a saved classifier: it lacks {RECORD} or weights. Give a folder that `classifine train` wrote."
        )
    try:
        record = dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
        form = int(record["format"])
        if missing := [key for key in NEEDED if key not in record]:
            raise ValueError(f"it lacks {', '.join(missing)}")
        for key, kind in NEEDED.items():
            if not isinstance(record[key], kind):
                raise TypeError(f"'{key}' is {record[key]!r}")
        if record["task"] not in PROBLEM_TYPES:
            raise ValueError(f"'task' is {record['task']!r}")
        Decision.from_json(record["task"], record["decision"])
        long_of(record)
        if missing := [key for key in COLUMNS if key not in record["columns"]]:
            raise ValueError(f"its columns lack {', '.join(missing)}")
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / RECORD} is damaged: {error}. Train the classifier again.") from None
    if form > FORMAT:
        raise ModelError(f"{folder} was written by a newer classifine (format {form}). Update classifine.")
    return record


def check_output(folder: Path, overwrite: bool, typed: bool = True, record: str = RECORD) -> None:
    """OutputError, before any work is done, where `folder` could not be written afterwards.

    It tells the flags of the command line where they are `typed`, else the arguments of Python. Only a folder with such
    a `record` is ever replaced.
    """
    another, replaced = ("another folder with -o", "--overwrite") if typed else ("another folder", "overwrite=True")
    if folder.exists() and not overwrite:
        raise OutputError(f"{folder} exists already. Give {another}, or replace it with {replaced}.")
    if folder.exists() and not ((folder / record).is_file() or (folder.is_dir() and not any(folder.iterdir()))):
        raise OutputError(
            f"{folder} is not {'a saved classifier' if record == RECORD else 'an adapted base'}, so it is not replaced. Give {another}."
        )
    parent = next(place for place in folder.absolute().parents if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise OutputError(
            f"{folder} cannot be written: {parent} is not a folder that you may write to. Give {another}."
        )


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to write to; it takes the name `folder` at the end, or is removed after an error."""
    place = folder.absolute().parent / f".{folder.name}.{secrets.token_hex(4)}"
    try:
        with writing(folder):
            place.mkdir(parents=True)
        with writing(folder, DISK):
            yield place
        with writing(folder):
            _open_to_readers(place)
            _move(place, folder.absolute())
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def writing(target: Path, only: Collection[int] = ()) -> Iterator[None]:
    """Turn what the system says about a place that cannot be written to into an OutputError.

    `only` bounds it to some error numbers, where other things than writing go on as well.
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        reason = error.strerror or error
        raise OutputError(f"{target} cannot be written: {reason}. Free some space or give another folder.") from error


def save(place: Path, network: Any, tokenizer: Any, labels: Labels, record: dict[str, Any]) -> None:
    """Write network, tokenizer and record into `place`, and read back that the labels stand as they should."""
    with quiet_transformers():
        network.save_pretrained(place)
        # Plain pipeline(..., truncation=True) then cuts where training did.
        room, tokenizer.model_max_length = tokenizer.model_max_length, record["max_length"]
        tokenizer.save_pretrained(place)
        tokenizer.model_max_length = room
    form = FIRST_FORMAT if long_of(record) == TRUNCATE else FORMAT
    known = {"format": form, "task": labels.task, "labels": list(labels.names), "label_kind": labels.kind}
    about = described(tokenizer, place, record["columns"]["pair"] is not None, record["max_length"])
    write_json(place / RECORD, {**known, **record, "tokenizer": about})
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    if Labels.from_config(config["id2label"]).names != labels.names:
        raise ModelError(f"The labels did not survive saving: {config['id2label']}; expected {labels.names}.")


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, with letters of every script as they are."""
    path.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")


def json_text(content: Any, indent: int | None = None) -> str:
    """JSON as every reader takes it: a number that is none, such as a diverged loss, becomes null."""
    return json.dumps(_finite(content), ensure_ascii=False, indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _open_to_readers(place: Path) -> None:
    """Give every file the permissions of a plain new one; safetensors writes files that only their owner reads."""
    plain = place / ".plain"
    plain.touch()
    mode = plain.stat().st_mode
    plain.unlink()
    for file in place.rglob("*"):
        if file.is_file():
            file.chmod(mode)


def _move(place: Path, folder: Path) -> None:
    if not folder.exists():
        place.rename(folder)
        return
    old = place.with_name(place.name + ".old")
    folder.rename(old)
    try:
        place.rename(folder)
    except OSError:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def loading(name: str, *more: type[Exception], role: str = "a text classifier") -> Iterator[None]:
    """Turn what transformers raises on a folder that it cannot load, or `more` kinds of errors, into one sentence."""
    from safetensors import SafetensorError

    kinds: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, RuntimeError, SafetensorError, *more)
    try:
        yield
    except kinds as error:
        raise ModelError(f"{name} did not load as {role}: {reason(error)} Check the folder or name another.") from error
