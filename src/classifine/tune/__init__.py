"""A search for better settings than the default recipe's: trials, the comparison of the best with the default, the folder.

Trials choose by validation rows, which are the same for all of them; test rows have no part before the choice is made.
What people should read goes to `say`; nothing here prints.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from classifine import run
from classifine.config import Config
from classifine.model.disk import alone, writing
from classifine.model.folder import RECORD, check_output
from classifine.say import Say
from classifine.train.study import Study, check_tuning
from classifine.tune.finals import choose
from classifine.tune.result import Tuned, keep
from classifine.tune.trials import search
from classifine.tune.work import STUDY, TRIALS, Work, prepared, wished


def tune(config: Config, output: Path | None, overwrite: bool, say: Say) -> Tuned:
    """Labelled texts in, the best classifier that a search finds in a folder out, or the default one's.

    Raises a ClassifineError, and begins nothing, where settings, data, bases or output do not do, or where the folder
    holds another search that was not finished. After KeyboardInterrupt the same call goes on.
    """
    check_tuning()
    config = wished(config, say)
    folder = output or run.free_folder(str(config.data.source), "-tuned", unfinished)
    if overwrite or not unfinished(folder):
        # An empty one is what an interruption before the first trial leaves.
        empty = folder.is_dir() and not any(folder.iterdir())
        check_output(folder, overwrite or empty, record=STUDY if unfinished(folder) else RECORD)
    work = prepared(config, folder, say)
    busy = f"Another process is searching in {folder}. Wait for it to end, or change -o."
    place = folder.resolve()  # a link to it stays
    if overwrite and folder.exists():
        with writing(folder), alone(folder, busy):
            shutil.rmtree(place)
    with writing(folder):
        place.mkdir(parents=True, exist_ok=True)
    with alone(folder, busy), _told_how_to_go_on(work, overwrite):
        with Study(folder / STUDY, work.space, work.job, work.sign < 0, config.train.seed) as study:
            search(work, study)
            trials, importances = study.trials(), study.importances()
        outcome = choose(work, trials)
        return keep(work, outcome, trials, importances)


def unfinished(folder: Path) -> bool:
    """Whether a folder holds a search that was not finished."""
    return (folder / STUDY).is_file() and not (folder / RECORD).exists()


@contextlib.contextmanager
def _told_how_to_go_on(work: Work, overwrite: bool) -> Iterator[None]:
    """An interruption that says what is kept, and how to go on: `overwrite` would begin anew."""
    try:
        yield
    except KeyboardInterrupt as stopped:
        file = work.folder / TRIALS
        done = len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
        same = f"the same command{' without --overwrite' * overwrite}"
        raise type(stopped)(
            f"stopped after {done} of {work.config.search.trials} trials, kept in {work.folder}; {same} goes on from there."
        ) from None
