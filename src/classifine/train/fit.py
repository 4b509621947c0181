"""From three splits of text to a fitted classifier: load the base, encode, choose the recipe, train.

Both faces, the command line and the Python class, come through here. It knows nothing about files of data or
about reports.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from classifine.config import Config
from classifine.data.columns import Columns
from classifine.data.encode import encode, encode_names, pad_id
from classifine.data.read import Split
from classifine.decide import Decision
from classifine.labels import Labels
from classifine.model.base import Base
from classifine.model.folder import Saved
from classifine.model.network import quiet_transformers, shift_output
from classifine.say import Say
from classifine.train.account import Fitted, known_after, known_before, on_validation
from classifine.train.adapters import trained_weights
from classifine.train.decided import decided
from classifine.train.few import learn
from classifine.train.lesson import targets_of, validator
from classifine.train.losses import prior_shift
from classifine.train.probe import Probe
from classifine.train.progress import Weights
from classifine.train.ready import adapted, longer, ready, seeded
from classifine.train.recipe import Recipe
from classifine.train.several import Ensemble, Tried, from_seeds
from classifine.train.similarity import Compared, learn_similarity
from classifine.train.soup import put_away
from classifine.train.track import Tracking
from classifine.train.trainer import Training, train
from classifine.train.unlearned import in_our_way, settled
from classifine.train.wishes import check_keep

if TYPE_CHECKING:
    from transformers import TrainerCallback


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
    is returned, or what `keep` makes of all; its record tells of all, with what `judged` said of each.
    """
    check_keep(config.train)

    job = _Job(train_split, validation_split, columns, labels, base, say, tracking, better, callbacks, spare)

    def once(own: Config, **more: Any) -> Tried:
        return _fit_once(job, own, **more)

    if config.train.seeds == 1:
        return once(config).fitted
    return from_seeds(config, once, say, tracking, judged)


@dataclass(frozen=True)
class _Job:
    """What is the same for each seed: rows and labels, the base, and who is told of the run.

    Validation rows are `spare` where methods for few labels may learn from them, too.
    """

    train: Split
    validation: Split
    columns: Columns
    labels: Labels
    base: Base
    say: Say
    tracking: Tracking | None
    better: Callable[[Saved, int], None] | None
    callbacks: Sequence["TrainerCallback"]
    spare: bool


@dataclass(frozen=True)
class _Begun:
    """A run before its first step: the network with the encoded rows, and what the record knows of it by now.

    `names` are those of the labels, encoded, where the head learns from them, and `weights` are those that the network
    begins with, where it is to begin anew.
    """

    network: Any
    tokenizer: Any
    recipe: Recipe
    rows: Any
    validation: Any
    names: Any | None
    weights: Weights | None
    before: dict[str, Any]
    compared: Compared | None

    @property
    def padding(self) -> int:
        return pad_id(self.tokenizer)


def _fit_once(
    job: _Job,
    config: Config,
    head_seed: int | None = None,
    shelf: Path | None = None,
    rows_kept: bool = False,
    teacher: Ensemble | None = None,
) -> Tried:
    """One run; its head is drawn by `head_seed` where others are to begin with the same one (the Trainer itself draws
    order and dropout by the recipe's), and its weights are left on the `shelf`, as they were trained. With a `teacher`
    it learns from rows what that answers.
    """
    seed = config.train.seed if head_seed is None else head_seed
    with seeded(seed):
        begun = _begin(job, config, seed)
        training, probe, trained = _learn(job, begun, teacher)
        if shelf is not None:
            put_away(begun.network, shelf / f"{begun.recipe.seed}.safetensors")
        # Of weights that others are averaged with the average is looked at.
        lonely = shelf is None and in_our_way(config.train, begun.recipe)
        training, known, guesses = _decide(job, begun, training, probe, lonely)
    record = {**begun.before, **known, **known_after(training), "trained_weights": trained}
    record["train_rows_cut"] = longer(begun.rows, begun.recipe)
    record |= _known_of_starts(training, begun.compared, probe)
    tokenizer = begun.tokenizer  # alone: the classifier is not to hold the rows that it learned from
    saved = Saved(None, begun.network.eval, lambda: tokenizer, job.labels, record)
    rows, validation = (begun.rows, begun.validation) if rows_kept else (None, None)
    return Tried(Fitted(saved, training), rows, validation, guesses)


def _begin(job: _Job, config: Config, seed: int) -> _Begun:
    """Network, recipe and encoded rows; the run is described to who tracks it, and pairs are compared first."""
    network, tokenizer, recipe = ready(job.train, job.labels, job.base, config, job.say, job.spare)
    before = known_before(config, job.columns, job.base, recipe)
    if job.tracking is not None:
        run = {name: value for name, value in before.items() if not isinstance(value, (dict, list))}
        job.tracking.describe({**before["config"], "recipe": before["recipe"], "run": run})
    compared = _compared(network, tokenizer, job.train, job.base, recipe, seed, job.say)
    rows, validation = (
        encode(part, tokenizer, job.labels, recipe.max_length, recipe.reading) for part in (job.train, job.validation)
    )
    names = encode_names(job.labels, tokenizer, recipe.max_length, recipe.reading) if recipe.name_rows else None
    weights = Weights(network) if recipe.all_rows else None
    return _Begun(network, tokenizer, recipe, rows, validation, names, weights, before, compared)


def _learn(job: _Job, begun: _Begun, teacher: Ensemble | None) -> tuple[Training, Probe | None, int]:
    """The network trained in place, by the labels or what a `teacher` answers, and how often labels come corrected:
    (account, probe where the method fits one, how many weights were trained).
    """
    network, recipe, better = begun.network, begun.recipe, job.better
    with quiet_transformers(), tempfile.TemporaryDirectory() as folder, adapted(network, recipe, job.say) as whole:
        trained = trained_weights(network if recipe.method != "probe" else network.classifier)
        kept = None if better is None else lambda epoch: better(_so_far(begun, whole(), job.labels), epoch)
        rows, lesson = begun.rows, None
        if teacher is not None:
            rows, lesson = teacher.lesson(network, rows, begun.validation, begun.padding, recipe)
        given = (network, rows, begun.validation, begun.padding, recipe, folder, job.say, kept)
        watching = [*([job.tracking] if job.tracking is not None else []), *job.callbacks]
        training, probe = (
            (train(*given, watching, lesson), None)
            if recipe.method == "finetune"
            else learn(*given, watching, begun.names)
        )
    if teacher is None:  # whose answers are corrected already
        _correct_prior(network, recipe, begun.rows)
    return training, probe, trained


def _decide(
    job: _Job, begun: _Begun, training: Training, probe: Probe | None, lonely: bool
) -> tuple[Training, dict[str, Any], bool]:
    """(account, what the record tells of the decision, whether every text gets the same guess) of a network that was
    trained. On the way it learns anew from all rows where the recipe says so, and one that is `lonely` is made to guess
    where it learned nothing.
    """
    network, recipe, task = begun.network, begun.recipe, job.labels.task
    seen = _left_out(probe, begun.rows) if recipe.method == "probe" else None

    def from_all() -> None:
        nonlocal training
        assert begun.weights is not None
        begun.weights.restore(network)
        # As the answers that the decision is fitted on came about: with names or without.
        own = begun.names if probe is not None and probe.names else None
        more = _learn_all(network, (begun.rows, begun.validation), begun.padding, recipe, own, job.say)
        training = replace(training, seconds=round(training.seconds + more, 1))

    again = from_all if begun.weights is not None else None
    decision, told = decided(network, begun.validation, begun.padding, task, seen, again)
    alarm = ""
    if lonely:
        alarm = settled(network, begun.rows, begun.validation, on_validation(training), told, job.say)
    if alarm:
        decision, told = decided(network, begun.validation, begun.padding, task)
        now = validator(begun.validation, begun.padding, task, recipe.precision)(network)
        training = replace(training, alarms=(*training.alarms, alarm)).reaching(now)
    return training, {"decision": decision.as_json(), **told}, bool(alarm)


def _known_of_starts(training: Training, compared: Compared | None, probe: Probe | None) -> dict[str, Any]:
    """What of the record is of what came before the steps of all weights: how alike pairs are, and the head."""
    found: dict[str, Any] = {}
    if compared is not None:
        seconds = round(training.seconds + compared.seconds, 1)
        found |= {"pair_similarity": compared.as_json(), "train_seconds": seconds}
    if probe is not None:
        names = ("strength", "folds", "loss", "names")
        found["probe"] = {name: getattr(probe, name) for name in names}
    return found


def _learn_all(network: Any, parts: tuple[Any, Any], padding: int, recipe: Recipe, names: Any, say: Say) -> float:
    """The seconds of learning anew, as the network began, from train and validation rows."""
    from datasets import concatenate_datasets

    every = concatenate_datasets(list(parts))
    say(f"all     learns anew from {len(every)} rows, validation rows among them (--no-all-rows)")
    with quiet_transformers(), tempfile.TemporaryDirectory() as folder, adapted(network, recipe, _quiet):
        last, _ = learn(network, every, None, padding, recipe, folder, _quiet, names=names, asked=False)
    _correct_prior(network, recipe, every)
    return last.seconds


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


def _left_out(probe: Probe | None, rows: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """(logits, truth) of train rows by probes that had not seen them, where cross-validation was possible."""
    return None if probe is None or not probe.folds else (probe.out_of_fold, targets_of(rows))


def _so_far(begun: _Begun, network: Any, labels: Labels) -> Saved:
    """The classifier in the middle of its training, its decision not fitted yet."""
    record = {**begun.before, "decision": Decision(labels.task).as_json()}
    return Saved(None, lambda: network, lambda: begun.tokenizer, labels, record)
