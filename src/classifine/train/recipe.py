"""How a run is trained, in full: two runs with one recipe and one machine do the same.

It knows neither why a recipe is as it is (`train.choose`), nor anything about texts or networks.
"""

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from classifine.config import LongTexts
from classifine.errors import ConfigError
from classifine.labels import Task
from classifine.windows import MOST_WINDOWS, Long

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from classifine.train.adapters import Adapters
    from classifine.train.sam import Sharpness

Method = Literal["finetune", "probe", "lp-ft", "contrastive"]


@dataclass(frozen=True)
class Recipe:
    """Everything that fitting depends on. `warmup_steps` and `steps` count optimiser steps; lengths are in tokens.

    `task` is None where no labels are learned, but texts.
    `rows_at_once` of a batch are on a device at the same time; the gradients of its parts are added up. A run that
    learns nothing at `learning_rate` starts anew at `fallback_rate`, if there is one. With `averaging` epochs are judged,
    and kept, by the mean of the weights along the way.
    The base's tokenizer has `new_words` more tokens than it came with (`model.vocabulary`).
    Before the labels an encoder learns how alike the texts of so many `similarity_pairs` at most are (`train.similarity`).
    What the labels are called is learned from as so many `name_rows` of theirs, unless rows left out speak against it.
    `warmup` is the share of the steps that warm up; None where their number was wished for.
    With `all_rows` the network begins anew in the end and learns from validation rows, too.
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
    sampling: str
    correct_prior: bool
    focal: float
    label_smoothing: float
    r_drop: float
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
    similarity_pairs: int = 0
    new_words: int = 0
    all_rows: bool = False
    name_rows: int = 0
    warmup: float | None = None

    @property
    def has_cost(self) -> bool:
        """Whether answers cost anything else than as usual."""
        usual = self.class_weights == "none" and self.sampling == "natural" and not self.correct_prior
        return not usual or any((self.focal, self.label_smoothing, self.r_drop))

    def over(self, rows: int) -> "Recipe":
        """The same number of passes over so many rows."""
        steps = self.epochs * math.ceil(rows / self.batch_size) if self.steps else 0
        return replace(
            self, steps=steps, warmup_steps=self.warmup_steps if self.warmup is None else round(self.warmup * steps)
        )

    @property
    def names_trained_on(self) -> int:
        """How many of the rows of names the network itself is trained on; contrastive training would draw a name to its own
        copies, so there the head alone learns from them.
        """
        return self.name_rows if self.method == "lp-ft" else 0

    @property
    def leaves_words(self) -> bool:
        """Whether the vectors of tokens stay as they came: few texts have few words, and the others would be left behind."""
        return self.method in ("lp-ft", "contrastive")

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
    def vocabulary_in_words(self) -> list[str]:
        """What the tokenizer gets; nothing where it stays as it came."""
        if not self.new_words:
            return []
        return [
            f"{self.new_words} words that the base's tokenizer splits or does not know get a token of their own (--new-words)"
        ]

    @property
    def _cost_in_words(self) -> list[str]:
        """What of the loss is not as usual; nothing where all is."""
        parts = [
            *([f"{self.class_weights} class weights (--class-weights)"] if self.class_weights != "none" else []),
            *([f"{self.sampling} sampling of labels (--sampling)"] if self.sampling != "natural" else []),
            *(["scores shifted back to how often labels come (--correct-prior)"] if self.correct_prior else []),
            *([f"focal loss, gamma {self.focal:g} (--focal)"] if self.focal else []),
            *([f"smoothed labels, {self.label_smoothing:g} (--label-smoothing)"] if self.label_smoothing else []),
            *(
                [f"each row read twice, the difference of both answers times {self.r_drop:g} (--r-drop)"]
                if self.r_drop
                else []
            ),
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
        last = (
            ["in the end anew from all rows, those set aside for validation, too (--no-all-rows)"]
            if self.all_rows
            else []
        )
        names = (
            [
                f"the names of the labels as {self.name_rows} rows of theirs, unless rows left out speak against it (--no-label-names)"
            ]
            if self.name_rows
            else []
        )
        if self.method == "probe":
            return [
                "logistic regression on what the encoder makes of the texts, its penalty by cross-validation",
                *names,
                *where,
                *last,
            ]
        head = "new head" if self.method == "finetune" else "head"
        first = [f"first how alike the texts of up to {self.similarity_pairs} pairs are (--no-pair-similarity)"]
        judged = " of the weights' running mean" if self.averaging else ""
        kept = (
            f"best epoch by {self.metric}{judged}, stops after {self.patience} without a better one "
            "(--metric, --patience, --no-averaging)"
        )
        return [
            *self.vocabulary_in_words,
            *(first if self.similarity_pairs else []),
            f"{self.epochs} epochs of {self.steps // self.epochs} steps, batches of {self.batch_size} (--epochs, --batch-size)",
            f"{self._optimizer_in_words}, peak rate {self.learning_rate:g}, {self.head_rate:g} times that for the {head}, {self.schedule}, warm-up {self.warmup_steps} steps, "
            f"weight decay {self.weight_decay:g} (--learning-rate, --head-rate, --schedule, --warmup, --weight-decay)",
            *self._cost_in_words,
            *self._adapter_in_words,
            *names,
            *where,
            f"the last epoch{judged} stays (--no-averaging)" if self.keeps_last else kept,
            *last,
        ]


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
