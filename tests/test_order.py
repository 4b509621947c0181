"""The order of rows: every row once an epoch, batches of like length, in no order of their own, another each epoch."""

import numpy as np
import pytest
import torch
from test_trainer import fresh, recipe_for

from classifine.train.judged import JudgedTrainer
from classifine.train.lesson import Lesson
from classifine.train.order import POOL, Shuffled
from classifine.train.recipe import training_arguments

LENGTHS = np.random.default_rng(0).integers(5, 200, 8 * POOL * 5 + 3)


def batches(order, size=8):
    return [order[i : i + size] for i in range(0, len(order), size)]


@pytest.mark.parametrize("rows", [0, 1, 7, 8, 9, 64, len(LENGTHS)])
def test_every_row_comes_once(rows):
    found = Shuffled(LENGTHS[:rows], 8, 0)
    assert sorted(found) == list(range(rows))
    assert len(found) == rows


def test_rows_of_a_batch_are_of_like_length_and_batches_are_mixed():
    order = batches(list(Shuffled(LENGTHS, 8, 0)))[:-1]
    within = np.mean([LENGTHS[batch].std() for batch in order])
    assert within < 0.15 * LENGTHS.std()
    # Neighbours are no more alike than any two batches: neither ever shorter nor ever longer texts.
    means = np.array([LENGTHS[batch].mean() for batch in order])
    assert abs(np.corrcoef(means[1:-1], means[2:])[0, 1]) < 0.25
    assert abs(np.corrcoef(np.arange(len(means)), means)[0, 1]) < 0.25


def test_the_longest_row_comes_in_the_first_batch():
    for seed in range(5):
        longest = LENGTHS[: len(LENGTHS) - 3].argmax()
        lengths = LENGTHS.copy()
        lengths[longest] = 1000
        order = list(Shuffled(lengths, 8, seed))
        # But for the few rows that make no whole batch, drawn at random.
        assert longest in order[:8] or longest in order[-3:]


def test_the_seed_gives_the_order_and_each_epoch_has_another():
    one, other = Shuffled(LENGTHS, 8, 1), Shuffled(LENGTHS, 8, 1)
    torch.manual_seed(5)
    first = list(one)
    torch.manual_seed(6)
    assert first == list(other)
    second = list(one)
    assert first != second
    other.set_epoch(1)
    assert list(other) == second
    assert first != list(Shuffled(LENGTHS, 8, 2))


@pytest.mark.parametrize("sampled", [False, True])
def test_the_trainer_takes_it_with_all_parts_of_a_batch_together(base, encoded, tmp_path, sampled):
    recipe = recipe_for(encoded, batch_size=8)
    often = np.linspace(0.2, 1.8, len(encoded)) if sampled else None
    trainer = JudgedTrainer(
        model=fresh(base), args=training_arguments(recipe, str(tmp_path)), train_dataset=encoded, eval_dataset=encoded,
        lesson=Lesson(lambda network: {}, None, 0.0, (), often=often), head_rate=1.0,
    )  # fmt: skip
    seen = [row for batch in trainer.get_train_dataloader().batch_sampler for row in batch]
    assert seen == list(Shuffled(encoded["length"][:], 8, recipe.seed, often))


def test_rows_come_as_often_as_they_should_and_there_are_as_many_as_ever():
    often = np.where(np.arange(len(LENGTHS)) % 10 == 0, 4.6, 0.6)  # 1 on average
    found = Shuffled(LENGTHS, 8, 0, often)
    epochs = np.array([np.bincount(list(found), minlength=len(LENGTHS)) for _ in range(40)])
    assert (epochs.sum(axis=1) == len(LENGTHS)).all()
    rare = often > 1
    assert set(np.unique(epochs[:, rare])) == {4, 5}
    assert set(np.unique(epochs[:, ~rare])) == {0, 1}
    # Every row is met in the long run, and none more often than its like.
    assert epochs.mean(axis=0) == pytest.approx(often, abs=0.4)
    assert epochs[:, rare].mean() == pytest.approx(4.6, abs=0.05)


def test_a_row_that_comes_often_comes_in_several_batches():
    often = np.where(np.arange(len(LENGTHS)) % 10 == 0, 5.5, 0.5)
    order = batches(list(Shuffled(LENGTHS, 8, 0, often)))[:-1]
    copies = [max(np.bincount(batch)) for batch in order]
    assert np.mean(copies) < 2
    within = np.mean([LENGTHS[batch].std() for batch in order])
    assert within < 0.25 * LENGTHS.std()  # and batches are still of like length
