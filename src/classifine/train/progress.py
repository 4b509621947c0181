"""What people see while a network is trained, and the history that stays: callbacks of the Trainer.

It knows nothing about how training works.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import TrainerCallback

from classifine.infer.meter import Meter
from classifine.metrics import LOWER_IS_BETTER
from classifine.say import Say

# Called with the number of an epoch that is better than those before it.
Kept = Callable[[int], None]


class History(TrainerCallback):
    """One dictionary an epoch in `epochs`: mean training loss, every validation metric, seconds since the start.

    `shown` are the metrics that are said aloud beside the losses.
    """

    def __init__(self, shown: Sequence[str], say: Say) -> None:
        self._shown = shown
        self.epochs: list[dict[str, Any]] = []
        self.losses: list[float] = []
        self._say = say
        self._start = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        validation = _reached(metrics)
        loss = sum(self.losses) / len(self.losses) if self.losses else math.nan
        seconds = round(time.monotonic() - self._start, 1)
        self.epochs.append(
            {"epoch": round(state.epoch), "train_loss": loss, "validation": validation, "seconds": seconds}
        )
        self.losses = []
        shown = spoken(validation, self._shown)
        self._say(f"epoch {round(state.epoch)}: training loss {loss:.4f}; validation {shown}")


def spoken(validation: Mapping[str, float], shown: Sequence[str]) -> str:
    """The loss and the metrics that are shown, in words."""
    return ", ".join(f"{name} {validation[name]:.4f}" for name in ("loss", *shown))


LEARNED = 0.98  # of the training loss of a constant guess; what is above it has learned nothing
FEW_JUDGED = 10  # validation rows, fewer of which may well all get one answer


class Alarm(TrainerCallback):
    """Says aloud when a network learns nothing: a loss no better than the constant guess, or one answer to all.

    Each of the two is said once, at the first epoch that has it; the latter where there are rows enough to show it.
    The constant guess answers each class by its share of the training rows, a number by their mean; its loss is the
    entropy of those shares (of several labels: their mean), or the variance. Epochs before `since` are not looked at.
    `judged` is the number of validation rows, `lesson` what is learned.
    """

    def __init__(
        self, guess: float, history: History, say: Say, since: int = 2, judged: int = FEW_JUDGED, lesson: str = "labels"
    ) -> None:
        self._since, self._judged, self._lesson = since, judged, lesson
        self.constant_guess = guess
        self.said: list[str] = []
        self._kinds: set[str] = set()
        self._history = history
        self._say = say

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        epoch = self._history.epochs[-1]
        # Few rows and a warm-up can leave a first epoch with nothing learned yet, and nothing wrong.
        if epoch["epoch"] < min(self._since, math.ceil(args.num_train_epochs)):
            return
        if not math.isfinite(epoch["train_loss"]) or epoch["train_loss"] > LEARNED * self.constant_guess:
            self._raise(
                "loss",
                f"Epoch {epoch['epoch']}: the training loss {epoch['train_loss']:.3f} is no better than a constant guess "
                f"({self.constant_guess:.3f}). Try a lower --learning-rate or more --epochs, and check the {self._lesson}.",
            )
        if self._judged >= FEW_JUDGED and epoch["validation"]["predicted_classes"] == 1:
            self._raise(
                "one answer",
                f"Epoch {epoch['epoch']}: one class swallows all predictions on validation. "
                f"Try more --epochs or another --learning-rate, and check the {self._lesson}.",
            )

    def _raise(self, kind: str, sentence: str) -> None:
        # The lines of the epochs show how it goes on; the same advice after each of them would only hide them.
        if kind in self._kinds:
            return
        self._kinds.add(kind)
        self.said.append(sentence)
        self._say(f"ALARM {sentence}")


def constant_guess(targets: NDArray[Any]) -> float:
    """The loss of the best answer that is the same for all rows, for targets as `Labels.targets` makes them."""
    if targets.ndim == 1 and targets.dtype.kind == "f":
        return float(targets.var())
    shares = targets.mean(axis=0) if targets.ndim == 2 else np.bincount(targets) / len(targets)
    if targets.ndim == 2:
        shares = np.stack([shares, 1 - shares])
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    return float(-(shares * logs).sum(axis=0).mean())


def _reached(metrics: Mapping[str, float]) -> dict[str, float]:
    """What an evaluation of the Trainer reached, by our names."""
    return {name.removeprefix("eval_"): value for name, value in metrics.items() if name != "epoch"}


def rank(metric: str, reached: Mapping[str, float]) -> tuple[float, float]:
    """What is greater for better weights, by what they reached on validation: the metric, then how small the loss is.

    Few validation rows give many epochs the same metric; the loss tells which of them is sure of its answers. What is no
    number is worse than any.
    """
    found = reached[metric] * (-1 if metric in LOWER_IS_BETTER else 1), -reached["loss"]
    first, second = (-math.inf if math.isnan(value) else value for value in found)
    return first, second


class Stalled(TrainerCallback):
    """Ends a run that has `learned_nothing` after enough steps: losses no better than those of the constant guess.

    Too high a rate can leave a pre-trained encoder there for good (Mosbach et al. 2021, "On the Stability of
    Fine-tuning BERT"). It looks once, after the first epoch that ends beyond `steps`, at the losses on validation and, where
    there is a `learned` guess for it, of training: a network that is too sure of itself, or that learned by weights, may have
    the former of a guess.
    """

    def __init__(self, guess: float, steps: int, learned: float | None = None) -> None:
        self._guess = guess
        self._learned = math.inf if learned is None else learned
        self._steps = steps
        self._losses: list[float] = []
        self._looked = False
        self.learned_nothing = False

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        loss, self._losses = float(np.mean(self._losses)) if self._losses else math.nan, []
        if self._looked or state.global_step < self._steps:
            return
        self._looked = True
        # Also where a loss is no number.
        better = metrics["eval_loss"] < 0.99 * self._guess or loss < LEARNED * self._learned
        self.learned_nothing = not better
        control.should_training_stop |= self.learned_nothing

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if logs and "loss" in logs:
            self._losses.append(float(logs["loss"]))


class Weights:
    """A copy in the main memory of all of a network's weights that training can change: what is frozen needs none."""

    def __init__(self, network: Any) -> None:
        frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
        self._kept = {
            name: weight.detach().to("cpu", copy=True)
            for name, weight in network.state_dict().items() if name not in frozen
        }  # fmt: skip

    def restore(self, network: Any) -> None:
        """Put them back."""
        # The frozen ones as they stand, so that a name too few or too many is still an error.
        network.load_state_dict({**network.state_dict(), **self._kept})


class Best(TrainerCallback):
    """Keeps the weights of the best epoch by `metric` in the main memory, and stops after `patience` epochs without a better one.

    With `patience` None each epoch is taken for better than the one before, and the last one stays.

    In memory rather than as checkpoints: nothing is written, and every weight comes back as it was. (Transformers
    5.3 restores a checkpoint of BERT without its layer norms, and says nothing.)
    """

    def __init__(self, metric: str, patience: int | None, kept: Kept | None = None) -> None:
        self._metric = metric
        self._patience = patience
        self._kept = kept
        self._value = (-math.inf, -math.inf)
        self._weights: Weights | None = None
        self._since = 0
        self.epoch = 0

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], model: Any, **kwargs: Any
    ) -> None:
        value = rank(self._metric, _reached(metrics))
        # The first epoch is the best so far even where its loss is no number.
        if self._patience is None or value > self._value or not self.epoch:
            self._value, self._since, self.epoch = value, 0, round(state.epoch)
            # What the next epoch replaces in any case is not worth a copy: with few rows epochs are many and short.
            if self._patience is not None or self.epoch >= args.num_train_epochs:
                self._weights = Weights(model)
            if self._kept:
                self._kept(self.epoch)
            return
        self._since += 1
        control.should_training_stop |= self._since >= self._patience

    def restore(self, network: Any) -> None:
        """Put the weights back that were kept last; the network's own stay where none were."""
        if self._weights:
            self._weights.restore(network)


class Watched(TrainerCallback):
    """Hands on the share of the run that is done and the validation metrics of its epochs so far, after each of them.

    `watch` may end the run by raising. A run that starts anew is handed on from its new beginning.
    """

    def __init__(self, watch: Callable[[float, Sequence[dict[str, float]]], None]) -> None:
        self._watch = watch
        self._epochs: list[dict[str, float]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._epochs = []

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        self._epochs.append(_reached(metrics))
        self._watch(state.epoch / args.num_train_epochs, self._epochs)


class Pace(TrainerCallback):
    """Progress with rows per second and time left, on a Meter that runs while the Trainer does."""

    def __init__(self, batch_size: int, say: Say) -> None:
        self._batch = batch_size
        self._say = say
        self._meter: Meter | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._meter = Meter("training", state.max_steps * self._batch, self._say)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._meter:
            self._meter.add(self._batch)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.close()

    def close(self) -> None:
        """Give the terminal back, also after an interruption."""
        if self._meter:
            self._meter.close()
