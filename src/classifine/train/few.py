"""Few labels: the head of a network that sums up texts is a probe on what its encoder makes of them.

It stands in place of all training (probe), before and after it (lp-ft), or after the encoder was adapted to the labels
(contrastive). This file knows nothing about texts or folders.
"""

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import concatenate_datasets
from numpy.typing import NDArray

from classifine import metrics
from classifine.infer.embed import of_length_one
from classifine.infer.forward import logits
from classifine.infer.torch_engine import EncoderEngine
from classifine.say import Say
from classifine.train.contrast import pair_loss
from classifine.train.lesson import Validate, input_columns, labelled, targets_of, validator
from classifine.train.probe import END, START, STRENGTHS, Probe, fit_head, fit_probe, joined
from classifine.train.progress import Kept, spoken
from classifine.train.recipe import Recipe
from classifine.train.trainer import Training, check_finite, train
from classifine.windows import pooled, taken_apart


def learn(
    network: Any,
    rows: Any,
    validation: Any,
    pad_id: int,
    recipe: Recipe,
    folder: str,
    say: Say,
    kept: Kept | None = None,
    callbacks: Sequence[Any] = (),
    names: Any | None = None,
    asked: bool = True,
) -> tuple[Training, Probe]:
    """Fit a `model.pooled` network in place by one of the methods for few labels; arguments as `trainer.train` has them.

    The probe that comes with it is the one on the encoder as it came. Without `validation` rows nothing is judged, and
    the history tells of losses alone. `names`, what the labels are called, as `data.encode.encode_names` makes them, are
    learned from as rows are, unless the probe is clearly the worse for it on rows left out, if these are `asked`.
    """
    start = time.monotonic()
    network.to(recipe.device)
    assert recipe.task is not None
    targets, count = targets_of(rows), network.config.num_labels
    found = features(network, rows, pad_id, recipe.precision)
    strengths = (START,) if recipe.method == "lp-ft" else STRENGTHS
    called = None if names is None else features(network, names, pad_id, recipe.precision)
    probe = fit_probe(found, targets, count, recipe.task, recipe.seed, strengths, called, asked)
    put_head(network, probe.weight, probe.bias)
    say(f"probe   {_in_words(probe, len(targets), called is not None)}")
    names = names if probe.names else None
    seconds = time.monotonic() - start
    if recipe.method == "probe":
        judge = _unjudged if validation is None else validator(validation, pad_id, recipe.task, recipe.precision)
        training = _judged(network, targets, judge, recipe, probe, start, say)
        if kept:
            kept(1)
        return training, probe

    held = rows if validation is None else validation
    every = rows
    if names is not None and recipe.names_trained_on:
        every = _with_names(rows, names, probe.names, recipe.seed)
    recipe = recipe.over(len(every))
    lesson = labelled(every, held, pad_id, recipe, count)
    if validation is None:
        recipe, lesson = replace(recipe, metric="loss"), replace(lesson, validate=_unjudged, guess=None, shown=())
    judge = lesson.validate
    last = probe.strength if recipe.method == "contrastive" else END
    called_in_head = names if names is None or recipe.method == "contrastive" else _absent(names, targets)

    def with_head(network: Any) -> dict[str, float]:
        taught = features(network, rows, pad_id, recipe.precision), targets
        if called_in_head:
            own = features(network, called_in_head, pad_id, recipe.precision), targets_of(called_in_head)
            taught = joined(taught, own, probe.names)
        if not np.isfinite(taught[0]).all():
            return judge(network)  # it diverged, and no head can be fitted to that
        put_head(network, *fit_head(*taught, count, last))
        return judge(network)

    if recipe.method == "contrastive":
        # What it learns is no answer, so a head is fitted whenever answers are asked for.
        lesson = replace(
            lesson, validate=with_head if validation is not None else _unjudged, guess=None,
            loss=lambda given, own: pair_loss(given.features, own),
        )  # fmt: skip
    training = train(network, every, held, pad_id, recipe, folder, say, kept, callbacks, lesson)
    # A head that answers cost something else stays as it was trained.
    if not recipe.has_cost if recipe.method == "lp-ft" else validation is None:
        training = training.reaching(with_head(network))
    return replace(training, seconds=round(seconds + training.seconds, 1)), probe


def _with_names(rows: Any, names: Any, times: int, seed: int) -> Any:
    """Rows with names of their labels behind them, each so many times.

    In batches, which are of rows of like length, names are to stand among the rows rather than among their own copies: so
    they are said to be as long as some of these.
    """
    copies = concatenate_datasets([names] * times)
    lengths = np.random.default_rng(seed).choice(rows["length"][:], len(copies))
    copies = copies.remove_columns("length").add_column("length", lengths.tolist())
    return concatenate_datasets([rows, copies])


def _absent(names: Any, targets: NDArray[Any]) -> Any:
    """The names, as encoded, whose labels have no row.

    An encoder that was trained on names as well makes the better head of rows alone (AG News 0.823, with names 0.821, over
    two draws), but a label without rows has nothing else.
    """
    return names.select(np.flatnonzero(~np.isin(targets_of(names), targets)))


@contextlib.contextmanager
def words_left(network: Any, recipe: Recipe) -> Iterator[None]:
    """The network while it is trained as the recipe says, with the vectors of its tokens as they are or not."""
    if not recipe.leaves_words:
        yield
        return
    vectors = network.get_input_embeddings().weight
    vectors.requires_grad_(False)
    try:
        yield
    finally:
        vectors.requires_grad_(True)


def features(network: Any, rows: Any, pad_id: int, precision: str) -> NDArray[np.float32]:
    """What the encoder makes of encoded rows: vectors (rows, width) of length 1."""
    engine = EncoderEngine(network.encoder, precision, network.pooling)
    # Of windows each has its vector of length 1 before they are pooled, as the network has it.
    columns, counts = taken_apart(input_columns(rows))
    return np.stack(list(pooled(of_length_one(logits(engine, columns, pad_id)), counts)))


@torch.no_grad()
def put_head(network: Any, weight: NDArray[Any], bias: NDArray[Any]) -> None:
    """Let the head of a network be this one."""
    network.classifier.weight.copy_(torch.from_numpy(weight))
    network.classifier.bias.copy_(torch.from_numpy(bias))


def _unjudged(network: Any) -> dict[str, float]:
    return {"loss": math.nan}


def _judged(
    network: Any, targets: NDArray[Any], judge: Validate, recipe: Recipe, probe: Probe, start: float, say: Say
) -> Training:
    """The account of a probe, in the form of one epoch; its training loss is that on rows left out."""
    assert recipe.task is not None
    check_finite(network)
    found = judge(network)
    seconds = max(time.monotonic() - start, 1e-9)
    epoch = {"epoch": 1, "train_loss": probe.loss, "validation": found, "seconds": round(seconds, 1)}
    if judge is not _unjudged:
        say(f"probe   validation {spoken(found, metrics.HEADLINE[recipe.task][:2])}")
    return Training(recipe, (epoch,), 1, (), round(seconds, 1), round(len(targets) / seconds, 1))


def _in_words(probe: Probe, rows: int, named: bool) -> str:
    how = f"rows left out in {probe.folds} parts" if probe.folds else "the same rows"
    names = ""
    if named:
        names = (
            f" and the names of the labels, {probe.names} times each," if probe.names else ", without names of labels,"
        )
    return f"fitted to {rows} rows{names} with C {probe.strength:g}; loss {probe.loss:.4f} on {how}"
