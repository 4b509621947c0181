"""A classifier exported for another runtime, and whether it still answers as it did.

It knows nothing about where the rows come from or where the files will stand.
"""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from classifine.config import Data
from classifine.data.encode import pad, pad_id, tokenise
from classifine.data.read import Split
from classifine.errors import ModelError
from classifine.infer.exported_engine import open_exported
from classifine.infer.forward import logits
from classifine.infer.predict import text_logits
from classifine.infer.torch_engine import TorchEngine
from classifine.metrics import HEADLINE, judge
from classifine.model.disk import write_json
from classifine.model.export import FILES, PACKAGES, Target, export_float, quantise, unreported
from classifine.model.folder import Saved
from classifine.say import Say
from classifine.windows import taken_apart

MAX_DROP = 0.5  # points of the first headline metric that int8 may cost
MAX_ERROR = 1e-3  # between scores of torch and of an export in float32, as a share of scores that are larger than 1
_CALIBRATION = 256  # rows whose activations set the ranges of int8
_TRIED = 64  # rows of made-up tokens that compare an export with torch


@dataclass(frozen=True)
class ExportWish:
    """What to write, what it may cost, and the validation rows where they are not those of training."""

    int8: bool = False
    max_drop: float = MAX_DROP
    overwrite: bool = False
    data: Data = Data()


def export_classifier(saved: Saved, target: Target, rows: Split | None, max_drop: float, place: Path, say: Say) -> Path:
    """Write the files into `place`: float32, or with validation `rows` int8; the one that the runtime opens.

    Raises ModelError where the answers differ more than they may.
    """
    inputs = tuple(dict.fromkeys(["input_ids", "attention_mask", *_sample(saved)]))
    path = place / FILES[target]["float32"]
    kept = rows is not None and path.is_file()
    if not kept:
        export_float(saved.network.cpu(), inputs, target, place)
    error, largest = _difference(saved, path)
    if not error <= MAX_ERROR * max(1.0, largest):  # nor may it be no number
        raise ModelError(f"The {target} file answers otherwise than torch: a score differs by {error:.1e}. Use torch.")
    found: dict[str, Any] = {"precision": "float32", "largest_difference_of_a_score": error}
    say(f"float32  scores differ by {error:.1e} at most from those of torch")
    if rows is not None:
        whole, path = path, quantise(path, target, _calibration(saved, rows))
        found = {"precision": "int8", **_compared(saved, path, rows, max_drop, say)}
        if not kept:
            for file in place.glob(f"{whole.stem}.*"):
                file.unlink()
    write_json(place / f"{path.stem}.json", {**found, "versions": {**saved.record["versions"], **_runtime(target)}})
    return path


def _runtime(target: Target) -> dict[str, str]:
    """The version of what will run the file, which comes in packages of several names."""
    name = PACKAGES[target][0]
    try:
        return {name: version(name)}
    except PackageNotFoundError:
        return {name: str(unreported(name).__version__)}


def _sample(saved: Saved) -> list[str]:
    """The columns that the tokenizer gives the network."""
    pair = saved.record["columns"]["pair"] is not None
    return list(tokenise([("a", "b") if pair else "a"], saved.reader, saved.max_length))


def _difference(saved: Saved, path: Path) -> tuple[float, float]:
    """(largest difference of a score between torch and an exported file, largest of torch's scores) over rows of
    made-up tokens.
    """
    draw = np.random.default_rng(0)
    lengths = draw.integers(2, saved.max_length + 1, _TRIED)
    highest = int(saved.network.config.vocab_size)
    columns = {name: [[0] * int(length) for length in lengths] for name in _sample(saved)}
    columns["input_ids"] = [draw.integers(0, highest, length).tolist() for length in lengths]
    one, other = (
        saved.decision.scores(logits(engine, columns, pad_id(saved.reader)))
        for engine in (TorchEngine(saved.network), open_exported(path, "float32", len(saved.labels)))
    )
    return float(np.abs(one - other).max()), float(np.abs(one).max())


def _calibration(saved: Saved, rows: Split) -> list[dict[str, Any]]:
    """Batches of a row each, without padding, spread over the rows and the windows of long ones."""
    step = max(1, len(rows) // _CALIBRATION)
    texts = rows.texts[::step][:_CALIBRATION]
    columns, counts = taken_apart(tokenise(texts, saved.reader, saved.max_length, saved.long))
    chosen = range(0, sum(counts), max(1, sum(counts) // _CALIBRATION))[:_CALIBRATION]
    return [pad({name: [values[i]] for name, values in columns.items()}, pad_id(saved.reader)) for i in chosen]


def _compared(saved: Saved, path: Path, rows: Split, max_drop: float, say: Say) -> dict[str, Any]:
    """The headline metrics of torch and of the int8 file on validation rows; ModelError where too much is lost."""
    truth, decision = saved.labels.targets(rows.labels), saved.decision
    before = decision.scores(text_logits(saved, rows.texts))
    after = decision.scores(text_logits(saved, rows.texts, open_exported(path, "int8", len(saved.labels))))
    names = HEADLINE[saved.labels.task]
    full, small = ({n: found[n] for n in names} for found in (judge(truth, s, decision) for s in (before, after)))
    same = float(
        np.mean([np.array_equal(a, b) for a, b in zip(decision.choose(before), decision.choose(after), strict=True)])
    )
    name = names[0]
    drop = 100 * (full[name] - small[name])
    say(
        f"int8     {name} {small[name]:.4f} on {len(rows)} validation rows, float32 {full[name]:.4f}: {drop:+.2f} points lost"
    )
    if saved.labels.task == "single" and 100 / len(rows) > max_drop > 0:
        say(
            f"warning  one of {len(rows)} rows is {100 / len(rows):.1f} points, so a loss of {max_drop:g} cannot be seen. "
            "Give more labelled rows with --data."
        )
    if drop > max_drop:
        raise ModelError(
            f"int8 loses {drop:.2f} points of {name} on {len(rows)} validation rows; at most {max_drop:g} are allowed. "
            "Stay with float32, or allow more with --max-drop."
        )
    return {"rows": len(rows), "float32": full, "int8": small, "points_lost": drop, "same_answers": same}
