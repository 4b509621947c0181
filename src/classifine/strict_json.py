"""JSON as its standard has it, which every reader takes: Python's own writer lets NaN and Infinity through."""

import json
import math
from collections.abc import Callable
from typing import Any


def json_text(content: Any, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """JSON with letters of every script as they are; a number that is none, such as a diverged loss, becomes null.

    `default` turns what JSON has no form for into something that it has. TypeError where there is none.
    """
    return json.dumps(_finite(content), ensure_ascii=False, indent=indent, allow_nan=False, default=default)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
