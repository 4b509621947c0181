"""What a training begins with: a network on a base and the recipe for its rows, said aloud; its adapters; the seed.

It knows nothing about what becomes of them.
"""

import contextlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from classifine.config import Config
from classifine.data.encode import text_kind
from classifine.data.read import Split, paired
from classifine.labels import Labels
from classifine.model.base import Base
from classifine.model.network import load_base, output_bias
from classifine.model.vocabulary import give_words, wanted_words
from classifine.say import Say
from classifine.train.adapters import trained_weights
from classifine.train.choose import choose
from classifine.train.few import words_left
from classifine.train.hardware import attention_on, look_at_hardware
from classifine.train.method import Labelled, choose_method, learnable
from classifine.train.recipe import Recipe
from classifine.train.wishes import changed, new_words_of

UNEVEN = 10  # times as many rows as another label has


def ready(
    rows: Split, labels: Labels, base: Base, config: Config, say: Say, spare: bool = False, method_known: bool = False
) -> tuple[Any, Any, Recipe]:
    """(network, tokenizer, recipe) for these training rows, said aloud; the head comes from torch's generator.

    Where the method is `method_known`, as the caller said it or nobody asked for one, no line tells it.
    """
    hardware = look_at_hardware()
    max_length = base.max_length(config.model.max_length)
    data = Labelled(*learnable(rows.names), labels.task, paired(rows), base.pooling is not None)
    method, why = choose_method(config.train, config.model, data)
    # A probe reads the text that is summed up; what fine-tuning reads is the family's own choice.
    pooling = None if method == "finetune" else base.pooling or "mean"
    network, tokenizer = load_base(base, labels, *attention_on(hardware), pooling)
    if config.train.correct_prior:
        output_bias(network)  # which training is not to find missing in the end
    words = wanted_words(tokenizer, rows.texts, new_words_of(config.model, method))
    weights = network.num_parameters()  # as it came: the rate is for its encoder
    tokenizer = give_words(network, tokenizer, words)
    kind = text_kind(rows.texts, tokenizer, max_length)
    recipe = choose(
        config.train, hardware, len(rows), weights, max_length, labels.task, kind, config.model, method,
        base.pooling is not None, len(words.pieces), spare, len(labels.as_texts()),
    )  # fmt: skip
    say(f"base    {base.name} ({weights / 1e6:.1f}M weights), from {base.origin} (--base)")
    if not method_known:
        say(f"method  {method}: {why} (--method)")
    for i, line in enumerate(recipe.lines()):
        say(f"{'recipe' if i == 0 else '':7} {line}")
    if 0 < recipe.steps <= recipe.warmup_steps:
        say(
            f"hint    the warm-up of {recipe.warmup_steps} steps is as long as the run ({recipe.steps}), so the peak rate is "
            "never reached: lower --warmup, or give it as a share such as 0.1"
        )
    as_they_come = recipe.class_weights == "none" and recipe.sampling == "natural"
    if method in ("finetune", "lp-ft") and as_they_come and (hint := uneven(rows.labels)):
        say(f"hint    {hint}")
    if recipe.keeps_last and changed(config.train, ("metric", "patience")):
        say(f"warning --metric and --patience choose the best epoch, and {method} keeps the last (--method finetune)")
    return network, tokenizer, recipe


def uneven(labels: Sequence[Any]) -> str:
    """A hint where one label is far more frequent than another; nothing where they are even, several a row, or numbers."""
    if not all(isinstance(label, str) for label in labels):
        return ""
    found = Counter(labels).most_common()
    (most, often), (least, seldom) = found[0], found[-1]
    if often < UNEVEN * seldom:
        return ""
    return (
        f"'{most}' has {often} rows, '{least}' {seldom}: where rare labels matter as much as frequent ones, try "
        "--class-weights balanced (or sqrt), and compare macro_f1"
    )


@contextlib.contextmanager
def adapted(network: Any, recipe: Recipe, say: Say) -> Iterator[Callable[[], Any]]:
    """The network with the recipe's adapters, if it has any, while the context is open; they are merged in the end.
    Without them the vectors of its tokens learn or not, as the recipe says.

    Gives a function that tells the network as it is to be saved while training goes on.
    """
    if recipe.adapters is None:
        with words_left(network, recipe):
            yield lambda: network
        return
    every = network.num_parameters()
    with recipe.adapters.on(network) as whole:
        say(
            f"adapter {trained_weights(network) / 1e6:.2f}M weights are trained, the head among them, beside {every / 1e6:.1f}M"
        )
        yield whole


def longer(rows: Any, recipe: Recipe) -> int:
    """How many rows are longer than what is read at once; without windows one that fills all places is taken for longer."""
    return int((np.array(rows["length"][:]) >= recipe.max_length + (recipe.long == "windows")).sum())


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every generator that head, order and dropout follow from; the caller's own are as before afterwards."""
    import torch
    from transformers import set_seed

    ours, arrays = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        set_seed(seed)
        try:
            yield
        finally:
            random.setstate(ours)
            np.random.set_state(arrays)
