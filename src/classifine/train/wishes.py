"""Whether what was asked for can be done: what settings say against one another, the task or the hardware.

Each function raises ConfigError in one sentence, before anything starts.
"""

import importlib.util
from collections.abc import Iterable

from classifine.config import Model, Train
from classifine.errors import ConfigError
from classifine.labels import Task
from classifine.train.hardware import Hardware
from classifine.windows import check_long

# Settings of what labels and answers count for, and those of all that is added up to the loss.
COSTS = ("class_weights", "sampling", "correct_prior", "focal", "label_smoothing")
LOSS = (*COSTS, "r_drop")
# What can choose the best epoch, by task; the first does where nothing else is asked.
METRICS: dict[Task, tuple[str, ...]] = {
    "single": ("macro_f1", "accuracy", "weighted_f1", "mcc", "loss"),
    "multi": ("macro_f1", "micro_f1", "weighted_f1", "sample_f1", "subset_accuracy", "ranking_precision", "loss"),
    "score": ("pearson", "spearman", "mse", "mae", "loss"),
}


def changed(settings: Model | Train, names: Iterable[str]) -> list[str]:
    """Those of the named settings that are not as they are by default."""
    plain = type(settings)()
    return [name for name in names if getattr(settings, name) != getattr(plain, name)]


def as_flags(names: Iterable[str]) -> str:
    """The flags of settings, for a sentence."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def check_cost(config: Train, task: Task) -> None:
    """ConfigError where a wish about the loss cannot be met."""
    wished = changed(config, COSTS)
    if wished and task == "score":
        raise ConfigError(
            f"{as_flags(wished)} is about labels, and this task is a number. Leave it out, or name another --task."
        )
    if config.sampling != "natural" and task == "multi":
        raise ConfigError(
            "--sampling draws rows by their label, and these texts have several each. Use --class-weights balanced."
        )
    if config.sampling != "natural" and config.class_weights != "none":
        raise ConfigError("--sampling and --class-weights both make up for rare labels. Use one of them.")
    if config.correct_prior and config.sampling == "natural" and config.class_weights == "none":
        raise ConfigError(
            "--correct-prior undoes what class weights or sampling do to scores. Add --class-weights or --sampling, or "
            "drop it."
        )


def check_adapter(model: Model) -> None:
    """ConfigError where settings of adapters stand alone, or adapters are asked for without their package."""
    if model.adapter is None:
        if changed(model, ("lora_rank", "lora_alpha", "lora_dropout")):
            raise ConfigError("--lora-rank, --lora-alpha and --lora-dropout belong to --adapter. Add it, or drop them.")
    elif importlib.util.find_spec("peft") is None:
        raise ConfigError(f"--adapter {model.adapter} needs peft: pip install 'classifine[adapters]'.")


def check_keep(config: Train) -> None:
    """ConfigError where something is to be made of several seeds and there is one."""
    if config.keep != "best" and config.seeds == 1:
        raise ConfigError(
            f"--keep is {config.keep}, and there is one seed. Train several with --seeds 3, or drop --keep."
        )


def new_words_of(model: Model, method: str) -> int | None:
    """How many words are asked for, None where nothing is; ConfigError where their vectors would not be trained."""
    if model.new_words and model.adapter:
        raise ConfigError(
            f"--new-words needs vectors that are trained, and --adapter {model.adapter} freezes them. Leave out one of them."
        )
    if model.new_words and method != "finetune":
        raise ConfigError(
            f"--new-words is for --method finetune, and the method is {method}, which few labels ask for: too few for new "
            "words. Add --method finetune, or drop --new-words."
        )
    return 0 if model.adapter or method != "finetune" else model.new_words


def checked_metric(config: Train, model: Model, hardware: Hardware, task: Task) -> str:
    """What chooses the best epoch; ConfigError where that or another wish cannot be met."""
    check_adapter(model)
    check_long(model)
    check_cost(config, task)
    if config.optimizer == "adamw" and (config.rho is not None or config.ascent_share != 1):
        raise ConfigError("--rho and --ascent-share belong to --optimizer sam or asam. Add it, or drop them.")
    metric = config.metric or METRICS[task][0]
    if metric not in METRICS[task]:
        raise ConfigError(
            f"--metric is {metric}, which this task ({task}) does not have. Choose one of {', '.join(METRICS[task])}."
        )
    if config.precision == "bf16" and not hardware.bf16 and hardware.device == "cuda":
        raise ConfigError(f"--precision is bf16, which {hardware.name} does not have. Use --precision float32.")
    return metric
