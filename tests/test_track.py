"""Each tracker by its own package, in its local mode: what it kept is read back with that package."""

import importlib
import json
import os
import subprocess
import sys

import pytest
from conftest import QUICK, fitted_on

from classifine.errors import TrackingError
from classifine.report.card import metric_value
from classifine.train.track import Tracking, check_trackers

# As a user would set them to stay on this machine; the packages' warnings and threads stay in a process of their own.
LOCAL = {
    "WANDB_MODE": "offline", "WANDB_SILENT": "true", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db",
    "MPLCONFIGDIR": ".", "NO_PROXY": "*", "GRADIO_ANALYTICS_ENABLED": "False",
}  # fmt: skip
READ_BACK = {
    "tensorboard": """
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from pathlib import Path
runs = list(Path("tensorboard").iterdir())
events = EventAccumulator(str(runs[0])).Reload()
names = events.Tags()["scalars"]
config = events.Tensors("args/text_summary")[0].tensor_proto.string_val[0].decode()
metrics = {name: events.Scalars(name)[-1].value for name in names}
answer = {"runs": len(runs), "config": "train.learning_rate" in config and "tickets.csv" in config, "metrics": metrics}
""",
    # Its reader is compiled and wants its server; the records in the file are messages that the package defines.
    "wandb": """
import struct
from pathlib import Path
from wandb.proto import wandb_internal_pb2
def records(data, block=32768):
    at, whole = 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""
files = list(Path("wandb").glob("offline-run-*/*.wandb"))
metrics, config, ended = {}, {}, False
for record in records(files[0].read_bytes()):
    ended |= record.HasField("exit")
    for item in record.history.item:
        metrics[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    for item in [*record.config.update, *record.run.config.update]:
        config[item.key or "/".join(item.nested_key)] = item.value_json
known = "train.learning_rate" in config and "tickets.csv" in config["data.source"]
answer = {"runs": len(files), "config": known and ended, "metrics": metrics}
""",
    "mlflow": """
import mlflow
found = mlflow.search_runs(search_all_experiments=True, output_format="list")
run = found[0].data
known = "train.learning_rate" in run.params and "tickets.csv" in run.params["data.source"]
answer = {"runs": len(found), "config": known, "metrics": run.metrics}
assert found[0].info.status == "FINISHED"
""",
    "trackio": """
import trackio
from trackio.sqlite_storage import SQLiteStorage
runs = trackio.Api().runs("classifine")
run = runs[0]
metrics = {}
for row in SQLiteStorage.get_logs("classifine", run.name):
    metrics.update({key: value for key, value in row.items() if isinstance(value, (int, float))})
config = run.config
answer = {"runs": len(runs), "config": "train.learning_rate" in config and "tickets.csv" in config["data.source"], "metrics": metrics}
""",
}


def in_a_process_of_its_own(script, folder, *args):
    env = {**os.environ, **LOCAL, "TRACKIO_DIR": str(folder / "trackio")}
    command = [sys.executable, "-c", script, *args]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def tracked(tickets, base, tmp_path_factory):
    """(folder, process) of a run that every tracker was told of."""
    folder = tmp_path_factory.mktemp("tracked")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**QUICK, "epochs": 2}.items()]
    trackers = ["--track", "tensorboard,wandb", "--track", "mlflow,trackio"]
    args = ["train", str(tickets), "--base", str(base), "-o", "model", *flags, *trackers]
    script = "import sys; from classifine.cli import main; sys.argv = ['classifine', *sys.argv[1:]]; main()"
    done = in_a_process_of_its_own(script, folder, *args)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.parametrize("name", list(READ_BACK))
def test_the_final_metrics_and_the_config_are_read_back(tracked, name):
    folder, _ = tracked
    done = in_a_process_of_its_own(f"import json\n{READ_BACK[name]}\nprint(json.dumps(answer))", folder)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert (answer["runs"], answer["config"]) == (1, True)
    truth = json.loads((folder / "model" / "evaluation.json").read_text("utf-8"))["metrics"]
    named = {key.replace("test_", "test/"): value for key, value in answer["metrics"].items()}
    for metric in ("accuracy", "macro_f1", "mcc"):
        assert named[f"test/{metric}"] == pytest.approx(metric_value(truth[metric]), abs=1e-6)
    history = [json.loads(line) for line in (folder / "model" / "history.jsonl").read_text("utf-8").splitlines()]
    last = next(value for key, value in answer["metrics"].items() if key in ("eval/macro_f1", "eval_macro_f1"))
    assert last == pytest.approx(history[-1]["validation"]["macro_f1"], abs=1e-6)


def test_standard_output_carries_the_folder_alone(tracked):
    assert tracked[1].stdout == "model\n"


def test_a_run_that_ends_badly_is_told_as_one_and_a_run_of_the_users_stays_open(tickets, base, tmp_path):
    script = """
import sys
import mlflow, wandb
from classifine.train.track import Tracking
from transformers import TrainingArguments, TrainerState, TrainerControl
own = wandb.init(project="mine")
args = TrainingArguments("out", use_cpu=True)
try:
    with Tracking(["mlflow", "wandb"], "run", print) as tracking:
        tracking.on_train_begin(args, TrainerState(), TrainerControl())
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
assert wandb.run is own
wandb.log({"after": 1})
wandb.finish()
assert mlflow.search_runs(output_format="list")[0].info.status == "FAILED"
# A run that is ours is ended by us.
with Tracking(["wandb"], "run", print) as tracking:
    tracking.on_train_begin(args, TrainerState(), TrainerControl())
    assert wandb.run is not None
assert wandb.run is None
"""
    done = in_a_process_of_its_own(script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_nothing_is_tracked_unless_asked(tickets, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted_on(tmp_path / "model", tickets, base, epochs=1)
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
    assert not any(name in sys.modules for name in ("wandb", "mlflow", "trackio"))


def test_a_tracker_that_is_not_installed(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else real(name))
    with pytest.raises(TrackingError, match=r"--track wandb needs a package .* pip install 'classifine\[wandb\]'"):
        check_trackers(["tensorboard", "wandb"])


class Broken:
    logging_dir = "somewhere"

    def on_train_begin(self, *args, **kwargs):
        pass

    def on_log(self, *args, **kwargs):
        raise OSError("disk full")

    def on_train_end(self, *args, **kwargs):
        raise AssertionError("it was left out")


def test_a_tracker_that_fails_on_the_way_is_left_out(monkeypatch):
    import transformers.integrations

    monkeypatch.setattr(transformers.integrations, "get_reporting_integration_callbacks", lambda names: [Broken])
    said = []
    with Tracking(["tensorboard"], "run", said.append) as tracking:
        tracking.on_train_begin(None, None, None)
        tracking.on_log(None, None, None, logs={"loss": 1.0})
        tracking.on_log(None, None, None, logs={"loss": 1.0})
        tracking.finish({"accuracy": 1.0})
    assert [line for line in said if "failed" in line] == [
        "warning tensorboard failed and is left out: OSError: disk full"
    ]


def test_a_tracker_that_fails_at_the_end_is_left_out(monkeypatch):
    class Dead:
        def finish(self, exit_code):
            raise BrokenPipeError("service gone")

    said = []
    with Tracking([], "run", said.append) as tracking:
        tracking._wandb = Dead()
        tracking.finish({"accuracy": 1.0})
    assert said == ["warning wandb failed and is left out: BrokenPipeError: service gone"]


def test_a_tracker_that_does_not_start_ends_the_run_before_its_first_step(monkeypatch):
    import transformers.integrations

    class Refusing(Broken):
        def on_train_begin(self, *args, **kwargs):
            raise RuntimeError("api_key not configured (no-tty).\nmore")

    monkeypatch.setattr(transformers.integrations, "get_reporting_integration_callbacks", lambda names: [Refusing])
    wanted = pytest.raises(TrackingError, match=r"--track wandb did not start: api_key not configured")
    with Tracking(["wandb"], "run", lambda line: None) as tracking, wanted:
        tracking.on_train_begin(None, None, None)


def test_each_seed_is_a_run_of_its_own_and_so_is_a_run_that_starts_anew(monkeypatch):
    import transformers.integrations

    told = []

    class Listening(Broken):
        def on_train_begin(self, args, *rest, **kwargs):
            self.name = args.run_name
            told.append((self.name, "begins"))

        def on_log(self, *args, logs, **kwargs):
            told.append((self.name, logs))

        def on_train_end(self, *args, **kwargs):
            told.append((self.name, "ends"))

    monkeypatch.setattr(transformers.integrations, "get_reporting_integration_callbacks", lambda names: [Listening])
    with Tracking(["tensorboard"], "run", lambda line: None) as tracking:
        for seed in (7, 8):
            tracking.name_part(str(seed))
            tracking.on_train_begin(None, None, None)
            tracking.finish({"accuracy": seed})
        tracking.on_train_begin(None, None, None)
        tracking.on_train_begin(None, None, None)
        tracking.finish({})
        tracking.finish({"accuracy": 0})
    runs = [(f"run-{seed}", {"test_accuracy": seed}) for seed in (7, 8)]
    whole = [[(name, "begins"), (name, logs), (name, "ends")] for name, logs in [*runs, ("run-8", {})]]
    assert told == [*whole[0], *whole[1], ("run-8", "begins"), ("run-8", "ends"), *whole[2]]
