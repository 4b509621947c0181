"""The command line: flags in, one call into `run` and its like, lines out.

Standard output carries data only; everything for people goes to standard error. Exit codes: 0 done, 1 a mistake
that the user can mend (one sentence), 2 wrong usage (an unknown flag, a missing one), 130 interrupted, 143 terminated.
Nothing heavy is imported before a command runs.
"""

import io
import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from classifine import __version__
from classifine.cli import data, hub, train, use
from classifine.cli.streams import say, to_nowhere
from classifine.errors import ClassifineError

# In the order of the help: the way that data flows.
COMMANDS = (
    *(data.init, data.check, data.audit),
    *(train.train, train.tune, train.glue, train.adapt, train.distill),
    *(use.evaluate, use.compare, use.predict, use.explain, use.report, use.export, use.fill_mask),
    *(hub.login, hub.publish),
)


class _Terminated(KeyboardInterrupt):
    """A batch system's way to stop us; like Ctrl-C it must leave nothing half-written."""


def _terminate(*_: Any) -> None:
    raise _Terminated


def _of_value(error: typer.BadParameter) -> str:
    """The sentence of a value that a flag cannot take."""
    # The words that typer's library of types puts before those of its own checks and of others.
    what = error.message.removeprefix("Value error, ").replace("Input should be", "expected").partition(", unable")[0]
    flag = error.param.opts[-1] if error.param else "a value"
    command = error.ctx.command_path if error.ctx else "classifine"
    return f"{flag}: {what.removesuffix('.')}. Change it; `{command} --help` tells what it takes."


class _Commands(TyperGroup):
    """The commands, ended our way: typer would meet an interruption without a word and a closed pipe with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; end the process where it is interrupted or nobody reads its output any more."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            # A value is bad input like a setting in a file; what is missing or unknown is left to typer, with the usage.
            if type(error) is not typer.BadParameter:
                raise
            say(f"classifine: {_of_value(error)}")
            sys.exit(1)
        except KeyboardInterrupt as error:
            say(f"classifine: {str(error) or 'stopped; no result is half-written.'}")
            sys.exit(143 if isinstance(error, _Terminated) else 130)
        except BrokenPipeError:
            # The reader of our output has gone. What was told to people does not end here (`say`).
            to_nowhere(sys.stdout)
            sys.exit(0)


app = typer.Typer(
    cls=_Commands,
    name="classifine",
    help="From labelled texts to a text classifier that can be trusted and published.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in COMMANDS:
    app.command(command.__name__.replace("_", "-"))(command)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Answer --version; without a command the help is shown."""
    if version:
        sys.stdout.write(f"classifine {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command line and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
    except ClassifineError as error:
        for line in str(error).splitlines():
            say(f"classifine: {line}")
        sys.exit(1)
