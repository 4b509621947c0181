"""Averaging: the mean is the documented one, it is what an epoch is judged and kept by, and training goes on beside it."""

import pytest
import torch
from test_trainer import fit, recipe_for
from torch import nn
from transformers import TrainerState

from classifine.train.averaging import ETA, EVERY, Average
from classifine.train.lesson import validator


def walked(network, average, steps):
    """The weights that were looked at on a walk of `steps` steps, each a first weight of its number."""
    seen = []
    for step in range(1, steps + 1):
        nn.init.constant_(network.weight, float(step))
        average.on_step_end(None, TrainerState(global_step=step), None, model=network)
        if step % EVERY == 0:
            seen.append(float(step))
    return seen


def by_hand(seen):
    mean = seen[0]
    for count, value in enumerate(seen[1:], 2):
        share = (ETA + 1) / (count + ETA)
        mean = (1 - share) * mean + share * value
    return mean


def test_the_mean_is_that_of_polynomial_decay():
    network, average = nn.Linear(1, 1, bias=False), Average()
    seen = walked(network, average, 203)
    with average.standing_in(network, 203):
        assert network.weight.item() == pytest.approx(by_hand([*seen, 203.0]), rel=1e-5)
    assert network.weight.item() == 203
    # About the last ninth of the way counts.
    assert 203 * 0.85 < by_hand([*seen, 203.0]) < 203 * 0.95


def test_a_step_is_taken_in_once_and_one_look_is_the_weights_themselves():
    network, average = nn.Linear(1, 1, bias=False), Average()
    nn.init.constant_(network.weight, 2.0)
    for _ in range(3):
        with average.standing_in(network, 1):
            assert network.weight.item() == 2
    walked(network, average, EVERY)
    with average.standing_in(network, EVERY):
        first = network.weight.item()
    with average.standing_in(network, EVERY):
        assert network.weight.item() == first


def test_what_is_frozen_has_no_mean_and_an_error_puts_the_weights_back():
    network, average = nn.Linear(2, 2), Average()
    network.bias.requires_grad_(False)
    before = network.bias.data_ptr()
    walked(network, average, 2 * EVERY)
    with pytest.raises(RuntimeError), average.standing_in(network, 2 * EVERY):
        assert network.weight[0, 0].item() < 2 * EVERY
        assert network.bias.data_ptr() == before
        raise RuntimeError
    assert network.weight[0, 0].item() == 2 * EVERY


@pytest.mark.parametrize("averaging", [True, False])
def test_the_weights_that_were_judged_are_those_that_stay(base, halves, tmp_path, averaging):
    rows, validation = halves
    network, training = fit(base, rows, validation, tmp_path, epochs=3, metric="loss", averaging=averaging)
    told = training.history[training.best_epoch - 1]["validation"]["loss"]
    assert validator(validation, 0, "single", "float32")(network)["loss"] == pytest.approx(told, abs=1e-6)


def test_averaging_changes_what_is_judged_but_not_the_way(base, halves, tmp_path):
    def history(averaging):
        torch.manual_seed(1)
        return fit(base, *halves, tmp_path / str(averaging), averaging=averaging)[1].history

    mean, last = history(True), history(False)
    assert [epoch["train_loss"] for epoch in mean] == [epoch["train_loss"] for epoch in last]
    assert [epoch["validation"]["loss"] for epoch in mean] != [epoch["validation"]["loss"] for epoch in last]


def test_the_recipe_says_so(halves):
    assert "running mean" in "\n".join(recipe_for(halves[0]).lines())
    assert "running mean" not in "\n".join(recipe_for(halves[0], averaging=False).lines())
