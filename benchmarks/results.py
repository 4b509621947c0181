"""What the scripts measured, one line a run, kept with the project in results/: a series goes on anywhere."""

import json
import statistics
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# What says how a line came to be, and is no part of what was measured.
ORIGIN = ("commit", "torch", "transformers")


class Results:
    """The lines of one script."""

    def __init__(self, name: str) -> None:
        self._path = HERE / "results" / f"{name}.jsonl"

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        return [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]

    def find(self, **which: Any) -> dict[str, Any] | None:
        """The last line that agrees with `which`, or None."""
        lines = [line for line in self._lines() if all(line.get(key) == value for key, value in which.items())]
        return lines[-1] if lines else None

    def measured(self, run: Callable[[], dict[str, Any]], **which: Any) -> dict[str, Any]:
        """What was measured under `which`, by `run` where no line tells it yet."""
        if found := self.find(**which):
            return found
        line = {**which, **run(), **origin()}
        self._path.parent.mkdir(exist_ok=True)
        # One write, so that several scripts can add to a file at the same time.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return line


def origin() -> dict[str, str]:
    """The commit that runs, and the versions that its speed and its numbers depend on most."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=HERE, capture_output=True, text=True
    ).stdout.strip()
    return dict(zip(ORIGIN, (commit, version("torch"), version("transformers")), strict=True))


def commits(lines: list[dict[str, Any]]) -> str:
    """A sentence on the code that lines were measured with."""
    return f"Measured at {', '.join(sorted({line['commit'] for line in lines}))}."


def spread(values: list[float], digits: int = 4) -> str:
    """The mean with the lowest and the highest."""
    return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
