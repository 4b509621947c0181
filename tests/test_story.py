"""The whole story: what `train` writes, that it is right, and that plain transformers reads it the same way."""

import json

import pytest
from conftest import QUICK, fitted_on, made_up, settings, write_csv

from classifine import run, use
from classifine.config import Data
from classifine.infer.files import PredictOptions
from classifine.infer.predict import Wanted

FILES = {
    "README.md", "classifine.json", "config.json", "data_report.json", "evaluation.json", "explanations.json",
    "history.jsonl", "report.html", "model.safetensors", "predictions.jsonl", "tokenizer.json", "tokenizer_config.json",
}  # fmt: skip


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def quiet(line):
    pass


def test_train_writes_exactly_these_files(trained):
    assert {item.name for item in trained.iterdir()} == FILES
    assert {item.name for item in trained.parent.iterdir()} == {trained.name}


def test_the_records_agree_with_one_another(trained, trained_run):
    record = json.loads((trained / "classifine.json").read_text(encoding="utf-8"))
    evaluation = json.loads((trained / "evaluation.json").read_text(encoding="utf-8"))
    report = json.loads((trained / "data_report.json").read_text(encoding="utf-8"))
    assert record["labels"] == evaluation["labels"] == ["delivery", "payment", "praise"]
    assert record["rows"] == {"train": 96, "validation": 12, "test": 12}
    assert report["splits"]["train"]["rows"] == 120
    assert evaluation == json.loads(json.dumps(trained_run.evaluation.as_json()))
    assert len(lines(trained / "history.jsonl")) == record["epochs_run"]
    assert (record["seed"], record["max_length"], record["name"]) == (QUICK["seed"], 32, "tickets")
    assert record["train_seconds"] > 0
    assert f"| accuracy | {evaluation['metrics']['accuracy']['value']:.4f} |" in (trained / "README.md").read_text(
        "utf-8"
    )


def test_it_learned(trained, tickets, tmp_path):
    # The run's own twelve test rows are too few to tell.
    known = set(tickets.read_text(encoding="utf-8").splitlines())
    others = [row for row in made_up(400, seed=2) if ",".join(row) not in known]
    found = use.evaluate_saved(
        trained, Data(source=str(write_csv(tmp_path / "others.csv", others))), "torch", "float32", quiet
    )
    assert len(others) > 300
    assert found.accuracy > 0.9


def test_predictions_lie_beside_the_metrics_that_they_give(trained, trained_run):
    rows = lines(trained / "predictions.jsonl")
    assert sum(row["correct"] for row in rows) / len(rows) == trained_run.evaluation.accuracy
    own = [row["scores"][row["truth"]] for row in rows]
    assert own == sorted(own)


def test_predict_gives_what_the_run_itself_gave(trained, tmp_path):
    told = lines(trained / "predictions.jsonl")
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps({"text": row["text"]}) + "\n" for row in told), encoding="utf-8"
    )
    options = PredictOptions(Wanted(all_scores=True))
    assert use.predict(trained, str(tmp_path / "test.jsonl"), tmp_path / "out.jsonl", options, None, quiet) == len(told)
    for row, answer in zip(told, lines(tmp_path / "out.jsonl"), strict=True):
        assert (answer["text"], answer["label"]) == (row["text"], row["prediction"])
        assert all(abs(answer[f"score:{name}"] - score) < 2e-6 for name, score in row["scores"].items())
        assert answer["score"] == answer[f"score:{row['prediction']}"]


def test_evaluate_gives_what_the_run_itself_gave(trained, trained_run, tmp_path):
    rows = [json.dumps({"text": row["text"], "label": row["truth"]}) for row in lines(trained / "predictions.jsonl")]
    (tmp_path / "test.jsonl").write_text("\n".join(rows), encoding="utf-8")
    again = use.evaluate_saved(
        trained, Data(source=str(tmp_path / "test.jsonl")), "torch", "float32", lambda line: None
    )
    assert again.metrics["accuracy"] == trained_run.evaluation.accuracy
    assert again.metrics["macro_f1"] == trained_run.evaluation.macro_f1
    assert abs(again.metrics["nll"] - trained_run.evaluation.metrics["nll"]) < 1e-5
    assert sorted(again.confusion) == sorted(trained_run.evaluation.confusion)


def test_plain_transformers_loads_it(trained):
    from transformers import AutoModelForSequenceClassification

    network = AutoModelForSequenceClassification.from_pretrained(trained)
    assert network.config.id2label == {0: "delivery", 1: "payment", 2: "praise"}
    assert network.config.label2id == {"delivery": 0, "payment": 1, "praise": 2}
    assert network.config.problem_type == "single_label_classification"
    # What was left out of training for speed is not left out of the network that others train on.
    assert network.config.attention_probs_dropout_prob == 0.1


def test_plain_pipeline_gives_the_same_labels_and_scores(trained):
    from transformers import pipeline

    told = lines(trained / "predictions.jsonl")
    classify = pipeline("text-classification", str(trained), top_k=None)
    for row, answer in zip(told, classify([row["text"] for row in told]), strict=True):
        assert answer[0]["label"] == row["prediction"]
        assert all(abs(item["score"] - row["scores"][item["label"]]) < 1e-4 for item in answer)


def test_the_same_seed_gives_the_same_predictions_and_another_does_not(trained, tickets, base, tmp_path):
    fitted_on(tmp_path / "same", tickets, base)
    fitted_on(tmp_path / "other", tickets, base, seed=7)
    first, same, other = ((place / "predictions.jsonl").read_text("utf-8") for place in
                          (trained, tmp_path / "same", tmp_path / "other"))  # fmt: skip
    assert same == first
    assert other != first


def test_nothing_is_left_behind_where_training_fails(tickets, base, tmp_path, monkeypatch):

    from classifine.train import fit

    def broken(*args, **kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(fit, "train", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        fitted_on(tmp_path / "runs" / "model", tickets, base)
    assert not (tmp_path / "runs").exists()


def test_a_free_folder_is_found_where_none_is_named(tickets, base, tmp_path, monkeypatch):
    from conftest import settings

    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "tickets").mkdir(parents=True)
    assert str(run.train(settings(tickets, base, epochs=1), None, False, quiet).folder) == "runs/tickets-2"


def test_scores_are_calibrated_and_what_it_did_is_told(trained):
    record = json.loads((trained / "classifine.json").read_text("utf-8"))
    found, evaluation = record["calibration"], json.loads((trained / "evaluation.json").read_text("utf-8"))
    assert found["folded"]
    assert found["temperature"] != 1
    assert record["decision"]["temperature"] == 1
    assert found["after"]["nll"] <= found["before"]["nll"]
    assert evaluation["uncalibrated"].keys() == {"ece", "brier", "nll"}
    assert evaluation["uncalibrated"]["nll"] != evaluation["metrics"]["nll"]["value"]
    assert "The scores are calibrated on validation rows" in (trained / "README.md").read_text("utf-8")


def test_several_seeds_over_one_split_and_the_best_on_validation_stays(tickets, base, tmp_path, monkeypatch):
    said = []
    config = settings(tickets, base, seeds=3, epochs=2, patience=2)
    named = []
    monkeypatch.setattr("classifine.train.track.Tracking.name_part", lambda self, name: named.append(name))
    found = run.train(config, tmp_path / "model", False, said.append)
    seeds = [QUICK["seed"] + i for i in range(3)]
    assert named == list(map(str, seeds))
    record = json.loads((tmp_path / "model" / "classifine.json").read_text("utf-8"))
    runs = record["seeds"]
    assert [one["seed"] for one in runs] == seeds
    best = max(runs, key=lambda one: (one["validation"]["macro_f1"], -one["validation"]["loss"]))
    assert (record["seed"], record["config"]["train"]["seed"]) == (best["seed"], seeds[0])
    assert best["test"]["accuracy"] == found.evaluation.accuracy
    values = [one["test"]["accuracy"] for one in runs]
    told = f"over 3 seeds: accuracy {sum(values) / 3:.4f} ({min(values):.4f} to {max(values):.4f}), macro_f1 "
    assert any(told in line for line in said)
    assert f"O{told[1:]}" in (tmp_path / "model" / "README.md").read_text("utf-8")
    alone = run.train(settings(tickets, base, epochs=2, patience=2), tmp_path / "alone", False, quiet)
    assert alone.evaluation.accuracy == runs[0]["test"]["accuracy"]
    assert "seeds" not in json.loads((tmp_path / "alone" / "classifine.json").read_text("utf-8"))
