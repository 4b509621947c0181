"""Every setting, once: name, type, default, bounds and help line; an example of a value where there is no default.

The command-line flags, the checks, the messages, the reference page and the record beside a saved model are all
made from this text. It knows nothing about files of data, networks or hardware: a default of `None` means that a
later step finds the value by itself and says what it found.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.fields import FieldInfo

from classifine.errors import ConfigError
from classifine.labels import Task

# Of a setting that, unlike the others, nothing stands in for where it is not given.
OFF: dict[str, Any] = {"off": True}
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
Searched = Literal[
    "base", "learning_rate", "epochs", "batch_size", "weight_decay", "schedule", "warmup", "head_rate", "optimizer"
]
Objective = Literal["masked", "replaced"]
LongTexts = Literal["truncate", "head-tail", "windows"]
DEFAULT_BASE = "sentence-transformers/all-MiniLM-L6-v2"
TEMPERATURE = 2.0  # by which the answers of a teacher are softened where no other is asked for


class Section(BaseModel):
    """A group of settings; a value that is not declared here is a mistake, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Data(Section):
    """Where the labelled texts are and how to read them."""

    source: str | None = Field(
        None, examples=["tickets.csv"], description="Labelled texts: a file, a folder of split files, or a Hub id."
    )
    validation: str | None = Field(
        None,
        examples=["validation.csv"],
        description="Rows for choosing the best epoch; cut from train where none are given.",
    )
    test: str | None = Field(
        None,
        examples=["test.csv"],
        description="Rows for the final report, used once; cut from train where none are given.",
    )
    text: tuple[str, ...] = Field(
        (),
        examples=[["subject", "body"]],
        description="Column with the text, twice to join two columns; found by name and content.",
    )
    text_pair: str | None = Field(
        None,
        examples=["sentence2"],
        description="Column with the second text of a pair; found by name, such as sentence2.",
    )
    label: tuple[str, ...] = Field(
        (),
        examples=[["team"]],
        description="Column with the label, or again for each column of 0 and 1; found by name and content.",
    )
    language: str | None = Field(
        None, examples=["en"], description="Language of the texts, such as en, de or id; told from a sample of them."
    )
    label_separator: str | None = Field(
        None,
        examples=[";"],
        min_length=1,
        description="What parts several labels of a row, such as ';', or [] where each cell is a list; found by content.",
    )
    task: Task | None = Field(
        None,
        examples=["single"],
        description="One label a text (single), any number (multi) or a number (score); found by content.",
    )
    encoding: str | None = Field(
        None, examples=["cp1252"], description="Encoding of text files, such as utf-8 or cp1252; guessed and said."
    )
    delimiter: str | None = Field(
        None, examples=[";"], description="What separates the columns of a csv file, such as ';'; guessed and said."
    )
    sheet: str | None = Field(None, examples=["Sheet1"], description="Sheet of an xlsx file; the first by itself.")
    validation_share: float = Field(
        0.1, gt=0, le=0.4, description="Share of train cut off for validation; 2,000 rows at most."
    )
    test_share: float = Field(0.1, gt=0, le=0.4, description="Share of train cut off for test; 10,000 rows at most.")
    max_train_rows: int | None = Field(
        None,
        examples=[1000],
        ge=2,
        description="Train on so many rows, drawn by seed with the classes in their shares.",
        json_schema_extra=OFF,
    )
    max_eval_rows: int | None = Field(
        None,
        examples=[1000],
        ge=2,
        description="Judge on so many rows of validation and of test.",
        json_schema_extra=OFF,
    )
    drop_duplicates: bool = Field(False, description="Keep one row of each text in train.")
    drop_conflicts: bool = Field(False, description="Leave out train rows whose text carries several labels.")
    drop_unseen: bool = Field(False, description="Leave out evaluation rows whose label train lacks.")
    keep_shared: bool = Field(
        False, description="Keep rows whose text is also in a later split (train, validation, test)."
    )

    @field_validator("text", "label", mode="before")
    @classmethod
    def _one_column(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Model(Section):
    """The pre-trained encoder."""

    base: str | None = Field(
        None,
        examples=["FacebookAI/roberta-base"],
        description="Pre-trained encoder: a folder or a Hub id; by the language of the texts.",
    )
    max_length: int | None = Field(
        None, examples=[128], ge=8, le=8192, description="Tokens kept of each text; 256 or what the base has room for."
    )
    long: LongTexts = Field(
        "truncate",
        description="What is read of longer texts: the beginning (truncate), the beginning and the end (head-tail), or all, in windows whose logits are averaged (windows).",
    )
    stride: float = Field(
        0.75,
        ge=0.1,
        le=1,
        description="How far each window starts behind the one before, as a share of a window; less overlaps more. Needs --long windows.",
    )
    new_words: int | None = Field(
        None,
        examples=[5000],
        ge=0,
        le=100_000,
        description="Words of the train texts that the base's tokenizer splits or does not know get a token of their own, so many at most; 10000 where that is a quarter of the tokens, as of texts in another language than the base's, else 0. For WordPiece, as of BERT's family, where the whole network is fine-tuned.",
    )
    adapter: Literal["lora", "dora", "rslora"] | None = Field(
        None,
        examples=["lora"],
        description="Train small matrices beside the frozen encoder, merged into it in the end: less memory (lora), closer to full fine-tuning and slower (dora), for high ranks (rslora).",
        json_schema_extra=OFF,
    )
    lora_rank: int = Field(16, ge=1, le=4096, description="Rank of the adapter's matrices. Needs --adapter.")
    lora_alpha: float | None = Field(
        None,
        examples=[32],
        gt=0,
        description="How much the adapter adds to the weights: alpha / rank times what its matrices compute (rslora: alpha / the root of the rank); twice the rank, of rslora 8. Needs --adapter.",
    )
    lora_dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of what the adapter reads that is dropped while training. Needs --adapter."
    )


class Train(Section):
    """How the network is fitted."""

    method: Literal["auto", "finetune", "probe", "lp-ft", "contrastive"] = Field(
        "auto",
        description="finetune trains everything from a new head on; for few labels: probe (a linear head on the frozen encoder), lp-ft (that first, then everything), contrastive (texts of one label drawn together, then a probe); auto chooses and says why.",
    )
    all_rows: bool = Field(
        True,
        description="With few labels, learn anew from all rows in the end: validation rows that were cut from train, too, once they have told how far scores can be trusted.",
    )
    label_names: bool = Field(
        True,
        description="With few labels, one a text, learn from what they are called, too, as from texts of theirs, unless a probe on rows left out is clearly the worse for it.",
    )
    epochs: int | None = Field(
        None,
        examples=[5],
        ge=1,
        le=1000,
        description="Passes over the training rows; as many as see about 50,000 rows, from 2 to 12 (pairs on small bases: to 5; few labels: more).",
    )
    batch_size: int | None = Field(
        None, examples=[32], ge=1, le=4096, description="Rows per optimiser step; 32, with --method lp-ft 16."
    )
    learning_rate: float | None = Field(
        None,
        examples=[2e-5],
        gt=0,
        le=1,
        description="Peak learning rate of AdamW; 1.5e-4 for bases of up to 50M weights (1e-4 for pairs, 5e-5 for short texts), 3e-5 up to 200M, 1e-5 beyond; higher with --adapter, lower for few labels.",
    )
    head_rate: float | None = Field(
        None,
        examples=[10],
        gt=0,
        le=1000,
        description="How many times as fast as the rest the head learns; 10, but 1 with --adapter, for few labels and for pairs on small bases.",
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's decoupled weight decay.")
    warmup: float = Field(0.1, ge=0, description="Share of the steps (below 1) or number of steps to warm up.")
    schedule: Literal["linear", "cosine", "constant"] = Field("linear", description="Learning rate after the warm-up.")
    optimizer: Literal["adamw", "sam", "asam"] = Field(
        "adamw", description="AdamW alone, or by the gradient at the worst point nearby (sam; adaptive: asam)."
    )
    rho: float | None = Field(
        None,
        examples=[0.05],
        gt=0,
        le=10,
        description="How far away the worst point nearby is that a step goes by; 0.05, adaptive 0.5. Needs --optimizer sam or asam.",
    )
    ascent_share: float = Field(
        1.0,
        gt=0,
        le=1,
        description="With --optimizer sam or asam: share of the rows that show the way to the worst point nearby; less is faster.",
    )
    class_weights: Literal["none", "sqrt", "balanced"] = Field(
        "none",
        description="Let rare labels count more while learning: as much as frequent ones, or half the way (sqrt).",
    )
    sampling: Literal["natural", "sqrt", "balanced"] = Field(
        "natural",
        description="Let rows of rare labels come more often, and of frequent ones more seldom: until all labels are as frequent, or half the way (sqrt).",
    )
    correct_prior: bool = Field(
        False,
        description="With --class-weights or --sampling: shift the scores back to how often labels come in train.",
    )
    focal: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Let what is answered well count less while learning (focal loss, gamma; 2 is usual).",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of each target that goes to all labels alike.")
    r_drop: float = Field(
        0.0,
        ge=0,
        le=100,
        description="Read each row twice, with other dropout, and let the difference of both answers cost so much (R-Drop; half of the alpha of its paper, whose loss counts both readings); 0 is off. Takes up to twice the time.",
    )
    pair_similarity: bool = Field(
        True,
        description="Let a sentence encoder that is to read pairs learn first how alike it finds their texts one by one; on.",
    )
    averaging: bool = Field(
        True, description="Judge and keep the running mean of the weights, not the last step's; on."
    )
    metric: Literal[
        "accuracy", "macro_f1", "micro_f1", "weighted_f1", "sample_f1", "subset_accuracy", "ranking_precision", "mcc",
        "pearson", "spearman", "mse", "mae", "loss",
    ] | None = Field(
        None, examples=["accuracy"],
        description="Validation metric that chooses the best epoch; macro_f1, of scores pearson."
    )  # fmt: skip
    # The rate falls to nothing at the end, where the best epochs are: a plateau in the middle is no reason to stop.
    patience: int = Field(4, ge=1, description="Epochs without a better metric before training stops.")
    precision: Literal["auto", "bf16", "float32"] = Field("auto", description="Number format of the matrix products.")
    track: tuple[Tracker, ...] = Field(
        (),
        examples=[["tensorboard"]],
        description="Trackers to tell of the run, with commas: tensorboard, wandb, mlflow, trackio.",
        json_schema_extra=OFF,
    )
    seeds: int = Field(
        1, ge=1, le=100,
        description="Train so many times, with seeds from `seed` on over one split; the best on validation stays (--keep), and mean and spread are reported.",
    )  # fmt: skip
    keep: Literal["best", "average", "distilled"] = Field(
        "best",
        description="What stays of several seeds: the best on validation, the average of the weights of those that do not make it worse there, or one more network that learns what all of them answer on average (distilled; in twice as many epochs, unless --epochs are given), where it is no worse there than the best. Needs --seeds.",
    )
    seed: int = Field(42, ge=0, lt=2**31, description="Seed of the split, the order, the head and the dropout.")

    @field_validator("track", mode="before")
    @classmethod
    def _names_of_trackers(cls, value: Any) -> Any:
        return _parted(value)


class Search(Section):
    """How `classifine tune` looks for better settings; nothing else heeds it."""

    trials: int = Field(20, ge=1, le=10_000, description="Recipes to try, the default one first.")
    minutes: float | None = Field(
        None,
        examples=[60],
        gt=0,
        description="Try for so many minutes at most; the comparison of the best with the default comes on top.",
        json_schema_extra=OFF,
    )
    rows: int | None = Field(
        None,
        examples=[5000],
        ge=20,
        description="Let trials train on so many rows, drawn by seed; what is compared in the end trains on all.",
        json_schema_extra=OFF,
    )
    over: tuple[Searched, ...] = Field(
        (),
        examples=[["learning_rate", "epochs"]],
        description="Settings to search, with commas; all that can be and that are not given a value.",
    )
    bases: tuple[str, ...] = Field(
        (), examples=[["FacebookAI/roberta-base"]],
        description="Pre-trained encoders to choose among, the default first.",
        json_schema_extra=OFF,
    )  # fmt: skip
    final_seeds: int = Field(
        5, ge=2, le=100,
        description="Train the best and the default recipe with so many seeds to compare them; none of them is that of the trials.",
    )  # fmt: skip

    @field_validator("over", mode="before")
    @classmethod
    def _names_of_settings(cls, value: Any) -> Any:
        return _parted(value)


class Hub(Section):
    """Where to publish the classifier."""

    publish: str | None = Field(
        None,
        examples=["OWNER/NAME"],
        description="Repository on the Hub for the finished classifier: OWNER/NAME.",
        json_schema_extra=OFF,
    )
    private: bool = Field(False, description="Create that repository as a private one.")
    every_save: bool = Field(
        False,
        description="Publish each better epoch while training goes on, too; for methods that keep the best one (finetune).",
    )
    license: str | None = Field(
        None,
        examples=["apache-2.0"],
        description="Licence of the published classifier for its card, such as apache-2.0 or mit.",
        json_schema_extra=OFF,
    )


class Config(Section):
    """All settings of one run."""

    data: Data = Data()
    model: Model = Model()
    train: Train = Train()
    search: Search = Search()
    hub: Hub = Hub()


SECTIONS: dict[str, type[Section]] = {"data": Data, "model": Model, "train": Train, "search": Search, "hub": Hub}


def options() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield (section, name, field) of every setting, in the order in which they are shown."""
    for section, kind in SECTIONS.items():
        for name, field in kind.model_fields.items():
            yield section, name, field


def section_of(name: str) -> str:
    """The section that holds the setting `name`; ConfigError with a suggestion where there is none."""
    homes = {option: section for section, option, _ in options()}
    if name not in homes:
        raise ConfigError(f"There is no setting '{name}'.{_did_you_mean(name, homes)}")
    return homes[name]


def build(settings: Mapping[str, Any]) -> Config:
    """A checked Config from nested settings such as `{"train": {"epochs": 3}}`; every mistake is listed at once."""
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(item) for item in error.errors())) from None


def type_name(field: FieldInfo) -> str:
    """The type of a setting in words, for help texts and messages."""
    kinds = [kind for kind in get_args(field.annotation) or (field.annotation,) if kind is not type(None)]
    if get_origin(kinds[0]) is Literal or get_origin(field.annotation) is Literal:
        return ", ".join(map(str, get_args(kinds[0]) or kinds))
    if get_origin(field.annotation) is tuple:
        return "list of text"
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    return words[kinds[0]]


def _parted(value: Any) -> Any:
    """Names that stand in a list, or with commas between them, each once; what is no list of text as it is."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)) or not all(isinstance(item, str) for item in given):
        return value
    parts = (part.strip() for item in given for part in item.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _sentence(item: Any) -> str:
    place = [str(part) for part in item["loc"]]
    known = SECTIONS[place[0]].model_fields if place[0] in SECTIONS else {}
    if item["type"] == "extra_forbidden":
        if len(place) == 1:
            return f"There is no section [{place[0]}].{_did_you_mean(place[0], SECTIONS)}"
        elsewhere = [f" It is '{section}.{name}'." for section, name, _ in options() if name == place[1]]
        hint = elsewhere[0] if elsewhere else _did_you_mean(place[1], known)
        return f"There is no setting '{'.'.join(place)}'.{hint}"
    expected = type_name(known[place[1]]) if len(place) > 1 and place[1] in known else "a table of settings"
    found = item["input"]
    return f"{'.'.join(place[:2])} is {found!r}; expected {expected} ({item['msg'].lower()}). Change it."


def _did_you_mean(word: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(known)}."
