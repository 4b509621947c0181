"""A base model taught the words of the user's own texts: it guesses masked tokens of them, as in its pre-training, or
tells which of their tokens somebody else guessed.

Gururangan et al. 2020, "Don't Stop Pretraining" (arXiv 2004.10964); Clark et al. 2020, "ELECTRA" (arXiv 2003.10555). The
steps are those of a classifier's training but for what is learned. It knows nothing about files, labels or saved folders.
"""

import math
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch

from classifine.config import Config, Objective
from classifine.data.encode import encode_texts, pad_id
from classifine.data.texts import Texts
from classifine.errors import DataError
from classifine.infer.forward import logits
from classifine.infer.masked import MaskedEngine, asked_alone, mean_loss
from classifine.model.base import Base
from classifine.model.masked import load_masked
from classifine.model.network import quiet_transformers
from classifine.model.vocabulary import give_words, wanted_words
from classifine.say import Say
from classifine.train.choose import choose_masked
from classifine.train.detector import SUMS, load_detector, share_words
from classifine.train.fit import seeded
from classifine.train.hardware import attention_on, look_at_hardware
from classifine.train.lesson import Lesson, Validate
from classifine.train.masking import masked_once, masking_collator
from classifine.train.progress import Best, Weights
from classifine.train.quicker import narrow_stream, quicker
from classifine.train.recipe import Recipe
from classifine.train.start import start_at_shares
from classifine.train.trainer import Training, check_finite, in_parts, start_over, walk

# Held-out texts are masked anew until so many tokens were: the standard error of their loss is then near 0.06 nats.
JUDGED_TOKENS, MOST_TIMES = 2000, 20


@dataclass(frozen=True)
class Adapted:
    """A base with what its training left behind; `before` is its loss on held-out texts as it came, in nats a token.

    `network` guesses masked tokens, where that is what it learned, by a `new_head` if it came without one; else it is an
    encoder without a head, and nothing is known of it `before`. `cut` is the number of texts that were longer than the
    recipe's `max_length`, or as long.
    """

    network: Any
    tokenizer: Any
    training: Training
    cut: int
    new_head: bool = False
    before: float | None = None

    @property
    def after(self) -> dict[str, float]:
        """What held-out texts say of the epoch that was kept."""
        return dict(self.training.history[self.training.best_epoch - 1]["validation"])


def fit_texts(
    texts: Texts, base: Base, config: Config, mask_share: float, say: Say, objective: Objective = "masked"
) -> Adapted:
    """Train a base on texts, a `mask_share` of whose tokens it is to guess, or to tell from the guesses of another.

    Of guesses the epoch that is best on the held-out stays, else the last: the better the other one guesses, the harder
    they are to tell. Raises ModelError where the base cannot learn this, TrainingError where it diverges.
    """
    from datasets import Dataset

    hardware, max_length = look_at_hardware(), base.max_length(config.model.max_length)
    detecting = objective == "replaced"
    with (
        seeded(config.train.seed),
        tempfile.TemporaryDirectory() as folder,
        quiet_transformers(),
        ExitStack() as opened,
    ):
        network, guessing, tokenizer, new_head = (_detector if detecting else _guesser)(base, *attention_on(hardware))
        words = wanted_words(tokenizer, texts.train, config.model.new_words)
        weights = network.base_model.num_parameters()  # as it came: the rate is for its encoder
        tokenizer = give_words(guessing, tokenizer, words)
        # With the part that guesses the vectors of tokens, which it shares, would learn as fast as a new head.
        recipe = choose_masked(
            config.train, hardware, len(texts.train), weights, max_length, new_head and not detecting, len(words.pieces)
        )
        _tell(base, weights, new_head, recipe, mask_share, objective, say)
        columns = encode_texts(texts.train, tokenizer, max_length)
        if cut := sum(length >= max_length for length in columns["length"]):
            say(f"        {cut} texts are that long or longer, and what is beyond is not read")
        held_out = _held_out(texts.held_out, tokenizer, max_length, mask_share, recipe.seed)
        if new_head:
            start_at_shares(guessing, columns["input_ids"], tokenizer.all_special_ids)
        rows, judged = Dataset.from_dict(columns), Dataset.from_dict(held_out)
        del columns  # lists of numbers take many times the memory
        opened.enter_context(asked_alone(guessing))
        before, filler = None, pad_id(tokenizer)
        if detecting:
            share_words(network)
            if recipe.device == "cpu":
                opened.enter_context(narrow_stream(guessing))
            lesson = Lesson(_answers(held_out, filler, recipe), None, math.inf, ("precision", "recall"))
        else:
            validate = _guesses(held_out, filler, recipe.precision)
            with quicker(network, recipe):
                before = validate(network.to(recipe.device))["loss"]
            say(f"before  held-out loss {before:.4f}, perplexity {perplexity(before):.1f}")
            lesson = Lesson(validate, None, math.inf, ("perplexity",))
        collate, patience = masking_collator(tokenizer, mask_share), None if detecting else recipe.patience
        training = _trained(network, rows, judged, collate, lesson, patience, recipe, folder, say)
    check_finite(network, "--learning-rate")
    if detecting:
        return Adapted(network.encoder, tokenizer, training, cut)
    return Adapted(network, tokenizer, training, cut, new_head, before)


def _guesser(base: Base, *given: Any) -> tuple[Any, Any, Any, bool]:
    """(what is trained, what of it guesses masked tokens, tokenizer, whether that guesses by a new head)."""
    masked = load_masked(base, *given)
    return masked.network, masked.network, masked.tokenizer, masked.new_head


def _detector(base: Base, *given: Any) -> tuple[Any, Any, Any, bool]:
    network, masked = load_detector(base, *given)
    return network, masked.network, masked.tokenizer, masked.new_head


def perplexity(loss: float) -> float:
    """Among how many tokens, all as likely, a network with this loss chooses."""
    return math.exp(loss) if loss < 700 else math.inf


def _trained(
    network: Any, rows: Any, judged: Any, collate: Any, lesson: Lesson, patience: int | None, recipe: Recipe, folder: str,
    say: Say,
) -> Training:  # fmt: skip
    begun = Weights(network)
    while True:
        try:
            return walk(network, rows, judged, recipe, folder, say, collate, lesson, Best("loss", patience))
        except torch.OutOfMemoryError:
            recipe = in_parts(recipe, say)
        start_over(network, begun)


def _held_out(texts: Any, tokenizer: Any, max_length: int, share: float, seed: int) -> dict[str, list[list[int]]]:
    """The held-out texts with masks, several times where they are few; DataError where they have no token to mask."""
    columns = encode_texts(texts, tokenizer, max_length)
    tokens = sum(columns["length"])
    times = min(max(1, math.ceil(JUDGED_TOKENS / (share * tokens))), MOST_TIMES)
    result: dict[str, list[list[int]]] = {}
    for time in range(times):
        for name, values in masked_once(columns, tokenizer, share, seed + time).items():
            result.setdefault(name, []).extend(values)
    if not any(map(any, result["targets"])):
        raise DataError("The texts held out have no words to guess; expected some. Give longer texts, or more of them.")
    return result


def _guesses(held_out: dict[str, list[list[int]]], filler: int, precision: str) -> Validate:
    def validate(network: Any) -> dict[str, float]:
        loss = mean_loss(MaskedEngine(network, precision), held_out, filler)
        return {"loss": loss, "perplexity": perplexity(loss)}

    return validate


def _answers(held_out: dict[str, list[list[int]]], filler: int, recipe: Recipe) -> Validate:
    def validate(network: Any) -> dict[str, float]:
        # What the other one guesses is drawn alike for each epoch, and takes nothing from the draws of training.
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            found = logits(MaskedEngine(network, recipe.precision, width=len(SUMS)), held_out, filler)
        sums = dict(zip(SUMS, found.astype(float).sum(axis=0), strict=True))
        return {
            "loss": float(sums["loss"] / sums["tokens"]),
            "precision": float(sums["found"] / max(sums["named"], 1)),
            "recall": float(sums["found"] / max(sums["replaced"], 1)),
            "replaced": float(sums["replaced"] / sums["tokens"]),
            "guess_perplexity": perplexity(float(sums["guess_loss"] / sums["guesses"])),
        }

    return validate


def _tell(
    base: Base, weights: int, new_head: bool, recipe: Recipe, mask_share: float, objective: Objective, say: Say
) -> None:
    say(f"base    {base.name} ({weights / 1e6:.1f}M weights), from {base.origin} (--base)")
    if new_head and objective == "masked":
        say("        it comes without a head that guesses masked tokens, and gets a new one over its own embeddings")
    if objective == "replaced":
        say(
            f"        its first layers guess {mask_share:.0%} of the tokens, and it learns which were replaced (--objective)"
        )
    lines = (
        *recipe.vocabulary_in_words,
        f"{recipe.epochs} epochs of {recipe.steps // recipe.epochs} steps, batches of {recipe.batch_size} (--epochs, --batch-size)",
        f"peak rate {recipe.learning_rate:g} (--learning-rate), {mask_share:.0%} of the tokens masked (--mask-share)",
        f"{recipe.precision} on the {recipe.device} (--precision), texts cut at {recipe.max_length} tokens (--max-length)",
    )
    for i, line in enumerate(lines):
        say(f"{'' if i else 'recipe':7} {line}")
