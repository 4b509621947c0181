"""In which language texts are, told offline by a library of 140 languages from a sample of the rows.

Codes are those of ISO 639, two letters where there are such. It knows nothing about base models.
"""

import difflib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from classifine.data.read import Split
from classifine.data.row import Text, joined
from classifine.errors import ConfigError

SAMPLE = 500  # rows that are looked at, evenly spread
MIN_LETTERS = 12  # a shorter text says too little to be counted
# Of a set in one language, texts of other ones are this much more likely (in nats) as theirs. Measured on tweets,
# news and reviews in English and Indonesian: a false alarm stays below 20, a sentence in another language is above 60.
CLEARLY = 20.0
MIXED = 0.8  # with a smaller share of one language the texts are a mixture
# What people type; any code that the library knows is taken, too.
NAMES = {
    "english": "en", "german": "de", "french": "fr", "indonesian": "id", "spanish": "es", "italian": "it",
    "portuguese": "pt", "dutch": "nl", "polish": "pl", "russian": "ru", "chinese": "zh", "japanese": "ja",
    "korean": "ko", "arabic": "ar", "turkish": "tr", "hindi": "hi", "swedish": "sv", "danish": "da", "finnish": "fi",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """What the texts are in: `code` of the language of most of them, or None where they tell too little.

    `shares` are those of the sampled texts by language, most first; `foreign` are positions (from 0) of sampled rows
    that are clearly in another language, and `looked_at` is the number of sampled rows.
    """

    code: str | None
    shares: tuple[tuple[str, float], ...] = ()
    foreign: tuple[int, ...] = ()
    looked_at: int = 0
    named: bool = False

    @property
    def mixed(self) -> bool:
        """Whether no language has nearly all of the texts."""
        return bool(self.shares) and self.shares[0][1] < MIXED

    @property
    def only(self) -> str | None:
        """The one language of the texts; None where they are a mixture or tell too little."""
        return None if self.mixed else self.code

    def __str__(self) -> str:
        if self.named:
            return f"{self.code} (--language)"
        if self.code is None:
            return "unknown: the texts are too short to tell (--language names it)"
        shown = ", ".join(f"{code} {share:.0%}" for code, share in self.shares[:4] if share >= 0.02)
        return f"{'a mixture' if self.mixed else self.code} ({shown} of {self.looked_at} rows; --language changes it)"


def find_language(split: Split, wanted: str | None = None) -> Language:
    """The language of a split's texts, or the one that is `wanted`; ConfigError for one that nobody knows."""
    import py3langid

    if wanted is not None:
        return Language(_code(wanted), named=True)
    texts = [joined(text) if text else "" for text in split.texts]
    step = max(1, len(texts) // SAMPLE)
    ranked = {i: py3langid.rank(texts[i]) for i in range(0, len(texts), step) if _tells(texts[i])}
    counts = Counter(found[0][0] for found in ranked.values())
    if not counts:
        return Language(None)
    code = counts.most_common(1)[0][0]
    shares = tuple((name, count / len(ranked)) for name, count in counts.most_common())
    foreign = tuple(i for i, found in ranked.items() if float(found[0][1]) - float(dict(found)[code]) > CLEARLY)
    return Language(code, shares, foreign, len(ranked))


def languages_of(texts: Sequence[Text]) -> list[str | None]:
    """The code of each text's language (texts,); None where the text is too short to tell."""
    import py3langid

    return [py3langid.classify(text)[0] if _tells(text) else None for text in map(joined, texts)]


def _tells(text: str) -> bool:
    return sum(map(str.isalpha, text)) >= MIN_LETTERS


def _code(wanted: str) -> str:
    import py3langid

    name = wanted.strip().lower()
    known = {code for code, _ in py3langid.rank("text")}
    if name in known or name in NAMES:
        return NAMES.get(name, name)
    near = difflib.get_close_matches(name, [*NAMES, *known], n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ConfigError(f"--language is '{wanted}'; expected a code such as en, de or id, or its English name.{hint}")
