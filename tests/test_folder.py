"""Saved classifiers: what goes in comes out, and a folder that is not whole is refused in a sentence."""

import copy as copying
import json
import os
import shutil
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch

from classifine.errors import ModelError, OutputError
from classifine.infer.predict import text_logits
from classifine.labels import Labels
from classifine.model.base import find_base
from classifine.model.disk import alone, workplace
from classifine.model.folder import check_output, load, read_record, save
from classifine.model.network import fold_temperature, load_base

TEXTS = ["my parcel is late", "charged twice", "love it"]


@pytest.fixture
def copy(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "copy")


def edit(path, **changes):
    """Change keys of a JSON file; a value of None removes its key."""
    content = {**json.loads(path.read_text("utf-8")), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_a_round_trip_keeps_network_labels_and_record(saved, tmp_path):
    save(tmp_path, saved.network, saved.tokenizer, saved.labels, saved.record)
    again = load(tmp_path)
    assert (again.labels, again.record, again.max_length) == (saved.labels, saved.record, 32)
    assert np.array_equal(text_logits(again, TEXTS), text_logits(saved, TEXTS))
    assert not again.network.training
    assert again.tokenizer.model_max_length == 32


def test_labels_are_read_back_after_saving(saved, tmp_path):
    others = Labels(("praise", "delivery", "payment"))
    with pytest.raises(ModelError, match="did not survive saving"):
        save(tmp_path, saved.network, saved.tokenizer, others, saved.record)


def test_load_base_gives_a_float32_network_for_the_labels(base):
    network, tokenizer = load_base(find_base(str(base)), Labels(("a", "b")), "eager", attention_dropout=False)
    assert network.config.id2label == {0: "a", 1: "b"}
    assert network.config.problem_type == "single_label_classification"
    # This run goes without; the network that others train on keeps what the base said.
    assert {layer.attention.self.dropout.p for layer in network.bert.encoder.layer} == {0.0}
    assert network.config.attention_probs_dropout_prob == 0.1
    assert {str(weight.dtype) for weight in network.parameters()} == {"torch.float32"}
    assert len(tokenizer("parcel")["input_ids"]) == 3


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json", "classifine.json"])
def test_a_missing_file(copy, file):
    (copy / file).unlink()
    with pytest.raises(ModelError, match="is not a saved classifier"):
        load(copy)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json", "classifine.json"])
def test_a_file_cut_short(copy, file):
    (copy / file).write_bytes((copy / file).read_bytes()[:100])
    with pytest.raises(ModelError, match=r"did not load as a text classifier|is damaged"):
        _ = load(copy).network


def test_weights_without_a_head_are_not_answered_by_chance(copy, base):
    shutil.copy(base / "model.safetensors", copy)
    with pytest.raises(ModelError, match=r"its weights lack classifier\.bias"):
        _ = load(copy).network


def test_records_that_are_not_whole(copy):
    edit(copy / "classifine.json", max_length=None, label_kind=None)
    with pytest.raises(ModelError, match="is damaged: it lacks label_kind, max_length"):
        read_record(copy)
    (copy / "classifine.json").write_text("[]")
    with pytest.raises(ModelError, match="is damaged"):
        read_record(copy)


def test_a_newer_format_is_refused_not_misread(copy):
    edit(copy / "classifine.json", format=3)
    with pytest.raises(ModelError, match=r"newer classifine \(format 3\). Update classifine"):
        load(copy)


def test_labels_that_disagree(copy):
    edit(copy / "classifine.json", labels=["payment", "delivery", "praise"])
    with pytest.raises(ModelError, match="name different labels"):
        load(copy)


def test_a_folder_that_is_not_there_or_not_ours(tmp_path, base):
    with pytest.raises(ModelError, match="No such classifier"):
        load(tmp_path / "none")
    with pytest.raises(ModelError, match="is not a saved classifier"):
        load(base)


def test_a_workplace_becomes_the_folder_at_the_end(tmp_path):
    with workplace(tmp_path / "deep" / "out") as place:
        (place / "file").write_text("x")
        (place / "file").chmod(0o600)
        assert not (tmp_path / "deep" / "out").exists()
    assert [item.name for item in (tmp_path / "deep").iterdir()] == ["out"]
    mode = stat.S_IMODE((tmp_path / "deep" / "out" / "file").stat().st_mode)
    assert mode == 0o666 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_workplace_leaves_nothing_after_an_error(tmp_path, error):
    with pytest.raises(error), workplace(tmp_path / "runs" / "out") as place:
        (place / "half").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_workplace_keeps_what_was_there_after_an_error(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("x")
    with pytest.raises(ValueError), workplace(tmp_path / "out"):
        raise ValueError
    assert [item.name for item in tmp_path.rglob("*")] == ["out", "old"]


def test_a_workplace_replaces_what_was_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("x")
    with workplace(tmp_path / "out") as place:
        (place / "new").write_text("x")
    assert [item.name for item in tmp_path.rglob("*")] == ["out", "new"]


def test_a_full_disk_is_one_sentence(tmp_path):
    with pytest.raises(OutputError, match="cannot be written: No space left on device"), workplace(tmp_path / "out"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_check_output(tmp_path, copy):
    check_output(tmp_path / "new" / "er", overwrite=False)
    check_output(copy, overwrite=True)
    (tmp_path / "empty").mkdir()
    check_output(tmp_path / "empty", overwrite=True)
    with pytest.raises(OutputError, match=r"exists already.* -o, .*--overwrite"):
        check_output(copy, overwrite=False)
    with pytest.raises(OutputError, match=r"exists already.*, or replace it with overwrite=True"):
        check_output(copy, overwrite=False, typed=False)


def test_check_output_never_replaces_what_is_not_ours(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("x")
    for place in (tmp_path / "thesis", tmp_path / "thesis" / "chapter1.txt"):
        with pytest.raises(OutputError, match="so it is not replaced"):
            check_output(place, overwrite=True)


def test_check_output_below_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is not a folder that you may write to"):
        check_output(tmp_path / "file" / "model", overwrite=False)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_check_output_where_one_may_not_write(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="you may write to"):
        check_output(tmp_path / "model", overwrite=False)
    tmp_path.chmod(0o700)


def test_code_that_a_folder_brings_along_is_refused_without_asking(trained, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": auto_map}))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(ModelError, match="did not load"):
        _ = load(folder).network
    assert not (tmp_path / "ran").exists()
    assert capsys.readouterr().out == ""


def test_an_error_of_the_work_itself_is_not_blamed_on_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError), workplace(tmp_path / "model"):
        raise FileNotFoundError("something else")
    assert list(tmp_path.iterdir()) == []


def test_a_temperature_goes_into_the_head_or_the_head_stays(saved):
    network = copying.deepcopy(saved.network)
    before = [weight.clone() for weight in network.parameters()]
    expected = text_logits(saved, TEXTS) / np.array([2.0, 4.0, 0.5])

    def fits():
        return np.allclose(text_logits(replace(saved, load_network=lambda: network), TEXTS), expected, atol=1e-5)

    assert fold_temperature(network, (2.0, 4.0, 0.5), fits)
    assert fits()
    network = copying.deepcopy(saved.network)
    assert not fold_temperature(network, 2.0, lambda: False)
    assert all(torch.equal(one, other) for one, other in zip(before, network.parameters(), strict=True))
    del network.classifier
    assert not fold_temperature(network, 2.0, lambda: True)


def test_of_two_runs_at_once_neither_loses_its_result(tmp_path):
    lost = pytest.raises(OutputError, match=r"model was written by another run meanwhile.* this one is in .*model-2")
    with lost, workplace(tmp_path / "model", replace=False) as first:
        (first / "first").touch()
        with workplace(tmp_path / "model", replace=False) as second:
            (second / "second").touch()
    names = {folder.name: [item.name for item in folder.iterdir()] for folder in tmp_path.iterdir()}
    assert names == {"model": ["second"], "model-2": ["first"]}


def test_what_cannot_take_its_place_at_the_end_is_kept(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    rename = type(tmp_path).rename

    def refusing(path, target):
        if path == tmp_path / "model":
            raise OSError(16, "Device or resource busy")
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", refusing)
    kept = pytest.raises(OutputError, match=r"cannot be replaced: Device or resource busy. Nothing is lost: .*model-2")
    with kept, workplace(tmp_path / "model") as place:
        (place / "new").touch()
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["model", "model-2", "new"]


def test_what_cannot_be_renamed_at_all_is_kept_under_the_name_it_has(tmp_path, monkeypatch):
    def refusing(path, target):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(type(tmp_path), "rename", refusing)
    kept = pytest.raises(OutputError, match=r"Nothing is lost: this one is in .*\.model\.")
    with kept as told, workplace(tmp_path / "model") as place:
        (place / "new").touch()
    assert str(place) in str(told.value)
    assert (place / "new").exists()


def test_a_mounted_disk_is_refused_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path / "disk")
    with pytest.raises(OutputError, match=r"is where a disk is mounted.* such as .*disk/model"):
        check_output(tmp_path / "disk", overwrite=True)
    check_output(tmp_path / "disk" / "model", overwrite=False)


def test_two_do_not_work_in_one_folder(tmp_path):
    with alone(tmp_path, "busy"), pytest.raises(OutputError, match="busy"), alone(tmp_path, "busy"):
        pass
    with alone(tmp_path, "busy"):
        pass


def test_what_a_link_leads_to_is_replaced(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "old").touch()
    (tmp_path / "model").symlink_to(disk)
    with workplace(tmp_path / "model") as place:
        (place / "new").touch()
    assert (tmp_path / "model").is_symlink()
    assert [item.name for item in disk.iterdir()] == ["new"]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["disk", "model"]
