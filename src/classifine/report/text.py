"""An evaluation and a data report as plain text for people.

It only puts into words what it is given.
"""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from classifine.data.check import DataReport
from classifine.labels import Task
from classifine.metrics import HEADLINE
from classifine.report.evaluate import Evaluation
from classifine.report.limits import one_line

_CONFUSION_UP_TO = 12  # classes; a larger table does not fit on a terminal, evaluation.json holds it


def evaluation_lines(evaluation: Evaluation, others: str = "plain transformers") -> Iterator[str]:
    """The headline, the baselines, the table of classes and, for few classes, the confusion matrix.

    `others` is with what people load the network who do not have classifine.
    """
    yield f"{evaluation.rows} rows: {numbers({name: evaluation.metrics[name] for name in HEADLINE[evaluation.task]})}"
    yield f"  95 % intervals: {_intervals(evaluation)}"
    if evaluation.uncalibrated:
        own = ((name, evaluation.metrics[name], before) for name, before in evaluation.uncalibrated.items())
        yield f"  calibration: {', '.join(f'{name} {after:.4f} (before {before:.4f})' for name, after, before in own)}"
    if evaluation.task == "multi":
        fixed = {name: evaluation.metrics[name] for name in ("macro_f1_at_half", "micro_f1_at_half")}
        yield f"  at the fixed threshold 0.5: {numbers(fixed)}"
    for kind in ("length", "language"):
        parts = [part for part in evaluation.slices if part.kind == kind]
        if parts:
            yield f"  {parts[0].metric} by {kind}: {', '.join(f'{part.name} {part.value:.4f}' for part in parts)}"
    if evaluation.plain:
        yield f"  in {others}, which reads the beginning of a text: {numbers(evaluation.plain)}"
    for baseline in evaluation.baselines:
        yield f"  beside {baseline.name}: {numbers(baseline.metrics)}"
    yield evaluation.verdict
    if evaluation.task != "score":
        yield from _tables(evaluation)


def kept_of_seeds(averaged: Sequence[int], taught_by: Sequence[int]) -> str:
    """What stayed of several seeds: of those the `averaged` ones, or what those learned that it was `taught_by`, or the best."""
    if averaged:
        return f"the average of the weights of seeds {', '.join(map(str, averaged))}"
    if taught_by:
        return f"a network that learned what seeds {', '.join(map(str, taught_by))} answer on average"
    return "the seed that was best on validation rows"


def averaged_in(record: Mapping[str, Any]) -> Sequence[int]:
    """The seeds whose weights were averaged; none where one of them stayed alone."""
    seeds: Sequence[int] = (record.get("soup") or {}).get("seeds", ())
    return seeds if len(seeds) > 1 else ()


def taught_by(record: Mapping[str, Any]) -> Sequence[int]:
    """The seeds whose answers the network learned; none where one of them stayed."""
    found = record.get("ensemble") or {}
    seeds: Sequence[int] = found.get("seeds", ()) if found.get("kept") else ()
    return seeds


def calibrated_on(left_out: int | None, recipe: Mapping[str, Any]) -> str:
    """Which rows told how far scores can be trusted."""
    rows = f"validation rows and {left_out} train rows, each answered unseen" if left_out else "validation rows"
    return rows + ", before they were learned from, too" * bool(recipe.get("all_rows"))


def seed_lines(record: Mapping[str, Any], task: Task) -> Iterator[str]:
    """The headline metrics over seeds, where there were several: mean and spread."""
    runs = record.get("seeds") or []
    if len(runs) > 1:
        found = {name: [run["test"][name] for run in runs] for name in HEADLINE[task][:2]}
        told = (
            f"{name} {statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})"
            for name, values in found.items()
        )
        yield f"over {len(runs)} seeds: {', '.join(told)}; this one is {kept_of_seeds(averaged_in(record), taught_by(record))}"


def _intervals(evaluation: Evaluation) -> str:
    found = {name: evaluation.intervals.get(name) for name in HEADLINE[evaluation.task][:2]}
    return ", ".join(f"{name} {both[0]:.4f} to {both[1]:.4f}" if both else f"{name} -" for name, both in found.items())


def numbers(found: Mapping[str, float]) -> str:
    """Metrics in one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in found.items())


def _tables(evaluation: Evaluation) -> Iterator[str]:
    names = [one_line(name) for name in evaluation.labels]
    width = max(len("class"), *map(len, names))
    yield ""
    yield f"{'class':{width}}  precision  recall      f1  rows"
    for score in evaluation.classes:
        name = one_line(score.label)
        yield f"{name:{width}}  {score.precision:9.3f}  {score.recall:6.3f}  {score.f1:6.3f}  {score.support:4d}"
    if evaluation.confusion and len(evaluation.labels) <= _CONFUSION_UP_TO:
        yield ""
        yield "confusion (lines: truth, columns: prediction, in the same order)"
        for name, counts in zip(names, evaluation.confusion, strict=True):
            yield f"{name:{width}}  " + " ".join(f"{count:5d}" for count in counts)


def report_lines(report: DataReport) -> Iterator[str]:
    """What the data is, then every error, then every warning."""
    for name, facts in report.summary["splits"].items():
        classes, characters, scores = facts["classes"], facts["characters"], facts.get("scores")
        asked = f"scores {scores['lowest']:g} to {scores['highest']:g}" if scores else f"{len(classes)} classes"
        yield (
            f"{name:10} {facts['rows']} rows, {asked}, {characters['median']} characters "
            f"(median; longest {characters['longest']}), from {facts['source']}"
        )
    yield from report.summary["notes"]
    for word, faults in (("error", report.errors), ("warning", report.warnings)):
        for fault in faults:
            yield f"{word:7} {fault}"
    if not report.faults:
        yield "no faults found"
