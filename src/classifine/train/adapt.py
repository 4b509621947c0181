"""A base model taught by texts without labels, by one of the `objectives`: the steps are those of a classifier's training
but for what is learned.

It knows nothing about files, labels or saved folders.
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
from classifine.infer.masked import asked_alone
from classifine.model.base import Base
from classifine.model.network import quiet_transformers
from classifine.model.vocabulary import give_words, wanted_words
from classifine.say import Say
from classifine.train.choose import choose_masked
from classifine.train.hardware import attention_on, look_at_hardware
from classifine.train.masking import masked_once, masking_collator
from classifine.train.objectives import EXERCISES, Course
from classifine.train.progress import Best, Weights
from classifine.train.ready import seeded
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
    new_head: bool
    before: float | None

    @property
    def after(self) -> dict[str, float]:
        """What held-out texts say of the epoch that was kept."""
        return dict(self.training.history[self.training.best_epoch - 1]["validation"])


def fit_texts(
    texts: Texts, base: Base, config: Config, mask_share: float, say: Say, objective: Objective = "masked"
) -> Adapted:
    """Train a base on texts, a `mask_share` of whose tokens it is to guess, or to tell from the guesses of another.

    Raises ModelError where the base cannot learn this, TrainingError where it diverges.
    """
    from datasets import Dataset

    hardware, max_length = look_at_hardware(), base.max_length(config.model.max_length)
    with (
        seeded(config.train.seed),
        tempfile.TemporaryDirectory() as folder,
        quiet_transformers(),
        ExitStack() as opened,
    ):
        exercise = EXERCISES[objective](base, *attention_on(hardware))
        words = wanted_words(exercise.tokenizer, texts.train, config.model.new_words)
        weights = exercise.network.base_model.num_parameters()  # as it came: the rate is for its encoder
        tokenizer = give_words(exercise.guesser, exercise.tokenizer, words)
        recipe = choose_masked(
            config.train, hardware, len(texts.train), weights, max_length, exercise.new_head, len(words.pieces)
        )
        _tell(base, weights, exercise.in_words, recipe, mask_share, say)
        columns = encode_texts(texts.train, tokenizer, max_length)
        if cut := sum(length >= max_length for length in columns["length"]):
            say(f"        {cut} texts are that long or longer, and what is beyond is not read")
        held_out = _held_out(texts.held_out, tokenizer, max_length, mask_share, recipe.seed)
        if exercise.new_guesser:
            start_at_shares(exercise.guesser, columns["input_ids"], tokenizer.all_special_ids)
        rows, judged = Dataset.from_dict(columns), Dataset.from_dict(held_out)
        del columns  # lists of numbers take many times the memory
        opened.enter_context(asked_alone(exercise.guesser))
        course = opened.enter_context(exercise.course(held_out, pad_id(tokenizer), recipe, say))
        collate = masking_collator(tokenizer, mask_share)
        training = _trained(exercise.network, rows, judged, collate, course, recipe, folder, say)
    check_finite(exercise.network, "--learning-rate")
    return Adapted(exercise.taught, tokenizer, training, cut, exercise.new_head, course.before)


def _trained(
    network: Any, rows: Any, judged: Any, collate: Any, course: Course, recipe: Recipe, folder: str, say: Say
) -> Training:
    begun = Weights(network)
    while True:
        try:
            best = Best("loss", course.patience)
            return walk(network, rows, judged, recipe, folder, say, collate, course.lesson, best)
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


def _tell(base: Base, weights: int, told: str, recipe: Recipe, mask_share: float, say: Say) -> None:
    say(f"base    {base.name} ({weights / 1e6:.1f}M weights), from {base.origin} (--base)")
    if told:
        say(f"        {told}")
    lines = (
        *recipe.vocabulary_in_words,
        f"{recipe.epochs} epochs of {recipe.steps // recipe.epochs} steps, batches of {recipe.batch_size} (--epochs, --batch-size)",
        f"peak rate {recipe.learning_rate:g} (--learning-rate), {mask_share:.0%} of the tokens masked (--mask-share)",
        f"{recipe.precision} on the {recipe.device} (--precision), texts cut at {recipe.max_length} tokens (--max-length)",
    )
    for i, line in enumerate(lines):
        say(f"{'' if i else 'recipe':7} {line}")
