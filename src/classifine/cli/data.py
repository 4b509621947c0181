"""Commands that look at labelled texts and train nothing: init, check, audit."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from classifine.cli.flags import CHECKING, READING, AsJson, Labelled, configure, with_settings
from classifine.cli.streams import answer, say
from classifine.errors import ConfigError


@with_settings(*CHECKING, "language", "base", "epochs")
def init(
    path: Annotated[Path, typer.Argument(metavar="[RUN.TOML]", help="File of settings to write.")] = Path("run.toml"),
    data: Annotated[str | None, typer.Option("--data", metavar="DATA", help="Labelled texts; asked for.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Ask a few questions and write a file of settings.

    It looks at the data for what to offer as answers; the file is for `train`, and commented.
    """
    from classifine.init import start

    def ask(question: str, default: str) -> str:
        return str(typer.prompt(question, default=default or None, err=True)).strip()

    given = {**(settings or {}), **({"source": data} if data else {})}
    written = start(path, given, overwrite, ask if sys.stdin.isatty() else None, say)
    sys.stdout.write(f"{written}\n")


@with_settings(*CHECKING, "base", "max_length", "long")
def check(
    data: Labelled,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Say what is wrong with labelled texts.

    Trains nothing. Exit 1 where they cannot be trained on.
    """
    config = configure(data, settings or {}, [])
    from classifine import run
    from classifine.report.text import report_lines

    report = run.check(config)
    answer(as_json, report.as_json(), report_lines(report))
    if report.errors:
        raise typer.Exit(1)


@with_settings(
    "validation", "test", *READING, "language", "base", "max_length", "long", "stride", "precision", "seed",
    validation="Another split of the data to look through.", test="Another split of the data to look through.",
)  # fmt: skip
def audit(
    data: Labelled,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File of the list, or with --apply the new data. [default: audit.csv]"
        ),
    ] = None,
    reviewed: Annotated[
        Path | None, typer.Option("--apply", metavar="REVIEWED", help="Write DATA anew as this reviewed list says.")
    ] = None,
    curve: Annotated[
        bool, typer.Option("--curve", help="Estimate what twice as many labels would bring, for each class, too.")
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace what is there under the name of -o; a folder only where it holds nothing but files of splits.",
        ),
    ] = False,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """List labels that are probably wrong, and mend them.

    Worst first, with near copies and texts that are unlike all others.

    A line of the list has: `row` (from 1, below the header), `kind`, `label`, `suggested`, `score` (from 0, surely a
    fault, to 1), `text`, `split` and `action`. The kinds come one after the other, each worst first:

    label-error: the label is probably wrong; `suggested` is a better one.

    near-duplicate: the text is nearly that of another row, which `suggested` names; with typing errors, in another case,
    with words added. Of two rows of one split the later is listed, of two splits both are. Texts that are the same to the
    letter are listed by `check`.

    outlier: the text is unlike all others.

    To mend the data, fill in `action`: drop leaves the row out; relabel gives it the label in `suggested`, which may be
    changed to any other label of the data (several with | between them); keep or nothing leaves it. Where several lines
    name a row, drop goes before relabel and relabel before keep. Then `classifine audit DATA --apply REVIEWED -o NEW`
    (with the same other flags) writes the data anew for `train`: a file, or where DATA has several splits a folder with
    a file for each. Nothing that was read is changed, and if any line cannot be followed nothing is written. So it is
    where a row with several labels is to have none of them, which lists and columns of 0 and 1 can say, and a cell of text
    cannot.
    """
    from classifine import audit as auditing

    config = configure(data, settings or {}, [])
    if reviewed is not None:
        if output is None or curve or as_json:
            raise ConfigError("--apply goes with -o NEW, and with neither --curve nor --json.")
        sys.stdout.write(f"{auditing.apply(config, reviewed, output, overwrite, say)}\n")
        return
    listed = output or Path("audit.csv")
    result = auditing.audit(config, listed, overwrite, curve, say)
    answer(as_json, {"file": str(listed), **result.as_json()}, result.lines())
