"""What is done with a saved classifier: judge it on new rows, label a file with it, explain its answers, export it.

Each function is one command. What people should read goes to `say`; nothing here prints.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import IO

from classifine.config import Data, build
from classifine.data.check import check_splits, has_words
from classifine.data.columns import Columns
from classifine.data.read import Split, Splits, read_splits, read_to_judge
from classifine.data.row import Text
from classifine.data.seen import count_seen, fingerprint
from classifine.data.split import prepared
from classifine.data.write import check_target, in_place
from classifine.errors import ClassifineError, ConfigError, DataError, OutputError
from classifine.infer.choose import open_engine
from classifine.infer.explain import Explanation, Method, explain
from classifine.infer.files import PredictOptions, predict_file
from classifine.infer.predict import text_logits
from classifine.infer.tree import predict_folder
from classifine.labels import Labels
from classifine.model.disk import writing
from classifine.model.export import Target, beside_the_weights, check_export
from classifine.model.folder import REPORT, Saved, kind, load, train_texts_of
from classifine.model.question import in_words, order, question
from classifine.report.compare import Comparison, compare
from classifine.report.evaluate import Evaluation, evaluate
from classifine.report.explained import page
from classifine.report.exported import ExportWish, export_classifier
from classifine.report.page.html import PAGE, report_page
from classifine.say import Say


def evaluate_saved(model: Path, config: Data, engine: str, precision: str, say: Say) -> Evaluation:
    """The Evaluation of a saved classifier on labelled rows: the test split of the data if it has one, else all of it."""
    saved = load(model)
    runner = open_engine(saved, engine, precision)
    rows = known_rows(saved, model, config, say)
    say(f"judging {model} ({runner.name})")
    _warn_of_seen(saved, model, rows, say)
    return evaluate(
        text_logits(saved, rows.texts, runner), saved.labels.targets(rows.labels), saved.labels, saved.decision,
        calibration=saved.record.get("calibration"), texts=rows.texts,
    )  # fmt: skip


def compare_saved(first: Path, second: Path, config: Data, say: Say) -> Comparison:
    """What labelled rows say of two saved classifiers: those of the data's test split, or all of it.

    Raises DataError where the two do not answer the same question.
    """
    one, other = load(first), load(second)
    if question(one) != question(other):
        raise DataError(
            f"{first} and {second} do not answer the same question ({in_words(one)}, {in_words(other)}); expected the "
            "same labels of both. Compare others."
        )
    rows = _common_rows(((first, one), (second, other)), config, say)
    for path, saved, own in zip((first, second), (one, other), rows, strict=True):
        _warn_of_seen(saved, path, own, say)
    say("judging both with torch float32, so that what else they are exported for has no part in it")
    places = order(one.labels, other.labels)
    scores = [
        saved.decision.scores(text_logits(saved, own.texts)) for saved, own in zip((one, other), rows, strict=True)
    ]
    decision = other.decision
    if decision.thresholds:
        decision = replace(decision, thresholds=tuple(decision.thresholds[i] for i in places))
    truth, names = one.labels.targets(rows[0].labels), (str(first), str(second))
    return compare(truth, scores[0], scores[1][:, places], (one.decision, decision), names)


def _warn_of_seen(saved: Saved, model: Path, rows: Split, say: Say) -> None:
    if seen := _seen(saved, rows):
        have = "has" if seen == 1 else "have"
        say(f"warning: {seen} of {len(rows)} rows {have} a text that {model} was trained on, so its numbers flatter")


def _common_rows(both: Sequence[tuple[Path, Saved]], config: Data, say: Say) -> list[Split]:
    """The rows that both can judge, as each of them reads its texts."""
    (first, one), (second, other) = both
    rows = known_rows(one, first, config, say)
    columns = [[saved.record["columns"][name] for name in ("text", "pair")] for _, saved in both]
    if columns[0] == columns[1]:
        return [rows, rows]
    found = [rows, known_rows(other, second, config, say)]
    ids = set(found[0].ids) & set(found[1].ids)
    return [part.take([i for i, number in enumerate(part.ids) if number in ids]) for part in found]


def known_rows(saved: Saved, model: Path, config: Data, say: Say) -> Split:
    """The rows of labelled data that can be judged: with a text, and labels that the classifier knows."""
    found = read_to_judge(config, Columns.from_json(saved.record["columns"], saved.labels.task))
    for note in found.notes:
        say(note)
    strange = _strange(found, saved.labels, model, config.drop_unseen)
    rows, labels = found.train, found.train.labels
    given = enumerate(rows.texts)
    kept = [i for i, text in given if text and has_words(text) and labels[i] is not None and not strange[i]]
    if not kept:
        raise DataError(f"{rows.source} has no row with a text and a label that {model} knows. Give labelled rows.")
    if len(kept) < len(rows):
        say(f"{len(rows) - len(kept)} rows without a text or a known label left out")
    return rows.take(kept)


def export(model: Path, target: Target, wish: ExportWish, say: Say) -> Path:
    """Write a saved classifier for OpenVINO or ONNX Runtime beside its weights; the file that the runtime opens.

    In float32 it must answer as torch does; in int8 it may lose no more than `wish.max_drop` points on validation
    rows. Raises ModelError where it does not, and leaves the folder as it was.
    """
    check_export(model, target, wish.int8, wish.overwrite)
    saved = load(model)
    if saved.folder is not None and kind(saved.folder) == "static":
        raise ConfigError(
            f"{model} is a static classifier, which runs without torch as it is. There is nothing to export."
        )
    rows = _validation_rows(saved, model, wish, say) if wish.int8 else None
    with beside_the_weights(model, target) as place:
        path = export_classifier(saved, target, rows, wish.max_drop, place, say)
    return model / target / path.name


def _validation_rows(saved: Saved, model: Path, wish: ExportWish, say: Say) -> Split:
    """The rows that --data names, or those that training set aside, cut anew from the same data in the same way."""
    if wish.data.source is not None:
        return known_rows(saved, model, wish.data, say)
    if saved.record.get("distilled"):
        raise DataError(
            f"--int8 needs labelled validation rows, and {model} was taught on texts without labels. "
            "Name labelled rows with --data FILE."
        )
    ask = "Name labelled rows, other than those of train, with --data FILE."
    if saved.record.get("recipe", {}).get("all_rows"):
        raise DataError(
            f"--int8 needs labelled rows that {model} did not learn from, and with few labels it learned from its "
            f"validation rows, too. {ask}"
        )
    try:
        config = build(saved.record["config"])
        found = read_splits(config.data)
        faults = check_splits(found, config.data).faults
        rows = prepared(found, faults, config.data, config.train.seed)[0].validation
    except ClassifineError as error:
        raise DataError(f"--int8 needs validation rows, and those of training are not at hand: {error} {ask}") from None
    if fingerprint(rows) != saved.record.get("data_fingerprint", {}).get("validation"):
        raise DataError(f"--int8 needs validation rows, and {config.data.source} has changed since training. {ask}")
    return rows


def _strange(found: Splits, labels: Labels, model: Path, drop: bool) -> list[bool]:
    """Whether each row (rows,) has a label that the classifier does not know; DataError where that is not to be."""
    known, names = set(labels.names), found.train.names
    there = set(chain.from_iterable(names))
    unknown, source = ", ".join(sorted(there - known)[:10]), found.train.source
    if there and not there & known:
        column = f" in '{found.columns.label}'" if found.columns.label else ""
        raise DataError(
            f"{source} has{column} none of the labels of {model} ({', '.join(labels.names[:10])}), but {unknown}. "
            "Name the column that has them with --label, or correct them."
        )
    if unknown and not drop:
        raise DataError(
            f"{source} has labels that {model} does not know: {unknown}. "
            "Correct them, or leave their rows out with --drop-unseen."
        )
    return [not known >= set(row) for row in names]


def _seen(saved: Saved, rows: Split) -> int:
    """How many of the rows have a text that was trained on, as far as can be told.

    A published classifier comes without its report, but with the fingerprint of all its train rows in their order.
    """
    assert saved.folder is not None
    if (known := train_texts_of(saved.folder)) is not None:
        return count_seen(rows.texts, known, str(saved.folder / REPORT))
    return len(rows) if fingerprint(rows) == saved.record.get("data_fingerprint", {}).get("train") else 0


def predict(model: Path, source: str, output: Path | None, options: PredictOptions, stdin: IO[bytes], say: Say) -> int:
    """Label the rows of `source` ("-" is `stdin`) in order, as a stream; the number of rows written to `output`.

    A folder becomes a folder, file by file.
    """
    if source != "-" and Path(source).is_dir():
        if output is None:
            raise OutputError(f"{source} is a folder; expected another for its files. Name it with -o.")
        return predict_folder(load(model), Path(source), output, options, say)
    if output is not None:
        check_target(output)
        if output.exists():
            itself = source != "-" and Path(source).exists() and output.samefile(source)
            what = "is the input itself, and gets its labels" if itself else "is there already, and is replaced"
            say(f"{output} {what} at the end")
    return predict_file(load(model), source, output, options, stdin, say)


def explain_text(
    model: Path, text: str, pair: str | None, label: str | None, method: Method, stdin: IO[bytes], say: Say
) -> tuple[Explanation, ...]:
    """Why a text ("-" is all of `stdin`), or a pair, has a label: the one that is named, or each that is predicted."""
    if text == "-":
        try:
            text = stdin.read().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"Standard input is not UTF-8 (byte {error.start + 1}). Convert it first.") from None
    asked: Text = text if pair is None else (text, pair)
    return explain(load(model), asked, () if label is None else (label,), method, say)


def report(model: Path, output: Path | None, overwrite: bool) -> Path:
    """Make the report of a saved classifier again from its folder, by default in its place there; the file.

    Nothing is trained, judged or loaded. Raises OutputError where `output` cannot be written or is another file that
    may not be replaced.
    """
    made = report_page(model)
    target = output or model / PAGE
    if target.is_dir() or not target.absolute().parent.is_dir():
        raise OutputError(f"{target} cannot be written: it is a folder, or its folder does not exist. Change -o.")
    if output is not None and output.exists() and not overwrite:
        raise OutputError(f"{output} exists already. Give another file with -o, or replace it with --overwrite.")
    with in_place(target) as place:
        place.write_text(made, encoding="utf-8")
    return target


def check_page(path: Path) -> None:
    """OutputError, before any work is done, where no page could be written to `path`."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise OutputError(f"{path} cannot be written: it is a folder, or its folder does not exist. Change --html.")


def write_page(path: Path, explanations: Sequence[Explanation], top_k: int) -> None:
    """Write the explanations as one page of HTML; OutputError where that cannot be done."""
    with writing(path):
        path.write_text(page(explanations, top_k), encoding="utf-8")
