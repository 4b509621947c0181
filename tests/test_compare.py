"""Comparisons: chance is seldom taken for a difference, a true one is found, and the sentence says which is better."""

import json

import numpy as np
import pytest

from classifine.decide import Decision
from classifine.report.compare import compare


def answers(draw, truth, accuracy, labels=4):
    """Scores of a classifier that is right with this probability on each row."""
    right = draw.random(len(truth)) < accuracy
    given = np.where(right, truth, (truth + draw.integers(1, labels, len(truth))) % labels)
    return Decision().scores(3.0 * np.eye(labels)[given])


def pair(seed, gap, rows=1000):
    """Two that mostly fail on the same rows, as two of a kind do, the second better by `gap`."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 4, rows)
    first = answers(draw, truth, 0.85)
    other = answers(draw, truth, 0.85 + gap)
    same = draw.random(rows) < 0.5
    return truth, first, np.where(same[:, None] & (gap == 0), first, other)


def compared(seed, gap, rows=1000):
    truth, first, second = pair(seed, gap, rows)
    return compare(truth, first, second, (Decision(), Decision()), ("A", "B"))


def test_chance_is_seldom_taken_for_a_difference():
    found = [compared(seed, 0.0, 400) for seed in range(60)]
    assert sum(one.differences[0].better > 0 for one in found) <= 6
    assert sum(one.differences[1].better > 0 for one in found) <= 8
    assert found[0].verdict.startswith("No difference that 400 rows could show between A and B: accuracy 0.")


def test_a_true_difference_is_found_and_named_both_ways():
    truth, first, second = pair(1, 0.06, 2000)
    found = compare(truth, first, second, (Decision(), Decision()), ("A", "B"))
    assert (found.differences[0].metric, found.differences[0].test) == ("accuracy", "McNemar's test")
    assert found.differences[0].better == 2
    assert found.verdict.startswith("B is better than A on 2000 rows: accuracy 0.9")
    assert found.differences[0].low < found.differences[0].difference < found.differences[0].high
    turned = compare(truth, second, first, (Decision(), Decision()), ("B", "A"))
    # Whichever is named first, the better one's number and what it has more come first; only the resamples differ.
    start = found.verdict.index("accuracy"), found.verdict.index("points")
    assert turned.verdict[: start[1]] == found.verdict[: start[1]]
    assert float(found.verdict[start[0] :].split()[1]) > float(found.verdict[start[0] :].split()[3].rstrip(","))
    assert ", +" in found.verdict[: start[1]]
    assert turned.differences[0].p == found.differences[0].p
    by_name = {one.metric: one for one in found.differences}
    assert by_name["nll"].difference < 0
    assert by_name["nll"].better == 2


def test_mcnemar_by_hand():
    # The second gains 9 rows and loses 1: 2 x (1 + 10) / 2^10.
    truth = np.zeros(30, dtype=int)
    first, second = (np.eye(2)[[0] * 20 + lost] for lost in ([1] * 9 + [0], [0] * 9 + [1]))
    found = compare(truth, first, second, (Decision(), Decision()))
    assert found.differences[0].p == pytest.approx(22 / 1024)


def test_a_single_row_of_each_class_shows_no_difference():
    truth, draw = np.arange(10), np.random.default_rng(0)
    first, second = (Decision().scores(draw.normal(0, 1, (10, 10)) + lift * np.eye(10)) for lift in (2, 3))
    found = compare(truth, first, second, (Decision(), Decision()))
    assert all(one.p > 0.01 for one in found.differences if one.metric in ("accuracy", "macro_f1", "macro_precision"))


def test_one_against_itself():
    truth, first, _ = pair(0, 0.0)
    found = compare(truth, first, first, (Decision(), Decision()), ("A", "A"))
    assert all((one.difference, one.p, one.better) == (0, 1, 0) for one in found.differences)


def test_several_labels_and_numbers():
    draw = np.random.default_rng(0)
    truth = (draw.random((600, 3)) < 0.4).astype(int)
    decision = Decision("multi")
    scores = [decision.scores(draw.normal(0, 1, truth.shape) + sure * (2 * truth - 1)) for sure in (0.6, 1.2)]
    found = compare(truth, *scores, (decision, decision), ("A", "B"))
    assert (found.differences[0].metric, found.differences[0].better) == ("macro_f1", 2)
    numbers = draw.normal(0, 1, 500)
    given = [(numbers + draw.normal(0, noise, 500))[:, None] for noise in (1.0, 0.3)]
    found = compare(numbers, *given, (Decision("score"), Decision("score")), ("A", "B"))
    assert [one.metric for one in found.differences] == ["pearson", "spearman", "mse", "mae"]
    assert {one.better for one in found.differences} == {2}


def test_json_holds_it_all():
    found = json.loads(json.dumps(compared(3, 0.1).as_json()))
    assert found["better"] == 2
    assert found["differences"][0]["metric"] == "accuracy"
    assert found["verdict"].startswith("B is better than A")


def test_two_answers_for_all_rows_are_no_certainty():
    truth = np.repeat([0, 1], [52, 48])
    first, second = (np.tile(scores, (100, 1)) for scores in ([0.8, 0.2], [0.2, 0.8]))
    found = compare(truth, first, second, (Decision(), Decision()), ("A", "B"))
    for one in found.differences:
        assert not one.better, one.metric
        assert one.high - one.low > 0.05 or not one.difference, one.metric
    assert compare(truth, first, first, (Decision(), Decision())).verdict.count("+0.00 to +0.00") == 1


def test_the_sentence_and_the_table_have_one_direction():
    truth, first, second = pair(3, 0.0, 400)
    found = compare(truth, first, second, (Decision(), Decision()), ("A", "B"))
    assert not found.differences[0].better
    points = 100 * found.differences[0].difference
    assert f", {points:+.2f} points" in found.verdict.replace("-0.00", "+0.00")
    assert "second - first" in list(found.lines())[2]
