"""From three splits of text to a fitted classifier: load the base, encode, choose the recipe, train.

Both faces, the command line and the Python class, come through here. It knows nothing about files of data or
about reports.
"""

import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifine.config import Config, Train
from classifine.data.columns import Columns
from classifine.data.encode import encode, encode_names, pad_id, text_kind
from classifine.data.read import Split, paired
from classifine.decide import Decision
from classifine.labels import Labels
from classifine.model.base import Base
from classifine.model.folder import Saved
from classifine.model.network import load_base, output_bias, quiet_transformers, shift_output
from classifine.model.vocabulary import give_words, wanted_words
from classifine.say import Say
from classifine.train.account import known_after, known_before
from classifine.train.adapters import trained_weights
from classifine.train.choose import choose
from classifine.train.decided import decided
from classifine.train.few import learn, words_left
from classifine.train.hardware import attention_on, look_at_hardware
from classifine.train.lesson import targets_of, validator
from classifine.train.losses import prior_shift
from classifine.train.memory import free_memory
from classifine.train.method import Labelled, choose_method, learnable
from classifine.train.probe import Probe
from classifine.train.progress import Weights, rank
from classifine.train.recipe import Recipe
from classifine.train.similarity import Compared, learn_similarity
from classifine.train.soup import put_away, stir
from classifine.train.track import Tracking
from classifine.train.trainer import Training, train
from classifine.train.unlearned import always, guess_alike, is_unlearned, shares_of
from classifine.train.wishes import LOSS, changed, check_keep, new_words_of

if TYPE_CHECKING:
    from transformers import TrainerCallback

UNEVEN = 10  # times as many rows as another label has


@dataclass(frozen=True)
class Fitted:
    """A classifier ready to predict, as one loaded from a folder is, and the account of its training."""

    classifier: Saved
    training: Training


def fit(
    train_split: Split,
    validation_split: Split,
    columns: Columns,
    labels: Labels,
    base: Base,
    config: Config,
    say: Say,
    tracking: Tracking | None = None,
    better: Callable[[Saved, int], None] | None = None,
    judged: Callable[[Saved], dict[str, float]] | None = None,
    callbacks: Sequence["TrainerCallback"] = (),
    spare: bool = False,
) -> Fitted:
    """Train a classifier on one split, its best epoch chosen on the other; test rows never come here.

    Where the validation rows are `spare`, methods for few labels learn from them, too, once they have told what they can.

    `tracking` is told of the run, of each seed as a run of its own. `better` is called with the classifier and the number of the epoch after each epoch
    that is better than those before. `callbacks` of the Trainer see all of it. Of several seeds the best on validation
    is returned, or the average of their weights (`keep`); its record tells of all, with what `judged` said of each.
    """
    check_keep(config.train)
    seeds = range(config.train.seed, config.train.seed + config.train.seeds)
    if len(seeds) == 1:
        return _fit_once(
            train_split, validation_split, columns, labels, base, config, say, tracking, better, callbacks, spare
        ).fitted
    best, told, average = None, list[dict[str, Any]](), config.train.keep == "average"
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            say(f"seed {seed}")
            if tracking is not None:
                tracking.name_seed(seed)
            own = config.model_copy(update={"train": config.train.model_copy(update={"seed": seed})})
            tried = _fit_once(
                train_split, validation_split, columns, labels, base, own, say, tracking, better, callbacks, spare,
                head_seed=config.train.seed if average else None, shelf=Path(name) if average else None,
            )  # fmt: skip
            told.append({"seed": seed, "validation": on_validation(tried.fitted.training)})
            if judged is not None:
                told[-1]["test"] = judged(tried.fitted.classifier)
                if tracking is not None:
                    tracking.finish(told[-1]["test"])
            if best is None or _rank(tried.fitted) > _rank(best.fitted):
                best = tried
            # A GPU has room for the run to come, not for those that were.
            tried.fitted.classifier.network.to("cpu")
            del tried
            free_memory()
        assert best is not None
        best.fitted.classifier.network.to(best.fitted.training.recipe.device)
        found = _averaged(best, told, Path(name), config.train, say) if average else best.fitted
    if not average:
        say(f"seed {found.classifier.record['seed']} is the best on validation, and stays")
    record = {**found.classifier.record, "config": config.model_dump(mode="json", exclude={"search"}), "seeds": told}
    return replace(found, classifier=replace(found.classifier, record=record))


@dataclass(frozen=True)
class _Tried:
    """A run of one seed; where its weights are to be averaged with others', with the encoded rows that it learned from
    and that its epochs were judged by.
    """

    fitted: Fitted
    rows: Any
    validation: Any


def _averaged(best: _Tried, told: list[dict[str, Any]], shelf: Path, wishes: Train, say: Say) -> Fitted:
    """The best run with the average of the runs' weights in its place, where that is no worse on validation."""
    classifier, training = best.fitted.classifier, best.fitted.training
    metric, padding, task = training.recipe.metric, pad_id(classifier.tokenizer), classifier.labels.task
    order = [run["seed"] for run in sorted(told, key=lambda run: rank(metric, run["validation"]), reverse=True)]
    network = classifier.network
    before = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
    validate = validator(best.validation, padding, task, training.recipe.precision)
    soup = stir(network, [shelf / f"{seed}.safetensors" for seed in order], validate, metric)
    joined = [order[place] for place in soup.joined]
    about = {"seeds": joined, "best": soup.best, "validation": soup.reached}
    if len(joined) == 1:
        network.load_state_dict(before)
        say(f"no average with seed {joined[0]}, the best on validation, is as good there; it stays alone")
        decision, more = classifier.decision, {name: classifier.record[name] for name in ("calibration", "doubt")}
    else:
        say(
            f"the weights of seeds {', '.join(map(str, joined))} are averaged: on validation {metric} "
            f"{soup.reached[metric]:.4f}, the best alone {soup.best[metric]:.4f}"
        )
        decision, more = decided(network, best.validation, padding, task)
    alarms = training.alarms
    if in_our_way(wishes, training.recipe) and (
        alarm := _settled(network, best.rows, best.validation, soup.reached, more, say)
    ):
        alarms = (*alarms, alarm)
        decision, more = decided(network, best.validation, padding, task)
    record = {**classifier.record, "decision": decision.as_json(), **more, "soup": about, "alarms": list(alarms)}
    return Fitted(replace(classifier, record=record), replace(training, alarms=alarms))


def on_validation(training: Training) -> dict[str, float]:
    """The metrics on validation of the epoch that was kept."""
    return dict(training.history[training.best_epoch - 1]["validation"])


def _rank(found: Fitted) -> tuple[float, float]:
    """What is greater for a better seed: seeds are chosen as epochs are."""
    return rank(found.classifier.record["recipe"]["metric"], on_validation(found.training))


def _fit_once(
    train_split: Split,
    validation_split: Split,
    columns: Columns,
    labels: Labels,
    base: Base,
    config: Config,
    say: Say,
    tracking: Tracking | None,
    better: Callable[[Saved, int], None] | None,
    callbacks: Sequence["TrainerCallback"],
    spare: bool,
    head_seed: int | None = None,
    shelf: Path | None = None,
) -> _Tried:
    """One run; its head is drawn by `head_seed` where others are to begin with the same one (the Trainer itself draws
    order and dropout by the recipe's), and its weights are left on the `shelf`, as they were trained.
    """
    begin = config.train.seed if head_seed is None else head_seed
    with seeded(begin):
        network, tokenizer, recipe = ready(train_split, labels, base, config, say, spare)
        before = known_before(config, columns, base, recipe)
        if tracking is not None:
            run = {name: value for name, value in before.items() if not isinstance(value, (dict, list))}
            tracking.describe({**before["config"], "recipe": before["recipe"], "run": run})
        compared = _compared(network, tokenizer, train_split, base, recipe, begin, say)
        parts = (train_split, validation_split)
        rows, validation = (encode(part, tokenizer, labels, recipe.max_length, recipe.reading) for part in parts)
        names = encode_names(labels, tokenizer, recipe.max_length, recipe.reading) if recipe.name_rows else None
        begun = Weights(network) if recipe.all_rows else None
        with quiet_transformers(), tempfile.TemporaryDirectory() as folder, adapted(network, recipe, say) as whole:
            trained = trained_weights(network if recipe.method != "probe" else network.classifier)
            kept = None if better is None else lambda epoch: better(_so_far(before, whole(), tokenizer, labels), epoch)
            given = (network, rows, validation, pad_id(tokenizer), recipe, folder, say, kept)
            watching = [*([tracking] if tracking is not None else []), *callbacks]
            training, probe = (
                (train(*given, watching), None) if recipe.method == "finetune" else learn(*given, watching, names)
            )
        _correct_prior(network, recipe, rows)
        if shelf is not None:
            put_away(network, shelf / f"{recipe.seed}.safetensors")
        seen = _left_out(probe, rows) if recipe.method == "probe" else None

        def from_all() -> None:
            from datasets import concatenate_datasets

            nonlocal training
            assert begun is not None
            begun.restore(network)
            every = concatenate_datasets([rows, validation])
            say(f"all     learns anew from {len(every)} rows, validation rows among them (--no-all-rows)")
            with quiet_transformers(), tempfile.TemporaryDirectory() as folder, adapted(network, recipe, _quiet):
                # As the answers that the decision is fitted on came about: with names or without.
                own = names if probe is not None and probe.names else None
                last, _ = learn(network, every, None, pad_id(tokenizer), recipe, folder, _quiet, names=own, asked=False)
            _correct_prior(network, recipe, every)
            training = replace(training, seconds=round(training.seconds + last.seconds, 1))

        again = from_all if begun is not None else None
        decision, told = decided(network, validation, pad_id(tokenizer), labels.task, seen, again)
        # Of weights that others are averaged with the average is looked at.
        lonely = shelf is None and in_our_way(config.train, recipe)
        if lonely and (alarm := _settled(network, rows, validation, on_validation(training), told, say)):
            training = replace(training, alarms=(*training.alarms, alarm))
            decision, told = decided(network, validation, pad_id(tokenizer), labels.task)
    known = {"decision": decision.as_json(), **told, **known_after(training)}
    record = {**before, **known, "trained_weights": trained, "train_rows_cut": longer(rows, recipe)}
    if compared is not None:
        seconds = round(training.seconds + compared.seconds, 1)
        record |= {"pair_similarity": compared.as_json(), "train_seconds": seconds}
    if probe is not None:
        record["probe"] = {
            "strength": probe.strength, "folds": probe.folds, "loss": probe.loss, "names": probe.names,
        }  # fmt: skip
    fitted = Fitted(Saved(None, network.eval, lambda: tokenizer, labels, record), training)
    return _Tried(fitted, *((rows, validation) if shelf is not None else (None, None)))


def _correct_prior(network: Any, recipe: Recipe, rows: Any) -> None:
    if (shift := prior_shift(recipe, targets_of(rows), network.config.num_labels)) is not None:
        shift_output(network, shift)


def _quiet(line: str) -> None:
    """What was said of the first run holds for the second."""


def _compared(
    network: Any, tokenizer: Any, rows: Split, base: Base, recipe: Recipe, seed: int, say: Say
) -> Compared | None:
    """What came before the labels of pairs; None where nothing does. Runs of one head begin alike."""
    if not recipe.similarity_pairs:
        return None
    pairs = [text for text in rows.texts if not isinstance(text, str)]
    return learn_similarity(network, tokenizer, pairs, base, recipe, seed, say)


def in_our_way(wishes: Train, recipe: Recipe) -> bool:
    """Whether a network was fine-tuned to one label a text as we see fit: who wishes for more gets what that leads to."""
    as_chosen = not changed(wishes, ("epochs", "learning_rate", *LOSS))
    return as_chosen and recipe.method == "finetune" and recipe.task == "single"


def _settled(
    network: Any, rows: Any, validation: Any, reached: Mapping[str, float], told: Mapping[str, Any], say: Say
) -> str:
    """An alarm, said, where the network learned nothing, which then gives every text the guess that is right most often."""
    shares, truth = shares_of(targets_of(rows), network.config.num_labels), targets_of(validation)
    unlearned = is_unlearned(reached, told["calibration"]["after"]["nll"], truth, shares)
    if not (unlearned and guess_alike(network, shares)):
        return ""
    alarm = (
        f"Nothing was learned that holds for validation rows (accuracy {reached['accuracy']:.3f}; the most frequent label "
        f"for all {always(truth, shares):.3f}), so every text gets that label, with its share as score. Check "
        "the labels, give more rows, or name --epochs or --learning-rate to get the network as it was trained."
    )
    say(f"ALARM {alarm}")
    return alarm


def longer(rows: Any, recipe: Recipe) -> int:
    """How many rows are longer than what is read at once; without windows one that fills all places is taken for longer."""
    return int((np.array(rows["length"][:]) >= recipe.max_length + (recipe.long == "windows")).sum())


def _left_out(probe: Probe | None, rows: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """(logits, truth) of train rows by probes that had not seen them, where cross-validation was possible."""
    return None if probe is None or not probe.folds else (probe.out_of_fold, targets_of(rows))


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


def _so_far(before: dict[str, Any], network: Any, tokenizer: Any, labels: Labels) -> Saved:
    """The classifier in the middle of its training, its decision not fitted yet."""
    return Saved(
        None, lambda: network, lambda: tokenizer, labels, {**before, "decision": Decision(labels.task).as_json()}
    )


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
