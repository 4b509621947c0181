"""How far a long job is: rows per second and time left, as a bar on a terminal, elsewhere as a line every tenth of the way."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from classifine.say import Say

QUICK = 10.0  # seconds; a shorter job need say nothing on its way


class Meter:
    """Told of rows as they are done, of `total`; silent where the job takes less than `silent` seconds."""

    def __init__(self, word: str, total: int, say: Say, unit: str = "rows", silent: float = 0.0) -> None:
        console = Console(stderr=True)
        columns = (
            TextColumn(word),
            BarColumn(),
            TextColumn("{task.percentage:.0f} %"),
            TextColumn("{task.fields[rate]}"),
        )
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console) if console.is_terminal else None
        self._word, self._total, self._say, self._silent = word, max(total, 1), say, silent
        self._unit, self._start = unit, time.monotonic()
        self._done = self._said = 0
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(word, total=self._total, rate="")

    def add(self, rows: int) -> None:
        """Some more rows are done."""
        self._done += rows
        seconds = time.monotonic() - self._start
        rate = self._done / max(seconds, 1e-9)
        if self._bar:
            self._bar.update(self._task, completed=self._done, rate=self._told(rate))
            return
        tenth = min(10, 10 * self._done // self._total)
        if tenth > self._said and seconds >= self._silent:
            self._said = tenth
            left = max(0, self._total - self._done) / rate
            self._say(f"{self._word}: {tenth * 10} %, {self._told(rate)}, {left:.0f} s left")

    def _told(self, rate: float) -> str:
        return f"{rate:.{0 if rate >= 10 else 2}f} {self._unit}/s"

    def skip(self, rows: int) -> None:
        """Some rows were done before; they count for nothing in the rate."""
        self._total -= min(rows, self._total - 1)
        self._start = time.monotonic()
        if self._bar:
            self._bar.reset(self._task, total=self._total)

    def close(self) -> None:
        """Give the terminal back, also after an interruption."""
        if self._bar:
            self._bar.stop()
