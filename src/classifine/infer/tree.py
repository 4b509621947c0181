"""A saved classifier on a folder of files, such as a lake of Parquet: the same files out, in the same folders.

File by file, so that what is finished stays finished: a job that was stopped goes on with the first file that is not, and one that is
given again does those that came or changed.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from classifine.data.formats import FORMS, form_of, unzipped
from classifine.errors import DataError, NoRowsError, OutputError
from classifine.infer.choose import open_engine
from classifine.infer.files import PredictOptions, job_of, predict_file
from classifine.infer.journal import Journal, version_of
from classifine.model.disk import writing
from classifine.model.folder import Saved
from classifine.say import Say

_NAMED = 5  # of the files that are left out


def predict_folder(saved: Saved, source: Path, output: Path, options: PredictOptions, say: Say) -> int:
    """Label the rows of every file below `source` into a file of the same place below `output`; the number of rows.

    A file keeps its form, but lines of text become .jsonl. Names that begin with `.` or `_` are passed over, and a file
    without rows is left out, which is said. `options.shard` (i, n) takes every n-th file from the i-th on, of those that
    are there when it begins: what comes between the starts of two shards is done when all are given again. Raises
    DataError where nothing can be read, a form is named or two files would become one, OutputError where `output` cannot
    be written. What was finished stays, and the same call does what came or changed since; another one does all.
    """
    if options.form is not None:
        raise DataError(f"--format is {options.form}; the files of a folder tell theirs by their endings. Drop it.")
    number, parts = options.shard
    every = _files(source, say)
    files, targets = every[number - 1 :: parts], _targets(every)
    _check(source, output)
    engine = open_engine(saved, options.engine, options.precision)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    job = job_of(saved, engine, [str(source.absolute())], options, None)
    # Such a name is passed over, so that no file of rows can have it.
    journal = Journal(output / f"_job-{number}-of-{parts}", job, 1, options.start_over, outlives=True)
    own = replace(options, shard=(1, 1), of_folder=True)
    with closing(journal):
        # What was read and what was written by it: another job may have written there since, or a person.
        kept = {(*read, *written): rows for read, rows, written in journal.before()}
        states = {file: (str(file), *version_of(source / file)) for file in files}
        left = {file: (*states[file], *_left(output / targets[file])) for file in files}
        done: dict[Path, int] = {file: kept[state] for file, state in left.items() if state in kept}
        if done:
            say(f"goes on after {len(done)} of {len(files)} files that were finished before")
        count, ended = sum(done.values()), len(done)
        try:
            for place, file in enumerate(files, 1):
                if file in done:
                    continue
                say(f"file {place} of {len(files)}: {file}")
                try:
                    rows = predict_file(saved, str(source / file), output / targets[file], own, BytesIO(), say, engine)
                except NoRowsError:
                    say(f"{file} holds no rows, and is left out")
                    continue
                journal.add([[states[file], rows, _left(output / targets[file])]])
                count, ended = count + rows, ended + 1
        except BaseException:
            if ended:
                say(f"{ended} of {len(files)} files are finished. The same command goes on from there.")
            raise
        journal.end()
    say(f"{count} rows of {len(files)} files, in {output}")
    return count


def _left(target: Path) -> list[int]:
    """What tells a file that was written from what becomes of it; nothing where it is gone."""
    return version_of(target) if target.exists() else []


def _files(source: Path, say: Say) -> list[Path]:
    """The files of rows below a folder, relative to it, in the order of their names."""
    try:
        seen = sorted(item.relative_to(source) for item in _below(source, frozenset((source.resolve(),))))
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}. Check the permissions.") from None
    files = [item for item in seen if _readable(item)]
    if not files:
        raise DataError(f"{source} holds no files of rows; expected such as end in {', '.join(FORMS)}. Give another.")
    if others := [str(item) for item in seen if not _readable(item)]:
        more = " and others" * (len(others) > _NAMED)
        say(f"{source}: {len(others)} files of other kinds are left out: {', '.join(others[:_NAMED])}{more}")
    return files


def _below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """Every file of a folder and of those in it, also where they are links, but for a link to one of those `above` it."""
    for item in folder.iterdir():
        if item.name[0] in "._":
            continue
        if item.is_file():
            yield item
        elif item.is_dir() and (real := item.resolve()) not in above:
            yield from _below(item, above | {real})


def _readable(file: Path) -> bool:
    try:
        form_of(file)
    except DataError:
        return False
    return True


def _targets(files: list[Path]) -> dict[Path, Path]:
    """Where each file goes; DataError where two would go to one."""
    found = {file: _as_jsonl(file) for file in files}
    taken: dict[Path, Path] = {}
    for file, target in found.items():
        other = taken.setdefault(target, file)
        if other != file:
            raise DataError(f"{other} and {file} would both become {target}. Rename one of them.")
    return found


def _as_jsonl(file: Path) -> Path:
    """A file of plain lines has no room for labels."""
    bare = unzipped(file)
    return file.with_name(f"{bare.stem}.jsonl{file.name[len(bare.name) :]}") if bare.suffix.lower() == ".txt" else file


def _check(source: Path, output: Path) -> None:
    """OutputError, before any work is done, where the outputs would be no folder or lie among the inputs."""
    if output.exists() and not output.is_dir():
        raise OutputError(f"{source} is a folder, so -o should be one; {output} is a file. Change -o.")
    inside = output.resolve()
    if source.resolve() in (inside, *inside.parents):
        raise OutputError(f"{output} lies in {source}, whose files are read. Change -o.")
