"""The guided start: look at the data, ask what is not certain, write a commented file of settings.

What was found stands as the default of each question; without somebody to ask, the defaults are taken.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifine.config import Config, build
from classifine.data.language import Language, find_language
from classifine.data.read import Splits, read_splits
from classifine.errors import ClassifineError, ConfigError, OutputError
from classifine.labels import Task
from classifine.say import Say
from classifine.settings import load_toml, nested, placed, starter

# (question, default) -> answer; None where nobody can be asked.
Ask = Callable[[str, str], str]
IN_WORDS: dict[Task, str] = {"single": "choose", "multi": "decide", "score": "score"}
_SHOWN = 12  # labels that are named in the question about them


@dataclass(frozen=True)
class _Found:
    splits: Splits
    language: Language

    @property
    def labels(self) -> str:
        if self.splits.task == "score":
            scores = [score for score in self.splits.train.labels if score is not None]
            return f"numbers from {min(scores):g} to {max(scores):g}" if scores else "no numbers"
        names = self.splits.label_set.names
        return f"{len(names)} labels: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"


def start(path: Path, settings: dict[str, Any], overwrite: bool, ask: Ask | None, say: Say) -> Path:
    """Write a file of settings to `path` from flags, answers and what is in the data; nothing is trained.

    Raises ConfigError where the data is not named and nobody can be asked, OutputError where the file exists or
    cannot be written.
    """
    if path.suffix != ".toml":
        raise ConfigError(f"{path} should end in .toml, as `classifine train` expects it. Change the name.")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already. Give another name, or replace it with --overwrite.")
    chosen = dict(settings)
    found = _look(chosen, ask, say) if "source" in chosen else _asked(chosen, ask, say)
    if ask is None:
        for line in _in_words(found):
            say(f"data    {line}")
    found = _columns(chosen, found, ask, say)
    if ask is not None and "language" not in chosen:
        _language(chosen, found, ask, say)
    columns = found.splits.columns
    known = {"text": list(columns.text), "label": list(columns.indicators) or columns.label, "task": columns.task}
    known |= {"text_pair": columns.pair, "label_separator": columns.separator, **chosen}
    given = nested({name: value for name, value in known.items() if value is not None})
    text = starter(placed(given, path.absolute().parent))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}. Change its name.") from None
    build(load_toml(path))
    return path


def _language(chosen: dict[str, Any], found: _Found, ask: Ask, say: Say) -> None:
    """The language, where it is another than was told; what is none is said, and asked again."""
    while True:
        answer = ask("Which language are the texts in? (code or English name)", _language_of(found.language))
        if answer in ("", _language_of(found.language)):
            return
        try:
            find_language(found.splits.train, answer)
        except ClassifineError as error:
            say(str(error))
        else:
            chosen["language"] = answer
            return


def _asked(chosen: dict[str, Any], ask: Ask | None, say: Say) -> _Found:
    """What is in the data that somebody names; where it cannot be read, they are told and asked again."""
    if ask is None:
        raise ConfigError("No data is named, and there is no terminal to ask on. Name it with --data FILE.")
    while True:
        tried = {**chosen, "source": ask("Which file or folder holds the labelled texts?", "")}
        try:
            found = _look(tried, ask, say)
        except ClassifineError as error:
            # What a flag names is for the one who gave it.
            if not tried["source"] or any(f"--{name.replace('_', '-')}" in str(error) for name in chosen):
                raise
            say(str(error))
        else:
            chosen.update(tried)
            return found


def _in_words(found: _Found) -> Iterator[str]:
    """What was found, for somebody who is asked nothing: each with the flag that changes it."""
    yield from found.splits.notes  # the columns among them, where they were not given
    yield f"task: {found.splits.task}, {found.labels} (--task changes it)"
    yield f"language: {found.language}"


def _look(chosen: dict[str, Any], ask: Ask | None, say: Say) -> _Found:
    """What is in the data; where a question of columns is open and somebody can be asked, it is asked."""
    config: Config = build(nested(chosen))
    try:
        splits = read_splits(config.data)
    except ClassifineError as error:
        # Only what was left open is asked; a flag that is wrong is for the one who gave it.
        flag = next((name for name in ("text", "label") if re.search(f"--{name}(?![-\\w])", str(error))), None)
        if ask is None or flag is None or flag in chosen:
            raise
        say(str(error))
        chosen[flag] = ask(f"Which column holds the {flag}?", "")
        return _look(chosen, ask, say)
    return _Found(splits, find_language(splits.train, config.data.language))


def _columns(chosen: dict[str, Any], found: _Found, ask: Ask | None, say: Say) -> _Found:
    if ask is None:
        return found
    while True:
        columns = found.splits.columns
        before = dict(chosen)
        if "text" not in chosen:
            _take(
                chosen,
                "text",
                ask("Which column holds the texts? (two with a comma)", ", ".join(columns.text)),
                ", ".join(columns.text),
            )
        if "label" not in chosen:
            label = ", ".join(columns.indicators) or str(columns.label)
            _take(chosen, "label", ask("Which column holds the labels?", label), label)
        if "task" not in chosen:
            words = "choose one label a text, decide on each of several, or give a score?"
            answer = ask(f"Shall it {words} (choose, decide, score)", IN_WORDS[columns.task])
            task = next((task for task, word in IN_WORDS.items() if word == answer or task == answer), None)
            if task is None:
                say(f"'{answer}' is none of choose, decide, score.")
                continue
            if task != columns.task:
                chosen["task"] = task
        if chosen != before:
            try:
                found = _look(chosen, ask, say)
            except ClassifineError as error:
                # An answer that does not do is for the one who gave it, who is still there.
                say(str(error))
                chosen.clear()
                chosen.update(before)
                continue
        if ask(f"It has {found.labels}. Is that right? (yes, no)", "yes").lower().startswith("y"):
            return found
        for name in ("label", "task"):
            chosen.pop(name, None)


def _take(chosen: dict[str, Any], name: str, answer: str, default: str) -> None:
    if answer != default:
        chosen[name] = [part.strip() for part in answer.split(",")]


def _language_of(language: Language) -> str:
    return "a mixture" if language.mixed else language.code or "unknown"
