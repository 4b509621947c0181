"""A base that learns which tokens another network replaced: what is drawn, judged, learned and written."""

import json
import math

import pytest
import torch
from conftest import fitted_on
from test_adapt import LINES, adapted_to, lines  # noqa: F401  # the fixture

from classifine import cli
from classifine.adapt import AdaptOptions
from classifine.data.encode import encode_texts
from classifine.errors import ConfigError, ModelError, TrainingError
from classifine.infer.fill import fill_mask
from classifine.infer.masked import NOT_ASKED, asked_alone
from classifine.model.base import find_base
from classifine.model.masked import _cut
from classifine.train import objectives
from classifine.train.detector import GUESSING, SUMS, load_detector, share_words
from classifine.train.masking import masking_collator

REPLACED = AdaptOptions(objective="replaced")


@pytest.fixture(scope="module")
def run(tmp_path_factory, lines, base):  # noqa: F811
    """(folder, record, what was said) of one adapted base."""
    folder, said = tmp_path_factory.mktemp("bases") / "letters", []
    return folder, adapted_to(folder, lines, base, said.append, options=REPLACED), said


@pytest.fixture
def detector(base):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, masked = load_detector(find_base(str(base)))
    share_words(network)
    return network.eval(), masked.tokenizer


def batch_of(tokenizer, texts=LINES[:12]):
    columns = encode_texts(texts, tokenizer, 32)
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return masking_collator(tokenizer, 0.3)(rows), columns


def test_the_folder_is_a_whole_encoder_with_its_record(run, base):
    from transformers import AutoModel

    folder, record, said = run
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "adapt.json", "README.md",
    }  # fmt: skip
    assert json.loads((folder / "adapt.json").read_text("utf-8")) == record
    assert (record["objective"], record["new_head"], record["best_epoch"]) == ("replaced", False, 4)
    assert record["detection"] == record["history"][-1]["validation"]
    assert "loss" not in record
    card = (folder / "README.md").read_text("utf-8")
    assert f"{record['detection']['recall']:.1%}" in card
    assert "fill-mask" not in card
    assert any("of the replaced tokens found" in line for line in said)
    encoder, found = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not found["missing_keys"]
    assert not found["unexpected_keys"]
    before = AutoModel.from_pretrained(base).state_dict()
    same = {name for name, weight in encoder.state_dict().items() if torch.equal(weight, before[name])}
    assert same == {"pooler.dense.weight", "pooler.dense.bias"}
    assert encoder.config.attention_probs_dropout_prob == 0.1


def test_it_tells_replaced_tokens_better_than_their_share_does(lines, base, tmp_path):  # noqa: F811
    history = adapted_to(tmp_path / "out", lines, base, options=REPLACED, epochs=30, learning_rate=0.003)["history"]
    found, share = history[-1]["validation"], history[-1]["validation"]["replaced"]
    assert 0 < share < 0.3
    assert found["loss"] < 0.8 * -(share * math.log(share) + (1 - share) * math.log(1 - share))
    assert found["precision"] > 2 * share
    assert found["guess_perplexity"] < history[0]["validation"]["guess_perplexity"]


def test_classifiers_begin_with_it_and_masks_are_refused(run, base, tickets, tmp_path):
    folder = fitted_on(tmp_path / "model", tickets, run[0], epochs=1).folder
    assert json.loads((folder / "classifine.json").read_text("utf-8"))["base_adapted_from"] == base.name
    with pytest.raises(ModelError, match="no head that fills masks"):
        fill_mask("my parcel [MASK] late", find_base(str(run[0])), 5)


def test_too_little_to_learn_from_is_said(lines, base, tmp_path):  # noqa: F811
    said = []
    adapted_to(tmp_path / "out", lines, base, said.append, options=REPLACED, epochs=1, learning_rate=1e-6)
    assert any("not learned to tell any of them yet. Give more texts" in line for line in said)


def test_the_same_seed_gives_the_same_numbers(run, lines, base, tmp_path):  # noqa: F811
    again = adapted_to(tmp_path / "again", lines, base, options=REPLACED)
    assert again["history"][0]["validation"] == run[1]["history"][0]["validation"]


def test_words_of_their_own_are_learned_by_both(lines, base, tmp_path):  # noqa: F811
    from transformers import AutoModel, AutoTokenizer

    made = tmp_path / "made.txt"
    made.write_text("\n".join(f"{text} zyxwvutsr" for text in LINES), encoding="utf-8")
    adapted_to(tmp_path / "out", made, base, options=REPLACED, new_words=5, epochs=1)
    network, tokenizer = AutoModel.from_pretrained(tmp_path / "out"), AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(tokenizer.tokenize("zyxwvutsr")) == 1
    assert network.config.vocab_size == network.get_input_embeddings().weight.shape[0] >= len(tokenizer)


def test_the_loss_is_that_of_the_answers_about_all_tokens_and_a_little_of_the_guesses(detector):
    network, tokenizer = detector
    batch, columns = batch_of(tokenizer)
    torch.manual_seed(3)
    with asked_alone(network.generator):
        found = network(**batch)
    sums = dict(zip(SUMS, found["sums"].detach().sum(dim=0).tolist(), strict=True))
    asked = int((batch["labels"] != NOT_ASKED).sum())
    assert (sums["guesses"], sums["tokens"]) == (asked, sum(columns["length"]))
    assert sums["found"] <= min(sums["named"], sums["replaced"])
    assert 0 < sums["replaced"] <= asked
    expected = sums["loss"] / sums["tokens"] + GUESSING * sums["guess_loss"] / sums["guesses"]
    assert float(found["loss"].detach()) == pytest.approx(expected, abs=1e-5)
    found["loss"].backward()
    # Both learn, and the vectors of tokens are those of both.
    assert network.generator.get_input_embeddings() is network.encoder.get_input_embeddings()
    missing = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert missing == set()


def test_what_guesses_learns_from_its_guesses_alone(detector):
    network, tokenizer = detector
    batch, _ = batch_of(tokenizer)
    shared = network.generator.get_input_embeddings().weight
    own = [weight for weight in network.generator.parameters() if weight is not shared]
    torch.manual_seed(3)
    with asked_alone(network.generator):
        whole = torch.autograd.grad(network(**batch)["loss"], own)
        alone = torch.autograd.grad(GUESSING * network.generator(**batch)["loss"], own)
    assert all(torch.allclose(one, other, atol=1e-7) for one, other in zip(whole, alone, strict=True))
    assert any(one.abs().max() > 1e-5 for one in alone)


def test_tokens_that_are_guessed_right_are_no_replacement(detector):
    network, tokenizer = detector
    batch, _ = batch_of(tokenizer)
    truth = batch["labels"][batch["labels"] != NOT_ASKED]

    class Knowing(torch.nn.Module):
        def forward(self, labels, **given):
            logits = torch.nn.functional.one_hot(truth, len(tokenizer)) * 1e4
            return {"loss": torch.zeros(()), "sums": torch.zeros(len(labels), 2), "logits": logits}

    network.generator = Knowing()
    sums = dict(zip(SUMS, network(**batch)["sums"].detach().sum(dim=0).tolist(), strict=True))
    assert (sums["replaced"], sums["found"]) == (0, 0)
    # And what the encoder reads is the text as it was, without a mask.
    whole = torch.where(batch["labels"] == NOT_ASKED, batch["input_ids"], batch["labels"])
    seen = []
    network.encoder.register_forward_pre_hook(
        lambda module, args, given: seen.append(given["input_ids"]), with_kwargs=True
    )
    network(**batch)
    assert torch.equal(seen[0], whole)


def test_a_batch_without_masks_is_read_as_it_is(detector):
    network, tokenizer = detector
    batch, _ = batch_of(tokenizer)
    batch["labels"] = torch.full_like(batch["labels"], NOT_ASKED)
    with asked_alone(network.generator):
        found = network(**batch)
    found["loss"].backward()
    assert torch.isfinite(found["loss"])
    assert found["sums"].detach()[:, [0, 1, 4, 6]].abs().sum() == 0


def test_a_batch_that_does_not_fit_is_taken_in_parts(lines, base, tmp_path, monkeypatch):  # noqa: F811
    from classifine.train.detector import Detector

    forward = Detector.forward

    def short_of_memory(self, input_ids, attention_mask, labels, token_type_ids=None):
        if self.training and len(input_ids) > 8:
            raise torch.OutOfMemoryError
        return forward(self, input_ids, attention_mask, labels, token_type_ids)

    monkeypatch.setattr(Detector, "forward", short_of_memory)
    record = adapted_to(tmp_path / "out", lines, base, options=REPLACED, epochs=1)
    assert (record["recipe"]["rows_at_once"], record["recipe"]["batch_size"]) == (8, 16)


def test_weights_that_are_no_numbers_end_in_a_sentence(lines, base, tmp_path, monkeypatch):  # noqa: F811
    begun = objectives.load_detector

    def broken(*given):
        network, masked = begun(*given)
        with torch.no_grad():
            network.generator.get_input_embeddings().weight.fill_(math.nan)
        return network, masked

    monkeypatch.setattr(objectives, "load_detector", broken)
    with pytest.raises(TrainingError, match="diverged"):
        adapted_to(tmp_path / "out", lines, base, options=REPLACED, epochs=1)
    assert not (tmp_path / "out").exists()


def test_an_objective_that_is_none_is_told_at_once(lines, base, tmp_path):  # noqa: F811
    with pytest.raises(ConfigError, match="expected one of masked, replaced"):
        adapted_to(tmp_path / "out", lines, base, options=AdaptOptions(objective="replace"))


def test_settings_for_each_layer_are_cut_with_the_layers(tmp_path):
    from transformers import FunnelConfig, LongformerConfig

    config = LongformerConfig(attention_window=[8, 8, 8], num_hidden_layers=3)
    _cut(config, 1, "long")
    assert (config.num_hidden_layers, config.attention_window) == (1, [8])
    with pytest.raises(ModelError, match="cannot have fewer layers"):
        _cut(FunnelConfig(), 1, "funnel")


def test_from_the_command_line(lines, base, tmp_path, capsys, monkeypatch):  # noqa: F811
    words = ["adapt", str(lines), "--base", str(base), "-o", str(tmp_path / "out"), "--epochs", "1"]
    monkeypatch.setattr("sys.argv", ["classifine", *words, "--objective", "replaced", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["objective"] == "replaced"
    assert set(found["detection"]) == {"loss", "precision", "recall", "replaced", "guess_perplexity"}
