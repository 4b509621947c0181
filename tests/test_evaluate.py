"""The evaluation: scikit-learn's numbers, simpler methods beside them, and an honest sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from classifine.decide import Decision
from classifine.labels import Labels
from classifine.report.evaluate import Baseline, Evaluation, baselines, evaluate, prediction_lines
from classifine.report.text import evaluation_lines

CHANCE = Baseline("chance", {"accuracy": 0.25, "macro_f1": 0.2})
LABELS = Labels(("a", "b", "c", "d"))


@pytest.fixture
def made():
    """Made-up (logits, truth) of 200 rows, of which most are right and the class d is never true."""
    draw = np.random.default_rng(0)
    truth = draw.integers(0, 3, 200)
    logits = draw.normal(size=(200, 4)).astype(np.float32)
    logits[np.arange(200), truth] += 1.5
    return logits, truth


def test_metrics_are_those_of_scikit_learn(made):
    logits, truth = made
    found = evaluate(logits, truth, LABELS, Decision(temperature=2.0))
    predicted = logits.argmax(axis=1)
    scores = np.exp(logits.astype(float) / 2) / np.exp(logits.astype(float) / 2).sum(axis=1, keepdims=True)
    assert found.rows == 200
    assert 0.4 < found.accuracy < 0.95
    assert found.accuracy == sk.accuracy_score(truth, predicted)
    for average in ("macro", "weighted", "micro"):
        assert found.metrics[f"{average}_f1"] == sk.f1_score(truth, predicted, average=average, zero_division=0)
    assert found.macro_precision == sk.precision_score(truth, predicted, average="macro", zero_division=0)
    assert found.macro_recall == sk.recall_score(truth, predicted, average="macro", zero_division=0)
    assert found.mcc == sk.matthews_corrcoef(truth, predicted)
    assert found.nll == pytest.approx(sk.log_loss(truth, scores, labels=range(4)), abs=1e-9)
    assert found.confusion == tuple(map(tuple, sk.confusion_matrix(truth, predicted, labels=range(4)).tolist()))
    assert [score.label for score in found.classes] == list("abcd")
    assert found.classes[3].support == 0
    assert found.classes[3].predicted == (predicted == 3).sum() > 0
    assert found.classes[0].f1 == sk.f1_score(truth == 0, predicted == 0)


def test_metrics_are_attributes_and_others_are_not(made):
    found = evaluate(*made, LABELS, Decision())
    assert found.macro_f1 == found.metrics["macro_f1"]
    with pytest.raises(AttributeError, match="has no 'f1'; its metrics are accuracy"):
        _ = found.f1


def test_the_evaluation_is_plain_json(made):
    found = evaluate(*made, LABELS, Decision(), [CHANCE])
    content = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert {name: metric["value"] for name, metric in content["metrics"].items()} == found.metrics
    assert all(metric["low"] <= metric["value"] <= metric["high"] for metric in content["metrics"].values())
    assert content["baselines"] == [{"name": "chance", "accuracy": 0.25, "macro_f1": 0.2}]
    assert content["labels"] == list("abcd")
    assert sum(map(sum, content["confusion"])) == 200


def judged(accuracy, *others):
    simpler = tuple(Baseline(name, {"accuracy": value}) for name, value in others)
    return Evaluation("single", 10, {"accuracy": accuracy}, (), (), simpler)


def test_the_verdict():
    assert judged(0.9, ("A", 0.3), ("B", 0.8)).verdict == "The network beats B: accuracy 0.900 against 0.800."
    assert judged(0.9).verdict == "Accuracy 0.900 on 10 rows."


@pytest.mark.parametrize("accuracy", [0.7, 0.8])
def test_the_verdict_where_the_network_loses_or_only_draws_level(accuracy):
    verdict = judged(accuracy, ("A", 0.3), ("B", 0.8)).verdict
    assert verdict.startswith(f"The network does not beat B: accuracy {accuracy:.3f} against 0.800.")
    assert "Use the simpler method" in verdict


def test_baselines_are_fitted_on_train_and_judged_on_the_rows():
    train = ["red apple", "green apple", "red cherry", "loud drum", "soft drum"]
    labels = [0, 0, 0, 1, 1]
    majority, words = baselines(
        train, np.array(labels), ["apple", "drum", "cherry", "drum drum"], np.array([0, 1, 0, 1]), "single"
    )
    assert majority.name == "the majority guess"
    assert majority.metrics == pytest.approx({"accuracy": 0.5, "macro_f1": 1 / 3})
    assert words.name == "TF-IDF with logistic regression"
    assert words.metrics == {"accuracy": 1.0, "macro_f1": 1.0}


def test_of_very_many_rows_a_sample_is_fitted(monkeypatch):
    monkeypatch.setattr("classifine.report.evaluate.MOST_FITTED", 40)
    train, truth = ["red apple", "loud drum"] * 50, np.array([0, 1] * 50)
    _, words = baselines(train, truth, ["apple", "drum"], np.array([0, 1]), "single")
    assert words.name == "TF-IDF with logistic regression on 40 train rows"
    assert words.metrics == {"accuracy": 1.0, "macro_f1": 1.0}


def test_baselines_of_texts_without_words():
    majority, words = baselines(["!", "?", "."], np.array([1, 1, 0]), ["!", "?"], np.array([1, 0]), "single")
    assert majority.metrics["accuracy"] == words.metrics["accuracy"] == 0.5


def test_predictions_come_worst_first():
    labels = Labels(("no", "yes"))
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    lines = prediction_lines([1, 2, 3, 4], ["é", "b", "c", "d"], np.array([0, 0, 1, 0]), scores, labels, Decision())
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == [2, 3, 4, 1]
    assert rows[0] == {
        "id": 2, "text": "b", "truth": "no", "prediction": "yes", "correct": False, "scores": {"no": 0.2, "yes": 0.8},
    }  # fmt: skip
    assert rows[-1]["text"] == "é"
    assert [row["correct"] for row in rows] == [False, False, True, True]


def test_the_words_for_people(made):
    found = evaluate(*made, LABELS, Decision(), [CHANCE])
    text = "\n".join(evaluation_lines(found))
    assert f"200 rows: accuracy {found.accuracy:.4f}, macro_f1 {found.macro_f1:.4f}" in text
    assert "beside chance: accuracy 0.2500" in text
    assert found.verdict in text
    assert "confusion" in text


def test_the_confusion_of_many_classes_is_left_to_the_file():
    labels = Labels(tuple(f"class {i}" for i in range(13)))
    found = evaluate(np.eye(13), np.arange(13), labels, Decision())
    text = "\n".join(evaluation_lines(found))
    assert "confusion" not in text
    assert "class 12" in text


def test_baselines_of_several_labels():
    train = ["red apple", "green apple", "loud drum", "loud apple", "soft drum"]
    # The third label is on every row, the fourth on none.
    truth = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0]], dtype=np.float32)
    guess, words = baselines(train, truth, ["apple", "loud loud", "soft drum"], truth[[0, 2, 4]], "multi")
    assert guess.name == "the same labels for all"
    # Every row gets the first and the third: 4 of its 6 are true, and 4 of 5 that are true are given.
    assert guess.metrics["micro_f1"] == pytest.approx(2 * 4 / (6 + 5))
    assert words.metrics["micro_f1"] > guess.metrics["micro_f1"]


def test_baselines_of_a_number():
    train = [f"{word} {other}" for word in ("bad", "good") for other in ("a", "b", "c", "d", "e")]
    guess, words = baselines(train, np.repeat([1.0, 5.0], 5), ["bad x", "good y"], np.array([1.0, 5.0]), "score")
    assert (guess.name, guess.metrics["pearson"]) == ("the mean", 0.0)
    assert words.metrics["pearson"] == pytest.approx(1.0)


SEVERAL = Labels(("a", "b", "c"), task="multi")


def test_evaluation_of_several_labels():
    truth = np.array([[1, 0, 0], [1, 1, 0]], dtype=np.float32)
    logits = np.array([[2.0, -2.0, -2.0], [2.0, -0.5, -2.0]])
    found = evaluate(logits, truth, SEVERAL, Decision("multi", thresholds=(0.5, 0.2, 0.5)), baselines=[])
    assert (found.micro_f1, found.micro_f1_at_half) == (1.0, pytest.approx(2 * 2 / (2 + 3)))
    assert found.confusion == ()
    assert [(one.label, one.support, one.predicted) for one in found.classes] == [("a", 2, 2), ("b", 1, 1), ("c", 0, 0)]
    text = "\n".join(evaluation_lines(found))
    assert "at the fixed threshold 0.5: macro_f1_at_half" in text
    assert "confusion" not in text
    assert found.verdict.startswith("Macro f1 0.667 on 2 rows")


def test_evaluation_of_a_number():
    found = evaluate(
        np.array([[1.0], [2.0], [4.0]]), np.array([1.0, 2.0, 3.0]), Labels(("score",), task="score"), Decision("score")
    )
    assert found.mae == pytest.approx(1 / 3)
    assert "\n".join(evaluation_lines(found)).startswith("3 rows: pearson 0.98")
    json.dumps(found.as_json(), allow_nan=False)


def test_predictions_of_several_labels_come_worst_first():
    scores = np.array([[0.9, 0.1, 0.1], [0.6, 0.7, 0.1]])
    truth = np.array([[1, 0, 0], [0, 1, 0]])
    lines = prediction_lines([1, 2], [("x", "y"), ("z", "w")], truth, scores, SEVERAL, Decision("multi"))
    rows = [json.loads(line) for line in lines]
    assert rows[0] == {
        "id": 2, "text": "z", "text_pair": "w", "truth": ["b"], "prediction": ["a", "b"], "correct": False,
        "scores": {"a": 0.6, "b": 0.7, "c": 0.1},
    }  # fmt: skip
    assert rows[1]["correct"]


def test_predictions_of_a_number_come_worst_first():
    lines = prediction_lines(
        [1, 2],
        ["x", "y"],
        np.array([1.0, 2.0]),
        np.array([[1.25], [4.0]]),
        Labels(("s",), task="score"),
        Decision("score"),
    )
    assert [json.loads(line) for line in lines] == [
        {"id": 2, "text": "y", "truth": 2.0, "prediction": 4.0},
        {"id": 1, "text": "x", "truth": 1.0, "prediction": 1.25},
    ]


def test_the_verdict_says_where_rows_are_too_few():
    found = replace(judged(0.9, ("A", 0.3), ("B", 0.8)), intervals={"accuracy": (0.75, 0.95)})
    assert found.verdict == (
        "The network beats B: accuracy 0.900 against 0.800; 10 rows are too few to be sure (95 %: 0.750 to 0.950)."
    )
    sure = replace(found, intervals={"accuracy": (0.85, 0.95)})
    assert sure.verdict == "The network beats B: accuracy 0.900 against 0.800."


def test_the_verdict_tells_where_another_headline_says_otherwise():
    simpler = (
        Baseline("TF-IDF", {"macro_f1": 0.02, "micro_f1": 0.2}),
        Baseline("the same labels for all", {"macro_f1": 0.01, "micro_f1": 0.27}),
    )
    found = Evaluation("multi", 500, {"macro_f1": 0.08, "micro_f1": 0.1}, (), (), simpler)
    assert found.verdict == (
        "The network beats TF-IDF: macro f1 0.080 against 0.020. But by micro f1 the same labels for all is better: "
        "0.270 against 0.100."
    )


def test_the_verdict_does_not_part_what_reads_alike_and_knows_doubt():
    def verdict(other, **more):
        simpler = (Baseline("A", {"accuracy": 0.5, "macro_f1": other}),)
        return Evaluation(
            "single", 40, {"accuracy": 0.9, "macro_f1": 0.9001}, (), (), simpler,
            **more,
        ).verdict  # fmt: skip

    first = "accuracy" if "accuracy 0.900" in verdict(0.9004) else "macro f1"
    assert "But by" not in verdict(0.9004)
    if first == "accuracy":
        doubtful = verdict(0.95, intervals={"macro_f1": (0.8, 0.96)})
        assert doubtful.endswith("0.950 against 0.900; 40 rows are too few to be sure.")
