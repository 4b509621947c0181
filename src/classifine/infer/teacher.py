"""One or several saved classifiers whose answers another one learns: the mean of their logits, on any number of texts.

Logits are divided by the temperatures that were fitted, so that of classifiers with one task those weigh alike that are
equally sure. It knows nothing about training.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifine.data.columns import Columns
from classifine.data.row import Text
from classifine.decide import Decision
from classifine.errors import ModelError
from classifine.infer.choose import open_engine
from classifine.infer.engine import Engine
from classifine.infer.meter import QUICK, Meter
from classifine.infer.predict import CHUNK, text_logits
from classifine.labels import Labels
from classifine.model.folder import Saved, load
from classifine.model.question import in_words, order, question
from classifine.say import Say


@dataclass(frozen=True)
class Teacher:
    """Classifiers that answer the same question."""

    names: tuple[str, ...]
    members: tuple[Saved, ...]

    @cached_property
    def engines(self) -> tuple[Engine, ...]:
        """Of each the fastest engine that it was exported for; loaded at the first use, which may take seconds."""
        return tuple(open_engine(saved) for saved in self.members)

    @property
    def labels(self) -> Labels:
        """The labels, in the order of the first."""
        return self.members[0].labels

    @property
    def columns(self) -> Columns:
        """The columns that the first was trained on."""
        return Columns.from_json(self.members[0].record["columns"], self.labels.task)

    @property
    def decision(self) -> Decision:
        """How the mean of their logits becomes an answer: of several labels by the mean of their thresholds."""
        own = [
            np.array(saved.decision.thresholds)[order(self.labels, saved.labels)]
            for saved in self.members if saved.decision.thresholds
        ]  # fmt: skip
        thresholds = np.mean(own, axis=0).tolist() if len(own) == len(self.members) else ()
        return Decision(self.labels.task, 1.0, tuple(thresholds))

    def logits(self, texts: Sequence[Text], say: Say) -> NDArray[np.float32]:
        """Their mean logits (texts, labels); of the texts some thousand are worked on at a time."""
        result = np.zeros((len(texts), len(self.labels)), dtype=np.float32)
        # All of a chunk's lengths are sorted, and longer chunks take little more padding out than these.
        size = 8 * CHUNK
        with closing(Meter("asking the teacher", len(texts) * len(self.members), say, silent=QUICK)) as meter:
            for saved, engine in zip(self.members, self.engines, strict=True):
                places = order(self.labels, saved.labels)
                for start in range(0, len(texts), size):
                    part = texts[start : start + size]
                    result[start : start + size] += self._of_one(saved, engine, part)[:, places]
                    meter.add(len(part))
        return result / np.float32(len(self.members))

    @staticmethod
    def _of_one(saved: Saved, engine: Engine, texts: Sequence[Text]) -> NDArray[np.float32]:
        temperature = np.asarray(saved.decision.temperature, dtype=np.float32)
        return np.asarray(text_logits(saved, texts, engine) / temperature, dtype=np.float32)


def open_teacher(folders: Sequence[Path]) -> Teacher:
    """The teacher of these folders, or names on the Hub; ModelError where they are none or do not answer the same."""
    members = tuple(map(load, folders))
    for folder, other in zip(folders[1:], members[1:], strict=True):
        if question(other) != question(members[0]):
            raise ModelError(
                f"{folders[0]} and {folder} answer different questions ({in_words(members[0])}; {in_words(other)}); "
                "expected teachers with the same labels. Leave one of them out."
            )
    return Teacher(tuple(Path(folder).name for folder in folders), members)
