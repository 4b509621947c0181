"""Commands that use what was trained, or a base: evaluate, compare, predict, explain, report, export, fill-mask."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from classifine.cli.flags import (
    AS_TRAINED,
    JUDGING,
    AnyModel,
    AsJson,
    OwnModel,
    Precision,
    Runtime,
    configure,
    with_settings,
)
from classifine.cli.streams import answer, print_json, say, standard_input
from classifine.config import build
from classifine.errors import ConfigError
from classifine.settings import merge, nested


@with_settings(*JUDGING, text=AS_TRAINED)
def evaluate(
    model: AnyModel,
    data: Annotated[str, typer.Argument(metavar="DATA", help="Labelled texts; of a folder its test file.")],
    engine: Runtime = "auto",
    precision: Precision = "auto",
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Judge a classifier on labelled texts."""
    config = configure(data, settings or {}, [])
    from classifine import use
    from classifine.report.text import evaluation_lines

    result = use.evaluate_saved(model, config.data, engine, precision, say)
    answer(as_json, result.as_json(), evaluation_lines(result))


@with_settings(*JUDGING, text=AS_TRAINED)
def compare(
    first: Annotated[Path, typer.Argument(metavar="MODEL_A", help="Folder that `train` wrote, or OWNER/NAME.")],
    second: Annotated[Path, typer.Argument(metavar="MODEL_B", help="The one to compare with it.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="Labelled texts; of a folder its test file.")],
    as_json: AsJson = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Say which of two classifiers is better, if any is.

    On labelled texts, with how sure they make it; few rows cannot tell.
    """
    config = configure(data, settings or {}, [])
    from classifine import use

    found = use.compare_saved(first, second, config.data, say)
    answer(as_json, found.as_json(), found.lines())


@with_settings("text", "text_pair", "encoding", "delimiter", "sheet", text=AS_TRAINED)
def predict(
    model: AnyModel,
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="File with texts, or folder of such; `-` is standard input.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="File to write; its ending is its form. Of a folder a folder. [default: standard output]",
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
            "header of the first alone. Of a folder every N-th file, which should not change between the starts of the parts.",
        ),
    ] = "1/1",
    start_over: Annotated[
        bool, typer.Option("--start-over", help="Throw away the rows that a stopped job answered for OUT.")
    ] = False,
    settings: dict[str, Any] | None = None,
) -> None:
    """Add a label and its score to every row of a file.

    A job that was stopped goes on where it was, when the same command is given again, also with another ending of OUT.
    Another job for OUT is refused meanwhile, unless --start-over throws away what was answered.

    A folder, such as one of Parquet, is labelled file by file into a folder of the same files, also those in folders
    below it; names that begin with . or _ are passed over. What is finished is not done again when the same
    command is given again, but files that came or changed are.

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
    use.predict(model, source, None if output == Path("-") else output, options, standard_input(), say)


def _shard(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise ConfigError(f"--shard is {text}; expected the number of the part and of all parts, such as 1/4.")
    return int(number), int(parts)


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
            help="gradients: integrated gradients, with captum. occlusion: leaves out word by word. Both take seconds for a "
            "window of a long text, and say how far they are."
        ),
    ] = "gradients",
    top_k: Annotated[int, typer.Option(min=1, help="Number of words in the table, strongest first.")] = 10,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write a page of HTML.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say why a text has its label, word by word.

    Each word with what it adds to the label's logit.

    A text that is too long for the network is read in windows that overlap, and a word has the mean of its windows; of a
    classifier that was trained with --long windows what it adds to the mean of all.
    """
    from classifine import use
    from classifine.report.explained import show

    if html:
        use.check_page(html)
    found = use.explain_text(model, text, text_pair, label, method, standard_input(), say)
    if html:
        use.write_page(html, found, top_k)
        say(f"page: {html}")
    if as_json:
        print_json([one.as_json() for one in found])
    else:
        show(found, sys.stdout, top_k)


def report(
    model: OwnModel,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Page to write. [default: report.html in MODEL]"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that -o names.")] = False,
) -> None:
    """Make the report of a classifier again.

    From what its folder keeps: one page of HTML that opens offline. It quotes rows of your data. What the folder lacks, the page says. With cleanlab (`pip install 'classifine[audit]'`)
    it lists labels of test rows that are probably wrong.
    """
    from classifine import use

    sys.stdout.write(f"{use.report(model, output, overwrite)}\n")


@with_settings(*JUDGING, text=AS_TRAINED)
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
    """Write a classifier for OpenVINO or ONNX Runtime.

    It stands beside the weights, and on a processor `predict` then uses it.
    """
    from classifine import use
    from classifine.report.exported import ExportWish

    if not int8 and (data or max_drop != ExportWish.max_drop):
        raise ConfigError(f"{'--data' if data else '--max-drop'} is for --int8. Add --int8, or leave it out.")
    given = build(merge({"data": {"source": data}} if data else {}, nested(settings or {}))).data
    wish = ExportWish(int8, max_drop, overwrite, given)
    sys.stdout.write(f"{use.export(model, to, wish, say)}\n")


def fill_mask(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A text with [MASK] in the place of a word.")],
    base: Annotated[str, typer.Option(help="Pre-trained encoder: a folder or a Hub id.")] = "FacebookAI/roberta-base",
    top_k: Annotated[int, typer.Option(min=1, help="Number of tokens, best first.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Fill the mask in a text: what a base model knows."""
    from classifine.infer import fill
    from classifine.model.base import find_base

    found = fill.fill_mask(text, find_base(base), top_k)
    if as_json:
        print_json([[guess.as_json() for guess in guesses] for guesses in found])
        return
    for number, guesses in enumerate(found, 1):
        if len(found) > 1:
            sys.stdout.write(f"mask {number}\n")
        for guess in guesses:
            sys.stdout.write(f"{guess.token:20} {guess.id:7} {guess.score:.4f}\n")
