"""What a saved classifier is asked: whether two of them can be compared, or can teach the same.

It knows nothing about networks.
"""

from classifine.labels import Labels
from classifine.model.folder import Saved


def question(saved: Saved) -> tuple[bool, str, frozenset[str]]:
    """What two classifiers must have in common; the name of a score is that of its column, and may be any."""
    names = frozenset(saved.labels.names) if saved.labels.task != "score" else frozenset()
    return saved.record["columns"]["pair"] is not None, saved.labels.task, names


def in_words(saved: Saved) -> str:
    """The question, for people: the task and the first of the labels."""
    paired, task, _ = question(saved)
    names = saved.labels.names
    return f"{task}{' of pairs' if paired else ''}: {', '.join(names[:4])}{', ...' * (len(names) > 4)}"


def order(wanted: Labels, own: Labels) -> list[int]:
    """Where each of the `wanted` labels stands among a classifier's `own`."""
    return [0] if wanted.task == "score" else [own.names.index(name) for name in wanted.names]
