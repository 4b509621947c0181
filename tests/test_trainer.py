"""Fitting: the best epoch is what stays, learning nothing is said aloud, and fast dropout is dropout."""

import logging
import math
from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from packaging.version import Version
from torch import nn
from transformers import TrainerCallback, TrainerControl

from classifine.config import Train
from classifine.errors import ConfigError, TrainingError
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.network import load_base, quiet_transformers
from classifine.train import memory
from classifine.train.choose import choose
from classifine.train.dropout import ByteDropout, fast_dropout
from classifine.train.hardware import Hardware
from classifine.train.judged import JudgedTrainer
from classifine.train.lesson import Lesson, targets_of, validator
from classifine.train.progress import Alarm, Best, History, Stalled, constant_guess, rank
from classifine.train.quicker import narrow_stream
from classifine.train.recipe import training_arguments
from classifine.train.trainer import train

CPU = Hardware("cpu", "processor", 1, False)
LABELS = Labels(("delivery", "payment", "praise"))


def fresh(base):
    torch.manual_seed(0)
    return load_base(find_base(str(base)), LABELS, "eager", attention_dropout=False)[0]


def recipe_for(rows, **settings):
    given = {"batch_size": 8, "learning_rate": 0.006, "epochs": 6, "patience": 6, **settings}
    return choose(Train(**given), CPU, len(rows), 10_000, 32)


def fit(base, rows, validation, folder, said=None, **settings):
    """(network, Training)."""
    network = fresh(base)
    recipe = recipe_for(rows, **settings)
    with quiet_transformers():
        say = (lambda line: None) if said is None else said.append
        return network, train(network, rows, validation, 0, recipe, str(folder), say)


def relabelled(rows, change):
    return Dataset.from_dict({**rows.to_dict(), "labels": [change(label) for label in rows["labels"]]})


def test_history_tells_every_epoch(base, halves, tmp_path):
    said = []
    _, training = fit(base, *halves, tmp_path, said)
    assert [epoch["epoch"] for epoch in training.history] == [1, 2, 3, 4, 5, 6]
    assert training.history[-1]["train_loss"] < training.history[0]["train_loss"]
    assert training.history[training.best_epoch - 1]["validation"]["accuracy"] > 0.6
    assert {"accuracy", "macro_f1", "mcc", "loss", "predicted_classes"} <= set(training.history[0]["validation"])
    assert training.seconds >= 0
    assert training.rows_per_second > 0
    assert any(line.startswith("epoch 6: training loss") for line in said)
    assert any(line.startswith("training: 100 %") for line in said)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_best_epoch_is_kept_and_training_stops_without_a_better_one(base, halves, tmp_path, precision):
    rows, validation = halves
    # Judged against shifted labels, the more it learns the worse it gets: the first epoch is the best.
    shifted = relabelled(validation, lambda label: (label + 1) % 3)
    network, training = fit(base, rows, shifted, tmp_path, epochs=8, patience=2, metric="loss", precision=precision)
    losses = [epoch["validation"]["loss"] for epoch in training.history]
    assert training.best_epoch == 1 + losses.index(min(losses))
    assert len(losses) == training.best_epoch + 2
    assert losses[-1] > min(losses) + 0.1
    with narrow_stream(network):  # as it was judged
        assert validator(shifted, 0, "single", precision)(network)["loss"] == pytest.approx(min(losses), abs=1e-6)


def test_bf16_leaves_a_network_that_answers_in_float32(base, halves, tmp_path):
    network, _ = fit(base, *halves, tmp_path, epochs=1, precision="bf16")
    with torch.inference_mode():
        plain = type(network)(network.config).eval()
        plain.load_state_dict(network.state_dict())
        ids = torch.tensor([[2, 7, 9, 3]])
        assert torch.allclose(network.eval()(ids).logits, plain(ids).logits, atol=1e-6)


def test_a_network_that_is_trained_again_is_trained_in_bf16_again(base, halves, tmp_path):
    network, found = fresh(base), []
    network.base_model.embeddings.register_forward_hook(
        lambda module, *_: found.append(torch.is_autocast_enabled("cpu")) if module.training else None
    )
    for _ in range(2):
        found.clear()
        with quiet_transformers():
            recipe = recipe_for(halves[0], epochs=1, precision="bf16")
            train(network, *halves, 0, recipe, str(tmp_path), lambda line: None)
        assert found == [True] * len(found) != []


def test_the_same_seed_gives_the_same_history(base, halves, tmp_path):
    transformers_seed(3)
    first = fit(base, *halves, tmp_path / "a", epochs=1)[1]
    transformers_seed(3)
    second = fit(base, *halves, tmp_path / "b", epochs=1)[1]
    assert first.history[0]["validation"] == second.history[0]["validation"]
    assert first.history[0]["train_loss"] == second.history[0]["train_loss"]


def transformers_seed(seed):
    from transformers import set_seed

    set_seed(seed)


def optimizer_for(network, rows, folder, **settings):
    recipe = recipe_for(rows, **settings)
    trainer = JudgedTrainer(
        model=network, args=training_arguments(recipe, str(folder)), train_dataset=rows, eval_dataset=rows,
        lesson=Lesson(lambda network: {}, None, 0.0, ()), head_rate=recipe.head_rate,
    )  # fmt: skip
    return trainer.create_optimizer()


def of_weights(network, optimizer, setting):
    """The setting of each of the network's weights, by name."""
    names = {id(weight): name for name, weight in network.named_parameters()}
    return {names[id(weight)]: group[setting] for group in optimizer.param_groups for weight in group["params"]}


@pytest.mark.parametrize("head_rate", [1.0, 10.0])
def test_the_head_learns_at_its_own_rate(base, halves, tmp_path, head_rate):
    network = fresh(base)
    rates = of_weights(network, optimizer_for(network, halves[0], tmp_path, head_rate=head_rate), "lr")
    assert set(rates) == {name for name, _ in network.named_parameters()}
    head = {name for name in rates if name.startswith(("classifier.", "bert.pooler."))}
    assert {rates[name] for name in head} == {0.006 * head_rate}
    assert {rates[name] for name in rates if name not in head} == {0.006}


def test_weights_are_decayed_and_biases_are_not(base, halves, tmp_path):
    network = fresh(base)
    decays = of_weights(network, optimizer_for(network, halves[0], tmp_path, weight_decay=0.2), "weight_decay")
    assert decays["classifier.weight"] == decays["bert.pooler.dense.weight"] == 0.2
    assert decays["classifier.bias"] == decays["bert.pooler.dense.bias"] == 0


def test_learning_nothing_is_said_aloud(base, halves, tmp_path):
    said = []
    _, training = fit(base, *halves, tmp_path, said, learning_rate=1e-9, epochs=2)
    assert any("no better than a constant guess (1.099)" in alarm for alarm in training.alarms)
    assert [f"ALARM {alarm}" for alarm in training.alarms] == [line for line in said if line.startswith("ALARM")]


def test_each_alarm_is_said_and_recorded_once(base, halves, tmp_path):
    said = []
    _, training = fit(base, *halves, tmp_path, said, learning_rate=1e-9, epochs=5)
    assert len(training.history) == 5
    assert [alarm.partition(":")[0] for alarm in training.alarms] == ["Epoch 2", "Epoch 2"]
    assert len([line for line in said if line.startswith("ALARM")]) == 2


def test_one_answer_to_all_is_said_aloud(base, halves, tmp_path):
    _, training = fit(base, *halves, tmp_path, learning_rate=1e-9, epochs=2)
    assert any("one class swallows all predictions" in alarm for alarm in training.alarms)


def test_noise_in_the_place_of_labels_is_said_aloud(base, halves, tmp_path):
    draw = torch.Generator().manual_seed(0)
    rows = relabelled(halves[0], lambda label: int(torch.randint(3, (1,), generator=draw)))
    _, training = fit(base, rows, halves[1], tmp_path, epochs=2, learning_rate=1e-4)
    assert training.alarms


def test_no_alarm_where_it_learns(base, halves, tmp_path):
    _, training = fit(base, *halves, tmp_path, precision="float32")
    assert training.history[-1]["validation"]["accuracy"] > 0.6
    # The first epochs may have learned nothing yet; the last ones give no reason for an alarm.
    history = History((), lambda line: None)
    alarm = Alarm(constant_guess(targets_of(halves[0])), history, lambda line: None)
    for epoch in training.history[4:]:
        history.epochs.append(epoch)
        alarm.on_evaluate(SimpleNamespace(num_train_epochs=6), None, None, {})
    assert alarm.said == []


def test_few_validation_rows_may_all_get_one_answer():
    for judged, said in ((9, 0), (10, 1)):
        history = History((), lambda line: None)
        alarm = Alarm(1.0, history, lambda line: None, judged=judged, lesson="texts")
        history.epochs.append({"epoch": 2, "train_loss": 0.1, "validation": {"predicted_classes": 1}})
        alarm.on_evaluate(SimpleNamespace(num_train_epochs=2), None, None, {})
        assert len(alarm.said) == said
    assert alarm.said[0].endswith("check the texts.")


@pytest.mark.parametrize(
    ("validation", "training", "nothing"),
    [(0.60, 0.60, False), (0.72, 0.40, False), (0.70, 0.69, True), (math.nan, math.nan, True)],
)
def test_a_network_that_is_too_sure_of_itself_has_not_learned_nothing(validation, training, nothing):
    """Its loss on validation is that of a guess, and that of training far below."""
    stalled, state, control = Stalled(0.693, 100, 0.693), SimpleNamespace(global_step=100), TrainerControl()
    stalled.on_log(None, state, control, {"loss": training})
    stalled.on_evaluate(None, state, control, {"eval_loss": validation})
    assert (stalled.learned_nothing, control.should_training_stop) == (nothing, nothing)


def test_no_alarm_for_what_a_second_reading_costs(base, halves, tmp_path):
    _, training = fit(base, *halves, tmp_path, precision="float32", r_drop=50.0)
    assert not any("constant guess" in alarm for alarm in training.alarms)


def test_nothing_is_printed(base, halves, tmp_path, capsys, caplog):
    with caplog.at_level(logging.WARNING):
        fit(base, *halves, tmp_path, epochs=1)
    assert capsys.readouterr().out == ""


def dropped(share, training=True, seed=0, size=200_000):
    layer = ByteDropout(share).train(training)
    torch.manual_seed(seed)
    return layer(torch.ones(size))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_dropout_drops_its_share_and_keeps_the_mean(share):
    found = dropped(share)
    assert (found == 0).float().mean().item() == pytest.approx(round(share * 256) / 256, abs=0.005)
    assert found.mean().item() == pytest.approx(1, abs=0.02)
    assert len(found.unique()) == 2


def test_dropout_is_reproducible_by_the_seed():
    assert torch.equal(dropped(0.3, seed=1), dropped(0.3, seed=1))
    assert not torch.equal(dropped(0.3, seed=1), dropped(0.3, seed=2))


@pytest.mark.parametrize(("share", "training"), [(0.5, False), (0.0, True), (0.001, True)])
def test_dropout_that_changes_nothing(share, training):
    assert torch.equal(dropped(share, training), torch.ones(200_000))


def test_dropout_of_everything():
    assert dropped(1.0).count_nonzero() == 0


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5, 11), (0, 4)])
def test_dropout_of_any_shape(shape):
    assert ByteDropout(0.5).train()(torch.ones(shape)).shape == shape


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_goes_back_through_the_mask_it_went_forward(dtype):
    values = torch.ones(1000, dtype=dtype, requires_grad=True)
    found = ByteDropout(0.4).train()(values)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())


def test_dropout_takes_values_that_are_not_contiguous():
    values = torch.arange(1.0, 13.0).view(3, 4).t()
    found = ByteDropout(0.5).train()(values)
    scale = 256 / 128
    assert torch.equal(found, torch.where(found == 0, torch.zeros(()), values * scale))


def test_fast_dropout_gives_the_layers_back():
    class Own(nn.Dropout):
        pass

    network = nn.Sequential(nn.Dropout(0.1), nn.Sequential(nn.Dropout(0.2)), Own(0.3))
    with pytest.raises(ValueError), fast_dropout(network):
        assert [type(layer) for layer in (network[0], network[1][0], network[2])] == [ByteDropout, ByteDropout, Own]
        raise ValueError
    assert [type(layer) for layer in (network[0], network[1][0], network[2])] == [nn.Dropout, nn.Dropout, Own]


def test_memory_is_told_in_mib():
    assert 50 < memory.peak_memory_mib("cpu") < 100_000


def test_memory_of_gpus_is_theirs_and_that_of_the_fullest(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: (300 + device) << 20)
    assert memory.peak_memory_mib("cuda") == 301


def test_no_allocator_is_asked_for_elsewhere(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert memory.keep_freed_memory() is False


def test_a_network_that_diverges_is_no_result(base, halves, tmp_path):
    network = fresh(base)
    with torch.no_grad():
        network.classifier.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="diverged"):
        train(network, *halves, 0, recipe_for(halves[0]), str(tmp_path), lambda line: None)


def of_task(rows, task):
    """(rows whose labels are of this task, the number of labels): a topic, several of them, or a number."""
    if task == "score":
        return relabelled(rows, float), 1
    return (relabelled(rows, lambda label: [float(label == i) for i in range(3)]) if task == "multi" else rows), 3


class Broken(TrainerCallback):
    """Weights are no numbers any more after the first step behind the epoch that is given."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_step_end(self, args, state, control, model, **kwargs):
        if state.epoch > self.epoch:
            with torch.no_grad():
                model.get_input_embeddings().weight.fill_(float("nan"))


def broken_after(epoch, task, base, halves, tmp_path):
    (rows, count), (validation, _) = (of_task(part, task) for part in halves)
    metric = {"single": "macro_f1", "multi": "macro_f1", "score": "pearson"}[task]
    recipe = replace(recipe_for(rows, epochs=3), task=task, metric=metric)
    torch.manual_seed(0)
    network = load_base(find_base(str(base)), Labels(LABELS.names[:count], "str", task), "eager")[0]
    with quiet_transformers():
        given = (network, rows, validation, 0, recipe, str(tmp_path), lambda line: None)
        return network, validation, train(*given, callbacks=[Broken(epoch)])


@pytest.mark.parametrize("task", ["single", "multi", "score"])
def test_of_a_network_that_diverges_the_best_epoch_before_stays(task, base, halves, tmp_path):
    network, validation, training = broken_after(1, task, base, halves, tmp_path)
    first, *others = (epoch["validation"] for epoch in training.history)
    assert training.best_epoch == 1
    assert [epoch.keys() for epoch in others] == [first.keys()] * 2
    assert all(math.isnan(value) for epoch in others for value in epoch.values())
    assert validator(validation, 0, task, "float32")(network) == pytest.approx(first, abs=1e-5)


@pytest.mark.parametrize("task", ["single", "multi", "score"])
def test_a_network_that_diverges_at_once_is_one_sentence_for_every_task(task, base, halves, tmp_path):
    with pytest.raises(TrainingError, match="diverged"):
        broken_after(0, task, base, halves, tmp_path)


def test_what_is_a_number_ranks_before_what_is_none():
    nothing, some = {"accuracy": math.nan, "loss": math.nan}, {"accuracy": 0.1, "loss": 5.0}
    assert max([nothing, some, nothing], key=lambda found: rank("accuracy", found)) is some
    assert max([nothing, some, nothing], key=lambda found: rank("loss", found)) is some


@pytest.mark.parametrize("narrow", [True, False])
def test_layers_get_the_narrow_type_only_where_products_are_narrow(base, narrow):
    network = fresh(base).eval()
    ids = torch.randint(5, 50, (2, 7))
    seen = []
    handle = network.base_model.encoder.layer[0].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    plain = network(input_ids=ids).logits
    with narrow_stream(network), torch.autocast("cpu", torch.bfloat16, enabled=narrow):
        inside = network(input_ids=ids).logits.float()
    after = network(input_ids=ids).logits
    handle.remove()
    assert [values.dtype for values in seen] == [
        torch.float32,
        torch.bfloat16 if narrow else torch.float32,
        torch.float32,
    ]
    torch.testing.assert_close(inside, plain, atol=0.05 if narrow else 0.0, rtol=0)
    assert torch.equal(after, plain)


def test_a_network_without_embeddings_in_sight_is_left_alone(base):
    network = fresh(base)
    del network.base_model.embeddings
    with narrow_stream(network):
        pass


@pytest.mark.parametrize("optimizer", ["sam", "asam"])
def test_sharpness_aware_training_learns(base, halves, tmp_path, optimizer):
    said = []
    _, training = fit(base, *halves, tmp_path, said, optimizer=optimizer, ascent_share=0.5)
    assert training.history[training.best_epoch - 1]["validation"]["accuracy"] > 0.6


def test_the_recipe_tells_of_sharpness():
    recipe = choose(Train(optimizer="asam", ascent_share=0.25), CPU, 100, 10_000, 32)
    assert (recipe.rho, recipe.sharpness.adaptive, recipe.sharpness.share) == (0.5, True, 0.25)
    assert "adaptive sharpness-aware AdamW (--optimizer), rho 0.5 on 25% of the rows" in recipe.lines()[1]
    assert choose(Train(), CPU, 100, 10_000, 32).sharpness is None


def test_settings_of_sharpness_without_it():
    with pytest.raises(ConfigError, match="--rho and --ascent-share belong to --optimizer sam or asam"):
        choose(Train(rho=0.1), CPU, 100, 10_000, 32)


def test_of_epochs_with_the_same_metric_the_surer_one_is_kept():
    from types import SimpleNamespace

    best, control = Best("accuracy", 2), SimpleNamespace(should_training_stop=False)
    network = torch.nn.Linear(1, 1)
    for epoch, loss in enumerate((1.4, 0.5, 0.3, 0.4), 1):
        with torch.no_grad():
            network.weight.fill_(epoch)
        found = {"eval_accuracy": 0.75, "eval_loss": loss}
        best.on_evaluate(None, SimpleNamespace(epoch=epoch), control, found, model=network)
        assert not control.should_training_stop
    best.restore(network)
    assert (best.epoch, network.weight.item()) == (3, 3.0)


def test_without_patience_the_last_epoch_is_kept_whatever_it_reached():
    from types import SimpleNamespace

    seen, control, args = [], SimpleNamespace(should_training_stop=False), SimpleNamespace(num_train_epochs=3)
    best, network = Best("accuracy", None, seen.append), torch.nn.Linear(1, 1)
    for epoch, accuracy in enumerate((0.9, 0.5, 0.7), 1):
        with torch.no_grad():
            network.weight.fill_(epoch)
        found = {"eval_accuracy": accuracy, "eval_loss": 1.0}
        best.on_evaluate(args, SimpleNamespace(epoch=epoch), control, found, model=network)
    network.weight.data.fill_(7)
    best.restore(network)
    assert (best.epoch, network.weight.item(), seen) == (3, 3.0, [1, 2, 3])
    assert not control.should_training_stop


@pytest.mark.parametrize("count", [88, 85])  # of the latter the last batch has 5 rows, the last part of it one
@pytest.mark.parametrize("optimizer", ["adamw", "sam"])
def test_a_batch_that_does_not_fit_is_taken_in_parts_with_the_same_steps(
    base, halves, tmp_path, monkeypatch, count, optimizer
):
    # Dropout would draw other masks for parts.
    rows, validation = halves[0].select(range(count)), halves[1]
    recipe = recipe_for(rows, precision="float32", epochs=2, learning_rate=0.001, optimizer=optimizer)
    networks, said = [fresh(base), fresh(base)], []
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
    forward = type(networks[0].bert).forward

    def small(self, input_ids=None, **inputs):
        if len(input_ids) > 3 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids=input_ids, **inputs)

    histories = []
    with quiet_transformers():
        for network in networks:
            found = train(network, rows, validation, 0, recipe, str(tmp_path), said.append)
            histories.append([epoch["train_loss"] for epoch in found.history])
            monkeypatch.setattr(type(network.bert), "forward", small)
    assert [line for line in said if "out of memory" in line] == [
        "out of memory: starts anew with 4 rows at once, batches of 8 as before",
        "out of memory: starts anew with 2 rows at once, batches of 8 as before",
    ]
    if Version(version("transformers")) < Version("5.10"):
        pytest.skip("this transformers divides accumulated gradients twice, also without us")
    assert histories[1] == pytest.approx(histories[0], rel=1e-3)
    for one, other in zip(*(network.parameters() for network in networks), strict=True):
        assert torch.allclose(one, other, atol=2e-4)


@pytest.mark.parametrize(("batch", "parts"), [(30, [15, 5, 1]), (31, [1]), (32, [16, 8, 4, 2, 1])])
def test_parts_make_up_the_batch(batch, parts, monkeypatch, base, halves, tmp_path):
    tried = []

    def never(network, rows, validation, recipe, *rest):
        tried.append(recipe)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("classifine.train.trainer.walk", never)
    with pytest.raises(TrainingError, match="does not hold 1 rows"):
        train(fresh(base), *halves, 0, recipe_for(halves[0], batch_size=batch), str(tmp_path), lambda line: None)
    assert [recipe.rows_at_once for recipe in tried] == [batch, *parts]
    for recipe in tried:
        steps = training_arguments(recipe, str(tmp_path)).gradient_accumulation_steps
        assert steps * recipe.rows_at_once == batch


def test_memory_that_ends_late_costs_no_epoch_of_the_result(base, halves, tmp_path, monkeypatch):
    forward, calls, said = type(fresh(base).bert).forward, [], []

    def late(self, input_ids=None, **inputs):
        calls.append(len(input_ids))
        if len(calls) == 40:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids=input_ids, **inputs)

    monkeypatch.setattr("transformers.BertModel.forward", late)
    _, training = fit(base, *halves, tmp_path, said, epochs=4)
    assert any("starts anew with 4 rows at once" in line for line in said)
    assert (len(training.history), training.recipe.rows_at_once) == (4, 4)


@pytest.mark.parametrize(
    ("rate", "cost"),
    [
        (1e-9, {}),
        (1e3, {}),
        (1e-9, {"class_weights": "balanced"}),
        (1e-9, {"label_smoothing": 0.1}),
        (1e-9, {"focal": 2.0}),
    ],
)
def test_a_rate_that_teaches_nothing_is_given_up_for_a_lower_one(base, halves, tmp_path, monkeypatch, rate, cost):
    monkeypatch.setattr("classifine.train.trainer.STALLED_STEPS", 20)
    recipe = replace(recipe_for(halves[0], **cost), learning_rate=rate, fallback_rate=0.006)
    network, said = fresh(base), []
    with quiet_transformers():
        found = train(network, *halves, 0, recipe, str(tmp_path), said.append)
    # Twelve steps an epoch: the second one ends beyond the twenty.
    sentence = f"At the rate {rate:g} nothing was learned in 2 epochs; started anew at 0.006."
    assert found.alarms[0] == sentence and f"ALARM {sentence}" in said
    assert (found.recipe.learning_rate, found.recipe.fallback_rate) == (0.006, None)
    assert len(found.history) == 6
    assert found.history[found.best_epoch - 1]["validation"]["accuracy"] > 0.6


@pytest.mark.parametrize(
    "cost", [{}, {"class_weights": "balanced"}, {"focal": 2.0}, {"label_smoothing": 0.1}, {"focal": 1.0, "r_drop": 5.0}]
)
def test_a_rate_that_teaches_stays_and_one_that_was_asked_for_is_not_changed(base, halves, tmp_path, monkeypatch, cost):
    monkeypatch.setattr("classifine.train.trainer.STALLED_STEPS", 40)
    learning = replace(recipe_for(halves[0], **cost), fallback_rate=1e-5)
    with quiet_transformers():
        found = train(fresh(base), *halves, 0, learning, str(tmp_path), lambda line: None)
    assert found.recipe == learning and not any("anew" in alarm for alarm in found.alarms)
    assert recipe_for(halves[0], learning_rate=1e-9).fallback_rate is None
    own = [
        choose(Train(), CPU, 1000, size, 32, texts=texts)
        for size, texts in ((10**7, "long"), (10**7, "pairs"), (10**8, "long"))
    ]
    assert [one.fallback_rate for one in own] == [5e-5, None, None]


def test_a_row_that_does_not_fit_is_one_sentence(base, halves, tmp_path, monkeypatch):
    def never(self, *args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("transformers.BertModel.forward", never)
    with pytest.raises(
        TrainingError, match=r"memory does not hold 1 rows of 32 tokens\. Lower --batch-size or --max-length"
    ):
        fit(base, *halves, tmp_path, batch_size=4)
