"""Publishing, with the real client of the Hub against a Hub on 127.0.0.1: there and back, and each way to fail."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import QUICK, made_up
from hub import COMMIT, TOKEN, Commit, serving
from test_hub import call

from classifine import run
from classifine.config import Hub
from classifine.errors import ModelError
from classifine.infer.predict import text_logits
from classifine.model.folder import Saved, load
from classifine.publish import Target, _card, _plain_scores, _public, files
from classifine.windows import TRUNCATE

# The client's other way to upload needs a service of its own; this one is the Hub's documented protocol.
PLAIN = {"HF_HUB_DISABLE_XET": "1"}
LOGGED_IN = {**PLAIN, "HF_TOKEN": TOKEN}
# What a classifier of a method for few labels has beside its encoder.
ANOTHER_KIND = {"modules.json": b"[]", "1_Pooling/config.json": b"{}", "3_Dense/model.safetensors": b"old"}
STAY = {"predictions.jsonl", "data_report.json", "explanations.json", "report.html"}


@pytest.fixture
def hub():
    with serving() as found:
        yield found


def words(stderr):
    """What classifine itself said as an error; there must be no traceback beside it."""
    assert "Traceback" not in stderr
    return [line.removeprefix("classifine: ") for line in stderr.splitlines() if line.startswith("classifine: ")]


@pytest.fixture(scope="module")
def told(trained, tmp_path_factory):
    """(Hub, answers, names of what was asked before the first file went) of one person's afternoon."""
    place = tmp_path_factory.mktemp("afternoon")
    (place / "new.csv").write_text("text\nthe parcel is late again\nlove it\n", "utf-8")
    mine = shutil.copytree(trained, place / "mine")
    (mine / "README.md").write_text('---\nlicense: mit\n---\n# In my own words\n\nLoad "PATH".\n', "utf-8")
    broken = shutil.copytree(trained, place / "broken")
    (broken / "model.safetensors").write_bytes((trained / "model.safetensors").read_bytes()[:5000])
    lines = {
        "dry": ["publish", str(trained), "maria/tickets", "--dry-run"],
        "first": ["publish", str(trained), "maria/tickets", "--license", "mit"],
        "theirs": ["predict", "maria/tickets", str(place / "new.csv")],
        "ours": ["predict", str(trained), str(place / "new.csv")],
        "private": ["publish", str(mine), "maria/mine", "--private"],
        "again": ["publish", str(mine), "maria/tickets", "--license", "apache-2.0"],
        "exposed": ["publish", str(mine), "maria/tickets", "--private"],
        "broken": ["publish", str(broken), "maria/tickets"],
    }
    with serving() as hub:
        answers = call(hub.address, place / "home", *lines.values(), **LOGGED_IN)
        yield hub, dict(zip(lines, answers, strict=True))


def published(hub, number=1):
    """The files of a commit of maria/tickets; the first, empty one is number 0."""
    return hub.repositories["models", "maria/tickets"][number].files


def test_there_and_back(told, trained):
    hub, answers = told
    code, out, stderr = answers["first"]
    assert code == 0, stderr
    commit = hub.repositories["models", "maria/tickets"][1]
    assert out == f"{hub.address}/maria/tickets/commit/{commit.oid}\n"
    assert set(commit.files) == {item.name for item in trained.iterdir()} - STAY
    assert commit.files["model.safetensors"] == (trained / "model.safetensors").read_bytes()
    assert "not published: data_report.json, explanations.json, predictions.jsonl, report.html" in stderr
    assert "fetched back with plain transformers: the same answers" in stderr
    # The list is shown before anything is sent.
    assert stderr.index("model.safetensors") < stderr.index("/commit/")
    assert answers["theirs"][:2] == answers["ours"][:2]
    assert answers["theirs"][0] == 0


def test_the_published_card_is_complete_and_parsed_by_the_hubs_own_client(told, trained):
    from huggingface_hub import ModelCard

    text = published(told[0])["README.md"].decode()
    data = ModelCard(text).data
    evaluation = json.loads((trained / "evaluation.json").read_text("utf-8"))
    found = {result.metric_name: result.metric_value for result in data.eval_results}
    assert found["accuracy"] == round(evaluation["metrics"]["accuracy"]["value"], 4)
    assert {result.dataset_split for result in data.eval_results} == {"held-out"}  # cut from train rows
    assert (data.license, data.library_name, data.pipeline_tag) == ("mit", "transformers", "text-classification")
    assert data.model_name == "tickets"
    assert 'pipeline("text-classification", "maria/tickets", truncation=True)' in text
    assert 'TextClassifier.from_pretrained("maria/tickets")' in text
    assert "PATH" not in text


def test_no_path_of_this_machine_is_published(told, trained, tickets, base):
    files = published(told[0])
    record = json.loads(files["classifine.json"])
    assert (record["config"]["data"]["source"], record["base"]) == ("tickets.csv", "tiny")
    for name, content in files.items():
        for place in (tickets.parent, base.parent, trained.parent):
            assert str(place).encode() not in content, name


def test_a_relative_path_is_one_of_this_machine_too(trained):
    record = json.loads((trained / "classifine.json").read_text("utf-8"))
    data = {"source": "data/secret/rows.csv", "validation": r"C:\secret\dev.csv", "test": None}
    record = {**record, "config": {**record["config"], "data": data}, "base": "bases/secret/tiny"}
    public = _public(record)
    assert public["config"]["data"] == {"source": "rows.csv", "validation": "dev.csv", "test": None}
    assert "secret" not in json.dumps(public)
    kept = _public({**record, "data_on_hub": True, "base_origin": "the Hub", "base": "owner/base"})
    assert (kept["config"]["data"]["source"], kept["base"]) == ("data/secret/rows.csv", "owner/base")


def test_history_is_kept_and_a_card_that_its_author_wrote_stays(told):
    hub, answers = told
    assert answers["again"][0] == 0
    assert len(hub.repositories["models", "maria/tickets"]) == 3
    assert published(hub)["README.md"] != published(hub, 2)["README.md"]
    text = published(hub, 2)["README.md"].decode()
    assert text.endswith('# In my own words\n\nLoad "maria/tickets".\n')
    assert "license: apache-2.0" in text
    assert hub.repositories["models", "maria/tickets"][1].message.startswith("accuracy ")


def test_a_public_repository_is_not_taken_for_a_private_one(told):
    code, out, stderr = told[1]["exposed"]
    assert (code, out) == (1, "")
    assert "maria/tickets is there already and public, and --private was given" in words(stderr)[0]


def test_a_folder_that_does_not_load_takes_nobodys_place(told):
    hub, answers = told
    code, out, stderr = answers["broken"]
    assert (code, out) == (1, "")
    assert "did not load as a text classifier" in words(stderr)[0]
    assert len(hub.repositories["models", "maria/tickets"]) == 3


def test_private(told):
    assert told[1]["private"][0] == 0
    assert told[0].private == {"maria/mine"}


def test_a_dry_run_lists_the_files_and_sends_none(told):
    code, out, stderr = told[1]["dry"]
    assert (code, stderr) == (0, "")
    assert "model.safetensors" in out
    assert told[0].repositories["models", "maria/tickets"][0].files == {}


# In this order: a large file that has arrived once is not sent again.
FAILURES = [
    ("PUT /large", 503, "The Hub failed"),
    ("PUT /large", "break", "did not answer"),
    ("POST /api/models/maria/tickets/preupload", 401, "The Hub did not accept the token"),
    ("POST /api/models/maria/tickets/preupload", 403, "does not let this token write to maria/tickets"),
    ("POST /api/models/maria/tickets/commit", 404, "The Hub has no maria/tickets, or this token may not see it"),
    ("POST /api/models/maria/tickets/commit", 409, "maria/tickets was changed by somebody else meanwhile"),
    ("POST /api/models/maria/tickets/commit", 412, "maria/tickets was changed by somebody else meanwhile"),
    ("POST /api/models/maria/tickets/commit", 429, "The Hub asks to slow down"),
    ("POST /api/models/maria/tickets/commit", 422, "The Hub refused maria/tickets"),
    ("POST /api/models/maria/tickets/commit", "break", "did not answer"),
    ("POST /maria/tickets.git", 500, "The Hub failed"),
    ("POST /api/validate-yaml", 400, "The Hub refused maria/tickets"),
    ("GET /api/models/maria/tickets", 500, "The Hub failed"),
]


def test_each_failure_is_one_sentence(hub, trained, tmp_path):
    before = {item.name: item.read_bytes() for item in trained.iterdir()}
    publish = ["publish", str(trained), "maria/tickets"]
    lines = [line for request, fault, _ in FAILURES for line in ({request: fault}, publish)]
    answers = call(hub.address, tmp_path / "home", *lines, {}, publish, **LOGGED_IN)
    assert len(answers) == len(FAILURES) + 1
    for (request, fault, sentence), (code, out, stderr) in zip(FAILURES, answers, strict=False):
        assert (code, out) == (1, ""), (request, fault)
        (said,) = words(stderr)
        assert sentence in said, (request, fault)
    # Nothing was lost here, and once the Hub works again the same command goes through.
    assert {item.name: item.read_bytes() for item in trained.iterdir()} == before
    assert answers[-1][0] == 0


def test_the_clients_own_way_to_upload_fails_in_our_words(hub, trained, tmp_path):
    publish = ["publish", str(trained), "maria/tickets"]
    lines = [
        line for fault in (401, 403) for line in ({"GET /api/models/maria/tickets/xet-write-token": fault}, publish)
    ]
    refused, forbidden = call(hub.address, tmp_path / "home", *lines, HF_TOKEN=TOKEN)
    assert "The Hub did not accept the token" in words(refused[2])[0]
    assert "does not let this token write to maria/tickets" in words(forbidden[2])[0]


def test_what_can_be_known_beforehand_asks_nothing_of_the_hub(hub, trained, tickets, base, tmp_path):
    (tmp_path / "empty").mkdir()
    train = ["train", str(tickets), "--base", str(base), "-o", str(tmp_path / "model"), "--publish"]
    no_token, no_name, no_dry, no_model, late, nameless = call(
        hub.address,
        tmp_path / "home",
        ["publish", str(trained), "maria/tickets"],
        ["publish", str(trained), "tickets, the second"],
        ["publish", str(trained), "tickets, the second", "--dry-run"],
        ["publish", str(tmp_path / "empty"), "maria/tickets"],
        [*train, "maria/tickets"],
        [*train, "maria"],
    )
    for (code, out, stderr), sentence in (
        (no_token, "There is no token for the Hub"),
        (no_name, "OWNER/NAME is 'tickets, the second'; expected OWNER/NAME"),
        (no_dry, "OWNER/NAME is 'tickets, the second'; expected OWNER/NAME"),
        (no_model, "is not a saved classifier"),
        (late, "There is no token for the Hub"),
        (nameless, "--publish is 'maria'; expected OWNER/NAME"),
    ):
        assert (code, out) == (1, "")
        (said,) = words(stderr)
        assert sentence in said
    assert hub.asked == []
    assert not (tmp_path / "model").exists()


def quick(tickets, base, folder, *more):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**QUICK, "epochs": 3}.items()]
    return ["train", str(tickets), "--base", str(base), "-o", str(folder), *flags, *more]


def test_train_publishes_every_better_epoch_and_the_end(hub, tickets, base, tmp_path):
    train = [quick(tickets, base, tmp_path / name, "--every-save", "--publish") for name in ("whole", "failed", "not")]
    # What an earlier run left there says nothing about the new weights.
    old = {"evaluation.json": b"{}", "README.md": b"old", "notes.txt": b"mine", **ANOTHER_KIND}
    hub.repositories["models", "maria/tickets"] = [Commit(COMMIT, "earlier", old)]
    whole, failed, refused = call(
        hub.address,
        tmp_path / "home",
        [*train[0], "maria/tickets"],
        {"POST /api/models/maria/failed/commit": 500},
        [*train[1], "maria/failed"],
        [*train[2], "john/tickets"],
        **LOGGED_IN,
    )
    assert whole[0] == 0, whole[2]
    _, *commits = hub.repositories["models", "maria/tickets"]
    assert len(commits) >= 2
    assert not {"evaluation.json", *ANOTHER_KIND} & set(commits[0].files)
    assert "notes.txt" in commits[-1].files
    assert [commit.message.split()[0] for commit in commits[:-1]] == ["Epoch"] * (len(commits) - 1)
    assert "In training: the weights after epoch 1" in commits[0].files["README.md"].decode()
    assert {"model.safetensors", "classifine.json", "tokenizer.json"} <= set(commits[0].files)
    assert commits[-1].files["model.safetensors"] == (tmp_path / "whole" / "model.safetensors").read_bytes()
    # An epoch that the Hub does not take does not end training, and the classifier is whole in the end.
    assert failed[0] == 1
    assert "warning epoch 1 is not published. The Hub failed" in failed[2]
    (said,) = words(failed[2])
    assert f"classifine publish {tmp_path / 'failed'} maria/failed" in said
    assert (tmp_path / "failed" / "model.safetensors").exists()
    # Somebody else's name is refused before training, not after it.
    assert refused[0] == 1
    (said,) = words(refused[2])
    assert "does not let this token write to john/tickets" in said
    assert "epoch 1" not in refused[2]
    assert not (tmp_path / "not").exists()


def test_an_epoch_that_is_no_better_than_others_is_not_published(monkeypatch):
    said, sent = [], []
    monkeypatch.setattr(run.publish, "prepare", lambda *args: None)
    monkeypatch.setattr(run.publish, "publish_epoch", lambda classifier, epoch, *args: sent.append(epoch))
    better = run._publisher(Hub(publish="maria/it", every_save=True), said.append)
    for epoch in (1, 2):
        better(Saved(None, None, None, None, {"recipe": {"method": "lp-ft"}}), epoch)
    assert (sent, said) == ([], ["publish lp-ft keeps the last epoch, so the end alone is published"])


def test_another_answer_from_the_hub_is_noticed(hub, trained, tmp_path):
    script = """
import sys
from pathlib import Path
from classifine import publish
from classifine.errors import HubError
real = publish._plain_scores
publish._plain_scores = lambda *args: real(*args)[:, ::-1]
try:
    publish.publish(Path(sys.argv[1]), publish.Target("maria/tickets"), lambda line: None)
except HubError as error:
    print(error)
"""
    env = {**os.environ, **LOGGED_IN, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run([sys.executable, "-c", script, str(trained)], env=env, capture_output=True, text=True)
    assert "answers otherwise than" in done.stdout, done.stderr


def test_login_keeps_the_token_once_the_hub_knows_it(hub, trained, tmp_path):
    home = tmp_path / "home"
    env = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    env |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "NO_PROXY": "*"}

    def login(token):
        command = [sys.executable, "-m", "classifine", "login"]
        return subprocess.run(command, env=env, input=token, capture_output=True, text=True, timeout=60)

    wrong, nothing = login("hf_wrong\n"), login("")
    assert (wrong.returncode, nothing.returncode) == (1, 1)
    assert words(wrong.stderr)[0].startswith("The Hub did not accept the token")
    assert words(nothing.stderr)[0].startswith("Got no token")
    assert not (home / "token").exists()
    right = login(f"{TOKEN}\n")
    assert (right.returncode, right.stdout) == (0, "")
    assert "logged in as maria" in right.stderr
    assert TOKEN not in right.stderr
    ((code, _, stderr),) = call(hub.address, home, ["publish", str(trained), "maria/tickets"], **PLAIN)
    assert code == 0, stderr


def test_push_to_hub_from_python_over_a_classifier_of_another_kind(hub, trained, tmp_path):
    # What told of the old weights, and their parts, go; what is no file of a classifier, or lies in a folder, stays.
    gone = {"evaluation.json": b"{}", "history.jsonl": b"{}", "model-00001-of-00002.safetensors": b"old"}
    old = {**ANOTHER_KIND, **gone, "notes.txt": b"mine", "more/other.safetensors": b"mine"}
    hub.repositories["models", "maria/other"] = [Commit(COMMIT, "earlier", old)]
    script = """
import sys
from classifine import TextClassifier
print(TextClassifier.from_pretrained(sys.argv[1]).push_to_hub("maria/other"))
back = TextClassifier.from_pretrained("maria/other")
print(list(back.predict(["the parcel is late again"])))
"""
    env = {**os.environ, **LOGGED_IN, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path), "NO_PROXY": "*"}
    done = subprocess.run([sys.executable, "-c", script, str(trained)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"{hub.address}/maria/other/commit/")
    files, (earlier, _) = hub.files("maria/other"), hub.repositories["models", "maria/other"]
    assert "No evaluation was saved with this classifier" in files["README.md"].decode()
    assert set(old) & set(files) == {"notes.txt", "more/other.safetensors"}
    assert earlier.files == old  # what was there stays in the history


def test_files_are_chosen_by_what_they_are(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "copy")
    (folder / "notes.txt").write_text("mine", "utf-8")
    (folder / "more").mkdir()
    wanted, left = files(folder)
    assert {item.name for item in left} == {*STAY, "notes.txt", "more"}
    assert len(wanted) + len(left) == len(list(folder.iterdir()))


def test_what_comes_back_is_read_as_others_read_it_also_where_classifine_has_to_do(trained, tmp_path):
    """Others cut a long text where classifine reads it in windows."""
    folder = shutil.copytree(trained, tmp_path / "windows")
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    changed = {**record, "long": "windows", "stride": 4, "max_length": 12, "format": 2}
    (folder / "classifine.json").write_text(json.dumps(changed), "utf-8")
    saved, texts = load(folder), [" ".join(text for text, _ in made_up(12, seed=seed)) for seed in range(4)]
    cut = saved.decision.scores(text_logits(saved, texts, long=TRUNCATE))
    difference = np.abs(saved.decision.scores(text_logits(saved, texts)) - cut).max()
    assert np.abs(_plain_scores(folder, texts, saved, "classifine") - cut).max() < 1e-3 * difference


def test_a_card_in_another_encoding_is_one_sentence(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "mine")
    (folder / "README.md").write_bytes("# Caf\u00e9".encode("cp1252"))
    with pytest.raises(ModelError, match=r"README.md is not UTF-8: .*Save it as UTF-8, or remove it."):
        _card(folder, load(folder).record, Target("maria/mine", False, None), print)
