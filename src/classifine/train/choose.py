"""The recipe of a run, chosen from the settings, the hardware and the data, before anything starts.

What the user did not set is decided here, each number with what it was measured by. It knows nothing about texts or
networks but how many and how large they are.
"""

import math
from dataclasses import replace
from typing import Any

from classifine.config import Model, Train
from classifine.data.encode import Kind
from classifine.labels import Task
from classifine.train.hardware import Hardware, attention_on
from classifine.train.probe import times_of
from classifine.train.recipe import Method, Recipe
from classifine.train.wishes import COSTS, LOSS, changed, checked_metric

# An encoder of MiniLM's size wants a far higher rate than the 2e-5 of the base-size papers (Devlin et al. 2019). On rows cut from
# train (benchmarks/levers.py) twice this one was behind on all that were tried: accuracy 0.787 and 0.782 for 0.808 and 0.791
# on Twitter topics with 1,600 rows, 0.889 for 0.898 with 12,400, 0.883 for 0.889 on AG News and 0.897 for 0.908 with 12,000,
# 0.798 for 0.803 on SmSA, macro-F1 0.425 for 0.435 on GoEmotions; two thirds of it are as good (0.898 on Twitter topics).
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
# What they learn before the labels of pairs (train.similarity), on three quarters of RTE's train rows: accuracy on
# the other quarter 0.660, without it 0.592; on MRPC 0.775, without it 0.773. benchmarks/levers.py measures it.
SIMILARITY_PAIRS = 8000  # at most: two readings of each cost as much as five epochs of a few thousand rows
SIMILARITY_ROWS = 100  # fewer teach nothing that the encoder could use
FALLBACK_RATE = 5e-5
SMALL_RATE, BASE_RATE, LARGE_RATE = 1.5e-4, 3e-5, 1e-5
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
ADAPT_HEAD_RATE = 5.0  # of a head that is new, as a multiple; one that is there learns as the rest
# Few labels. A sentence encoder's head is fitted first, as a probe, then everything is trained in small steps (Kumar
# et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution"), then the head again. On
# rows cut from train, over two to six draws: SST-2 with 8 rows a class reached accuracy 0.650 after 400 rows at this rate
# (0.638 at twice the rate), AG News 0.812 (0.803 after 800 rows), SST-2 with 64 rows a class 0.797 after 1,024
# (0.786 after 2,048, 0.791 at twice the rate). The vectors of tokens stay as they are, which costs nothing (0.646 for 0.647) and saves
# a fifth of the time. The crossing point is the most rows a class that benchmarks/few_labels.py takes: with 64 of SST-2 full
# fine-tuning is still 9 points behind; the rates of larger bases are those of SetFit's paper and of fine-tuning.
FEW_PER_CLASS = 64
FEW_SMALL_RATE, FEW_BASE_RATE, FEW_LARGE_RATE = 1e-4, 2e-5, 1e-5
FEW_BATCH, BATCH = 16, 32
FEW_HEAD_RATE = 1.0  # the probe has found the head already
# Epochs times the root of the rows: four times the rows are read twice as often in all.
FEW_PASSES, FEW_MIN_EPOCHS, FEW_MAX_EPOCHS = 100, 4, 25
# A table of vectors learns at rates a hundred times those of a network: only the texts that have a word change its vector.
STATIC_RATE, STATIC_BATCH = 2e-2, 256
STATIC_ROWS_SEEN, STATIC_MIN_EPOCHS, STATIC_MAX_EPOCHS = 250_000, 3, 20

# The lengths that Foret et al. 2021 and Kwon et al. 2021 start from; the adaptive one is measured in other units.
RHO = {"sam": 0.05, "asam": 0.5}
# What alpha is without a wish. Twice the rank is the habit, and keeps what LoRA adds as large at any rank; rank-stabilised it is to shrink with the
# root of the rank (Kalajdzievski 2023), from as large at rank 16 on.
ALPHA_OF_RANK, RSLORA_ALPHA = 2.0, 8.0


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
    sentence_encoder: bool = False,
    new_words: int = 0,
    spare: bool = False,
    named: int = 0,
) -> Recipe:
    """The recipe for `rows` training rows of such texts, and a network of `parameters` weights on such a base.

    Where validation rows are `spare`, methods for few labels learn from them, too, in the end. They learn from names of
    labels where so many are `named`.

    Raises ConfigError where a wish cannot be met, such as bf16 on hardware without it.
    """
    model = model or Model()
    metric = checked_metric(config, model, hardware, task)
    precision = "bf16" if config.precision == "auto" and hardware.bf16 else config.precision
    few, pairs = method != "finetune", parameters < SMALL_PARAMETERS and texts == "pairs"
    epochs = config.epochs or _passes(rows, method, SMALL_PAIR_EPOCHS if pairs else MAX_EPOCHS)
    batch = config.batch_size or (FEW_BATCH if method == "lp-ft" else BATCH)
    # Of several GPUs each reads as many rows.
    batch = max(1, batch // hardware.devices) * hardware.devices
    names = _name_rows(config, rows, named) if few and task == "single" else 0
    # Contrastive training would draw a name to its own copies, so there the head alone learns from them.
    read = rows + (names if method == "lp-ft" else 0)
    steps = 0 if method == "probe" else epochs * math.ceil(read / batch)
    attention, attention_dropout = attention_on(hardware)
    adapted = model.adapter is not None
    whole = _rate(parameters, task, texts, few)
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
        **_sharpness(config),
        **{name: getattr(config, name) for name in COSTS},
        r_drop=config.r_drop,
        averaging=config.averaging,
        metric=metric,
        patience=config.patience,
        max_length=max_length,
        seed=config.seed,
        **_adapter(model),
        long=model.long,
        stride=model.stride if model.long == "windows" else None,
        similarity_pairs=_similarity_pairs(config, model, rows) if sentence_encoder and texts == "pairs" else 0,
        new_words=new_words,
        name_rows=names,
        warmup=config.warmup if config.warmup < 1 else None,
        all_rows=learns_from_all(config, method, spare),
    )


def learns_from_all(config: Train, method: Method, spare: bool) -> bool:
    """Whether `spare` validation rows are learned from, too, once they have told what they can: where labels are few, but
    for an average of seeds, which is judged by them in the end.
    """
    return spare and method != "finetune" and config.all_rows and config.keep != "average"


def _name_rows(config: Train, rows: int, named: int) -> int:
    """How many rows the names of labels are beside so many of theirs; none where answers cost something else than as
    usual, which names are not to shift.
    """
    usual = not changed(config, LOSS)
    return named * times_of(rows, named) if named and config.label_names and usual else 0


def _similarity_pairs(config: Train, model: Model, rows: int) -> int:
    """How many pairs a sentence encoder compares before it learns labels: up to four of each pair; none if it is frozen."""
    if not config.pair_similarity or model.adapter is not None or rows < SIMILARITY_ROWS:
        return 0
    return min(4 * rows, SIMILARITY_PAIRS)


def _passes(rows: int, method: Method, most: int) -> int:
    """How many epochs suit so many rows; a probe looks at them once."""
    if method == "probe":
        return 1
    if method == "finetune":
        return min(max(round(ROWS_SEEN / max(rows, 1)), MIN_EPOCHS), most)
    return min(max(round(FEW_PASSES / math.sqrt(max(rows, 1))), FEW_MIN_EPOCHS), FEW_MAX_EPOCHS)


def choose_masked(
    config: Train, hardware: Hardware, rows: int, parameters: int, max_length: int, new_head: bool, new_words: int = 0
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
    found = choose(config.model_copy(update=own), hardware, rows, parameters, max_length, new_words=new_words)
    return replace(found, task=None)


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


def _sharpness(config: Train) -> dict[str, Any]:
    if config.optimizer == "adamw":
        return {"rho": None, "ascent_share": None}
    return {"rho": config.rho or RHO[config.optimizer], "ascent_share": config.ascent_share}


def _adapter(model: Model) -> dict[str, Any]:
    if model.adapter is None:
        return {}
    own = {"adapter": model.adapter, "lora_rank": model.lora_rank, "lora_dropout": model.lora_dropout}
    return {**own, "lora_alpha": _alpha(model)}


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


def _rate(parameters: int, task: Task, texts: Kind, few: bool) -> float:
    """The rate for the whole network, of texts with few labels or many."""
    if few:
        return _by_size(parameters, FEW_SMALL_RATE, FEW_BASE_RATE, FEW_LARGE_RATE)
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
