"""A base model taught the words of the user's own texts: it guesses masked tokens of them, as in its pre-training.

Gururangan et al. 2020, "Don't Stop Pretraining" (arXiv 2004.10964). The steps are those of a classifier's training but for
what is learned. It knows nothing about files, labels or saved folders.
"""

import math
import tempfile
from dataclasses import dataclass, replace
from typing import Any

import torch

from classifine.config import Config
from classifine.data.encode import encode_texts, pad_id
from classifine.data.texts import Texts
from classifine.errors import DataError
from classifine.infer.masked import MaskedEngine, asked_alone, mean_loss
from classifine.model.base import Base
from classifine.model.masked import Masked, load_masked
from classifine.model.network import quiet_transformers
from classifine.model.vocabulary import give_words, wanted_words
from classifine.say import Say
from classifine.train.choose import choose_masked
from classifine.train.fit import seeded
from classifine.train.hardware import attention_on, look_at_hardware
from classifine.train.lesson import Lesson, Validate
from classifine.train.masking import masked_once, masking_collator
from classifine.train.progress import Best, Weights
from classifine.train.quicker import quicker
from classifine.train.recipe import Recipe
from classifine.train.start import start_at_shares
from classifine.train.trainer import Training, check_finite, in_parts, start_over, walk

# Held-out texts are masked anew until so many tokens were: the standard error of their loss is then near 0.06 nats.
JUDGED_TOKENS, MOST_TIMES = 2000, 20


@dataclass(frozen=True)
class Adapted:
    """A base with what its training left behind; `before` is its loss on held-out texts as it came, in nats a token.

    `cut` is the number of texts that were longer than the recipe's `max_length`, or as long.
    """

    masked: Masked
    training: Training
    before: float
    cut: int

    @property
    def after(self) -> float:
        """The same of the epoch that was kept."""
        return float(self.training.history[self.training.best_epoch - 1]["validation"]["loss"])


def fit_masked(texts: Texts, base: Base, config: Config, mask_share: float, say: Say) -> Adapted:
    """Train a base on texts, a `mask_share` of whose tokens it is to guess; the epoch that is best on the held-out stays.

    Raises ModelError where the base cannot learn this, TrainingError where it diverges.
    """
    from datasets import Dataset

    hardware, max_length = look_at_hardware(), base.max_length(config.model.max_length)
    with seeded(config.train.seed), tempfile.TemporaryDirectory() as folder, quiet_transformers():
        masked = load_masked(base, *attention_on(hardware))
        network = masked.network
        words = wanted_words(masked.tokenizer, texts.train, config.model.new_words)
        weights = network.num_parameters()  # as it came: the rate is for its encoder
        tokenizer = give_words(network, masked.tokenizer, words)
        masked = replace(masked, tokenizer=tokenizer)
        recipe = choose_masked(
            config.train, hardware, len(texts.train), weights, max_length, masked.new_head,
            len(words.pieces),
        )  # fmt: skip
        _tell(base, masked, recipe, mask_share, say)
        columns = encode_texts(texts.train, tokenizer, max_length)
        if cut := sum(length >= max_length for length in columns["length"]):
            say(f"        {cut} texts are that long or longer, and what is beyond is not read")
        held_out = _held_out(texts.held_out, tokenizer, max_length, mask_share, recipe.seed)
        if masked.new_head:
            start_at_shares(network, columns["input_ids"], tokenizer.all_special_ids)
        rows, judged = Dataset.from_dict(columns), Dataset.from_dict(held_out)
        del columns  # lists of numbers take many times the memory
        validate = _validator(held_out, pad_id(tokenizer), recipe.precision)
        with asked_alone(network):
            with quicker(network, recipe):
                before = validate(network.to(recipe.device))["loss"]
            say(f"before  held-out loss {before:.4f}, perplexity {perplexity(before):.1f}")
            training = _trained(
                network, rows, judged, masking_collator(tokenizer, mask_share), validate, recipe, folder, say
            )
    check_finite(network, "--learning-rate")
    return Adapted(masked, training, before, cut)


def perplexity(loss: float) -> float:
    """Among how many tokens, all as likely, a network with this loss chooses."""
    return math.exp(loss) if loss < 700 else math.inf


def _trained(
    network: Any, rows: Any, judged: Any, collate: Any, validate: Validate, recipe: Recipe, folder: str, say: Say
) -> Training:
    begun, lesson = Weights(network), Lesson(validate, None, math.inf, ("perplexity",))
    while True:
        try:
            return walk(network, rows, judged, recipe, folder, say, collate, lesson, Best("loss", recipe.patience))
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


def _validator(held_out: dict[str, list[list[int]]], filler: int, precision: str) -> Validate:
    def validate(network: Any) -> dict[str, float]:
        loss = mean_loss(MaskedEngine(network, precision), held_out, filler)
        return {"loss": loss, "perplexity": perplexity(loss)}

    return validate


def _tell(base: Base, masked: Masked, recipe: Recipe, mask_share: float, say: Say) -> None:
    say(f"base    {base.name} ({masked.network.num_parameters() / 1e6:.1f}M weights), from {base.origin} (--base)")
    if masked.new_head:
        say("        it comes without a head that guesses masked tokens, and gets a new one over its own embeddings")
    lines = (
        *recipe.vocabulary_in_words,
        f"{recipe.epochs} epochs of {recipe.steps // recipe.epochs} steps, batches of {recipe.batch_size} (--epochs, --batch-size)",
        f"peak rate {recipe.learning_rate:g} (--learning-rate), {mask_share:.0%} of the tokens masked (--mask-share)",
        f"{recipe.precision} on the {recipe.device} (--precision), texts cut at {recipe.max_length} tokens (--max-length)",
    )
    for i, line in enumerate(lines):
        say(f"{'' if i else 'recipe':7} {line}")
