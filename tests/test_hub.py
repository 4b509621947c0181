"""The real clients against a Hub on 127.0.0.1: the set and the base come from there, and failures are one sentence."""

import json
import os
import subprocess
import sys

import pytest
from conftest import made_up, make_base, write_csv
from hub import COMMIT, serving

# Several command lines in one process, because importing the clients is what takes the time. The clients wait longer
# and longer before they ask a silent server again; here they do not wait.
CALLS = """
import contextlib, io, json, os, sys, time, urllib.request
time.sleep = lambda seconds: None
from classifine.cli import main
for args in json.loads(sys.argv[1]):
    if isinstance(args, dict):
        request = urllib.request.Request(os.environ["HF_ENDPOINT"] + "/faults", json.dumps(args).encode())
        urllib.request.urlopen(request).close()
        continue
    sys.argv = ["classifine", *args]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def call(address, home, *command_lines, **more):
    """[exit code, standard output, standard error] of each command line; `more` are variables of the environment.

    A dictionary among them sets the faults of the Hub from there on.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env = {
        **clean,
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "*",
        **more,
    }
    done = subprocess.run(
        [sys.executable, "-c", CALLS, json.dumps(command_lines)], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    root = tmp_path_factory.mktemp("repositories")
    (root / "models" / "owner").mkdir(parents=True)
    (root / "datasets" / "owner" / "set").mkdir(parents=True)
    make_base(root / "models" / "owner" / "base")
    (root / "models" / "owner" / "bare").mkdir()
    (root / "models" / "owner" / "bare" / "config.json").write_text("{}")
    rows = made_up(120)
    write_csv(root / "datasets" / "owner" / "set" / "train.csv", rows[:100])
    write_csv(root / "datasets" / "owner" / "set" / "test.csv", rows[100:])
    return root


def test_a_set_and_a_base_from_the_hub(repositories, tmp_path):
    out = tmp_path / "model"
    train = ["train", "owner/set", "--base", "owner/base", "-o", str(out), "--epochs", "1", "--json"]
    with serving(repositories) as hub:
        ((code, stdout, stderr),) = call(hub.address, tmp_path / "home", train)
    assert code == 0, stderr
    assert json.loads(stdout)["rows"] == 20
    record = json.loads((out / "classifine.json").read_text("utf-8"))
    assert record["base_origin"] == "the Hub"
    assert record["rows"]["train"] + record["rows"]["validation"] == 100
    assert "base_model: owner/base" in (out / "README.md").read_text("utf-8")
    assert f"/datasets/owner/set/resolve/{COMMIT}/train.csv" in hub.asked
    assert f"/owner/base/resolve/{COMMIT}/model.safetensors" in hub.asked


def test_what_the_hub_does_not_have(repositories, tmp_path):
    csv = str(repositories / "datasets" / "owner" / "set" / "train.csv")
    out = str(tmp_path / "model")
    with serving(repositories) as hub:
        no_set, no_base, bare = call(
            hub.address,
            tmp_path / "home",
            ["train", "owner/nothing", "--base", "owner/base", "-o", out],
            ["train", csv, "--base", "owner/nothing", "-o", out],
            ["train", csv, "--base", "owner/bare", "-o", out],
        )
    for (code, stdout, stderr), words in (
        (no_set, "no set of this name came from the Hub: owner/nothing"),
        (no_base, "The base model owner/nothing is not on this machine, and the Hub did not give it"),
        (bare, "owner/bare on the Hub lacks config.json, weights or a tokenizer"),
    ):
        assert (code, stdout) == (1, "")
        assert words in stderr
        assert len([line for line in stderr.splitlines() if line.startswith("classifine: ")]) == 1
        assert "Traceback" not in stderr
    assert not (tmp_path / "model").exists()


def test_a_hub_that_is_not_there(repositories, tmp_path):
    csv = str(repositories / "datasets" / "owner" / "set" / "train.csv")
    out = str(tmp_path / "model")
    with serving(repositories) as hub:
        pass
    answers = call(
        hub.address,
        tmp_path / "home",
        ["train", csv, "--base", "owner/base", "-o", out],
        ["train", "owner/set", "--base", "owner/base", "-o", out],
    )
    for (code, stdout, stderr), words in zip(
        answers, ("The base model owner/base is not on this machine", "owner/set"), strict=True
    ):
        assert (code, stdout) == (1, "")
        assert stderr.splitlines()[-1].startswith("classifine: ")
        assert words in stderr.splitlines()[-1]
        assert "Traceback" not in stderr
    assert not (tmp_path / "model").exists()
