"""The guided start: what is found, what is asked, and a file that `train` takes."""

import json
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from conftest import made_up, write_csv

from classifine.config import build, options
from classifine.errors import ConfigError, DataError, OutputError
from classifine.init import start
from classifine.settings import load_toml


@pytest.fixture
def data(tmp_path):
    return write_csv(tmp_path / "tickets.csv", made_up(60))


def asking(**answers):
    """A person who takes every default but these, by the first word that the question holds; and what was asked."""
    asked = []

    def ask(question, default):
        asked.append((question, default))
        return next((answers.pop(word) for word in list(answers) if word in question), default)

    return ask, asked


def quiet(line):
    pass


def test_without_a_terminal_nothing_is_asked(data, tmp_path):
    written = start(tmp_path / "run.toml", {"source": str(data)}, False, None, quiet)
    config = build(load_toml(written))
    assert (str(tmp_path / config.data.source), config.data.text, config.data.label, config.data.task) == (
        str(data),
        ("text",),
        ("label",),
        "single",
    )


def test_without_a_terminal_what_was_found_is_said(data, tmp_path):
    said = []
    start(tmp_path / "run.toml", {"source": str(data)}, False, None, said.append)
    assert said[:3] == [
        "data    labels from column 'label' (--label changes it)",
        "data    texts from column 'text' (--text changes it)",
        "data    task: single, 3 labels: delivery, payment, praise (--task changes it)",
    ]
    (language,) = said[3:]
    assert language.startswith("data    language: ")
    assert "--language" in language
    ask, _ = asking()
    start(tmp_path / "asked.toml", {"source": str(data)}, False, ask, said.append)
    assert len(said) == 4  # who is asked sees it as the defaults of the questions


@pytest.mark.parametrize("wanted", [{}, {"epochs": 3, "label": "label"}])
def test_every_line_of_a_setting_is_toml_without_its_mark(data, tmp_path, wanted):
    written = start(tmp_path / "run.toml", {"source": str(data), **wanted}, False, None, quiet)
    text = re.sub(r"^# (?=\w+ = )", "", written.read_text("utf-8"), flags=re.MULTILINE)
    found = tomllib.loads(text)
    assert {name for values in found.values() for name in values} == {name for _, name, _ in options()}
    written.write_text(text, "utf-8")
    config = build(load_toml(written))
    assert (config.train.batch_size, config.train.epochs) == (32, wanted.get("epochs", 5))
    assert (config.data.text, config.hub.publish) == (("text",), "OWNER/NAME")


def test_the_file_names_every_setting_with_its_help(data, tmp_path):
    text = start(tmp_path / "run.toml", {"source": str(data), "epochs": 3}, False, None, quiet).read_text("utf-8")
    for _, name, field in options():
        assert f"# {field.description}\n" in text
        assert f"\n{name} = " in text or f"\n# {name} = " in text
    assert "\nepochs = 3\n" in text
    assert "\n# batch_size = 32  # an example" in text


def test_what_was_found_is_the_default_of_each_question(data, tmp_path):
    ask, asked = asking(file=str(data))
    start(tmp_path / "run.toml", {}, False, ask, quiet)
    questions = dict(asked)
    assert questions["Which column holds the texts? (two with a comma)"] == "text"
    assert questions["Which column holds the labels?"] == "label"
    assert (
        questions[
            "Shall it choose one label a text, decide on each of several, or give a score? (choose, decide, score)"
        ]
        == "choose"
    )
    assert questions["It has 3 labels: delivery, payment, praise. Is that right? (yes, no)"] == "yes"
    assert any("Which language" in question for question in questions)


def test_answers_are_written(data, tmp_path):
    ask, _ = asking(language="German", Shall="decide")
    written = start(tmp_path / "run.toml", {"source": str(data)}, False, ask, quiet)
    config = build(load_toml(written))
    assert (config.data.language, config.data.task) == ("German", "multi")


def test_a_no_asks_for_the_column_again(tmp_path):
    rows = [(text, label, "xy"[i % 2]) for i, (text, label) in enumerate(made_up(40))]
    file = write_csv(tmp_path / "a.csv", rows, ("text", "label", "topic"))
    ask, asked = asking(right="no", labels="label")
    count = {"labels": 0}

    def second(question, default):
        if "holds the labels" in question:
            count["labels"] += 1
            return "topic" if count["labels"] == 2 else default
        return ask(question, default)

    config = build(load_toml(start(tmp_path / "run.toml", {"source": str(file)}, False, second, quiet)))
    assert config.data.label == ("topic",)
    assert any("2 labels: x, y" in question for question, _ in asked)


def test_an_open_question_of_columns_is_asked(tmp_path):
    rows = [(text, label, "xy"[i % 2]) for i, (text, label) in enumerate(made_up(40))]
    file = write_csv(tmp_path / "a.csv", rows, ("text", "foo", "bar"))
    ask, asked = asking(label="bar")
    config = build(load_toml(start(tmp_path / "run.toml", {"source": str(file)}, False, ask, quiet)))
    assert config.data.label == ("bar",)
    assert asked[0] == ("Which column holds the label?", "")


def test_mistakes(data, tmp_path):
    with pytest.raises(ConfigError, match=r"no terminal to ask on\. Name it with --data"):
        start(tmp_path / "run.toml", {}, False, None, quiet)
    with pytest.raises(ConfigError, match=r"should end in \.toml"):
        start(tmp_path / "run.yaml", {"source": str(data)}, False, None, quiet)
    with pytest.raises(ConfigError, match="--language is 'klingonish'"):
        start(tmp_path / "run.toml", {"source": str(data), "language": "klingonish"}, False, None, quiet)
    (tmp_path / "run.toml").write_text("[data]\n")
    with pytest.raises(OutputError, match=r"exists already\. .* --overwrite"):
        start(tmp_path / "run.toml", {"source": str(data)}, False, None, quiet)
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        start(tmp_path / "no" / "run.toml", {"source": str(data)}, False, None, quiet)


def test_train_takes_the_file(data, base, tmp_path, capsys, monkeypatch):
    from classifine import cli

    monkeypatch.chdir(tmp_path)
    calls = [
        ["init", "--data", str(data), "--base", str(base), "--epochs", "1"],
        ["train", "run.toml", "-o", "model", "--max-length", "32", "--json"],
    ]
    for call in calls:
        monkeypatch.setattr("sys.argv", ["classifine", *call])
        monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("run.toml\n")
    assert json.loads(out.partition("\n")[2])["folder"] == "model"


def test_a_wrong_flag_is_not_asked_about_for_ever(data, tmp_path):
    ask, asked = asking()
    with pytest.raises(DataError, match="no column 'nope'"):
        start(tmp_path / "run.toml", {"source": str(data), "text_pair": "nope"}, False, ask, quiet)
    assert asked == []


def test_paths_count_from_the_folder_of_the_file(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    written = start(tmp_path / "conf" / "run.toml", {"source": "tickets.csv"}, False, None, quiet)
    monkeypatch.chdir("/")
    assert load_toml(written)["data"]["source"].endswith("conf/../tickets.csv")


def test_a_source_that_cannot_be_read_is_asked_for_again(data, tmp_path):
    given, said = ["nofile.csv", str(data)], []

    def ask(question, default):
        return given.pop(0) if "Which file" in question else default

    written = start(tmp_path / "run.toml", {}, False, ask, said.append)
    assert not given
    assert "nofile.csv" in said[0]
    assert (tmp_path / build(load_toml(written)).data.source).samefile(data)
    given = ["", "never"]
    with pytest.raises((ConfigError, DataError)):
        start(tmp_path / "other.toml", {}, False, ask, said.append)
    assert given == ["never"]


def test_a_column_that_was_mistyped_is_not_kept_for_the_next_file(tmp_path):
    source = tmp_path / "odd.jsonl"
    rows = [{"alpha": text, "beta": f"{text} indeed", "label": label} for text, label in made_up(60)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    columns, asked = ["alhpa", "alpha"], []

    def ask(question, default):
        asked.append(question)
        if "Which file" in question:
            return str(source)
        return columns.pop(0) if question == "Which column holds the text?" and columns else default

    written = start(tmp_path / "run.toml", {}, False, ask, quiet)
    assert build(load_toml(written)).data.label == ("label",)
    assert sum("Which file" in question for question in asked) <= 2


@pytest.mark.parametrize(
    ("word", "slip"), [("holds the texts", "txt"), ("holds the labels", "lable"), ("Which language", "englsh")]
)
def test_a_slip_in_an_answer_is_said_and_asked_again(data, tmp_path, word, slip):
    ask, asked = asking(**{word: slip})
    said = []
    written = start(tmp_path / "run.toml", {"source": str(data)}, False, ask, said.append)
    assert slip in said[-1]
    assert sum(word in question for question, _ in asked) == 2
    assert build(load_toml(written)).data.text == ("text",)


def test_every_path_counts_from_the_folder_of_the_file(data, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    shutil.copytree(base, tmp_path / "bases" / "mine")
    write_csv(tmp_path / "val.csv", made_up(20, seed=3))
    given = {"source": "tickets.csv", "validation": "val.csv", "test": "val.csv", "base": "bases/mine"}
    written = start(tmp_path / "conf" / "run.toml", given, False, None, quiet)
    monkeypatch.chdir(tmp_path / "conf")
    config = build(load_toml(written))
    assert Path(config.data.validation).samefile(tmp_path / "val.csv")
    assert Path(config.data.test).samefile(tmp_path / "val.csv")
    assert Path(config.model.base).samefile(tmp_path / "bases" / "mine")
