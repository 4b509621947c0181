"""What a base can learn from texts without labels: to guess masked tokens of them, as in its pre-training, or to tell which
of their tokens somebody else guessed.

Gururangan et al. 2020, "Don't Stop Pretraining" (arXiv 2004.10964); Clark et al. 2020, "ELECTRA" (arXiv 2003.10555). Each
has its network, its lesson, and what held-out texts say of an epoch. It knows nothing about texts, files or the Trainer.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from classifine.config import Objective
from classifine.infer.forward import logits
from classifine.infer.masked import MaskedEngine, mean_loss
from classifine.model.base import Base
from classifine.model.masked import load_masked
from classifine.say import Say
from classifine.train.detector import SUMS, load_detector, share_words
from classifine.train.lesson import Lesson
from classifine.train.quicker import narrow_stream, quicker
from classifine.train.recipe import Recipe

HeldOut = dict[str, list[list[int]]]  # token ids with masks, and `targets` as `MaskedEngine` has them


@dataclass(frozen=True)
class Course:
    """A lesson, how many epochs without a better one end it (None: the last one stays, whatever is said of it), and the
    loss on held-out texts `before` it, where that can be told.
    """

    lesson: Lesson
    patience: int | None
    before: float | None = None


@dataclass(frozen=True)
class Exercise:
    """A base made ready to learn from texts, in float32.

    `network` is trained; its part `guesser` guesses masked tokens, by a head of random weights where it is a
    `new_guesser`. `taught` is what stays, and a `new_head` is part of it and learns at a rate of its own. `course` gives
    the context in which it is trained, the guesser being inside `asked_alone`. `in_words` is what is to be said of it.
    """

    network: Any
    guesser: Any
    taught: Any
    tokenizer: Any
    new_guesser: bool
    new_head: bool
    course: Callable[[HeldOut, int, Recipe, Say], AbstractContextManager[Course]]
    in_words: str


def guessing(base: Base, attention: str | None, attention_dropout: bool) -> Exercise:
    """The base guesses masked tokens, and the epoch that is best at it on held-out texts stays.

    A head that it lacks is drawn from torch's generator. Raises ModelError as `load_masked` does.
    """
    masked = load_masked(base, attention, attention_dropout)
    network, new = masked.network, masked.new_head

    @contextmanager
    def course(held_out: HeldOut, filler: int, recipe: Recipe, say: Say) -> Iterator[Course]:
        def validate(network: Any) -> dict[str, float]:
            loss = mean_loss(MaskedEngine(network, recipe.precision), held_out, filler)
            return {"loss": loss, "perplexity": perplexity(loss)}

        with quicker(network, recipe):
            before = validate(network.to(recipe.device))["loss"]
        say(f"before  held-out loss {before:.4f}, perplexity {perplexity(before):.1f}")
        yield Course(Lesson(validate, None, math.inf, ("perplexity",)), recipe.patience, before)

    told = "it comes without a head that guesses masked tokens, and gets a new one over its own embeddings"
    return Exercise(network, network, network, masked.tokenizer, new, new, course, told if new else "")


def detecting(base: Base, attention: str | None, attention_dropout: bool) -> Exercise:
    """The base tells which tokens its first layers guessed; the last epoch stays, for the better these guess, the harder
    that is. What guesses is not kept, nor what answers for each token.

    Arguments and errors are those of `guessing`.
    """
    network, masked = load_detector(base, attention, attention_dropout)

    @contextmanager
    def course(held_out: HeldOut, filler: int, recipe: Recipe, say: Say) -> Iterator[Course]:
        def validate(network: Any) -> dict[str, float]:
            # What is guessed is drawn alike for each epoch, and takes nothing from the draws of training.
            with torch.random.fork_rng():
                torch.manual_seed(recipe.seed)
                found = logits(MaskedEngine(network, recipe.precision, width=len(SUMS)), held_out, filler)
            return _as_told(dict(zip(SUMS, found.astype(float).sum(axis=0).tolist(), strict=True)))

        share_words(network)
        with narrow_stream(network.generator) if recipe.device == "cpu" else nullcontext():
            yield Course(Lesson(validate, None, math.inf, ("precision", "recall")), None)

    # With the part that guesses, the vectors of tokens, which it shares, would learn as fast as a new head: so it counts
    # as none.
    return Exercise(
        network, masked.network, network.encoder, masked.tokenizer, masked.new_head, False, course,
        "its first layers guess the masked tokens, and it learns which were replaced (--objective)",
    )  # fmt: skip


def _as_told(sums: dict[str, float]) -> dict[str, float]:
    return {
        "loss": sums["loss"] / sums["tokens"],
        "precision": sums["found"] / max(sums["named"], 1),
        "recall": sums["found"] / max(sums["replaced"], 1),
        "replaced": sums["replaced"] / sums["tokens"],
        "guess_perplexity": perplexity(sums["guess_loss"] / sums["guesses"]),
    }


def perplexity(loss: float) -> float:
    """Among how many tokens, all as likely, a network with this loss chooses."""
    return math.exp(loss) if loss < 700 else math.inf


EXERCISES: dict[Objective, Callable[[Base, str | None, bool], Exercise]] = {"masked": guessing, "replaced": detecting}
