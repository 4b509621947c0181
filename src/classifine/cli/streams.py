"""What goes through standard input, output and error."""

import inspect
import io
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any

from classifine.say import Say


def say(line: str) -> None:
    """Tell people something, on standard error; where nobody listens any more, as behind `| head`, the work goes on."""
    try:
        sys.stderr.write(line + "\n")
    except BrokenPipeError:
        to_nowhere(sys.stderr)


def to_nowhere(stream: IO[str]) -> None:
    """Let what is written to a stream whose reader has gone be lost, also what Python flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def saying_flags_of(command: Callable[..., None]) -> Say:
    """The same for a command that takes some of the flags of `train`: of those that a line names only its own stay."""
    names = [name.replace("_", "-") for name in inspect.signature(command).parameters]
    own = {f"--{start}{name}" for name in names for start in ("", "no-")}

    def named(found: re.Match[str]) -> str:
        flags = [flag for flag in found["flags"].split(", ") if flag in own]
        # After other words in the parentheses these stay.
        nothing = ")" if found["before"] == "; " else ""
        return f"{found['before']}{', '.join(flags)}{found['words']})" if flags else nothing

    of_flags = re.compile(r"(?P<before> \(|; )(?P<flags>--[a-z0-9-]+(?:, --[a-z0-9-]+)*)(?P<words>(?: [\w ]+)?)\)")
    return lambda line: say(of_flags.sub(named, line))


def print_json(content: Any) -> None:
    """Answer a program, on standard output."""
    from classifine.strict_json import json_text

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
