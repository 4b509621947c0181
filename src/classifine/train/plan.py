"""What a training run would take: rows, steps, and time and memory by a few steps made for measure.

The steps are real ones, forward, backward and optimiser, at a rate of nothing on a network that is thrown away.
"""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from classifine.config import Config
from classifine.data.encode import encode, pad_id
from classifine.data.split import ThreeSplits
from classifine.labels import Labels
from classifine.model.base import Base
from classifine.say import Say
from classifine.train.documents import collator, parts_of
from classifine.train.losses import twice
from classifine.train.memory import free_memory, keep_freed_memory, peak_memory_mib
from classifine.train.quicker import quicker
from classifine.train.ready import adapted, ready, seeded
from classifine.train.recipe import Recipe
from classifine.train.several import taught_epochs
from classifine.train.similarity import EPOCHS
from classifine.train.trainer import in_parts

# A forward pass takes a third of a step; validation runs one over its rows after each epoch, test one in the end.
FORWARD = 1 / 3


@dataclass(frozen=True)
class Plan:
    """A run that was not made: `rows` of each split, `seconds` of all of it and `memory_mib` as estimated; the epochs of one
    more network that its `seeds` teach, if they do.
    """

    recipe: Recipe
    labels: Labels
    rows: dict[str, int]
    seeds: int
    taught_epochs: int | None
    seconds: float
    memory_mib: int | None

    def as_json(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "task": self.labels.task, "labels": list(self.labels.names), "rows": self.rows,
            "recipe": self.recipe.as_json(), "seeds": self.seeds, "taught_epochs": self.taught_epochs, "seconds": round(self.seconds), "memory_mib": self.memory_mib,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """The plan in words."""
        rows = ", ".join(f"{count} {name}" for name, count in self.rows.items())
        minutes = f"{self.seconds / 60:.0f} minutes" if self.seconds > 120 else f"{self.seconds:.0f} seconds"
        memory = f", {self.memory_mib / 1024:.1f} GiB of memory" if self.memory_mib else ""
        return [
            f"rows: {rows}",
            (
                f"steps: {self.recipe.steps} in {self.recipe.epochs} epochs of batches of {self.recipe.batch_size}"
                if self.recipe.steps
                else "steps: none, a probe on the frozen encoder"
            )
            + (f", for each of {self.seeds} seeds" if self.seeds > 1 else "")
            + (f", and {self.taught_epochs} epochs for the network that they teach" if self.taught_epochs else ""),
            f"estimate: about {minutes} on the {self.recipe.device}{memory}",
            "nothing was trained or written (--dry-run)",
        ]


def plan(three: ThreeSplits, labels: Labels, base: Base, config: Config, say: Say) -> Plan:
    """The plan for these rows; loads the base and makes three steps to measure."""
    with seeded(config.train.seed):
        network, tokenizer, recipe = ready(three.train, labels, base, config, say, three.spare)
        rows = encode(three.train, tokenizer, labels, recipe.max_length, recipe.reading)
        with adapted(network, recipe, say):
            step, recipe = _measured(network, rows, pad_id(tokenizer), recipe, say)
    seconds, longer = step * config.train.seeds * _steps_of(three, recipe), None
    if config.train.keep == "distilled":
        longer = taught_epochs(config.train, recipe.epochs)
        # Each network that teaches another answers what it learned from and was judged by.
        asked = FORWARD * (len(three.train) + len(three.validation)) / recipe.batch_size
        taught = replace(recipe, epochs=longer).over(len(three.train))
        seconds += step * (config.train.seeds * asked + _steps_of(three, taught))
    count = {part.name: len(part) for part in three.all}
    return Plan(recipe, labels, count, config.train.seeds, longer, seconds, peak_memory_mib(recipe.device))


def _steps_of(three: ThreeSplits, recipe: Recipe) -> float:
    """How many steps a run's work is as much as: those that it makes, and the answers that it is judged by."""
    judged = recipe.epochs * len(three.validation) + len(three.test)
    if recipe.method != "finetune":
        # For the probe, and where what is learned is no answer for the head that each epoch is judged with.
        judged += len(three.train) * (1 + (recipe.epochs if recipe.method == "contrastive" else 0))
    steps = recipe.steps
    if recipe.all_rows:
        every = len(three.train) + len(three.validation)
        steps, judged = steps + recipe.over(every + recipe.names_trained_on).steps, judged + 2 * every
    # A sharpness-aware step is made twice, the first time on a share of its rows.
    made = steps * (1 + (recipe.ascent_share or 0)) + EPOCHS * recipe.similarity_pairs / recipe.batch_size
    return made + FORWARD * judged / recipe.batch_size


def _measured(network: Any, rows: Any, pad: int, recipe: Recipe, say: Say) -> tuple[float, Recipe]:
    """(seconds of a step, the recipe with as many rows at once as there is memory for, as training would find it)."""
    while True:
        try:
            return _step_seconds(network, rows, pad, recipe), recipe
        except torch.OutOfMemoryError:
            recipe = in_parts(recipe, say)
        network.zero_grad()
        free_memory()


def _step_seconds(network: Any, rows: Any, pad: int, recipe: Recipe) -> float:
    """The time of a step on a batch of middling length, after one on the longest, which takes the most memory."""
    # Of the longest documents a step reads some windows only.
    lengths = [min(length, recipe.max_length * recipe.most_windows) for length in rows["length"][:]]
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    mean = sum(lengths) / len(lengths)
    middle = min(range(len(order)), key=lambda place: abs(lengths[order[place]] - mean))
    # What a device reads at once; the parts of a batch come one after the other.
    size = recipe.rows_at_once
    start = max(0, min(middle - size // 2, len(order) - size))
    longest, typical = order[-size:], order[start : start + size]
    if recipe.device == "cpu":
        keep_freed_memory()
    network = network.to(recipe.device).train()
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=0.0, weight_decay=0.0)
    # Beside the weights stand their running mean and, of a sharpness-aware step, what they were before its way up.
    copies = recipe.averaging + (recipe.optimizer != "adamw")
    beside = [[weight.detach().clone() for weight in learning] for _ in range(copies)]
    collate, took = collator(pad, recipe.most_windows), 0.0
    with quicker(network, recipe):
        for chosen in (longest, typical, typical):
            batch = {name: values.to(recipe.device) for name, values in collate([rows[i] for i in chosen]).items()}
            begin = time.monotonic()
            for part, share in parts_of(batch, recipe.rows_at_once):
                with torch.autocast(recipe.device, torch.bfloat16, enabled=recipe.precision == "bf16"):
                    loss = network(**(twice(part) if recipe.r_drop else part))["loss"] * share
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()  # waits for a GPU
            took = time.monotonic() - begin
    del beside
    return took * max(1, round(recipe.batch_size / (size * max(1, recipe.devices))))
