"""The language of the texts: told offline, said, and what follows from it."""

import pytest

from classifine.config import DEFAULT_BASE, Data
from classifine.data.check import check_splits
from classifine.data.language import find_language
from classifine.data.read import Splits, from_lists
from classifine.errors import ConfigError, ModelError
from classifine.model import base as bases
from classifine.model.base import Base, find_suited, suited

TEXTS = {
    "en": ["The parcel arrived two days late and the box was open.", "I was charged twice for the same order last week.",
           "Could you please tell me where my refund is?", "The new jacket is warm, and I like its colour very much."],
    "de": ["Das Paket kam zwei Tage zu spät und war schon geöffnet.", "Mir wurde dieselbe Bestellung zweimal berechnet.",
           "Können Sie mir bitte sagen, wo meine Erstattung bleibt?", "Die neue Jacke ist warm, und die Farbe gefällt mir sehr."],
    "fr": ["Le colis est arrivé deux jours en retard et il était ouvert.", "La même commande m'a été facturée deux fois.",
           "Pouvez-vous me dire où en est mon remboursement ?", "La nouvelle veste est chaude et sa couleur me plaît beaucoup."],
    "id": ["Paket saya terlambat dua hari dan kotaknya sudah terbuka.", "Saya ditagih dua kali untuk pesanan yang sama.",
           "Tolong beri tahu saya di mana pengembalian uang saya?", "Jaket baru ini hangat dan saya sangat suka warnanya."],
}  # fmt: skip


def part(texts):
    return from_lists(texts, ["ab"[i % 2] for i in range(len(texts))])


@pytest.mark.parametrize("code", TEXTS)
def test_the_language_is_named(code):
    found = find_language(part(TEXTS[code]))
    assert (found.code, found.mixed, found.foreign, found.looked_at) == (code, False, (), 4)
    assert str(found) == f"{code} ({code} 100% of 4 rows; --language changes it)"


def test_a_mixture_is_named_so_and_nothing_in_it_is_foreign():
    texts = [*TEXTS["en"], *TEXTS["de"], *TEXTS["fr"]]
    found = find_language(part(texts))
    assert found.mixed
    assert str(found).startswith("a mixture (")
    report = check_splits(Splits(part(texts)), Data(), language=found)
    assert "other-language" not in {fault.kind for fault in report.faults}


def test_rows_in_another_language_are_listed():
    texts = [*TEXTS["en"] * 4, TEXTS["de"][0], *TEXTS["en"], TEXTS["fr"][1]]
    texts = [f"{text} {i}" for i, text in enumerate(texts)]
    report = check_splits(Splits(part(texts)), Data(), language=find_language(part(texts)))
    fault = next(fault for fault in report.faults if fault.kind == "other-language")
    assert (fault.rows, fault.severity) == ((17, 22), "warning")
    assert "2 rows (17, 22) of the train texts have a text in another language than en." in str(fault)
    assert report.summary["language"]["code"] == "en"


def test_short_texts_and_slang_are_no_alarm():
    texts = [*TEXTS["en"] * 3, "ok", "lol maximum silly!", "$ORCL $MSFT $HYLN", "12.50 EUR", "bye now", ""]
    assert find_language(part(texts)).foreign == ()


def test_texts_that_tell_too_little():
    found = find_language(part(["ok", "12", "!?", None]))
    assert (found.code, found.mixed) == (None, False)
    assert "too short to tell (--language names it)" in str(found)


def test_only_a_sample_is_looked_at(monkeypatch):
    monkeypatch.setattr("classifine.data.language.SAMPLE", 10)
    texts = [f"{TEXTS['en'][i % 4]} {i}" for i in range(100)]
    texts[40] = TEXTS["de"][0]
    found = find_language(part(texts))
    assert (found.looked_at, found.foreign) == (10, (40,))


def test_pairs_of_texts_have_a_language():
    assert find_language(part([(text, text) for text in TEXTS["fr"]])).code == "fr"


@pytest.mark.parametrize(("wanted", "code"), [("de", "de"), ("German", "de"), ("  ID ", "id"), ("pcm", "pcm")])
def test_a_language_that_is_named(wanted, code):
    found = find_language(part(TEXTS["en"]), wanted)
    assert (found.code, found.mixed, str(found)) == (code, False, f"{code} (--language)")


def test_a_language_that_nobody_knows():
    with pytest.raises(
        ConfigError, match=r"--language is 'germna'; expected a code such as en.* Did you mean 'german'\?"
    ):
        find_language(part(TEXTS["en"]), "germna")


@pytest.mark.parametrize(
    ("language", "device", "first"),
    [
        ("en", "cpu", DEFAULT_BASE),
        ("en", "cuda", "answerdotai/ModernBERT-base"),
        ("de", "cpu", "benjamin/roberta-base-wechsel-german"),
        ("fr", "cuda", "almanach/camembert-base"),
        ("id", "cpu", "w11wo/indo-roberta-small"),
        ("sw", "cpu", "FacebookAI/xlm-roberta-base"),
        (None, "cuda", "FacebookAI/xlm-roberta-base"),
    ],
)
def test_the_base_follows_the_language(language, device, first):
    names = suited(language, device)
    assert (names[0], names[-1]) == (first, DEFAULT_BASE)
    assert len(set(names)) == len(names)


def test_every_base_of_the_table_has_a_size_and_a_licence():
    import tomllib
    from pathlib import Path

    rows = tomllib.loads(Path(bases.__file__).with_name("bases.toml").read_text("utf-8"))["base"]
    assert all(set(row) == {"language", "device", "name", "parameters", "licence"} for row in rows)
    assert rows[-1]["language"] == rows[-1]["device"] == "any"


def only(*names):
    def find(name, fetch=True):
        if name not in names:
            raise ModelError(f"{name} is nowhere")
        return Base(name, None, "the Hub")

    return find


def test_what_would_be_better_is_said(monkeypatch):
    monkeypatch.setattr(bases, "find_base", only(DEFAULT_BASE))
    base, why = find_suited("de", "cpu")
    assert base.name == DEFAULT_BASE
    assert "benjamin/roberta-base-wechsel-german would be chosen for de" in why
    assert "results will be worse" in why
    assert "training would try to fetch it" in find_suited("de", "cpu", fetch=False)[1]
    assert find_suited("en", "cpu")[1] == f"{DEFAULT_BASE}, for en on this device"


def test_the_second_best_comes_before_the_default(monkeypatch):
    monkeypatch.setattr(bases, "find_base", only("FacebookAI/roberta-base", DEFAULT_BASE))
    assert find_suited("en", "cuda")[0].name == "FacebookAI/roberta-base"


def test_where_nothing_can_be_had(monkeypatch):
    monkeypatch.setattr(bases, "find_base", only())
    with pytest.raises(ModelError, match=f"{DEFAULT_BASE} is nowhere"):
        find_suited("fr", "cpu")
