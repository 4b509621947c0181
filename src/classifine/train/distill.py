"""A network taught by another one's answers: its logits on texts without labels stand in the place of true labels.

What is fitted after training (temperature, thresholds) follows the teacher on held-out texts. It knows nothing about
files or saved folders.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from classifine import metrics
from classifine.config import Config
from classifine.data.columns import Columns
from classifine.data.encode import encode_texts, pad_id
from classifine.data.read import from_lists
from classifine.data.row import Text
from classifine.data.texts import Texts
from classifine.decide import Decision
from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Labels
from classifine.model.base import Base
from classifine.model.folder import Saved
from classifine.model.network import quiet_transformers
from classifine.say import Say
from classifine.train.account import Fitted, known_after, known_before
from classifine.train.adapters import trained_weights
from classifine.train.decided import as_kept, fold
from classifine.train.lesson import Lesson, input_columns
from classifine.train.ready import adapted, longer, ready
from classifine.train.recipe import Recipe
from classifine.train.soft import begin, constant_loss, soft_loss, soft_targets
from classifine.train.trainer import train


@dataclass(frozen=True)
class Taught:
    """What the teacher says of the texts: logits (texts, labels) of those to learn from and of those held out."""

    train: NDArray[np.float32]
    held_out: NDArray[np.float32]
    decision: Decision

    @property
    def answers(self) -> NDArray[Any]:
        """What it answers to the texts held out, in the form of `Labels.targets`."""
        found = self.decision.choose(self.decision.scores(self.held_out))
        return found if self.decision.task == "single" else found.astype(np.float32)


@dataclass(frozen=True)
class Student:
    """A network before its lessons, with its tokenizer, its recipe and where it came from."""

    network: Any
    tokenizer: Any
    recipe: Recipe
    base: Base


def encoder_student(texts: Sequence[Text], labels: Labels, base: Base, config: Config, say: Say) -> Student:
    """A network on a base before its lessons, its head drawn from torch's generator.

    Raises ModelError where the base cannot learn this.
    """
    rows = from_lists(texts, [None] * len(texts), task=labels.task)
    # The lessons are of the texts as they are cut, and there are no labels that few of could be learned otherwise.
    wanted = config.train.model_copy(update={"metric": "loss", "method": "finetune", "pair_similarity": False})
    own = config.model_copy(update={"train": wanted, "model": config.model.model_copy(update={"long": "truncate"})})
    return Student(*ready(rows, labels, base, own, say, method_known=True), base)


def lessons(
    student: Student, texts: Texts, taught: Taught, labels: Labels, columns: Columns, config: Config, temperature: float,
    say: Say,
) -> Fitted:  # fmt: skip
    """The student after its lessons, its decision fitted; the epoch that is nearest to the teacher on held-out texts stays.

    The caller seeds torch's generator. Raises TrainingError where the student diverges.
    """
    network, tokenizer, recipe = student.network, student.tokenizer, student.recipe
    padding, before = pad_id(tokenizer), known_before(config, columns, student.base, recipe)
    soft, guess = begin(network, taught.train, labels.task, temperature)
    rows = _encoded(texts.train, soft, tokenizer, recipe.max_length)
    held_out = _encoded(texts.held_out, soft_targets(taught.held_out, labels.task, 1.0), tokenizer, recipe.max_length)
    lesson = _lesson(held_out, guess, taught, temperature, recipe, padding)
    with quiet_transformers(), tempfile.TemporaryDirectory() as folder, adapted(network, recipe, say):
        trained = trained_weights(network)
        training = train(network, rows, held_out, padding, recipe, folder, say, lesson=lesson)
    decision = _decided(network, held_out, padding, taught)
    # Neither can be told without true labels: whether scores can be taken at their word, and when not to answer.
    known = {"decision": decision.as_json(), "calibration": None, "doubt": None, **known_after(training)}
    record = {**before, **known, "trained_weights": trained, "train_rows_cut": longer(rows, recipe)}
    return Fitted(Saved(None, network.eval, lambda: tokenizer, labels, record), training)


def _encoded(texts: Sequence[Text], targets: NDArray[np.float32], tokenizer: Any, max_length: int) -> Any:
    from datasets import Dataset

    columns = encode_texts(texts, tokenizer, max_length)
    return Dataset.from_dict({**columns, "labels": targets.tolist()})


def _lesson(held_out: Any, guess: float, taught: Taught, temperature: float, recipe: Recipe, padding: int) -> Lesson:
    """The lesson of soft targets: judged by the loss at temperature 1 and by how often the answers are the teacher's."""
    task, columns = taught.decision.task, input_columns(held_out)
    answers, targets = taught.answers, torch.tensor(held_out["labels"][:])
    plain, soft_ones = soft_loss(task, 1.0), soft_loss(task, temperature)

    def validate(network: Any) -> dict[str, float]:
        found = logits(TorchEngine(network, recipe.precision), columns, padding)
        if not np.isfinite(found).all():  # as `lesson.reached` has it
            return dict.fromkeys(("loss", "agreement", "predicted_classes"), math.nan)
        decision = Decision(task).fit(found, answers)
        scores = decision.scores(found)
        own = decision.choose(scores)
        return {
            "loss": float(plain(torch.from_numpy(found), targets)),
            "agreement": agreement(answers, scores, decision),
            "predicted_classes": len(np.unique(own, axis=0)),
        }

    guesses = (guess, constant_loss(targets.numpy(), task, 1.0))
    return Lesson(validate, *guesses, ("agreement",), lambda given, own: soft_ones(given.logits, own), learned="texts")


def agreement(answers: NDArray[Any], scores: NDArray[np.float64], decision: Decision) -> float:
    """How often `scores` (rows, labels) give the `answers` of another one; of numbers their correlation."""
    return metrics.judge(answers, scores, decision)[metrics.AGREEMENT[decision.task]]


def _decided(network: Any, held_out: Any, padding: int, taught: Taught) -> Decision:
    """The decision that is nearest to the teacher's on held-out texts: as sure, and with thresholds that answer alike."""
    if taught.decision.task == "score":
        return Decision("score")
    columns, shares = input_columns(held_out), np.array(held_out["labels"][:])
    found = logits(TorchEngine(network), columns, padding)
    fitted = Decision(taught.decision.task).calibrated(found, shares)
    folded = fold(network, columns, padding, found, fitted)
    return as_kept(found, fitted.fit(found, taught.answers), folded)[1]
