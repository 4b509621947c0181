"""Writing so that nothing is lost or half-written: a folder is whole or absent, JSON is what every reader takes."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from itertools import chain, count
from pathlib import Path
from typing import IO, Any

from classifine.errors import OutputError
from classifine.strict_json import json_text

FULL = (errno.ENOSPC, errno.EDQUOT)
DISK = (*FULL, errno.EROFS)  # a disk that is full or read-only


@contextlib.contextmanager
def workplace(folder: Path, replace: bool = True) -> Iterator[Path]:
    """A folder beside `folder` to write to; it takes the name `folder` at the end, or is removed after an error.

    Once all is written nothing is removed any more. Where it is not to `replace` what is there by then, as of a run that
    began at the same time, or cannot take its place, it gets a name of its own, and an OutputError tells which.
    """
    # Where it is a link, what it leads to is replaced, so that a large disk stays the one that is written to.
    folder = folder.resolve()
    place = folder.parent / f".{folder.name}.{secrets.token_hex(4)}"
    made, whole = list[Path](), False
    try:
        with writing(folder):
            made = [parent for parent in place.parents if not parent.exists()]
            place.mkdir(parents=True)
        with writing(folder, DISK):
            yield place
        with writing(folder):
            _open_to_readers(place)
        whole = True
        if folder.exists() and not replace:
            raise _beside(place, folder, f"{folder} was written by another run meanwhile")
        try:
            _move(place, folder)
        except OSError as error:
            raise _beside(place, folder, f"{folder} cannot be replaced: {error.strerror or error}") from error
    except BaseException:
        if not whole:
            shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):  # where another run writes beside it
            for parent in made:
                parent.rmdir()
        raise


@contextlib.contextmanager
def writing(target: Path, only: Collection[int] = ()) -> Iterator[None]:
    """Turn what the system says about a place that cannot be written to into an OutputError.

    `only` bounds it to some error numbers, where other things than writing go on as well.
    """
    try:
        yield
    except OSError as error:
        if only and error.errno not in only:
            raise
        remedy = "Free some space or give another folder." if error.errno in FULL else "Give another folder."
        raise OutputError(f"{target} cannot be written: {error.strerror or error}. {remedy}") from error


def lock(file: IO[bytes] | int) -> bool | None:
    """Take an open file for this process alone: False where another one has it.

    None where that cannot be: some systems of files have no locks, and Windows has others.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


@contextlib.contextmanager
def alone(folder: Path, otherwise: str) -> Iterator[None]:
    """Nobody else works in `folder` meanwhile, as far as the system can tell; OutputError(`otherwise`) where somebody does."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        yield
        return
    try:
        if lock(number) is False:
            raise OutputError(otherwise)
        yield
    finally:
        os.close(number)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read, with letters of every script as they are."""
    path.write_text(json_text(content, indent=2) + "\n", encoding="utf-8")


def _open_to_readers(place: Path) -> None:
    """Give every file the permissions of a plain new one; safetensors writes files that only their owner reads."""
    plain = place / ".plain"
    plain.touch()
    mode = plain.stat().st_mode
    plain.unlink()
    for file in place.rglob("*"):
        if file.is_file():
            file.chmod(mode)


def _beside(place: Path, folder: Path, why: str) -> OutputError:
    """What to raise once a folder that is whole has the first name after `folder` that nobody else has, or keeps its own."""
    free = first_free(folder)
    try:
        place.rename(free)
    except OSError:
        free = place
    return OutputError(f"{why}. Nothing is lost: this one is in {free}.")


def first_free(folder: Path, taken: Callable[[Path], bool] = Path.exists) -> Path:
    """`folder`, or where that is taken it with the first number from 2 on behind its name that is not."""
    places = chain([folder], (folder.with_name(f"{folder.name}-{number}") for number in count(2)))
    return next(place for place in places if not taken(place))


def _move(place: Path, folder: Path) -> None:
    if not folder.exists():
        place.rename(folder)
        return
    old = place.with_name(place.name + ".old")
    folder.rename(old)
    try:
        place.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
