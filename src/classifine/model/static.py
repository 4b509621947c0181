"""A classifier without an encoder: a table with a vector for each word, their mean, and a layer to the logits.

Model2Vec (Tulkens and van Dongen 2024) and fastText (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification")
answer so, at a small part of what a transformer costs. The folder is laid out as sentence-transformers' StaticEmbedding
and Dense, so that plain `SentenceTransformer(folder).encode` gives the logits. What reads words is a plain WordLevel
tokenizer of the `tokenizers` package in tokenizer.json; `WordReader` does the same by one regular expression, several
times as fast. It knows nothing about training, and loads neither torch nor transformers.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine.labels import Labels
from classifine.model import layers

MODEL_TYPE = "static-embedding"  # in config.json: what tells such a folder from others
STATIC = "static"  # the name that --base takes
PAD, UNKNOWN = "[PAD]", "[UNK]"
# Scripts that put no blanks between words, where each character is a word: Thai and Lao, Burmese, Khmer, Kana, Han.
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# What parts words: blanks, and marks of ASCII, Latin-1, general and CJK punctuation. Code points rather than classes such
# as \w, in which two libraries of regular expressions need not agree.
_BLANKS = "\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u206f\u3000"
_MARKS = "!-/:-@\\[-`{-~\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb-\u00bf\u3001-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
WORD = f"[{_ALONE}]|[^{_BLANKS}{_MARKS}{_ALONE}]+"
# The one letter that Python lowers by what stands around it, and others do not.
_SIGMA = "\u03a3", "\u03c3"
_FIND = re.compile(WORD).findall
_PARTING = {code: " " for code in range(128) if not _FIND(chr(code))}


def is_static(config: dict[str, Any]) -> bool:
    """Whether a config.json is that of such a classifier."""
    return config.get("model_type") == MODEL_TYPE


def split(text: str) -> list[str]:
    """The words of a text in lower case, in their order."""
    if text.isascii():  # what WORD finds there, in half the time
        return text.lower().translate(_PARTING).split()
    return _FIND(text.replace(*_SIGMA).lower())


@dataclass(frozen=True)
class WordReader:
    """Texts to ids of words, as the tokenizer of tokenizer.json gives them, cut at `max_length` words."""

    ids: dict[str, int]
    max_length: int
    pad_token_id: int

    def __call__(self, first: Sequence[str], second: Any = None, **others: Any) -> dict[str, list[list[int]]]:
        """Ids without padding."""
        get, most, unknown = self.ids.get, self.max_length, self.ids[UNKNOWN]
        return {"input_ids": [[get(word, unknown) for word in split(text)[:most]] for text in first]}


def word_reader(folder: Path, max_length: int) -> WordReader:
    """The reader of a saved folder."""
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    ids = dict(found["model"]["vocab"])
    return WordReader(ids, max_length, ids[PAD])


def reads_words(folder: Path) -> bool:
    """Whether the tokenizer of a folder is one that `WordReader` stands in for."""
    found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    return bool(found["model"].get("type") == "WordLevel" and PAD in found["model"]["vocab"])


def words_of(texts: Iterable[str], most: int, fewest: int = 2) -> list[str]:
    """The words that at least so many of the texts have, the most frequent first, `most` of them at most."""
    counts = Counter[str]()
    for text in texts:
        counts.update(set(split(text)))
    # By spelling where they are as frequent: a vocabulary must not hang on the order of a set.
    found = sorted((word for word, count in counts.items() if count >= fewest), key=lambda word: (-counts[word], word))
    return found[:most]


def word_tokenizer(words: Sequence[str]) -> Any:
    """The tokenizer of a vocabulary, for transformers; padding is 0, and words that it lacks are all 1."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {word: i for i, word in enumerate((PAD, UNKNOWN, *words))}
    plain = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    plain.normalizer = normalizers.Sequence([normalizers.Replace(*_SIGMA), normalizers.Lowercase()])
    plain.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "removed", invert=True)
    return PreTrainedTokenizerFast(tokenizer_object=plain, pad_token=PAD, unk_token=UNKNOWN)


def static_config(labels: Labels, problem_type: str, words: int, width: int) -> dict[str, Any]:
    """The config.json of such a classifier, in the words of transformers' configurations."""
    return {
        "model_type": MODEL_TYPE, "architectures": ["StaticEmbedding"], "vocab_size": words, "hidden_size": width,
        "num_labels": len(labels), "problem_type": problem_type, "pad_token_id": 0,
        "id2label": {str(i): name for i, name in labels.id2label.items()}, "label2id": labels.label2id,
    }  # fmt: skip


def write_static(place: Path, config: dict[str, Any], weights: dict[str, Any]) -> None:
    """Write a network's numpy arrays (`embedding`, `weight`, `bias`) as sentence-transformers lays them out."""
    from safetensors.numpy import save_file

    save_file({"embedding.weight": weights["embedding"]}, place / "model.safetensors")
    layers.write_plain(place / "config.json", config)
    layers.write_layers(place, layers.STATIC, weights["weight"], weights["bias"])


def read_static(folder: Path) -> dict[str, Any]:
    """The arrays that `write_static` wrote; what safetensors raises where a file is damaged."""
    from safetensors.numpy import load_file

    table = load_file(folder / "model.safetensors")
    dense = load_file(folder / layers.STATIC_HEAD / layers.HEAD_WEIGHTS)
    return {"embedding": table["embedding.weight"], "weight": dense["linear.weight"], "bias": dense["linear.bias"]}
