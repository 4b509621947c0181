"""A saved classifier to the Hub and back: the list of files, the card, the commit, and a look at what others get.

The real client of the Hub does the work. What quotes the data (`predictions.jsonl`, `data_report.json`) stays here,
and so does every path of this machine.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from classifine.data.read import Text
from classifine.errors import HubError
from classifine.infer.predict import text_logits
from classifine.model.folder import RECORD, Saved, json_text, load, quiet_transformers, read_record, save
from classifine.model.hub import check_name, require_token, talking
from classifine.report.card import card

Say = Callable[[str], None]
CARD = "README.md"
# What is published of a folder; everything else stays, and is named.
PATTERNS = (
    CARD, "config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt", "*.model",
    "special_tokens_map.json", "added_tokens.json", RECORD, "evaluation.json", "history.jsonl",
)  # fmt: skip
# What a published classifier is tried on where no test rows lie beside it, in scripts of several languages.
TRIED = ("Thank you, that was quick.", "nothing works and nobody answers!!", "Wo ist mein Paket?", "это хорошо", "很好")
SAMPLE = 32  # texts that are tried
# Scores of the published files against those of the folder: the same network, batched in another way.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Published:
    """A commit on the Hub."""

    repository: str
    url: str
    commit: str


def login(token: str) -> str:
    """Keep a token for the Hub on this machine, after the Hub has said whose it is; that name."""
    import huggingface_hub

    if not token.strip():
        raise HubError("Got no token. Make one with the right to write in the settings of your account on the Hub.")
    with talking("the token", "classifine login"):
        name = str(huggingface_hub.whoami(token=token.strip())["name"])
        huggingface_hub.login(token=token.strip(), add_to_git_credential=False)
    return name


def check_target(repository: str, flag: str = "--publish") -> None:
    """HubError where the repository's name is none or nobody is logged in; asks nothing of the Hub."""
    check_name(repository, flag)
    require_token()


def prepare(repository: str, private: bool, again: str) -> None:
    """Create the repository unless it is there: before hours of training, rather than after them."""
    from huggingface_hub import HfApi

    with talking(repository, again):
        HfApi().create_repo(repository, private=private or None, exist_ok=True)


def files(folder: Path) -> tuple[list[Path], list[Path]]:
    """(files that are published, files and folders that stay) of a saved classifier."""
    read_record(folder)
    found = sorted(folder.iterdir())
    wanted = [item for item in found if item.is_file() and any(fnmatch(item.name, pattern) for pattern in PATTERNS)]
    return wanted, [item for item in found if item not in wanted]


def file_lines(folder: Path, repository: str) -> Iterator[str]:
    """What would be published where, for people to look at before it is."""
    wanted, left = files(folder)
    size = sum(item.stat().st_size for item in wanted)
    yield f"{len(wanted)} files, {_size(size)}, to {repository}:"
    for item in wanted:
        yield f"  {item.name:32} {_size(item.stat().st_size):>10}"
    if left:
        yield f"not published: {', '.join(item.name for item in left)}"


def publish(
    folder: Path, repository: str, private: bool, licence: str | None, say: Say, again: str | None = None
) -> Published:
    """Publish a saved classifier as one commit on top of what the repository holds, and fetch it back to compare.

    `again` is what its user would type or call to try once more; `classifine publish` by itself.
    Raises HubError where the Hub does not take it, or where what it gives back answers otherwise.
    """
    check_name(repository, "OWNER/NAME")
    record = read_record(folder)
    require_token()
    for line in file_lines(folder, repository):
        say(f"publish {line}")
    again = again or f"classifine publish {folder} {repository}"
    prepare(repository, private, again)
    changed = {CARD: _card(folder, record, repository, licence), RECORD: json_text(_public(record), indent=2) + "\n"}
    contents: dict[str, Path | bytes] = {item.name: item for item in files(folder)[0]}
    contents |= {name: text.encode() for name, text in changed.items()}
    done = _commit(repository, contents, _message(folder), again)
    say(f"publish {done.url}")
    _compare(folder, done, again)
    say("publish fetched back with plain transformers: the same answers")
    return done


def publish_epoch(classifier: Saved, epoch: int, repository: str, again: str) -> Published:
    """Publish the classifier as it stands after an epoch; its card and evaluation come with the finished one."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        save(place, classifier.network, classifier.tokenizer, classifier.labels, _public(classifier.record))
        return _commit(repository, {item.name: item for item in place.iterdir()}, f"Epoch {epoch}", again)


def _commit(repository: str, contents: dict[str, Path | bytes], message: str, again: str) -> Published:
    from huggingface_hub import CommitOperationAdd, HfApi

    with talking(repository, again):
        adding = [CommitOperationAdd(name, content) for name, content in contents.items()]
        done = HfApi().create_commit(repository, operations=adding, commit_message=message)
    return Published(repository, done.commit_url, done.oid)


def _message(folder: Path) -> str:
    evaluation = _read(folder / "evaluation.json")
    if not evaluation:
        return "A text classifier made with classifine"
    name, value = next(iter(evaluation["metrics"].items()))
    return f"{name} {value:.4f} on {evaluation['rows']} test rows"


def _card(folder: Path, record: dict[str, Any], repository: str, licence: str | None) -> str:
    """The card for this repository; one that its author has changed is theirs, and stays as it is."""
    evaluation, kept = _read(folder / "evaluation.json"), folder / CARD
    if kept.is_file() and kept.read_text(encoding="utf-8") != card(record, evaluation):
        return kept.read_text(encoding="utf-8")
    return card(record, evaluation, repository, licence)


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """The record without paths of this machine: of what lies here only the last part of its name is left."""
    config = {section: dict(values) for section, values in record.get("config", {}).items()}
    for section, name in (("data", "source"), ("data", "validation"), ("data", "test"), ("model", "base")):
        value = config.get(section, {}).get(name)
        if value and (Path(value).exists() or Path(value).is_absolute()):
            config[section][name] = Path(value).name
    result = {**record, "config": config} if config else dict(record)
    if record.get("base_origin") == "a local folder":
        result["base"] = Path(record["base"]).name
    return result


def _compare(folder: Path, done: Published, again: str) -> None:
    """HubError where plain transformers gives other answers from the published files than the folder does."""
    saved = load(folder)
    texts = _sample(folder, saved)
    expected = saved.decision.scores(text_logits(saved, texts))
    with tempfile.TemporaryDirectory() as cache:
        with talking(done.repository, again):
            from huggingface_hub import snapshot_download

            fetched = snapshot_download(done.repository, revision=done.commit, cache_dir=cache)
        found = _plain_scores(Path(fetched), texts, saved.labels.names)
    worst = float(np.abs(found - expected).max())
    if not worst <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise HubError(
            f"What the Hub gives back of {done.repository} answers otherwise than {folder} (a score is off by "
            f"{worst:.3g}). Do not use that commit; publish again: {again}"
        )


def _plain_scores(folder: Path, texts: list[Text], names: tuple[str, ...]) -> Any:
    """Scores (texts, labels) by transformers alone, as somebody without classifine would get them."""
    from transformers import pipeline

    with quiet_transformers():
        classify = pipeline("text-classification", model=str(folder), device="cpu")
        given = [
            text if isinstance(text, str) else dict(zip(("text", "text_pair"), text, strict=True)) for text in texts
        ]
        answers = [classify(one, top_k=None, truncation=True) for one in given]
    by_name = [{found["label"]: found["score"] for found in answer} for answer in answers]
    return np.array([[found[name] for name in names] for found in by_name])


def _sample(folder: Path, saved: Saved) -> list[Text]:
    """Texts to try: test rows of the run, the ones it did worst on first, or some of ours."""
    file = folder / "predictions.jsonl"
    if file.is_file():
        with file.open(encoding="utf-8") as lines:
            rows = [json.loads(line) for _, line in zip(range(SAMPLE), lines, strict=False)]
        return [(row["text"], row["text_pair"]) if "text_pair" in row else row["text"] for row in rows]
    if saved.record["columns"]["pair"] is None:
        return list(TRIED)
    return list(zip(TRIED, TRIED[::-1], strict=True))


def _read(path: Path) -> dict[str, Any]:
    """A JSON file of a saved classifier; nothing where it is not there."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} kB"
