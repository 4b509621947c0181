"""Words for a base that splits them or does not know them: those that texts hold often get a token of their own.

A base reads texts of a language that it was not trained on in scraps, which cost time and mean little. A token of its own begins
as the mean of its pieces, and learns with the rest (Hewitt 2021, "Initializing New Word Embeddings for Pretrained
Language Models"; Yao et al. 2021, "Adapt-and-Distill"). It knows nothing about labels or training.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from classifine.errors import ConfigError
from classifine.model.network import LOCAL, quiet_transformers

# Where texts then need so much less tokens, words are given unasked: benchmarks/adapting.py measures both sides of it.
WORTH, MOST = 0.25, 10_000
_LEAST_OFTEN = 5  # what is rarer would learn too little
_LOOKED_AT = 20_000_000  # characters, of texts spread evenly, that tell which words there are: a few seconds
_FILE = "tokenizer.json"


@dataclass(frozen=True)
class Words:
    """Words that a tokenizer splits, or does not know, with the ids of their pieces, those first that gain most; `spared`
    is the share of a text's tokens that they spare or make known.
    """

    pieces: dict[str, list[int]]
    spared: float = 0.0


def wanted_words(tokenizer: Any, texts: Sequence[str | tuple[str, str]], asked: int | None) -> Words:
    """The words to give: as many as are `asked` for at most; unasked those that pay, which most often are none.

    Raises ConfigError where some are asked for and the tokenizer has no words.
    """
    if asked == 0:
        return Words({})
    if not _has_words(tokenizer):
        if asked:
            raise ConfigError(
                f"--new-words is {asked}, and this base's tokenizer ({type(tokenizer).__name__}) is not of the kind "
                "WordPiece, which alone takes new words. Leave --new-words out, or choose another --base."
            )
        return Words({})
    found = split_words(tokenizer, texts, asked or MOST)
    return found if asked or found.spared >= WORTH else Words({})


def split_words(tokenizer: Any, texts: Sequence[str | tuple[str, str]], most: int) -> Words:
    """The words of texts that a WordPiece tokenizer splits or does not know, `most` of them at most."""
    backend, counts = tokenizer.backend_tokenizer, Counter[str]()
    whole = [text if isinstance(text, str) else " ".join(text) for text in texts]
    for text in whole[:: max(1, -(-sum(map(len, whole)) // _LOOKED_AT))]:
        normal = backend.normalizer.normalize_str(text) if backend.normalizer else text
        counts.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(normal))
    pieces = dict(zip(counts, tokenizer(list(counts), add_special_tokens=False)["input_ids"], strict=True))
    # A word with a letter that the base has never seen is one token, the same for all such words: emoji, other scripts.
    gains = {word: 1 if tokenizer.unk_token_id in ids else len(ids) - 1 for word, ids in pieces.items()}
    total = sum(counts[word] * len(ids) for word, ids in pieces.items())
    worth = [word for word, gain in gains.items() if gain > 0 and counts[word] >= _LEAST_OFTEN]
    worth.sort(key=lambda word: (-counts[word] * gains[word], word))
    chosen = {word: pieces[word] for word in worth[:most]}
    spared = sum(counts[word] * gains[word] for word in chosen)
    return Words(chosen, spared / max(total, 1))


def give_words(network: Any, tokenizer: Any, words: Words) -> Any:
    """The tokenizer with tokens for these words; `network` gets their vectors, in place."""
    if not words.pieces:
        return tokenizer
    first = len(tokenizer)
    grown = _grown(tokenizer, {word: first + i for i, word in enumerate(words.pieces)})
    size = first + len(words.pieces)
    if network.get_input_embeddings().weight.shape[0] < size:
        network.resize_token_embeddings(size, mean_resizing=False)
    table = network.get_input_embeddings().weight
    with torch.no_grad():
        for i, ids in enumerate(words.pieces.values()):
            table[first + i] = table[ids].mean(dim=0)
    return grown


def _has_words(tokenizer: Any) -> bool:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    return type(getattr(backend, "model", None)).__name__ == "WordPiece" and backend.pre_tokenizer is not None


def _grown(tokenizer: Any, ids: dict[str, int]) -> Any:
    """The tokenizer with more of a vocabulary: by way of its file, the one form of it that everybody documents."""
    from transformers import AutoTokenizer

    with tempfile.TemporaryDirectory() as name, quiet_transformers():
        tokenizer.save_pretrained(name)
        file = Path(name) / _FILE
        state = json.loads(file.read_text(encoding="utf-8"))
        state["model"]["vocab"] |= ids
        file.write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
        (Path(name) / "vocab.txt").unlink(missing_ok=True)  # the same without the new ones, of older transformers
        grown = AutoTokenizer.from_pretrained(name, **LOCAL)
    assert len(grown) == len(tokenizer) + len(ids)
    return grown
