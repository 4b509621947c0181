"""Few labels: the probe, what a network learns beside it, which method is chosen, and what is saved of it."""

import importlib.util
import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import made_up, sentence_encoder, settings
from datasets import Dataset
from sklearn.linear_model import LogisticRegression
from test_trainer import CPU, Broken

from classifine import TextClassifier, run
from classifine.config import Model, Train, build
from classifine.data.encode import encode_names, pad_id, tokenise
from classifine.data.seen import count_seen
from classifine.errors import ConfigError, ModelError, TrainingError
from classifine.labels import Labels
from classifine.model.base import find_base, pooling_of
from classifine.model.folder import load
from classifine.model.network import load_base
from classifine.publish import _others, _plain_scores, files
from classifine.report.exported import ExportWish
from classifine.train.choose import FEW_PER_CLASS, choose
from classifine.train.contrast import TEMPERATURE, pair_loss
from classifine.train.few import features, learn
from classifine.train.method import Labelled, choose_method, learnable
from classifine.train.probe import END, STRENGTHS, TIMES, fit_head, fit_probe, joined, times_of
from classifine.train.trainer import in_parts, train
from classifine.use import export

ROWS = made_up(48, seed=5)
TEXTS, TOPIC = [text for text, _ in ROWS], [label for _, label in ROWS]
SEVERAL = [[label] if i % 4 else [label, "urgent"] for i, label in enumerate(TOPIC)]


@pytest.fixture(scope="module")
def sentences(base, tmp_path_factory):
    return sentence_encoder(base, tmp_path_factory.mktemp("sentences") / "tiny")


def clouds(classes, rows=12, width=6):
    """Vectors of length 1 around a direction for each class, with class ids."""
    draw = np.random.default_rng(3)
    targets = np.arange(classes * rows) % classes
    found = np.eye(width)[targets] + draw.normal(0, 0.4, (len(targets), width))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), targets


@pytest.mark.parametrize("classes", [2, 3])
def test_a_probe_is_logistic_regression_at_the_strength_that_answers_rows_left_out_best(classes):
    vectors, targets = clouds(classes)
    probe = fit_probe(vectors, targets, classes, "single", seed=0)
    expected = LogisticRegression(C=probe.strength, max_iter=2000).fit(vectors, targets)
    scores = np.exp(probe.logits(vectors))
    np.testing.assert_allclose(scores / scores.sum(1, keepdims=True), expected.predict_proba(vectors), atol=1e-6)
    assert (probe.strength in STRENGTHS, probe.folds) == (True, 5)
    # Rows are answered by probes that had not seen them.
    assert (probe.out_of_fold.argmax(1) == targets).mean() > 0.8
    assert not np.allclose(probe.out_of_fold, probe.logits(vectors), atol=0.05)


def test_a_probe_of_classes_with_a_row_or_none():
    vectors, targets = clouds(3)
    rare = np.concatenate([targets[:11], [3]])  # class 3 has one row, class 4 none
    probe = fit_probe(vectors[:12], rare, 5, "single", seed=0)
    assert probe.folds == 3
    assert np.isfinite(probe.out_of_fold).all()
    assert not (probe.logits(vectors).argmax(1) == 4).any()
    alone = fit_probe(vectors[:3], np.arange(3), 3, "single", seed=0)
    assert (alone.folds, alone.strength) == (0, 10)


def test_a_probe_of_several_labels_decides_on_each():
    vectors, targets = clouds(3)
    several = np.stack([targets == 0, targets != 2, np.ones(len(targets))], axis=1).astype(np.float32)
    probe = fit_probe(vectors, several, 3, "multi", seed=0)
    found = probe.logits(vectors) > 0
    assert (found == several).mean() > 0.9
    assert found[:, 2].all()  # a label that all rows have
    assert not probe.weight[2].any()


def test_names_of_labels_are_learned_from_unless_rows_left_out_speak_against_it():
    vectors, targets = clouds(3, rows=4)
    names = np.eye(6)[:3]
    more, truth = clouds(3, rows=60)
    without = fit_probe(vectors, targets, 3, "single", seed=0)
    found = fit_probe(vectors, targets, 3, "single", seed=0, names=names)
    assert (without.names, found.names) == (0, TIMES)
    assert found.loss < without.loss

    def loss(probe):
        odds = probe.logits(more)
        return -(odds - np.log(np.exp(odds).sum(1, keepdims=True)))[np.arange(len(more)), truth].mean()

    assert loss(found) < loss(without)
    assert found.out_of_fold.shape == without.out_of_fold.shape
    # Names that mean another label.
    swapped = fit_probe(vectors, targets, 3, "single", seed=0, names=names[[1, 2, 0]])
    assert (swapped.names, swapped.loss) == (0, without.loss)
    np.testing.assert_array_equal(swapped.weight, without.weight)
    # A row of each leaves nothing to tell by.
    alone = fit_probe(vectors[:3], np.arange(3), 3, "single", seed=0, names=names)
    assert (alone.folds, alone.names) == (0, 1)
    # Once it was decided, rows left out are not asked again.
    names = names[[1, 2, 0]]
    assert fit_probe(vectors, targets, 3, "single", seed=0, names=names, asked=False).names == TIMES


def test_names_count_no_more_than_rows():
    assert [times_of(rows, 5) for rows in (1, 5, 12, 20, 400)] == [1, 1, 2, 4, TIMES]
    vectors, targets = clouds(3)
    found, own = joined((vectors, targets), (np.eye(6)[:3], np.arange(3)), 2)
    np.testing.assert_array_equal(own, [*targets, 0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(found[-3:], np.eye(6)[:3])


def test_the_loss_of_pairs_is_that_of_the_paper():
    vectors = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    vectors.requires_grad_()
    labels = [0, 1, 0, 1, 2]  # the last is alone
    alike = (vectors @ vectors.T / TEMPERATURE).exp()
    each = [
        -torch.stack([(alike[i, j] / (alike[i].sum() - alike[i, i])).log() for j in range(5) if j != i and labels[j] == labels[i]]).mean()
        for i in range(4)
    ]  # fmt: skip
    found = pair_loss(vectors, torch.tensor(labels))
    torch.testing.assert_close(found, torch.stack(each).mean(), rtol=1e-4, atol=0)
    assert pair_loss(vectors, torch.arange(5)) == 0
    alone = vectors[:1].detach().clone().requires_grad_()  # as the last batch of an epoch may be
    pair_loss(alone, torch.tensor([0])).backward()
    assert alone.grad is not None and (alone.grad == 0).all()
    found.backward()
    assert torch.isfinite(vectors.grad).all()


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ('{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}', "mean"),
        ('{"pooling_mode": "cls"}', "cls"), ('{"pooling_mode": ["mean"]}', "mean"), ('{"pooling_mode": ["mean", "cls"]}', None),
        ('{"pooling_mode_max_tokens": true}', None), ('{"pooling_mode_max_tokens": true, "pooling_mode_mean_tokens": true}', None),
        ("[]", None), ("{", None),
    ],
)  # fmt: skip
def test_how_a_sentence_encoder_sums_up(sentences, tmp_path, config, pooling):
    folder = shutil.copytree(sentences, tmp_path / "base")
    (folder / "1_Pooling" / "config.json").write_text(config)
    assert pooling_of(folder) == pooling
    (folder / "modules.json").unlink()
    assert pooling_of(folder) is None


def data(rows=30, labels=3, task="single", pairs=False, sentence_encoder=True):
    return Labelled(rows, labels, task, pairs, sentence_encoder)


@pytest.mark.parametrize(
    ("found", "method", "why"),
    [
        (data(), "lp-ft", "10 rows a class are few"),
        (data(rows=3 * FEW_PER_CLASS), "lp-ft", "64 at most"),
        (data(rows=3 * FEW_PER_CLASS + 3), "finetune", "65 rows a class"),
        (data(sentence_encoder=False), "finetune", "no sentence encoder"),
        (data(task="multi"), "finetune", "this task"),
        (data(task="score", labels=1), "finetune", "this task"),
        (data(pairs=True), "finetune", "pairs of texts"),
    ],
)
def test_the_method_follows_the_data_and_the_base(found, method, why):
    chosen, said = choose_method(Train(), Model(), found)
    assert chosen == method
    assert why in said
    assert choose_method(Train(method="finetune"), Model(), found)[0] == "finetune"


@pytest.mark.parametrize(
    ("train", "found", "sentence"),
    [
        ({"method": "probe"}, data(task="score"), "does not learn numbers. Use --method finetune"),
        ({"method": "lp-ft"}, data(pairs=True), "does not learn pairs of texts. Use --method finetune"),
        ({"method": "contrastive"}, data(task="multi"), "Use --method lp-ft"),
        ({"method": "probe", "epochs": 3, "optimizer": "sam"}, data(), "--epochs, --optimizer cannot be"),
    ],
)
def test_what_a_method_does_not_do_is_refused_with_one_that_does(train, found, sentence):
    with pytest.raises(ConfigError, match=sentence):
        choose_method(Train(**train), Model(), found)


def test_few_labels_are_trained_in_small_steps_that_grow_with_the_rows():
    few, more, many = (choose(Train(), CPU, rows, 22_000_000, 256, method="lp-ft") for rows in (28, 100, 5000))
    assert few.epochs > more.epochs > many.epochs
    assert few.steps < many.steps
    assert (few.batch_size, few.head_rate, few.fallback_rate, few.keeps_last) == (16, 1, None, True)
    own = choose(
        Train(batch_size=7, head_rate=3, learning_rate=1e-3, epochs=2), CPU, 28, 22_000_000, 256, method="lp-ft"
    )
    assert (own.batch_size, own.head_rate, own.learning_rate, own.epochs) == (7, 3, 1e-3, 2)
    assert choose(Train(), CPU, 28, 22_000_000, 256, method="probe").steps == 0


def taught(base, method, labels=TOPIC, **more):
    steps = {} if method == "probe" else {"epochs": 2, "batch_size": 16}
    given = {"base": str(base), "method": method, "max_length": 32, "precision": "float32", **steps, **more}
    return TextClassifier(**given).fit(TEXTS, labels)


@pytest.fixture(scope="module", params=["probe", "lp-ft", "contrastive", "multi"])
def there(request, sentences, tmp_path_factory):
    """(classifier, its folder) of each method, and of several labels."""
    method, labels = ("lp-ft", SEVERAL) if request.param == "multi" else (request.param, TOPIC)
    found = taught(sentences, method, labels)
    return found, found.save_pretrained(tmp_path_factory.mktemp("few") / request.param)


def test_there_and_back(there):
    first, folder = there
    again = TextClassifier.from_pretrained(folder)
    np.testing.assert_allclose(again.predict_proba(TEXTS[:6]), first.predict_proba(TEXTS[:6]), atol=1e-6)
    assert {file.suffix for file in folder.rglob("*") if file.is_file()} == {".json", ".safetensors", ".md"}
    assert len({file.stat().st_mode for file in folder.rglob("*") if file.is_file()}) == 1
    way = "gradients" if importlib.util.find_spec("captum") else "occlusion"
    assert again.explain(TEXTS[0], method=way).strongest(1)[0].attribution
    assert first._saved.record["probe"]["folds"] == 5
    assert first._saved.record["calibration"]["folded"]
    card = (folder / "README.md").read_text("utf-8")
    assert 'SentenceTransformer("PATH")' in card
    assert "pipeline(" not in card
    assert "library_name: sentence-transformers" in card


def test_plain_sentence_transformers_gives_the_logits(there):
    sentence_transformers = pytest.importorskip("sentence_transformers", reason="an extra of the tests")
    first, folder = there
    texts = [*TEXTS[:6], "word " * 60]
    found = sentence_transformers.SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(found, first._logits(texts), atol=1e-4)
    # With it a classifier is looked at that was just published.
    assert _others(folder) == "sentence-transformers"
    for by in ("sentence-transformers", "classifine"):
        scores = _plain_scores(folder, texts, load(folder), by)
        np.testing.assert_allclose(scores, first.predict_proba(texts), atol=1e-4)


def test_what_is_published_is_all_that_others_need(there):
    wanted, left = files(there[1])
    names = {file.relative_to(there[1]).as_posix() for file in wanted}
    assert {"modules.json", "1_Pooling/config.json", "3_Dense/config.json", "3_Dense/model.safetensors"} < names
    assert left == []


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="the engines' packages are an extra")
def test_it_is_exported(sentences, tmp_path):
    said = []
    export(taught(sentences, "probe").save_pretrained(tmp_path / "model"), "openvino", ExportWish(), said.append)
    assert "scores differ by" in said[0]


def test_a_probe_leaves_the_encoder_as_it_is_and_others_do_not(sentences):
    before = load_base(find_base(str(sentences)), Labels.ordered(TOPIC), pooling="mean")[0].encoder.state_dict()
    for method in ("probe", "lp-ft", "contrastive"):
        found = taught(sentences, method)._saved
        after = found.network.encoder.state_dict()
        same = {
            name: torch.equal(value, after[name].cpu())
            for name, value in before.items()
            if not name.startswith("pooler")
        }
        # Few texts have few of the words.
        assert same.pop("embeddings.word_embeddings.weight")
        assert all(same.values()) if method == "probe" else not any(same.values())
        assert all(weight.requires_grad for weight in found.network.parameters())
        words, every = before["embeddings.word_embeddings.weight"].numel(), found.network.num_parameters()
        head = sum(weight.numel() for weight in found.network.classifier.parameters())
        assert found.record["trained_weights"] == (head if method == "probe" else every - words)
        assert found.record["calibration"]["left_out"] == (len(TEXTS) - 6 if method == "probe" else 0)
        assert found.record["best_epoch"] == found.record["epochs_run"]


@pytest.fixture
def trained(monkeypatch):
    """What `train` was given, each time that few labels had steps."""
    found = []
    monkeypatch.setattr("classifine.train.few.train", lambda *given: found.append(given) or train(*given))
    return found


@pytest.mark.parametrize(
    ("method", "long"),
    [("probe", "truncate"), ("probe", "windows"), ("lp-ft", "truncate"), ("lp-ft", "windows"), ("contrastive", "truncate")],
)  # fmt: skip
def test_what_labels_are_called_is_learned_from(sentences, monkeypatch, trained, method, long):
    monkeypatch.setattr("classifine.train.probe.DOUBT", math.inf)  # names of a random network's words tell nothing
    headed = []
    monkeypatch.setattr(
        "classifine.train.few.fit_head", lambda *given: headed.append(len(given[1])) or fit_head(*given)
    )
    own = taught(sentences, method, long=long, max_length=8 if long == "windows" else 32)._saved
    rows, names = len(TEXTS) - 6, TIMES * len(own.labels)
    read = names if method == "lp-ft" else 0
    assert [len(given[1]) for given in trained] == ([] if method == "probe" else [rows + read, len(TEXTS) + read])
    assert (own.record["recipe"]["name_rows"], own.record["probe"]["names"]) == (names, TIMES)
    assert own.record["calibration"]["left_out"] == (rows if method == "probe" else 0)
    # Contrastive training judges each of two epochs with a head of its own, and ends with one that nobody judges.
    last = {"probe": [], "lp-ft": [rows, len(TEXTS)], "contrastive": [rows + names, rows + names, len(TEXTS) + names]}
    assert headed == last[method]
    if method == "lp-ft":
        assert own.record["recipe"]["steps"] == 2 * math.ceil((rows + names) / 16)
        told, ids = trained[0][1], list(range(len(own.labels)))
        assert told["labels"][rows:] == ids * TIMES
        # Among the rows, which are longer.
        assert set(told["length"][rows:]) <= set(told["length"][:rows])
        if long == "truncate":
            texts = own.tokenizer.batch_decode(told["input_ids"][rows:], skip_special_tokens=True)
            assert [text.replace(" ", "") for text in texts] == list(own.labels.names) * TIMES


@pytest.mark.parametrize("off", ["setting", "rows left out", "numbers", "several", "weights"])
def test_what_labels_are_called_is_not_learned_from(sentences, monkeypatch, trained, off):
    wish = {"setting": {"label_names": False}, "weights": {"class_weights": "sqrt"}}.get(off, {})
    monkeypatch.setattr("classifine.train.probe.DOUBT", 0.0)
    numbers = [sorted(set(TOPIC)).index(label) for label in TOPIC]
    own = taught(sentences, "lp-ft", {"numbers": numbers, "several": SEVERAL}.get(off, TOPIC), warmup=5, **wish)._saved
    rows = len(trained[0][1])
    assert [len(given[1]) for given in trained] == [rows, len(TEXTS)]
    assert own.record["probe"]["names"] == 0
    assert bool(own.record["recipe"]["name_rows"]) == (off == "rows left out")
    assert own.record["recipe"]["steps"] == 2 * math.ceil(rows / 16)
    # A number of steps is what was wished for, however many there are.
    assert {given[4].warmup_steps for given in trained} == {5}


def test_the_second_pass_takes_names_or_leaves_them_as_the_first_did(sentences, monkeypatch, trained):
    given = []

    def told(*values):
        given.append(values[6:])
        probe = fit_probe(*values)
        monkeypatch.setattr("classifine.train.probe.DOUBT", 0.0)  # from now on rows left out would speak against them
        return probe

    monkeypatch.setattr("classifine.train.probe.DOUBT", math.inf)
    monkeypatch.setattr("classifine.train.few.fit_probe", told)
    own = taught(sentences, "lp-ft")._saved
    assert [asked for _, asked in given] == [True, False]
    assert [len(one[1]) - TIMES * len(own.labels) for one in trained] == [len(TEXTS) - 6, len(TEXTS)]


def test_a_label_without_rows_is_known_by_its_name(sentences, tmp_path, monkeypatch):
    monkeypatch.setattr("classifine.train.probe.DOUBT", math.inf)
    labels = Labels.ordered([*TOPIC, "weather"])
    network, tokenizer = load_base(find_base(str(sentences)), labels, pooling="mean")
    read = tokenise(TEXTS, tokenizer, 32)
    lengths = list(map(len, read["input_ids"]))
    rows = Dataset.from_dict({**read, "length": lengths, "labels": labels.targets(TOPIC).tolist()})
    recipe = choose(Train(epochs=1), CPU, len(rows), 22_000_000, 32, method="lp-ft", named=len(labels))
    learn(network, rows, None, pad_id(tokenizer), recipe, str(tmp_path), str, names=encode_names(labels, tokenizer, 32))
    absent = labels.label2id["weather"]
    assert network.classifier.weight[absent].abs().sum() > 0
    learn(network, rows, None, pad_id(tokenizer), replace(recipe, name_rows=0), str(tmp_path), str)
    assert network.classifier.weight[absent].abs().sum() == 0


@pytest.mark.parametrize(("method", "targets"), [("lp-ft", TOPIC), ("lp-ft", SEVERAL), ("contrastive", TOPIC)])
def test_an_encoder_that_diverges_is_one_sentence(sentences, tmp_path, method, targets):
    task = "multi" if targets is SEVERAL else "single"
    labels = Labels.ordered(sorted({*TOPIC, *(["urgent"] if task == "multi" else [])}), "str", task)
    network, tokenizer = load_base(find_base(str(sentences)), labels, pooling="mean")
    read = tokenise(TEXTS, tokenizer, 32)
    lengths = list(map(len, read["input_ids"]))
    rows = Dataset.from_dict({**read, "length": lengths, "labels": labels.targets(targets).tolist()})
    recipe = choose(Train(epochs=2), CPU, len(rows), 22_000_000, 32, task, method=method)
    with pytest.raises(TrainingError, match="diverged"):
        learn(network, rows, rows, pad_id(tokenizer), recipe, str(tmp_path), str, callbacks=[Broken(0)])


@pytest.mark.parametrize("method", ["probe", "lp-ft", "contrastive"])
def test_in_the_end_all_rows_are_learned_from(sentences, monkeypatch, method):
    seen = []

    def counted(network, rows, validation, *more, **others):
        seen.append((len(rows), None if validation is None else len(validation)))
        return learn(network, rows, validation, *more, **others)

    for module in ("fit", "few"):
        monkeypatch.setattr(f"classifine.train.{module}.learn", counted)
    own = taught(sentences, method, seed=3)._saved
    assert seen == [(len(TEXTS) - 6, 6), (len(TEXTS), None)]
    # What validation rows told is of the network that had not seen them.
    without = taught(sentences, method, seed=3, all_rows=False)._saved
    assert seen[2:] == [(len(TEXTS) - 6, 6)]
    for told in ("calibration", "doubt", "decision"):
        assert own.record[told] == without.record[told]
    assert (own.record["recipe"]["all_rows"], without.record["recipe"]["all_rows"]) == (True, False)
    weights = [one.network.classifier.weight.detach().cpu() for one in (own, without)]
    assert not torch.allclose(*weights, rtol=0, atol=1e-4)
    # Rows that the user gave to judge by stay that.
    config = {"base": str(sentences), "method": method, "precision": "float32"}
    TextClassifier(**config, **({} if method == "probe" else {"epochs": 1})).fit(TEXTS, TOPIC, (TEXTS[:9], TOPIC[:9]))
    assert len(seen) == 4


def test_all_rows_are_told_as_learned_from(sentences, tickets, tmp_path):
    said = []
    done = run.train(settings(tickets, sentences, method="lp-ft", epochs=1), tmp_path / "model", False, said.append)
    record = json.loads((done.folder / "classifine.json").read_text("utf-8"))
    assert any("in the end anew from all rows" in line for line in said)
    assert any(
        f"learns anew from {record['rows']['train'] + record['rows']['validation']} rows" in line for line in said
    )
    known = json.loads((done.folder / "data_report.json").read_text("utf-8"))["train_texts"]
    texts = [line.split(",")[0] for line in tickets.read_text("utf-8").splitlines()[1:]]
    judged = [json.loads(line)["text"] for line in (done.folder / "predictions.jsonl").read_text("utf-8").splitlines()]
    assert count_seen(sorted(set(texts) - set(judged)), known) == len(set(texts) - set(judged))
    page = (done.folder / "report.html").read_text("utf-8")
    assert "calibrated on validation rows, before they were learned from" in page
    assert "learned from validation rows, too" in (done.folder / "README.md").read_text("utf-8")


@pytest.mark.parametrize("cost", [{}, {"class_weights": "balanced"}, {"focal": 2.0}])
def test_a_head_that_answers_cost_something_else_stays_as_it_was_trained(sentences, monkeypatch, cost):
    headed = []
    monkeypatch.setattr("classifine.train.few.fit_head", lambda *given: headed.append(given[3]) or fit_head(*given))
    taught(sentences, "lp-ft", **cost)
    assert headed == ([] if cost else [END, END])


def test_an_average_of_seeds_is_judged_by_rows_that_none_has_learned_from():
    own = {"spare": True, "method": "lp-ft"}
    assert choose(Train(), CPU, 60, 22_000_000, 256, **own).all_rows
    assert not choose(Train(seeds=2, keep="average"), CPU, 60, 22_000_000, 256, **own).all_rows
    assert not choose(Train(), CPU, 60, 22_000_000, 256, spare=True).all_rows


def test_contrastive_training_draws_texts_of_one_label_together(sentences):
    def parted(classifier):
        network, tokenizer = classifier._saved.network, classifier._saved.tokenizer
        vectors = features(network, rows_of(tokenizer), pad_id(tokenizer), "float32")
        same = np.array(TOPIC)[:, None] == np.array(TOPIC)
        alike = vectors @ vectors.T
        return alike[same].mean() - alike[~same].mean()

    plain, adapted = taught(sentences, "probe"), taught(sentences, "contrastive", epochs=20, learning_rate=1e-3)
    assert parted(adapted) > 3 * parted(plain)
    assert adapted.evaluate(TEXTS, TOPIC).accuracy > 0.8


class Listed(dict):
    """Columns as a dataset has them."""

    column_names = property(list)


def rows_of(tokenizer):
    return Listed(input_ids=tokenizer(TEXTS)["input_ids"])


def test_a_run_from_file_to_report_by_a_method_of_few_labels(sentences, tickets, tmp_path):
    said = []
    config = settings(tickets, sentences, method="auto", seeds=2, epochs=1)
    done = run.train(config, tmp_path / "model", False, said.append)
    assert any(line.startswith("method  lp-ft: 32 rows a class are few") for line in said)
    record = json.loads((done.folder / "classifine.json").read_text("utf-8"))
    assert (record["recipe"]["method"], len(record["seeds"])) == ("lp-ft", 2)
    assert (done.folder / "report.html").is_file()


@pytest.mark.parametrize("method", ["probe", "contrastive"])
def test_a_plan_without_training(sentences, tickets, method):
    config = build({"data": {"source": str(tickets)}, "model": {"base": str(sentences)}, "train": {"method": method}})
    found = run.dry_run(config, None, False, lambda line: None)
    assert found.recipe.method == method
    assert ("none, a probe" in found.lines()[1]) == (method == "probe")


def test_an_estimate_counts_all_forward_passes(sentences, tickets, monkeypatch):
    monkeypatch.setattr("classifine.train.plan._step_seconds", lambda *step: 3.0)

    def planned(**train):
        own = {"epochs": 2, "batch_size": 10, **train}
        config = build({"data": {"source": str(tickets)}, "model": {"base": str(sentences)}, "train": own})
        return run.dry_run(config, None, False, lambda line: None)

    plain = planned(method="finetune")
    rows, steps = plain.rows, plain.recipe.steps
    judged = 2 * rows["validation"] + rows["test"]
    assert plain.seconds == pytest.approx(3 * steps + judged / 10)
    assert planned(method="finetune", optimizer="sam").seconds == pytest.approx(plain.seconds + 3 * steps)
    assert planned(method="finetune", optimizer="asam", ascent_share=0.5).seconds == pytest.approx(
        plain.seconds + 1.5 * steps
    )
    # The probe reads the training rows once, a contrastive run again for the head of each epoch.
    few = {"all_rows": False, "label_names": False}
    assert planned(method="lp-ft", **few).seconds == pytest.approx(plain.seconds + rows["train"] / 10)
    assert planned(method="contrastive", **few).seconds == pytest.approx(plain.seconds + 3 * rows["train"] / 10)
    # In the end anew from validation rows, too: a probe, the steps and the head.
    every = rows["train"] + rows["validation"]
    again = 3 * 2 * math.ceil(every / 10) + 2 * every / 10
    unnamed = planned(method="lp-ft", label_names=False).seconds
    assert unnamed == pytest.approx(plain.seconds + rows["train"] / 10 + again)
    # And with the names of the labels as rows.
    more = [
        math.ceil((count + 3 * times_of(rows["train"], 3)) / 10) - math.ceil(count / 10)
        for count in (rows["train"], every)
    ]
    assert planned(method="lp-ft").seconds == pytest.approx(unnamed + 3 * 2 * sum(more))
    assert planned(method="finetune", seeds=3).seconds == pytest.approx(3 * plain.seconds)


def test_folders_that_are_not_whole(there, tmp_path):
    folder = shutil.copytree(there[1], tmp_path / "copy")
    (folder / "3_Dense" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="did not load"):
        _ = load(folder).network
    (folder / "modules.json").write_text("[]")
    with pytest.raises(ModelError, match="names other modules"):
        _ = load(folder).network


def test_contrastive_needs_a_batch_as_a_whole():
    recipe = choose(Train(), CPU, 60, 10_000, 32, method="contrastive")
    with pytest.raises(
        TrainingError, match=r"which --method contrastive compares with one another\. Lower --batch-size"
    ):
        in_parts(recipe, print)


@pytest.mark.parametrize(("method", "says"), [("probe", "so --keep cannot be"), ("contrastive", "so --keep cannot be")])
def test_what_is_refitted_is_not_averaged(method, says):
    few = Labelled(60, 3, "single", False, True)
    with pytest.raises(ConfigError, match=says):
        choose_method(Train(method=method, seeds=3, keep="average"), Model(), few)


def test_labels_of_a_row_or_two_do_not_make_the_others_few():
    names = [("a",)] * 100 + [("b",)] * 100 + [("A",), ("bb",), ()]
    assert learnable(names) == (200, 2)
    assert learnable([("a",), ("b",)]) == (2, 2)
    # Of rows of labels that do not count none is theirs either.
    many = [(str(i % 77),) for i in range(3 * 77 + 1)]
    assert learnable(many) == (4, 1)
    assert choose_method(Train(), Model(), Labelled(*learnable(many), "single", False, True))[0] == "lp-ft"
