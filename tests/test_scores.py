"""Numbers of any size are learned alike: the start at their mean, the last layer's rate, its float32."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from test_trainer import recipe_for

from classifine.errors import DataError
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.network import load_base, output_layer, quiet_transformers
from classifine.train.judged import JudgedTrainer
from classifine.train.lesson import Lesson
from classifine.train.recipe import training_arguments
from classifine.train.scores import exact_output
from classifine.train.start import start_at_mean
from classifine.train.trainer import train


def fresh(base):
    torch.manual_seed(0)
    return load_base(find_base(str(base)), Labels(("score",), "str", "score"), "eager", attention_dropout=False)[0]


@pytest.fixture
def rows(encoded):
    """Each row with its class as a number, by a mean and a deviation."""

    def scored(mean, deviation):
        columns = encoded.to_dict()
        labels = np.array(columns["labels"], dtype=float)
        told = mean + deviation * (labels - labels.mean()) / labels.std()
        return Dataset.from_dict({**columns, "labels": told.tolist()}).with_format(None)

    return scored


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (2001.0, 3.0), (-4e5, 1e5), (0.002, 0.001), (0.0, 3e17)])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_numbers_of_any_size_are_learned(base, rows, tmp_path, mean, deviation, precision):
    given = rows(mean, deviation)
    recipe = recipe_for(given, precision=precision, epochs=6, learning_rate=0.003, head_rate=2)
    recipe = replace(recipe, task="score", metric="pearson")
    parts = given.select(range(90)), given.select(range(90, 120))
    with quiet_transformers():
        found = train(fresh(base), *parts, 0, recipe, str(tmp_path), lambda line: None).history
    # The first epoch is near the constant guess of their mean, and losses are in the units of the numbers.
    assert found[0]["train_loss"] / deviation**2 == pytest.approx(1, abs=0.2)
    assert max(epoch["validation"]["pearson"] for epoch in found) > 0.8
    assert min(epoch["validation"]["mse"] for epoch in found) / deviation**2 < 0.4


def test_the_head_starts_at_the_mean_and_learns_in_units_of_the_spread(base, rows, tmp_path):
    network, targets = fresh(base), np.array(rows(50.0, 8.0)["labels"])
    assert start_at_mean(network, targets) == pytest.approx(8)
    batch = {"input_ids": torch.tensor([[2, 5, 6, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.inference_mode():
        assert abs(network.eval()(**batch).logits.item() - 50) < 8
    given = rows(50.0, 8.0)
    trainer = JudgedTrainer(
        model=network, args=training_arguments(recipe_for(given, weight_decay=0.2), str(tmp_path)), train_dataset=given,
        eval_dataset=given, lesson=Lesson(lambda network: {}, None, 0.0, ()), head_rate=10, spread=8.0,
    )  # fmt: skip
    last = set(map(id, output_layer(network).parameters()))
    groups = [
        group for group in trainer.create_optimizer().param_groups if any(id(one) in last for one in group["params"])
    ]
    assert {(group["lr"], round(group["weight_decay"], 9)) for group in groups} == {(0.48, 0.025), (0.48, 0.0)}
    assert {id(one) for group in groups for one in group["params"]} == last


def test_targets_that_are_all_the_same_leave_the_head_as_it_is(base):
    network = fresh(base)
    before = output_layer(network).weight.clone()
    assert start_at_mean(network, np.full(9, 7.0)) == 1
    assert torch.equal(output_layer(network).weight, before)


def test_a_head_that_answers_such_numbers_already_stays_and_learns_in_units_of_the_spread(base, rows):
    network, targets = fresh(base), np.array(rows(50.0, 8.0)["labels"])
    start_at_mean(network, targets)
    before = [weight.clone() for weight in output_layer(network).parameters()]
    assert start_at_mean(network, targets + 1) == pytest.approx(8)
    assert all(map(torch.equal, before, output_layer(network).parameters()))


def test_a_head_that_answered_other_numbers_is_drawn_anew(base, rows):
    network, targets = fresh(base), np.array(rows(50.0, 8.0)["labels"])
    start_at_mean(network, targets)
    assert start_at_mean(network, 1000 * targets) == pytest.approx(8000)
    layer = output_layer(network)
    assert layer.bias.item() == pytest.approx(50000)
    assert 0.01 < layer.weight.std().item() / 8000 < 0.03


def test_more_of_the_same_numbers_are_learned_from_where_a_classifier_stands(rows, base, tmp_path):
    given = rows(50.0, 8.0)
    network = fresh(base)
    recipe = replace(recipe_for(given, epochs=6, learning_rate=0.003, head_rate=2), task="score", metric="pearson")
    with quiet_transformers():
        first = train(network, given, given, 0, recipe, str(tmp_path), lambda line: None).history
        recipe = replace(recipe, epochs=1, learning_rate=1e-6)
        more = train(network, given, given, 0, recipe, str(tmp_path), lambda line: None).history
    least = min(epoch["validation"]["mse"] for epoch in first)
    assert more[0]["validation"]["mse"] == pytest.approx(least, rel=0.1)


def test_numbers_whose_squares_have_no_room_are_refused(base, rows):
    with pytest.raises(DataError, match=r"A number to learn is 2e\+18 away from 0; expected 1e\+18 at most"):
        start_at_mean(fresh(base), np.array([-2e18, 0.0, 1.0]))


def test_the_last_layer_stays_exact_only_while_it_is_asked_for(base):
    layer = output_layer(network := fresh(base))
    states = torch.full((1, layer.in_features), 0.1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.fill_(2001.0)
    with torch.autocast("cpu", torch.bfloat16):
        with exact_output(network):
            assert layer(states.bfloat16()).item() == 2001
        assert layer(states).item() == 2000


def test_copies_of_the_last_layer_on_other_gpus_answer_with_their_own_weights(base):
    layer = output_layer(network := fresh(base))
    with exact_output(network):
        replica = layer._replicate_for_data_parallel()
        replica.weight, replica.bias = torch.zeros_like(layer.weight), torch.full_like(layer.bias, 3.0)
        assert replica(torch.ones(1, layer.in_features)).item() == 3
