"""What a saved folder keeps of its run, read back and checked: anyone may have written it.

Files that are missing are None or empty, damaged ones a ModelError of one sentence. It knows nothing about pages.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, field_validator, model_validator

from classifine.config import LongTexts
from classifine.decide import Decision
from classifine.errors import ModelError
from classifine.infer.explain import Explanation, Word
from classifine.labels import Labels, Task
from classifine.model.folder import REPORT, read_record
from classifine.report.text import averaged_in, taught_by

EVALUATION, HISTORY, PREDICTIONS, WHY = "evaluation.json", "history.jsonl", "predictions.jsonl", "explanations.json"
Scalar = str | int | float | bool | None


class _Fact(BaseModel):
    # Numbers that are none stand as null.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Metric(_Fact):
    """A metric with its 95 % interval; without one where an older version wrote it."""

    value: float | None = None
    low: float | None = None
    high: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, found: Any) -> Any:
        return found if isinstance(found, Mapping) else {"value": found}


class ClassFact(_Fact):
    """How one class fared."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int | None = None  # older versions did not count it


class SliceFact(_Fact):
    """How the classifier fared on a part of the rows."""

    kind: str
    name: str
    rows: NonNegativeInt
    metric: str
    value: float
    error: float


class EvaluationFact(_Fact):
    """evaluation.json."""

    rows: int
    metrics: dict[str, Metric]
    uncalibrated: dict[str, float | None] = {}
    baselines: tuple[dict[str, str | float | None], ...] = ()
    verdict: str = ""
    labels: tuple[str, ...] = ()
    classes: tuple[ClassFact, ...] = ()
    confusion: tuple[tuple[NonNegativeInt, ...], ...] = ()
    slices: tuple[SliceFact, ...] = ()

    @model_validator(mode="after")
    def _square(self) -> "EvaluationFact":
        if self.confusion and {len(row) for row in (self.confusion, *self.confusion)} != {len(self.labels)}:
            raise ValueError("the confusion matrix does not have a row and a column for each label")
        return self


class FaultFact(_Fact):
    """A fault of the data."""

    kind: str
    severity: str
    split: str
    message: str
    action: str = ""


class SplitFact(_Fact):
    """What a split was, as it was given."""

    source: str
    rows: int
    classes: dict[str, int] = {}
    scores: dict[str, float] = {}
    characters: dict[str, int] = {}


class LengthFact(_Fact):
    """How long the texts of a split are, in tokens."""

    rows: int
    looked_at: int
    median: int
    most: int
    longest: int
    cut: int
    counts: tuple[NonNegativeInt, ...]


class TokensFact(_Fact):
    """How long the texts are, in tokens; bins have this width."""

    max_length: int
    long: LongTexts = "truncate"
    width: int = Field(ge=1)
    splits: dict[str, LengthFact]


class DataFact(_Fact):
    """data_report.json; without splits where texts without labels were learned from."""

    splits: dict[str, SplitFact]
    notes: tuple[str, ...] = ()
    faults: tuple[FaultFact, ...] = ()
    tokens: TokensFact | None = None


class EpochFact(_Fact):
    """A line of history.jsonl."""

    epoch: int
    train_loss: float | None = None
    validation: dict[str, float | None] = {}
    seconds: float | None = None


class SeedFact(_Fact):
    """What one of several seeds reached."""

    seed: int
    test: dict[str, float | None] = {}


class CalibrationFact(_Fact):
    """What calibration did on validation rows."""

    temperature: float | tuple[float, ...]
    left_out: int | None = None


class AgreedFact(_Fact):
    """How often a student answers as its teacher does, on some rows."""

    metric: str
    on: str
    rows: NonNegativeInt
    value: float
    low: float | None = None
    high: float | None = None


class SpeedFact(_Fact):
    """How many times as fast as its teacher a student is."""

    times: float


class TaughtFact(_Fact):
    """What a student learned, and how near it came."""

    teachers: tuple[str, ...]
    rows: dict[Literal["train", "held_out"], NonNegativeInt]
    temperature: float
    agreement: AgreedFact
    speed: SpeedFact

    @field_validator("rows")
    @classmethod
    def _both(cls, found: dict[str, int]) -> dict[str, int]:
        if "train" not in found:
            raise ValueError("the number of texts that were learned from is missing")
        return found


class SearchFact(_Fact):
    """What `classifine tune` came to."""

    trials: dict[str, NonNegativeInt]
    verdict: str

    @property
    def tried(self) -> int:
        """The number of trials."""
        return self.trials.get("all", 0)


class SoupFact(_Fact):
    """Whose weights were averaged."""

    seeds: tuple[int, ...] = ()


class EnsembleFact(_Fact):
    """Whose answers another network learned, and whether it was kept."""

    seeds: tuple[int, ...] = ()
    kept: bool = False


class RecordFact(_Fact):
    """What the page tells of classifine.json; labels and how they are chosen are read apart."""

    name: str = "classifier"
    max_length: int
    base: str = ""
    base_origin: str = ""
    language: str | None = None
    seed: int | None = None
    best_epoch: int | None = None
    epochs_run: int | None = None
    train_seconds: float | None = None
    train_rows_per_second: float | None = None
    peak_memory_mib: float | None = None
    long: Literal["truncate", "head-tail", "windows"] = "truncate"
    train_rows_cut: int = 0
    data_on_hub: bool = False
    alarms: tuple[str, ...] = ()
    rows: dict[str, int] = {}
    versions: dict[str, str] = {}
    recipe: dict[str, Scalar] = {}
    config: dict[str, dict[str, Any]] = {}
    judged: dict[str, str | bool | None] | None = None
    calibration: CalibrationFact | None = None
    seeds: tuple[SeedFact, ...] = ()
    soup: SoupFact | None = None
    ensemble: EnsembleFact | None = None
    distilled: TaughtFact | None = None
    search: SearchFact | None = None

    @property
    def averaged(self) -> tuple[int, ...]:
        """The seeds whose weights were averaged; none where one of them stayed alone."""
        return tuple(averaged_in(self.model_dump(include={"soup"})))

    @property
    def taught_by(self) -> tuple[int, ...]:
        """The seeds whose answers the network learned; none where one of them stayed."""
        return tuple(taught_by(self.model_dump(include={"ensemble"})))

    @property
    def keeps_last(self) -> bool:
        """Whether its method keeps the last epoch, not the best one."""
        return self.recipe.get("method", "finetune") != "finetune"


class PredictionFact(_Fact):
    """A line of predictions.jsonl."""

    id: int
    text: str
    text_pair: str | None = None
    truth: str | tuple[str, ...] | float
    prediction: str | tuple[str, ...] | float
    scores: dict[str, float] = {}

    @property
    def wrong(self) -> bool:
        """Whether the answer is not the truth; of numbers, whether it is off at all."""
        return self.truth != self.prediction


class WordFact(_Fact):
    """A word of an explanation."""

    text: str
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    attribution: float
    part: int = Field(0, ge=0, le=1)
    read: bool = True


class WhyFact(_Fact):
    """Why one row of explanations.json was answered as it was."""

    id: int
    truth: str | tuple[str, ...] | float
    prediction: str | tuple[str, ...] | float
    cut: bool = False
    text: str
    text_pair: str | None = None
    label: str
    score: float
    words: tuple[WordFact, ...]

    @field_validator("words")
    @classmethod
    def _some(cls, found: tuple[WordFact, ...]) -> tuple[WordFact, ...]:
        if not found:
            raise ValueError("an explanation has no words")
        return found

    @property
    def explanation(self) -> Explanation:
        """The Explanation that it was."""
        text = self.text if self.text_pair is None else (self.text, self.text_pair)
        words = tuple(Word(**word.model_dump()) for word in self.words)
        return Explanation(text, self.label, self.score, "occlusion", words)


class WhyFile(_Fact):
    """explanations.json: errors explained, or a sentence on why there are none."""

    errors: tuple[WhyFact, ...] = ()
    missing: str | None = None


@dataclass(frozen=True)
class Predictions:
    """Every test row in the order of its file, worst first: `ids` (rows,), `truth` as `Labels.targets` gives it,
    `scores` (rows, labels), and whether the answer was `wrong` (rows,).
    """

    ids: NDArray[np.int64]
    truth: NDArray[Any]
    scores: NDArray[np.float64]
    wrong: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Kept:
    """All that a folder keeps of its run, but the texts of its predictions: `rows_at` reads those that are wanted."""

    folder: Path
    labels: Labels
    thresholds: tuple[float, ...]
    pair: bool
    record: RecordFact
    evaluation: EvaluationFact | None
    data: DataFact | None
    history: tuple[EpochFact, ...]
    predictions: Predictions | None
    why: WhyFile | None

    @property
    def task(self) -> Task:
        """What was asked of a text."""
        return self.labels.task

    @property
    def decision(self) -> Decision:
        """How scores, which are calibrated already, become answers."""
        return Decision(self.labels.task, thresholds=self.thresholds)

    def rows_at(self, positions: Iterator[int] | list[int]) -> dict[int, PredictionFact]:
        """The predictions at some positions (from 0) of their file, texts and all."""
        wanted = set(positions)
        last = max(wanted, default=-1)
        lines = zip(range(last + 1), _lines(self.folder / PREDICTIONS, PredictionFact), strict=False)
        return {place: row for place, row in lines if place in wanted}


def read_kept(folder: Path) -> Kept:
    """What `folder` keeps; ModelError where it holds no classifier or one of the files is damaged."""
    record = read_record(folder)
    labels = Labels(tuple(map(str, record["labels"])), "str", record["task"])
    evaluation = _whole(folder / EVALUATION, EvaluationFact)
    if evaluation and evaluation.labels and evaluation.labels != labels.names:
        raise _damaged(folder / EVALUATION, "its labels are not those of classifine.json")
    return Kept(
        folder, labels, tuple(map(float, record["decision"]["thresholds"])), record["columns"]["pair"] is not None,
        _checked(folder / "classifine.json", lambda: RecordFact.model_validate(record)),
        evaluation, _whole(folder / REPORT, DataFact),
        tuple(_lines(folder / HISTORY, EpochFact)), read_predictions(folder, labels), _whole(folder / WHY, WhyFile),
    )  # fmt: skip


def read_predictions(folder: Path, labels: Labels) -> Predictions | None:
    """The predictions of a folder as arrays; None where it has none."""
    file = folder / PREDICTIONS
    if not file.is_file():
        return None
    ids, truth, scores, wrong = [], [], [], []
    for line in _lines(file, PredictionFact):
        try:
            ids.append(line.id)
            truth.append(_known(line.truth, labels))
            scores.append([_known(line.prediction, labels)] if labels.task == "score" else
                          [line.scores[name] for name in labels.names])  # fmt: skip
        except (KeyError, TypeError) as error:
            raise _damaged(file, f"row {line.id} does not fit the labels ({error})") from None
        wrong.append(line.wrong)
    if not ids:
        return None
    return Predictions(
        np.array(ids, dtype=np.int64), labels.targets(truth), np.array(scores, dtype=np.float64), np.array(wrong)
    )


def worst_rows(folder: Path, most: int) -> list[PredictionFact]:
    """The first wrong answers of predictions.jsonl: those whose truth had the lowest scores."""
    found = []
    for row in _lines(folder / PREDICTIONS, PredictionFact):
        if row.wrong:
            found.append(row)
        if len(found) == most:
            break
    return found


def _known(value: Any, labels: Labels) -> Any:
    """A truth that `Labels.targets` takes; TypeError or KeyError where it is of another kind or names another label."""
    if isinstance(value, float) != (labels.task == "score") or isinstance(value, tuple) != (labels.task == "multi"):
        raise TypeError(f"{value!r}")
    for name in value if labels.task == "multi" else [value] if labels.task == "single" else []:
        labels.label2id[name]
    return value


Found = TypeVar("Found", bound=_Fact)
Given = TypeVar("Given")


def _whole(file: Path, kind: type[Found]) -> Found | None:
    if not file.is_file():
        return None
    return _checked(file, lambda: kind.model_validate_json(file.read_bytes()))


def _lines(file: Path, kind: type[Found]) -> Iterator[Found]:
    if not file.is_file():
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield _checked(file, lambda line=line: kind.model_validate_json(line), f"line {number}: ")  # type: ignore[misc]


def _checked(file: Path, read: Callable[[], Given], where: str = "") -> Given:
    try:
        return read()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _damaged(file, f"{where}{place + ': ' if place else ''}{first['msg']}") from None
    except OSError as error:
        raise ModelError(f"{file} cannot be read: {error.strerror or error}. Check it.") from None


def _damaged(file: Path, what: str) -> ModelError:
    return ModelError(f"{file} is damaged: {what}. Remove it, or train the classifier again.")
