"""Words for a base that splits them: which ones, what their tokens begin with, and the way from `train` to a saved folder."""

import json
import random

import numpy as np
import pytest
import torch
from conftest import QUICK, made_up, make_base, settings, write_csv
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

from classifine import TextClassifier, adapt, run
from classifine.adapt import AdaptOptions
from classifine.config import Model, build
from classifine.errors import ConfigError
from classifine.labels import Labels
from classifine.model import vocabulary
from classifine.model.base import find_base
from classifine.model.folder import load
from classifine.model.network import load_base
from classifine.model.vocabulary import MOST, WORTH, Words, give_words, split_words, wanted_words
from classifine.train.wishes import new_words_of

# Words of another language, as far as the tiny base is concerned: it knows their letters alone.
FOREIGN = {"baik": ["bagus", "enak", "senang", "puas"], "buruk": ["rugi", "kecewa", "parah", "gagal"]}
OTHERS = ["ini", "itu", "saya", "dengan", "sudah"]


def foreign(rows, seed=0):
    """Distinct (text, label) pairs of such words."""
    draw, found = random.Random(seed), {}
    while len(found) < rows:
        label = list(FOREIGN)[len(found) % 2]
        words = [*draw.sample(FOREIGN[label], 2), *draw.sample(OTHERS, 3)]
        draw.shuffle(words)
        found.setdefault(" ".join(words), label)
    return list(found.items())


TEXTS = [text for text, _ in foreign(60)]


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    """A base whose tokenizer has every letter that these words need."""
    folder = make_base(tmp_path_factory.mktemp("base") / "letters")
    state = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    lacking = sorted({letter for text in TEXTS for letter in text if letter != " "})
    vocabulary = state["model"]["vocab"]
    assert all(letter in vocabulary and f"##{letter}" in vocabulary for letter in lacking)
    return folder


def loaded(folder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return load_base(find_base(str(folder)), Labels.ordered(["baik", "buruk"], "str"))


def test_words_are_the_frequent_ones_that_are_split_those_first_that_spare_most(letters, monkeypatch):
    _, tokenizer = loaded(letters)
    texts = [
        "parcel bagus bagus",
        "Bagus dengan",
        "bagus ini",
        "bagus dengan dengan dengan",
        "dengan jarang",
        "ini ini ini ini",
    ]
    found = split_words(tokenizer, texts, 10)
    # "bagus" and "dengan" spare 5 * 4 and 5 * 5 tokens; "jarang" is rare, and "parcel" is a token already.
    assert list(found.pieces) == ["dengan", "bagus", "ini"]
    assert found.pieces == {word: tokenizer.encode(word, add_special_tokens=False) for word in found.pieces}
    plain = sum(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
    assert found.spared == pytest.approx((25 + 20 + 10) / plain)
    assert list(split_words(tokenizer, texts, 1).pieces) == ["dengan"]
    monkeypatch.setattr(vocabulary, "_LOOKED_AT", sum(map(len, texts)) // 2)
    assert split_words(tokenizer, texts, 10) == split_words(tokenizer, texts[::2], 10)
    monkeypatch.undo()
    pairs = [(texts[0], texts[1]), (texts[2], texts[3]), (texts[4], texts[5])]
    assert split_words(tokenizer, pairs, 10) == found


def test_words_that_the_base_cannot_spell_get_tokens_too(letters):
    network, tokenizer = loaded(letters)
    texts = ["my parcel 迟 😂", "love it 😂", "parcel 迟 😂", "迟 迟 迟", "😂 my 😂"]
    unknown = tokenizer.unk_token_id
    assert tokenizer.encode("迟 😂", add_special_tokens=False) == [unknown, unknown]
    words = split_words(tokenizer, texts, 10)
    assert words == Words({"迟": [unknown], "😂": [unknown]}, 10 / 16)
    grown = give_words(network, tokenizer, words)
    one, other = grown.encode("迟 😂", add_special_tokens=False)
    assert one != other
    assert unknown not in (one, other)


def test_a_word_becomes_one_token_that_begins_as_the_mean_of_its_pieces(letters):
    network, tokenizer = loaded(letters)
    before, words = network.get_input_embeddings().weight.detach().clone(), split_words(tokenizer, TEXTS, MOST)
    grown = give_words(network, tokenizer, words)
    assert len(grown) == len(tokenizer) + len(words.pieces) == network.config.vocab_size
    after = network.get_input_embeddings().weight.detach()
    assert torch.equal(after[: len(before)], before)
    for word, ids in words.pieces.items():
        (own,) = grown.encode(word.upper(), add_special_tokens=False)
        assert own >= len(tokenizer)
        torch.testing.assert_close(after[own], before[ids].mean(dim=0))
    known = [text for text, _ in made_up(20)]
    assert grown(known)["input_ids"] == tokenizer(known)["input_ids"]
    assert type(grown) is type(tokenizer)
    assert grown.model_max_length == tokenizer.model_max_length
    assert give_words(network, tokenizer, Words({})) is tokenizer


def test_unasked_words_are_given_where_they_spare_much(letters):
    _, tokenizer = loaded(letters)
    assert wanted_words(tokenizer, TEXTS, None).spared > WORTH
    known = [text for text, _ in made_up(60)]
    assert not wanted_words(tokenizer, known + TEXTS[:2], None).pieces
    assert wanted_words(tokenizer, known + TEXTS[:6], 3).pieces
    assert len(wanted_words(tokenizer, TEXTS, 2).pieces) == 2
    assert not wanted_words(tokenizer, TEXTS, 0).pieces


def test_other_tokenizers_take_no_words():
    words = Tokenizer(models.BPE(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=40, special_tokens=["[UNK]"], show_progress=False))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
    assert not wanted_words(tokenizer, TEXTS, None).pieces
    with pytest.raises(ConfigError, match=r"--new-words is 5, .*WordPiece.*Leave --new-words out"):
        wanted_words(tokenizer, TEXTS, 5)


def test_frozen_encoders_get_none():
    assert new_words_of(Model(), "finetune") is None
    assert new_words_of(Model(new_words=7), "finetune") == 7
    assert new_words_of(Model(), "probe") == new_words_of(Model(adapter="lora"), "finetune") == 0
    with pytest.raises(ConfigError, match="for --method finetune, and the method is probe"):
        new_words_of(Model(new_words=7), "probe")
    with pytest.raises(ConfigError, match="--adapter lora freezes them"):
        new_words_of(Model(adapter="lora", new_words=7), "finetune")


@pytest.fixture(scope="module")
def foreign_run(tmp_path_factory, letters):
    """(folder, what was said) of a classifier of such texts."""
    place, said = tmp_path_factory.mktemp("run"), []
    config = settings(write_csv(place / "rows.csv", foreign(120)), letters)
    return run.train(config, place / "model", False, said.append).folder, said


def test_a_classifier_of_foreign_texts_has_them_and_plain_transformers_loads_it(foreign_run):
    folder, said = foreign_run
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    count = record["recipe"]["new_words"]
    assert count == len(OTHERS) + sum(map(len, FOREIGN.values()))
    assert any(
        f"{count} words that the base's tokenizer splits or does not know" in line and "--new-words" in line
        for line in said
    )
    texts = [text for text, _ in foreign(10, seed=3)]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert all(len(ids) == 2 + 5 for ids in tokenizer(texts)["input_ids"])
    network = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = network(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    names = [network.config.id2label[i] for i in logits.argmax(dim=1).tolist()]
    saved = TextClassifier.from_pretrained(folder)
    assert names == list(saved.predict(texts))
    np.testing.assert_allclose(saved.predict_proba(texts), logits.softmax(dim=1).numpy(), atol=1e-5)
    # What the report draws is how long the texts are for this tokenizer.
    told = json.loads((folder / "data_report.json").read_text("utf-8"))["tokens"]["splits"]["train"]
    assert told["longest"] == 2 + 5


def test_without_them_texts_stay_in_pieces(tmp_path, letters):
    config = settings(write_csv(tmp_path / "rows.csv", foreign(60)), letters, epochs=1)
    config = config.model_copy(update={"model": config.model.model_copy(update={"new_words": 0})})
    folder = run.train(config, tmp_path / "model", False, lambda line: None).folder
    saved = load(folder)
    assert saved.record["recipe"]["new_words"] == 0
    assert len(saved.tokenizer) == len(loaded(letters)[1])


def test_pairs_learn_similarity_with_the_words(letters):
    texts = [text for text, _ in foreign(240)]
    pairs = list(zip(texts[:120], texts[120:], strict=True))
    folder = letters.with_name("sentences")
    make_base(folder)
    (folder / "modules.json").write_text(json.dumps([
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]))  # fmt: skip
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    classifier = TextClassifier(base=str(folder), text_pair="b", **{**QUICK, "epochs": 1})
    classifier.fit(pairs, ["same" if i % 2 else "other" for i in range(120)])
    record = classifier._saved.record
    assert record["recipe"]["new_words"] > 0
    assert record["pair_similarity"]["pairs"] > 0


def test_an_adapted_base_has_them_and_train_gives_no_more(tmp_path, letters):
    source = tmp_path / "texts.txt"
    source.write_text("\n".join(text for text, _ in foreign(100)) + "\n", encoding="utf-8")
    train = {"epochs": 1, "batch_size": 16, "learning_rate": 0.01}
    config, said = build({"model": {"base": str(letters), "max_length": 32}, "train": train}), []
    record = adapt.adapt([str(source)], config, AdaptOptions(), tmp_path / "base", False, said.append)
    assert record["recipe"]["new_words"] > 0
    assert any("get a token of their own" in line for line in said)
    _, tokenizer = loaded(tmp_path / "base")
    assert not wanted_words(tokenizer, TEXTS, None).pieces
    assert len(tokenizer.encode("bagus", add_special_tokens=False)) == 1
