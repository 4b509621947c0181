"""Which method suits the data and the base: fine-tuning, or one of those for few labels; and which cannot be.

Where it crosses from one to the other is written in `train.choose`. It knows nothing about texts or networks.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from classifine.config import Model, Train
from classifine.errors import ConfigError
from classifine.labels import Task
from classifine.train.choose import FEW_PER_CLASS
from classifine.train.recipe import Method
from classifine.train.wishes import LOSS, as_flags, changed

# Settings of steps, which a probe does not take.
STEPS = (
    "epochs", "batch_size", "learning_rate", "head_rate", "weight_decay", "warmup", "schedule", "optimizer", "rho",
    "ascent_share", "track", *LOSS, "averaging", "keep",
)  # fmt: skip


# Rows of a label at least, for it to count: a spelling mistake in one row is a label too, and says nothing of the others.
LEAST_ROWS = 4


@dataclass(frozen=True)
class Labelled:
    """What of the data and the base the method depends on: training `rows` of the `labels` that have some, whether they
    are `pairs` of texts, and whether the base is a `sentence_encoder`.
    """

    rows: int
    labels: int
    task: Task
    pairs: bool
    sentence_encoder: bool


def learnable(names: Iterable[Sequence[str]]) -> tuple[int, int]:
    """(rows, labels) of the labels that have rows enough to be learned from, by the labels of each row.

    Where none has, all of them count.
    """
    counts = list(Counter(chain.from_iterable(names)).values())
    found = [count for count in counts if count >= LEAST_ROWS] or counts
    return sum(found), len(found)


def choose_method(config: Train, model: Model, data: Labelled) -> tuple[Method, str]:
    """(method, why): the one that is asked for, or the one that suits the data.

    Raises ConfigError where it does not do what is asked of it, with one that does.
    """
    method, why = _suited(data) if config.method == "auto" else (config.method, "as asked for")
    if config.keep == "distilled" and method != "finetune":
        raise ConfigError(
            f"--keep is distilled, which is for --method finetune, and the method is {method} ({why}). Add --method "
            "finetune, or use --keep average or best."
        )
    if config.method != "auto":
        _check_method(config, model, data)
    return method, why


def _suited(data: Labelled) -> tuple[Method, str]:
    each = round(data.rows / max(data.labels, 1))
    if data.task != "single" or data.pairs:
        kind = "pairs of texts are" if data.pairs else "this task is"
        return "finetune", f"{kind} not what the methods for few labels were measured on"
    if each > FEW_PER_CLASS:
        return "finetune", f"{each} rows a class; the methods for few labels are for {FEW_PER_CLASS} at most"
    if not data.sentence_encoder:
        return (
            "finetune",
            f"{each} rows a class are few, but the base is no sentence encoder, so a probe has little to start from",
        )
    return "lp-ft", f"{each} rows a class are few ({FEW_PER_CLASS} at most), and the base is a sentence encoder"


def _check_method(config: Train, model: Model, data: Labelled) -> None:
    method = config.method
    if method == "finetune":
        return
    if data.task == "score" or data.pairs:
        what = "pairs of texts" if data.pairs else "numbers"
        raise ConfigError(f"--method {method} does not learn {what}. Use --method finetune.")
    if method == "contrastive" and data.task == "multi":
        raise ConfigError("--method contrastive takes one label a text, and these have several. Use --method lp-ft.")
    if method == "contrastive" and model.long == "windows":
        raise ConfigError("--method contrastive does not read in windows. Use --method lp-ft, or --long head-tail.")
    given = changed(config, ("head_rate", *LOSS, "keep"))
    if method == "contrastive" and given:
        raise ConfigError(
            f"--method contrastive has a loss of its own and fits its head at the end, so {as_flags(given)} cannot be. "
            "Drop that, or use --method lp-ft."
        )
    if method == "probe":
        _check_probe(config, model)


def _check_probe(config: Train, model: Model) -> None:
    """ConfigError where settings of training are given to a probe, which leaves the encoder as it is."""
    given = [*changed(config, STEPS), *changed(model, ["adapter"])]
    if given:
        raise ConfigError(
            f"--method probe takes no steps, so {as_flags(given)} cannot be. Drop that, or use --method lp-ft."
        )
