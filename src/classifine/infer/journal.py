"""The answers of a long prediction as they come, beside the file they will stand in: what was answered stays answered.

A line of JSON a row, after a first line that tells which job it is. A job that was stopped goes on after the last
whole chunk; the answers of another job are never thrown away unasked. It knows nothing about networks, and of forms of
files only the ending of gzip: the journal is named after the file without its ending, so that a job may go on in another form.
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from typing import Any

from classifine.data.formats import unzipped
from classifine.errors import OutputError
from classifine.model.disk import lock, writing

Values = list[Any]
_TRIES = 10  # to lock a file that is still in its place


def digest_of(path: Path) -> str:
    """What tells the content of a file from any other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def version_of(path: Path) -> list[int]:
    """What tells a file from what it becomes when it is written again: its size and its time."""
    about = path.stat()
    return [about.st_size, about.st_mtime_ns]


class Journal:
    """Answers kept in a hidden file beside `target`; `done` is the number of rows that need not be answered again.

    OutputError where another process writes to it, where it cannot be written, or where it has answers of another
    job, unless `start_over` throws away whatever is there, or the jobs differ in nothing but what `may_differ` names.
    It is called after `target` without its ending, or by all of its `whole_name`. `after_a_kill` tells that a process which nobody could stop
    gently may have left more than this file, and that no other one is at work here. With `outlives` what
    `end` kept is taken up again by the same job, and thrown away by another.
    """

    def __init__(
        self,
        target: Path,
        job: dict[str, Any],
        chunk: int,
        start_over: bool = False,
        may_differ: Collection[str] = (),
        whole_name: bool = False,
        outlives: bool = False,
    ) -> None:
        self.path = target.with_name(f".{target.name if whole_name else unzipped(target).stem}.answers")
        self._may_differ = may_differ
        self._head = json.dumps(job, sort_keys=True).encode() + b"\n"
        self.done = self.kept = 0
        self._ended = self.path.with_suffix(".done")
        if outlives:
            self._take_up(start_over)
        self._file, locked = self._opened()
        try:
            first = self._file.readline()
            self.after_a_kill = locked and bool(first)
            self._find(b"" if start_over else first, chunk)
        except BaseException:
            self._file.close()
            raise

    def before(self) -> Iterator[Values]:
        """The answers that were there, in order."""
        with self.path.open("rb") as file:
            file.readline()
            for _ in range(self.done):
                yield json.loads(file.readline())

    def add(self, answers: Sequence[Values]) -> None:
        """Keep the answers of a chunk; they survive whatever ends this process, or the machine, from here on."""
        self._write(b"".join(json.dumps(values).encode() + b"\n" for values in answers))
        self.kept += len(answers)

    def remove(self) -> None:
        """The job is done, or nothing of it is worth keeping."""
        try:
            self.path.unlink(missing_ok=True)  # while it is locked: nobody else can have begun with it
        except PermissionError:  # Windows removes no file that is open
            self._file.close()
            self.path.unlink(missing_ok=True)
        self._file.close()

    def end(self) -> None:
        """The job is done, and what it did need not be done again."""
        with writing(self.path):
            try:
                self.path.replace(self._ended)  # while it is locked
            except PermissionError:  # Windows renames no file that is open
                self._file.close()
                self.path.replace(self._ended)
        self._file.close()

    def _take_up(self, start_over: bool) -> None:
        """Go on with what a job that ended has kept, if it was the same one."""
        with writing(self._ended), suppress(FileNotFoundError):
            with self._ended.open("rb") as file:
                same = file.readline() == self._head
            if same and not start_over and not self.path.exists():
                self._ended.replace(self.path)
            else:
                self._ended.unlink()

    def close(self) -> None:
        """Let go of the file, and leave it for the next one to go on, if there is anything in it."""
        if not self.kept and not self._file.closed:
            self.remove()
        self._file.close()

    def _opened(self) -> tuple[BufferedRandom, bool]:
        """The file, made if need be, and whether it is locked."""
        file, locked = self._open()
        for _ in range(_TRIES):
            if not locked or self._in_place(file):
                break
            file.close()
            file, locked = self._open()
        return file, locked

    def _open(self) -> tuple[BufferedRandom, bool]:
        try:
            number = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written: {error.strerror}. Change -o.") from None
        file = os.fdopen(number, "r+b")
        return file, self._lock(file)

    def _in_place(self, file: BufferedRandom) -> bool:
        """Whether the file still has its name: the one who had the lock may have removed it meanwhile."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False

    def _lock(self, file: BufferedRandom) -> bool:
        """Whether the file is locked now; OutputError where another process has it."""
        locked = lock(file)
        if locked is False:
            file.close()
            raise OutputError(f"Another process is writing to {self.path.name}. Wait for it to end, or change -o.")
        return bool(locked)

    def _find(self, first: bytes, chunk: int) -> None:
        """Count the whole chunks of this job and cut off what follows them; OutputError where they are of another."""
        end = 0
        if first == self._head:
            end = place = len(first)
            for number, line in enumerate(self._file, 1):
                if not line.endswith(b"\n"):
                    break
                place += len(line)
                if number % chunk == 0:
                    end, self.done = place, number
        else:
            self._refuse(first)
        self.kept = self.done
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self._write(self._head)

    def _write(self, lines: bytes) -> None:
        """Add lines for good; OutputError where the disk does not take them."""
        with writing(self.path):
            try:
                self._file.write(lines)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                # What stays in the buffer would be tried again, and fail again, when the file is closed.
                self._file.raw.close()
                raise

    def _refuse(self, first: bytes) -> None:
        """OutputError where the file begins with another job and has answers of it."""
        try:
            other = json.loads(first)
        except ValueError:
            return
        count = sum(line.endswith(b"\n") for line in self._file)
        if not isinstance(other, dict) or not count:
            return
        own = json.loads(self._head)
        parts = sorted(name for name in own.keys() | other.keys() if own.get(name) != other.get(name))
        if set(parts) <= set(self._may_differ):
            return
        told = [f"{name} (then {other[name]})" if isinstance(other.get(name), str) else name for name in parts]
        raise OutputError(
            f"{self.path} holds {count} answers of another job, which differs in: {', '.join(told)}. Give the same command as "
            "before to go on with it, throw its answers away with --start-over, or change -o."
        )
