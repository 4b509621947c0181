"""What a sentence encoder learns before the labels of pairs: to tell, reading both texts at once, how alike they are.

It knows that of texts that it reads one by one, by the cosine of their vectors, but has never read two at once; a few
thousand labels teach it little of how to compare them. Its own cosines are labels without end. This is distillation
from a bi-encoder to a cross-encoder; Thakur et al. 2021, "Augmented SBERT", go the other way. It knows nothing about
the labels of the pairs.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.config import Model, Train
from classifine.data.encode import encode_texts, pad_id
from classifine.infer.embed import embed
from classifine.labels import Labels
from classifine.model.base import Base
from classifine.model.network import load_base, quiet_transformers
from classifine.say import Say
from classifine.train.choose import choose
from classifine.train.hardware import attention_on, look_at_hardware
from classifine.train.recipe import Recipe
from classifine.train.trainer import train

Pair = tuple[str, str]
EPOCHS = 2
NEAREST = 8  # texts, of which one is drawn to make a pair that is alike and yet none
HELD_OUT = 0.05
_BLOCK = 1024  # texts that are compared with all others at once


@dataclass(frozen=True)
class Compared:
    """What came of it: so many pairs, the correlation with the cosines of pairs held out, and the time."""

    pairs: int
    pearson: float
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return {"pairs": self.pairs, "pearson": round(self.pearson, 4), "seconds": round(self.seconds, 1)}


def learn_similarity(
    network: Any, tokenizer: Any, pairs: Sequence[Pair], base: Base, recipe: Recipe, seed: int, say: Say
) -> Compared:
    """Train the encoder of `network`, a classifier of pairs on `base`, in place; its head stays as it is.

    `recipe` is that of the labels: its `similarity_pairs`, length and number formats hold here, too. The caller seeds
    torch's generator; the same `seed` draws the same pairs, in the same order.
    """
    start = time.monotonic()
    say(f"pairs   first learns how alike {base.name} finds two texts that it reads one by one (--no-pair-similarity)")
    one, other, cosines = _drawn(pairs, base, recipe, np.random.default_rng(seed))
    columns = encode_texts(list(zip(one, other, strict=True)), tokenizer, recipe.max_length)
    rows, held_out = _parted({**columns, "labels": cosines.tolist()}, max(1, round(HELD_OUT * len(cosines))))
    twin, own = _twin(network, base, recipe, len(rows), seed)
    with quiet_transformers(), tempfile.TemporaryDirectory() as folder:
        training = train(twin, rows, held_out, pad_id(tokenizer), own, folder, lambda line: say(f"pairs   {line}"))
    network.base_model.load_state_dict(twin.base_model.state_dict())
    reached = training.history[training.best_epoch - 1]["validation"]["pearson"]
    return Compared(len(cosines), reached, time.monotonic() - start)


def _twin(network: Any, base: Base, recipe: Recipe, rows: int, seed: int) -> tuple[Any, Recipe]:
    """A network that begins with the same encoder and answers with a number, and how it learns."""
    hardware = look_at_hardware()
    twin, _ = load_base(base, Labels(("similarity",), "str", "score"), *attention_on(hardware))
    if recipe.new_words:
        twin.resize_token_embeddings(network.get_input_embeddings().weight.shape[0], mean_resizing=False)
        twin.base_model.load_state_dict(network.base_model.state_dict())
    precision: Any = recipe.precision  # bf16 or float32: it was chosen by the same hardware
    wishes = Train(epochs=EPOCHS, seed=seed, precision=precision, pair_similarity=False)
    own = choose(wishes, hardware, rows, twin.num_parameters(), recipe.max_length, "score", "pairs", Model())
    return twin, own


def _parted(columns: dict[str, list[Any]], count: int) -> tuple[Any, Any]:
    """(rows to learn from, the last `count`, held out)."""
    from datasets import Dataset

    every = Dataset.from_dict(columns)
    return every.select(range(len(every) - count)), every.select(range(len(every) - count, len(every)))


def _drawn(
    pairs: Sequence[Pair], base: Base, recipe: Recipe, draw: np.random.Generator
) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """First texts, second texts and cosines of the pairs to learn from, in random order."""
    own = [pairs[i] for i in draw.permutation(len(pairs))[: recipe.similarity_pairs // 2]]
    texts = list(dict.fromkeys(text for pair in own for text in pair))
    vectors = embed(texts, base, recipe.max_length, recipe.precision)
    place = {text: i for i, text in enumerate(texts)}
    first, second = (np.array([place[pair[side]] for pair in own]) for side in (0, 1))
    chosen = pairs_of(first, second, vectors, draw)[: recipe.similarity_pairs]
    one, other = chosen.T
    cosines = np.einsum("ij,ij->i", vectors[one], vectors[other])
    return [texts[i] for i in one], [texts[i] for i in other], cosines


def pairs_of(
    first: NDArray[np.int64], second: NDArray[np.int64], vectors: NDArray[np.float32], draw: np.random.Generator
) -> NDArray[np.int64]:
    """Places (pairs, 2) of distinct pairs of texts to compare, in random order, out of pairs of `first` and `second`.

    Pairs as they are and the other way round; a first text with the second of any other pair, most often unlike; and a
    text with one of those nearest to it, of all whose `vectors` (texts, width) of length 1 are given.
    """
    asked = np.where(draw.random(len(first)) < 0.5, first, second)
    near = nearest(vectors, asked, min(NEAREST, len(vectors) - 1))
    nearby = near[np.arange(len(asked)), draw.integers(0, max(near.shape[1], 1), len(asked))] if near.size else asked
    found = np.concatenate([
        np.stack([first, second], 1), np.stack([second, first], 1),
        np.stack([first, draw.permutation(second)], 1), np.stack([asked, nearby], 1),
    ])  # fmt: skip
    return np.asarray(draw.permutation(np.unique(found, axis=0)))


def nearest(vectors: NDArray[np.float32], asked: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Places (asked, count) of those nearest to each of the texts at `asked`, itself left out, in no order."""
    found = np.empty((len(asked), count), dtype=np.int64)
    for start in range(0, len(asked), _BLOCK):
        some = asked[start : start + _BLOCK]
        alike = vectors[some] @ vectors.T
        alike[np.arange(len(some)), some] = -2.0
        found[start : start + _BLOCK] = np.argpartition(-alike, count - 1, axis=1)[:, :count] if count else 0
    return found
