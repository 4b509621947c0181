"""Weights of several seeds averaged: who joins, what is kept, what is told."""

import json

import pytest
import torch
from conftest import QUICK, fitted_on, settings

from classifine import run
from classifine.config import build
from classifine.errors import ConfigError
from classifine.train import fit, soup
from classifine.train.soup import put_away, stir
from classifine.train.wishes import check_keep


def network(value):
    found = torch.nn.Linear(2, 1)
    with torch.no_grad():
        for weight in found.parameters():
            weight.fill_(value)
    return found


@pytest.mark.parametrize(
    ("values", "aim", "joined", "mean"),
    [
        ((1.0, 3.0), 2.0, (0, 1), 2.0),
        ((1.0, 5.0, 3.0), 1.9, (0, 2), 2.0),  # the second would make it worse, and is passed over
        ((1.0, 3.0), 0.5, (0,), 1.0),
        ((1.0, 1.0), 0.0, (0, 1), 1.0),  # no worse is good enough
    ],
)
def test_a_run_joins_where_the_average_is_no_worse(tmp_path, values, aim, joined, mean):
    files = [tmp_path / f"{place}.safetensors" for place in range(len(values))]
    for file, value in zip(files, values, strict=True):
        put_away(network(value), file)
    kept = network(0.0)
    soup = stir(kept, files, lambda own: {"loss": abs(float(own.bias.detach()) - aim)}, "loss")
    assert soup.joined == joined
    assert all(torch.allclose(weight, torch.full_like(weight, mean)) for weight in kept.parameters())
    assert soup.reached["loss"] <= soup.best["loss"]


def test_seeds_begin_with_one_head_and_become_one_classifier(tickets, base, tmp_path, monkeypatch):
    heads, said = [], []
    trained = fit.train

    def noted(network, *rest, **more):
        heads.append(network.classifier.weight.detach().clone())
        return trained(network, *rest, **more)

    monkeypatch.setattr(fit, "train", noted)
    config = settings(tickets, base, seeds=2, epochs=2, patience=2, keep="average")
    found = run.train(config, tmp_path / "soup", False, said.append)
    assert torch.equal(*heads)
    record = json.loads((found.folder / "classifine.json").read_text("utf-8"))
    assert [one["seed"] for one in record["seeds"]] == [QUICK["seed"], QUICK["seed"] + 1]
    assert record["seeds"][0]["validation"] != record["seeds"][1]["validation"]  # order and dropout are their own
    stirred = record["soup"]
    assert stirred["validation"]["macro_f1"] >= stirred["best"]["macro_f1"]
    words = "averaged: on validation" if len(stirred["seeds"]) > 1 else "it stays alone"
    assert any(words in line for line in said)
    kept = "the average of the weights" if len(stirred["seeds"]) > 1 else "the seed that was best on validation rows"
    assert kept in (found.folder / "README.md").read_text("utf-8")


def test_where_no_average_is_as_good_the_best_seed_is_as_it_would_be(tickets, base, tmp_path, monkeypatch):
    ranks = iter([(0.0,), (1.0,)])  # of the average, and of the best alone
    monkeypatch.setattr(soup, "rank", lambda metric, reached: next(ranks))
    found = fitted_on(tmp_path / "soup", tickets, base, seeds=2, epochs=1, keep="average")
    alone = json.loads((found.folder / "classifine.json").read_text("utf-8"))
    best = max(alone["seeds"], key=lambda one: (one["validation"]["macro_f1"], -one["validation"]["loss"]))
    assert (alone["seed"], alone["soup"]["seeds"]) == (best["seed"], [best["seed"]])
    assert best["test"]["accuracy"] == found.evaluation.accuracy


def test_one_seed_cannot_be_averaged():
    with pytest.raises(ConfigError, match="there is one seed"):
        check_keep(build({"train": {"keep": "average"}}).train)
