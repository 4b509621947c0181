"""The last layer begins at the answer that suits all rows alike: the odds of each of several labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from test_trainer import recipe_for

from classifine.infer.forward import logits
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.network import load_base, output_layer, quiet_transformers
from classifine.train.lesson import input_columns, targets_of
from classifine.train.losses import Cost, weights_of
from classifine.train.start import start_at_odds
from classifine.train.trainer import train

LABELS = 60


@pytest.fixture
def several(encoded):
    """The rows with a list of 60 labels each: three by their class, which one row in three has, and 57 which hardly one has."""
    columns = encoded.to_dict()
    draw = np.random.default_rng(0)
    labels = (draw.random((len(columns["labels"]), LABELS)) < 0.02).astype(np.float32)
    labels[:, :3] = np.eye(3)[columns["labels"]]
    return Dataset.from_dict({**columns, "labels": labels.tolist()})


def fresh(base):
    torch.manual_seed(0)
    labels = Labels(tuple(f"topic {i}" for i in range(LABELS)), "str", "multi")
    return load_base(find_base(str(base)), labels, "eager", attention_dropout=False)[0]


def recipe_of(rows, **settings):
    return replace(recipe_for(rows, **settings), task="multi", metric="macro_f1")


def test_odds_are_those_of_the_shares_and_weights_and_temperature_count(base):
    shares = np.array([0.5, 0.0, 1.0, *[0.02] * (LABELS - 3)])
    network = fresh(base)
    start_at_odds(network, shares, 100)
    bias = output_layer(network).bias.detach()
    assert bias[:3].tolist() == pytest.approx([0, -np.log(201), np.log(201)], abs=1e-5)
    assert torch.sigmoid(bias[3]).item() == pytest.approx(0.02, abs=0.005)
    warm = fresh(base)
    start_at_odds(warm, shares, 100, [4.0] * LABELS, temperature=2.0)
    assert output_layer(warm).bias.tolist() == pytest.approx((2 * (bias + np.log(4))).tolist(), abs=1e-5)


def test_a_head_that_comes_with_a_bias_stays(base):
    network = fresh(base)
    with torch.no_grad():
        output_layer(network).bias.fill_(0.25)
    start_at_odds(network, np.full(LABELS, 0.02), 100)
    assert output_layer(network).bias.tolist() == [0.25] * LABELS


@pytest.mark.parametrize("class_weights", ["none", "sqrt"])
def test_no_step_is_spent_on_learning_that_labels_are_rare(base, several, tmp_path, class_weights):
    recipe = recipe_of(several, epochs=1, learning_rate=1e-5, head_rate=1, class_weights=class_weights)
    with quiet_transformers():
        found = train(fresh(base), several, several, 0, recipe, str(tmp_path), lambda line: None).history
    guess = Cost("multi", weights_of(recipe, targets_of(several), LABELS)).guess(targets_of(several))
    assert found[0]["train_loss"] == pytest.approx(guess, rel=0.05)


def test_labels_among_many_rare_ones_are_learned(base, several, tmp_path):
    network = fresh(base)
    with quiet_transformers():
        train(network, several, several, 0, recipe_of(several), str(tmp_path), lambda line: None)
    found = logits(TorchEngine(network), input_columns(several), 0)[:, :3].argmax(axis=1)
    assert (found == targets_of(several)[:, :3].argmax(axis=1)).mean() > 0.6
