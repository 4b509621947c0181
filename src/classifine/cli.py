"""The command line: flags in, one call into `run`, lines out.

Standard output carries data only; everything for people goes to standard error. Exit codes: 0 done, 1 a mistake
that the user can mend (one sentence), 2 wrong usage, 130 interrupted. Nothing heavy is imported before a command runs.
"""

import functools
import inspect
import io
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperGroup

from classifine import __version__
from classifine.config import Config, build, load_toml, merge, nested, options, parse_assignment
from classifine.errors import ClassifineError


class _Commands(TyperGroup):
    """The commands, ended our way: typer would meet an interruption without a word and a closed pipe with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; end the process where it is interrupted or nobody reads its output any more."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            say(f"classifine: {str(error) or 'stopped; nothing half-written was left.'}")
            sys.exit(130)
        except BrokenPipeError:
            # The reader of our output has gone; Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)


app = typer.Typer(
    cls=_Commands,
    name="classifine",
    help="From labelled texts to a text classifier that can be trusted, published and served.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# The settings that each command heeds; what it would not heed is no flag of it.
READING = ("text", "text_pair", "label", "task", "label_separator", "encoding", "delimiter", "sheet")
CHECKING = (
    "validation",
    "test",
    *READING,
    "language",
    "drop_duplicates",
    "drop_conflicts",
    "drop_unseen",
    "keep_shared",
)
HUB = tuple(name for section, name, _ in options() if section == "hub")
SEARCH = tuple(name for section, name, _ in options() if section == "search")
TRAINING = tuple(name for _, name, _ in options() if name not in ("source", *SEARCH))
Runtime = Annotated[
    Literal["auto", "torch", "openvino", "onnx"],
    typer.Option("--engine", help="What runs the network; auto is the fastest that is exported and installed."),
]
Precision = Annotated[
    Literal["auto", "float32", "bf16", "int8"],
    typer.Option(
        help="float32 agrees with plain transformers; bf16 is faster; int8 needs `export`, and is auto where it is there."
    ),
]
# Of several commands the same.
Labelled = Annotated[str, typer.Argument(metavar="DATA|RUN.TOML", help="Labelled texts, or a file of settings.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any setting, as in a TOML file.")
]
AnyModel = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `train` wrote, or OWNER/NAME on the Hub.")]
OwnModel = Annotated[Path, typer.Argument(metavar="MODEL", help="Folder that `train` wrote.")]
FilesOfTexts = Annotated[
    list[str], typer.Argument(metavar="TEXTS", help="Files with texts, such as .txt (one a line) or .csv.")
]
MostTexts = Annotated[int | None, typer.Option(min=10, help="Use so many texts, drawn by seed. [default: all]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]


def say(line: str) -> None:
    """Tell people something, on standard error."""
    sys.stderr.write(line + "\n")


def with_settings(*wanted: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a flag for each of the settings; the command receives those that were given as one dictionary, `settings`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = {name: field for _, name, field in options() if name in wanted}
        own = inspect.signature(command).parameters

        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name) for name in fields if name in values}
            # A flag that was not given is None, or an empty list where it may be repeated.
            command(**values, settings={name: value for name, value in given.items() if value not in (None, [])})

        parameters = [parameter for name, parameter in own.items() if name != "settings"]
        parameters += [_flag(name, field) for name, field in fields.items() if name not in own]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _flag(name: str, field: Any) -> inspect.Parameter:
    on = field.default is True
    quiet = on or field.default in (None, (), False)
    text = field.description if quiet else f"{field.description} [default: {field.default}]"
    kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    kind: Any = field.annotation
    if get_origin(kind) is tuple:
        annotation: Any = list[str] | None
    elif get_origin(kind) is Literal or not kinds:
        annotation = kind | None
    else:
        annotation = kinds[0] | None
    flag = f"--{name.replace('_', '-')}"
    # What is done anyway needs a way to say no.
    option = typer.Option(f"{flag}/--no{flag[1:]}" if on else flag, help=text, show_default=False)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[annotation, option]
    )


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Answer --version; without a command the help is shown."""
    if version:
        sys.stdout.write(f"classifine {__version__}\n")
        raise typer.Exit


@app.command()
@with_settings(*TRAINING)
def train(
    data: Labelled,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of the classifier. [default: runs/NAME]"),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the classifier that is in that folder.")
    ] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Find everything out and print the plan with its time; train nothing.")
    ] = False,
    set: Assignments = None,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train a classifier: labelled texts in, an evaluated classifier in a folder out."""
    config = configure(data, settings or {}, set or [])
    from classifine import run

    if dry:
        _print_plan(run.dry_run(config, output, overwrite, say), as_json)
        return
    result = run.train(config, output, overwrite, say)
    if as_json:
        _print_json({"folder": str(result.folder), **result.evaluation.as_json()})
    else:
        sys.stdout.write(f"{result.folder}\n")


@app.command()
@with_settings(
    *(name for name in TRAINING if name not in ("base", "seeds", "keep", "track", *HUB)),
    *(name for name in SEARCH if name != "bases"),
)
def tune(
    data: Labelled,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of the classifier. [default: runs/NAME-tuned]"),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Replace the classifier or the unfinished search in that folder; it goes when the first trial begins.",
        ),
    ] = False,
    base: Annotated[
        list[str] | None,
        typer.Option(help="Pre-trained encoder: a folder or a Hub id; again for each that is to be tried."),
    ] = None,
    set: Assignments = None,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Look for better settings than the default recipe's, and keep them only if they are.

    Each trial trains by other settings and is judged on validation rows; test rows have no part in it. Searched are
    learning rate, epochs, batch size, weight decay, schedule, warm-up, rate of the head and optimiser, and the base
    where several are named; what is given a value is not searched. Trials that fall behind are stopped early. The method
    is not searched: it is the one for all train rows, and any but probe, which takes no steps.

    In the end the best one and the default recipe are trained with the same few seeds. The best is kept where it is
    better by more than a standard error, else the default. The folder is that of a classifier, and holds
    tuned.toml, which `train` takes, trials.jsonl, and search.html, which draws the search.

    A search that was stopped goes on where it was, when the same command is given again. It needs optuna:
    pip install 'classifine[tune]'.
    """
    # Flags go before a file, which may name the other of the two.
    named = {} if not base else {"base": base[0], "bases": []} if len(base) == 1 else {"base": None, "bases": base}
    config = configure(data, {**(settings or {}), **named}, set or [])
    from classifine import tune as tuning

    result = tuning.tune(config, output, overwrite, say)
    if as_json:
        _print_json(result.as_json())
    else:
        sys.stdout.write(f"{result.folder}\n")


@app.command()
@with_settings(*CHECKING, "base", "max_length", "long")
def check(
    data: Labelled,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Say what is wrong with labelled texts; trains nothing. Exit 1 where they cannot be trained on."""
    config = configure(data, settings or {}, [])
    from classifine import run
    from classifine.report.text import report_lines

    report = run.check(config)
    if as_json:
        _print_json(report.as_json())
    else:
        for line in report_lines(report):
            sys.stdout.write(line + "\n")
    if report.errors:
        raise typer.Exit(1)


@app.command()
@with_settings("validation", "test", *READING, "language", "base", "max_length", "long", "stride", "precision", "seed")
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
    """List what is probably wrong with labelled texts, worst first, and mend it; trains nothing.

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
            raise typer.BadParameter("--apply goes with -o NEW, and with neither --curve nor --json.")
        sys.stdout.write(f"{auditing.apply(config, reviewed, output, overwrite, say)}\n")
        return
    listed = output or Path("audit.csv")
    result = auditing.audit(config, listed, overwrite, curve, say)
    if as_json:
        _print_json({"file": str(listed), **result.as_json()})
    else:
        sys.stdout.write("".join(line + "\n" for line in result.lines()))


@app.command()
@with_settings(*(name for name in READING if name != "task"), "drop_unseen")
def evaluate(
    model: AnyModel,
    data: Annotated[str, typer.Argument(metavar="DATA", help="Labelled texts; of a folder its test file.")],
    engine: Runtime = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Judge a classifier on labelled texts that it has not seen."""
    config = configure(data, settings or {}, [])
    from classifine import use
    from classifine.report.text import evaluation_lines

    result = use.evaluate_saved(model, config.data, engine, precision, say)
    if as_json:
        _print_json(result.as_json())
    else:
        for line in evaluation_lines(result):
            sys.stdout.write(line + "\n")


@app.command()
@with_settings(*(name for name in READING if name != "task"), "drop_unseen")
def compare(
    first: Annotated[Path, typer.Argument(metavar="MODEL_A", help="Folder that `train` wrote, or OWNER/NAME.")],
    second: Annotated[Path, typer.Argument(metavar="MODEL_B", help="The one to compare with it.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Labelled texts; of a folder its test file.")],
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Say whether one of two classifiers is better on labelled texts, or whether the rows cannot tell."""
    config = configure(data, settings or {}, [])
    from classifine import use

    found = use.compare_saved(first, second, config.data, say)
    if as_json:
        _print_json(found.as_json())
    else:
        sys.stdout.write("".join(line + "\n" for line in found.lines()))


@app.command()
@with_settings("text", "text_pair", "encoding", "delimiter", "sheet")
def predict(
    model: AnyModel,
    source: Annotated[str, typer.Argument(metavar="INPUT", help="File with texts; `-` is standard input.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="File to write; its ending is its form. [default: standard output]"
        ),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="Number of labels to add, best first.")] = 1,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Add the score of every label.")] = False,
    format: Annotated[
        Literal["lines", "jsonl", "csv", "tsv"] | None,
        typer.Option(help="Form of standard input. [default: lines, a text each]"),
    ] = None,
    abstain: Annotated[
        bool,
        typer.Option(
            "--abstain",
            help="Leave a row without labels, but with its scores, where the answer is too unsure (--accuracy).",
        ),
    ] = False,
    accuracy: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Abstain so that the answers given are so often right. [default: 0.95]"),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(min=0.5, max=0.999, help="Add `set`: labels that hold the truth with this probability."),
    ] = None,
    unlike: Annotated[
        bool, typer.Option("--unlike", help="Add `unlike`: whether a text is unlike those of training.")
    ] = False,
    engine: Runtime = "auto",
    precision: Precision = "auto",
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help="Label the I-th of N runs of rows only; joined in order they are the whole, where csv and tsv keep the "
            "header of the first alone.",
        ),
    ] = "1/1",
    start_over: Annotated[
        bool, typer.Option("--start-over", help="Throw away the rows that a stopped job answered for OUT.")
    ] = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Add a label and its score to every row of a file, in order.

    A job that was stopped goes on where it was, when the same command is given again, also with another ending of OUT.
    Another job for OUT is refused meanwhile, unless --start-over throws away what was answered.

    The columns of the rows stay, and by what was learned these come behind them:

    One label a text: `label`, and `score`, its probability from 0 to 1. With --top-k also `label_2`, `score_2` and so
    on, with --all-scores `score:NAME` of each label.

    Several labels: `labels`, those that hold; a list, which in csv, tsv and xlsx is one cell with | between them, and
    may be empty. --top-k and --all-scores add as above.

    A number: `score`, that number.

    Where the rows have a column of such a name already, the new one and its like begin with `predicted_`. A row without
    text gets empty ones.

    Text files are written in UTF-8, csv with commas and tsv with tabs, whatever the input had. Standard output has the
    form of the input where that is csv or tsv, else jsonl.
    """
    from classifine import use
    from classifine.infer.files import PredictOptions
    from classifine.infer.predict import Wanted

    data = build(nested(settings or {})).data
    added = Wanted(top_k, all_scores, accuracy or (0.95 if abstain else None), coverage, unlike)
    options = PredictOptions(added, engine, precision, format, _shard(shard), data, start_over)
    use.predict(model, source, None if output == Path("-") else output, options, _standard_input(), say)


def _standard_input() -> IO[bytes]:
    """The bytes of standard input, with a buffer of their own where it is a real file.

    A thread that still waits in them when we end would hold the lock of `sys.stdin`, and Python aborts on that.
    """
    if sys.stdin is None:  # closed by whoever started us
        return io.BytesIO()
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False)
    except OSError:
        return sys.stdin.buffer


def _shard(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise typer.BadParameter(f"--shard is {text}; expected the number of the part and of all parts, such as 1/4.")
    return int(number), int(parts)


@app.command()
def explain(
    model: AnyModel,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The text; `-` is all of standard input.")],
    text_pair: Annotated[
        str | None, typer.Option("--text-pair", metavar="SECOND", help="The second text of a pair.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The label to explain. [default: what is predicted, of several each]")
    ] = None,
    method: Annotated[
        Literal["gradients", "occlusion"],
        typer.Option(
            help="gradients: integrated gradients, with captum. occlusion: leaves out word by word, slow on long texts."
        ),
    ] = "gradients",
    top_k: Annotated[int, typer.Option(min=1, help="Number of words in the table, strongest first.")] = 10,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page of HTML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a text has its label: how much each word adds to the label's logit.

    A text that is too long for the network is read in windows that overlap, and a word has the mean of its windows; of a
    classifier that was trained with --long windows what it adds to the mean of all.
    """
    from classifine import use
    from classifine.report.explained import show

    if html:
        use.check_page(html)
    found = use.explain_text(model, text, text_pair, label, method, _standard_input())
    if html:
        use.write_page(html, found, top_k)
        say(f"page: {html}")
    if as_json:
        _print_json([one.as_json() for one in found])
    else:
        show(found, sys.stdout, top_k)


@app.command()
def report(
    model: OwnModel,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Page to write. [default: report.html in MODEL]"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that -o names.")] = False,
) -> None:
    """Make the report of a classifier again, from what its folder keeps: one page of HTML that opens offline.

    It quotes rows of your data. What the folder lacks, the page says. With cleanlab (`pip install 'classifine[audit]'`)
    it lists labels of test rows that are probably wrong.
    """
    from classifine import use

    sys.stdout.write(f"{use.report(model, output, overwrite)}\n")


@app.command()
@with_settings(*(name for name in READING if name != "task"), "drop_unseen")
def export(
    model: OwnModel,
    to: Annotated[Literal["openvino", "onnx"], typer.Option(help="What shall run it.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit whole numbers: smaller and faster, and scored on validation rows.")
    ] = False,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DATA", help="Validation rows for --int8. [default: those of training]"),
    ] = None,
    max_drop: Annotated[float, typer.Option(min=0, help="Points that --int8 may lose on validation rows.")] = 0.5,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace such an export that is there.")] = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Write a classifier for OpenVINO or ONNX Runtime beside its weights; `predict` then uses it by itself."""
    from classifine import use
    from classifine.report.exported import ExportWish

    given = build(merge({"data": {"source": data}} if data else {}, nested(settings or {}))).data
    sys.stdout.write(f"{use.export(model, to, ExportWish(int8, max_drop, overwrite, given), say)}\n")


@app.command()
@with_settings(*(setting for setting in TRAINING if setting not in (*CHECKING, "language", "test_share", *HUB)))
def glue(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="TASK|RUN.TOML|submit",
            help="cola, mnli, mnli-mm, mrpc, qnli, qqp, rte, sst2, stsb or wnli; or a file of settings for one.",
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="For submit: folder with a classifier for each task.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--data", metavar="DIR", help="Folder that holds GLUE's files. [default: the Hub]")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every task that is found in --data.")] = False,
    start: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Start from this classifier, such as one of mnli.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder, or zip of the submission. [default: runs/glue]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace classifiers that are there.")] = False,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Find everything out and print the plan of TASK; train nothing.")
    ] = False,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Train a task of GLUE and judge it on its validation rows; or write the leaderboard's submission."""
    from classifine import glue as tasks
    from classifine.data.glue import task_named

    if name == "submit":
        files = tasks.submit(folder or Path("runs/glue"), source, output or Path("submission.zip"), say)
        sys.stdout.write(f"{output or 'submission.zip'}: {', '.join(files)}\n")
        return
    if (name is None) == (not every) or folder is not None or (every and (source is None or dry)):
        raise typer.BadParameter("Name one TASK, or --all with --data DIR, or submit DIR.")
    given = merge(nested(settings or {}), {"model": {"base": start}} if start else {})
    if str(name).endswith(".toml"):
        config = build(merge(load_toml(Path(str(name))), given))
        name = tasks.task_of(config, Path(str(name)))
    else:
        config = build(given)
    if dry:
        _print_plan(tasks.plan_task(str(name), source, config, say), as_json)
        return
    if every:
        found = tasks.train_all(str(source), config, output or Path("runs/glue"), overwrite, say)
    else:
        place = output or Path("runs/glue") / task_named(str(name)).name
        found = [tasks.train_task(str(name), source, config, place, overwrite, say)]
    if as_json:
        _print_json([score.as_json() for score in found])
    else:
        sys.stdout.write("".join(line + "\n" for line in tasks.table(found)))


@app.command()
@with_settings(*CHECKING, "language", "base", "epochs")
def init(
    path: Annotated[Path, typer.Argument(metavar="[RUN.TOML]", help="File of settings to write.")] = Path("run.toml"),
    data: Annotated[str | None, typer.Option("--data", metavar="DATA", help="Labelled texts; asked for.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Ask a few questions, look at the data, and write a commented file of settings for `train`."""
    from classifine.init import start

    def ask(question: str, default: str) -> str:
        return str(typer.prompt(question, default=default or None, err=True)).strip()

    given = {**(settings or {}), **({"source": data} if data else {})}
    written = start(path, given, overwrite, ask if sys.stdin.isatty() else None, say)
    sys.stdout.write(f"{written}\n")


@app.command()
@with_settings(
    "text", "text_pair", "encoding", "delimiter", "sheet", "language", "base", "max_length", "epochs", "batch_size",
    "learning_rate", "precision", "seed",
)  # fmt: skip
def adapt(
    texts: FilesOfTexts,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the adapted base.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the adapted base that is in that folder.")
    ] = False,
    mask_share: Annotated[float, typer.Option(min=0.01, max=0.9, help="Share of the tokens to guess.")] = 0.15,
    held_out: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of the texts to judge each epoch by; 2000 at most.")
    ] = 0.05,
    max_rows: MostTexts = None,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Teach a base model the words of your own texts, before `train`; no labels are needed.

    It goes on with what base models were pre-trained on: guessing tokens that are masked. That helps most where the
    texts are unlike what it has read, and there are many more of them than labels.

        classifine adapt letters.txt -o bases/letters

        classifine train labelled.csv --base bases/letters

    Files may be of any form that `train` reads, and columns are found as there (of a pair each text counts as one);
    labels are ignored. Empty texts and exact copies are left out. The base is the one that `train` would choose, and
    the epoch that guesses best on the texts held out is kept.
    """
    from classifine import adapt as adapting

    config = build(nested(settings or {}))
    options = adapting.AdaptOptions(mask_share, held_out, max_rows)
    record = adapting.adapt(texts, config, options, output, overwrite, say)
    if as_json:
        _print_json({"folder": str(output), **record})
    else:
        sys.stdout.write(f"{output}\n")


@app.command()
@with_settings(
    "test", "text", "text_pair", "label", "label_separator", "encoding", "delimiter", "sheet", "language", "base", "max_length",
    "epochs", "batch_size", "learning_rate", "head_rate", "precision", "seed",
)  # fmt: skip
def distill(
    teacher: Annotated[
        Path, typer.Argument(metavar="TEACHER", help="Folder that `train` wrote, or OWNER/NAME on the Hub.")
    ],
    texts: FilesOfTexts,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the student.")],
    more: Annotated[
        list[Path] | None,
        typer.Option("--teacher", metavar="MODEL", help="Another teacher; the mean of the logits of all is taught."),
    ] = None,
    static: Annotated[
        bool, typer.Option("--static", help="The same as --base static: a vector for each word, and no encoder.")
    ] = False,
    temperature: Annotated[
        float,
        typer.Option(
            min=0.1, max=100, help="What softens the teacher's answers; higher shows more of the lesser labels."
        ),
    ] = 2.0,
    held_out: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Share of the texts to judge each epoch by; 2000 at most.")
    ] = 0.1,
    max_rows: MostTexts = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the classifier that is in that folder.")
    ] = False,
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Teach a small and fast classifier what a big one knows, on texts without labels.

        classifine distill runs/big texts.txt --base sentence-transformers/all-MiniLM-L6-v2 -o runs/small

        classifine distill runs/big texts.txt --static --test labelled.csv -o runs/fast

    The student learns the teacher's answers to the texts, and how sure of them it is; of several teachers the mean. It is
    a classifier as any other, with the teacher's labels. A static student has no encoder, but a vector for each word: it
    is for very many rows, and for single texts.

    Files may be of any form that `train` reads; labels in them are ignored, empty texts and exact copies left out. The
    epoch that is nearest to the teacher on the texts held out is kept. Without --test all that is known of a student is
    how often it agrees with its teacher, not how often it is right.
    """
    from classifine import distill as distilling

    given = nested({**(settings or {}), **({"base": "static"} if static else {})})
    options = distilling.DistillOptions(temperature, held_out, max_rows)
    record = distilling.distill([teacher, *(more or [])], texts, build(given), options, output, overwrite, say)
    if as_json:
        _print_json({"folder": str(output), **record})
    else:
        sys.stdout.write(f"{output}\n")


@app.command("fill-mask")
def fill_mask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text with [MASK] in the place of a word.")],
    base: Annotated[str, typer.Option(help="Pre-trained encoder: a folder or a Hub id.")] = "FacebookAI/roberta-base",
    top_k: Annotated[int, typer.Option(min=1, help="Number of tokens, best first.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Say what a base model already knows: the tokens that it would put in the place of the mask."""
    from classifine.infer import fill
    from classifine.model.base import find_base

    found = fill.fill_mask(text, find_base(base), top_k)
    if as_json:
        _print_json([[guess.as_json() for guess in guesses] for guesses in found])
        return
    for number, guesses in enumerate(found, 1):
        if len(found) > 1:
            sys.stdout.write(f"mask {number}\n")
        for guess in guesses:
            sys.stdout.write(f"{guess.token:20} {guess.id:7} {guess.score:.4f}\n")


@app.command()
def login() -> None:
    """Keep a token for the Hub on this machine; asked for without showing it, or read from standard input."""
    from classifine import publish

    if sys.stdin.isatty():
        token = str(typer.prompt("Token for the Hub", hide_input=True, err=True))
    else:
        token = sys.stdin.readline()
    say(f"logged in as {publish.login(token)}")


@app.command("publish")
def publish_model(
    model: OwnModel,
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub, made if need be.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    license: Annotated[str | None, typer.Option(help="Licence for the card, such as apache-2.0 or mit.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="List the files and publish nothing.")] = False,
) -> None:
    """Publish a classifier on the Hub with its card, and fetch it back to see that it gives the same answers."""
    from classifine import publish

    if dry:
        sys.stdout.write("".join(f"{line}\n" for line in publish.file_lines(model, repository)))
        return
    sys.stdout.write(f"{publish.publish(model, publish.Target(repository, private, license), say).url}\n")


def configure(data: str, flags: dict[str, Any], assignments: list[str]) -> Config:
    """Defaults < TOML file < `--set` and flags, checked; ConfigError lists every mistake."""
    layers = [load_toml(Path(data))] if data.endswith(".toml") else [{"data": {"source": data}}]
    return build(merge(*layers, *map(parse_assignment, assignments), nested(flags)))


def _print_plan(plan: Any, as_json: bool) -> None:
    if as_json:
        _print_json(plan.as_json())
    else:
        sys.stdout.write("".join(line + "\n" for line in plan.lines()))


def _print_json(content: Any) -> None:
    from classifine.model.folder import json_text

    sys.stdout.write(json_text(content, indent=2) + "\n")


def main() -> None:
    """Run the command line and end the process with its exit code."""
    # A batch system's way to stop us; like Ctrl-C it must leave nothing half-written.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    try:
        app()
    except ClassifineError as error:
        for line in str(error).splitlines():
            say(f"classifine: {line}")
        sys.exit(1)
