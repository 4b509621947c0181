"""Students: what they learn of a teacher, what is said of them, what is written, and what is refused."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import QUICK, TOPICS, made_up, write_csv

from classifine import cli
from classifine import distill as distilling
from classifine.config import Data, build
from classifine.data.columns import Columns
from classifine.data.texts import Texts, read_texts
from classifine.decide import Decision
from classifine.distill import DistillOptions, distilled_lines
from classifine.errors import ClassifineError, ConfigError, TrainingError
from classifine.infer.choose import open_engine
from classifine.infer.files import PredictOptions, predict_file
from classifine.infer.predict import text_logits
from classifine.infer.teacher import open_teacher
from classifine.infer.torch_engine import TorchEngine
from classifine.labels import Labels
from classifine.model.base import Base, find_base
from classifine.model.folder import load, save
from classifine.model.network import output_layer
from classifine.model.static import WORD, static_config, word_reader, word_tokenizer, words_of
from classifine.model.static_network import StaticNetwork
from classifine.model.words import ODD
from classifine.publish import files
from classifine.report.card import lessons as lessons_of
from classifine.report.evaluate import evaluate
from classifine.report.page.html import report_page
from classifine.report.page.kept import TaughtFact
from classifine.train import distill as teaching
from classifine.train.choose import choose_static
from classifine.train.distill import Student, Taught, encoder_student, lessons
from classifine.train.hardware import Hardware
from classifine.train.soft import soft_loss
from classifine.train.static import principal
from classifine.use import evaluate_saved

NAMES = tuple(TOPICS)
ROWS = made_up(240, seed=5)
CPU = Hardware("cpu", "processor", 1, False)


def quiet(line):
    pass


def settings(base, **more):
    train = {name: value for name, value in QUICK.items() if name not in ("max_length", "patience")} | {"epochs": 3}
    return build({"model": {"base": str(base), "max_length": 32}, "train": train, **more})


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """A file of 240 texts without labels, a line each."""
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n".join(text for text, _ in ROWS) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("task", ["single", "multi", "score"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_the_loss_is_least_where_the_student_answers_as_the_teacher(task, temperature):
    given = np.random.default_rng(0).normal(size=(8, 1 if task == "score" else 3)).astype(np.float32)
    soft = replace(Decision(task), temperature=temperature).scores(given).astype(np.float32)
    targets = torch.from_numpy(soft[:, 0] if task == "score" else soft)
    found = torch.from_numpy(given).requires_grad_()
    loss = soft_loss(task, temperature)
    loss(found, targets).backward()
    assert found.grad.abs().max() < 1e-5
    assert float(loss(found, targets).detach()) == pytest.approx(0, abs=1e-5)  # however unsure the teacher is
    assert loss(found + torch.randn(found.shape), targets) > loss(found, targets)


def test_true_labels_are_targets_like_others():
    given, truth = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    plain = torch.nn.functional.cross_entropy(given, truth)
    assert soft_loss("single", 1.0)(given, torch.eye(3)[truth]) == pytest.approx(float(plain), rel=1e-5)


def test_temperatures_are_fitted_to_shares_too():
    sure = np.random.default_rng(0).normal(size=(400, 3)) * 2
    for task in ("single", "multi"):
        shares = Decision(task).scores(sure)
        fitted = np.mean(Decision(task).calibrated(3 * sure, shares).temperature)
        assert fitted == pytest.approx(3, rel=0.05)


def taught_of(task, rows):
    """A made-up teacher's logits of (text, label) rows; a score of 10 for the first topic, 20 for the next."""
    place = np.array([NAMES.index(label) for _, label in rows])
    if task == "score":
        return (10.0 * (place + 1))[:, None].astype(np.float32)
    return (6 * np.eye(3)[place] - 3).astype(np.float32)


@pytest.mark.parametrize("kind", ["static", "encoder"])
def test_a_student_of_rare_labels_begins_at_how_often_the_teacher_gives_them(kind, base, tmp_path, monkeypatch):
    labels = Labels(tuple(f"topic {i}" for i in range(20)), task="multi")
    given = Texts(tuple(text for text, _ in ROWS[:60]), tuple(text for text, _ in ROWS[60:80]))
    odds = np.linspace(-7, -3, 20)
    taught = Taught(*(np.tile(odds, (count, 1)).astype(np.float32) for count in (60, 20)), Decision("multi"))
    config, seen = build({"model": {"max_length": 32}, "train": {"epochs": 1}}), []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "encoder":
            student = encoder_student(given.train, labels, find_base(str(base)), config, quiet)
        else:
            words = words_of(given.train, 100)
            network = StaticNetwork(static_config(labels, "multi_label_classification", len(words) + 2, 8))
            recipe = choose_static(config.train, CPU, 60, network.num_parameters(), 64, "multi")
            student = Student(network, word_tokenizer(words), recipe, Base("static", tmp_path, "a local folder"))

        def looked_at(network, *rest, **more):
            seen.extend(output_layer(network).bias.tolist())
            raise KeyboardInterrupt

        monkeypatch.setattr(teaching, "train", looked_at)
        with pytest.raises(KeyboardInterrupt):
            lessons(student, given, taught, labels, Columns(("text",), "label", task="multi"), config, 2.0, quiet)
    # Half a row of doubt in sixty makes the rarest a little less rare.
    assert np.abs(np.array(seen) - odds).max() < 0.6


@pytest.fixture(scope="module", params=["single", "multi", "score"])
def static(request, tmp_path_factory):
    """(task, folder) of a static student of a made-up teacher."""
    task = request.param
    train, held_out = ROWS[:200], ROWS[200:]
    labels = Labels(NAMES if task != "score" else ("score",), task=task)
    given = Texts(tuple(text for text, _ in train), tuple(text for text, _ in held_out))
    thresholds = (0.5, 0.5, 0.5) if task == "multi" else ()
    taught = Taught(taught_of(task, train), taught_of(task, held_out), Decision(task, thresholds=thresholds))
    words = words_of(given.train, 100)
    problem = {"single": "single_label_classification", "multi": "multi_label_classification", "score": "regression"}[
        task
    ]
    torch.manual_seed(0)
    network = StaticNetwork(static_config(labels, problem, len(words) + 2, 8))
    config = build({"train": {"epochs": 8, "batch_size": 16}})
    recipe = choose_static(config.train, CPU, 200, network.num_parameters(), 64, task)
    tokenizer = word_tokenizer(words)
    student = Student(network, tokenizer, recipe, Base("static", tmp_path_factory.mktemp("base"), "a local folder"))
    found = lessons(student, given, taught, labels, Columns(("text",), "label", task=task), config, 2.0, quiet)
    assert found.training.history[-1]["validation"]["agreement"] > 0.9
    assert found.classifier.record["calibration"] is None
    folder = tmp_path_factory.mktemp(task)
    save(folder, found.classifier.network, tokenizer, labels, found.classifier.record)
    return task, folder


@pytest.mark.parametrize("task", ["single", "multi", "score"])
def test_a_student_that_diverges_is_one_sentence(task, base):
    labels = Labels(NAMES if task != "score" else ("score",), task=task)
    given = Texts(tuple(text for text, _ in ROWS[:40]), tuple(text for text, _ in ROWS[40:60]))
    taught = Taught(taught_of(task, ROWS[:40]), taught_of(task, ROWS[40:60]), Decision(task))
    config = build({"model": {"max_length": 32}, "train": {"epochs": 1}})
    student = encoder_student(given.train, labels, find_base(str(base)), config, quiet)
    with torch.no_grad():
        student.network.get_input_embeddings().weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match="diverged"):
        lessons(student, given, taught, labels, Columns(("text",), "label", task=task), config, 2.0, quiet)


def test_a_static_student_answers_the_same_by_arrays_by_torch_and_by_sentence_transformers(static):
    from sentence_transformers import SentenceTransformer

    task, folder = static
    saved = load(folder)
    some = ["", "my parcel was late, so LATE!", "unheard-of words", *(text for text, _ in ROWS[:20])]
    engine = open_engine(saved)
    found = text_logits(saved, some, engine)
    assert engine.name == "static float32"
    assert np.allclose(found, text_logits(saved, some), atol=1e-5 * max(1, np.abs(found).max()))
    # Nobody is to be asked whether some text is none; all others are the same there.
    plain = SentenceTransformer(str(folder), device="cpu").encode(some[1:])
    assert np.allclose(found[1:], plain, atol=1e-5 * max(1, np.abs(found).max()))
    answers = saved.decision.choose(saved.decision.scores(text_logits(saved, [text for text, _ in ROWS[200:]], engine)))
    place = np.array([NAMES.index(label) for _, label in ROWS[200:]])
    if task == "score":
        right = np.abs(answers - 10 * (place + 1)) < 4
    else:
        right = answers == place if task == "single" else (answers == np.eye(3)[place]).all(axis=1)
    assert right.mean() > 0.8


def test_a_static_student_is_a_classifier_like_others(static, tmp_path, capsys):
    from classifine import TextClassifier
    from classifine.infer.explain import explain
    from classifine.use import export

    task, folder = static
    saved = load(folder)
    given = write_csv(tmp_path / "new.csv", [("my parcel is late",), ("",)], header=("text",))
    predict_file(saved, str(given), tmp_path / "out.csv", PredictOptions(), None, quiet)
    head, _first, second = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    column = {"single": "label", "multi": "labels", "score": "score"}[task]
    assert column in head
    assert second.strip(",") == ""
    clf = TextClassifier.from_pretrained(folder)
    again = TextClassifier.from_pretrained(clf.save_pretrained(tmp_path / "copy"))
    assert str(clf.predict(["parcel"])) == str(again.predict(["parcel"]))
    wanted, left = files(folder)
    assert {path.relative_to(folder).as_posix() for path in wanted} >= {"modules.json", "1_Dense/model.safetensors"}
    assert left == []
    for method in ("occlusion", "gradients"):
        (why, *_) = explain(saved, "my parcel is late", method=method)
        assert len(why.words) == 4
    assert why.gap < 1e-3  # there is nothing but sums between the words and the logits
    for wrong in ({"precision": "int8"}, {"engine": "onnx"}):
        with pytest.raises(ConfigError, match="static classifier"):
            open_engine(saved, **wrong)
    assert isinstance(open_engine(saved, "torch"), TorchEngine)
    with pytest.raises(ConfigError, match="nothing to export"):
        from classifine.report.exported import ExportWish

        export(folder, "onnx", ExportWish(False, 0.5, False, Data()), quiet)


def test_words_are_read_as_the_saved_tokenizer_reads_them(tmp_path):
    odd = [
        *ODD,
        "".join(map(chr, range(128))),
        "a\x1cb\x1dC-d_e.f",
        "Hello WORLD ΣΑΣ naïve ПРИВЕТ 日本 isn't İstanbul 𝒳 “word”—word… ¿qué? ºª µ ß ẞ ǅ",
    ]
    tokenizer = word_tokenizer(words_of([*odd, *odd], 100))
    tokenizer.save_pretrained(tmp_path)
    found = word_reader(tmp_path, 20)(odd)["input_ids"]
    assert found == [list(ids) for ids in tokenizer(odd, truncation=True, max_length=20)["input_ids"]]
    assert "日" in words_of(["日本", "日本"], 9)
    assert WORD.isprintable() is False  # ranges of code points, not classes that libraries read differently


def test_the_first_components_hold_most_of_the_states():
    states = np.random.default_rng(0).normal(size=(50, 2)) @ np.random.default_rng(1).normal(size=(2, 6))
    found = principal(states.astype(np.float32), 2)
    assert (found.shape, round(float((found**2).mean()), 3)) == ((50, 2), 1)
    assert abs(np.corrcoef(found.T)[0, 1]) < 1e-3
    assert principal(states.astype(np.float32), 9).shape == (50, 6)


def test_a_student_of_two_teachers(trained, base, texts, tmp_path):
    said = []
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    test, labelled = write_csv(tmp_path / "test.csv", made_up(60, seed=9)), write_csv(tmp_path / "known.csv", ROWS)
    config = settings(base, data={"test": str(test)})
    record = distilling.distill(
        [trained, other], [str(texts)], config, DistillOptions(), tmp_path / "student", False, said.append
    )
    folder, found = tmp_path / "student", record["distilled"]
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "classifine.json", "README.md",
        "evaluation.json", "history.jsonl", "data_report.json",
    }  # fmt: skip
    assert json.loads((folder / "classifine.json").read_text("utf-8")) == record
    assert json.loads((folder / "config.json").read_text("utf-8"))["id2label"] == dict(
        zip("012", sorted(TOPICS), strict=True)
    )
    assert found["teachers"] == [trained.name, "other"]
    assert found["rows"] == {"train": 216, "held_out": 24}
    assert (found["agreement"]["rows"], found["agreement"]["on"]) == (60, "test rows")
    assert 0 <= found["agreement"]["low"] <= found["agreement"]["value"] <= found["agreement"]["high"] <= 1
    assert set(found["test"]) == {"rows", "student", "teacher"}
    assert record["doubt"] is None
    card = (folder / "README.md").read_text("utf-8")
    assert "follow the teacher's, not true labels" in card
    assert "on 216 texts without labels" in card
    assert any(line.startswith("test    accuracy") and "the teacher's" in line for line in said)
    # What it learned is known again, and does not leave this machine.
    warnings = []
    evaluate_saved(folder, Data(source=str(labelled)), "torch", "auto", warnings.append)
    assert any("rows have a text that" in line and "was trained on" in line for line in warnings)
    assert [path.name for path in files(folder)[1]] == ["data_report.json"]
    page = report_page(folder)
    assert "a smaller encoder, taught with classifine by the mean of the classifiers <code>" in page
    assert "The texts were without labels; faults were not looked for in them." in page
    assert "fine-tuned from" not in page
    with pytest.raises(ConfigError, match="without true labels"):
        load(folder).doubt  # noqa: B018


def test_two_equal_teachers_say_what_one_says_and_their_labels_may_be_in_another_order(trained, saved, tmp_path):
    some = [text for text, _ in ROWS[:10]]
    other = tmp_path / "turned"
    shutil.copytree(trained, other)
    turned = replace(load(other), labels=Labels(saved.labels.names[::-1]))
    teacher = open_teacher([trained])
    found = teacher.logits(some, quiet)
    assert np.allclose(found, text_logits(saved, some) / saved.decision.temperature, atol=1e-5)
    both = replace(teacher, members=(saved, turned))
    backwards = both.logits(some, quiet)
    assert np.allclose(backwards, (found + found[:, ::-1]) / 2, atol=1e-5)


def test_a_static_student_of_a_real_teacher_without_true_labels(trained, texts, tmp_path):
    said = []
    config = build({"model": {"base": "static"}, "train": {"epochs": 2}})
    record = distilling.distill(
        [trained], [str(texts)], config, DistillOptions(max_rows=120), tmp_path / "fast", False, said.append
    )
    assert (record["base"], record["rows"]) == ("static", {"train": 108, "held_out": 12})
    assert "texts held out" in record["distilled"]["agreement"]["on"]
    assert any("is not known: give labelled rows with --test" in line for line in said)
    card = (tmp_path / "fast" / "README.md").read_text("utf-8")
    assert "SentenceTransformer(" in card
    assert "No evaluation was saved" in card
    assert not (tmp_path / "fast" / "evaluation.json").exists()


def paired(folder, trained):
    """The teacher as if it had been trained on pairs."""
    shutil.copytree(trained, folder)
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    record["columns"]["pair"] = "second"
    (folder / "classifine.json").write_text(json.dumps(record), "utf-8")
    return folder


def relabelled(folder, trained):
    shutil.copytree(trained, folder)
    for name in ("config.json", "classifine.json"):
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(text.replace('"praise"', '"blame"'), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("teachers", "source", "student", "said"),
    [
        (lambda own, place, base: [base], "texts", "base", "is not a saved classifier"),
        (lambda own, place, base: [own, relabelled(place, own)], "texts", "base", "answer different questions"),
        (lambda own, place, base: [paired(place, own)], "texts", "base", "has no column 'second'"),
        (
            lambda own, place, base: [paired(place, own)],
            "pairs",
            "static",
            "reads single texts, and its teacher judges pairs",
        ),
        (lambda own, place, base: [own], "few", "base", "has 2 different texts; expected 10"),
        (lambda own, place, base: [own], "apart", "static", "No word is in two of the texts"),
        (lambda own, place, base: [own], "texts", "nowhere/at all", "nowhere/at all"),
    ],
    ids=["no classifier", "other labels", "one column", "static pairs", "few texts", "no words", "no base"],
)
def test_what_cannot_be_learned_is_said_in_a_sentence(trained, base, texts, tmp_path, teachers, source, student, said):
    sources = {
        "texts": texts,
        "few": write_csv(tmp_path / "few.csv", [("one",), ("two",)], header=("text",)),
        "pairs": write_csv(tmp_path / "pairs.csv", [(text, text) for text, _ in ROWS[:20]], header=("text", "second")),
        "apart": write_csv(tmp_path / "apart.csv", [(f"word{i}",) for i in range(20)], header=("text",)),
    }
    config = settings(base if student == "base" else student)
    folders = teachers(trained, tmp_path / "teacher", base)
    with pytest.raises(ClassifineError, match=said) as error:
        distilling.distill(
            folders, [str(sources[source])], config, DistillOptions(), tmp_path / "student", False, quiet
        )
    assert "\n" not in str(error.value)
    assert not (tmp_path / "student").exists()


def test_pairs_stay_pairs_for_a_teacher_of_pairs(tmp_path):
    path = write_csv(tmp_path / "pairs.csv", [(text, f"{text} too") for text, _ in ROWS[:20]], header=("a", "b"))
    found = read_texts([str(path)], Data(), 0.1, 2000, None, 1, Columns(("a",), None, pair="b"))
    assert {(text, f"{text} too") for text, _ in ROWS[:20]} == {*found.train, *found.held_out}


def test_only_flags_that_the_command_has_are_named(trained, texts, base, tmp_path, capfd, monkeypatch):
    out = tmp_path / "student"
    quick = ["--base", str(base), "--epochs", "1", "--max-length", "32", "-o", str(out)]
    monkeypatch.setattr("sys.argv", ["classifine", "distill", str(trained), str(texts), *quick])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    told = capfd.readouterr().err
    assert "(--epochs, --batch-size)" in told
    assert "(--learning-rate, --head-rate)" in told
    for flag in ("--metric", "--patience", "--schedule", "--method"):
        assert flag not in told


def test_test_rows_that_the_teacher_was_trained_on_are_said(trained, texts, tickets, tmp_path):
    said = []
    config = build({"model": {"base": "static"}, "train": {"epochs": 1}, "data": {"test": str(tickets)}})
    options, place = DistillOptions(max_rows=120), tmp_path / "fast"
    record = distilling.distill([trained], [str(texts)], config, options, place, False, said.append)
    assert any("of --test have a text that" in line and f"{trained} was trained on" in line for line in said)
    assert record["judged"]["trained_on"] is True


def test_a_correlation_without_an_interval_is_told_without_one():
    equal = np.full((5, 1), 2.0)
    agreed = distilling._agreement(
        evaluate(equal, equal[:, 0], Labels(("score",), task="score"), Decision("score")), "texts held out"
    )
    assert set(agreed) == {"metric", "on", "rows", "value"}
    speed = {
        "times": 2.0,
        "rows": 5,
        "words": 3,
        **{who: {"engine": "x", "rows_per_second": 1.0} for who in ("student", "teacher")},
    }
    found = {
        "agreement": agreed,
        "speed": speed,
        "test": None,
        "teachers": ["a"],
        "rows": {"train": 5},
        "temperature": 2.0,
    }
    assert distilled_lines(found)[0] == "test    correlation with the teacher 0.0000 on 5 texts held out"
    assert "by 0.0000 (5 texts held out)" in lessons_of("x", found)
    assert TaughtFact.model_validate(found).agreement.low is None
