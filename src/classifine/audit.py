"""Faults in labelled rows, found and mended: `audit` lists them, somebody reviews the list, `apply` follows it.

Each function is one command. What people should read goes to `say`; nothing here prints.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from classifine.config import Config
from classifine.data.cells import Cells, cells_of
from classifine.data.formats import Table, form_of
from classifine.data.language import find_language
from classifine.data.read import read_splits, split_of, tables_of
from classifine.data.review import Review, read_review, reviewed_rows
from classifine.data.write import check_target, output_form, write_rows
from classifine.errors import ConfigError, DataError, OutputError
from classifine.model.base import choose_base
from classifine.model.disk import workplace
from classifine.report import audit as report
from classifine.report.audit import Audit, Rows
from classifine.report.curve import FEWEST
from classifine.say import Say
from classifine.windows import Long, check_long

PACKAGES = ("cleanlab", "datasketch")


def audit(config: Config, output: Path, overwrite: bool, curve: bool, say: Say) -> Audit:
    """Write the probable faults of labelled rows to `output`, worst first, and give them back; trains no network.

    With `curve` it also estimates what more labels would bring. Raises a ClassifineError where packages are missing,
    the data or the base cannot be read, or `output` cannot be written.
    """
    _check_packages()
    _check_list(output, config, overwrite)
    check_long(config.model)
    found = read_splits(config.data)
    for note in found.notes:
        say(f"data    {note}")
    rows = Rows.of(found)
    texts = rows.texts
    if len(texts) < 2:
        raise DataError(f"{found.train.source} has fewer than two rows with a text; expected more. Check --text.")
    # Loading torch takes seconds, and what is wrong with the data was told without it.
    from classifine.infer.embed import embed
    from classifine.train.hardware import look_at_hardware

    language = find_language(found.train, config.data.language)
    # The sentence encoder that suits a processor sums up texts better than larger bases that were not taught to.
    base, why = choose_base(config.model.base, language.only, "cpu")
    say(f"base    {why or base.name} (--base changes it)")
    hardware = look_at_hardware()
    precision = "bf16" if config.train.precision != "float32" and hardware.bf16 else "float32"
    say(f"reading {len(texts)} texts as vectors, {precision} on the {hardware.device}")
    long = Long(config.model.long, config.model.stride)
    vectors = embed(texts, base, base.max_length(config.model.max_length), precision, long)
    result = report.audit(rows, vectors, curve, config.train.seed)
    if curve and result.curve is None:
        say(f"no learning curve: it takes {FEWEST} rows with labels")
    rows_out = (finding.as_row() for finding in result.findings)
    write_rows(rows_out, output, output_form(output), columns=report.COLUMNS)
    say(f"written {output}: {len(result.findings)} lines to work through, worst first")
    return result


def apply(config: Config, reviewed: Path, output: Path, overwrite: bool, say: Say) -> Path:
    """Write the data with the actions of a reviewed list to `output`, which `train` takes; the data stays as it is.

    One file becomes a file, several splits a folder with a file for each. Raises DataError for a list that cannot be
    followed, OutputError where `output` cannot be written or is the data itself.
    """
    found, tables = read_splits(config.data), tables_of(config.data)
    alone = len(tables) == 1 and not (config.data.source and Path(config.data.source).is_dir())
    _check_cleaned(output, [reviewed, *_files(tables)], alone, overwrite)
    forms = {name: output_form(output) if alone else _form(parts[0]) for name, parts in tables.items()}
    cells = cells_of(tables, found.columns, forms)
    review = read_review(reviewed, found, Rows.of(found).labels, cells)
    if alone:
        count = _write("train", tables["train"], cells["train"], review, output)
    else:
        with workplace(output) as place:
            count = sum(
                _write(name, parts, cells[name], review, place / f"{name}.{forms[name]}")
                for name, parts in tables.items()
            )
    say(f"{len(review.dropped)} rows dropped, {len(review.relabelled)} labelled anew, {count} written")
    return output


def _check_packages() -> None:
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"`classifine audit` needs {name}, which is not installed: pip install 'classifine[audit]'."
            )


def _check_list(output: Path, config: Config, overwrite: bool) -> None:
    check_target(output)
    # Some forms are read whole to be opened, so they are looked at only where there is something to replace.
    read = _files(tables_of(config.data)) if output.exists() else []
    if same := [path for path in read if path.exists() and path.samefile(output)]:
        raise OutputError(f"{output} would replace {same[0]}, which is read. Give another name with -o.")
    # It may hold an afternoon of somebody's decisions.
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already. Give another file with -o, or replace it with --overwrite.")


def _check_cleaned(output: Path, read: list[Path], alone: bool, overwrite: bool) -> None:
    if alone:
        check_target(output)
    elif output.suffix:
        raise OutputError(
            f"{output} would be a file, and the data has several splits. Give the name of a folder by -o."
        )
    inside = [
        path for path in read if path.exists() and (output == path or path.resolve().is_relative_to(output.resolve()))
    ]
    if inside:
        raise OutputError(f"{output} would replace {inside[0]}, which is read. Give another name with -o.")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already. Give another name with -o, or replace it with --overwrite.")
    if output.exists() and not alone:
        _check_replaced(output)


def _check_replaced(folder: Path) -> None:
    """OutputError where `folder`, which is replaced as a whole, holds more than a former run wrote."""
    others = [] if folder.is_file() else [i.name for i in folder.iterdir() if not (i.is_file() and split_of(i))]
    if folder.is_file() or others:
        found = f"it holds {min(others)}" if others else "it is a file"
        raise OutputError(
            f"{folder} is not replaced: {found}; expected a folder with nothing but files of splits, such as train.csv. "
            "Give another name with -o."
        )


def _files(tables: dict[str, list[Table]]) -> list[Path]:
    return [Path(part.name) for parts in tables.values() for part in parts]


def _write(name: str, parts: Sequence[Table], cells: Cells, review: Review, path: Path) -> int:
    """Write the split `name` to `path`, with the columns and their types that it had; the number of rows written."""
    types = cells.types(parts[0].types, review.relabelled.values())
    return write_rows(reviewed_rows(name, parts, cells, review), path, cells.form, types, cells.names)


def _form(table: Table) -> str:
    try:
        return form_of(Path(table.name))
    except DataError:  # rows of the Hub
        return "jsonl"
