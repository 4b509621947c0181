"""The saved classifier: its folder, its record, and what prediction needs of both.

A saved folder is an ordinary transformers checkpoint, or one of sentence-transformers (`model.pooled`), with files of
ours beside it: safetensors and JSON only. This file knows nothing about training or texts.
"""

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from classifine.config import LongTexts
from classifine.decide import Decision
from classifine.doubt import Doubt
from classifine.errors import ConfigError, ModelError, OutputError
from classifine.labels import Labels
from classifine.model.base import is_network
from classifine.model.disk import write_json
from classifine.model.hub import located
from classifine.model.layers import MODULES
from classifine.model.network import LOCAL, PROBLEM_TYPES, fastest_device, loading, quiet_transformers
from classifine.model.static import is_static
from classifine.model.words import described, plain
from classifine.windows import STRIDE, TRUNCATE, Long

RECORD = "classifine.json"
REPORT = "data_report.json"  # what was found in the rows; it quotes them, so it is never published
# What prediction reads from the record.
NEEDED = {"task": str, "labels": list, "label_kind": str, "max_length": int, "decision": dict, "columns": dict}
COLUMNS = ("text", "pair", "label", "indicators", "separator")
# Of the record; a folder written by a newer one is refused, not misread. What an older one would read as it should still
# gets the first; the second says what is read of long texts.
FORMAT, FIRST_FORMAT = 2, 1


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
            why, more = "an older version trained it", ", or train it again"
            if self.labels.task == "score":
                why, more = "it gives numbers", ""
            elif self.record.get("distilled"):
                why, more = "it was taught by another classifier, without true labels", ""
            raise ConfigError(
                f"{self.folder or 'This classifier'} does not know when to doubt, as {why}. "
                f"Drop --accuracy, --abstain, --coverage and --unlike{more}."
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
    except OSError as error:
        raise ModelError(f"{folder / RECORD} cannot be read: {error.strerror}. Check its permissions.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / RECORD} is damaged: {error}. Train the classifier again.") from None
    if form > FORMAT:
        raise ModelError(f"{folder} was written by a newer classifine (format {form}). Update classifine.")
    return record


def train_texts_of(folder: Path) -> str | None:
    """The hashes of the texts that a saved classifier learned from (`data.seen`); None where it came without its report.

    ModelError where the report is damaged.
    """
    report = folder / REPORT
    try:
        known = json.loads(report.read_text(encoding="utf-8")).get("train_texts") if report.is_file() else None
        if not isinstance(known, str | None):
            raise TypeError("its train_texts are no text")
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{report} is damaged: {error}. Remove it, or train the classifier again.") from None
    return known


def check_output(folder: Path, overwrite: bool, typed: bool = True, record: str = RECORD) -> None:
    """OutputError, before any work is done, where `folder` could not be written afterwards.

    It tells the flags of the command line where they are `typed`, else the arguments of Python. Only a folder with such
    a `record` is ever replaced.
    """
    another, replaced = ("another folder with -o", "--overwrite") if typed else ("another folder", "overwrite=True")
    if os.path.ismount(folder):
        raise OutputError(
            f"{folder} is where a disk is mounted, and cannot be replaced as a whole. Give {another}, such as {folder / 'model'}."
        )
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
