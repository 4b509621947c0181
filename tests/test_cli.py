"""The command line: exit codes, what goes to which stream, and mistakes that end in a sentence and leave nothing."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from conftest import QUICK, made_up, write_csv

from classifine import __version__, cli, run
from classifine.cli import streams

HEAVY = ("torch", "transformers", "datasets", "pyarrow", "numpy", "sklearn", "huggingface_hub")


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run a command line in this process, in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def calling(*args, stdin=""):
        monkeypatch.setattr(sys, "argv", ["classifine", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return calling


@pytest.fixture
def quick(base):
    return [
        "--base", str(base),
        *(part for name, value in QUICK.items() for part in (f"--{name.replace('_', '-')}", str(value))),
    ]  # fmt: skip


def process(*args, stdin="", **options):
    command = [sys.executable, "-m", "classifine", *map(str, args)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=120, **options)


def test_help_imports_nothing_heavy():
    code = "import sys\nfrom classifine.cli import main\ntry: main()\nfinally: sys.stderr.write(','.join(sys.modules))"
    for args in (["--help"], ["--version"], ["train", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert done.stdout
        assert set(done.stderr.split(",")) & set(HEAVY) == set()


def test_a_file_that_is_not_there_is_told_without_torch(tmp_path, trained):
    code = "import sys\nfrom classifine.cli import main\ntry: main()\nfinally: print(','.join(sys.modules))"
    for given in (
        ["train", "nofile.csv"], ["adapt", "nofile.csv", "-o", "base"], ["audit", "nofile.csv"], ["check", "nofile.csv"],
        ["distill", str(trained), "nofile.csv", "-o", "small"],
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, *given], capture_output=True, text=True, timeout=60, cwd=tmp_path
        )
        assert (done.returncode, done.stderr) == (1, "classifine: No such file: nofile.csv. Check the path.\n")
        assert "torch" not in done.stdout.split(",")


def test_importing_classifine_costs_nothing():
    code = "import sys, classifine; classifine.__version__; print(','.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert set(done.stdout.strip().split(",")) & {*HEAVY, "pydantic", "typer", "rich"} == set()


def test_version_and_help(call):
    assert call("--version") == (0, f"classifine {__version__}\n", "")
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    assert all(command in out for command in ("train", "check", "evaluate", "predict"))


def test_every_setting_has_a_flag(call):
    from classifine.config import options

    (_, out, _), (_, searching, _) = call("train", "--help"), call("tune", "--help")
    for section, name, _ in options():
        if name not in ("source", "bases"):
            assert f"--{name.replace('_', '-')}"[:20] in (searching if section == "search" else out)


def test_the_whole_way_in_processes_of_their_own(tickets, quick, tmp_path):
    done = process("train", tickets, *quick, "-o", tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'model'}\n"
    assert "saved" in done.stderr.splitlines()[-1]
    answer = process("predict", tmp_path / "model", "-", stdin="my parcel is late\ncharged twice\n")
    assert answer.returncode == 0, answer.stderr
    assert [json.loads(line)["text"] for line in answer.stdout.splitlines()] == ["my parcel is late", "charged twice"]
    assert "Warning" not in done.stderr + answer.stderr


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (lambda running: running.stdout.close(), 0, ""),
        (lambda running: running.terminate(), 143, "classifine: stopped; no result is half-written.\n"),
    ],
    ids=["a reader that goes away is no mistake", "a batch system stops us"],
)
def test_it_ends_also_while_standard_input_stays_open(trained, end, code, said):
    command = [sys.executable, "-m", "classifine", "predict", str(trained), "-"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as running:
        try:
            # The first chunk of them is answered, and then it waits for more.
            running.stdin.write("a parcel\n" * 5000)
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["text"] == "a parcel"
            end(running)
            assert running.wait(60) == code
        finally:
            running.kill()
        assert running.stderr.read() == f"judging text of - with {trained} (torch float32)\n{said}"


def test_work_goes_on_when_nobody_listens_to_what_is_said(trained, tmp_path):
    (tmp_path / "in.txt").write_text("a parcel\n", encoding="utf-8")
    command = [sys.executable, "-m", "classifine", "predict", trained, tmp_path / "in.txt", "-o", tmp_path / "out.csv"]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(list(map(str, command)), stdout=PIPE, stderr=write) as running:
        os.close(write)
        assert running.wait(60) == 0
    assert len((tmp_path / "out.csv").read_text("utf-8").splitlines()) == 2


def test_an_interruption_is_told_and_leaves_nothing(call, tickets, quick, tmp_path, monkeypatch):
    from classifine.train import fit

    def interrupted(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)  # the signal may reach another thread first; this one hears of it a little later

    monkeypatch.setattr(fit, "train", interrupted)
    # A suite that runs in the background is told to ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code, out, err = call("train", tickets, *quick, "-o", "model")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "classifine: stopped; no result is half-written."
    assert list(tmp_path.iterdir()) == []


def test_train_says_what_it_found_and_answers_in_json(call, tickets, quick):
    code, out, err = call("train", tickets, *quick, "-o", "model", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["folder"] == "model"
    assert answer["metrics"]["accuracy"]["value"] > 0.6
    assert "labels from column 'label' (--label changes it)" in err
    assert "6 epochs of 12 steps" in err


def test_a_dry_run_tells_the_plan_and_writes_nothing(call, tickets, quick, tmp_path):
    code, out, err = call("train", tickets, *quick, "--dry-run", "--max-train-rows", "48")
    assert code == 0
    assert "train: 48 of 96 rows drawn (--max-train-rows)" in err
    assert out.startswith(
        "rows: 48 train, 12 validation, 12 test\nsteps: 36 in 6 epochs of batches of 8\nestimate: about"
    )
    code, out, _ = call("train", tickets, *quick, "--dry-run", "--json", "--seeds", "3")
    plan = json.loads(out)
    assert (plan["task"], plan["rows"]["train"], plan["recipe"]["steps"]) == ("single", 96, 72)
    assert (plan["seconds"] >= 0, plan["seeds"]) == (True, 3)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_finds_the_mistakes_of_a_run(call, tickets, quick, tmp_path):
    code, _, err = call("train", tickets, *quick, "--dry-run", "--seeds", "2", "--publish", "maria/it", "--every-save")
    assert (code, "--every-save publishes each better epoch of one run, and --seeds makes several" in err) == (1, True)
    code, _, err = call("train", tickets, *quick, "--dry-run", "--method", "lp-ft", "--publish", "a/b", "--every-save")
    assert (code, "each better epoch, and --method lp-ft keeps the last one. Leave out" in err) == (1, True)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "x").touch()
    code, out, err = call("train", tickets, *quick, "--dry-run", "-o", "model", "--overwrite")
    assert (code, out) == (1, "")
    assert "not a saved classifier, so it is not replaced" in err


def test_settings_from_toml_set_and_flags(call, tickets, base, tmp_path):
    (tmp_path / "run.toml").write_text(
        f'[data]\nsource = "{tickets}"\n[model]\nbase = "{base}"\nmax_length = 16\n'
        "[train]\nepochs = 9\nbatch_size = 8\nseed = 1\nlearning_rate = 0.01\n"
    )
    code, out, _ = call("train", "run.toml", "-o", "model", "--set", "train.epochs=2", "--seed", "3")
    assert (code, out) == (0, "model\n")
    record = json.loads((tmp_path / "model" / "classifine.json").read_text("utf-8"))
    train = record["config"]["train"]
    assert (train["epochs"], train["seed"], train["batch_size"]) == (2, 3, 8)
    assert record["max_length"] == 16


def test_overwrite(call, tickets, quick, tmp_path):
    assert call("train", tickets, *quick, "-o", "model", "--epochs", "1")[0] == 0
    before = (tmp_path / "model" / "classifine.json").read_text("utf-8")
    code, out, err = call("train", tickets, *quick, "-o", "model")
    assert (code, out) == (1, "")
    assert err == "classifine: model exists already. Give another folder with -o, or replace it with --overwrite.\n"
    assert (tmp_path / "model" / "classifine.json").read_text("utf-8") == before
    assert call("train", tickets, *quick, "-o", "model", "--epochs", "1", "--overwrite", "--seed", "5")[0] == 0
    assert json.loads((tmp_path / "model" / "classifine.json").read_text("utf-8"))["seed"] == 5
    assert [item.name for item in tmp_path.iterdir()] == ["model"]


def test_check_answers_on_standard_output(call, tickets, base):
    code, out, err = call("check", tickets, "--base", base)
    assert (code, err) == (0, "")
    assert "120 rows, 3 classes" in out
    code, out, err = call("check", tickets, "--base", base, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["splits"]["train"]["rows"] == 120


def test_check_ends_with_1_where_nothing_can_be_trained(call, base, tmp_path):
    write_csv(tmp_path / "one.csv", [(text, "same") for text, _ in made_up(30)])
    code, out, _ = call("check", "one.csv", "--base", base)
    assert code == 1
    assert "only the label 'same'" in out


def test_check_of_texts_beyond_the_maximum_length(call, base, tmp_path):
    write_csv(tmp_path / "long.csv", [(f"{text} " * 30, label) for text, label in made_up(30)])
    code, out, _ = call("check", "long.csv", "--base", base, "--max-length", "16")
    assert code == 0
    assert "30 rows of long.csv (100.0%) have more than 16 tokens" in out


def test_evaluate(call, trained, tickets):
    code, out, err = call("evaluate", trained, tickets)
    assert (code, err.splitlines()) == (
        0,
        [
            f"judged on {tickets} (120 rows)",
            f"judging {trained} (torch float32)",
            f"warning: 96 of 120 rows have a text that {trained} was trained on, so its numbers flatter",
        ],
    )
    assert out.startswith("120 rows: accuracy ")
    code, out, _ = call("evaluate", trained, tickets, "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["rows"] == 120
    assert answer["metrics"]["accuracy"]["value"] > 0.6
    assert answer["baselines"] == []


def test_evaluate_on_the_test_file_of_a_folder(call, trained, tmp_path):
    (tmp_path / "set").mkdir()
    write_csv(tmp_path / "set" / "train.csv", made_up(40))
    write_csv(tmp_path / "set" / "test.csv", made_up(10, seed=5))
    assert json.loads(call("evaluate", trained, "set", "--json")[1])["rows"] == 10


def test_evaluate_with_other_column_names(call, trained, tmp_path):
    write_csv(tmp_path / "other.csv", made_up(30), header=("headline", "topic"))
    code, out, err = call("evaluate", trained, "other.csv", "--json")
    assert code == 0, err
    assert json.loads(out)["rows"] == 30
    assert "labels from column 'topic', as there is no 'label' (--label changes it)\n" in err


@pytest.mark.parametrize("flags", [[], ["--drop-unseen"]])
def test_evaluate_on_a_column_with_none_of_the_labels(call, trained, tmp_path, flags):
    rows = [(text, "yes" if i % 3 else "no", label) for i, (text, label) in enumerate(made_up(30))]
    write_csv(tmp_path / "other.csv", rows, header=("text", "target", "team"))
    code, out, err = call("evaluate", trained, "other.csv", *flags)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"classifine: other.csv has in 'target' none of the labels of {trained} (delivery, payment, praise), but no, yes. "
        "Name the column that has them with --label, or correct them."
    )
    code, _, err = call("evaluate", trained, "other.csv", "--label", "team")
    assert (code, "as there is no" in err) == (0, False)


def test_evaluate_leaves_rows_out_that_cannot_be_judged(call, trained, tmp_path):
    write_csv(tmp_path / "some.csv", [*made_up(30), ("", "praise"), ("a text", ""), ("a text", "strange")])
    code, out, err = call("evaluate", trained, "some.csv")
    assert (code, out) == (1, "")
    assert f"some.csv has labels that {trained} does not know: strange." in err
    assert json.loads(call("evaluate", trained, "some.csv", "--drop-unseen", "--json")[1])["rows"] == 30


def test_predict_writes_data_to_standard_output_and_words_to_standard_error(call, trained):
    code, out, err = call("predict", trained, "-", "--all-scores", "--top-k", "2", stdin="my parcel\n\ngreat\n")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == ["my parcel", "", "great"]
    assert {"label", "score", "label_2", "score_2", "score:praise"} <= set(rows[0])
    assert "3 rows, 1 without text left unlabelled" in err


def test_the_help_of_predict_tells_the_columns_of_its_output(call, trained, tmp_path):
    told = call("predict", "--help")[1]
    (tmp_path / "in.csv").write_bytes("id;label;text\n1;alt;für später, bezahlt\n2;;\n".encode("cp1252"))
    code, out, err = call("predict", trained, "in.csv", "-o", "out.csv", "--top-k", "2", "--all-scores")
    assert (code, out) == (0, ""), err
    header, first, second = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    columns = header.split(",")
    assert columns[:3] == ["id", "label", "text"]
    assert columns[3:7] == ["predicted_label", "predicted_score", "predicted_label_2", "predicted_score_2"]
    assert columns[7:] == [f"score:{name}" for name in ("delivery", "payment", "praise")]
    assert first.startswith('1,alt,"für später, bezahlt",')
    assert second == "2" + "," * 9
    for word in ("`label_2`", "`score:NAME`", "`labels`", "`predicted_`", "UTF-8", "|"):
        assert word in told


def test_predict_to_a_file(call, trained, tickets, tmp_path):
    code, out, err = call("predict", trained, tickets, "-o", "out.csv")
    assert (code, out) == (0, "")
    assert "120 rows, in out.csv" in err
    header, *rows = (tmp_path / "out.csv").read_text("utf-8").splitlines()
    assert header == "text,label,predicted_label,predicted_score"
    assert len(rows) == 120


def test_flags_of_the_hub_without_a_repository_are_hinted_at(call, tickets, quick):
    code, _, err = call("train", tickets, *quick, "--dry-run", "--private", "--every-save")
    assert code == 0
    assert "nothing is published without --publish OWNER/NAME, so --private, --every-save changes nothing" in err
    assert "nothing is published" not in call("train", tickets, *quick, "--dry-run")[2]


BAD_CALLS = {
    "no such data": (["train", "none.csv"], 1, "No such file: none.csv"),
    "no such folder": (["train", "no/where.csv"], 1, "The folder no does not exist either"),
    "unknown ending": (["train", "notes.docx"], 1, "ends in '.docx'"),
    "empty file": (["train", "empty.csv"], 1, "empty.csv is empty"),
    "one label": (["train", "one.csv"], 1, "only the label 'same'"),
    "no such column": (["train", "good.csv", "--text", "body"], 1, "has no column 'body'"),
    "no such base": (["train", "good.csv", "--base", "no such base"], 1, "expected a folder or a Hub id"),
    "base without weights": (["train", "good.csv", "--base", "folder"], 1, "folder is no pre-trained encoder"),
    "output below a file": (["train", "good.csv", "-o", "good.csv/model"], 1, "is not a folder that you may write to"),
    "output is a file": (["train", "good.csv", "-o", "good.csv", "--overwrite"], 1, "so it is not replaced"),
    "output is a folder of others": (["train", "good.csv", "-o", "folder", "--overwrite"], 1, "so it is not replaced"),
    "max length beyond the base": (["train", "good.csv", "--max-length", "512"], 1, "takes 64 tokens at most"),
    "out of bounds": (["train", "good.csv", "--epochs", "0"], 1, "train.epochs is 0; expected whole number"),
    "not a number": (["train", "good.csv", "--epochs", "many"], 1, "--epochs: expected a valid integer. Change it"),
    "not a choice": (["train", "good.csv", "--schedule", "steep"], 1, "--schedule: 'steep' is not one of 'linear'"),
    "unknown flag": (["train", "good.csv", "--epoch-s", "3"], 2, "No such option"),
    "unknown command": (["trian", "good.csv"], 2, "No such command"),
    "no argument": (["train"], 2, "Missing argument"),
    "unknown setting": (["train", "good.csv", "--set", "train.epoch=3"], 1, "Did you mean 'epochs'?"),
    "unknown section": (["train", "good.csv", "--set", "trian.epochs=3"], 1, "Did you mean 'train'?"),
    "no assignment": (["train", "good.csv", "--set", "epochs"], 1, "Write it as section.key=value"),
    "no such toml": (["train", "none.toml"], 1, "No such settings file: none.toml"),
    "broken toml": (["train", "bad.toml"], 1, "bad.toml is not valid TOML"),
    "toml without data": (["train", "empty.toml"], 1, "No data is named"),
    "no model": (["evaluate", "none", "good.csv"], 1, "No such classifier: none"),
    "not a model": (["evaluate", "folder", "good.csv"], 1, "folder is not a saved classifier"),
    "a file as model": (["predict", "good.csv", "good.csv"], 1, "No such classifier: good.csv"),
    "nothing to predict": (["predict", "MODEL", "none.csv"], 1, "No such file: none.csv"),
    "no text column": (["predict", "MODEL", "numbers.csv"], 1, "numbers.csv has no column with texts"),
    "unwritable form": (["predict", "MODEL", "good.csv", "-o", "out.docx"], 1, "should end in .jsonl"),
    "no folder for the output": (["predict", "MODEL", "good.csv", "-o", "no/out.csv"], 1, "does not exist"),
    "no labels to choose": (["predict", "MODEL", "good.csv", "--top-k", "0"], 1, "--top-k: "),
    "an impossible part": (["predict", "MODEL", "good.csv", "--shard", "5/4"], 1, "--shard is 5/4; expected"),
    "unlabelled test": (["evaluate", "MODEL", "unlabelled.csv"], 1, "has no row with a text and a label"),
    "a later line is broken": (["predict", "MODEL", "broken.jsonl", "-o", "out.csv"], 1, "not JSON in line 3"),
}


@pytest.fixture
def bad_files(tmp_path):
    write_csv(tmp_path / "good.csv", made_up(30))
    write_csv(tmp_path / "one.csv", [(text, "same") for text, _ in made_up(30)])
    write_csv(tmp_path / "numbers.csv", [(i, i * 2) for i in range(30)], header=("a", "b"))
    write_csv(tmp_path / "unlabelled.csv", [(text, "") for text, _ in made_up(5)])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.txt").write_text("x")
    (tmp_path / "broken.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"text\n')
    (tmp_path / "bad.toml").write_text("[train]\nmetric = accuracy\n")
    for name in ("empty.csv", "empty.toml", "notes.docx"):
        (tmp_path / name).write_text("x" * (name == "notes.docx"))


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_mistake_is_a_sentence_and_leaves_nothing(name, call, bad_files, base, trained, tmp_path):
    args, expected, words = BAD_CALLS[name]
    args = [str(trained) if arg == "MODEL" else arg for arg in args]
    if args[0] == "train" and "--base" not in args:
        args += ["--base", str(base)]
    before = sorted(tmp_path.rglob("*"))
    code, out, err = call(*args)
    assert (code, out) == (expected, ""), err
    assert words in err
    assert "Traceback" not in err
    if expected == 1:
        assert err.splitlines()[-1].startswith("classifine: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bug_of_ours_keeps_its_traceback(call, monkeypatch):
    def broken(config):
        raise ZeroDivisionError

    monkeypatch.setattr(run, "check", broken)
    with pytest.raises(ZeroDivisionError):
        call("check", "x.csv")


def test_errors_of_the_data_are_told_once(call, quick, tmp_path):
    source = write_csv(tmp_path / "one.csv", [(f"text {i}", "same") for i in range(30)])
    code, out, err = call("train", source, *quick, "-o", tmp_path / "model")
    assert (code, out) == (1, "")
    assert err.count("only the label 'same'") == 1


def test_judging_on_texts_that_were_trained_on_is_said(call, trained, tmp_path):
    report = json.loads((trained / "data_report.json").read_text("utf-8"))
    assert re.fullmatch(r"[\w+/]{512}", report["train_texts"])  # 96 texts, 4 bytes each
    new = [(f"{text} anew", label) for text, label in made_up(40, seed=5)]
    write_csv(tmp_path / "new.csv", new)
    code, out, err = call("evaluate", trained, "new.csv")
    assert (code, "warning" in err, "accuracy" in out) == (0, False, True)
    old = [(f"  {text.upper()}!", label) for text, label in made_up(120)]
    write_csv(tmp_path / "mixed.csv", [*new, *old])
    warning = f"warning: 96 of 160 rows have a text that {trained} was trained on, so its numbers flatter"
    assert call("evaluate", trained, "mixed.csv")[2].splitlines()[2:] == [warning]


def test_a_base_that_learned_the_labels_of_test_rows_is_said(call, quick, trained, tickets):
    # Cut by another seed than that of the base, test and validation rows are among those it was trained on.
    code, _, err = call("train", tickets, *quick, "--base", trained, "--seed", "7", "--patience", "1", "-o", "model")
    assert code == 0, err
    assert re.search(r"warning: \d+ of \d+ test rows have a text that .* was trained on, so the numbers flatter", err)
    assert json.loads(Path("model/classifine.json").read_text("utf-8"))["judged"]["trained_on"] is True
    assert "were trained on, so the numbers flatter" in Path("model/README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["glue", "rte", "--base", "a", "--from", "b"], "--from and --base both name what to begin with"),
        (["distill", "a", "b.txt", "--static", "--base", "c", "-o", "d"], "--static makes a student without an encoder"),
        (["train", "x.csv", "--test", "x.csv", "--test-share", "0.3"], "--test names the test rows, so no share"),
        (["train", "x.csv", "--validation", "x.csv", "--validation-share", "0.3"], "Leave out --validation-share"),
        (["train", "x.csv", "--method", "probe", "--no-averaging"], "takes no steps, so --averaging cannot be"),
        (["train", "x.csv", "--method", "contrastive", "--head-rate", "3"], "so --head-rate cannot be"),
        (["train", "x.csv", "--every-save", "--correct-prior", "--publish", "a/b"], "--correct-prior corrects the scores"),
    ],
)  # fmt: skip
def test_flags_that_contradict_one_another(call, base, tmp_path, command, words):
    write_csv(tmp_path / "x.csv", made_up(120))
    more = ["--base", base, "-o", "model"] if command[0] == "train" else []
    code, _, err = call(*command, *more)
    assert (code, words in err.splitlines()[-1]) == (1, True), err
    assert [item.name for item in tmp_path.iterdir()] == ["x.csv"]


def test_texts_that_were_trained_on_where_the_report_stayed_elsewhere(call, base, quick, trained, tmp_path):
    train = write_csv(tmp_path / "train.csv", made_up(60))
    other = write_csv(tmp_path / "other.csv", made_up(40, seed=5))
    code, _, err = call("train", train, "--validation", other, "--test", other, "--keep-shared", *quick, "-o", "model")
    assert code == 0, err
    (tmp_path / "model" / "data_report.json").unlink()
    assert "warning: 60 of 60 rows have a text that model was trained on" in call("evaluate", "model", train)[2]
    assert "warning" not in call("evaluate", "model", other)[2]
    (tmp_path / "model" / "data_report.json").write_text('{"train_texts": "a"}', "utf-8")
    code, _, err = call("evaluate", "model", train)
    assert code == 1
    assert "data_report.json is damaged" in err.splitlines()[-1]


def test_a_dash_is_standard_output(call, trained):
    code, out, _ = call("predict", trained, "-", "-o", "-", stdin="parcel late\n")
    assert code == 0
    assert json.loads(out)["label"]


def test_only_settings_that_a_command_heeds_are_its_flags(call, trained, tmp_path):
    for args in (
        ["evaluate", trained, "x.csv", "--test-share", "0.2"],
        ["check", "x.csv", "--validation-share", "0.2"],
    ):
        assert call(*args)[0] == 2


def test_compare(call, trained, tmp_path):
    write_csv(tmp_path / "new.csv", [(f"{text} anew", label) for text, label in made_up(60, seed=5)])
    code, out, err = call("compare", trained, trained, "new.csv")
    assert code == 0
    assert err.startswith("judged on new.csv (60 rows)\njudging both with torch float32")
    assert out.startswith(f"No difference that 60 rows could show between {trained} and {trained}: accuracy ")
    code, out, _ = call("compare", trained, trained, "new.csv", "--json")
    assert (code, json.loads(out)["better"], json.loads(out)["rows"]) == (0, 0, 60)


def changed(trained, folder, **columns):
    """A copy of a classifier whose record names other columns."""
    shutil.copytree(trained, folder)
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    record["columns"] |= columns
    (folder / "classifine.json").write_text(json.dumps(record), "utf-8")
    return folder


def test_compare_reads_the_texts_of_each_where_it_was_trained_on_them(call, trained, tmp_path):
    rows = [{"text": f"{text} anew", "body": "the same", "label": label} for text, label in made_up(60, seed=5)]
    rows[3]["body"] = ""
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    other = changed(trained, tmp_path / "other", text=["body"])
    code, out, err = call("compare", trained, other, "new.jsonl", "--json")
    found = json.loads(out)
    assert (code, found["rows"]) == (0, 59), err
    # One answer to all against a classifier that knows the words.
    assert found["better"] == 1 and found["differences"][0]["second"] < 0.5


def test_compare_a_classifier_of_pairs_with_one_of_texts(call, trained, tickets, tmp_path):
    code, _, err = call("compare", trained, changed(trained, tmp_path / "other", pair="more"), tickets)
    assert code == 1
    assert "do not answer the same question (single: delivery, payment, praise, single of pairs: delivery," in err


def test_compare_what_cannot_be_compared(call, trained, base, quick, tmp_path):
    write_csv(tmp_path / "other.csv", [(text, "yes" if label == "praise" else "no") for text, label in made_up(60)])
    assert call("train", "other.csv", *quick, "-o", "other")[0] == 0
    code, _, err = call("compare", trained, "other", "other.csv")
    assert code == 1
    assert "do not answer the same question (single: delivery, payment, praise, single: no, yes); expected" in err


@pytest.mark.parametrize("flag", ["--max-drop", "--data"])
def test_flags_of_int8_without_it(call, trained, flag):
    code, _, err = call("export", trained, "--to", "onnx", flag, "3")
    assert (code, err) == (1, f"classifine: {flag} is for --int8. Add --int8, or leave it out.\n")


def test_flags_that_a_command_lacks_are_left_out_of_what_is_said(capsys):
    def command(text, keep_shared):
        pass

    tell = streams.saying_flags_of(command)
    for line in (
        "language: en (en 98% of 60 rows; --language changes it)",
        "65 rows cut from x (--validation FILE gives your own)",
        "texts from 'a' (--text, --text-pair change it)",
        "kept (--keep-shared)", "steps (--epochs, --warmup)", "plain (words; no flag)",
    ):  # fmt: skip
        tell(line)
    assert capsys.readouterr().err.splitlines() == [
        "language: en (en 98% of 60 rows)", "65 rows cut from x", "texts from 'a' (--text change it)", "kept (--keep-shared)",
        "steps", "plain (words; no flag)",
    ]  # fmt: skip


def test_a_task_that_nobody_named_is_not_blamed(call, trained, tmp_path):
    rows = [{"text": text, "label": [label]} for text, label in made_up(30)]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    code, _, err = call("evaluate", trained, "lists.jsonl")
    assert (code, "--task" in err) == (1, False)
    assert "expected one label a row, as the classifier chooses one. Name a column with one label by --label." in err


def test_an_audit_does_not_replace_what_it_reads(call, base, tmp_path):
    file = write_csv(tmp_path / "x.csv", made_up(60))
    before = file.read_bytes()
    code, _, err = call("audit", file, "-o", file, "--overwrite", "--base", base)
    assert (code, "would replace" in err, file.read_bytes() == before) == (1, True, True)
