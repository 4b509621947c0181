"""Which column holds the text and which the label, by their names and by what is in them.

It sees a sample of rows and answers with column names; where two choices are equally good it asks, by naming the
flag that decides. It knows nothing about files.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from classifine.data.formats import Row
from classifine.errors import DataError
from classifine.labels import as_name

# Names seen on public sets and in spreadsheets, the surest first; compared in lower case.
TEXT_NAMES = (
    "text", "sentence", "texts", "content", "body", "message", "review", "tweet", "comment", "utterance", "document",
    "description", "review_text", "full_text", "review_body", "abstract", "article", "post", "question", "query",
    "headline", "title", "input", "texte", "kalimat", "satz", "nachricht", "texto", "mensaje",
)  # fmt: skip
LABEL_NAMES = (
    "label", "labels", "label_name", "label_text", "class", "class_name", "category", "categories", "topic", "topics",
    "sentiment", "intent", "emotion", "target", "tag", "stance", "code", "y", "output", "quality", "rating", "stars",
    "kategorie", "klasse", "etiquette", "étiquette", "classe", "categoria", "categoría", "etiqueta", "kategori",
)  # fmt: skip
# A short heading and the body below it are one text: title and description of a news item, subject and body of a mail.
HEADINGS = ("title", "headline", "subject", "heading", "summary")
BODIES = ("description", "text", "body", "content", "abstract", "article", "message", "review")
# A label repeats: with more distinct values than this share of the rows a column is no label.
MAX_DISTINCT = 0.5


@dataclass(frozen=True)
class Columns:
    """The columns that matter: the texts of `text` are joined by a space; `label` is None where there is none."""

    text: tuple[str, ...]
    label: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Facts:
    """What a column looks like: its rank in a list of names (None: not in it) and the content of a sample."""

    name: str
    values: tuple[Any, ...]

    @property
    def words(self) -> float:
        texts = [value for value in self.values if isinstance(value, str)]
        return sum(len(text.split()) for text in texts) / max(len(texts), 1)

    @property
    def distinct(self) -> int:
        return len(set(map(as_name, self.values)))

    @property
    def can_be_text(self) -> bool:
        # A spreadsheet stores a text such as 12345 as a number, so not every value need be text.
        texts = sum(isinstance(value, str) and not _numeric(value) for value in self.values)
        return bool(self.values) and texts >= 0.5 * len(self.values)

    @property
    def can_be_label(self) -> bool:
        if not self.values or not all(isinstance(value, (str, int, float, bool)) for value in self.values):
            return False
        whole = all(not isinstance(value, float) or value.is_integer() for value in self.values)
        return whole and self.distinct <= max(2, MAX_DISTINCT * len(self.values)) and self.words < 8


def find_columns(sample: Sequence[Row], text: Sequence[str], label: str | None, source: str) -> Columns:
    """The text and label columns of `sample`, the first rows of `source`; the given names win over any guess.

    Raises DataError where a given name does not exist, where no column fits, or where two fit equally well.
    """
    names = list(dict.fromkeys(name for row in sample for name in row))
    for flag, wanted in [*(("--text", name) for name in text), *([("--label", label)] if label else [])]:
        if wanted not in names:
            raise DataError(f"{source} has no column '{wanted}'.{_offer(wanted, names)} Change {flag}.")
    if len(names) < 2:
        only = f"one column, '{names[0]}'" if names else "no columns"
        raise DataError(
            f"{source} has {only}; expected at least a text and a label column. Check the file and its --delimiter."
        )
    facts = [_Facts(name, tuple(v for row in sample if _present(v := row.get(name)))) for name in names]
    notes: list[str] = []
    if label is None:
        label = _find_label([fact for fact in facts if fact.name not in text], source, notes)
    if not text:
        text = _find_text([fact for fact in facts if fact.name != label], label, source, notes)
    return Columns(tuple(text), label, tuple(notes))


def find_text(sample: Sequence[Row], text: Sequence[str], source: str) -> tuple[str, ...]:
    """The text columns of rows without labels: those the classifier was trained on, the only one, or a guess."""
    names = list(dict.fromkeys(name for row in sample for name in row))
    if text and all(name in names for name in text):
        return tuple(text)
    if len(names) == 1:
        return (names[0],)
    facts = [_Facts(name, tuple(v for row in sample if _present(v := row.get(name)))) for name in names]
    return _find_text(facts, None, source, [])


def _find_label(facts: list[_Facts], source: str, notes: list[str]) -> str:
    fitting = [fact for fact in facts if fact.can_be_label]
    named = sorted(
        (fact for fact in fitting if _rank(fact, LABEL_NAMES) is not None), key=lambda f: _rank(f, LABEL_NAMES) or 0
    )
    for fact in facts:
        if fact.name.lower() in LABEL_NAMES[:2] and any(isinstance(value, list) for value in fact.values):
            raise DataError(
                f"{source} has lists in '{fact.name}'; expected one label a row. Name a column with one label by --label."
            )
    candidates = named or fitting
    if not candidates:
        raise DataError(
            f"{source} has no column that looks like a label (few distinct values). It has {_quoted(f.name for f in facts)}. Name it with --label."
        )
    best = candidates[0]
    twins = [fact for fact in candidates[1:] if _same_partition(best, fact)]
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
    best = next((twin for twin in twins if not _all_numbers(twin)), best) if _all_numbers(best) else best
    notes.append(f"labels from column '{best.name}' (--label changes it)")
    return best.name


def _find_text(facts: list[_Facts], label: str | None, source: str, notes: list[str]) -> tuple[str, ...]:
    fitting = [fact for fact in facts if fact.can_be_text]
    by_name = {fact.name.lower(): fact.name for fact in fitting}
    heading = next((by_name[name] for name in HEADINGS if name in by_name), None)
    body = next((by_name[name] for name in BODIES if name in by_name), None)
    if heading and body and heading != body:
        notes.append(f"texts from columns '{heading}' and '{body}', joined (--text changes it)")
        return heading, body
    named = sorted(
        (fact for fact in fitting if _rank(fact, TEXT_NAMES) is not None), key=lambda f: _rank(f, TEXT_NAMES) or 0
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


def _same_partition(one: _Facts, other: _Facts) -> bool:
    pairs = set(zip(map(as_name, one.values), map(as_name, other.values), strict=False))
    return len(one.values) == len(other.values) and len(pairs) == one.distinct == other.distinct


def _rank(fact: _Facts, names: tuple[str, ...]) -> int | None:
    lowered = fact.name.strip().lower()
    return names.index(lowered) if lowered in names else None


def _numeric(value: Any) -> bool:
    try:
        float(value)
        return True
    except ValueError:
        return False


def _all_numbers(fact: _Facts) -> bool:
    return all(_numeric(value) for value in fact.values)


def _present(value: Any) -> bool:
    return isinstance(value, (list, dict)) or as_name(value) is not None


def _quoted(names: Any) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _offer(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=1)
    return f" It has {_quoted(names)}." + (f" Did you mean '{near[0]}'?" if near else "")
