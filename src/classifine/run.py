"""The whole story on one page: read, check, split, fit, decide, evaluate, save. What follows from a saved folder is in `use`.

Each function is one command. What people should read goes to `say`; nothing here prints.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifine import publish
from classifine.config import Config, Data, Hub
from classifine.data.check import DataReport, check_splits
from classifine.data.columns import Columns
from classifine.data.formats import FORMS
from classifine.data.language import Language, find_language, languages_of
from classifine.data.lengths import token_lengths
from classifine.data.read import Split, Splits, read_splits
from classifine.data.row import Text
from classifine.data.seen import count_seen, fingerprint, train_texts
from classifine.data.split import ThreeSplits, prepared
from classifine.errors import ConfigError, ModelError
from classifine.infer.predict import text_logits
from classifine.labels import Labels
from classifine.metrics import judge
from classifine.model.base import Base, choose_base, suited, token_counter
from classifine.model.disk import first_free, workplace, write_json
from classifine.model.folder import REPORT, Saved, check_output, save, train_texts_of
from classifine.model.network import fastest_device
from classifine.report.card import others_load_by, write_card
from classifine.report.evaluate import Evaluation, baselines, evaluate, prediction_lines
from classifine.report.page.html import PAGE, report_page
from classifine.report.page.kept import EVALUATION, HISTORY, PREDICTIONS, WHY, worst_rows
from classifine.report.page.why import ERRORS, explained_errors
from classifine.report.text import evaluation_lines, report_lines, seed_lines
from classifine.say import Say
from classifine.strict_json import json_text
from classifine.windows import TRUNCATE, check_long

if TYPE_CHECKING:
    from classifine.train.plan import Plan


@dataclass(frozen=True)
class Run:
    """Where a run was written and what it reached."""

    folder: Path
    evaluation: Evaluation


def train(config: Config, output: Path | None, overwrite: bool, say: Say, splits: Splits | None = None) -> Run:
    """Labelled texts in, an evaluated classifier in a folder out; `splits` where they are read already.

    Raises a ClassifineError, and writes nothing, where settings, data, base or output do not do.
    """
    folder = output or free_folder(str(config.data.source))
    check_output(folder, overwrite)
    splits = splits or _not_here(config.data)
    from classifine.train.fit import fit
    from classifine.train.track import Tracking

    check_faces(config)
    _tell_unpublished(config.hub, say)
    data = prepare(config, say, splits)
    three, better = data.three, _publisher(config.hub, say)
    with workplace(folder, overwrite) as place, Tracking(config.train.track, folder.name, say) as tracking:
        fitted = fit(
            three.train, three.validation, data.columns, data.labels, data.base, config, say, tracking, better,
            judged=lambda classifier: metrics_on(classifier, three.test), spare=three.spare,
        )  # fmt: skip
        evaluation = keep(place, folder.name, fitted.classifier, fitted.training.history, data, config.data, say)
        tracking.finish(evaluation.metrics)
    say_saved(folder, fitted.classifier.record, say)
    if config.hub.publish:
        try:
            publish.publish(folder, _target(config.hub), say)
        except KeyboardInterrupt:
            say(f"{folder} is whole. To publish it: {_target(config.hub).command(folder)}")
            raise
    return Run(folder, evaluation)


def keep(
    place: Path,
    name: str,
    classifier: Saved,
    history: Iterable[dict[str, Any]],
    data: "Prepared",
    wanted: Data,
    say: Say,
) -> Evaluation:
    """Judge a classifier on test, once, and write all of a saved folder called `name` into `place`."""
    evaluation = _judge(place, classifier, data.three, data.language.mixed, say)
    record = {**classifier.record, **_about_rows(name, data, wanted)}
    save(place, classifier.network, classifier.tokenizer, data.labels, record)
    about = {**data.report.as_json(), **_lengths(place, data, classifier)}
    write_json(place / REPORT, {**about, "train_texts": train_texts(_learned(data.three, record))})
    write_json(place / EVALUATION, evaluation.as_json())
    write_lines(place / HISTORY, map(json_text, history))
    write_card(place, evaluation.as_json())
    _report(place, classifier, say)
    return evaluation


def _learned(three: ThreeSplits, record: Mapping[str, Any]) -> Iterator[Text]:
    yield from three.train.texts
    if record["recipe"].get("all_rows"):
        yield from three.validation.texts


def say_saved(folder: Path, record: Mapping[str, Any], say: Say) -> None:
    """Where the classifier is, and how long it was trained."""
    if (folder / PAGE).exists():
        say(f"report  {folder / PAGE}")
    say(f"saved   {folder} (trained in {record['train_seconds']:.0f} s, {record['train_rows_per_second']:.0f} rows/s)")


def check_faces(config: Config) -> None:
    """What the run is to be told to is ready, as far as this machine can tell; a ClassifineError where it is not."""
    from classifine.train.track import check_trackers
    from classifine.train.wishes import check_adapter, check_keep

    check_trackers(config.train.track)
    check_adapter(config.model)
    check_keep(config.train)
    check_long(config.model)
    if config.hub.every_save and config.train.seeds > 1:
        raise ConfigError(
            "--every-save publishes each better epoch of one run, and --seeds makes several. Leave out one of them."
        )
    if config.hub.every_save and config.train.correct_prior:
        raise ConfigError(
            "--every-save publishes each better epoch as it is, and --correct-prior corrects the scores in the end. "
            "Leave out one of them."
        )
    if config.hub.every_save and config.train.method not in ("auto", "finetune"):
        raise ConfigError(
            f"--every-save publishes each better epoch, and --method {config.train.method} keeps the last one. "
            "Leave out one of them."
        )
    if config.hub.publish:
        publish.check_target(config.hub.publish)


def _not_here(config: Data) -> Splits | None:
    """What is no file or folder here, from the Hub, or the mistake, before anything is loaded that takes seconds."""
    if config.source is None or Path(config.source).exists():
        return None
    return read_splits(config)


def _tell_unpublished(hub: Hub, say: Say) -> None:
    """Settings of publishing, which a file may keep for another time, do nothing without a repository."""
    if alone := [name for name, value in hub if hub.publish is None and value != getattr(Hub(), name)]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in alone)
        say(f"hint    nothing is published without --publish OWNER/NAME, so {flags} changes nothing")


def _target(hub: Hub) -> publish.Target:
    return publish.Target(str(hub.publish), hub.private, hub.license)


def _publisher(hub: Hub, say: Say) -> Callable[[Saved, int], None] | None:
    """What publishes each better epoch, where that is wanted; the repository is there from now on.

    An epoch that the Hub does not take is said and passed over: training goes on, and its end is published again.
    Where the method that was chosen keeps the last epoch, no epoch is better than another, and the end is all.
    """
    if hub.publish is None:
        return None
    target, again = _target(hub), "the same command"
    publish.prepare(target, again)
    if not hub.every_save:
        return None

    def better(classifier: Saved, epoch: int) -> None:
        method = classifier.record["recipe"]["method"]
        if method != "finetune":
            if epoch == 1:
                say(f"publish {method} keeps the last epoch, so the end alone is published")
            return
        try:
            say(f"publish epoch {epoch}: {publish.publish_epoch(classifier, epoch, target, again).url}")
        except Exception as error:  # whatever it is, hours of training must not end for it
            say(f"warning epoch {epoch} is not published. {error}")

    return better


def dry_run(config: Config, output: Path | None, overwrite: bool, say: Say, splits: Splits | None = None) -> "Plan":
    """What `train` would do, in how much time and memory; trains and writes nothing. It raises what `train` would."""
    if output is not None:
        check_output(output, overwrite)
    splits = splits or _not_here(config.data)
    from classifine.train.plan import plan

    check_faces(config)
    _tell_unpublished(config.hub, say)
    data = prepare(config, say, splits)
    return plan(data.three, data.labels, data.base, config, say)


@dataclass(frozen=True)
class Prepared:
    """All that is known of the data before a network is loaded."""

    columns: Columns
    report: DataReport
    base: Base
    three: ThreeSplits
    labels: Labels
    language: Language
    judged: dict[str, Any]
    on_hub: bool


def prepare(config: Config, say: Say, splits: Splits | None = None) -> Prepared:
    """Read, check and split the data, and find the base; a ClassifineError where one of them does not do."""
    # Asked while its rows are read: hours later a file may have gone.
    on_hub = config.data.source is not None and not Path(config.data.source).exists()
    found = splits or read_splits(config.data)
    language = find_language(found.train, config.data.language)
    base, why = choose_base(config.model.base, language.only, fastest_device())
    report = _check(found, config, base, language)
    say(f"data    language: {language}")
    if why:
        say(f"base    {why} (--base changes it)")
    # Errors end the run with a list of their own.
    for line in report_lines(replace(report, faults=report.warnings) if report.errors else report):
        say(f"data    {line}")
    report.raise_errors()
    wanted = config.data
    three, labels = prepared(found, report.faults, wanted, config.train.seed)
    for note in three.notes:
        say(f"split   {note}")
    judged = {
        "split": found.judged if found.test is not None else None,
        "file": Path(wanted.test).name if wanted.test else None,
        "trained_on": (wanted.keep_shared and any(fault.kind == "shared-rows" for fault in report.faults))
        or _known_to(base, three, say),
    }
    return Prepared(found.columns, report, base, three, labels, language, judged, on_hub)


def _known_to(base: Base, three: ThreeSplits, say: Say) -> bool:
    """Whether a base that is a classifier itself learned the labels of rows to judge by, which is said."""
    known, found = train_texts_of(base.folder), False
    if known is None:
        return False
    for part in (three.validation, three.test):
        if seen := count_seen(part.texts, known, str(base.folder / REPORT)):
            say(
                f"warning: {seen} of {len(part)} {part.name} rows have a text that {base.name} was trained on, so the "
                "numbers flatter"
            )
            found = found or part is three.test
    return found


def check(config: Config) -> DataReport:
    """What is wrong with the data; trains nothing. Texts beyond the maximum length are counted if the base is here."""
    found = read_splits(config.data)
    language = find_language(found.train, config.data.language)
    notes = [*found.notes, f"language: {language}"]
    try:
        base, why = choose_base(config.model.base, language.only, "cpu", fetch=False)
    except ModelError:
        name = config.model.base or suited(language.only, "cpu")[0]
        notes.append(f"{name} is not on this machine, so texts beyond the maximum length are not counted")
        return check_splits(replace(found, notes=tuple(notes)), config.data, language=language)
    notes += [f"base: {why} (--base changes it)"] if why else []
    return _check(replace(found, notes=tuple(notes)), config, base, language)


def _check(found: Splits, config: Config, base: Base, language: Language) -> DataReport:
    room = base.max_length(config.model.max_length)
    # Who asked for something else than a cut has no need to be told of it.
    counter = token_counter(base.folder) if config.model.long == "truncate" else None
    return check_splits(found, config.data, counter, room, language)


def _lengths(place: Path, data: Prepared, classifier: Saved) -> dict[str, Any]:
    """How long the texts are that the run used; nothing where the saved folder has no tokenizer.json to count by."""
    count_tokens = token_counter(place)
    if count_tokens is None:
        return {}
    found = token_lengths(data.three.all, count_tokens, classifier.max_length)
    return {"tokens": {**found, "long": classifier.long.way}}


def _judge(place: Path, classifier: Saved, three: ThreeSplits, mixed: bool, say: Say) -> Evaluation:
    """The report on test, once: metrics, baselines and every prediction; by language where the texts are `mixed`."""
    test, labels, decision = three.test, classifier.labels, classifier.decision
    truth = labels.targets(test.labels)
    found = text_logits(classifier, test.texts)
    learned = labels.targets(three.train.labels)
    simpler = baselines(three.train.texts, learned, test.texts, truth, labels.task)
    evaluation = evaluate(
        found, truth, labels, decision, simpler, classifier.record.get("calibration"), test.texts,
        languages_of(test.texts) if mixed else (), _plain_logits(classifier, test.texts),
    )  # fmt: skip
    scores = decision.scores(found)
    write_lines(place / PREDICTIONS, prediction_lines(test.ids, test.texts, truth, scores, labels, decision))
    for line in chain(
        evaluation_lines(evaluation, others_load_by(classifier.record)), seed_lines(classifier.record, labels.task)
    ):
        say(f"test    {line}")
    return evaluation


def _plain_logits(classifier: Saved, texts: Sequence[Text]) -> NDArray[np.float32] | None:
    """What plain transformers answers, which reads the beginning of a text; None where that is what we do."""
    return None if classifier.long.way == "truncate" else text_logits(classifier, texts, long=TRUNCATE)


def _report(place: Path, classifier: Saved, say: Say) -> None:
    """The worst errors explained, and the page of the run; without them the run is still whole."""
    try:
        write_json(place / WHY, explained_errors(classifier, worst_rows(place, ERRORS)))
        (place / PAGE).write_text(report_page(place), encoding="utf-8")
    except Exception as error:  # whatever it is, hours of training must not end for it
        say(f"warning there is no report. {type(error).__name__}: {error}")


def metrics_on(classifier: Saved, rows: Split) -> dict[str, float]:
    """Every metric of a classifier on labelled rows."""
    decision, truth = classifier.decision, classifier.labels.targets(rows.labels)
    return judge(truth, decision.scores(text_logits(classifier, rows.texts)), decision)


def _about_rows(name: str, data: Prepared, wanted: Data) -> dict[str, Any]:
    return {
        "name": name,
        "language": data.language.only,
        "judged": data.judged,
        "data_on_hub": data.on_hub,
        "rows": {part.name: len(part) for part in data.three.all},
        "data_fingerprint": {part.name: fingerprint(part) for part in data.three.all},
    }


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file of these lines."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(line + "\n" for line in lines)


def free_folder(source: str, ending: str = "", ours: Callable[[Path], bool] = lambda folder: False) -> Path:
    """runs/NAME after the data's `source`, with a number where that is taken by something that is not `ours`."""
    return first_free(Path("runs") / f"{_name_of(source)}{ending}", lambda place: place.exists() and not ours(place))


def _name_of(source: str) -> str:
    name = source.replace("\\", "/").rstrip("/").rpartition("/")[2].removesuffix(".gz")
    stem, dot, ending = name.rpartition(".")
    name = stem if dot and f".{ending.lower()}" in FORMS else name
    # A folder says more than a file that is called after its split.
    if name.lower() in ("train", "data") and Path(source).absolute().parent.name:
        name = Path(source).absolute().parent.name
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "classifier"
