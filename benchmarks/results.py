"""What the scripts measured, one line a run, kept with the project in results/: a series goes on anywhere."""

import json
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# What says how a line came to be, and is no part of what was measured.
ORIGIN = ("commit", "torch", "transformers", "processor")


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
        # Before the run: the code may change while it goes on.
        ran = origin()
        # A run of an earlier time tells its own.
        line = {**which, **ran, **run()}
        self._path.parent.mkdir(exist_ok=True)
        # One write, so that several scripts can add to a file at the same time.
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return line


def origin() -> dict[str, str]:
    """The commit that runs, and what its speed and its numbers depend on most."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()

    # That lines were added here changes nothing that is measured.
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(exclude)results")
    commit = git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
    return dict(zip(ORIGIN, (commit, version("torch"), version("transformers"), processor()), strict=True))


def processor() -> str:
    """Its name, where Linux tells it, and the threads that torch is given."""
    import torch

    facts = Path("/proc/cpuinfo")
    names = [line for line in facts.read_text().splitlines() if line.startswith("model name")] if facts.exists() else []
    name = names[0].partition(":")[2].strip() if names else platform.machine()
    return f"{name}, threads: {torch.get_num_threads()}"


def in_own_process(script: str, cell: dict[str, Any], flags: list[str], logs: Path) -> dict[str, Any]:
    """What `script --one CELL` prints on its last line as JSON; its words go to a log named after the cell."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{re.sub(r'[^a-zA-Z0-9.]+', '-', '-'.join(map(str, cell.values())))}.log"
    with log.open("w") as file:
        command = [sys.executable, script, "--one", json.dumps(cell), *flags]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=file, text=True)
    if done.returncode:
        sys.exit(f"{cell} failed; see {log}")
    return json.loads(done.stdout.splitlines()[-1])


def times(found: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[float]:
    """How many times the seconds of each other line, where both come from the same kind of machine."""
    pairs = zip(found, others, strict=True)
    return [one["seconds"] / other["seconds"] for one, other in pairs if one.get("processor") == other.get("processor")]


def commits(lines: list[dict[str, Any]]) -> str:
    """A sentence on the code that lines were measured with."""
    return f"Measured at {', '.join(sorted({line['commit'] for line in lines}))}."


def spread(values: list[float], digits: int = 4) -> str:
    """The mean with the lowest and the highest."""
    if not values:
        return "-"
    return f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
