"""Why this label: the words that decide are found, what is added up adds up, and every word of every text has its share."""

import io
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from conftest import TOPICS, fitted_on, made_up, write_csv
from test_encoders import TEXTS, encoder  # noqa: F401  # the families, each a fixture
from test_tasks import numbers, pairs, records, several

from classifine import TextClassifier, cli
from classifine.decide import Decision
from classifine.errors import ConfigError, DataError, ModelError
from classifine.infer import explain as explaining
from classifine.infer.explain import Explanation, Word, explain
from classifine.infer.predict import text_logits
from classifine.infer.spans import read
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.folder import Saved, load
from classifine.model.network import load_base
from classifine.report.explained import page, show
from classifine.report.faithful import by_attribution, by_chance, faithfulness

METHODS = ("gradients", "occlusion")
NEW = made_up(240)[140:240]  # none of them was trained on


@pytest.fixture(autouse=True)
def captum(request):
    """Gradients are an extra; what needs them is skipped where they are not installed."""
    if "occlusion" not in request.node.name and "without_captum" not in request.node.name:
        pytest.importorskip("captum", reason="gradients are an extra")


@pytest.fixture(scope="module")
def made(tmp_path_factory, base):
    """A classifier of each other task, loaded: {name: Saved}."""
    place, found = tmp_path_factory.mktemp("explained"), {}
    for name, rows in (("multi", several()), ("pair", pairs()), ("score", numbers())):
        source = records(place / f"{name}.jsonl", rows)
        found[name] = load(fitted_on(place / name, source, base, epochs=8).folder)
    return found


def of_topic(word, label):
    return word.text in TOPICS[label].split()


# The words that decide


@pytest.mark.parametrize("method", METHODS)
def test_the_words_that_decide_are_found(saved, method):
    hits, shares = [], []
    for text, label in NEW:
        (found,) = explain(saved, text, method=method)
        # A wrong answer has no words that speak for it: its topic is not in the text.
        if found.label == label:
            hits.append(of_topic(max(found.words, key=lambda word: word.attribution), found.label))
            shares.append(np.mean([of_topic(word, found.label) for word in found.words]))
    assert len(hits) > len(NEW) / 2
    # Chance would find the share of a text that is of its topic: they do better by far more than luck.
    chance = float(np.mean(shares))
    assert np.mean(hits) - chance > 3 * np.sqrt(chance * (1 - chance) / len(hits))


@pytest.mark.parametrize("method", METHODS)
def test_a_label_that_is_named_is_explained(saved, method):
    weights = {"delivery": [], "payment": []}
    for text in [text for text, label in NEW if label == "delivery"]:
        for found in explain(saved, text, tuple(weights), method):
            weights[found.label] += [word.attribution for word in found.words if of_topic(word, "delivery")]
    assert np.mean(weights["delivery"]) > np.mean(weights["payment"])


def test_the_score_is_what_predict_gives(saved, trained):
    text = NEW[0][0]
    scores = TextClassifier.from_pretrained(trained, engine="torch").predict_proba([text])[0]
    (found,) = explain(saved, text)
    assert found.score == pytest.approx(scores.max(), abs=1e-6)
    assert found.label == saved.labels.names[scores.argmax()]


@pytest.mark.parametrize("method", METHODS)
def test_deleting_its_words_beats_deleting_any_words(saved, method):
    orders = {"own": by_attribution, "chance": by_chance}
    means = {}
    for name, order in orders.items():
        found = [faithfulness(saved, one, order(one)) for text, _ in NEW for one in explain(saved, text, method=method)]
        means[name] = {
            key: np.mean([getattr(one, key) for one in found]) for key in ("comprehensiveness", "sufficiency", "area")
        }
    assert means["own"]["comprehensiveness"] > means["chance"]["comprehensiveness"] + 0.1
    assert means["own"]["sufficiency"] < means["chance"]["sufficiency"] - 0.1
    assert means["own"]["area"] < means["chance"]["area"] - 0.1


def test_a_deletion_ends_with_no_words(saved):
    (found,) = explain(saved, NEW[0][0], method="occlusion")
    told = faithfulness(saved, found)
    assert len(told.curve) == len(found.words) + 1
    assert told.curve[0] == pytest.approx(found.score, abs=1e-6)
    assert sorted(by_chance(found)) == sorted(by_attribution(found)) == list(range(len(found.words)))
    assert by_chance(found, 1) == by_chance(found, 1) != by_chance(found, 2)


# What is added up adds up


def centred(saved, logits, label):
    """The logit of a label as it is explained: less the mean of all."""
    return float(logits[saved.labels.label2id[label]] - logits.mean())


def padded_logit(saved, text, label):
    """The logit of the text with padding in the place of every token but those around it."""
    reading = read(text, saved.tokenizer, saved.max_length)
    given = enumerate(reading.columns["input_ids"])
    ids = [i if place in reading.special else saved.tokenizer.pad_token_id for place, i in given]
    batch = {**reading.columns, "input_ids": ids, "attention_mask": [1] * len(ids)}
    found = TorchEngine(saved.network)({name: np.array([values]) for name, values in batch.items()})
    return centred(saved, found[0], label)


def test_gradients_add_up(saved):
    for text, _ in NEW[:5]:
        (found,) = explain(saved, text)
        together = sum(word.attribution for word in found.words)
        whole = centred(saved, text_logits(saved, [text])[0], found.label)
        assert whole - padded_logit(saved, text, found.label) == pytest.approx(together, abs=found.gap + 1e-4)
        assert found.gap <= max(explaining.SHARE * abs(together), explaining.LEAST) * 1.1


@pytest.mark.parametrize("method", METHODS)
def test_what_all_labels_share_counts_for_none(saved, method):
    """Softmax sees only differences, so all that is added to every label is taken from others."""
    found = explain(saved, NEW[0][0], saved.labels.names, method)
    together = np.sum([[word.attribution for word in one.words] for one in found], axis=0)
    np.testing.assert_allclose(together, 0, atol=1e-4)


def test_steps_are_added_until_the_gap_is_small_or_they_are_too_many(saved, monkeypatch):
    walked = []

    def walk(path, label, steps):
        walked.append(steps)
        return np.array([1.0 + 16 / steps])

    monkeypatch.setattr(explaining._Path, "_walk", walk)
    monkeypatch.setattr(explaining._Path, "_difference", lambda path, label: 1.0)
    path = object.__new__(explaining._Path)
    monkeypatch.setattr(explaining, "SHARE", 0.1)
    assert path.attribute(0)[1:] == (0.0625, 256)
    monkeypatch.setattr(explaining, "SHARE", 0.0)
    assert path.attribute(0)[1:] == (0.03125, explaining.MOST)
    assert walked == [32, 64, 128, 256, 32, 64, 128, 256, 512]


def test_occlusion_is_the_drop_of_the_logit(saved):
    (found,) = explain(saved, "my parcel is late", method="occlusion")
    given = text_logits(saved, ["my parcel is late", "my is late"])
    whole, without = (centred(saved, logits, found.label) for logits in given)
    assert found.words[1].attribution == pytest.approx(whole - without, abs=1e-5)
    assert (found.gap, found.steps) == (None, None)


# Tokens, words and windows


def laid_out(text, tokenizer, room=60):
    reading = read(text, tokenizer, room)
    parts = (text,) if isinstance(text, str) else text
    return reading, [parts[span.part][span.start : span.end] for span in reading.words]


def test_every_family(encoder):  # noqa: F811
    """Whatever cuts the words, they come back whole; whatever embeds them, gradients add up."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, tokenizer = load_base(find_base(str(encoder)), Labels.ordered(["a", "b", "c"], "str"))
    record = {"decision": Decision().as_json(), "max_length": 40, "columns": {"pair": None}}
    of_it = Saved(None, lambda: network.eval(), lambda: tokenizer, Labels.ordered(["a", "b", "c"], "str"), record)
    for text in (TEXTS[0], f"  {TEXTS[1]}\n\t{TEXTS[2]} "):
        for method in METHODS:
            (found,) = explain(of_it, text, method=method)
            assert [word.text for word in found.words] == text.split()
            assert all(text[word.start : word.end] == word.text for word in found.words)
            assert all(math.isfinite(word.attribution) for word in found.words)
            assert found.gap is None or found.gap <= explaining.LEAST
    assert network.training is False
    places = sorted(place for span in read(TEXTS[1], tokenizer, 40).words for place in span.places)
    assert places == [i for i in range(places[-1] + 2) if i not in read(TEXTS[1], tokenizer, 40).special]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("isn't it late??", ["isn't", "it", "late", "?", "?"]),
        ("parcels, twice-charged", ["parcels", ",", "twice", "-", "charged"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("한국어 말", ["한국어", "말"]),
    ],
)
def test_tokens_are_merged_to_words(encoder, text, words):  # noqa: F811
    _, tokenizer = load_base(find_base(str(encoder)), Labels.ordered(["a", "b"], "str"))
    reading, found = laid_out(text, tokenizer)
    if tokenizer.unk_token_id in reading.columns["input_ids"]:  # a piece that is not known may be longer than a word
        assert "".join(found).replace(" ", "") == text.replace(" ", "")
    else:
        assert found == words


def test_scripts_without_blanks_stay_in_pieces(encoder):  # noqa: F811
    _, tokenizer = load_base(find_base(str(encoder)), Labels.ordered(["a", "b"], "str"))
    _, found = laid_out("日本語 ok", tokenizer)
    assert "".join(found) == "日本語ok"
    if "▁" not in str(tokenizer.backend_tokenizer.pre_tokenizer):
        assert found[:3] == ["日", "本", "語"]


@pytest.mark.parametrize("method", METHODS)
def test_every_word_of_a_long_text_has_its_share(saved, method):
    text = f"{'it was so and the my ' * 25}{'parcel courier late ' * 4}{'again with from ' * 20}"
    (found,) = explain(saved, text, ("delivery",), method)
    assert [word.text for word in found.words] == text.split()
    assert found.windows > 4
    # The network has seen no text of fillers alone, so single ones of them may weigh much.
    means = [np.mean([w.attribution for w in found.words if of_topic(w, "delivery") == ours]) for ours in (True, False)]
    assert means[0] > means[1]
    # predict cuts at 32 tokens, of which two stand around the text.
    assert [word.read for word in found.words] == [i < 30 for i in range(len(found.words))]
    assert found.score == pytest.approx(
        explain(saved, " ".join(text.split()[:30]), ("delivery",), method)[0].score, abs=1e-5
    )
    assert len(by_attribution(found)) == 30


def test_windows_overlap_and_cover_all(saved):
    reading, _ = laid_out("it " * 100, saved.tokenizer, 32)
    assert set().union(*reading.windows) == set(range(102))
    assert all(len(window) == 32 and reading.special < set(window) for window in reading.windows)
    assert all(len(set(a) & set(b)) > 5 for a, b in zip(reading.windows, reading.windows[1:], strict=False))


@pytest.mark.parametrize("pair", [("it " * 50, "my box"), ("my box", "it " * 50), ("it " * 40, "so " * 70)])
def test_windows_of_pairs_begin_as_predict_reads(saved, pair):
    reading, found = laid_out(pair, saved.tokenizer, 32)
    ids = saved.tokenizer(*pair, truncation=True, max_length=32)
    assert {name: rows[0] for name, rows in reading.rows(reading.windows[:1]).items()} == {
        name: ids[name] for name in reading.columns
    }
    assert set().union(*reading.windows) == set(range(len(reading.columns["input_ids"])))
    assert found == [*pair[0].split(), *pair[1].split()]


def test_a_word_has_the_mean_of_its_windows(saved):
    reading, _ = laid_out("it " * 45, saved.tokenizer, 32)
    values = np.arange(2.0)[:, None, None] * np.ones((2, 45, 1))
    held = [[not set(span.places).isdisjoint(window) for span in reading.words] for window in reading.windows]
    means = explaining._combined(reading, values * np.array(held)[:, :, None])[:, 0]
    assert means.tolist() == [0.5 if first and second else float(second) for first, second in zip(*held, strict=True)]
    assert {0.0, 0.5, 1.0} == set(means.tolist())


# The other tasks


@pytest.mark.parametrize("method", METHODS)
def test_a_pair_of_texts(made, method):
    text = ("my parcel is late", "the refund so late")
    (found,) = explain(made["pair"], text, method=method)
    assert [(word.part, word.text) for word in found.words] == [(i, word) for i in (0, 1) for word in text[i].split()]
    assert [one[word.start : word.end] for word in found.words for one in [text[word.part]]] == [
        word.text for word in found.words
    ]
    assert json.loads(json.dumps(found.as_json()))["text_pair"] == text[1]


@pytest.mark.parametrize("method", METHODS)
def test_several_labels_each_that_holds(made, method):
    hits = []
    for row in several()[:20]:
        scores = made["multi"].decision.scores(text_logits(made["multi"], [row["text"]]))
        holding = made["multi"].decision.choose(scores)[0]
        found = explain(made["multi"], row["text"], method=method)
        assert sorted(one.label for one in found) == [
            name for name, holds in zip(made["multi"].labels.names, holding, strict=True) if holds
        ] or (len(found) == 1 and not holding.any())
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        hits += [of_topic(one.strongest(1)[0], one.label) for one in found]
    assert np.mean(hits) > 0.6


@pytest.mark.parametrize("method", METHODS)
def test_a_number(made, method):
    (found,) = explain(made["score"], "parcel courier late love great thanks", method=method)
    words = {word.text: word.attribution for word in found.words}
    assert found.score == pytest.approx(float(text_logits(made["score"], [found.text])[0, 0]), abs=1e-5)
    assert sum(words[word] for word in ("parcel", "courier", "late")) > sum(
        words[w] for w in ("love", "great", "thanks")
    )


# What cannot be explained


@pytest.mark.parametrize(
    ("text", "more", "error", "words"),
    [
        ("", {}, DataError, r"The text is empty; expected some words to explain\. Give a text\."),
        ("  \n", {}, DataError, "The text is empty"),
        ("\u200b", {}, DataError, "The text is empty"),
        (
            "my parcel",
            {"labels": ("nobody",)},
            ConfigError,
            r"has no label 'nobody'; it has delivery, payment, praise\. Choose",
        ),
        ("my parcel", {"method": "magic"}, ConfigError, "'magic'; expected gradients or occlusion"),
        (("my", "parcel"), {}, DataError, "Got a pair of texts.* expects one text. Leave the second text out"),
    ],
)
def test_what_cannot_be_explained(saved, text, more, error, words):
    with pytest.raises(error, match=words):
        explain(saved, text, **{"method": "occlusion", **more})


def test_a_pair_is_wanted(made):
    with pytest.raises(DataError, match=r"Got one text;.* Give the second text, too"):
        explain(made["pair"], "my parcel")


def test_without_captum_the_extra_is_named(saved, monkeypatch):
    monkeypatch.setattr(explaining.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'classifine\[explain\]'.* Or choose the method occlusion"):
        explain(saved, "my parcel")
    assert explain(saved, "my parcel", method="occlusion")


def test_a_tokenizer_without_places():
    with pytest.raises(ModelError, match="does not tell where its tokens stand"):
        read("my parcel", object(), 32)


# Python


def test_in_python(trained):
    classifier = TextClassifier.from_pretrained(trained)
    found = classifier.explain(NEW[0][0])
    assert isinstance(found, Explanation)
    assert found.label == classifier.predict([NEW[0][0]])[0]
    assert classifier.explain(NEW[0][0], "praise", "occlusion").label == "praise"
    with pytest.raises(DataError, match=r"expected one text or a pair of texts"):
        classifier.explain([NEW[0][0]])


def test_in_python_labels_are_values(base, tmp_path):
    source = write_csv(tmp_path / "rows.csv", [(text, len(label) % 4) for text, label in made_up(60)])
    classifier = TextClassifier.from_pretrained(fitted_on(tmp_path / "model", source, base, epochs=1).folder)
    for value in classifier.classes_:
        assert classifier.explain("my parcel", value, "occlusion").label == str(value)


# What people see


def explanation(text="a <script>alert(1)</script> & \x1b[31mred", **more):
    words = [(match.group(), match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    told = tuple(Word(*word, value) for word, value in zip(words, (0.1, 2.0, 0.0, -1.5), strict=False))
    return Explanation(text, "x<b>", 0.75, "gradients", told, **{"gap": 0.001, "steps": 32, **more})


class Seen(HTMLParser):
    """Which elements a page has, and its words."""

    def __init__(self):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_a_page_shows_strangers_texts_and_runs_none():
    told = page([explanation()], 2)
    seen = Seen()
    seen.feed(told)
    assert "script" not in seen.tags and "b" not in seen.tags
    assert "<script>alert(1)</script>" in seen.text and "x<b>" in seen.text
    assert not re.search(r"(src|href)=|url\(|@import|https?:", told)
    marks = [one for tag, one in zip(seen.tags, seen.attributes, strict=True) if tag == "mark"]
    assert [one["class"] for one in marks] == ["for strong", "against strong"]
    assert [one["title"] for one in marks] == ["+2.000 for", "-1.500 against"]
    assert seen.tags.count("tr") == 3
    assert "prefers-color-scheme: dark" in told and "Content-Security-Policy" in told


def test_a_page_of_a_pair_has_both():
    one = explanation("first words")
    both = Explanation(("first words", "second"), "l", 0.5, "occlusion", (*one.words, Word("second", 0, 6, -1.0, 1)))
    seen = Seen()
    seen.feed(page([both], 5))
    labels = [found["aria-label"] for found in seen.attributes if "aria-label" in found]
    assert labels == ["Text", "Second text"]


def test_without_colour_it_is_read_as_a_table():
    file = io.StringIO()
    show([explanation()], file, 2)
    told = file.getvalue()
    assert "\x1b" not in told
    assert "x<b>  0.7500" in told
    assert re.search(r"<script>alert\(1\)</script> +\+2\.000 +█+ for", told)
    assert re.search(r"red +-1\.500 +█+ against", told)
    assert "gap 0.0010" in told


def test_colour_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    show([explanation()], file, 2)
    assert "48;2;37;99;235" in file.getvalue()  # blue behind the strongest word
    assert "\x1b[31mred" not in file.getvalue()  # the text itself steers nothing


def test_a_text_that_was_cut_says_so():
    file = io.StringIO()
    show([explanation(windows=3)], file, 2)
    assert "was read in 3 windows that overlap" in " ".join(file.getvalue().split())


# The command line


def answer(monkeypatch, capsys, *words, stdin=b""):
    monkeypatch.setattr("sys.argv", ["classifine", "explain", *map(str, words)])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    shown = capsys.readouterr()
    return ended.value.code, shown.out, shown.err


def test_the_command(trained, monkeypatch, capsys):
    code, out, err = answer(monkeypatch, capsys, trained, "my parcel is late", "--top-k", 2)
    assert (code, err) == (0, "")
    assert out.startswith("delivery  0.") and "parcel" in out and "integrated gradients" in " ".join(out.split())
    assert len(re.findall("█+ ", out)) <= 2


def test_the_command_in_json_and_html(trained, monkeypatch, capsys, tmp_path):
    target = tmp_path / "why.html"
    words = (trained, "-", "--label", "payment", "--method", "occlusion", "--json", "--html", target)
    code, out, err = answer(monkeypatch, capsys, *words, stdin="my parcel é\n".encode())
    (found,) = json.loads(out)
    assert code == 0
    assert err == f"page: {target}\n"
    assert (found["text"], found["label"], found["method"]) == ("my parcel é", "payment", "occlusion")
    assert [set(word) for word in found["words"]] == [{"text", "start", "end", "attribution", "part", "read"}] * 3
    assert "payment" in target.read_text(encoding="utf-8")


def test_a_byte_that_is_no_letter_is_a_question_mark(saved, trained, monkeypatch, capsys):
    words = (trained, "late par\udcffcel", "--method", "occlusion", "--json")  # as Python reads a stray byte 0xff
    code, out, err = answer(monkeypatch, capsys, *words)
    assert (code, err) == (0, "")
    expected = [one.as_json() for one in explain(saved, "late par?cel", method="occlusion")]
    assert json.loads(out) == json.loads(json.dumps(expected))


def test_the_command_on_a_pair(made, monkeypatch, capsys):
    folder = made["pair"].folder
    code, out, _ = answer(monkeypatch, capsys, folder, "my parcel", "--text-pair", "a box", "--json")
    assert code == 0
    assert {word["part"] for word in json.loads(out)[0]["words"]} == {0, 1}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["my parcel", "--label", "nobody"], "has no label 'nobody'; it has delivery"),
        ([""], "The text is empty"),
        (["-"], "Standard input is not UTF-8 (byte 3)"),
        (["my parcel", "--html", "no/such/place.html"], "Change --html"),
    ],
)
def test_the_command_says_what_is_wrong(trained, monkeypatch, capsys, more, words):
    code, out, err = answer(monkeypatch, capsys, trained, *more, stdin=b"my\xff")
    assert (code, out) == (1, "")
    assert words in err and err.count("\n") == 1


def test_how_far_a_long_text_is_is_said(saved, monkeypatch):
    monkeypatch.setattr(explaining, "SILENT", 0.0)
    long = " ".join(text for text, _ in NEW[:20])
    explain(saved, long, method="occlusion", say=(said := []).append)
    assert said[0].startswith("explaining in ")
    assert "windows of up to 32 tokens" in said[0]
    assert said[-1].endswith("0 s left")
    explain(saved, NEW[0][0], method="occlusion", say=(said := []).append)
    assert not said


@pytest.mark.parametrize(("name", "what"), [("multi", "the logit of '"), ("score", "the number")])
def test_notes_speak_of_the_task_with_occlusion(made, saved, name, what):
    def noted(classifier, text):
        shown = io.StringIO()
        show(explain(classifier, text, method="occlusion"), shown, 3)
        return " ".join(shown.getvalue().split())

    told = noted(made[name], NEW[0][0])
    assert f"A word adds what {what}" in told
    assert "of the other labels" not in told
    assert "less the mean of all labels' logits" in noted(saved, NEW[0][0])
