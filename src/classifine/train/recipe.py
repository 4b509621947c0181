"""How this run will be trained, decided from the settings, the hardware and the data, before anything starts.

A recipe is complete: two runs with one recipe and one machine do the same. What the user did not set
is chosen by the data and the hardware. It knows nothing about texts or networks.
"""

import importlib.util
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from classifine.config import LongTexts, Model, Train
from classifine.data.encode import Kind
from classifine.errors import ConfigError
from classifine.labels import Task
from classifine.model.folder import fastest_device, processors
from classifine.windows import MOST_WINDOWS, Long

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from classifine.train.adapters import Adapters
    from classifine.train.sam import Sharpness

# An encoder of MiniLM's size wants a far higher rate than the 2e-5 of the base-size papers (Devlin et al. 2019).
SMALL_PARAMETERS = 50_000_000
# Small sentence encoders have never read two texts at once, and soon learn few pairs by heart. On rows cut from train
# MRPC and RTE reached accuracy 0.72 and 0.55 at the rate for single texts, 0.77 and 0.59 at a sixth of it, and got no
# better after the fifth epoch. At this rate, the head no faster than the rest, MRPC reached 0.780 (a faster head: 0.762)
# and STS-B a correlation of 0.868 (0.865 at half the rate and with a faster head).
SMALL_PAIR_RATE, SMALL_PAIR_HEAD_RATE, SMALL_PAIR_EPOCHS = 1e-4, 1.0, 5
# One label for a short text hangs on a word or two. On rows cut from train CoLA ended in a constant guess at the rate
# for longer texts (Matthews correlation 0.00; 0.33 at 1e-4, 0.36 here); SST-2, trained on phrases and judged by
# sentences that share none of them, lost accuracy (0.870; 0.875 at 1e-4, 0.877 here); GoEmotions cut to one label and
# 8,000 rows reached accuracy 0.582 (0.564 at 1e-4).
SMALL_SHORT_RATE = 5e-5
FALLBACK_RATE = 5e-5
SMALL_RATE, BASE_RATE, LARGE_RATE = 3e-4, 3e-5, 1e-5
LARGE_PARAMETERS = 200_000_000
# Adapters want up to ten times the rate that suits the whole network (Schulman et al. 2025, "LoRA Without Regret"; Hu et al.
# 2022 took 5e-4 for RoBERTa-base and 2e-4 to 4e-4 for its large sister): a step at rate r moves a weight by about
# r * alpha / rank * sqrt(rank / 3 / width), which at our defaults is a fourth of r (width 384) to a seventh (1024).
# The head, which learns by itself, then needs no rate above theirs.
SMALL_ADAPTER_RATE, ADAPTER_RATE, LARGE_ADAPTER_RATE = 1e-3, 3e-4, 2e-4
HEAD_RATE, ADAPTER_HEAD_RATE = 10.0, 1.0
# Passes over the data: enough steps for a new head on few rows, no more than pays on many.
ROWS_SEEN = 50_000
MIN_EPOCHS, MAX_EPOCHS = 2, 12
# The same for guessing masked tokens of unlabelled texts. Masks are drawn anew for each pass, so more passes teach more
# before anything is learned by heart (Gururangan et al. 2020 made 100 over small sets).
ADAPT_SMALL_RATE, ADAPT_BASE_RATE, ADAPT_LARGE_RATE = 3e-4, 5e-5, 2e-5
ADAPT_ROWS_SEEN = 60_000
ADAPT_MIN_EPOCHS, ADAPT_MAX_EPOCHS = 1, 20
# Few labels. A sentence encoder's head is fitted first, as a probe, and then everything is trained in small steps (Kumar
# et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution"). On rows cut from train,
# AG News with 8 rows a class over two draws: accuracy 0.77 by the probe, 0.85 after 60 steps of 16 rows at this rate, 0.83
# at 2e-4. The crossing point is the most rows a class that benchmarks/few_labels.py takes, which measures this, full
# fine-tuning and the rest at 8, 16, 32 and 64; the rates of larger bases are those of SetFit's paper and of fine-tuning.
FEW_PER_CLASS = 64
FEW_SMALL_RATE, FEW_BASE_RATE, FEW_LARGE_RATE = 5e-5, 2e-5, 1e-5
FEW_BATCH, BATCH = 16, 32
FEW_HEAD_RATE = 1.0  # the probe has found the head already
# About so many rows are seen in all.
FEW_ROWS_SEEN, FEW_MIN_EPOCHS, FEW_MAX_EPOCHS = 1000, 4, 60
ADAPT_HEAD_RATE = 5.0  # of a head that is new, as a multiple; one that is there learns as the rest
# A table of vectors learns at rates a hundred times those of a network: only the texts that have a word change its vector.
STATIC_RATE, STATIC_BATCH = 2e-2, 256
STATIC_ROWS_SEEN, STATIC_MIN_EPOCHS, STATIC_MAX_EPOCHS = 250_000, 3, 20

Method = Literal["finetune", "probe", "lp-ft", "contrastive"]
# The lengths that Foret et al. 2021 and Kwon et al. 2021 start from; the adaptive one is measured in other units.
RHO = {"sam": 0.05, "asam": 0.5}
# What alpha is without a wish. Twice the rank is the habit, and keeps what LoRA adds as large at any rank; rank-stabilised it is to shrink with the
# root of the rank (Kalajdzievski 2023), from as large at rank 16 on.
ALPHA_OF_RANK, RSLORA_ALPHA = 2.0, 8.0
# Settings of the loss.
COSTS = ("class_weights", "correct_prior", "focal", "label_smoothing")
# What can choose the best epoch, by task; the first does where nothing else is asked.
METRICS: dict[Task, tuple[str, ...]] = {
    "single": ("macro_f1", "accuracy", "weighted_f1", "mcc", "loss"),
    "multi": ("macro_f1", "micro_f1", "weighted_f1", "sample_f1", "subset_accuracy", "ranking_precision", "loss"),
    "score": ("pearson", "spearman", "mse", "mae", "loss"),
}


@dataclass(frozen=True)
class Hardware:
    """What the network will run on; `bf16` tells whether it multiplies bfloat16 by instructions of its own."""

    device: str
    name: str
    cores: int
    bf16: bool
    devices: int = 1


@dataclass(frozen=True)
class Recipe:
    """Everything that fitting depends on. `warmup_steps` and `steps` count optimiser steps; lengths are in tokens.

    `task` is None where no labels are learned, but masked tokens.
    `rows_at_once` of a batch are on a device at the same time; the gradients of its parts are added up. A run that
    learns nothing at `learning_rate` starts anew at `fallback_rate`, if there is one. With `averaging` epochs are judged,
    and kept, by the mean of the weights along the way.
    `long` is what is read of texts of more than `max_length` tokens; where it is windows, they are the rows at once, and
    `stride` is how far each starts behind the one before, as a share of it.
    """

    task: Task | None
    device: str
    devices: int
    precision: str
    attention: str | None
    attention_dropout: bool
    epochs: int
    batch_size: int
    rows_at_once: int
    steps: int
    learning_rate: float
    fallback_rate: float | None
    head_rate: float
    weight_decay: float
    warmup_steps: int
    schedule: str
    optimizer: str
    rho: float | None
    ascent_share: float | None
    class_weights: str
    focal: float
    label_smoothing: float
    averaging: bool
    metric: str
    patience: int
    max_length: int
    seed: int
    method: Method = "finetune"
    adapter: Literal["lora", "dora", "rslora"] | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_dropout: float | None = None
    long: LongTexts = "truncate"
    stride: float | None = None

    @property
    def reading(self) -> Long:
        """What is read of long texts, as `data.encode` takes it."""
        return Long(self.long) if self.stride is None else Long(self.long, self.stride)

    @property
    def most_windows(self) -> int:
        """Windows of a document in one step at most: no more than may be on a device at once, as it is never parted."""
        return min(MOST_WINDOWS, self.rows_at_once)

    @property
    def long_in_words(self) -> str:
        """What is read of long texts, with the flags that change it."""
        if self.long == "truncate":
            return f"texts cut at {self.max_length} tokens (--max-length)"
        if self.long == "head-tail":
            return f"of texts of more than {self.max_length} tokens the beginning and the end (--long, --max-length)"
        return (
            f"texts of more than {self.max_length} tokens in windows of as many, each {self.stride:.0%} of one behind the "
            f"last; in training {self.most_windows} at most, drawn for each step (--long, --stride, --max-length)"
        )

    @property
    def _optimizer_in_words(self) -> str:
        if self.rho is None:
            return "AdamW"
        part = "" if self.ascent_share == 1 else f" on {self.ascent_share:.0%} of the rows"
        kind = "adaptive sharpness-aware" if self.optimizer == "asam" else "sharpness-aware"
        return f"{kind} AdamW (--optimizer), rho {self.rho:g}{part} (--rho, --ascent-share)"

    @property
    def sharpness(self) -> "Sharpness | None":
        """What sharpness-aware minimisation needs; None where the optimiser is plain AdamW."""
        from classifine.train.sam import Sharpness

        if self.rho is None or self.ascent_share is None:
            return None
        return Sharpness(self.rho, self.optimizer == "asam", self.ascent_share)

    @property
    def adapters(self) -> "Adapters | None":
        """The adapters that are trained in the encoder's place; None where it is fine-tuned itself."""
        from classifine.train.adapters import Adapters

        if self.adapter is None or self.lora_rank is None or self.lora_alpha is None or self.lora_dropout is None:
            return None
        return Adapters(self.adapter, self.lora_rank, self.lora_alpha, self.lora_dropout)

    @property
    def _cost_in_words(self) -> list[str]:
        """What of the loss is not as usual; nothing where all is."""
        parts = [
            *([f"{self.class_weights} class weights (--class-weights)"] if self.class_weights != "none" else []),
            *([f"focal loss, gamma {self.focal:g} (--focal)"] if self.focal else []),
            *([f"smoothed labels, {self.label_smoothing:g} (--label-smoothing)"] if self.label_smoothing else []),
        ]
        return [", ".join(parts)] if parts else []

    @property
    def _adapter_in_words(self) -> list[str]:
        if self.adapter is None:
            return []
        return [
            f"{self.adapter} adapters of rank {self.lora_rank}, alpha {self.lora_alpha:g}, dropout {self.lora_dropout:g}; the encoder is frozen, "
            "and they are merged into it in the end (--adapter, --lora-rank, --lora-alpha, --lora-dropout)"
        ]

    def as_json(self) -> dict[str, Any]:
        """The recipe as plain values, for the record."""
        return asdict(self)

    @property
    def keeps_last(self) -> bool:
        """Whether the last epoch stays rather than the best: few labels leave too few rows to tell epochs apart."""
        return self.method != "finetune"

    def lines(self) -> list[str]:
        """The recipe in words, for people, with the flags that change it."""
        dropout = "" if self.attention_dropout else ", no dropout on attention"
        where = [
            f"{self.precision} on the {self.device}, {self.attention or 'default'} attention{dropout} (--precision)",
            self.long_in_words,
        ]
        if self.method == "probe":
            return [
                "logistic regression on what the encoder makes of the texts, its penalty by cross-validation",
                *where,
            ]
        head = "new head" if self.method == "finetune" else "head"
        judged = " of the weights' running mean" if self.averaging else ""
        kept = (
            f"best epoch by {self.metric}{judged}, stops after {self.patience} without a better one "
            "(--metric, --patience, --no-averaging)"
        )
        return [
            f"{self.epochs} epochs of {self.steps // self.epochs} steps, batches of {self.batch_size} (--epochs, --batch-size)",
            f"{self._optimizer_in_words}, peak rate {self.learning_rate:g}, {self.head_rate:g} times that for the {head}, {self.schedule}, warm-up {self.warmup_steps} steps, "
            f"weight decay {self.weight_decay:g} (--learning-rate, --head-rate, --schedule, --warmup, --weight-decay)",
            *self._cost_in_words,
            *self._adapter_in_words,
            *where,
            f"the last epoch{judged} stays (--no-averaging)" if self.keeps_last else kept,
        ]


def look_at_hardware() -> Hardware:
    """The device that training would use, and whether it has bfloat16."""
    import torch

    cores = processors()
    if fastest_device() == "cuda":
        return Hardware(
            "cuda", torch.cuda.get_device_name(), cores, torch.cuda.is_bf16_supported(False), torch.cuda.device_count()
        )
    return Hardware("cpu", "processor", cores, _has_bf16())


def _has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices by instructions of its own.

    They are several times as fast as float32's; where they are missing PyTorch emulates them, slower than float32.
    Read rather than timed: a timing depends on what else the machine does, and two runs would differ.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_bf16", "amx_bf16"))


def choose(
    config: Train,
    hardware: Hardware,
    rows: int,
    parameters: int,
    max_length: int,
    task: Task = "single",
    texts: Kind = "long",
    model: Model | None = None,
    method: Method = "finetune",
) -> Recipe:
    """The recipe for `rows` training rows of such texts, and a network of `parameters` weights.

    Raises ConfigError where a wish cannot be met, such as bf16 on hardware without it.
    """
    model = model or Model()
    check_adapter(model)
    check_long(model)
    check_cost(config, task)
    metric = _checked_metric(config, hardware, task)
    precision = "bf16" if config.precision == "auto" and hardware.bf16 else config.precision
    few, pairs = method != "finetune", parameters < SMALL_PARAMETERS and texts == "pairs"
    epochs = config.epochs or _passes(rows, method, SMALL_PAIR_EPOCHS if pairs else MAX_EPOCHS)
    batch = config.batch_size or (FEW_BATCH if method == "lp-ft" else BATCH)
    steps = 0 if method == "probe" else epochs * math.ceil(rows / batch)
    attention, attention_dropout = attention_on(hardware)
    adapted = model.adapter is not None
    whole = (
        _by_size(parameters, FEW_SMALL_RATE, FEW_BASE_RATE, FEW_LARGE_RATE) if few else _rate(parameters, task, texts)
    )
    rate = config.learning_rate or (_adapter_rate(whole) if adapted else whole)
    return Recipe(
        task=task,
        method=method,
        device=hardware.device,
        devices=hardware.devices,
        precision="float32" if precision == "auto" else precision,
        attention=attention,
        attention_dropout=attention_dropout,
        epochs=epochs,
        batch_size=batch,
        # The Trainer gives every GPU a batch of its own; ours is that of a step.
        rows_at_once=max(1, batch // hardware.devices),
        steps=steps,
        learning_rate=rate,
        # Who names a rate gets it.
        fallback_rate=_fallback(rate, adapted) if config.learning_rate is None and not few else None,
        head_rate=config.head_rate or _head_rate(adapted, few, pairs),
        weight_decay=config.weight_decay,
        warmup_steps=round(config.warmup * steps) if config.warmup < 1 else round(config.warmup),
        schedule=config.schedule,
        optimizer=config.optimizer,
        rho=None if config.optimizer == "adamw" else config.rho or RHO[config.optimizer],
        ascent_share=None if config.optimizer == "adamw" else config.ascent_share,
        class_weights=config.class_weights,
        focal=config.focal,
        label_smoothing=config.label_smoothing,
        averaging=config.averaging,
        metric=metric,
        patience=config.patience,
        max_length=max_length,
        seed=config.seed,
        adapter=model.adapter,
        lora_rank=model.lora_rank if adapted else None,
        lora_alpha=_alpha(model) if adapted else None,
        lora_dropout=model.lora_dropout if adapted else None,
        long=model.long,
        stride=model.stride if model.long == "windows" else None,
    )


def _checked_metric(config: Train, hardware: Hardware, task: Task) -> str:
    """What chooses the best epoch; ConfigError where that or another wish cannot be met."""
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


def _passes(rows: int, method: Method, most: int) -> int:
    """How many epochs suit so many rows; a probe looks at them once."""
    if method == "probe":
        return 1
    if method == "finetune":
        return min(max(round(ROWS_SEEN / max(rows, 1)), MIN_EPOCHS), most)
    return min(max(round(FEW_ROWS_SEEN / max(rows, 1)), FEW_MIN_EPOCHS), FEW_MAX_EPOCHS)


def choose_masked(
    config: Train, hardware: Hardware, rows: int, parameters: int, max_length: int, new_head: bool
) -> Recipe:
    """The recipe for guessing masked tokens of `rows` texts; of `config` what `choose` heeds but for head and metric."""
    passes = min(max(round(ADAPT_ROWS_SEEN / max(rows, 1)), ADAPT_MIN_EPOCHS), ADAPT_MAX_EPOCHS)
    own = {
        "epochs": config.epochs or passes,
        "learning_rate": config.learning_rate
        or _by_size(parameters, ADAPT_SMALL_RATE, ADAPT_BASE_RATE, ADAPT_LARGE_RATE),
        "head_rate": ADAPT_HEAD_RATE if new_head else 1.0,
        "metric": "loss",
    }
    return replace(choose(config.model_copy(update=own), hardware, rows, parameters, max_length), task=None)


def choose_static(config: Train, hardware: Hardware, rows: int, parameters: int, max_length: int, task: Task) -> Recipe:
    """The recipe for a table of words' vectors, on the processor: of `config` what `choose` heeds but for the metric."""
    given = config.model_fields_set
    own = {
        "epochs": config.epochs
        or min(max(round(STATIC_ROWS_SEEN / max(rows, 1)), STATIC_MIN_EPOCHS), STATIC_MAX_EPOCHS),
        "batch_size": config.batch_size if "batch_size" in given else STATIC_BATCH,
        "learning_rate": config.learning_rate or STATIC_RATE,
        "head_rate": config.head_rate or 1.0,
        "metric": "loss",
        "precision": "float32",
    }
    found = choose(config.model_copy(update=own), hardware, rows, parameters, max_length, task)
    return replace(found, attention=None, attention_dropout=True)


def check_cost(config: Train, task: Task) -> None:
    """ConfigError where a wish about the loss cannot be met."""
    wished = [name for name in COSTS if getattr(config, name) != getattr(Train(), name)]
    if wished and task == "score":
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in wished)
        raise ConfigError(f"{flags} is about labels, and this task is a number. Leave it out, or name another --task.")
    if config.correct_prior and config.class_weights == "none":
        raise ConfigError("--correct-prior undoes what class weights do to scores. Add --class-weights, or drop it.")


def check_adapter(model: Model) -> None:
    """ConfigError where settings of adapters stand alone, or adapters are asked for without their package."""
    plain = Model()
    if model.adapter is None:
        names = ("lora_rank", "lora_alpha", "lora_dropout")
        if any(getattr(model, name) != getattr(plain, name) for name in names):
            raise ConfigError("--lora-rank, --lora-alpha and --lora-dropout belong to --adapter. Add it, or drop them.")
    elif importlib.util.find_spec("peft") is None:
        raise ConfigError(f"--adapter {model.adapter} needs peft: pip install 'classifine[adapters]'.")


def check_keep(config: Train) -> None:
    """ConfigError where weights of several seeds are to be averaged and there is one."""
    if config.keep == "average" and config.seeds == 1:
        raise ConfigError("--keep is average, and there is one seed. Train several with --seeds 3, or drop --keep.")


def check_long(model: Model) -> None:
    """ConfigError where a stride is named and there are no windows."""
    if model.stride != Model().stride and model.long != "windows":
        raise ConfigError("--stride belongs to --long windows. Add it, or drop --stride.")


def _alpha(model: Model) -> float:
    return model.lora_alpha or (RSLORA_ALPHA if model.adapter == "rslora" else ALPHA_OF_RANK * model.lora_rank)


def _fallback(rate: float, adapted: bool) -> float | None:
    """What a run that learns nothing at a rate of ours starts anew at; only the high ones can fail."""
    high, lower = (SMALL_ADAPTER_RATE, ADAPTER_RATE) if adapted else (SMALL_RATE, FALLBACK_RATE)
    return lower if rate == high else None


def _head_rate(adapted: bool, few: bool, pairs: bool) -> float:
    """How many times as fast as the rest a head learns, for pairs that a small base reads."""
    if few:
        return FEW_HEAD_RATE
    return ADAPTER_HEAD_RATE if adapted else SMALL_PAIR_HEAD_RATE if pairs else HEAD_RATE


def attention_on(hardware: Hardware) -> tuple[str | None, bool]:
    """(transformers' implementation or None for its own choice, whether attention weights get dropout).

    Measured at the lengths of news and tweets: PyTorch's fused attention has a slow backward on processors, and
    drawing masks for attention weights costs more there than the regularisation brings.
    """
    return ("eager", False) if hardware.device == "cpu" else (None, True)


def _rate(parameters: int, task: Task, texts: Kind) -> float:
    small = {"long": SMALL_RATE, "short": SMALL_SHORT_RATE, "pairs": SMALL_PAIR_RATE}[texts]
    if texts == "short" and task != "single":
        small = SMALL_RATE
    return _by_size(parameters, small, BASE_RATE, LARGE_RATE)


def _by_size(parameters: int, small: float, base: float, large: float) -> float:
    if parameters < SMALL_PARAMETERS:
        return small
    return base if parameters < LARGE_PARAMETERS else large


def _adapter_rate(whole: float) -> float:
    """The rate of adapters for a network that would be fine-tuned at the rate `whole`."""
    if whole == SMALL_RATE:
        return SMALL_ADAPTER_RATE
    return LARGE_ADAPTER_RATE if whole == LARGE_RATE else ADAPTER_RATE


def training_arguments(recipe: Recipe, folder: str) -> "TrainingArguments":
    """Transformers' arguments for a recipe; `folder` is where it may write.

    Raises ConfigError where the installed transformers does not know one of the names.
    """
    import transformers

    wanted: dict[str, Any] = {
        "output_dir": folder,
        "per_device_train_batch_size": recipe.rows_at_once,
        "gradient_accumulation_steps": max(1, recipe.batch_size // recipe.devices // recipe.rows_at_once),
        "num_train_epochs": recipe.epochs,
        "learning_rate": recipe.learning_rate,
        "weight_decay": recipe.weight_decay,
        "warmup_steps": recipe.warmup_steps,
        "lr_scheduler_type": "constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule,
        "optim": "adamw_torch_fused",
        "bf16": recipe.precision == "bf16",
        "use_cpu": recipe.device == "cpu",
        "seed": recipe.seed,
        "train_sampling_strategy": "group_by_length",
        "length_column_name": "length",
        # Windows are told by a column that no network takes.
        "remove_unused_columns": False,
        # Each epoch is judged; the weights of the best one stay in memory, so nothing is written.
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "logging_strategy": "steps",
        "logging_steps": max(1, recipe.steps // recipe.epochs // 20),
        # A loss that is no number must be seen, not smoothed over.
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": recipe.device == "cuda",
    }
    try:
        return transformers.TrainingArguments(**wanted)
    except TypeError as error:
        raise ConfigError(
            f"transformers {transformers.__version__} does not know a setting that classifine uses: {error}. "
            "Install the version that classifine's lock names."
        ) from error
