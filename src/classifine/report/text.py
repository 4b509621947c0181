"""An evaluation, a data report and a model card as plain text for people.

It only puts into words what it is given.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from classifine.data.check import DataReport
from classifine.metrics import HEADLINE
from classifine.report.evaluate import Evaluation

_CONFUSION_UP_TO = 12  # classes; a larger table does not fit on a terminal, evaluation.json holds it


def evaluation_lines(evaluation: Evaluation) -> Iterator[str]:
    """The headline, the baselines, the table of classes and, for few classes, the confusion matrix."""
    yield f"{evaluation.rows} rows: {_numbers({name: evaluation.metrics[name] for name in HEADLINE[evaluation.task]})}"
    if evaluation.task == "multi":
        fixed = {name: evaluation.metrics[name] for name in ("macro_f1_at_half", "micro_f1_at_half")}
        yield f"  at the fixed threshold 0.5: {_numbers(fixed)}"
    for baseline in evaluation.baselines:
        yield f"  beside {baseline.name}: {_numbers(baseline.metrics)}"
    yield evaluation.verdict
    if evaluation.task != "score":
        yield from _tables(evaluation)


def _numbers(found: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in found.items())


def _tables(evaluation: Evaluation) -> Iterator[str]:
    width = max(len("class"), *(len(name) for name in evaluation.labels))
    yield ""
    yield f"{'class':{width}}  precision  recall      f1  rows"
    for score in evaluation.classes:
        yield f"{score.label:{width}}  {score.precision:9.3f}  {score.recall:6.3f}  {score.f1:6.3f}  {score.support:4d}"
    if evaluation.confusion and len(evaluation.labels) <= _CONFUSION_UP_TO:
        yield ""
        yield "confusion (lines: truth, columns: prediction, in the same order)"
        for name, counts in zip(evaluation.labels, evaluation.confusion, strict=True):
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


def card(record: dict[str, Any], evaluation: dict[str, Any]) -> str:
    """The model card: only facts of this run, from the weights that were kept."""
    found = evaluation["metrics"]
    # Only the name of a Hub repository is for others to read, never a path of this machine.
    local = record["base_origin"] == "a local folder"
    base = "a base model of the author's" if local else record["base"]
    rows = "\n".join(f"| {name} | {found[name]:.4f} |" for name in HEADLINE[record["task"]])
    others = "\n".join(
        f"- {b['name']}: {_numbers({key: value for key, value in b.items() if key != 'name'})}"
        for b in evaluation["baselines"]
    )
    labels = ", ".join(f"`{name}`" for name in record["labels"])
    asked = {
        "single": f"A text classifier that chooses one of {len(record['labels'])} labels: {labels}.",
        "multi": f"A text classifier that gives any of {len(record['labels'])} labels: {labels}.",
        "score": f"A network that gives a text a number: {labels}.",
    }[record["task"]]
    named = "" if local else f"base_model: {base}\n"
    return f"""---
library_name: transformers
pipeline_tag: text-classification
{named}tags:
- text-classification
- classifine
---

# {record["name"]}

{asked}
Fine-tuned from {base} on {record["rows"]["train"]} rows ({record["best_epoch"]} epochs, the best on
{record["rows"]["validation"]} validation rows).

## Evaluation

On {evaluation["rows"]} test rows that had no part in training or in any choice:

| metric | value |
| --- | --- |
{rows}

Beside it, on the same rows:

{others}

## Use

```python
from transformers import pipeline
classify = pipeline("text-classification", "PATH", truncation=True)
classify("a text")
```

or `classifine predict PATH texts.csv`.
"""
