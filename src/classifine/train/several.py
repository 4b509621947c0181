"""What stays of runs from several seeds, beside the best of them: the average of their weights, or a network that learned
what all of them answer.

The mean of the answers of networks that learned apart is better than each of them, at as many times the work. A network
that learns it, and not the labels, keeps most of that: on Twitter topics three had an accuracy of 0.899 to 0.904 alone and
0.912 together, and what one learned of them in twice as many epochs 0.910 (Furlanello et al. 2018, "Born-Again Neural
Networks", arXiv 1805.04770; Allen-Zhu & Li 2023, arXiv 2012.09816). It knows nothing about files of data.
"""

import functools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine import metrics
from classifine.config import TEMPERATURE, Config, Train
from classifine.data.encode import pad_id
from classifine.errors import TrainingError
from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Task
from classifine.model.folder import Saved
from classifine.say import Say
from classifine.train.account import Fitted, on_validation
from classifine.train.decided import decided
from classifine.train.lesson import Lesson, input_columns, reached, targets_of, validator
from classifine.train.memory import free_memory
from classifine.train.progress import constant_guess, rank
from classifine.train.recipe import Recipe
from classifine.train.soft import begin, soft_loss
from classifine.train.soup import stir
from classifine.train.track import Tracking
from classifine.train.unlearned import in_our_way, settled

_PART = 10_000  # rows that are answered at once
# Epochs of the network that is taught, as multiples of those of its teachers, where nobody says how many. Answers are not learned
# by heart as soon as labels are (Beyer et al. 2022, "A good teacher is patient and consistent", arXiv 2106.05237).
LONGER = 2


@dataclass(frozen=True)
class Tried:
    """A run of one seed, with the encoded rows that it learned from and that its epochs were judged by where they are
    still needed. One that learned nothing `guesses` alike for all texts.
    """

    fitted: Fitted
    rows: Any
    validation: Any
    guesses: bool = False


def averaged(best: Tried, told: Sequence[dict[str, Any]], shelf: Path, wishes: Train, say: Say) -> Fitted:
    """The best run with the average of the runs' weights in its place, where that is no worse on validation."""
    classifier, training = best.fitted.classifier, best.fitted.training
    metric, padding, task = training.recipe.metric, pad_id(classifier.tokenizer), classifier.labels.task
    order = [run["seed"] for run in sorted(told, key=lambda run: rank(metric, run["validation"]), reverse=True)]
    network = classifier.network
    before = {name: weight.detach().clone() for name, weight in network.state_dict().items()}
    validate = validator(best.validation, padding, task, training.recipe.precision)
    soup = stir(network, [shelf / f"{seed}.safetensors" for seed in order], validate, metric)
    joined = [order[place] for place in soup.joined]
    about: dict[str, Any] = {"seeds": joined, "best": soup.best, "validation": soup.reached}
    if len(joined) == 1:
        network.load_state_dict(before)
        alone = f"no average with seed {joined[0]}, the best on validation, is as good there; it stays alone"
        say(alone if len(order) > 1 else f"seed {joined[0]} alone is left, so there is nothing to average")
        decision, more = classifier.decision, {name: classifier.record[name] for name in ("calibration", "doubt")}
    else:
        say(
            f"the weights of seeds {', '.join(map(str, joined))} are averaged: on validation {metric} "
            f"{soup.reached[metric]:.4f}, the best alone {soup.best[metric]:.4f}"
        )
        decision, more = decided(network, best.validation, padding, task)
    alarms = training.alarms
    if in_our_way(wishes, training.recipe) and (
        alarm := settled(network, best.rows, best.validation, soup.reached, more, say)
    ):
        alarms = (*alarms, alarm)
        decision, more = decided(network, best.validation, padding, task)
        about["validation"] = validate(network)
    record = {**classifier.record, "decision": decision.as_json(), **more, "soup": about, "alarms": list(alarms)}
    return Fitted(replace(classifier, record=record), replace(training, alarms=alarms))


class Ensemble:
    """The mean of what the networks of several runs answer to the rows that they learned from, and to validation rows.

    Logits are divided by the temperatures that were fitted, so that those weigh alike that are equally sure.
    """

    def __init__(self) -> None:
        self.seeds: list[int] = []
        self.guesses = False
        self._on_rows: NDArray[np.float32] | None = None
        self._on_validation: NDArray[np.float32] | None = None
        self._truth: NDArray[Any] | None = None
        self._task: Task | None = None

    def ask(self, tried: Tried, seed: int) -> None:
        """Let one more network answer. All runs have the same rows in the same order.

        Those that give all texts the same guess are heard only while there are no others.
        """
        if self.seeds and tried.guesses and not self.guesses:
            return
        if self.guesses and not tried.guesses:
            self.seeds, self._on_rows, self._on_validation = [], None, None
        self.guesses = tried.guesses
        classifier = tried.fitted.classifier
        engine = TorchEngine(classifier.network, tried.fitted.training.recipe.precision)
        scale = np.asarray(classifier.decision.temperature, dtype=np.float32)

        def more(so_far: NDArray[np.float32] | None, rows: Any) -> NDArray[np.float32]:
            # Token ids as Python's numbers take many times the memory of a dataset.
            parts = (rows.select(range(i, min(i + _PART, len(rows)))) for i in range(0, len(rows), _PART))
            found = np.concatenate(
                [logits(engine, input_columns(part), pad_id(classifier.tokenizer)) for part in parts]
            )
            calibrated = np.asarray(found / scale, dtype=np.float32)
            return calibrated if so_far is None else calibrated + so_far

        self._on_rows = more(self._on_rows, tried.rows)
        self._on_validation = more(self._on_validation, tried.validation)
        self._truth, self._task = targets_of(tried.validation), classifier.labels.task
        self.seeds.append(seed)

    def lesson(self, network: Any, rows: Any, validation: Any, padding: int, recipe: Recipe) -> tuple[Any, Lesson]:
        """(the encoded `rows` with the mean answers in the place of their labels, the lesson of those) for `network`.

        Its epochs are judged by the labels of validation rows, as those of the runs were. What labels are to count for is
        in the answers already.
        """
        assert self._on_rows is not None and recipe.task is not None
        task = recipe.task
        soft, guess = begin(network, self._on_rows / np.float32(len(self.seeds)), task, TEMPERATURE)
        loss, validate = soft_loss(task, TEMPERATURE), validator(validation, padding, task, recipe.precision)
        # What two readings of a row differ by is part of the loss of training, and no guess tells what was learned.
        plain = math.inf if recipe.r_drop else constant_guess(targets_of(validation))
        taught = Lesson(validate, guess, plain, metrics.HEADLINE[task][:2], lambda given, own: loss(given.logits, own))
        return rows.remove_columns("labels").add_column("labels", list(soft)), taught

    @property
    def reached(self) -> dict[str, float]:
        """The metrics of the mean answers on validation rows."""
        assert self._on_validation is not None and self._truth is not None and self._task is not None
        return reached(self._on_validation / np.float32(len(self.seeds)), self._truth, self._task)


def from_seeds(
    config: Config,
    once: Callable[..., Tried],
    say: Say,
    tracking: Tracking | None,
    judged: Callable[[Saved], dict[str, float]] | None,
) -> Fitted:
    """What stays of a run by `once` with each seed, as `keep` says; its record tells of all that finished.

    A seed that diverges is left out; TrainingError where none is left.
    """
    wishes, best, told, ensemble = config.train, None, list[dict[str, Any]](), Ensemble()
    keep, lost = wishes.keep, list[str]()
    seeds = range(wishes.seed, wishes.seed + wishes.seeds)

    def run(seed: int, name: str | None = None, epochs: int | None = wishes.epochs, **more: Any) -> Tried:
        if tracking is not None:
            tracking.name_part(name or str(seed))
        own = wishes.model_copy(update={"seed": seed, "epochs": epochs})
        return once(config.model_copy(update={"train": own}), **more)

    with tempfile.TemporaryDirectory() as name:
        alike: dict[str, Any] = {"head_seed": wishes.seed, "shelf": Path(name)} if keep == "average" else {}
        once_each = functools.partial(run, **alike, rows_kept=keep != "best")
        for seed, tried in _finished(seeds, once_each, say, tracking, lost):
            if keep == "distilled":
                ensemble.ask(tried, seed)
                tried = replace(tried, rows=None, validation=None)
            told.append({"seed": seed, "validation": on_validation(tried.fitted.training)})
            if judged is not None:
                told[-1]["test"] = judged(tried.fitted.classifier)
                if tracking is not None:
                    tracking.finish(told[-1]["test"])
            if best is None or _rank(tried.fitted) > _rank(best.fitted):
                best = tried
            _make_room(tried.fitted)
            del tried
        assert best is not None
        found = best.fitted
        if keep == "distilled" and len(ensemble.seeds) > 1:
            # Teachers that guess have nothing to say for longer.
            usual = found.training.recipe.epochs
            epochs = usual if ensemble.guesses else taught_epochs(wishes, usual)
            found = _distilled(found, ensemble, lambda: run(seeds[-1] + 1, keep, epochs, teacher=ensemble).fitted, say)
            if tracking is not None and not found.classifier.record["ensemble"]["kept"]:
                tracking.finish({})  # its metrics on test rows are not those of what stays
        found.classifier.network.to(found.training.recipe.device)
        if keep == "average":
            found = averaged(best, told, Path(name), wishes, say)
    if keep == "distilled" and len(ensemble.seeds) == 1:
        say(f"seed {ensemble.seeds[0]} alone could teach, so nothing is taught")
    if keep == "best" or len(ensemble.seeds) == 1:
        say(f"seed {found.classifier.record['seed']} is the best on validation, and stays")
    record = {**found.classifier.record, "config": config.model_dump(mode="json", exclude={"search"}), "seeds": told}
    record["alarms"] = [*record["alarms"], *lost]
    return replace(found, classifier=replace(found.classifier, record=record))


def taught_epochs(wishes: Train, usual: int) -> int:
    """For how many epochs a network is taught whose teachers learned for `usual` ones."""
    return wishes.epochs or LONGER * usual


def _finished(
    seeds: range, run: Callable[[int], Tried], say: Say, tracking: Tracking | None, lost: list[str]
) -> Iterator[tuple[int, Tried]]:
    """Each seed with its run. One that diverges is left out, which is said and told in `lost`; TrainingError where none is
    left.
    """
    for seed in seeds:
        say(f"seed {seed}")
        try:
            # Without a name that would hold it: a network that is no longer needed makes room for the next.
            yield seed, run(seed)
            continue
        except TrainingError as error:
            if len(lost) == len(seeds) - 1:
                raise
            lost.append(f"Seed {seed} is left out. {error}")
            say(f"warning seed {seed} is left out. {error}")
            if tracking is not None:
                tracking.finish({})
        free_memory()  # by now the error is gone, which held what failed


def _rank(found: Fitted) -> tuple[float, float]:
    """What is greater for a better seed: seeds are chosen as epochs are."""
    return rank(found.classifier.record["recipe"]["metric"], on_validation(found.training))


def _make_room(found: Fitted) -> None:
    """A GPU has room for the run to come, not for those that were."""
    found.classifier.network.to("cpu")
    free_memory()


def _distilled(best: Fitted, ensemble: Ensemble, learn: Callable[[], Fitted], say: Say) -> Fitted:
    """The network that `learn` makes of the answers, where it is no worse on validation than the best run; else that one."""
    names, metric = ", ".join(map(str, ensemble.seeds)), best.training.recipe.metric
    say(f"seeds {names} teach one more network what they answer on average")
    about: dict[str, Any] = {"seeds": ensemble.seeds, "temperature": TEMPERATURE, "together": ensemble.reached}
    alone, seed = _as_sure_as_right(best), best.classifier.record["seed"]
    try:
        student = learn()
    except TrainingError as error:
        say(f"warning the network that they taught is left out, and seed {seed} stays. {error}")
        return _told(best, {**about, "kept": False, "best": alone, "validation": None})
    own = _as_sure_as_right(student)
    stays = rank(metric, own) >= rank(metric, alone)
    shown = list(dict.fromkeys((metric, "loss")))
    told = (
        f"{who} {', '.join(f'{name} {found[name]:.4f}' for name in shown)}"
        for who, found in (("its", own), ("the mean answers'", about["together"]), ("the best seed's", alone))
    )
    say(f"on validation {'; '.join(told)}: {'it stays' if stays else f'seed {seed} stays'}")
    _make_room(student if not stays else best)
    return _told(student if stays else best, {**about, "kept": stays, "best": alone, "validation": own})


def _as_sure_as_right(found: Fitted) -> dict[str, float]:
    """What a run reached on validation, its loss after calibration: the answers that are taught are calibrated, too."""
    reached, calibration = on_validation(found.training), found.classifier.record["calibration"]
    return reached if calibration is None else {**reached, "loss": calibration["after"]["nll"]}


def _told(found: Fitted, about: Mapping[str, Any]) -> Fitted:
    return replace(found, classifier=replace(found.classifier, record={**found.classifier.record, "ensemble": about}))
