"""Every task from a file to answers: several labels, pairs of texts and numbers, the same way as one label."""

import csv
import json
import random
from dataclasses import replace

import numpy as np
import pytest
from conftest import TOPICS, fitted_on, made_up

from classifine import TextClassifier, run, use
from classifine.config import Data
from classifine.decide import Decision
from classifine.errors import ClassifineError, DataError
from classifine.infer.files import PredictOptions
from classifine.infer.predict import Answer, Judged, Wanted
from classifine.labels import Labels
from classifine.model.folder import load


def records(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def several(rows=160):
    """Texts with words of no, one or two topics, and those topics as labels."""
    draw, found = random.Random(3), {}
    while len(found) < rows:
        labels = sorted(draw.sample(list(TOPICS), draw.choice((1, 1, 2))))
        words = [word for label in labels for word in draw.sample(TOPICS[label].split(), 3)]
        found.setdefault(" ".join(words), labels)
    return [{"text": text, "topics": labels} for text, labels in found.items()]


def pairs(rows=160):
    """Two texts, and whether they are of one topic."""
    draw, texts = random.Random(4), made_up(rows)
    chosen = [(text, label, *draw.choice(texts)) for text, label in texts]
    return [
        {"sentence1": one, "sentence2": other, "label": "same" if first == second else "other"}
        for one, first, other, second in chosen
    ]


def numbers(rows=160):
    """Texts, and how many of their words are of the first topic, in halves."""
    return [{"text": row["text"], "score": 0.5 * sum(word in next(iter(TOPICS.values())) for word in row["text"].split())}
            for row in several(rows)]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, base):
    """A classifier of each task: {name: (Run, file of its data)}."""
    place = tmp_path_factory.mktemp("tasks")
    found = {}
    for name, rows in (("multi", several()), ("pair", pairs()), ("score", numbers())):
        file = records(place / f"{name}.jsonl", rows)
        found[name] = (fitted_on(place / name, file, base, epochs=8), file)
    return found


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def predicted(folder, source, target, data=None, **wanted):
    options = PredictOptions(Wanted(**wanted), data=data or Data())
    use.predict(folder, str(source), target, options, None, lambda line: None)
    return (
        lines(target)
        if target.suffix == ".jsonl"
        else list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    )


@pytest.mark.parametrize("name", ["multi", "score"])
def test_it_learned(made, name):
    found = made[name][0].evaluation
    guess = found.baselines[0]
    key = next(iter(guess.metrics))
    assert found.metrics[key] > guess.metrics[key] + 0.1


@pytest.mark.parametrize(
    ("name", "problem", "labels"),
    [
        ("multi", "multi_label_classification", sorted(TOPICS)),
        ("pair", "single_label_classification", ["other", "same"]),
        ("score", "regression", ["score"]),
    ],
)
def test_plain_transformers_agrees(made, name, problem, labels):
    from transformers import pipeline

    folder = made[name][0].folder
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["problem_type"], sorted(config["label2id"])) == (problem, labels)
    classify = pipeline("text-classification", str(folder), top_k=None)
    rows = lines(folder / "predictions.jsonl")
    for row in rows:
        asked = {"text": row["text"], "text_pair": row["text_pair"]} if name == "pair" else row["text"]
        answer = classify([asked])[0]
        scores = {item["label"]: item["score"] for item in answer}
        told = row["scores"] if name != "score" else {"score": row["prediction"]}
        assert scores == pytest.approx(told, abs=1e-4)


def test_thresholds_are_in_the_record_and_used(made):
    folder = made["multi"][0].folder
    record = json.loads((folder / "classifine.json").read_text(encoding="utf-8"))
    thresholds = dict(zip(record["labels"], record["decision"]["thresholds"], strict=True))
    assert len(thresholds) == 3
    for row in lines(folder / "predictions.jsonl"):
        given = [name for name, score in row["scores"].items() if score >= thresholds[name]]
        assert row["prediction"] == given


def test_evaluate_and_predict_give_what_the_run_gave(made, tmp_path):
    for name, text in (("multi", "text"), ("pair", "sentence1"), ("score", "text")):
        ended, _ = made[name]
        told = lines(ended.folder / "predictions.jsonl")
        column = {"multi": "topics", "pair": "label", "score": "score"}[name]
        rows = [
            {text: row["text"], **({"sentence2": row["text_pair"]} if name == "pair" else {}), column: row["truth"]}
            for row in told
        ]
        file = records(tmp_path / f"{name}.jsonl", rows)
        again = use.evaluate_saved(ended.folder, Data(source=str(file)), "torch", "float32", lambda line: None)
        assert again.metrics == pytest.approx(ended.evaluation.metrics, abs=1e-5)
        answers = predicted(ended.folder, file, tmp_path / f"{name}-out.jsonl")
        key = {"multi": "labels", "pair": "predicted_label", "score": "predicted_score"}[name]
        for row, answer in zip(told, answers, strict=True):
            assert answer[key] == (pytest.approx(row["prediction"], abs=1e-5) if name == "score" else row["prediction"])


def test_several_labels_in_a_table_can_be_read_again(made, tmp_path, base):
    folder, file = made["multi"][0].folder, made["multi"][1]
    rows = predicted(folder, file, tmp_path / "out.csv", all_scores=True)
    assert any("|" in row["labels"] for row in rows)
    assert {"score:delivery", "score:payment", "score:praise"} <= set(rows[0])
    again = run.check(build_data(tmp_path / "out.csv", base, label="labels"))
    assert again.summary["task"] == "multi"
    assert sorted(again.summary["splits"]["train"]["classes"]) == sorted(TOPICS)


def build_data(source, base, **data):
    from classifine.config import build

    return build({"data": {"source": str(source), **data}, "model": {"base": str(base)}})


def test_top_k_of_the_only_one_of_several_labels(made):
    saved = load(made["multi"][0].folder)
    one = replace(
        saved,
        labels=Labels(("urgent",), task="multi"),
        record={**saved.record, "decision": Decision("multi").as_json()},
    )
    answer = Answer(one, ["text"], Wanted(top_k=2))
    judged = Judged(np.array([0.8]), 1.0, False)
    row = answer.row({"text": "x"}, answer.values(judged))
    assert row == {"text": "x", "labels": ["urgent"], "label": "urgent", "score": 0.8}


def test_top_k_of_several_labels(made, tmp_path):
    rows = predicted(made["multi"][0].folder, made["multi"][1], tmp_path / "out.jsonl", top_k=2)
    assert {"labels", "label", "score", "label_2", "score_2"} <= set(rows[0])
    assert all(row["score"] >= row["score_2"] for row in rows)


def test_a_pair_needs_both_texts(made, tmp_path):
    folder = made["pair"][0].folder
    with pytest.raises(DataError, match=r"no column 'sentence2'; the classifier judges pairs .* --text-pair"):
        predicted(folder, records(tmp_path / "a.jsonl", [{"sentence1": "x y", "other": "z"}]), tmp_path / "out.jsonl")
    file = records(tmp_path / "b.jsonl", [{"sentence1": "x", "sentence2": None}, {"sentence1": "x", "sentence2": "y"}])
    assert [row["label"] is None for row in predicted(folder, file, tmp_path / "out.jsonl")] == [True, False]


def test_a_second_text_for_a_classifier_of_single_ones(made, tmp_path):
    with pytest.raises(DataError, match=r"judges single texts\. Drop --text-pair"):
        predicted(
            made["score"][0].folder, records(tmp_path / "a.jsonl", [{"text": "x", "b": "y"}]), tmp_path / "out.jsonl",
            data=Data(text_pair="b"),
        )  # fmt: skip


def test_a_column_for_each_label(tmp_path, base):
    names = sorted(TOPICS)
    rows = [{"text": row["text"], **{name: int(name in row["topics"]) for name in names}} for row in several(80)]
    ended = fitted_on(tmp_path / "model", records(tmp_path / "a.jsonl", rows), base, epochs=2)
    assert ended.evaluation.task == "multi"
    assert list(ended.evaluation.labels) == names


def test_from_python(base):
    settings = {"base": str(base), "epochs": 2, "batch_size": 8, "max_length": 32}
    rows = several(60)
    multi = TextClassifier(**settings).fit([row["text"] for row in rows], [set(row["topics"]) for row in rows])
    answers = multi.predict([row["text"] for row in rows[:3]])
    assert all(isinstance(answer, tuple) and set(answer) <= set(TOPICS) for answer in answers)
    assert multi.predict_proba(["a parcel"]).shape == (1, 3)
    assert 0 <= multi.evaluate([row["text"] for row in rows], [row["topics"] for row in rows]).macro_f1 <= 1

    texts = [(row["sentence1"], row["sentence2"]) for row in pairs(60)]
    pair = TextClassifier(**settings).fit(texts, [row["label"] for row in pairs(60)])
    assert set(pair.predict(texts)) <= {"same", "other"}
    with pytest.raises(DataError, match="Text 1 of 1 is 'alone'; expected a pair of texts"):
        pair.predict(["alone"])

    score = TextClassifier(**settings).fit([row["text"] for row in rows], np.linspace(0.5, 4.1, 60))
    assert score.predict(["a parcel", "a refund"]).dtype == np.float64
    with pytest.raises(ClassifineError, match="numbers, which have no probability"):
        score.predict_proba(["a parcel"])


def test_the_metric_must_be_one_of_the_task(tmp_path, base):
    with pytest.raises(ClassifineError, match=r"--metric is pearson, which this task \(multi\) does not have"):
        fitted_on(tmp_path / "model", records(tmp_path / "a.jsonl", several(60)), base, metric="pearson")
    assert not (tmp_path / "model").exists()


def test_a_label_that_holds_or_does_not(tmp_path, base):
    rows = [{"text": text, "labels": ["spam"] if i % 2 else []} for i, (text, _) in enumerate(made_up(60))]
    ended = fitted_on(tmp_path / "model", records(tmp_path / "a.jsonl", rows), base, epochs=1)
    assert (ended.evaluation.task, ended.evaluation.labels) == ("multi", ("spam",))
    (score,) = ended.evaluation.classes
    assert score.support == 3
    assert ended.evaluation.macro_f1 == ended.evaluation.micro_f1 == score.f1


@pytest.fixture(scope="module")
def flagged(tmp_path_factory, base):
    """A classifier trained on a column for each label."""
    place = tmp_path_factory.mktemp("flagged")
    rows = [{"text": row["text"], **{name: int(name in row["topics"]) for name in TOPICS}} for row in several(80)]
    return fitted_on(place / "model", records(place / "a.jsonl", rows), base, epochs=1).folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delivery": "yes"}, r"has other values than 0 and 1 in 'delivery'"),
        ({"delivery": ...}, r"has no column 'delivery', a label of the classifier"),
    ],
)
def test_columns_of_labels_that_are_odd_or_absent(flagged, tmp_path, change, words):
    rows = [{"text": row["text"], **dict.fromkeys(TOPICS, 0), **change} for row in several(4)]
    rows = [{name: value for name, value in row.items() if value is not ...} for row in rows]
    with pytest.raises(DataError, match=words):
        use.evaluate_saved(
            flagged, Data(source=str(records(tmp_path / "a.jsonl", rows))), "torch", "float32", lambda line: None
        )


def test_rows_without_any_mark_are_not_judged(flagged, tmp_path):
    rows = [{"text": row["text"], **dict.fromkeys(TOPICS, 1 if i % 2 else None)} for i, row in enumerate(several(8))]
    found = use.evaluate_saved(
        flagged, Data(source=str(records(tmp_path / "a.jsonl", rows))), "torch", "float32", lambda line: None
    )
    assert found.rows == 4


def test_a_label_without_rows_is_said(tmp_path, base):
    rows = [
        {"text": row["text"], **{name: int(name in row["topics"]) for name in TOPICS}, "never": 0}
        for row in several(60)
    ]
    report = run.check(build_data(records(tmp_path / "a.jsonl", rows), base))
    assert "No row of" in next(str(fault) for fault in report.faults if fault.kind == "label-without-rows")


def test_pairs_of_which_half_is_missing_everywhere(made, tmp_path):
    rows = [{"sentence1": row["sentence1"], "sentence2": "", "label": row["label"]} for row in pairs(6)]
    with pytest.raises(DataError, match="has no row with a text and a label"):
        use.evaluate_saved(
            made["pair"][0].folder,
            Data(source=str(records(tmp_path / "a.jsonl", rows))),
            "torch",
            "float32",
            lambda line: None,
        )


def test_the_second_column_is_never_the_first(made, tmp_path):
    file = records(tmp_path / "a.jsonl", [{"query": "a parcel", "question": "a refund"}])
    rows = predicted(made["pair"][0].folder, file, tmp_path / "out.jsonl", data=Data(text_pair="question"))
    assert rows[0]["label"] in ("same", "other")
    with pytest.raises(DataError, match="'query' is both --text and --text-pair"):
        predicted(made["pair"][0].folder, file, tmp_path / "out.jsonl", data=Data(text="query", text_pair="query"))


def test_mistakes_from_python(base):
    settings = {"base": str(base), "epochs": 1, "batch_size": 8, "max_length": 32}
    texts, both = [row["text"] for row in several(40)], [(row["sentence1"], row["sentence2"]) for row in pairs(40)]
    with pytest.raises(DataError, match="Got a matrix of labels; expected the names"):
        TextClassifier(**settings).fit(texts, np.eye(40, 3))
    with pytest.raises(DataError, match="The validation texts are single texts, and those to fit pairs of texts"):
        TextClassifier(**settings).fit(both, ["a", "b"] * 20, validation=(texts[:4], ["a", "b"] * 2))
    with pytest.raises(DataError, match="expected names"):
        TextClassifier(**settings).fit(texts, [[{"name": "a"}], ["b"]] * 20)
    arrays = [np.array(row["topics"], dtype=object) for row in several(40)]
    multi = TextClassifier(**settings).fit(texts, arrays)
    assert multi.classes_.tolist() == sorted(TOPICS)
    with pytest.raises(DataError, match="Row 2 of 2 has no label"):
        multi.evaluate(texts[:2], [["delivery"], None])
    parted = TextClassifier(label_separator=";", task="multi", **settings).fit(texts, ["a;b", "b"] * 20)
    assert parted.classes_.tolist() == ["a", "b"]
