"""The answers of a long prediction as they come, beside the file they will stand in: what was answered stays answered.

A line of JSON a row, after a first line that tells which job it is. A job that was stopped goes on after the last
whole chunk; another job begins anew. It knows nothing about networks or forms of files.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from classifine.errors import OutputError

Values = list[Any]


class Journal:
    """Answers kept in a hidden file beside `target`; `done` is the number of rows that need not be answered again.

    OutputError where another process writes to it, or where it cannot be written.
    """

    def __init__(self, target: Path, job: dict[str, Any], chunk: int) -> None:
        self._path = target.with_name(f".{target.name}.answers")
        self._head = json.dumps(job, sort_keys=True).encode() + b"\n"
        self.done = self.kept = 0
        try:
            self._file: IO[bytes] = self._path.open("r+b" if self._path.exists() else "w+b")
        except OSError as error:
            raise OutputError(f"{self._path} cannot be written: {error.strerror}. Change -o.") from None
        self._lock()
        self._find(chunk)

    def before(self) -> Iterator[Values]:
        """The answers that were there, in order."""
        with self._path.open("rb") as file:
            file.readline()
            for _ in range(self.done):
                yield json.loads(file.readline())

    def add(self, answers: Sequence[Values]) -> None:
        """Keep the answers of a chunk; they survive whatever ends this process, or the machine, from here on."""
        self._file.write(b"".join(json.dumps(values).encode() + b"\n" for values in answers))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.kept += len(answers)

    def remove(self) -> None:
        """The job is done, or nothing of it is worth keeping."""
        self._path.unlink(missing_ok=True)
        self._file.close()

    def close(self) -> None:
        """Let go of the file, and leave it for the next one to go on, if there is anything in it."""
        if not self.kept and not self._file.closed:
            self.remove()
        self._file.close()

    def _lock(self) -> None:
        with contextlib.suppress(ImportError):
            import fcntl

            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._file.close()
                raise OutputError(
                    f"Another process is writing to {self._path.name}. Wait for it to end, or change -o."
                ) from None

    def _find(self, chunk: int) -> None:
        """Count the whole chunks of this job and cut off what follows them; of another job everything."""
        end = 0
        if self._file.readline() == self._head:
            end = place = len(self._head)
            for number, line in enumerate(self._file, 1):
                if not line.endswith(b"\n"):
                    break
                place += len(line)
                if number % chunk == 0:
                    end, self.done = place, number
        self.kept = self.done
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self._file.write(self._head)
            self._file.flush()
