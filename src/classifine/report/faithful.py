"""Whether an explanation is faithful: does the score fall when the words go that it names?

It deletes words in the order of an explanation, or in any other to compare with, and asks the network each time. It
knows nothing about how the explanation was made.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifine.data.encode import pad_id
from classifine.infer.explain import Explanation
from classifine.infer.forward import logits
from classifine.infer.spans import read
from classifine.infer.torch_engine import TorchEngine
from classifine.model.folder import Saved

# The shares of the words that are deleted or kept; the mean over them is told (DeYoung et al. 2020, section 5).
SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Faithfulness:
    """What becomes of the score of a label, from 0 to 1 (or of a number), when words go in an order.

    `comprehensiveness`: how much it falls without the first of them; higher is better. `sufficiency`: how much it
    falls when only they are left; lower is better (both DeYoung et al. 2020, "ERASER: A Benchmark to Evaluate
    Rationalized NLP Models"). `area`: the mean score while the words go one by one until none is left; lower is
    better (the deletion metric of Petsiuk et al. 2018, "RISE"). `curve` holds the score after 0, 1, 2 ... words.
    """

    comprehensiveness: float
    sufficiency: float
    area: float
    curve: tuple[float, ...]


def by_attribution(explanation: Explanation) -> list[int]:
    """Positions of the words that `predict` reads, those first that speak most for the label."""
    words = explanation.words
    return sorted((i for i, word in enumerate(words) if word.read), key=lambda i: -words[i].attribution)


def by_chance(explanation: Explanation, seed: int = 0) -> list[int]:
    """The same positions in an order drawn at random."""
    order = [i for i, word in enumerate(explanation.words) if word.read]
    return [order[i] for i in np.random.default_rng(seed).permutation(len(order))]


def faithfulness(saved: Saved, explanation: Explanation, order: Sequence[int] | None = None) -> Faithfulness:
    """The Faithfulness of an order of words (positions in `explanation.words`), by itself that of the attributions.

    Words are deleted as tokens from what `predict` reads of the text; nothing moves up from behind it.
    """
    chosen = by_attribution(explanation) if order is None else list(order)
    reading = read(explanation.text, saved.tokenizer, saved.max_length, saved.long)

    def places(words: Sequence[int]) -> frozenset[int]:
        return frozenset(place for word in words for place in reading.words[word].places)

    firsts = [math.ceil(share * len(chosen)) for share in SHARES]
    deleted = [places(chosen[:k]) for k in range(len(chosen) + 1)]
    rows = reading.without(deleted + [places(chosen[k:]) for k in firsts])
    found = saved.decision.scores(logits(TorchEngine(saved.network), rows, pad_id(saved.tokenizer)))
    scores = found[:, saved.labels.label2id[explanation.label]]
    curve, left = scores[: len(deleted)], scores[len(deleted) :]
    return Faithfulness(
        comprehensiveness=float(np.mean(curve[0] - curve[firsts])),
        sufficiency=float(np.mean(curve[0] - left)),
        area=float((curve[:-1] + curve[1:]).mean() / 2),
        curve=tuple(curve.tolist()),
    )
