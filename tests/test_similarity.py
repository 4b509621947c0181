"""What a sentence encoder learns before the labels of pairs: pairs to compare, their cosines, and an encoder that knows."""

import json

import numpy as np
import pytest
import torch
from conftest import made_up
from test_trainer import CPU

from classifine import TextClassifier
from classifine.config import Model, Train
from classifine.infer.embed import embed
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.network import load_base
from classifine.train import similarity
from classifine.train.choose import SIMILARITY_PAIRS, SIMILARITY_ROWS, choose
from classifine.train.similarity import learn_similarity, nearest, pairs_of

TEXTS = [text for text, _ in made_up(240, seed=5)]
PAIRS = list(zip(TEXTS[:120], TEXTS[120:], strict=True))


def recipe_of(rows=500, texts="pairs", sentence_encoder=True, model=None, **wishes):
    return choose(
        Train(**wishes), CPU, rows, 22_000_000, 32, "single", texts, model or Model(), "finetune", sentence_encoder
    )


def test_who_compares_first():
    assert recipe_of().similarity_pairs == 2000
    assert recipe_of(rows=100_000).similarity_pairs == SIMILARITY_PAIRS
    assert "2000 pairs" in "\n".join(recipe_of().lines())
    for other in (
        recipe_of(texts="long"), recipe_of(sentence_encoder=False), recipe_of(pair_similarity=False),
        recipe_of(rows=SIMILARITY_ROWS - 1), recipe_of(model=Model(adapter="lora")),
    ):  # fmt: skip
        assert other.similarity_pairs == 0
        assert "similarity" not in "\n".join(other.lines())


def test_the_nearest_are_those_of_the_whole_table(monkeypatch):
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(50, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = draw.integers(0, 50, 33)
    monkeypatch.setattr(similarity, "_BLOCK", 7)
    found = nearest(vectors, asked, 5)
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -2)
    for i, place in enumerate(asked):
        assert set(found[i]) == set(np.argsort(-alike[place])[:5])
    assert nearest(vectors[:1], np.array([0]), 0).shape == (1, 0)


def test_pairs_are_those_given_both_ways_round_and_others_drawn_by_seed():
    vectors = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    first, second = np.arange(20), np.arange(20, 40)
    found = pairs_of(first, second, vectors, np.random.default_rng(2))
    listed = list(map(tuple, found.tolist()))
    assert len(set(listed)) == len(listed) > 60
    assert {*zip(first, second, strict=True), *zip(second, first, strict=True)} <= set(listed)
    assert listed == list(map(tuple, pairs_of(first, second, vectors, np.random.default_rng(2)).tolist()))
    assert listed != list(map(tuple, pairs_of(first, second, vectors, np.random.default_rng(3)).tolist()))
    # A single text has no neighbour.
    assert pairs_of(np.array([0]), np.array([0]), vectors[:1], np.random.default_rng(2)).tolist() == [[0, 0]]


def classifier_of(base):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return load_base(base, Labels.ordered(["a", "b"], "str"))


def test_the_encoder_learns_its_own_cosines_and_the_head_stays(base):
    """Random weights, so that little is to be known, but the numbers must move and come back the same."""
    found, own = find_base(str(base)), recipe_of(rows=120)
    states, told = [], []
    for _ in range(2):
        network, tokenizer = classifier_of(found)
        before = {name: weight.clone() for name, weight in network.state_dict().items()}
        with torch.random.fork_rng():
            torch.manual_seed(3)
            told.append(learn_similarity(network, tokenizer, PAIRS, found, own, 7, lambda line: None))
        states.append(network.state_dict())
    assert 360 < told[0].pairs <= own.similarity_pairs == 480  # some are drawn twice
    assert -1 <= told[0].pearson <= 1
    changed = {name for name, weight in states[0].items() if not torch.equal(weight, before[name])}
    assert changed
    assert all(name.startswith(network.base_model_prefix) for name in changed)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_its_targets_are_the_cosines_of_the_base(base, monkeypatch):
    seen = {}

    def watched(network, rows, validation, pad, recipe, *rest):
        seen.update(rows=rows, recipe=recipe)
        raise KeyboardInterrupt

    monkeypatch.setattr(similarity, "train", watched)
    found = find_base(str(base))
    network, tokenizer = classifier_of(found)
    with pytest.raises(KeyboardInterrupt):
        learn_similarity(network, tokenizer, PAIRS, found, recipe_of(rows=120), 7, lambda line: None)
    assert seen["recipe"].task == "score"
    assert seen["recipe"].similarity_pairs == 0
    vectors = embed(TEXTS, found, 32, "float32")
    expected = {}
    for i, one in enumerate(TEXTS):
        for j in range(len(TEXTS)):
            ids = tuple(tokenizer(one, TEXTS[j], truncation=True, max_length=32)["input_ids"])
            expected.setdefault(ids, []).append(float(vectors[i] @ vectors[j]))
    for row in seen["rows"].select(range(60)):
        assert min(abs(row["labels"] - one) for one in expected[tuple(row["input_ids"])]) < 1e-5


def test_a_run_tells_of_it(base, tmp_path, monkeypatch):
    monkeypatch.setattr("classifine.model.base.Base.pooling", "mean")
    labels = ["same" if i % 2 else "other" for i in range(120)]
    settings = {"base": str(base), "epochs": 1, "max_length": 32, "precision": "float32"}
    clf = TextClassifier(**settings).fit(PAIRS, labels)
    record = json.loads((clf.save_pretrained(tmp_path / "with") / "classifine.json").read_text("utf-8"))
    assert 0 < record["pair_similarity"]["pairs"] <= record["recipe"]["similarity_pairs"]
    assert record["train_seconds"] >= record["pair_similarity"]["seconds"]
    assert "before the labels" in (tmp_path / "with" / "README.md").read_text("utf-8")
    without = TextClassifier(**settings, pair_similarity=False).fit(PAIRS, labels)
    record = json.loads((without.save_pretrained(tmp_path / "without") / "classifine.json").read_text("utf-8"))
    assert "pair_similarity" not in record
    assert "before the labels" not in (tmp_path / "without" / "README.md").read_text("utf-8")
