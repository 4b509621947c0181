"""What goes through standard input, output and error."""

import io
import sys
from collections.abc import Iterable
from typing import IO, Any


def say(line: str) -> None:
    """Tell people something, on standard error."""
    sys.stderr.write(line + "\n")


def print_json(content: Any) -> None:
    """Answer a program, on standard output."""
    from classifine.model.disk import json_text

    sys.stdout.write(json_text(content, indent=2) + "\n")


def answer(as_json: bool, content: Any, lines: Iterable[object]) -> None:
    """Answer on standard output: a program with `content`, people with `lines`."""
    if as_json:
        print_json(content)
    else:
        sys.stdout.write("".join(f"{line}\n" for line in lines))


def standard_input() -> IO[bytes]:
    """The bytes of standard input, with a buffer of their own where it is a real file.

    A thread that still waits in them when we end would hold the lock of `sys.stdin`, and Python aborts on that.
    """
    if sys.stdin is None:  # closed by whoever started us
        return io.BytesIO()
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except OSError:
        return sys.stdin.buffer
