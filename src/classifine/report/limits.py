"""What a run found to be weak, in sentences: labels, lengths, languages; only what its own numbers show.

It puts into words what the record and the evaluation say, and knows nothing about networks or pages.
"""

import math
import re
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from classifine.metrics import LOWER_IS_BETTER

CLEARLY = 0.1  # below the median F1, from where on a label is called weak
FEW, NAMED = 30, 10  # rows by which a label cannot be judged; labels of a kind that are named
ERRORS = 3  # standard errors by which a part of the rows must differ to be named


def limits(record: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    """A sentence in Markdown for each thing that the run showed to be weak, and for what it did not try."""
    yield from _weak_labels(evaluation)
    yield from _weak_parts(evaluation)
    yield _length(record)
    own = record.get("language")
    known = (
        f"The training texts are in {code(own)}"
        if own
        else "The training texts have no one language that could be told"
    )
    yield f"{known}; texts in other languages were not tried."


def _length(record: Mapping[str, Any]) -> str:
    cut, limit = record.get("train_rows_cut", 0), record["max_length"]
    beyond = {
        "truncate": f"Texts are read up to {limit} tokens; what follows is not seen.",
        "head-tail": f"Of texts of more than {limit} tokens the beginning and the end are read; what is between is not seen.",
        "windows": f"Texts of more than {limit} tokens are read in windows of as many, each of which sees nothing of the others.",
    }[record.get("long", "truncate")]
    filled = "are longer" if record.get("long") == "windows" else "fill that length or go beyond"
    return beyond + (f" Of the training rows {cut} {filled}." if cut else "")


def one_line(text: str) -> str:
    """A text without line breaks, which would tear a table."""
    return " ".join(text.splitlines()) if text else text


def code(text: str) -> str:
    """A text as code in Markdown, in one line and whole whatever else it has: the fence is longer than any row of backticks
    inside.
    """
    text = one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    room = " " if "`" in text[:1] + text[-1:] else ""
    return f"{fence}{room}{text}{room}{fence}"


def _weak_labels(evaluation: Mapping[str, Any]) -> Iterator[str]:
    judged = [one for one in evaluation["classes"] if one["support"]]
    usual = statistics.median(one["f1"] for one in judged) if judged else 0.0
    weak = sorted((one for one in judged if one["f1"] < usual - CLEARLY), key=lambda one: one["f1"])
    if weak:
        yield f"Weak labels: {_listed(weak, 'F1 {f1:.2f}')}; the median is {usual:.2f}."
    never = [one for one in judged if one["predicted"] == 0]
    if never:
        yield f"Never answered, though there are such rows: {_listed(never, '{support} rows')}."
    few = [one for one in evaluation["classes"] if one["support"] < FEW]
    if few:
        yield f"Judged on fewer than {FEW} rows, so their numbers may be far off: {_listed(few, '{support}')}."


def _listed(classes: list[Any], told: str) -> str:
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return ", ".join(f"{code(one['label'])} ({told.format(**one)})" for one in classes[:NAMED]) + more


def _weak_parts(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Each length and language that is worse than the rest by more than chance would have it."""
    for kind in ("length", "language"):
        parts = [part for part in evaluation.get("slices", ()) if part["kind"] == kind]
        rows = sum(part["rows"] for part in parts)
        for part in parts:
            others = rows - part["rows"]
            if not others:
                continue
            rest = sum(other["value"] * other["rows"] for other in parts if other is not part) / others
            spread = math.hypot(part["error"], part["error"] * math.sqrt(part["rows"] / others))
            worse = (part["value"] - rest) * (1 if part["metric"] in LOWER_IS_BETTER else -1)
            if worse > ERRORS * spread:
                word = "Texts of" if kind == "length" else "Texts in"
                yield (
                    f"{word} {part['name']}: {part['metric']} {part['value']:.3f} ({part['rows']} rows), "
                    f"{rest:.3f} on the others."
                )
