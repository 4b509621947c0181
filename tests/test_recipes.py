"""Every recipe is loaded and planned: on made-up rows with its columns, with the tiny base in the place of its own."""

import json
import tomllib
from pathlib import Path

import pytest
from conftest import made_up
from test_glue import lay_out
from typer.testing import CliRunner

from classifine.cli import app

FOLDER = Path(__file__).parents[1] / "recipes"
RECIPES = sorted(FOLDER.glob("*.toml"))
# What stands for the sets that are on the Hub or elsewhere.
WANTED = {
    "ag-news-roberta",
    "ag-news-bert",
    "smsa-indonesian",
    "twitter-topics-bert",
    "multilingual-few-labels",
    "go-emotions",
}
WANTED |= {f"glue-{task}" for task in ("cola", "mnli", "mnli-mm", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb", "wnli")}


def test_there_is_a_recipe_for_each(monkeypatch):
    assert {path.stem for path in RECIPES} == WANTED


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_opens_with_its_command_and_its_score(path):
    command, *rest = path.read_text("utf-8").splitlines()
    word = "glue" if path.stem.startswith("glue-") else "train"
    assert command.startswith(f"# classifine {word} recipes/{path.name}")
    comment = "\n".join(line for line in rest if line.startswith("#"))
    assert "Published: " in comment or "Measured " in comment


# The columns of the sets, as far as they matter: (texts, label, how a row's label is written).
COLUMNS = {
    "ag-news-roberta": ("text", "label", list),
    "ag-news-bert": ("text", "label", list),
    "smsa-indonesian": ("text", "label", str),
    "twitter-topics-bert": ("text", "label", list),
    "go-emotions": ("text", "labels", list),
}


def rows_for(name, folder):
    text, label, kind = COLUMNS[name]
    names = sorted({answer for _, answer in made_up(60)})
    target = folder / "rows.jsonl"
    with target.open("w", encoding="utf-8") as file:
        for number, (words, answer) in enumerate(made_up(60)):
            written = answer if kind is str else names.index(answer)
            value = [answer, "praise"] if name == "go-emotions" else written
            file.write(json.dumps({text: words, label: value, "id": f"row{number}"}) + "\n")
    return target


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_planned(path, base, tmp_path, monkeypatch):
    own = ["--base", str(base), "--max-length", "32"]
    if path.stem.startswith("glue-"):
        lay_out(tmp_path, path.stem.removeprefix("glue-"))
        command = ["glue", str(path), "--data", str(tmp_path)]
    else:
        command = ["train", str(path)]
        if path.stem in COLUMNS:
            command += ["--set", f"data.source={rows_for(path.stem, tmp_path)}"]
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*command, *own, "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    recipe, wanted = plan["recipe"], tomllib.loads(path.read_text("utf-8"))["train"]
    warmup = wanted.pop("warmup", 0.1)
    assert recipe["warmup_steps"] == round(warmup if warmup >= 1 else warmup * recipe["steps"])
    # Trackers are told of a run; they are no part of how it is trained.
    wanted.pop("track", None)
    assert {name: recipe[name] for name in wanted} == wanted
    assert plan["task"] == {"glue-stsb": "score", "go-emotions": "multi"}.get(path.stem, "single")
    assert [item.name for item in tmp_path.iterdir() if item.name in ("runs", "wandb", "tensorboard")] == []


def test_a_recipe_for_glue_names_one_of_its_tasks(tmp_path):
    (tmp_path / "run.toml").write_text('[data]\nsource = "rows.csv"\n', "utf-8")
    done = CliRunner().invoke(app, ["glue", str(tmp_path / "run.toml"), "--dry-run"])
    assert done.exit_code == 1
    assert "has the source rows.csv; expected one of GLUE, such as nyu-mll/glue:rte" in str(done.exception)


def test_the_recipe_for_few_labels_goes_from_end_to_end(base, tmp_path):
    recipe = FOLDER / "multilingual-few-labels.toml"
    args = ["train", str(recipe), "--base", str(base), "--max-length", "32", "-o", str(tmp_path / "model"), "--json"]
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["rows"], found["labels"]) == (192, ["is_correct", "is_incorrect"])
    record = json.loads((tmp_path / "model" / "classifine.json").read_text("utf-8"))
    assert (record["recipe"]["optimizer"], record["recipe"]["schedule"]) == ("asam", "cosine")
    assert (record["recipe"]["metric"], record["rows"]) == ("loss", {"train": 192, "validation": 192, "test": 192})


def test_check_says_what_is_wrong_with_the_rows_of_that_recipe(base):
    done = CliRunner().invoke(app, ["check", str(FOLDER.parent / "examples" / "fruits"), "--base", str(base), "--json"])
    faults = [(fault["kind"], fault["split"], len(fault["rows"])) for fault in json.loads(done.stdout)["faults"]]
    assert ("duplicate", "train", 189) in faults
    assert any(kind == "shared-rows" and rows == 192 for kind, _, rows in faults)
