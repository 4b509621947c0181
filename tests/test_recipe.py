"""The recipe: what settings, hardware and data give, and that the installed transformers understands all of it."""

import math

import pytest
import transformers

from classifine.config import Train
from classifine.errors import ConfigError
from classifine.train import choose as chosen
from classifine.train.choose import choose
from classifine.train.hardware import Hardware, look_at_hardware
from classifine.train.recipe import Recipe, training_arguments

CPU = Hardware("cpu", "processor", 2, False)
FAST_CPU = Hardware("cpu", "processor", 2, True)
GPU = Hardware("cuda", "a made-up card", 8, True)
OLD_GPU = Hardware("cuda", "an old card", 8, False)
MINILM, BASE, LARGE = 22_700_000, 110_000_000, 335_000_000


def recipe(hardware=CPU, rows=1000, parameters=MINILM, **settings):
    return choose(Train(**settings), hardware, rows, parameters, 256)


def test_small_encoders_read_pairs_at_a_lower_rate_and_a_given_rate_is_kept():
    rates = [choose(Train(), CPU, 1000, 22_000_000, 256, texts=texts).learning_rate for texts in ("long", "pairs")]
    assert rates[1] < rates[0]
    assert choose(Train(learning_rate=1e-4), CPU, 1000, 22_000_000, 256, texts="pairs").learning_rate == 1e-4


def test_small_encoders_read_short_texts_of_one_label_at_a_lower_rate():
    def rate(texts, task="single", size=22_000_000):
        return choose(Train(), CPU, 1000, size, 256, task, texts).learning_rate

    assert rate("short") < rate("long")
    assert rate("short", "multi") == rate("long", "multi")
    assert rate("short", size=110_000_000) == rate("long", size=110_000_000)


def test_small_encoders_read_few_pairs_a_few_times_only():
    epochs = [
        choose(Train(), CPU, 1000, size, 256, texts=texts).epochs
        for size in (22_000_000, 110_000_000)
        for texts in ("long", "pairs")
    ]
    assert epochs == [12, 5, 12, 12]
    heads = [choose(Train(), CPU, 1000, size, 256, texts="pairs").head_rate for size in (22_000_000, 110_000_000)]
    assert heads == [1, 10]
    assert choose(Train(epochs=9), CPU, 1000, 22_000_000, 256, texts="pairs").epochs == 9


def test_fewer_rows_get_more_epochs_within_bounds():
    epochs = [recipe(rows=rows).epochs for rows in (1, 100, 1000, 5000, 30_000, 1_000_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert max(epochs) == chosen.MAX_EPOCHS
    assert min(epochs) == chosen.MIN_EPOCHS
    assert recipe(rows=1_000_000, epochs=7).epochs == 7


@pytest.mark.parametrize(("asked", "devices", "batch"), [(32, 3, 30), (3, 2, 2), (1, 2, 2), (32, 4, 32), (7, 1, 7)])
def test_each_of_several_gpus_reads_as_many_rows_and_steps_are_counted_by_what_they_read(asked, devices, batch):
    found = recipe(Hardware("cuda", "made-up cards", 8, True, devices), rows=10_000, epochs=5, batch_size=asked)
    assert (found.batch_size, found.rows_at_once * devices) == (batch, batch)
    assert found.steps == 5 * math.ceil(10_000 / batch)


def test_larger_bases_get_lower_rates():
    rates = [recipe(parameters=size).learning_rate for size in (MINILM, BASE, LARGE)]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3
    assert all(1e-6 <= rate <= 1e-3 for rate in rates)
    assert recipe(parameters=LARGE, learning_rate=0.5).learning_rate == 0.5


@pytest.mark.parametrize(("warmup", "steps"), [(0.0, 0), (0.1, 10), (0.5, 50), (1, 1), (37, 37)])
def test_warmup_is_a_share_below_one_and_a_number_of_steps_from_one_on(warmup, steps):
    found = recipe(rows=95, batch_size=10, epochs=10, warmup=warmup)
    assert found.steps == 100
    assert found.warmup_steps == steps


def test_what_was_set_is_what_is_done():
    wanted = {"epochs": 3, "batch_size": 7, "learning_rate": 0.002, "head_rate": 3.0, "weight_decay": 0.3,
              "schedule": "cosine", "metric": "mcc", "patience": 5, "precision": "float32", "seed": 11}  # fmt: skip
    found = recipe(GPU, **wanted).as_json()
    assert {name: found[name] for name in wanted} == wanted
    assert found["max_length"] == 256


@pytest.mark.parametrize(
    ("hardware", "wish", "precision"),
    [
        (CPU, "auto", "float32"), (FAST_CPU, "auto", "bf16"), (FAST_CPU, "float32", "float32"), (CPU, "bf16", "bf16"),
        (GPU, "auto", "bf16"), (GPU, "float32", "float32"), (OLD_GPU, "auto", "float32"),
    ],
)  # fmt: skip
def test_precision_follows_the_hardware(hardware, wish, precision):
    assert recipe(hardware, precision=wish).precision == precision


def test_bf16_on_a_card_without_it_is_refused():
    with pytest.raises(ConfigError, match=r"an old card does not have\. Use --precision float32"):
        recipe(OLD_GPU, precision="bf16")


def test_attention_on_a_processor_and_on_a_card():
    assert (recipe(CPU).attention, recipe(CPU).attention_dropout) == ("eager", False)
    assert (recipe(GPU).attention, recipe(GPU).attention_dropout) == (None, True)


def test_the_words_name_the_flags_that_change_them():
    words = " ".join(recipe().lines())
    for flag in ("epochs", "batch-size", "learning-rate", "head-rate", "weight-decay", "warmup", "schedule",
                 "metric", "patience", "precision", "max-length"):  # fmt: skip
        assert f"--{flag}" in words


def test_this_machine():
    found = look_at_hardware()
    assert found.device in ("cpu", "cuda")
    assert found.cores >= 1


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_installed_transformers_takes_every_argument(tmp_path, schedule):
    found = recipe(rows=100, epochs=2, batch_size=10, schedule=schedule, seed=5)
    arguments = training_arguments(found, str(tmp_path))
    assert isinstance(arguments, transformers.TrainingArguments)
    assert arguments.num_train_epochs == 2
    assert arguments.per_device_train_batch_size == 10
    assert arguments.warmup_steps == found.warmup_steps
    assert arguments.lr_scheduler_type == (schedule if schedule != "constant" else "constant_with_warmup")
    assert arguments.save_strategy == "no"
    assert arguments.seed == 5
    assert arguments.report_to == []
    assert arguments.use_cpu
    assert not arguments.bf16


def test_a_name_that_the_installed_transformers_lacks(tmp_path, monkeypatch):
    def older(output_dir, **rest):
        raise TypeError("TrainingArguments.__init__() got an unexpected keyword argument 'train_sampling_strategy'")

    monkeypatch.setattr("transformers.TrainingArguments", older)
    with pytest.raises(ConfigError, match=r"does not know a setting that classifine uses: .*train_sampling_strategy"):
        training_arguments(recipe(), str(tmp_path))


def test_a_recipe_is_complete_and_plain():
    values = recipe(GPU).as_json()
    assert Recipe(**values) == recipe(GPU)
    assert values["steps"] == values["epochs"] * math.ceil(1000 / 32)
