"""The decision of a fitted network: calibrated, folded into the head where that can be, and when to doubt it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifine.decide import Decision
from classifine.doubt import Doubt
from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Task
from classifine.metrics import calibration_of
from classifine.model.network import fold_temperature
from classifine.train.lesson import input_columns, targets_of

_TRIED = 16  # rows that show whether the head was found


def decided(
    network: Any,
    validation: Any,
    padding: int,
    task: Task,
    left_out: tuple[NDArray[Any], NDArray[Any]] | None = None,
    again: Callable[[], None] | None = None,
) -> tuple[Decision, dict[str, Any]]:
    """The decision fitted on validation rows, and on train rows `left_out` of what answered them; for the record what
    calibration did there and when to doubt.

    `again` may then let the network learn from validation rows, too, which tell nothing of it any more: the decision
    stays what it was.
    """
    if task == "score":
        return Decision(task), {"calibration": None, "doubt": None}
    columns, truth = input_columns(validation), targets_of(validation)
    found = logits(TorchEngine(network), columns, padding)
    if left_out is not None:
        found, truth = (np.concatenate(both) for both in zip((found, truth), left_out, strict=True))
    raw = Decision(task)
    fitted = raw.calibrated(found, truth)
    told = found
    if again is not None:
        again()
        told = logits(TorchEngine(network), _first(columns), padding)
    folded = fold(network, columns, padding, told, fitted)
    calibration = {
        "temperature": fitted.as_json()["temperature"], "folded": folded,
        "rows": len(truth), "left_out": 0 if left_out is None else len(left_out[1]),
        "before": calibration_of(truth, raw.scores(found), raw), "after": calibration_of(truth, fitted.scores(found), fitted),
    }  # fmt: skip
    found, fitted = as_kept(found, fitted.fit(found, truth), folded)
    return fitted, {"calibration": calibration, "doubt": Doubt.fit(found, truth, fitted).as_json()}


def fold(network: Any, columns: dict[str, list[list[int]]], padding: int, found: Any, fitted: Decision) -> bool:
    """Whether the head holds the temperature of `fitted` from now on; `found` are its logits of these rows before.

    Then it holds for plain transformers, too; where that cannot be, the decision keeps it.
    """
    few = _first(columns)

    def as_expected() -> bool:
        expected = found[: len(few["input_ids"])] / np.asarray(fitted.temperature)
        return bool(np.allclose(logits(TorchEngine(network), few, padding), expected, rtol=1e-3, atol=1e-3))

    return fold_temperature(network, fitted.temperature, as_expected)


def _first(columns: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
    return {name: values[:_TRIED] for name, values in columns.items()}


def as_kept(found: NDArray[np.float32], fitted: Decision, folded: bool) -> tuple[NDArray[Any], Decision]:
    """Logits and decision as the saved classifier has them, where its head may hold the temperature by now."""
    return (found / np.asarray(fitted.temperature), replace(fitted, temperature=1.0)) if folded else (found, fitted)
