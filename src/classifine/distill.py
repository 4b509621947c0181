"""A small and fast classifier taught by a big one, or by several, on texts without labels: read, ask, learn, judge, save.

What people should read goes to `say`; nothing here prints.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifine import run
from classifine.adapt import base_for
from classifine.config import TEMPERATURE, Config
from classifine.data.read import Split
from classifine.data.row import Text, joined
from classifine.data.seen import count_seen, train_texts
from classifine.data.texts import Texts, read_texts
from classifine.infer.choose import open_engine
from classifine.infer.engine import Engine
from classifine.infer.predict import text_logits
from classifine.infer.teacher import Teacher, open_teacher
from classifine.metrics import AGREEMENT, HEADLINE
from classifine.model.base import Base
from classifine.model.disk import workplace, write_json
from classifine.model.folder import RECORD, REPORT, Saved, check_output, load, save, train_texts_of
from classifine.model.static import STATIC
from classifine.report.card import last_part, metric_value, write_card
from classifine.report.evaluate import Evaluation, evaluate
from classifine.report.page.kept import EVALUATION, HISTORY
from classifine.say import Say
from classifine.strict_json import json_text
from classifine.use import known_rows

if TYPE_CHECKING:
    from classifine.train.distill import Student, Taught

MOST_HELD_OUT = 2000  # texts; the standard error of an agreement is then one point at most
MOST_TIMED, ROUNDS, ROUND = 1000, 3, 5.0  # texts by which speeds are measured, how often, and the seconds of a round
_FEW = 32


@dataclass(frozen=True)
class DistillOptions:
    """What is asked beyond settings: the temperature of the lessons, the share of texts to judge by, how many to read."""

    temperature: float = TEMPERATURE
    held_out: float = 0.1
    max_rows: int | None = None


def distill(
    teachers: Sequence[Path], sources: Sequence[str], config: Config, options: DistillOptions, output: Path, overwrite: bool,
    say: Say,
) -> dict[str, Any]:  # fmt: skip
    """Unlabelled texts in, a student that answers as the teachers do in the folder `output` out; gives back its record.

    Rows of `config.data.test` judge both by true labels. Raises a ClassifineError, and writes nothing, where teachers,
    texts, base or output do not do.
    """
    check_output(output, overwrite)
    teacher = open_teacher(teachers)
    texts = read_texts(
        sources, config.data, options.held_out, MOST_HELD_OUT, options.max_rows, config.train.seed, teacher.columns
    )
    for note in texts.notes:
        say(f"data    {note}")
    test, judged_on = _test_rows(teacher, teachers[0], config, texts, say)
    base, why = (None, "") if config.model.base == STATIC else base_for(texts, config)[:2]
    if why:
        say(f"base    {why} (--base changes it)")
    # Loading torch takes seconds, and what is wrong with teachers, texts or base was told without it.
    engines = ", ".join(f"{name} ({engine.name})" for name, engine in zip(teacher.names, teacher.engines, strict=True))
    say(f"teacher {engines}")
    from classifine.train.distill import Taught, lessons
    from classifine.train.ready import seeded

    with workplace(output, overwrite) as place:
        with seeded(config.train.seed):
            # What no student can learn is told before the teacher reads all texts.
            student = _student(teacher, texts, base, config, say)
            taught = Taught(teacher.logits(texts.train, say), teacher.logits(texts.held_out, say), teacher.decision)
            labels, columns, temperature = teacher.labels, teacher.columns, options.temperature
            fitted = lessons(student, texts, taught, labels, columns, config, temperature, say)
        record = {**fitted.classifier.record, **_about(teacher, texts, sources, options, output), "judged": judged_on}
        save(place, fitted.classifier.network, fitted.classifier.tokenizer, teacher.labels, record)
        saved = load(place)
        judged, evaluation = _judged(saved, teacher, texts, taught, test)
        record = {**saved.record, "distilled": {**record["distilled"], **judged}}
        write_json(place / RECORD, record)
        # Not published: by it a later evaluation knows the texts that were learned from.
        write_json(place / REPORT, {"splits": {}, "train_texts": train_texts(texts.train)})
        if evaluation is not None:
            write_json(place / EVALUATION, evaluation.as_json())
        run.write_lines(place / HISTORY, map(json_text, fitted.training.history))
        write_card(place, {} if evaluation is None else evaluation.as_json())
    for line in distilled_lines(record["distilled"]):
        say(line)
    run.say_saved(output, record, say)
    return record


def _test_rows(
    teacher: Teacher, folder: Path, config: Config, texts: Texts, say: Say
) -> tuple[Split | None, dict[str, Any]]:
    """The labelled rows of --test, where it is given, and what the record tells of them."""
    if config.data.test is None:
        return None, {}
    rows = known_rows(teacher.members[0], folder, config.data.model_copy(update={"source": config.data.test}), say)
    learned = {"the student learns from": train_texts((*texts.train, *texts.held_out))}
    for member in teacher.members:
        if member.folder is not None and (known := train_texts_of(member.folder)) is not None:
            learned[f"{member.folder} was trained on"] = known
    seen = False
    for who, known in learned.items():
        if count := count_seen(rows.texts, known):
            say(f"warning: {count} of {len(rows)} rows of --test have a text that {who}, so the numbers flatter")
            seen = True
    return rows, {"split": "test", "file": last_part(config.data.test), "trained_on": seen}


def _student(teacher: Teacher, texts: Texts, base: Base | None, config: Config, say: Say) -> "Student":
    """A student before its lessons: a network on a base, or without one a table of vectors."""
    from classifine.train.distill import encoder_student
    from classifine.train.static import static_student

    if base is not None:
        return encoder_student(texts.train, teacher.labels, base, config, say)
    return static_student(teacher.members[0], texts.train, teacher.labels, config, say)


def _about(
    teacher: Teacher, texts: Texts, sources: Sequence[str], options: DistillOptions, output: Path
) -> dict[str, Any]:
    """What of the record is of this kind of classifier alone; of paths only their last part, which others may read."""
    count = {"train": len(texts.train), "held_out": len(texts.held_out)}
    return {
        "name": output.name,
        "language": None,
        "rows": count,
        "distilled": {
            "teachers": list(teacher.names), "texts": [last_part(source) for source in sources], "rows": count,
            "temperature": options.temperature,
        },
    }  # fmt: skip


def _judged(
    student: Saved, teacher: Teacher, texts: Texts, taught: "Taught", test: Split | None
) -> tuple[dict[str, Any], Evaluation | None]:
    """What the student reached, for the record: agreement, speeds and, where labels are known, both beside one another."""
    engine, labels = open_engine(student), teacher.labels
    if test is None:
        found = text_logits(student, texts.held_out, engine)
        agreed = evaluate(found, taught.answers, labels, student.decision)
        return {
            "agreement": _agreement(agreed, "texts held out, which chose the epoch"),
            "speed": _speed(student, engine, teacher, texts.held_out), "test": None,
        }, None  # fmt: skip
    found, answers = text_logits(student, test.texts, engine), teacher.logits(test.texts, lambda line: None)
    said = replace(taught, held_out=answers).answers
    agreed, truth = evaluate(found, said, labels, student.decision), labels.targets(test.labels)
    own = evaluate(found, truth, labels, student.decision, texts=test.texts)
    other = evaluate(answers, truth, labels, teacher.decision)
    names = HEADLINE[labels.task][:2]
    both = {
        who: {name: one.as_json()["metrics"][name] for name in names}
        for who, one in (("student", own), ("teacher", other))
    }
    return {
        "agreement": _agreement(agreed, "test rows"),
        "speed": _speed(student, engine, teacher, test.texts), "test": {"rows": len(test), **both},
    }, own  # fmt: skip


def _agreement(found: Evaluation, on: str) -> dict[str, Any]:
    name = AGREEMENT[found.task]
    value = found.as_json()["metrics"][name]
    # A correlation of few texts, or of equal answers, has no interval.
    own = value if isinstance(value, dict) else {"value": value}
    return {"metric": name, "on": on, "rows": found.rows, **own}


def _speed(student: Saved, engine: Engine, teacher: Teacher, texts: Sequence[Text]) -> dict[str, Any]:
    """Rows per second of both on the same texts, tokenising included, in turn: the median of some rounds."""

    def taken(name: str, some: Sequence[Text]) -> float:
        start = time.perf_counter()
        _ = text_logits(student, some, engine) if name == "student" else teacher.logits(some, lambda line: None)
        return time.perf_counter() - start

    # The first call of each loads what is not there yet; the second tells how many texts a round has the time for.
    few = texts[:_FEW]
    taken("student", few)
    taken("teacher", few)
    some = texts[: max(_FEW, min(MOST_TIMED, round(ROUND * len(few) / taken("teacher", few))))]
    took = [{name: taken(name, some) for name in ("teacher", "student")} for _ in range(ROUNDS)]
    rate = {name: len(some) / statistics.median(one[name] for one in took) for name in took[0]}
    names = {"teacher": ", ".join(one.name for one in teacher.engines), "student": engine.name}
    return {
        "rows": len(some), "words": round(statistics.mean(len(joined(text).split()) for text in some)),
        **{name: {"engine": names[name], "rows_per_second": round(value, 1)} for name, value in rate.items()},
        "times": round(rate["student"] / rate["teacher"], 1),
    }  # fmt: skip


def distilled_lines(found: dict[str, Any]) -> list[str]:
    """What a student reached, for people."""
    agreed, speed, test = found["agreement"], found["speed"], found["test"]
    what = "correlation with the teacher" if agreed["metric"] == "pearson" else "agreement with the teacher"
    lines = [f"test    {what} {_interval(agreed)} on {agreed['rows']} {agreed['on']}"]
    for name in test["student"] if test else ():
        own, other = test["student"][name], test["teacher"][name]
        lines.append(f"test    {name} {_interval(own)}, the teacher's {_interval(other)}, on {test['rows']} test rows")
    if not test:
        lines.append("test    how often it is right is not known: give labelled rows with --test FILE")
    own, other = speed["student"], speed["teacher"]
    lines.append(
        f"speed   {own['rows_per_second']:.0f} rows/s ({own['engine']}), the teacher {other['rows_per_second']:.0f} ({other['engine']}): "
        f"{speed['times']:g} times, on {speed['rows']} texts of {speed['words']} words on average"
    )
    return lines


def _interval(metric: float | dict[str, float]) -> str:
    if not isinstance(metric, dict) or "low" not in metric:
        return f"{metric_value(metric):.4f}"
    return f"{metric['value']:.4f} ({metric['low']:.4f} to {metric['high']:.4f})"
