"""GLUE: every layout is read, the official metrics are told, and the submission is as the leaderboard wants it."""

import csv
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import made_up

from classifine import glue
from classifine.config import build
from classifine.data.glue import TASKS, has_task, read_glue, read_test, task_named
from classifine.errors import DataError, OutputError
from classifine.glue import GlueScore, check_submission, official, submit, table, train_all, train_task
from classifine.metrics import ClassScore
from classifine.report.evaluate import Evaluation

REAL = Path(__file__).parents[2] / "shared" / "data"
# The columns of the official files, and the word or number that stands for the first and the second label.
HEADERS = {
    "cola": (["source", "label", "mark", "sentence"], "0", "1"),
    "sst2": (["sentence", "label"], "0", "1"),
    "mrpc": (["Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"], "0", "1"),
    "stsb": (["index", "genre", "sentence1", "sentence2", "score"], "1.25", "4.5"),
    "qqp": (["id", "qid1", "qid2", "question1", "question2", "is_duplicate"], "0", "1"),
    "mnli": (["index", "promptID", "sentence1", "sentence2", "label1", "gold_label"], "entailment", "neutral"),
    "mnli-mm": (["index", "promptID", "sentence1", "sentence2", "label1", "gold_label"], "entailment", "neutral"),
    "qnli": (["index", "question", "sentence", "label"], "entailment", "not_entailment"),
    "rte": (["index", "sentence1", "sentence2", "label"], "entailment", "not_entailment"),
    "wnli": (["index", "sentence1", "sentence2", "label"], "0", "1"),
}
NAMES = {"train": "train", "validation": "dev", "test": "test"}


def lay_out(folder, name, rows=60):
    """The files of a task in the original layout, with made-up texts, one of them with a quotation mark."""
    task, (header, first, second) = TASKS[name], HEADERS[name]
    place = folder / task.folder
    place.mkdir(parents=True, exist_ok=True)
    texts = made_up(2 * rows, seed=5)
    for number, split in enumerate(NAMES):
        columns = [column for column in header if split != "test" or column not in task.label]
        if split == "test" and name in ("cola", "sst2"):
            columns = ["index", "sentence"]
        lines = [] if name == "cola" and split != "test" else ["\t".join(columns)]
        for i in range(rows if split == "train" else rows // 3):
            one, label = texts[(i + 11 * number) % len(texts)]
            other, same = texts[(3 * i + number) % len(texts)]
            answer = second if (label == same or (name in ("cola", "sst2") and label == "praise")) else first
            cells = dict.fromkeys(columns, "x")
            cells |= {n: answer for n in task.label if n in columns}
            cells |= {
                n: f'{one} "{i}{number}'
                for n in ("sentence", "sentence1", "question1", "#1 String", "question")
                if n in columns
            }
            cells |= {n: f"{other} {i}{number}" for n in ("sentence2", "question2", "#2 String") if n in columns}
            cells |= {"sentence": f"{other} {i}{number}"} if name == "qnli" else {}
            lines.append("\t".join(cells[n] for n in columns))
        part = f"_{task.part}" if task.part and split != "train" else ""
        (place / f"{NAMES[split]}{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", TASKS)
def test_the_original_layout_is_read(tmp_path, name):
    task = TASKS[name]
    found = read_glue(task, str(lay_out(tmp_path, name)))
    assert (len(found.train), len(found.test), found.validation) == (60, 20, None)
    assert found.task == ("score" if name == "stsb" else "single")
    assert set(found.train.labels) <= ({1.25, 4.5} if name == "stsb" else set(task.labels))
    pair = isinstance(found.train.texts[0], tuple)
    assert pair == (name not in ("cola", "sst2"))
    first = found.train.texts[0][0] if pair else found.train.texts[0]
    assert first.endswith('"00')  # quotation marks are letters
    assert len(read_test(task, str(tmp_path))) == 20
    assert has_task(task, str(tmp_path))
    assert not has_task(task, str(tmp_path / "nothing"))


def test_the_folder_of_the_task_itself_is_taken(tmp_path):
    lay_out(tmp_path, "rte")
    assert len(read_glue(TASKS["rte"], str(tmp_path / "RTE")).train) == 60


def test_labels_keep_the_order_of_their_ids(tmp_path):
    found = read_glue(TASKS["wnli"], str(lay_out(tmp_path, "wnli")))
    assert found.label_set.names == ("not_entailment", "entailment")


@pytest.mark.parametrize("name", ["SST2", "sst-2", "STS-B", "mnli_mm", "MNLI-mm", "cola"])
def test_a_task_by_its_other_names(name):
    assert task_named(name).name.replace("-", "") == name.lower().replace("-", "").replace("_", "")


def test_mistakes(tmp_path):
    with pytest.raises(DataError, match=r"GLUE has no task 'ax'. Choose one of cola, sst2"):
        task_named("ax")
    with pytest.raises(DataError, match=r"No such folder: .*nowhere. Give the folder that holds GLUE"):
        read_glue(TASKS["rte"], str(tmp_path / "nowhere"))
    with pytest.raises(
        DataError,
        match=r"has no train and no dev rows of RTE. Expected train.tsv, dev.tsv, test.tsv \(or .jsonl\) in a folder RTE, rte or glue_rte",
    ):
        read_glue(TASKS["rte"], str(tmp_path))
    lay_out(tmp_path, "rte")
    (tmp_path / "RTE" / "dev.tsv").write_text("index\tsentence1\tsentence2\tlabel\n0\ta\tb\tperhaps\n")
    with pytest.raises(
        DataError, match=r"row 1 of .*dev.tsv has 'perhaps' as label; expected entailment, not_entailment"
    ):
        read_glue(TASKS["rte"], str(tmp_path))
    (tmp_path / "RTE" / "dev.tsv").write_text("index\tpremise\tlabel\n0\ta\tentailment\n")
    with pytest.raises(DataError, match=r"has no sentence1 and sentence2. It has index, premise, label"):
        read_glue(TASKS["rte"], str(tmp_path))
    (tmp_path / "RTE" / "dev.tsv").unlink()
    (tmp_path / "RTE" / "dev.jsonl").write_text("not json\n")
    with pytest.raises(DataError, match=r"dev.jsonl"):
        read_glue(TASKS["rte"], str(tmp_path))
    with pytest.raises(DataError, match=r"holds no task of GLUE"):
        train_all(str(tmp_path / "x"), build({}), tmp_path / "out", False, print)


@pytest.mark.skipif(not REAL.is_dir(), reason="the public sets are not beside the project")
@pytest.mark.parametrize(
    ("name", "train", "dev"),
    [("cola", 8551, 1043), ("sst2", 67349, 872), ("mrpc", 3668, 408), ("stsb", 5749, 1500), ("rte", 2490, 277), ("wnli", 635, 71)],
)  # fmt: skip
def test_the_real_rows(name, train, dev):
    found = read_glue(TASKS[name], str(REAL))
    assert (len(found.train), len(found.test)) == (train, dev)
    assert len(read_test(TASKS[name], str(REAL))) == TASKS[name].test_rows


def test_the_official_metrics():
    yes = [ClassScore("no", 0, 0, 0.5, 1, 1), ClassScore("yes", 0, 0, 0.75, 1, 1)]
    found = Evaluation("single", 2, {"accuracy": 0.6, "mcc": 0.1}, tuple(yes), ())
    assert official(TASKS["mrpc"], found) == {"f1": 0.75, "accuracy": 0.6}
    assert official(TASKS["cola"], found) == {"mcc": 0.1}
    scores = Evaluation("score", 2, {"pearson": 0.8, "spearman": 0.7, "mse": 1.0, "mae": 1.0}, (), ())
    assert official(TASKS["stsb"], scores) == {"pearson": 0.8, "spearman": 0.7}


def test_the_table_sets_like_beside_like():
    lines = list(table([GlueScore(TASKS["mrpc"], {"f1": 0.9, "accuracy": 0.85}, Path("x"))]))
    assert lines[2:4] == ["| MRPC | f1 | 0.9000 | - | - | - |", "| MRPC | accuracy | 0.8500 | 0.902 | 0.909 | 0.922 |"]
    assert "start from a checkpoint that was trained on MNLI" in lines[-1]
    assert "fairseq" in lines[-2]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, base):
    """(folder of GLUE's files, folder of classifiers) of three tasks."""
    place = tmp_path_factory.mktemp("glue")
    for name in ("rte", "stsb", "wnli"):
        lay_out(place / "data", name)
    config = build({"model": {"base": str(base), "max_length": 32}, "train": {"epochs": 1, "batch_size": 8}})
    scores = train_all(str(place / "data"), config, place / "runs", False, lambda line: None)
    assert [score.task.name for score in scores] == ["stsb", "rte", "wnli"]
    return place / "data", place / "runs"


def test_all_tasks_go_on_where_they_stopped(trained, base, monkeypatch, tmp_path):
    data, runs = trained
    config = build({"model": {"base": str(base), "max_length": 32}, "train": {"epochs": 1, "batch_size": 8}})
    said, made = [], []
    monkeypatch.setattr(glue.run, "train", lambda *given: made.append(given))
    again = train_all(str(data), config, runs, False, said.append)
    assert [score.task.name for score in again] == ["stsb", "rte", "wnli"]
    for score in again:
        assert score.scores == pytest.approx(official_of(runs, score.task), abs=1e-12)
    assert [line.endswith("is there already, and stays (--overwrite trains it anew)") for line in said] == [True] * 3
    # With other settings it would be another classifier, which is told before anything is trained.
    other = build({"model": {"base": str(base), "max_length": 16}})
    with pytest.raises(OutputError, match="stsb exists already"):
        train_all(str(data), other, runs, False, said.append)
    assert made == []


def official_of(runs, task):
    found = json.loads((runs / task.name / "evaluation.json").read_text("utf-8"))
    values = {name: value["value"] if isinstance(value, dict) else value for name, value in found["metrics"].items()}
    return {name: values[name] for name in task.metrics}


def test_one_classifier_answers_both_validation_sets_of_mnli(base, tmp_path):
    for name in ("mnli", "mnli-mm"):
        lay_out(tmp_path / "data", name)
    config = build({"model": {"base": str(base), "max_length": 32}, "train": {"epochs": 1, "batch_size": 8}})
    scores = train_all(str(tmp_path / "data"), config, tmp_path / "runs", False, lambda line: None)
    assert [(score.task.name, score.folder) for score in scores] == [
        ("mnli", tmp_path / "runs" / "mnli"), ("mnli-mm", tmp_path / "runs" / "mnli"),
    ]  # fmt: skip
    assert [list(score.scores) for score in scores] == [["accuracy"], ["accuracy"]]
    assert [item.name for item in (tmp_path / "runs").iterdir()] == ["mnli"]


@pytest.fixture
def small(monkeypatch):
    """The leaderboard with test sets as small as ours."""
    for name, task in list(TASKS.items()):
        monkeypatch.setitem(TASKS, name, replace(task, test_rows=20))


def test_the_submission(trained, small, tmp_path):
    data, runs = trained
    said = []
    files = submit(runs, str(data), tmp_path / "submission.zip", said.append)
    assert files == ["STS-B.tsv", "RTE.tsv", "WNLI.tsv"]
    assert "also wants CoLA, SST-2, MRPC, QQP, MNLI-m, MNLI-mm, QNLI and AX" in said[-1]
    with zipfile.ZipFile(tmp_path / "submission.zip") as packed:
        assert packed.namelist() == files
        for name in files:
            rows = list(csv.DictReader(io.StringIO(packed.read(name).decode()), delimiter="\t"))
            assert [row["index"] for row in rows] == [str(i) for i in range(20)]
            answers = {row["prediction"] for row in rows}
            if name == "STS-B.tsv":
                assert all(0 <= float(answer) <= 5 for answer in answers)
            else:
                assert answers <= ({"entailment", "not_entailment"} if name == "RTE.tsv" else {"0", "1"})


def test_a_submission_of_the_wrong_rows(trained, tmp_path):
    with pytest.raises(DataError, match=r"STS-B.tsv has 20 rows; the leaderboard expects 1379"):
        submit(trained[1], str(trained[0]), tmp_path / "submission.zip", print)
    assert not (tmp_path / "submission.zip").exists()


def test_a_submission_of_nothing_or_to_nowhere(trained, small, tmp_path):
    with pytest.raises(DataError, match=r"holds no classifier in a folder named after a GLUE task"):
        submit(tmp_path, None, tmp_path / "x.zip", print)
    with pytest.raises(
        OutputError, match=r"cannot be written: No such file or directory. Free some space or change -o"
    ):
        submit(trained[1], str(trained[0]), tmp_path / "no" / "x.zip", lambda line: None)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("SST2.tsv", "", "GLUE knows no file SST2.tsv"),
        ("WNLI.tsv", "id\tlabel\n", "begins with 'id\\\\tlabel'; expected 'index' and 'prediction'"),
        (
            "WNLI.tsv",
            "index\tprediction\n" + "".join(f"{i}\t0\n" for i in range(19)),
            "19 rows; the leaderboard expects 20",
        ),
        (
            "WNLI.tsv",
            "index\tprediction\n" + "".join(f"{i}\tyes\n" for i in range(20)),
            "expected that number and one of",
        ),
        ("RTE.tsv", "index\tprediction\n" + "".join(f"{i}\t1\n" for i in range(20)), "expected that number and one of"),
        (
            "RTE.tsv",
            "index\tprediction\n" + "".join(f"{i + 1}\tentailment\n" for i in range(20)),
            "expected that number",
        ),
        ("STS-B.tsv", "index\tprediction\n" + "".join(f"{i}\t5.1\n" for i in range(20)), "one of 0 to 5"),
    ],
)
def test_a_file_that_the_leaderboard_would_refuse(small, name, text, words):
    with pytest.raises(DataError, match=words):
        check_submission(name, text)


def test_a_classifier_is_a_base_for_another_task(trained, tmp_path):
    data, runs = trained
    config = build({"model": {"base": str(runs / "rte"), "max_length": 32}, "train": {"epochs": 1}})
    score = train_task("stsb", str(data), config, tmp_path / "stsb", False, lambda line: None)
    record = json.loads((score.folder / "classifine.json").read_text("utf-8"))
    assert record["base"] == str(runs / "rte")
    assert set(score.scores) == {"pearson", "spearman"}


def test_from_the_command_line(tmp_path, base, capsys, monkeypatch):
    from classifine import cli

    lay_out(tmp_path / "data", "sst2")
    monkeypatch.chdir(tmp_path)
    arguments = ["classifine", "glue", "sst2", "--data", "data", "--base", str(base), "--epochs", "1", "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert (found[0]["task"], found[0]["folder"]) == ("sst2", "runs/glue/sst2")
