"""A network that learned nothing: told from one that did, and made to give the most frequent label."""

import json
import random

import numpy as np
import pytest
from conftest import fitted_on, made_up, write_csv
from transformers import pipeline

from classifine import run
from classifine.config import build
from classifine.model.folder import load
from classifine.train.unlearned import NEVER_SEEN, guess_alike, is_unlearned, shares_of

TRUTH = np.array([0] * 60 + [1] * 40)
SHARES = np.array([0.6, 0.4])
GUESS = float(-np.log(SHARES)[TRUTH].mean())


@pytest.mark.parametrize(
    ("accuracy", "nll", "rows", "unlearned"),
    [
        (0.60, GUESS, 100, True),
        (0.64, GUESS, 100, True),  # within the standard error
        (0.66, GUESS, 100, False),
        (0.60, 0.9 * GUESS, 100, False),  # its scores tell rows apart that get the same label
        (0.10, 3 * GUESS, 100, True),
        (0.60, GUESS, 49, False),  # too few rows to tell
    ],
)
def test_what_counts_as_nothing(accuracy, nll, rows, unlearned):
    truth = TRUTH if rows == 100 else TRUTH[::2][:rows]
    assert is_unlearned({"accuracy": accuracy}, nll, truth, SHARES) == unlearned


def test_shares_are_those_of_the_rows():
    assert shares_of(np.array([0, 2, 2, 2]), 4) == pytest.approx([0.25, NEVER_SEEN, 0.75, NEVER_SEEN])


def test_a_head_without_a_bias_stays(base):
    from test_trainer import fresh

    network = fresh(base)
    network.classifier.bias = None
    before = network.classifier.weight.detach().clone()
    assert not guess_alike(network, np.array([0.5, 0.3, 0.2]))
    assert (network.classifier.weight == before).all()


@pytest.fixture(scope="module")
def at_random(tmp_path_factory):
    """Texts whose labels say nothing about them, one label more frequent than the others."""
    draw = random.Random(1)
    rows = [(text, draw.choice(("late", "late", "lost", "broken"))) for text, _ in made_up(600, seed=5)]
    return write_csv(tmp_path_factory.mktemp("data") / "random.csv", rows)


def test_labels_that_texts_do_not_tell_give_the_most_frequent_one(at_random, base, tmp_path):
    config = build({"data": {"source": str(at_random)}, "model": {"base": str(base)}, "train": {"batch_size": 64}})
    found = run.train(config, tmp_path / "model", False, lambda line: None)
    saved = load(tmp_path / "model")
    (alarm,) = [line for line in saved.record["alarms"] if line.startswith("Nothing was learned")]
    assert "so every text gets that label" in alarm
    majority = found.evaluation.as_json()["baselines"][0]["accuracy"]
    assert found.evaluation.accuracy == pytest.approx(majority)
    answers = pipeline("text-classification", str(tmp_path / "model"), top_k=None)(
        ["where is my parcel", "broken glass"]
    )
    assert answers[0] == answers[1]
    best = answers[0][0]
    assert best["label"] == "late"
    assert 0.4 < best["score"] < 0.65
    # What is told of validation rows is what that guess reaches there.
    history = [json.loads(line) for line in (tmp_path / "model" / "history.jsonl").read_text("utf-8").splitlines()]
    kept = history[saved.record["best_epoch"] - 1]["validation"]
    assert kept["predicted_classes"] == 1
    assert kept["loss"] == pytest.approx(saved.record["calibration"]["after"]["nll"], abs=1e-3)


def test_an_average_of_seeds_that_learned_nothing_gives_the_most_frequent_one(at_random, base, tmp_path):
    wishes = {"batch_size": 64, "seeds": 2, "keep": "average"}
    config = build({"data": {"source": str(at_random)}, "model": {"base": str(base)}, "train": wishes})
    found = run.train(config, tmp_path / "model", False, lambda line: None)
    saved = load(tmp_path / "model")
    assert len([line for line in saved.record["alarms"] if line.startswith("Nothing was learned")]) == 1
    assert found.evaluation.accuracy == pytest.approx(found.evaluation.as_json()["baselines"][0]["accuracy"])
    assert saved.network.classifier.weight.abs().max() == 0
    assert saved.record["soup"]["validation"]["predicted_classes"] == 1


def test_who_names_the_epochs_gets_the_network(at_random, base, tmp_path):
    fitted_on(tmp_path / "model", at_random, base, epochs=2)
    assert load(tmp_path / "model").network.classifier.weight.abs().max() > 0


def test_who_names_a_setting_of_the_loss_gets_the_network(at_random, base, tmp_path):
    wishes = {"batch_size": 64, "r_drop": 0.1}
    config = build({"data": {"source": str(at_random)}, "model": {"base": str(base)}, "train": wishes})
    run.train(config, tmp_path / "model", False, lambda line: None)
    assert load(tmp_path / "model").network.classifier.weight.abs().max() > 0


def test_what_was_learned_stays(saved):
    assert not any(line.startswith("Nothing was learned") for line in saved.record["alarms"])
