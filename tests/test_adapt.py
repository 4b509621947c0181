"""A base model taught the words of unlabelled texts: what is read, what is learned, what is written."""

import json
import math
import shutil

import pytest
import torch
from conftest import fitted_on, made_up, sentence_encoder, write_csv

from classifine import adapt as adapting
from classifine import cli
from classifine.adapt import AdaptOptions
from classifine.config import Data, Train, build
from classifine.data.encode import encode_texts, pad_id
from classifine.data.texts import read_texts
from classifine.errors import DataError, ModelError, OutputError
from classifine.infer.fill import fill_mask
from classifine.infer.masked import NOT_ASKED, MaskedEngine, asked_alone, mean_loss
from classifine.model.base import Base, find_base
from classifine.model.masked import load_masked
from classifine.train import adapt as training
from classifine.train.choose import choose_masked
from classifine.train.hardware import Hardware
from classifine.train.masking import masked_once, masking_collator
from classifine.train.start import start_at_shares

# Two words in turn: what is masked follows from what stands beside it.
WORDS = list(dict.fromkeys(word for text, _ in made_up(60, seed=1) for word in text.split()))[:40]
LINES = [" ".join((WORDS[2 * pair : 2 * pair + 2] * 6)[:length]) for pair in range(20) for length in range(3, 13)]
CPU = Hardware("cpu", "processor", 2, False)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """200 texts, a line each, with two empty lines and a copy."""
    path = tmp_path_factory.mktemp("texts") / "letters.txt"
    path.write_text("\n".join([*LINES, LINES[0], "", "   "]) + "\n", encoding="utf-8")
    return path


def adapted_to(folder, source, base, say=lambda line: None, options=None, new_words=0, **more):
    """Adapt the tiny base quickly; the record."""
    train = {"epochs": 4, "batch_size": 16, "learning_rate": 0.01, **more}
    config = build({"model": {"base": str(base), "max_length": 32, "new_words": new_words}, "train": train})
    return adapting.adapt([str(source)], config, options or AdaptOptions(), folder, False, say)


@pytest.fixture(scope="module")
def run(tmp_path_factory, lines, base):
    """(folder, record, what was said) of one adapted base."""
    folder, said = tmp_path_factory.mktemp("bases") / "letters", []
    return folder, adapted_to(folder, lines, base, said.append), said


def test_that_a_sentence_encoder_is_none_afterwards_is_said(run, lines, base, tmp_path):
    said = []
    own = sentence_encoder(base, tmp_path / "sentences")
    adapted_to(tmp_path / "out", lines, own, said.append, epochs=1)
    assert find_base(str(tmp_path / "out")).pooling is None
    assert any("with few labels `train` fine-tunes it" in line for line in said)
    assert not any("sentence encoder" in line for line in run[2])


def test_the_folder_is_a_whole_base_with_its_record(run):
    folder, record, said = run
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "adapt.json", "README.md",
    }  # fmt: skip
    assert json.loads((folder / "adapt.json").read_text("utf-8")) == record
    assert record["rows"] == {"train": 190, "held_out": 10}
    assert record["new_head"]
    assert (record["seed"], record["mask_share"], record["recipe"]["task"]) == (42, 0.15, None)
    assert f"{record['loss']['after']:.4f}" in (folder / "README.md").read_text("utf-8")
    assert any("203 texts" in line and "2 empty ones and 1 exact copies" in line for line in said)
    assert any("gets a new one" in line for line in said)


def test_it_guesses_better_than_by_how_often_each_token_occurs(run):
    loss, guess = run[1]["loss"], run[1]["perplexity"]
    assert loss["after"] < loss["before"] - 0.3
    assert guess["after"] == pytest.approx(math.exp(loss["after"]))
    best = min(epoch["validation"]["loss"] for epoch in run[1]["history"])
    assert loss["after"] == pytest.approx(best)


def test_plain_transformers_loads_it_with_all_its_weights(run, base):
    from transformers import AutoModel, AutoModelForMaskedLM

    encoder, found = AutoModel.from_pretrained(run[0], output_loading_info=True)
    assert not found["missing_keys"]
    network, found = AutoModelForMaskedLM.from_pretrained(run[0], output_loading_info=True)
    assert not found["missing_keys"]
    assert network.get_output_embeddings().weight is network.get_input_embeddings().weight
    # What guessing masks does not use is the base's own; the rest has learned.
    before = AutoModel.from_pretrained(base).state_dict()
    same = {name for name, weight in encoder.state_dict().items() if torch.equal(weight, before[name])}
    assert same == {"pooler.dense.weight", "pooler.dense.bias"}
    # Left out for speed in this run alone.
    assert network.config.attention_probs_dropout_prob == 0.1


def test_masks_are_filled_and_classifiers_begin_with_it(run, base, tickets, tmp_path):
    (guesses,) = fill_mask("my parcel [MASK] late", find_base(str(run[0])), 5)
    assert guesses[0].token in WORDS
    folder = fitted_on(tmp_path / "model", tickets, run[0], epochs=1).folder
    assert json.loads((folder / "classifine.json").read_text("utf-8"))["base_adapted_from"] == base.name
    assert find_base(str(base)).adapted_from is None


def test_again_with_a_head_that_is_there_and_the_first_base_is_remembered(run, lines, base, tmp_path):
    record = adapted_to(tmp_path / "more", lines, run[0], epochs=1)
    assert not record["new_head"]
    assert record["adapted_from"] == base.name
    # It goes on where the first ended, on texts that are held out by the same seed.
    assert record["loss"]["before"] == pytest.approx(run[1]["loss"]["after"], abs=0.01)


def test_the_same_seed_gives_the_same_numbers(run, lines, base, tmp_path):
    again = adapted_to(tmp_path / "again", lines, base)
    assert again["history"][0]["validation"] == run[1]["history"][0]["validation"]


@pytest.mark.parametrize(
    ("base", "origin", "before", "told"),
    [
        ("owner/name", "the Hub", None, "owner/name"),
        ("/home/me/bases/own", "a local folder", None, "own"),
        ("bases/letters", "a local folder", "owner/name", "owner/name"),
    ],
)
def test_the_first_base_is_told_without_the_paths_of_a_machine(base, origin, before, told, tmp_path):
    record = {"base": base, "base_origin": origin, "adapted_from": before}
    (tmp_path / "adapt.json").write_text(json.dumps(record))
    assert Base("x", tmp_path, "a local folder").adapted_from == told


def test_a_damaged_record_is_a_sentence(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "base")
    (folder / "adapt.json").write_text("{}")
    with pytest.raises(ModelError, match=r"adapt\.json is damaged"):
        find_base(str(folder)).adapted_from  # noqa: B018


# --- what cannot be done ------------------------------------------------------------------------------------------


def test_a_family_that_guesses_no_masks(base, lines, tmp_path):
    folder = shutil.copytree(base, tmp_path / "gpt2")
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": 64}))
    with pytest.raises(ModelError, match=r"family gpt2, which guesses no masks.* Choose another --base"):
        adapted_to(tmp_path / "out", lines, folder)
    assert not (tmp_path / "out").exists()


def test_only_an_adapted_base_is_replaced(run, trained, base, lines, tmp_path):
    with pytest.raises(OutputError, match="exists already"):
        adapted_to(run[0], lines, base)
    config = build({"model": {"base": str(base)}})
    with pytest.raises(OutputError, match="is not an adapted base"):
        adapting.adapt([str(lines)], config, AdaptOptions(), trained, True, lambda line: None)


def test_an_interruption_leaves_nothing(lines, base, tmp_path, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(adapting, "save_adapted", interrupted)
    with pytest.raises(KeyboardInterrupt):
        adapted_to(tmp_path / "out", lines, base, epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_that_does_not_fit_is_taken_in_parts(lines, base, tmp_path, monkeypatch):
    def fits_eight(network, rows, validation, recipe, *rest):
        if recipe.rows_at_once > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return walk(network, rows, validation, recipe, *rest)

    walk = training.walk
    monkeypatch.setattr(training, "walk", fits_eight)
    record = adapted_to(tmp_path / "out", lines, base, epochs=1)
    assert (record["recipe"]["rows_at_once"], record["recipe"]["batch_size"]) == (8, 16)


def test_no_epoch_better_than_the_base_is_said(run, lines, tmp_path):
    said = []
    adapted_to(tmp_path / "out", lines, run[0], said.append, epochs=1, learning_rate=1.0)
    assert any("no epoch was better" in line for line in said)


def test_from_the_command_line(lines, base, tmp_path, capsys, monkeypatch):
    words = ["adapt", str(lines), str(lines), "--base", str(base), "-o", str(tmp_path / "out"), "--epochs", "1"]
    monkeypatch.setattr("sys.argv", ["classifine", *words, "--max-rows", "40", "--mask-share", "0.3", "--json"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "out")
    assert (found["rows"], found["mask_share"]) == ({"train": 38, "held_out": 2}, 0.3)


# --- texts --------------------------------------------------------------------------------------------------------


def texts_in(*paths, rows=None, **data):
    found = read_texts([str(path) for path in paths], Data(**data), 0.1, 2000, rows, 1)
    return {*found.train, *found.held_out}, found


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        (("text", "label"), [(text, "ab"[i % 2]) for i, text in enumerate(LINES[:20])]),
        (("text",), [(text,) for text in LINES[:20]]),
        (("note", "code"), [(text, "xyz"[i % 3]) for i, text in enumerate(LINES[:20])]),
        (("sentence1", "sentence2", "label"), [(*LINES[i : i + 2], i % 3) for i in range(0, 20, 2)]),
    ],
    ids=["labelled", "texts alone", "by its words", "pairs"],
)
def test_texts_are_found_as_train_finds_them(header, rows, tmp_path):
    found, parts = texts_in(write_csv(tmp_path / "rows.csv", rows, header))
    assert found == set(LINES[:20])
    assert len(parts.held_out) == 2


def test_columns_may_be_named_and_files_be_several(lines, tmp_path):
    rows = write_csv(tmp_path / "rows.csv", [(text, text[::-1], "x") for text in LINES[:20]], ("one", "other", "more"))
    assert texts_in(rows, text=("other",))[0] == {text[::-1] for text in LINES[:20]}
    assert texts_in(rows, text=("one",), text_pair="other")[0] == {t for one in LINES[:20] for t in (one, one[::-1])}
    with pytest.raises(DataError, match=r"no column 'otter'.*Did you mean 'other'.*Change --text"):
        texts_in(rows, text=("otter",))
    with pytest.raises(DataError, match="named twice"):
        texts_in(rows, text=("one",), text_pair="one")
    more = write_csv(tmp_path / "more.csv", [("new words", "a")] * 12, ("body", "label"))
    found, parts = texts_in(lines, more, text=("body",))
    assert found == {*LINES, "new words"}
    assert any("12 exact copies" in note for note in parts.notes)  # 11 of the new one, 1 of an old one


def test_rows_are_drawn_by_seed_and_too_few_are_refused(lines, tmp_path):
    found, parts = texts_in(lines, rows=50)
    assert len(found) == 50
    assert texts_in(lines, rows=50)[1] == parts
    (tmp_path / "few.txt").write_text("one\ntwo\none\n")
    with pytest.raises(DataError, match="2 different texts; expected 10"):
        texts_in(tmp_path / "few.txt")


# --- masks and their loss -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def masked(base):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return load_masked(find_base(str(base)))


@pytest.fixture(scope="module")
def rows(masked):
    columns = encode_texts(LINES, masked.tokenizer, 32)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def test_masks_have_their_shares_and_spare_what_is_no_word(masked, rows):
    collate, shown, asked, hidden, kept = masking_collator(masked.tokenizer, 0.2), 0, 0, 0, 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for _ in range(20):
            batch = collate(rows)
            plain = collate_plainly(rows)
            places = batch["labels"] != NOT_ASKED
            assert (batch["labels"][places] == plain[places]).all()
            assert (batch["input_ids"][~places] == plain[~places]).all()
            assert not torch.isin(plain[places], torch.tensor(masked.tokenizer.all_special_ids)).any()
            shown += int((~torch.isin(plain, torch.tensor(masked.tokenizer.all_special_ids))).sum())
            asked += int(places.sum())
            hidden += int((batch["input_ids"][places] == masked.tokenizer.mask_token_id).sum())
            kept += int((batch["input_ids"][places] == plain[places]).sum())
    assert asked / shown == pytest.approx(0.2, abs=0.02)
    assert hidden / asked == pytest.approx(0.8, abs=0.02)
    assert kept / asked == pytest.approx(0.1, abs=0.02)


def collate_plainly(rows):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row["input_ids"]) for row in rows], True, 0)


def test_masks_to_judge_by_follow_from_the_seed_alone(masked, rows):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    state = torch.get_rng_state()
    first = masked_once(columns, masked.tokenizer, 0.15, 3)
    torch.rand(1)
    assert masked_once(columns, masked.tokenizer, 0.15, 3) == first
    assert masked_once(columns, masked.tokenizer, 0.15, 4) != first
    torch.set_rng_state(state)


def test_the_mean_loss_is_that_of_all_masked_tokens(masked, rows):
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    judged, network = masked_once(columns, masked.tokenizer, 0.15, 3), masked.network.eval()
    with asked_alone(network):
        found = mean_loss(MaskedEngine(network), judged, pad_id(masked.tokenizer))
    losses, places = 0.0, 0
    for ids, targets in zip(judged["input_ids"], judged["targets"], strict=True):
        labels = torch.tensor([targets]) - 1
        labels[labels < 0] = NOT_ASKED
        if (count := int((labels >= 0).sum())) > 0:
            with torch.inference_mode():
                losses += count * float(network(input_ids=torch.tensor([ids]), labels=labels).loss)
            places += count
    assert found == pytest.approx(losses / places, abs=1e-5)


def test_a_batch_without_masks_teaches_nothing_and_breaks_nothing(masked, rows):
    network = masked.network
    ids = torch.tensor([rows[0]["input_ids"]])
    with asked_alone(network):
        loss = network(input_ids=ids, labels=torch.full_like(ids, NOT_ASKED))["loss"]
        loss.backward()
    assert float(loss.detach()) == 0
    assert all(weight.grad is None or not weight.grad.any() for weight in network.parameters())
    network.zero_grad()
    assert network(input_ids=ids).logits.shape[:2] == ids.shape  # as it was


def test_a_new_head_starts_with_how_often_each_token_occurs(base):
    with torch.random.fork_rng():
        network = load_masked(find_base(str(base))).network
    start_at_shares(network, [[2, 9, 9, 9, 10, 3]], [0, 1, 2, 3, 4])
    shares = network.get_output_embeddings().bias.detach().exp()
    assert float(shares.sum()) == pytest.approx(1)
    assert float(shares[9] / shares[10]) == pytest.approx(3.1 / 1.1)
    assert float(shares[2]) == pytest.approx(float(shares[11]))


@pytest.mark.parametrize(
    ("rows", "weights", "settings", "epochs", "rate"),
    [
        (1000, 22e6, {}, 20, 3e-4),
        (30_000, 110e6, {}, 2, 5e-5),
        (1_000_000, 300e6, {}, 1, 2e-5),
        (1000, 22e6, {"epochs": 3, "learning_rate": 1e-4}, 3, 1e-4),
    ],
)
def test_the_recipe_follows_from_rows_and_size(rows, weights, settings, epochs, rate):
    recipe = choose_masked(Train(**settings), CPU, rows, weights, 128, new_head=rows == 1000)
    assert recipe.head_rate == (5 if rows == 1000 else 1)
    assert (recipe.epochs, recipe.learning_rate) == (epochs, rate)
    assert (recipe.task, recipe.metric, recipe.fallback_rate) == (None, "loss", None)
    assert recipe.steps == epochs * math.ceil(rows / 32)
