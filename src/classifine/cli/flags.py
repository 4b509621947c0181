"""The flags that commands share, and one for each setting of `config`; out of them the settings of a run."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from classifine.config import Config, build, options
from classifine.settings import load_toml, merge, nested, parse_assignment

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
JUDGING = (*(name for name in READING if name != "task"), "drop_unseen")
# What a classifier was trained on is known.
AS_TRAINED = "Column with the text, twice to join two; that of training, else found by name and content."
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
ReplaceClassifier = Annotated[bool, typer.Option("--overwrite", help="Replace the classifier that is in that folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON on standard output.")]


def with_settings(*wanted: str, **told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a flag for each of the settings; the command receives those that were given as one dictionary, `settings`.

    `told` is the help of those that mean less, or another thing, to this command than to `train`.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        fields = {name: field for _, name, field in options() if name in wanted}
        own = inspect.signature(command).parameters

        @functools.wraps(command)
        def wrapped(**values: Any) -> None:
            given = {name: values.pop(name) for name in fields if name in values}
            # A flag that was not given is None, or an empty list where it may be repeated.
            command(**values, settings={name: value for name, value in given.items() if value not in (None, [])})

        parameters = [parameter for name, parameter in own.items() if name != "settings"]
        parameters += [_flag(name, field, told.get(name)) for name, field in fields.items() if name not in own]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return wrapped

    return decorate


def _flag(name: str, field: Any, told: str | None = None) -> inspect.Parameter:
    on = field.default is True
    quiet = on or field.default in (None, (), False)
    text = told or (field.description if quiet else f"{field.description} [default: {field.default}]")
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


def configure(data: str, flags: dict[str, Any], assignments: list[str]) -> Config:
    """Defaults < TOML file < `--set` and flags, checked; ConfigError lists every mistake."""
    layers = [load_toml(Path(data))] if data.endswith(".toml") else [{"data": {"source": data}}]
    return build(merge(*layers, *map(parse_assignment, assignments), nested(flags)))
