"""GLUE from end to end: train and judge its tasks, set the scores beside published ones, write the submission.

It knows what the leaderboard wants; how a classifier comes about is `run`'s business.
"""

import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifine import run
from classifine.config import Config
from classifine.data.glue import HUB, TASKS, GlueTask, has_task, read_glue, read_test, task_named
from classifine.data.write import in_place
from classifine.errors import ConfigError, DataError
from classifine.model.folder import RECORD, check_output, load, read_record
from classifine.report.card import metric_value
from classifine.report.evaluate import Evaluation
from classifine.report.page.kept import EVALUATION
from classifine.report.text import numbers
from classifine.say import Say

if TYPE_CHECKING:
    from classifine.train.plan import Plan

# Scores on the validation rows, in points, of single models on single tasks: RoBERTa's from fairseq's
# examples/roberta/README.md, ModernBERT's from Warner et al. 2024, arXiv 2412.13663 (all but CoLA's).
PUBLISHED = {
    "RoBERTa-base": {
        "mnli": 87.6, "qnli": 92.8, "qqp": 91.9, "rte": 78.7, "sst2": 94.8, "mrpc": 90.2, "cola": 63.6, "stsb": 91.2,
    },
    "RoBERTa-large": {
        "mnli": 90.2, "qnli": 94.7, "qqp": 92.2, "rte": 86.6, "sst2": 96.4, "mrpc": 90.9, "cola": 68.0, "stsb": 92.4,
    },
    "ModernBERT-base": {
        "mnli": 89.1, "qnli": 93.9, "qqp": 92.1, "rte": 87.4, "sst2": 96.0, "mrpc": 92.2, "stsb": 91.8,
    },
}  # fmt: skip
PUBLISHED_METRIC = {"qqp": "accuracy", "mrpc": "accuracy"}  # of that table, where it is not the leading one
MNLI_NOTE = (
    "The published RTE, MRPC and STS-B scores of RoBERTa and ModernBERT start from a checkpoint that was trained on "
    "MNLI first; `classifine glue mnli`, then --from with its folder, does the same."
)


@dataclass(frozen=True)
class GlueScore:
    """The official metrics of one task on its validation rows, the leading one first."""

    task: GlueTask
    scores: dict[str, float]
    folder: Path

    def as_json(self) -> dict[str, Any]:
        """The score as plain values."""
        return {"task": self.task.name, **self.scores, "folder": str(self.folder)}


def official(task: GlueTask, evaluation: Evaluation) -> dict[str, float]:
    """The metrics that GLUE asks for; `f1` is that of the second class, which stands for yes."""
    of_yes = {"f1": evaluation.classes[1].f1} if task.labels else {}
    return {name: {**evaluation.metrics, **of_yes}[name] for name in task.metrics}


def train_task(name: str, source: str | None, config: Config, output: Path, overwrite: bool, say: Say) -> GlueScore:
    """Train one task and judge it on its validation rows; DataError or another ClassifineError where that fails."""
    task = task_named(name)
    done = run.train(_of_task(task, config, source), output, overwrite, say, read_glue(task, source))
    scores = official(task, done.evaluation)
    say(f"glue    {task.submission}: {numbers(scores)}")
    return GlueScore(task, scores, done.folder)


def plan_task(name: str, source: str | None, config: Config, say: Say) -> "Plan":
    """What `train_task` would do, in how much time and memory; trains and writes nothing."""
    task = task_named(name)
    return run.dry_run(_of_task(task, config, source), None, False, say, read_glue(task, source))


def task_of(config: Config, path: Path) -> str:
    """The task that a file of settings names as its source, such as nyu-mll/glue:rte; ConfigError without one."""
    hub, _, name = str(config.data.source).partition(":")
    if hub != HUB or not name:
        raise ConfigError(
            f"{path} has the source {config.data.source}; expected one of GLUE, such as {HUB}:rte. Change it."
        )
    return task_named(name).name


def _of_task(task: GlueTask, config: Config, source: str | None) -> Config:
    """The settings with the task's own: where the rows come from, and what chooses the best epoch."""
    # The epoch is chosen by what will be reported; of F1 there is the macro average.
    metric = config.train.metric or {"f1": "macro_f1"}.get(task.metrics[0], task.metrics[0])
    data = config.data.model_copy(update={"source": source or f"{HUB}:{task.subset}"})
    return config.model_copy(update={"data": data, "train": config.train.model_copy(update={"metric": metric})})


def train_all(source: str, config: Config, output: Path, overwrite: bool, say: Say) -> list[GlueScore]:
    """Train every task that the folder `source` holds, each into a folder of its name below `output`.

    What the same call has trained there stays. OutputError, before any work is done, where a folder holds something else.
    """
    found = [name for name, task in TASKS.items() if Path(source).is_dir() and has_task(task, source)]
    if not found:
        raise DataError(f"{source} holds no task of GLUE. Expected folders such as CoLA, RTE or glue_rte in it.")
    kept = {name for name in found if not overwrite and _is_there(TASKS[name], source, config, output / name)}
    # One network answers both validation sets of MNLI.
    twins = {"mnli-mm"} & set(found) if "mnli" in found else set()
    for name in found:
        if name not in kept | twins:
            check_output(output / name, overwrite)
    scores = []
    for name in found:
        if name in twins:
            scores.append(_mismatched(source, output / "mnli", say))
        elif name in kept:
            say(f"glue    {output / name} is there already, and stays (--overwrite trains it anew)")
            scores.append(_score_in(TASKS[name], output / name))
        else:
            scores.append(train_task(name, source, config, output / name, overwrite, say))
    return scores


def _is_there(task: GlueTask, source: str, config: Config, folder: Path) -> bool:
    """Whether a folder holds what the same command has trained before."""
    if not (folder / RECORD).is_file() or not (folder / EVALUATION).is_file():
        return False
    wanted = _of_task(task, config, source).model_dump(mode="json", exclude={"search"})
    return bool(read_record(folder)["config"] == wanted)


def _score_in(task: GlueTask, folder: Path) -> GlueScore:
    """The official metrics that a folder tells."""
    found = json.loads((folder / EVALUATION).read_text(encoding="utf-8"))
    known = {name: metric_value(metric) for name, metric in found["metrics"].items()}
    of_yes = {"f1": found["classes"][1]["f1"]} if task.labels else {}
    return GlueScore(task, {name: {**known, **of_yes}[name] for name in task.metrics}, folder)


def _mismatched(source: str, folder: Path, say: Say) -> GlueScore:
    """What the classifier of MNLI reaches on the validation rows of other sources than its own."""
    task = TASKS["mnli-mm"]
    rows = read_glue(task, source).test
    assert rows is not None  # the task is one that the folder holds
    found = run.metrics_on(load(folder), rows)
    scores = {name: found[name] for name in task.metrics}
    say(f"glue    {task.submission}: {numbers(scores)}, of {folder}")
    return GlueScore(task, scores, folder)


def table(scores: Sequence[GlueScore]) -> Iterator[str]:
    """The scores in Markdown, beside published ones with their source."""
    yield f"| task | metric | here | {' | '.join(PUBLISHED)} |"
    yield "| --- | --- | --- |" + " --- |" * len(PUBLISHED)
    for score in scores:
        for metric, value in score.scores.items():
            others = [_published(model, score.task, metric) for model in PUBLISHED]
            yield f"| {score.task.submission} | {metric} | {value:.4f} | {' | '.join(others)} |"
    yield ""
    yield (
        "Published: single models on the same rows, from fairseq's examples/roberta/README.md and (ModernBERT) "
        "arXiv 2412.13663. Ours are of one classifier each."
    )
    yield MNLI_NOTE


def _published(model: str, task: GlueTask, metric: str) -> str:
    value = PUBLISHED[model].get(task.name)
    wanted = PUBLISHED_METRIC.get(task.name, task.metrics[0])
    return f"{value / 100:.3f}" if value is not None and metric == wanted else "-"


def submit(folder: Path, source: str | None, target: Path, say: Say) -> list[str]:
    """Write the leaderboard's zip from the classifiers below `folder`; the names of the files in it.

    Each classifier lies in a folder named after its task. Raises DataError where none does, or where the test rows
    are not those of the leaderboard; OutputError where the zip cannot be written.
    """
    tasks = [task for name, task in TASKS.items() if (folder / name / "classifine.json").is_file()]
    # One network answers both of MNLI's test sets.
    if TASKS["mnli"] in tasks and TASKS["mnli-mm"] not in tasks:
        tasks.append(TASKS["mnli-mm"])
    if not tasks:
        raise DataError(f"{folder} holds no classifier in a folder named after a GLUE task, such as {folder / 'rte'}.")
    files: dict[str, str] = {}
    for task in tasks:
        place = folder / (task.name if (folder / task.name).is_dir() else task.subset)
        files[f"{task.submission}.tsv"] = _answers(task, place, source)
        say(f"{task.submission}: {task.test_rows} answers of {place}")
    for name, text in files.items():
        check_submission(name, text)
    with in_place(target) as place, zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in files.items():
            packed.writestr(name, text)
    absent = [task.submission for task in TASKS.values() if f"{task.submission}.tsv" not in files]
    if absent:
        say(f"the leaderboard also wants {', '.join(absent)} and AX (the diagnostic rows, answered by an MNLI network)")
    return list(files)


def _answers(task: GlueTask, place: Path, source: str | None) -> str:
    from classifine.infer.predict import text_logits
    from classifine.model.folder import load

    saved, rows = load(place), read_test(task, source)
    if task.labels and set(saved.labels.names) != set(task.labels):
        raise DataError(
            f"{place} answers {', '.join(saved.labels.names)}; {task.submission} asks for {', '.join(task.labels)}."
        )
    answers = saved.decision.choose(saved.decision.scores(text_logits(saved, rows.texts)))
    lines = ["index\tprediction"]
    for number, answer in enumerate(answers):
        lines.append(f"{number}\t{_in_words(task, saved.labels.names, answer)}")
    return "\n".join(lines) + "\n"


def _in_words(task: GlueTask, names: Sequence[str], answer: Any) -> str:
    if not task.labels:
        return f"{min(max(float(answer), 0.0), 5.0):.3f}"
    name = names[int(answer)]
    return name if task.words else str(task.labels.index(name))


def check_submission(name: str, text: str) -> None:
    """DataError where a file of the submission is not as the leaderboard wants it: name, header, rows and words."""
    task = next((task for task in TASKS.values() if f"{task.submission}.tsv" == name), None)
    if task is None:
        raise DataError(
            f"GLUE knows no file {name}; expected {', '.join(f'{t.submission}.tsv' for t in TASKS.values())}."
        )
    header, *lines = text.splitlines()
    if header != "index\tprediction":
        raise DataError(f"{name} begins with {header!r}; expected 'index' and 'prediction' with a tab between.")
    if len(lines) != task.test_rows:
        raise DataError(f"{name} has {len(lines)} rows; the leaderboard expects {task.test_rows}. Use its test file.")
    words = set(task.labels) if task.words else set(map(str, range(len(task.labels))))
    for number, line in enumerate(lines):
        index, _, word = line.partition("\t")
        fits = word in words if task.labels else _is_score(word)
        if index != str(number) or not fits:
            raise DataError(
                f"{name} has {line!r} in row {number}; expected that number and one of {sorted(words) or '0 to 5'}."
            )


def _is_score(word: str) -> bool:
    try:
        return 0 <= float(word) <= 5
    except ValueError:
        return False
