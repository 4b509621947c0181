"""What stays of runs from several seeds, beside the best of them: the average of their weights, or a network that learned
what all of them answer.

The mean of the answers of networks that learned apart is better than each of them, at as many times the work. A network
that learns it, and not the labels, has much of that lead at the work of one (Furlanello et al. 2018, "Born-Again Neural
Networks", arXiv 1805.04770; Allen-Zhu & Li 2023, arXiv 2012.09816). It knows nothing about files of data.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine import metrics
from classifine.config import Train
from classifine.data.encode import pad_id
from classifine.decide import Decision
from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.say import Say
from classifine.train.account import Fitted, on_validation
from classifine.train.decided import decided
from classifine.train.lesson import Lesson, input_columns, targets_of, validator
from classifine.train.progress import constant_guess, rank
from classifine.train.recipe import Recipe
from classifine.train.soft import TEMPERATURE, constant_loss, soft_loss, softened
from classifine.train.soup import stir
from classifine.train.start import start_at_odds
from classifine.train.unlearned import in_our_way, settled


@dataclass(frozen=True)
class Tried:
    """A run of one seed, with the encoded rows that it learned from and that its epochs were judged by where they are
    still needed.
    """

    fitted: Fitted
    rows: Any
    validation: Any


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
        alarm := settled(network, best.rows, best.validation, soup.reached, more, say)
    ):
        alarms = (*alarms, alarm)
        decision, more = decided(network, best.validation, padding, task)
    record = {**classifier.record, "decision": decision.as_json(), **more, "soup": about, "alarms": list(alarms)}
    return Fitted(replace(classifier, record=record), replace(training, alarms=alarms))


class Ensemble:
    """The mean of what the networks of several runs answer to the rows that they learned from, and to validation rows.

    Logits are divided by the temperatures that were fitted, so that those weigh alike that are equally sure.
    """

    def __init__(self) -> None:
        self._seeds: list[int] = []
        self._on_rows: NDArray[np.float32] | None = None
        self._on_validation: NDArray[np.float32] | None = None
        self._truth: NDArray[Any] | None = None

    def ask(self, tried: Tried, seed: int) -> None:
        """Let one more network answer. All runs have the same rows in the same order."""
        classifier = tried.fitted.classifier
        engine = TorchEngine(classifier.network, tried.fitted.training.recipe.precision)
        scale = np.asarray(classifier.decision.temperature, dtype=np.float32)

        def more(so_far: NDArray[np.float32] | None, rows: Any) -> NDArray[np.float32]:
            found = logits(engine, input_columns(rows), pad_id(classifier.tokenizer)) / scale
            return found if so_far is None else so_far + found

        self._on_rows = more(self._on_rows, tried.rows)
        self._on_validation = more(self._on_validation, tried.validation)
        self._truth = targets_of(tried.validation)
        self._seeds.append(seed)

    def lesson(self, network: Any, rows: Any, validation: Any, padding: int, recipe: Recipe) -> tuple[Any, Lesson]:
        """(the encoded `rows` with the mean answers in the place of their labels, the lesson of those) for `network`.

        Its epochs are judged by the labels of validation rows, as those of the runs were.
        """
        assert self._on_rows is not None and recipe.task is not None
        task = recipe.task
        soft, loss = (
            softened(self._on_rows / np.float32(len(self._seeds)), task, TEMPERATURE),
            soft_loss(task, TEMPERATURE),
        )
        if task == "multi":
            start_at_odds(network, soft.mean(axis=0), len(soft), temperature=TEMPERATURE)
        guesses = (constant_loss(soft, task, TEMPERATURE), constant_guess(targets_of(validation)))
        validate, shown = validator(validation, padding, task, recipe.precision), metrics.HEADLINE[task][:2]
        taught = Lesson(validate, *guesses, shown, lambda given, own: loss(given.logits, own))
        return rows.remove_columns("labels").add_column("labels", soft.tolist()), taught

    def distilled(self, best: Fitted, learn: Callable[["Ensemble"], Fitted], say: Say) -> Fitted:
        """What `learn` makes of the answers, where that is no worse on validation than the best run; else that one."""
        say(f"seeds {', '.join(map(str, self._seeds))} teach one more network what they answer on average")
        student, metric = learn(self), best.training.recipe.metric
        alone, own, together = on_validation(best.training), on_validation(student.training), self._judged(best)
        stays = rank(metric, own) >= rank(metric, alone)
        seed = best.classifier.record["seed"]
        say(
            f"on validation its {metric} is {own[metric]:.4f}, that of the mean of all seeds' answers {together[metric]:.4f}, "
            f"the best seed's {alone[metric]:.4f}: {'it stays' if stays else f'seed {seed} stays'}"
        )
        about = {"seeds": self._seeds, "kept": stays, "together": together, "best": alone, "validation": own}
        found = student if stays else best
        return replace(
            found, classifier=replace(found.classifier, record={**found.classifier.record, "ensemble": about})
        )

    def _judged(self, one: Fitted) -> dict[str, float]:
        """The metrics of the mean answers on validation rows."""
        assert self._on_validation is not None and self._truth is not None
        found, task = self._on_validation / len(self._seeds), one.classifier.labels.task
        decision = Decision(task).fit(found, self._truth)
        reached = metrics.judge(self._truth, decision.scores(found), decision)
        return {**reached, "loss": reached[metrics.LOSS[task]]}
