"""Commands for the Hub: login, publish."""

import sys
from typing import Annotated

import typer

from classifine.cli.flags import OwnModel
from classifine.cli.streams import say


def login() -> None:
    """Keep a token for the Hub on this machine.

    It is asked for without showing it, or read from standard input.
    """
    from classifine import publish as publishing

    if sys.stdin.isatty():
        token = str(typer.prompt("Token for the Hub", hide_input=True, err=True))
    else:
        token = sys.stdin.readline()
    say(f"logged in as {publishing.login(token)}")


def publish(
    model: OwnModel,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub, made if need be.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    license: Annotated[str | None, typer.Option(help="Licence for the card, such as apache-2.0 or mit.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="List the files and publish nothing.")] = False,
) -> None:
    """Publish a classifier on the Hub, with its card.

    It is fetched back, to see that it gives the same answers.
    """
    from classifine import publish as publishing

    if dry:
        sys.stdout.write("".join(f"{line}\n" for line in publishing.file_lines(model, repository)))
        return
    sys.stdout.write(f"{publishing.publish(model, publishing.Target(repository, private, license), say).url}\n")
