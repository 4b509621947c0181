"""Exports: the same answers as torch in float32, a measured loss in int8, and the fastest engine chosen by itself."""

import importlib.metadata
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from conftest import TOPICS, made_up

from classifine import TextClassifier, use
from classifine.config import Data
from classifine.data.encode import pad_id, tokenise
from classifine.data.read import from_lists
from classifine.errors import ConfigError, DataError, ModelError
from classifine.infer.choose import open_engine
from classifine.infer.forward import logits_by_batch
from classifine.infer.predict import text_logits
from classifine.model.folder import load
from classifine.report import exported as exporting
from classifine.report.exported import ExportWish

TEXTS = [text for text, _ in made_up(60, seed=4)] + ["", "parcel " * 80]
TARGETS = ("openvino", "onnx")
for name in ("openvino", "nncf", "onnxruntime", "onnxscript"):
    if importlib.util.find_spec(name) is None:
        pytest.skip("the engines' packages are an extra", allow_module_level=True)


def export(model, target, said=None, **wish):
    say = (lambda line: None) if said is None else said.append
    return use.export(model, target, ExportWish(**wish), say)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The trained classifier with all four exports, and what was said."""
    folder = shutil.copytree(trained, tmp_path_factory.mktemp("exported") / "tickets")
    said = []
    for target in TARGETS:
        export(folder, target, said)
        export(folder, target, said, int8=True, max_drop=100)
    return folder, said


@pytest.mark.parametrize("target", TARGETS)
def test_float32_answers_as_torch_does(exported, target):
    saved = load(exported[0])
    exact = saved.decision.scores(text_logits(saved, TEXTS))
    engine = open_engine(saved, target, "float32")
    found = saved.decision.scores(text_logits(saved, TEXTS, engine))
    assert engine.name == f"{target} float32"
    assert np.abs(found - exact).max() < 1e-5
    rough = saved.decision.scores(text_logits(saved, TEXTS, open_engine(saved, target, "int8")))
    assert 1e-5 < np.abs(rough - exact).max() < 0.2


def test_many_batches_are_answered_side_by_side_in_their_order(exported):
    saved = load(exported[0])
    texts = TEXTS * 3

    def never(batch):
        raise AssertionError("one batch after the other")

    # A text a batch, and a few.
    for tokens in (1, 64):
        engine = replace(open_engine(saved, "openvino", "float32"), run=never, tokens=tokens)
        assert np.abs(text_logits(saved, texts, engine) - text_logits(saved, texts)).max() < 1e-4
        # Somebody who takes one answer only, and somebody who takes all of them after that.
        columns = tokenise(texts, saved.reader, saved.max_length)
        with closing(logits_by_batch(engine, columns, pad_id(saved.reader))) as some:
            first = next(some)
        again = list(logits_by_batch(engine, columns, pad_id(saved.reader)))
        assert first[0] == again[0][0]
        assert np.array_equal(first[1], again[0][1])
        assert sorted(i for rows, _ in again for i in rows) == list(range(len(texts)))


def test_a_batch_that_cannot_be_answered_ends_the_others(exported):
    engine = open_engine(load(exported[0]), "openvino", "float32")
    ids = np.ones((1, 3), dtype=np.int64)
    good = {"input_ids": ids, "attention_mask": ids}

    def batches():
        yield from [good] * 5
        raise ValueError("no sixth")

    with pytest.raises(ValueError, match="no sixth"):
        list(engine.each(batches()))
    assert len(list(engine.each([good] * 20))) == 20


@pytest.mark.parametrize("target", TARGETS)
def test_windows_of_long_texts_are_pooled_alike(exported, target):
    saved = load(exported[0])
    saved = replace(saved, record={**saved.record, "max_length": 16, "long": "windows", "stride": 0.75})
    found = text_logits(saved, TEXTS, open_engine(saved, target, "float32"))
    assert np.abs(found - text_logits(saved, TEXTS)).max() < 1e-5
    rows = from_lists(TEXTS, [saved.labels.names[0]] * len(TEXTS), "validation", "single")
    assert {len(batch["input_ids"][0]) <= 16 for batch in exporting._calibration(saved, rows)} == {True}


@pytest.mark.parametrize(
    ("found", "answered"),
    [
        ((2e-3, 0.9), False),
        ((5e-4, 0.9), True),
        ((0.5, 4000.0), True),
        ((5.0, 4000.0), False),
        ((math.nan, 1.0), False),
    ],
)
def test_how_far_a_score_may_be_off(trained, tmp_path, monkeypatch, found, answered):
    folder = tmp_path / "model"
    shutil.copytree(trained, folder)
    monkeypatch.setattr(exporting, "export_float", lambda network, inputs, target, place: None)
    monkeypatch.setattr(exporting, "_difference", lambda saved, path: found)
    if answered:
        export(folder, "onnx")
        return
    with pytest.raises(ModelError, match="answers otherwise than torch: a score differs by"):
        export(folder, "onnx")
    assert not (folder / "onnx").exists()


def test_what_was_measured_is_said_and_kept(exported):
    folder, said = exported
    assert sorted(file.name for file in (folder / "openvino").iterdir()) == [
        "openvino_model.bin", "openvino_model.json", "openvino_model.xml",
        "openvino_model_qint8_quantized.bin", "openvino_model_qint8_quantized.json", "openvino_model_qint8_quantized.xml",
    ]  # fmt: skip
    assert sorted(file.name for file in (folder / "onnx").iterdir()) == [
        "model.json", "model.onnx", "model_quantized.json", "model_quantized.onnx",
    ]  # fmt: skip
    found = json.loads((folder / "openvino" / "openvino_model_qint8_quantized.json").read_text("utf-8"))
    assert (found["precision"], found["rows"]) == ("int8", 12)
    assert found["points_lost"] == pytest.approx(100 * (found["float32"]["accuracy"] - found["int8"]["accuracy"]))
    assert sum("points lost" in line for line in said) == 2
    assert (folder / "onnx" / "model_quantized.onnx").stat().st_size < (folder / "onnx" / "model.onnx").stat().st_size


def test_the_fastest_is_chosen_by_itself_and_named(exported, trained, tmp_path, monkeypatch):
    folder = exported[0]
    assert open_engine(load(folder)).name == "openvino int8"
    assert open_engine(load(folder), precision="float32").name == "openvino float32"
    assert open_engine(load(folder), "onnx").name == "onnx int8"
    assert open_engine(load(folder), precision="bf16").name == "openvino bf16"
    assert open_engine(load(folder), "torch").name == "torch float32"
    assert open_engine(load(folder), "torch", "bf16").name == "torch bf16"
    assert open_engine(load(trained)).name == "torch float32"
    monkeypatch.setattr("classifine.infer.choose._installed", lambda name: name != "openvino")
    assert open_engine(load(folder)).name == "onnx int8"
    assert open_engine(load(folder), precision="float32").name == "onnx float32"
    monkeypatch.setattr("classifine.infer.choose._on_gpu", lambda engine: engine == "auto")
    assert open_engine(load(folder)).name == "torch float32"
    # A GPU is no reason to refuse what only an exported file can do.
    assert open_engine(load(folder), precision="int8").name == "onnx int8"


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (
            ("openvino", "auto"),
            r"is not exported for openvino; it has torch\. Run `classifine export .* --to openvino`",
        ),
        (("onnx", "float32"), r"is not exported for onnx in float32; .* --to onnx`, or choose another"),
        (("torch", "int8"), r"--precision is int8, which torch does not run here\. Choose --engine openvino or onnx"),
        (("onnx", "bf16"), r"--precision is bf16, which onnx does not run here\. Choose --engine openvino or torch"),
        (("auto", "int8"), "is not exported for openvino in int8"),
    ],
)
def test_what_is_not_there(trained, wish, sentence):
    with pytest.raises(ConfigError, match=sentence):
        open_engine(load(trained), *wish)


def test_an_engine_that_is_not_installed_is_named_with_its_extra(exported, monkeypatch):
    monkeypatch.setattr("classifine.infer.choose._installed", lambda name: False)
    with pytest.raises(ConfigError, match=r"onnx is not installed: pip install 'classifine\[onnx\]'"):
        open_engine(load(exported[0]), "onnx")


def test_exports_need_no_torch_network(exported, monkeypatch, tmp_path):
    def forbidden(folder):
        raise AssertionError("the network was loaded")

    monkeypatch.setattr("classifine.model.folder._network", forbidden)
    again = TextClassifier.from_pretrained(exported[0], engine="openvino")
    assert set(again.predict(TEXTS)) <= set(TOPICS)


def test_int8_that_loses_too_much_is_refused_and_leaves_nothing(exported, trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained, tmp_path / "model")
    monkeypatch.setattr("classifine.report.exported.quantise", lambda path, target, batches: wrong(exported[0], path))
    with pytest.raises(ModelError, match=r"int8 loses \d+\.\d+ points of accuracy on 12 validation rows; at most 0\.5"):
        export(folder, "onnx", int8=True)
    assert not (folder / "onnx").exists()
    assert sorted(item.name for item in folder.iterdir()) == sorted(item.name for item in trained.iterdir())


def wrong(folder, path):
    """The int8 file with its labels turned round: its answers are those of another class."""
    import onnx

    network = onnx.load(folder / "onnx" / "model.onnx")
    for weight in network.graph.initializer:
        if weight.name == "classifier.weight":
            turned = np.roll(onnx.numpy_helper.to_array(weight), 1, axis=0)
            weight.CopyFrom(onnx.numpy_helper.from_array(turned.copy(), weight.name))
    onnx.save(network, path.with_name("model_quantized.onnx"))
    return path.with_name("model_quantized.onnx")


def test_validation_rows_that_are_gone_or_others(trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained, tmp_path / "model")
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    record["data_fingerprint"]["validation"] = "0"
    (folder / "classifine.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=r"tickets\.csv has changed since training\. Name labelled rows.* --data FILE"):
        export(folder, "onnx", int8=True)
    record["config"]["data"]["source"] = "gone.csv"
    (folder / "classifine.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=r"those of training are not at hand: .*gone\.csv.*--data FILE"):
        export(folder, "onnx", int8=True)
    record["config"]["train"]["seed"] = "of another version"
    (folder / "classifine.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(DataError, match=r"those of training are not at hand: .*seed.*--data FILE"):
        export(folder, "onnx", int8=True)
    (folder / "classifine.json").write_text(json.dumps({**record, "distilled": {"teachers": ["a"]}}), encoding="utf-8")
    with pytest.raises(DataError, match=r"was taught on texts without labels\. Name labelled rows with --data FILE"):
        export(folder, "onnx", int8=True)


def test_rows_that_were_learned_from_in_the_end_do_not_judge(trained, tmp_path):
    folder = tmp_path / "few"
    shutil.copytree(trained, folder)
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    record["recipe"]["all_rows"] = True
    (folder / "classifine.json").write_text(json.dumps(record), "utf-8")
    with pytest.raises(DataError, match=r"learned from its validation rows, too. Name labelled rows.* --data FILE"):
        export(folder, "onnx", [], int8=True)


def test_rows_of_ones_own(exported, tickets, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "model")
    export(folder, "onnx", int8=True, overwrite=True, max_drop=100, data=Data(source=str(tickets)))
    assert json.loads((folder / "onnx" / "model_quantized.json").read_text("utf-8"))["rows"] == 120
    assert (folder / "onnx" / "model.onnx").is_file()


def test_an_export_that_is_there_is_not_replaced_unasked(exported):
    with pytest.raises(ConfigError, match=r"model\.onnx exists already\. Replace it with --overwrite"):
        export(exported[0], "onnx")


def test_packages_that_are_missing(trained, monkeypatch):
    monkeypatch.setattr("classifine.model.export.importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"--to openvino needs openvino and nncf: pip install 'classifine\[openvino\]'"
    ):
        export(trained, "openvino", int8=True)


def test_a_network_that_cannot_be_traced_is_one_sentence(trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained, tmp_path / "model")

    def fail(network, inputs):
        raise RuntimeError("data-dependent\nand much more")

    monkeypatch.setattr("classifine.model.export._traced", fail)
    with pytest.raises(ModelError, match=r"BertForSequenceClassification cannot be exported: data-dependent Try"):
        export(folder, "onnx")
    assert not (folder / "onnx").exists()


def test_nobody_is_told_that_an_engine_is_used(exported, tmp_path):
    """OpenVINO's packages report their import over the network, and note it in the home folder, where they are let."""
    code = (
        "import sys, socket\n"
        "def refuse(*args): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        "from classifine.model.export import unreported\n"
        "unreported('openvino'); unreported('nncf')\n"
        "assert not [name for name in sys.modules if name.startswith('openvino_telemetry')]"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "HOME": str(tmp_path)}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()


def test_what_too_few_rows_cannot_show_is_said(exported, tmp_path):
    assert not any("cannot be seen" in line for line in exported[1])  # any row would show a loss of 100 points
    folder, said = shutil.copytree(exported[0], tmp_path / "model"), []
    export(folder, "onnx", said, int8=True, overwrite=True, max_drop=5)
    assert any("one of 12 rows is 8.3 points, so a loss of 5 cannot be seen" in line for line in said)
    versions = json.loads((folder / "onnx" / "model_quantized.json").read_text("utf-8"))["versions"]
    assert versions["onnxruntime"] == importlib.metadata.version("onnxruntime")


def test_a_script_that_ends_with_an_answer_ends_well(exported):
    words = (
        "import sys; from classifine import TextClassifier; "
        "clf = TextClassifier.from_pretrained(sys.argv[1], engine='openvino', precision='float32'); "
        "clf.predict(['where is my parcel ' * (1 + i % 8) for i in range(3000)])"
    )
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", words, str(exported[0])], capture_output=True).returncode == 0


@pytest.mark.parametrize("target", TARGETS)
def test_threads_get_their_own_answers(trained, tmp_path, target):
    folder = shutil.copytree(trained, tmp_path / "model")
    export(folder, target)
    classifier = TextClassifier.from_pretrained(folder, engine=target)
    texts = [text for text, _ in made_up(24, seed=9)]
    expected = classifier.predict_proba(texts)

    def wrong(start):
        places = [(start + step) % len(texts) for step in range(60)]
        return sum(
            not np.allclose(classifier.predict_proba([texts[i]])[0], expected[i], atol=1e-4) for i in places
        )  # fmt: skip

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(wrong, (0, 6, 12, 18))) == [0, 0, 0, 0]
