"""The numbers, worked out by hand."""

import numpy as np
import pytest

from classifine.decide import Decision
from classifine.metrics import (
    HEADLINE,
    as_rows,
    binary_likelihood,
    confusion,
    judge,
    multi_label,
    negative_log_likelihood,
    per_class,
    ranking_precision,
    regression,
    single_label,
)  # fmt: skip

# Class 0: 3 true, 2 found and 1 of class 1 taken for it. Class 1: 2 true, 1 found. Class 2: 1 true, never answered.
TRUTH = np.array([0, 0, 0, 1, 1, 2])
ANSWER = np.array([0, 0, 1, 1, 0, 1])
EXPECTED = {
    "accuracy": 3 / 6,
    "macro_precision": (2 / 3 + 1 / 3 + 0) / 3,
    "macro_recall": (2 / 3 + 1 / 2 + 0) / 3,
    "macro_f1": (2 / 3 + 2 / 5 + 0) / 3,
    "weighted_precision": (3 * 2 / 3 + 2 * 1 / 3) / 6,
    "weighted_recall": 3 / 6,
    "weighted_f1": (3 * 2 / 3 + 2 * 2 / 5) / 6,
    "micro_precision": 3 / 6,
    "micro_recall": 3 / 6,
    "micro_f1": 3 / 6,
}


def test_single_label_by_hand():
    found = single_label(TRUTH, ANSWER)
    assert set(found) == {*EXPECTED, "mcc"}
    for name, value in EXPECTED.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    # Gorodkin's formula: (c s - sum t p) / sqrt((s^2 - sum p^2) (s^2 - sum t^2))
    assert found["mcc"] == pytest.approx((3 * 6 - (3 * 3 + 2 * 3)) / np.sqrt((36 - 18) * (36 - 14)), abs=1e-12)
    assert all(type(value) is float for value in found.values())


def test_names_are_the_same_for_two_classes():
    found = single_label(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]))
    assert set(found) == {*EXPECTED, "mcc"}
    assert found["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["mcc"] == pytest.approx(2 / np.sqrt(2 * 3 * 1 * 2))


@pytest.mark.parametrize(("answer", "accuracy", "mcc"), [([0, 1, 2], 1.0, 1.0), ([1, 2, 0], 0.0, -0.5)])
def test_best_and_worst(answer, accuracy, mcc):
    found = single_label(np.array([0, 1, 2]), np.array(answer))
    assert found["accuracy"] == found["macro_f1"] == accuracy
    assert found["mcc"] == pytest.approx(mcc)


def test_where_nothing_varies_mcc_is_zero_and_nobody_is_warned():
    found = single_label(np.array([1, 1, 1]), np.array([1, 1, 1]))
    assert found["accuracy"] == 1.0
    assert found["mcc"] == 0.0


def test_negative_log_likelihood_is_in_nats():
    scores = np.array([[0.5, 0.5], [0.1, 0.9]])
    assert negative_log_likelihood(np.array([0, 1]), scores) == pytest.approx((np.log(2) - np.log(0.9)) / 2)


def test_a_score_of_zero_costs_much_but_not_everything():
    assert negative_log_likelihood(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-np.log(1e-12))


def test_per_class_in_label_order():
    first, second, third, absent = per_class(TRUTH, ANSWER, ["a", "b", "c", "d"])
    assert (first.label, first.precision, first.recall, first.f1) == ("a", 2 / 3, 2 / 3, pytest.approx(2 / 3))
    assert (first.support, first.predicted) == (3, 3)
    assert (second.precision, second.recall, second.support, second.predicted) == (1 / 3, 1 / 2, 2, 3)
    assert (third.precision, third.recall, third.f1, third.support, third.predicted) == (0, 0, 0, 1, 0)
    assert (absent.label, absent.f1, absent.support, absent.predicted) == ("d", 0, 0, 0)


def test_confusion_has_true_classes_in_rows():
    assert confusion(TRUTH, ANSWER, 3).tolist() == [[2, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert confusion(np.array([0]), np.array([0]), 3).tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_rows_are_plain_values():
    assert as_rows(per_class(np.array([0, 1]), np.array([0, 0]), ["a", "b"])) == [
        {"label": "a", "precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1, "predicted": 2},
        {"label": "b", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1, "predicted": 0},
    ]


# Label 0: true in rows 0 and 1, given in 0 and 2. Label 1: true in 1, given in 1. Label 2: true in 2, never given.
SEVERAL = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=np.float32)
GIVEN = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], dtype=bool)


def test_multi_label_by_hand():
    found = multi_label(SEVERAL, GIVEN)
    assert found["macro_f1"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert found["micro_f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert found["weighted_f1"] == pytest.approx((2 * 1 / 2 + 1 * 1 + 1 * 0) / 4)
    assert found["sample_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert found["subset_accuracy"] == pytest.approx(1 / 3)
    assert (found["macro_precision"], found["macro_recall"]) == pytest.approx(((1 / 2 + 1) / 3, (1 / 2 + 1) / 3))


def test_ranking_precision_by_hand():
    scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.9, 0.4], [0.9, 0.5, 0.1]])
    # Row 0: its label is first. Row 1: first and third. Row 2: third.
    assert ranking_precision(SEVERAL, scores) == pytest.approx((1 + (1 + 2 / 3) / 2 + 1 / 3) / 3)


def test_binary_likelihood_by_hand():
    scores = np.array([[0.8, 0.1]])
    assert binary_likelihood(np.array([[1.0, 0.0]]), scores) == pytest.approx(-(np.log(0.8) + np.log(0.9)) / 2)


def test_regression_by_hand():
    found = regression(np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0, 3.0]))
    assert found["mse"] == pytest.approx(1.0)
    assert found["mae"] == pytest.approx(1.0)
    assert found["pearson"] == pytest.approx(np.corrcoef([1, 2, 4], [2, 3, 3])[0, 1])
    assert found["spearman"] == pytest.approx(np.corrcoef([1, 2, 3], [1, 2.5, 2.5])[0, 1])


def test_a_constant_answer_correlates_with_nothing():
    found = regression(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert (found["pearson"], found["spearman"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("task", "truth", "logits"),
    [
        ("single", np.array([0, 1, 2]), np.eye(3)),
        ("multi", SEVERAL, np.eye(3)),
        ("score", np.array([1.0, 2.0, 4.0]), np.array([[1.0], [2.0], [3.0]])),
    ],
)
def test_every_task_has_its_headline(task, truth, logits):
    decision = Decision(task)
    found = judge(truth, decision.scores(logits), decision)
    assert set(HEADLINE[task]) <= set(found)
    assert all(type(value) is float for value in found.values())


def test_the_fixed_threshold_is_told_beside_the_fitted_ones():
    decision = Decision("multi", thresholds=(0.9, 0.9, 0.9))
    found = judge(SEVERAL, SEVERAL * 0.6 + 0.1, decision)
    assert (found["macro_f1"], found["macro_f1_at_half"]) == (0.0, 1.0)


def test_classes_of_several_labels():
    found = per_class(SEVERAL, GIVEN, ("a", "b", "c"))
    assert [(one.support, one.predicted, one.f1) for one in found] == [(2, 2, 0.5), (1, 1, 1.0), (1, 0, 0.0)]
