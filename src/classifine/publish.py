"""A saved classifier to the Hub and back: the list of files, the card, the commit, and a look at what others get.

The real client of the Hub does the work. What quotes the data (`predictions.jsonl`, `data_report.json`,
`explanations.json`, `report.html`) stays here, and so does every path of this machine.
"""

import contextlib
import importlib.util
import itertools
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from classifine.data.row import Text
from classifine.errors import HubError, ModelError
from classifine.infer.predict import text_logits
from classifine.metrics import HEADLINE
from classifine.model.folder import RECORD, Saved, kind, load, read_record, save
from classifine.model.hub import check_name, require_token, talking
from classifine.model.layers import LAYERS, MODULES
from classifine.model.network import quiet_transformers
from classifine.report.card import CARD, card, card_in_training, in_own_words, last_part, metric_value, own_base
from classifine.say import Say
from classifine.strict_json import json_text
from classifine.windows import TRUNCATE

# What is published of a folder; everything else stays, and is named.
PATTERNS = (
    CARD, "config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt", "*.model",
    "special_tokens_map.json", "added_tokens.json", MODULES, RECORD, "evaluation.json", "history.jsonl",
)  # fmt: skip
OF_A_FINISHED_RUN = ("evaluation.json", "history.jsonl")
# What a published classifier is tried on where no test rows lie beside it, in scripts of several languages.
TRIED = ("Thank you, that was quick.", "nothing works and nobody answers!!", "Wo ist mein Paket?", "это хорошо", "很好")
# What tells the kinds apart: left there by a classifier of another kind it would have the new one read as the old.
OF_A_KIND = {MODULES, *itertools.chain.from_iterable(LAYERS.values())}
SAMPLE = 32  # texts that are tried
# Scores of the published files against those of the folder: the same network, batched in another way.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Target:
    """Where and how a classifier is published: OWNER/NAME, made as a private one or not, the licence on its card."""

    repository: str
    private: bool = False
    licence: str | None = None

    def command(self, folder: Path) -> str:
        """What publishes a folder there, to be typed."""
        flags = f"{' --private' if self.private else ''}{f' --license {self.licence}' if self.licence else ''}"
        return f"classifine publish {folder} {self.repository}{flags}"


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


def prepare(target: Target, again: str) -> None:
    """Create the repository unless it is there: before hours of training, rather than after them.

    HubError where it is there and public, and a private one is wanted.
    """
    from huggingface_hub import HfApi

    name = target.repository
    with talking(name, again):
        HfApi().create_repo(name, private=target.private or None, exist_ok=True)
        exposed = target.private and not HfApi().repo_info(name).private
    if exposed:
        raise HubError(
            f"{name} is there already and public, and --private was given. Make it private in its settings on the Hub, "
            "or choose another name."
        )


def files(folder: Path) -> tuple[list[Path], list[Path]]:
    """(files that are published, files and folders that stay) of a saved classifier."""
    read_record(folder)
    found = sorted(folder.iterdir())
    wanted = [item for item in found if item.is_file() and any(fnmatch(item.name, pattern) for pattern in PATTERNS)]
    # What sentence-transformers loads keeps its layers in folders of their own.
    layers = [item for item in found if item.name in LAYERS[kind(folder)]]
    inside = [file for layer in layers for file in sorted(layer.iterdir())]
    return [*wanted, *inside], [item for item in found if item not in wanted and item not in layers]


def file_lines(folder: Path, repository: str) -> Iterator[str]:
    """What would be published where, for people to look at before it is."""
    check_name(repository, "OWNER/NAME")
    wanted, left = files(folder)
    size = sum(item.stat().st_size for item in wanted)
    yield f"{len(wanted)} files, {_size(size)}, to {repository}:"
    for item in wanted:
        yield f"  {item.relative_to(folder).as_posix():32} {_size(item.stat().st_size):>10}"
    if left:
        yield f"not published: {', '.join(item.name for item in left)}"


def publish(folder: Path, target: Target, say: Say, again: str | None = None) -> Published:
    """Publish a saved classifier as one commit on top of what the repository holds, and fetch it back to compare.

    `again` is what its user would type or call to try once more; `classifine publish` by itself.
    Raises HubError where the Hub does not take it, or where what it gives back answers otherwise.
    """
    check_name(target.repository, "OWNER/NAME")
    record = read_record(folder)
    require_token()
    # Before anything is sent: a folder that does not load would take the place of one that does.
    saved = load(folder)
    texts = _sample(folder, saved)
    expected = saved.decision.scores(text_logits(saved, texts, long=TRUNCATE))  # all that plain transformers can
    for line in file_lines(folder, target.repository):
        say(f"publish {line}")
    again = again or target.command(folder)
    changed = {CARD: _card(folder, record, target, say), RECORD: json_text(_public(record), indent=2) + "\n"}
    contents: dict[str, Path | bytes] = {item.relative_to(folder).as_posix(): item for item in files(folder)[0]}
    contents |= {name: text.encode() for name, text in changed.items()}
    prepare(target, again)
    # What the folder lacks would stay there from another classifier, and tell of these weights what is not so.
    done = _commit(target.repository, contents, _message(record, folder), again, PATTERNS)
    say(f"publish {done.url}")
    with _fetched(done, again) as fetched:
        by = _others(fetched)
        found = _plain_scores(fetched, texts, saved, by)
    worst = float(np.abs(found - expected).max())
    if not worst <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise HubError(
            f"What the Hub gives back of {done.repository} answers otherwise than {folder} (a score is off by "
            f"{worst:.3g}). Do not use that commit; publish again: {again}"
        )
    say(f"publish fetched back with {by}: the same answers")
    return done


def publish_epoch(classifier: Saved, epoch: int, target: Target, again: str) -> Published:
    """Publish the classifier as it stands after an epoch; its card and evaluation come with the finished one."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        save(place, classifier.network, classifier.tokenizer, classifier.labels, _public(classifier.record))
        (place / CARD).write_text(
            card_in_training(classifier.record, target.repository, epoch, target.licence), encoding="utf-8"
        )
        contents: dict[str, Path | bytes] = {
            item.relative_to(place).as_posix(): item for item in place.rglob("*") if item.is_file()
        }
        return _commit(target.repository, contents, f"Epoch {epoch}", again, stale=OF_A_FINISHED_RUN)


def _commit(
    repository: str, contents: dict[str, Path | bytes], message: str, again: str, stale: Sequence[str] = ()
) -> Published:
    """One commit that adds or replaces `contents` and removes what fits into `stale`, and is of another kind."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    with talking(repository, again):
        adding = [CommitOperationAdd(name, content) for name, content in contents.items()]
        there = [name for name in HfApi().list_repo_files(repository) if name not in contents]
        removing = [
            CommitOperationDelete(name)
            for name in there
            if name.partition("/")[0] in OF_A_KIND or ("/" not in name and any(fnmatch(name, one) for one in stale))
        ]
        done = HfApi().create_commit(repository, operations=[*adding, *removing], commit_message=message)
    return Published(repository, done.commit_url, done.oid)


def _message(record: dict[str, Any], folder: Path) -> str:
    evaluation = _read(folder / "evaluation.json")
    if not evaluation:
        return "A text classifier made with classifine"
    name = HEADLINE[record["task"]][0]
    return f"{name} {metric_value(evaluation['metrics'][name]):.4f} on {evaluation['rows']} rows"


def _card(folder: Path, record: dict[str, Any], target: Target, say: Say) -> str:
    """The card for this repository; one that its author has changed keeps their words."""
    evaluation, kept = _read(folder / "evaluation.json"), folder / CARD
    try:
        text = kept.read_text(encoding="utf-8") if kept.is_file() else ""
    except UnicodeDecodeError as error:
        raise ModelError(f"{kept} is not UTF-8: {error}. Save it as UTF-8, or remove it.") from None
    if not text or text == card(record, evaluation):
        return card(record, evaluation, target.repository, target.licence)
    say(f"publish {CARD} is not as classifine wrote it, so its words stay; name and licence are filled in")
    return in_own_words(text, target.repository, target.licence)


def _public(record: dict[str, Any]) -> dict[str, Any]:
    """The record without paths of this machine: of what is not on the Hub only the last part of its name is left."""
    config = {section: dict(values) for section, values in record["config"].items()}
    hidden = own_base(record)
    here = [("data", "validation"), ("data", "test"), *([("model", "base")] if hidden else [])]
    here += [] if record.get("data_on_hub") else [("data", "source")]
    for section, name in here:
        value = config.get(section, {}).get(name)
        config[section][name] = last_part(value) if value else value
    return {**record, "config": config, "base": last_part(record["base"]) if hidden else record["base"]}


@contextlib.contextmanager
def _fetched(done: Published, again: str) -> Iterator[Path]:
    """A folder with what the Hub gives back of a commit, by way of an empty cache."""
    from huggingface_hub import snapshot_download

    with tempfile.TemporaryDirectory() as cache:
        with talking(done.repository, again):
            folder = snapshot_download(done.repository, revision=done.commit, cache_dir=cache)
        yield Path(folder)


def _others(folder: Path) -> str:
    """With what others load a folder; where that is not here, classifine has to do."""
    if kind(folder) == "transformer":
        return "plain transformers"
    return "sentence-transformers" if importlib.util.find_spec("sentence_transformers") else "classifine"


def _plain_scores(folder: Path, texts: list[Text], saved: Saved, by: str) -> Any:
    """Scores (texts, labels) as somebody without classifine would get them."""
    if by == "classifine":
        return saved.decision.scores(text_logits(load(folder), texts, long=TRUNCATE))
    if by == "sentence-transformers":
        from sentence_transformers import SentenceTransformer

        with quiet_transformers():
            network = SentenceTransformer(str(folder), device="cpu")
            return saved.decision.scores(network.encode(list(texts), show_progress_bar=False))
    from transformers import pipeline

    with quiet_transformers():
        classify = pipeline("text-classification", model=str(folder), device="cpu")
        given = [
            text if isinstance(text, str) else dict(zip(("text", "text_pair"), text, strict=True)) for text in texts
        ]
        answers = [classify(one, top_k=None, truncation=True) for one in given]
    by_name = [{found["label"]: found["score"] for found in answer} for answer in answers]
    return np.array([[found[name] for name in saved.labels.names] for found in by_name])


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
