"""Which columns hold the texts and the labels, and what is asked of a text, by names and by what is in the columns.

It sees a sample of rows and answers with column names; where two choices are equally good it asks, by naming the
flag that decides. It knows nothing about files.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from classifine.config import Data
from classifine.data.facts import LABEL_NAMES, TEXT_NAMES, Facts, facts_of
from classifine.data.formats import Row
from classifine.data.lists import WRITTEN, in_brackets, is_clear
from classifine.data.values import check_thousands, is_one, number_of
from classifine.errors import DataError
from classifine.labels import Task, as_name

# A short heading and the body below it are one text: title and description of a news item, subject and body of a mail.
HEADINGS = ("title", "headline", "subject", "heading", "summary")
BODIES = ("description", "text", "body", "content", "abstract", "article", "message", "review")
# Two texts that are judged together.
PAIRS = (
    ("sentence1", "sentence2"), ("question1", "question2"), ("premise", "hypothesis"), ("question", "sentence"),
    ("text", "text_pair"), ("text1", "text2"), ("text_a", "text_b"), ("sentence_a", "sentence_b"),
    ("#1 string", "#2 string"), ("query", "passage"),
)  # fmt: skip
RATING = 5  # different whole numbers from which on they may be a scale, such as 1 to 5
CHANGES_LABEL = " (--label changes it)"


@dataclass(frozen=True)
class Columns:
    """The columns that matter and what is asked.

    The texts of `text` are joined by a space; `pair` holds the second text of a pair. The label is in `label`, several
    of them as a list, one written as text (`separator` is WRITTEN) or parted by `separator`; or each of `indicators` is a
    label with 1 where it holds.
    """

    text: tuple[str, ...]
    label: str | None
    notes: tuple[str, ...] = ()
    pair: str | None = None
    task: Task = "single"
    separator: str | None = None
    indicators: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Where the rows have what, as it stands in records and reports."""
        return {
            "text": list(self.text), "pair": self.pair, "label": self.label, "indicators": list(self.indicators),
            "separator": self.separator,
        }  # fmt: skip

    @classmethod
    def from_json(cls, found: Mapping[str, Any], task: Task) -> "Columns":
        """The columns that a record holds; KeyError or TypeError where it is damaged."""
        indicators = tuple(found["indicators"])
        return cls(tuple(found["text"]), found["label"], (), found["pair"], task, found["separator"], indicators)

    @property
    def needed(self) -> tuple[str, ...]:
        """Every column that is read."""
        return tuple(name for name in (*self.text, self.pair, self.label, *self.indicators) if name)


def find_columns(sample: Sequence[Row], config: Data, source: str) -> Columns:
    """The columns of `sample`, the first rows of `source`, and the task; what `config` names wins over any guess.

    Raises DataError where a given name does not exist, where no column fits, or where two fit equally well.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    pair = [("--text-pair", config.text_pair)] if config.text_pair else []
    for flag, wanted in [*(("--text", n) for n in config.text), *pair, *(("--label", n) for n in config.label)]:
        if wanted not in names:
            raise DataError(f"{source} has no column '{wanted}'.{_offer(wanted, names)} Change {flag}.")
    if len(names) < 2:
        only = f"one column, '{names[0]}'" if names else "no columns"
        raise DataError(
            f"{source} has {only}; expected at least a text and a label column. Check the file and its --delimiter."
        )
    roles = [*config.text, *([config.text_pair] if config.text_pair else []), *config.label]
    twice = next((name for name in roles if roles.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"'{twice}' of {source} is named twice among --text, --text-pair and --label. Name it once.")
    facts = facts_of(sample, names)
    notes: list[str] = []
    given = (*config.text, config.text_pair)
    labels = config.label or _find_label([fact for fact in facts if fact.name not in given], config.task, source, notes)
    rest = [fact for fact in facts if fact.name not in labels]
    text, second = config.text, config.text_pair
    if not text:
        others = [fact for fact in rest if fact.name != second]
        text, second = _find_pair(rest, second, notes) or (_find_text(others, source, notes), second)
    if len(labels) > 1:
        task = _task_of_indicators(sample, labels, config.task, source, notes)
        return Columns(text, None, tuple(notes), second, task, None, labels)
    fact = next(fact for fact in facts if fact.name == labels[0])
    task, separator = _task_of(fact, config.task, config.label_separator, source, notes)
    return Columns(text, fact.name, tuple(notes), second, task, separator)


def find_text(sample: Sequence[Row], text: Sequence[str], source: str, pair: str | None = None) -> tuple[str, ...]:
    """The text columns of rows without labels: those the classifier was trained on, the only one, or a guess.

    The column `pair` has the second text of a pair, so it is not the first.
    """
    names = [name for name in dict.fromkeys(name for row in sample for name in row) if name != pair]
    if not names:
        raise DataError(f"{source} has one column, '{pair}'; expected two texts. Add the other one.")
    if text and all(name in names for name in text):
        return tuple(text)
    if len(names) == 1:
        return (names[0],)
    return _find_text(facts_of(sample, names), source, [])


def find_asked(
    sample: Sequence[Row], names: Sequence[str], wanted: Data, trained: Columns, source: str
) -> tuple[tuple[str, ...], str | None]:
    """(text columns, column of the second text of a pair) of rows with the columns `names`, as a classifier that was
    `trained` on some reads them. DataError where the rows have none, or one text where it takes two.
    """
    for name in wanted.text:
        if name not in names:
            raise DataError(f"{source} has no column '{name}'. It has {', '.join(names)}. Change --text.")
    pair = wanted.text_pair or trained.pair
    if (pair is None) != (trained.pair is None) or (pair is not None and pair not in names):
        raise DataError(unpaired(source, trained.pair, pair, names, wanted))
    if pair in wanted.text:
        raise DataError(f"'{pair}' is both --text and --text-pair; expected two columns. Change one of them.")
    return find_text(sample, wanted.text or trained.text, source, pair), pair


def unpaired(source: str, trained: str | None, pair: str | None, names: Sequence[str], wanted: Data) -> str:
    """Why rows whose second text is in the column `pair`, if they have one, are not what a classifier was `trained` on."""
    if trained is not None:
        return (
            f"{source} has no column '{pair or trained}'; the classifier judges pairs of texts. It has {', '.join(names)}. "
            "Name the second text with --text-pair."
        )
    if wanted.text_pair:
        return f"--text-pair is {pair}, and the classifier judges single texts. Drop --text-pair."
    return (
        f"{source} has pairs of texts, with the second in '{pair}'; the classifier judges single ones. Name the --text."
    )


def find_texts(sample: Sequence[Row], config: Data, source: str) -> tuple[tuple[str, ...], str | None, tuple[str, ...]]:
    """(text columns, column of the second text of a pair, notes) of rows whose labels, if they have any, do not matter.

    Raises DataError as `find_columns` does.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    if names == ["text"]:  # as of plain lines, which have no columns that could be named
        return ("text",), None, ()
    text, second, notes = config.text, config.text_pair, list[str]()
    for flag, wanted in [*(("--text", name) for name in text), *([("--text-pair", second)] if second else [])]:
        if wanted not in names:
            raise DataError(f"{source} has no column '{wanted}'.{_offer(wanted, names)} Change {flag}.")
    if second is not None and second in text:
        raise DataError(f"'{second}' of {source} is named twice among --text and --text-pair. Name it once.")
    if text:
        return text, second, ()
    facts = facts_of(sample, names)
    rest = [fact for fact in facts if not fact.named_label]
    both = _find_pair(rest, second, notes)
    if both is not None:
        return *both, tuple(notes)
    text = _find_text([fact for fact in rest if fact.name != second], source, notes)
    return text, second, tuple(notes)


def _find_label(facts: list[Facts], task: Task | None, source: str, notes: list[str]) -> tuple[str, ...]:
    """The label column, or several columns of 0 and 1 with a label each."""
    named = sorted((fact for fact in facts if fact.named_label), key=lambda f: f.rank(LABEL_NAMES) or 0)
    fitting = [fact for fact in facts if fact.can_be_label or (task == "score" and fact.all_numbers)]
    binary = [fact for fact in fitting if fact.binary]
    if not named and len(binary) > 1 and (len(binary) > 2 or len(binary) == len(fitting)) and task != "score":
        notes.append(f"a label in each of the columns {_quoted(f.name for f in binary)}{CHANGES_LABEL}")
        return tuple(fact.name for fact in binary)
    candidates = named or fitting
    if not candidates:
        raise DataError(
            f"{source} has no column that looks like a label (few distinct values). It has {_quoted(f.name for f in facts)}. Name it with --label."
        )
    best = candidates[0]
    twins = [fact for fact in candidates[1:] if best.same_partition(fact)]
    if not named and len(candidates) > 1 + len(twins):
        raise DataError(
            f"{source} has several columns that could be the label: {_quoted(f.name for f in candidates)}. Name one with --label."
        )
    if not named and best.name in set(map(as_name, best.values)):
        raise DataError(
            f"{source} seems to have no header: its first line holds '{best.name}', which is also a label below it. "
            "Add a line such as text,label, or name the column with --label."
        )
    # Of a number and its name the name is what people want to read.
    best = next((twin for twin in twins if not twin.of_numbers), best) if best.of_numbers else best
    notes.append(f"labels from column '{best.name}'{CHANGES_LABEL}")
    return (best.name,)


def _task_of(
    fact: Facts, task: Task | None, wanted: str | None, source: str, notes: list[str]
) -> tuple[Task, str | None]:
    """(task, what parts the labels of a row) by what is in the label column; DataError where `task` does not fit."""
    if task == "score" or (task is None and not wanted and not fact.whole_numbers):
        check_thousands(fact.values, fact.name, source)
    if task == "score" and not fact.all_numbers:
        word = next(value for value in fact.values if number_of(value) is None)
        raise DataError(
            f"{source} has {word!r} in '{fact.name}'; expected a number, as --task is score. Correct it or --task."
        )
    if task == "single" and fact.lists:
        raise DataError(
            f"{source} has lists in '{fact.name}'; expected one label a row, as --task is single. Drop --task single, "
            "or name a column with one label by --label."
        )
    separator = None
    if task in (None, "multi"):
        if not wanted:
            _check_written(fact, source)
        # Where several labels are asked for, 1,2 is two codes and no decimal number, and [3] a list of one.
        asked = WRITTEN if fact.written else fact.mark
        separator = wanted or (asked if task == "multi" else fact.separator)
    if task == "multi" and not separator and not fact.lists:
        notes.append(f"'{fact.name}' has one label in each row (--label-separator tells what parts several)")
    if task is None and (fact.lists or separator):
        how = "" if fact.lists or separator == WRITTEN else f", parted by '{separator}'"
        notes.append(f"several labels a row{how}: each is decided on its own (--task changes it)")
        return "multi", separator
    if task is None and fact.numbers:
        notes.append(f"'{fact.name}' holds numbers, not classes: a score is learned (--task changes it)")
        return "score", None
    if task is None and fact.whole_numbers and fact.distinct >= RATING:
        notes.append(
            f"'{fact.name}' holds {fact.distinct} different whole numbers, each a class of its own; where more means more, as in a "
            "rating, learn them as a number with --task score"
        )
    return task or "single", separator


def _check_written(fact: Facts, source: str) -> None:
    """DataError where all cells are in brackets and some are lists beyond doubt, but not all of them."""
    found = {value: names for value, names in zip(fact.values, fact.written_lists, strict=True) if in_brackets(value)}
    odd = next((value for value, names in found.items() if names is None), None)
    clear = next((value for value, names in found.items() if is_clear(names)), None)
    if odd is not None and clear is not None and all(map(in_brackets, fact.values)):
        raise DataError(
            f"{source} has {odd[:80]} in '{fact.name}', and lists such as {clear[:80]} beside it; expected names in quotation "
            "marks, or whole numbers, with commas between them. Write it so."
        )


def _task_of_indicators(
    sample: Sequence[Row], labels: Sequence[str], task: Task | None, source: str, notes: list[str]
) -> Task:
    """The task of columns of 0 and 1: single where each row has one 1, else multi."""
    for fact in facts_of(sample, labels):
        if not fact.binary:
            raise DataError(
                f"{source} has other values than 0 and 1 in '{fact.name}'; expected a column for each label. "
                "Name one --label, or only columns of 0 and 1."
            )
    if task == "score":
        raise DataError(f"--task is score, and --label names {len(labels)} columns; expected one. Name one.")
    if task is None and all(sum(is_one(row.get(name)) for name in labels) == 1 for row in sample):
        notes.append("each row has one of these labels, so one is chosen (--task changes it)")
        return "single"
    return task or "multi"


def _find_pair(facts: list[Facts], second: str | None, notes: list[str]) -> tuple[tuple[str, ...], str] | None:
    """((text column,), column of the second text) where two columns are named like the two texts of a pair."""
    by_name = {fact.name.strip().lower(): fact.name for fact in facts if fact.can_be_text}
    for first, other in PAIRS:
        if first in by_name and other in by_name and second in (None, by_name[other]):
            notes.append(
                f"pairs of texts from columns '{by_name[first]}' and '{by_name[other]}' (--text, --text-pair change it)"
            )
            return (by_name[first],), by_name[other]
    return None


def _find_text(facts: list[Facts], source: str, notes: list[str]) -> tuple[str, ...]:
    fitting = [fact for fact in facts if fact.can_be_text]
    by_name = {fact.name.lower(): fact.name for fact in fitting}
    heading = next((by_name[name] for name in HEADINGS if name in by_name), None)
    body = next((by_name[name] for name in BODIES if name in by_name), None)
    if heading and body and heading != body:
        notes.append(f"texts from columns '{heading}' and '{body}', joined (--text changes it)")
        return heading, body
    named = sorted(
        (fact for fact in fitting if fact.rank(TEXT_NAMES) is not None), key=lambda f: f.rank(TEXT_NAMES) or 0
    )
    # Without a telling name the text is the column with the most words, if it is clearly ahead.
    wordy = sorted(fitting, key=lambda fact: -fact.words)
    if not wordy:
        raise DataError(
            f"{source} has no column with texts. It has {_quoted(f.name for f in facts)}. Name it with --text."
        )
    if (
        not named
        and len(wordy) > 1
        and wordy[1].words > 0.5 * wordy[0].words
        and wordy[1].distinct > 0.5 * wordy[0].distinct
    ):
        raise DataError(
            f"{source} has several columns that could be the text: {_quoted(f.name for f in wordy[:4])}. Name one with --text."
        )
    best = (named or wordy)[0]
    notes.append(f"texts from column '{best.name}' (--text changes it)")
    return (best.name,)


def _quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _offer(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=1)
    return f" It has {_quoted(names)}." + (f" Did you mean '{near[0]}'?" if near else "")
