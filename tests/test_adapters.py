"""Adapters: every family, kind and task through training and merging into an ordinary checkpoint, and what goes with it."""

import json
from dataclasses import replace

import pytest
import torch
from conftest import settings
from safetensors import safe_open
from test_encoders import FAMILIES, LABELS, SMALL, TEXTS, plain
from test_trainer import CPU, fresh, recipe_for

from classifine import TextClassifier, run
from classifine.config import Model, Train, build
from classifine.errors import ConfigError
from classifine.model.network import in_head, quiet_transformers
from classifine.train.adapters import Adapters
from classifine.train.choose import choose
from classifine.train.fit import fit
from classifine.train.progress import Weights
from classifine.train.recipe import Recipe
from classifine.train.sam import Sharpness, descend
from classifine.train.trainer import train

pytest.importorskip("peft", reason="adapters are an extra")
LORA = Adapters("lora", 4, 8.0, 0.0)


def family(name):
    """(a small network of a family with random weights, a batch)."""
    import transformers

    special = {} if name != "ModernBert" else {f"{kind}_token_id": 1 for kind in ("bos", "eos", "cls", "sep")}
    sizes = {**SMALL, **FAMILIES[name][1], **special}
    config = getattr(transformers, f"{name}Config")(vocab_size=100, pad_token_id=0, num_labels=3, **sizes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = getattr(transformers, f"{name}ForSequenceClassification")(config).eval()
        ids = torch.randint(5, 100, (4, 12))
    return network, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def learn(network, batch, steps=3):
    optimizer = torch.optim.AdamW([weight for weight in network.parameters() if weight.requires_grad], lr=0.05)
    for _ in range(steps):
        network(**batch, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def answers(network, batch):
    return network(**batch).logits


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "lora") for name in FAMILIES), ("Bert", "dora"), ("Bert", "rslora")]
)
def test_every_family_is_merged_into_what_it_was(name, kind):
    network, batch = family(name)
    before, first = {key: value.clone() for key, value in network.state_dict().items()}, answers(network, batch)
    linear = {
        key for key, layer in network.named_modules()
        if isinstance(layer, torch.nn.Linear) and not in_head(network, f"{key}.")
    }  # fmt: skip
    # Attention and the layers between: four and two in each of two layers; fused ones count once.
    assert len(linear) == {"ModernBert": 8, "DebertaV2": 16}.get(name, 12)
    with Adapters(kind, 4, 8.0, 0.0).on(network) as whole:
        learning = {key for key, weight in network.named_parameters() if weight.requires_grad}
        assert {key.partition(".lora_")[0] for key in learning if ".lora_" in key} == linear
        head = {key for key in before if in_head(network, key)}
        assert {key for key in learning if ".lora_" not in key} == head
        torch.testing.assert_close(answers(network, batch), first)  # they begin with nothing
        learn(network, batch)
        taught, copy = answers(network, batch), whole()
    assert (taught - first).abs().max() > 0.1
    for merged in (network, copy):
        torch.testing.assert_close(answers(merged, batch), taught, atol=1e-4, rtol=0)
        assert list(merged.state_dict()) == list(before)
    assert all(weight.requires_grad for weight in network.parameters())
    changed = {key for key, value in network.state_dict().items() if not torch.equal(value, before[key])}
    assert changed <= {f"{key}.weight" for key in linear} | head
    assert {f"{key}.weight" for key in linear} <= changed


def test_a_network_without_linear_layers_is_one_sentence():
    network, _ = family("Bert")
    network.bert.encoder.layer = torch.nn.ModuleList()
    with (
        pytest.raises(ConfigError, match="needs linear layers, and BertForSequenceClassification has none"),
        LORA.on(network),
    ):
        pass


def test_only_what_learns_is_kept_and_climbs():
    network, batch = family("Bert")
    with LORA.on(network):
        begun = Weights(network)
        learning = {name for name, weight in network.named_parameters() if weight.requires_grad}
        assert set(begun._kept) == learning
        first = answers(network, batch)
        learn(network, batch)
        begun.restore(network)
        assert torch.equal(answers(network, batch), first)
        network(**batch, labels=torch.tensor([0, 1, 2, 0])).loss.backward()
        names = {id(weight): name for name, weight in network.named_parameters()}
        frozen = {name: weight.clone() for name, weight in network.named_parameters() if name not in learning}
        before = Sharpness(0.5, adaptive=True).climb(network)
        assert {names[id(weight)] for weight, _ in before} == learning
        assert not torch.equal(answers(network, batch), first)
        assert all(torch.equal(weight, frozen[name]) for name, weight in network.named_parameters() if name in frozen)
        descend(before)
        assert torch.equal(answers(network, batch), first)


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("single", {"adapter": "lora", "seeds": 2}), ("multi", {"adapter": "rslora", "optimizer": "sam"}),
        ("pair", {"adapter": "dora", "precision": "bf16"}), ("score", {"adapter": "lora", "lora_dropout": 0.1}),
    ],
)  # fmt: skip
def test_every_task_there_and_back(base, trained, task, more, tmp_path):
    texts = list(zip(TEXTS, TEXTS[::-1], strict=True)) if task == "pair" else TEXTS
    given = {"precision": "float32", "epochs": 1, "batch_size": 16, "max_length": 32, "lora_rank": 2, **more}
    first = TextClassifier(base=str(base), **given).fit(texts, LABELS[task])
    folder = first.save_pretrained(tmp_path / "model")
    scores = first._scores(texts[:5])
    assert TextClassifier.from_pretrained(folder)._scores(texts[:5]) == pytest.approx(scores, abs=1e-5)
    plain(folder, texts[:5], scores, task)
    assert not list(folder.glob("adapter*"))
    if task == "single":
        assert shapes(folder) == shapes(trained)


def shapes(folder):
    """The names of a folder's weights with their shapes."""
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118  # it is no dictionary


def adapted(source, base, **train):
    config = settings(source, base, **train)
    return config.model_copy(update={"model": Model(base=str(base), max_length=32, adapter="lora", lora_rank=8)})


def test_a_run_learns_tells_what_it_did_and_can_be_saved_on_the_way(base, tickets, trained):
    said, seen = [], []

    def better(classifier, epoch):
        seen.append({name: value.clone() for name, value in classifier.network.state_dict().items()})

    config = adapted(tickets, base, precision="bf16", learning_rate=0.006, head_rate=0.3, epochs=8)
    data = run.prepare(config, said.append)
    found = fit(
        data.three.train,
        data.three.validation,
        data.columns,
        data.labels,
        data.base,
        config,
        said.append,
        better=better,
    )
    network, record = found.classifier.network, found.classifier.record
    # On an encoder of random weights, which stays as it is, adapters get to 0.6 in a dozen epochs.
    losses = [epoch["validation"]["loss"] for epoch in found.training.history]
    assert min(losses) < losses[0] - 0.05
    assert len(seen) >= 1
    assert all({name: list(value.shape) for name, value in one.items()} == shapes(trained) for one in seen)
    # The last of them is the network that came out, but for the temperature in its last layer.
    for name, value in network.state_dict().items():
        if not name.startswith("classifier."):
            torch.testing.assert_close(seen[-1][name], value, atol=1e-6, rtol=0)
    assert record["recipe"]["adapter"] == "lora"
    assert (record["recipe"]["lora_rank"], record["recipe"]["lora_alpha"]) == (8, 16.0)
    assert record["trained_weights"] < network.num_parameters() / 2
    assert "peft" in record["versions"]
    assert any("adapter" in line and "weights are trained" in line for line in said)
    assert any("lora adapters of rank 8, alpha 16" in line for line in said)


def test_a_run_that_learned_nothing_starts_anew_from_the_base(base, encoded, tmp_path, monkeypatch):
    monkeypatch.setattr("classifine.train.trainer.STALLED_STEPS", 12)
    rows, validation = encoded.select(range(90)), encoded.select(range(90, 120))
    recipe = replace(recipe_for(rows, epochs=2), learning_rate=1e3, fallback_rate=0.006, head_rate=0.3)
    network, begun = fresh(base), []
    with quiet_transformers(), LORA.on(network):
        monkeypatch.setattr(
            Weights, "restore", lambda self, network: (put(self, network), begun.append(largest(network)))
        )
        found = train(network, rows, validation, 0, recipe, str(tmp_path), lambda line: None)
    assert "started anew at 0.006" in found.alarms[0]
    # What adapters add to the weights: the best epoch at the first rate, the base as it was, the best at the second.
    assert begun[1] == 0
    assert 0 < begun[2] < 1
    assert all(torch.isfinite(weight).all() for weight in network.parameters())


put = Weights.restore


def largest(network):
    return max(weight.abs().max().item() for name, weight in network.named_parameters() if ".lora_B." in name)


def test_a_dry_run_measures_it_with_adapters(base, tickets, tmp_path):
    said = []
    plan = run.dry_run(adapted(tickets, base), None, False, said.append)
    assert plan.seconds > 0
    assert plan.as_json()["recipe"]["adapter"] == "lora"
    assert any("weights are trained" in line for line in said)


def recipe(parameters=110_000_000, model=None, **settings):
    return choose(Train(**settings), CPU, 1000, parameters, 256, model=Model(**(model or {"adapter": "lora"})))


def test_the_recipe_of_adapters():
    for size in (22_000_000, 110_000_000, 335_000_000):
        full = recipe(size, {"base": "x"})
        assert recipe(size).learning_rate >= full.learning_rate
        assert recipe(size).learning_rate * recipe(size).head_rate <= 10 * full.learning_rate * full.head_rate
    assert [recipe(size).fallback_rate for size in (22_000_000, 110_000_000, 335_000_000)] == [3e-4, None, None]
    asked = recipe(learning_rate=1e-5, head_rate=4.0)
    assert (asked.learning_rate, asked.head_rate, asked.fallback_rate) == (1e-5, 4.0, None)
    assert recipe(model={"base": "x"}).adapters is None
    assert Recipe(**recipe().as_json()) == recipe()
    words = " ".join(recipe().lines())
    for flag in ("adapter", "lora-rank", "lora-alpha", "lora-dropout"):
        assert f"--{flag}" in words
        assert f"--{flag}" not in " ".join(recipe(model={"base": "x"}).lines())


@pytest.mark.parametrize(
    ("model", "alpha"),
    [
        ({"adapter": "lora"}, 32), ({"adapter": "dora", "lora_rank": 4}, 8), ({"adapter": "rslora"}, 8),
        ({"adapter": "rslora", "lora_rank": 256}, 8), ({"adapter": "lora", "lora_alpha": 5}, 5),
    ],
)  # fmt: skip
def test_alpha_without_a_wish(model, alpha):
    found = recipe(model=model).adapters
    assert (found.kind, found.rank, found.alpha) == (model["adapter"], model.get("lora_rank", 16), alpha)


@pytest.mark.parametrize("wish", [{"lora_rank": 4}, {"lora_alpha": 16}, {"lora_dropout": 0.1}])
def test_settings_of_adapters_without_them(wish):
    with pytest.raises(ConfigError, match=r"--lora-rank, --lora-alpha and --lora-dropout belong to --adapter\."):
        recipe(model=wish)


def test_a_missing_package_is_said_before_any_work(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "empty.csv").touch()  # which is a mistake, too, but takes reading to find
    config = build({"data": {"source": str(tmp_path / "empty.csv")}, "model": {"adapter": "dora"}})
    with pytest.raises(ConfigError, match=r"^--adapter dora needs peft: pip install 'classifine\[adapters\]'\.$"):
        run.train(config, tmp_path / "out", False, lambda line: None)


def test_the_card_tells_of_adapters(trained):
    from classifine.report.card import card

    record = json.loads((trained / "classifine.json").read_text("utf-8"))
    assert "adapter" not in card(record, {})
    known = {"adapter": "dora", "lora_rank": 8, "lora_alpha": 16.0, "lora_dropout": 0.0}
    text = card({**record, "recipe": {**record["recipe"], **known}}, {})
    assert "| adapter | dora, rank 8, alpha 16, dropout 0, merged into the weights |" in text
