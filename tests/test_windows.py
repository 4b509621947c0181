"""Long documents: what is read of them, that all who read them read the same, and that windows are one answer."""

import io
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TOPICS, fitted_on, made_up, settings, write_csv
from test_encoders import encoder  # noqa: F401  # the families, each a fixture
from test_tasks import numbers, pairs, records, several
from transformers import AutoTokenizer

from classifine import TextClassifier, run, use
from classifine.config import Data, Train, build
from classifine.data import encode as encoding
from classifine.data.encode import encode, portions, tokenise
from classifine.data.read import from_lists, read_splits
from classifine.data.split import prepared
from classifine.errors import ConfigError, ModelError
from classifine.infer import forward
from classifine.infer.explain import explain
from classifine.infer.files import PredictOptions
from classifine.infer.forward import batches, logits
from classifine.infer.predict import scored_chunks, text_logits
from classifine.infer.spans import read
from classifine.infer.torch_engine import TorchEngine
from classifine.model.base import find_base
from classifine.model.folder import load
from classifine.model.network import load_base
from classifine.report.faithful import faithfulness
from classifine.train.choose import choose
from classifine.train.documents import collator, one_loss_a_document, parts_of
from classifine.train.hardware import Hardware
from classifine.train.lesson import input_columns
from classifine.train.plan import _step_seconds
from classifine.train.trainer import train
from classifine.windows import MOST_WINDOWS, TRUNCATE, WINDOWS, Long, drawn, taken_apart

CUT = 16  # tokens at once: 14 of a text and two around it, each window 11 behind the last
ALL, ENDS = Long("windows"), Long("head-tail")
CPU = Hardware("cpu", "processor", 1, False)
WORDS = [word for text, _ in made_up(60, seed=5) for word in text.split()]
# Of 1, 1, 2, 5 and 200 windows.
TEXTS = ["my parcel is late", "", *(" ".join((WORDS * 9)[:count]) for count in (16, 50, 2200))]


@pytest.fixture
def reader(saved):
    """A classifier that reads all of a text, in windows of 16 tokens."""
    return replace(saved, record={**saved.record, "max_length": CUT, "long": "windows", "stride": 0.75})


def apart(texts, tokenizer, long=ALL, cut=CUT):
    """The token ids of each window of each text."""
    columns = tokenise(texts, tokenizer, cut, long)
    rows, counts = taken_apart(columns)
    ends = np.cumsum(counts)
    return [rows["input_ids"][end - count : end] for count, end in zip(counts, ends, strict=True)]


def by_hand(saved, text):
    """The mean of the logits of windows that are cut here, each alone through the network."""
    ids = saved.tokenizer(text, add_special_tokens=False)["input_ids"]
    starts = [0] if len(ids) <= 14 else [*range(0, len(ids) - 14, 11), len(ids) - 14]
    cls, sep = saved.tokenizer.cls_token_id, saved.tokenizer.sep_token_id
    with torch.inference_mode():
        found = [
            saved.network(input_ids=torch.tensor([[cls, *ids[start : start + 14], sep]])).logits[0] for start in starts
        ]
    return torch.stack(found).mean(0).numpy(), len(starts)


# What is read


@pytest.mark.parametrize("plain", [True, False])
def test_pooled_logits_are_those_made_by_hand(reader, plain):
    reader = reader if plain else replace(reader, words=None)
    assert (reader.words is not None) == plain
    found = text_logits(reader, TEXTS)
    expected = [by_hand(reader, text) for text in TEXTS]
    assert [count for _, count in expected] == [1, 1, 2, 5, 200]
    assert np.abs(found - np.array([values for values, _ in expected])).max() < 1e-5
    assert [len(windows) for windows in apart(TEXTS, reader.reader)] == [1, 1, 2, 5, 200]


@pytest.mark.parametrize("way", ["truncate", "head-tail", "windows"])
def test_what_is_short_is_read_as_ever(saved, way):
    short = [text for text, _ in made_up(30)] + [""]
    cut = tokenise(short, saved.tokenizer, CUT)
    found = tokenise(short, saved.tokenizer, CUT, Long(way))
    assert found.pop(WINDOWS, None) == ([[len(ids)] for ids in cut["input_ids"]] if way == "windows" else None)
    assert found == cut
    assert tokenise(TEXTS, saved.tokenizer, CUT, TRUNCATE) == tokenise(TEXTS, saved.tokenizer, CUT)


def test_head_and_tail(saved):
    (whole,), (kept,) = (tokenise(TEXTS[3:4], saved.tokenizer, *how)["input_ids"] for how in ((64,), (CUT, ENDS)))
    # 14 places in shares of 128 and 382 of 510: 4 and 10; with both special tokens 5 and 11.
    assert kept == whole[:5] + whole[-11:]
    long = tokenise([("my box", TEXTS[3])], saved.tokenizer, CUT, ENDS)
    assert len(long["input_ids"][0]) == CUT
    assert set(long) == {"input_ids", "token_type_ids"}


@pytest.mark.parametrize("pair", [False, True])
def test_every_family_reads_windows_that_begin_as_a_cut_text(encoder, pair):  # noqa: F811
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    text = " ".join(WORDS[:60])
    given = ("my parcel", text) if pair else text
    columns = tokenise([given], tokenizer, CUT, ALL)
    rows, (count,) = taken_apart(columns)
    cut = tokenise([given], tokenizer, CUT)
    assert {name: values[0] for name, values in rows.items()} == {name: values[0] for name, values in cut.items()}
    assert count > 3
    assert {len(ids) for ids in rows["input_ids"]} == {CUT}
    whole = tokenise([given], tokenizer, 4000)["input_ids"][0]
    assert set(whole) == {place for ids in rows["input_ids"] for place in ids}
    assert rows["input_ids"][-1][-4:] == whole[-4:]


def test_pairs_keep_the_shorter_text_whole(saved):
    tokenizer = saved.tokenizer
    box = tokenizer("my box", add_special_tokens=False)["input_ids"]
    for windows in apart([("my box", TEXTS[3]), (TEXTS[3], "my box")], tokenizer):
        assert len(windows) > 4
        assert all(any(ids[i : i + len(box)] == box for i in range(CUT)) for ids in windows)
    both = apart([(TEXTS[3], " ".join(WORDS[:30]))], tokenizer)[0]
    assert all(ids.count(tokenizer.sep_token_id) == 2 and len(ids) == CUT for ids in both)


def test_a_wider_stride_has_fewer_windows(saved):
    counts = [len(apart(TEXTS[-1:], saved.tokenizer, Long("windows", stride))[0]) for stride in (0.5, 0.75, 1)]
    assert counts == sorted(counts, reverse=True)
    ids = [
        i for window in apart([" ".join(WORDS[:28])], saved.tokenizer, Long("windows", 1.0))[0] for i in window[1:-1]
    ]
    assert ids == saved.tokenizer(" ".join(WORDS[:28]), add_special_tokens=False)["input_ids"]


def test_a_tokenizer_without_places():
    slow = SimpleNamespace(encodings=None)
    with pytest.raises(ModelError, match="as --long windows needs it; expected one with"):
        tokenise(["a text"], lambda *given, **how: slow, CUT, ALL)


# The forward loop


@pytest.mark.parametrize("tokens", [1, 40, 200])
def test_the_order_of_batches_changes_nothing(reader, monkeypatch, tokens):
    expected = text_logits(reader, TEXTS)

    def shuffled(lengths, _):
        found = list(batches(lengths, tokens))
        return iter([found[i] for i in np.random.default_rng(tokens).permutation(len(found))])

    monkeypatch.setattr(forward, "batches", shuffled)
    assert np.abs(text_logits(reader, TEXTS) - expected).max() < 1e-5
    assert np.abs(text_logits(reader, TEXTS[::-1])[::-1] - expected).max() < 1e-5


def test_texts_are_tokenised_in_portions_that_memory_holds(reader, monkeypatch):
    expected = text_logits(reader, TEXTS)
    rows = [{"text": text} for text in TEXTS] + [{"text": None}]
    whole = list(scored_chunks(reader, TorchEngine(reader.network), rows, ("text",), None))
    monkeypatch.setattr(encoding, "_PORTION", 300)
    sizes = [sum(map(len, TEXTS[part])) for part in portions(TEXTS, ALL)]
    assert len(sizes) > 2
    assert list(portions(TEXTS, TRUNCATE)) == [slice(0, len(TEXTS))]
    assert np.abs(text_logits(reader, TEXTS) - expected).max() < 1e-5
    parts = list(scored_chunks(reader, TorchEngine(reader.network), rows, ("text",), None))
    assert len(parts) > len(whole) == 1
    both = [[judged for chunk in chunks for _, judged in chunk] for chunks in (whole, parts)]
    for one, other, logit, text in zip(*both, [*expected, None], [*TEXTS, None], strict=True):
        assert (one is None, other is None) == (not text, not text)
        if one is not None:
            assert np.abs(one.scores - other.scores).max() < 1e-6
            assert np.abs(one.scores - reader.decision.scores(logit)).max() < 1e-6


# Training


def documents(saved):
    """Six encoded documents, of one window to 37."""
    texts = [" ".join((WORDS * 9)[:words]) for words in (5, 400, 20, 9, 33, 60)]
    rows = from_lists(texts, [*saved.labels.names] * 2, "train", "single")
    return encode(rows, saved.tokenizer, saved.labels, CUT, ALL)


@pytest.mark.parametrize("portion", [100, 1 << 20])
def test_a_document_is_one_row(saved, monkeypatch, portion):
    monkeypatch.setattr(encoding, "_PORTION", portion)
    rows = documents(saved)
    assert len(rows) == 6
    assert [len(sizes) for sizes in rows[WINDOWS]] == [1, 37, 2, 1, 3, 6]
    assert rows["length"][:] == [sum(sizes) for sizes in rows[WINDOWS]] == [len(ids) for ids in rows["input_ids"]]


def test_no_document_is_in_two_splits(tickets, saved):
    found = read_splits(Data(source=str(tickets)))
    three, labels = prepared(found, (), Data(), 1)
    for part in three.all:
        assert len(encode(part, saved.tokenizer, labels, 8, ALL)) == len(part)
    ids = [number for part in three.all for number in part.ids]
    assert len(ids) == len(set(ids))


def test_windows_that_are_drawn_are_spread_over_the_document():
    assert drawn(5, 5, lambda below: 1 / 0) == [0, 1, 2, 3, 4]
    generator = np.random.default_rng(0)
    found = [drawn(103, 8, lambda below: int(generator.integers(below))) for _ in range(200)]
    assert all(i * 103 // 8 <= place < (i + 1) * 103 // 8 for one in found for i, place in enumerate(one))
    assert {place for one in found for place in one} == set(range(103))


def loss_by_hand(saved, rows):
    """The mean loss of documents, each the mean of its windows' logits."""
    columns, counts = taken_apart(input_columns(rows))
    each = [saved.network(input_ids=torch.tensor([ids])).logits[0] for ids in columns["input_ids"]]
    found = torch.stack([own.mean(0) for own in torch.split(torch.stack(each), counts)])
    return torch.nn.functional.cross_entropy(found, torch.tensor(rows["labels"][:]))


@pytest.mark.parametrize("at_once", [1, 5, 100])
def test_one_loss_and_gradient_a_document_whatever_the_parts(saved, at_once):
    rows, network = documents(saved).select([0, 2, 3, 4, 5]), saved.network
    batch = collator(0)(list(rows))
    assert batch["input_ids"].shape == (5, 6, CUT)
    expected = loss_by_hand(saved, rows)
    (wanted,) = torch.autograd.grad(expected, [network.classifier.weight])
    parts = list(parts_of(batch, at_once))
    assert sum(share for _, share in parts) == pytest.approx(1)
    assert all(part["attention_mask"].any(2).sum() <= at_once or len(part["labels"]) == 1 for part, _ in parts)
    with one_loss_a_document(network):
        loss = sum(network(**part)["loss"] * share for part, share in parts)
        (given,) = torch.autograd.grad(loss, [network.classifier.weight])
        assert network(input_ids=torch.tensor([[2, 7, 3]])).logits.shape == (1, 3)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), abs=1e-5)
    assert torch.allclose(given, wanted, atol=1e-5)
    assert not hasattr(network, "documents")


def test_a_batch_of_plain_rows_is_one_part(encoded):
    batch = collator(0)(list(encoded.select(range(4))))
    ((part, share),) = parts_of(batch, 1)
    assert share == 1.0
    assert part.keys() == batch.keys()


def test_a_step_reads_so_many_windows_at_most(saved):
    batch = collator(0, 4)(list(documents(saved)))
    assert batch["attention_mask"].any(2).sum(1).tolist() == [1, 4, 2, 1, 3, 4]


def windowed(saved, rows, base, tmp_path, **settings):
    """(network, Training, what was said) of one epoch on documents."""
    torch.manual_seed(0)
    network = load_base(find_base(str(base)), saved.labels, "eager", attention_dropout=False)[0]
    given = Train(epochs=1, batch_size=6, learning_rate=0.006, **settings)
    recipe = choose(given, CPU, len(rows), 10_000, CUT, model=build({"model": {"long": "windows"}}).model)
    said = []
    return network, train(network, rows, rows, 0, recipe, str(tmp_path), said.append), said


@pytest.mark.parametrize("optimizer", ["adamw", "sam"])
def test_memory_bounds_the_windows_of_a_step(saved, base, tmp_path, monkeypatch, optimizer):
    rows, sizes, own = documents(saved), [], type(saved.network.bert)
    forwards = own.forward

    def small(self, input_ids=None, **inputs):
        if self.training:
            sizes.append(len(input_ids))
            if len(input_ids) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return forwards(self, input_ids=input_ids, **inputs)

    monkeypatch.setattr(own, "forward", small)
    _, training, said = windowed(saved, rows, base, tmp_path, optimizer=optimizer)
    assert training.recipe.rows_at_once == 3
    assert "out of memory: starts anew with 3 rows at once, batches of 6 as before, 3 windows of a text at most" in said
    # One document of 37 windows: no more than rows at once are drawn of it, six at first and then three.
    first = next(i for i, size in enumerate(sizes) if size > 3)
    assert sizes[first] <= 6
    assert max(sizes[first + 1 :]) == 3


def test_the_plan_works_in_the_same_parts(saved, base):
    recipe = choose(Train(), CPU, 6, 10_000, CUT, model=build({"model": {"long": "windows"}}).model)
    assert recipe.most_windows == MOST_WINDOWS
    assert "in windows of as many, each 75% of one behind the last; in training 16 at most" in recipe.long_in_words
    network = load_base(find_base(str(base)), saved.labels, "eager")[0]
    assert _step_seconds(network, documents(saved), 0, recipe) > 0


@pytest.mark.parametrize("way", ["truncate", "head-tail"])
def test_a_stride_belongs_to_windows(way):
    model = build({"model": {"long": way, "stride": 0.5}}).model
    with pytest.raises(ConfigError, match="--stride belongs to --long windows"):
        choose(Train(), CPU, 100, 10_000, CUT, model=model)


# From a file to answers


def late(rows=120):
    """Texts that begin with more words of no topic than a cut text would hold; one in ten is three times as long."""
    return [
        (f"{'the my a was it ' * (8 if i % 10 == 7 else 3)}{text}", label)
        for i, (text, label) in enumerate(made_up(rows, seed=8))
    ]


@pytest.fixture(scope="module")
def long_run(tmp_path_factory, base):
    """A classifier of documents in windows, (Run, file of its data)."""
    place = tmp_path_factory.mktemp("long")
    source = write_csv(place / "late.csv", late(180))
    return fitted_on(
        place / "late", source, base, epochs=12, patience=12, learning_rate=0.004, max_length=CUT, long="windows"
    ), source


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def predicted(folder, source, target, **how):
    from classifine.infer.predict import Wanted

    options = PredictOptions(Wanted(all_scores=True), **how)
    use.predict(folder, str(source), target, options, io.BytesIO(), lambda line: None)
    return lines(target)


def test_windows_are_read_twice_where_that_is_asked_for(tmp_path, base):
    rows = write_csv(tmp_path / "rows.csv", [(f"{text} {text}", label) for text, label in made_up(60, seed=4)])
    found = fitted_on(tmp_path / "model", rows, base, max_length=16, long="windows", r_drop=1.0, epochs=1)
    assert load(found.folder).record["recipe"]["r_drop"] == 1.0


def test_what_stands_at_the_end_is_learned(long_run):
    found = long_run[0].evaluation
    assert found.accuracy > 0.6
    # The pipeline's answers are those of the first window.
    assert found.plain["accuracy"] < found.accuracy
    assert json.loads((long_run[0].folder / "evaluation.json").read_text())["plain"] == found.plain


def test_predict_evaluate_and_python_give_the_same(long_run, tmp_path):
    folder = long_run[0].folder
    told = lines(folder / "predictions.jsonl")
    source = write_csv(tmp_path / "test.csv", [(row["text"], row["truth"]) for row in told])
    rows = predicted(folder, source, tmp_path / "out.jsonl")
    shards = [row for i in (1, 2) for row in predicted(folder, source, tmp_path / f"{i}.jsonl", shard=(i, 2))]
    classifier = TextClassifier.from_pretrained(folder)
    proba = classifier.predict_proba([row["text"] for row in told])
    for row, again, scores, one in zip(rows, shards, proba, told, strict=True):
        for name, value in zip(classifier.classes_, scores, strict=True):
            assert row[f"score:{name}"] == pytest.approx(value, abs=2e-6)
            assert again[f"score:{name}"] == pytest.approx(value, abs=2e-6)
            assert one["scores"][name] == pytest.approx(value, abs=1e-5)
    config = settings(source, "unused", max_length=CUT).data
    judged = use.evaluate_saved(folder, config, "torch", "float32", lambda line: None)
    assert judged.metrics == pytest.approx(long_run[0].evaluation.metrics, abs=1e-5)
    assert (
        classifier.evaluate([row["text"] for row in told], [row["truth"] for row in told]).accuracy == judged.accuracy
    )


def test_the_record_keeps_it_and_an_older_version_refuses(long_run, trained):
    saved = load(long_run[0].folder)
    record = json.loads((saved.folder / "classifine.json").read_text())
    assert (record["format"], record["long"], record["stride"]) == (2, "windows", 0.75)
    assert record["recipe"]["long"] == "windows"
    assert saved.long == ALL
    assert 0 < record["train_rows_cut"] <= record["rows"]["train"]
    plain = json.loads((trained / "classifine.json").read_text())
    assert (plain["format"], plain["long"], load(trained).long) == (1, "truncate", TRUNCATE)
    with pytest.raises(ValueError, match="'long' is 'upside down'"):
        _ = replace(saved, record={**saved.record, "long": "upside down"}).long


def test_the_card_tells_what_plain_transformers_reads(long_run, trained):
    card = " ".join((long_run[0].folder / "README.md").read_text().split())
    accuracy = long_run[0].evaluation.plain["accuracy"]
    assert "reads the first 16 tokens of a text only (the first window)" in card
    assert f"On the rows of the evaluation it so reaches accuracy {accuracy:.4f}" in card
    assert "all, in windows each 75% of one behind the last, their logits averaged" in card
    assert "Texts of more than 16 tokens are read in windows of as many" in card
    assert "first window" not in (trained / "README.md").read_text()
    page = (long_run[0].folder / "report.html").read_text()
    assert "Longer texts are read in windows" in page


def test_an_explanation_is_of_the_pooled_logits(long_run):
    saved = load(long_run[0].folder)
    text, _ = late()[7]
    (found,) = explain(saved, text, method="occlusion")
    assert found.windows == len(apart([text], saved.reader)[0]) > 2
    assert all(word.read for word in found.words)
    # What the last word adds: the drop of the mean when it is left out of the windows that hold it.
    reading = read(text, saved.tokenizer, CUT, saved.long)
    rows = reading.without([frozenset(), frozenset(reading.words[-1].places)])
    whole, less = logits(TorchEngine(saved.network), rows, 0)
    assert whole == pytest.approx(text_logits(saved, [text])[0], abs=1e-5)
    number = saved.labels.names.index(found.label)
    drop = (whole[number] - whole.mean()) - (less[number] - less.mean())
    assert found.words[-1].attribution == pytest.approx(float(drop), abs=1e-5)
    assert faithfulness(saved, found).curve[0] == pytest.approx(found.score, abs=1e-5)


def test_an_explanation_of_head_and_tail_reads_both_and_the_rest(saved):
    reader = replace(saved, record={**saved.record, "max_length": CUT, "long": "head-tail"})
    reading = read(TEXTS[3], reader.tokenizer, CUT, reader.long)
    assert len(reading.read) == CUT
    assert {max(reading.read), min(reading.read)} == {0, 51}
    assert set().union(*reading.windows) == set(range(52))
    (found,) = explain(reader, TEXTS[3], method="occlusion")
    assert [word.read for word in found.words] == [i < 4 or i >= 40 for i in range(50)]


@pytest.mark.parametrize(("name", "rows"), [("multi", several), ("pair", pairs), ("score", numbers)])
def test_every_task(tmp_path, base, name, rows):
    given = [
        {**row, next(iter(row)): f"{next(iter(row.values()))} {'so it was ' * (i % 9)}"}
        for i, row in enumerate(rows(40))
    ]
    source = records(tmp_path / "rows.jsonl", given)
    found = fitted_on(tmp_path / name, source, base, epochs=1, max_length=CUT, long="windows")
    saved = load(found.folder)
    told = lines(found.folder / "predictions.jsonl")
    texts = [(row["text"], row["text_pair"]) if name == "pair" else row["text"] for row in told]
    assert max(len(windows) for windows in apart(texts, saved.reader)) > 1
    scores = saved.decision.scores(text_logits(saved, texts))
    for row, own in zip(told, scores, strict=True):
        expected = [row["prediction"]] if name == "score" else list(row["scores"].values())
        assert own.tolist() == pytest.approx(expected, abs=1e-5)


def test_check_names_the_flag_until_it_is_given(tmp_path, base):
    source = write_csv(tmp_path / "late.csv", late())
    cut = run.check(settings(source, base, max_length=CUT))
    (fault,) = [fault for fault in cut.faults if fault.kind == "too-long"]
    assert "--long windows reads all of them" in fault.action
    given = run.check(settings(source, base, max_length=CUT, long="windows"))
    assert not [fault for fault in given.faults if fault.kind == "too-long"]


def test_topics_are_beyond_the_cut():
    assert all(
        not set(text.split()[: CUT - 2]) & {w for words in TOPICS.values() for w in words.split()} for text, _ in late()
    )
