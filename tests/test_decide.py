"""Logits to scores to labels."""

import numpy as np
import pytest

from classifine.decide import Decision

LOGITS = np.array([[0.0, np.log(3.0)], [np.log(4.0), 0.0]], dtype=np.float32)


def test_scores_are_a_softmax_in_double_precision():
    scores = Decision().scores(LOGITS)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, [[0.25, 0.75], [0.8, 0.2]], rtol=1e-6)


def test_temperature_divides_the_logits():
    scores = Decision(temperature=2.0).scores(LOGITS)
    root = np.sqrt(3.0)
    np.testing.assert_allclose(scores[0], [1 / (1 + root), root / (1 + root)], rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 20.0])
def test_temperature_never_changes_the_winner(temperature):
    logits = np.random.default_rng(0).normal(size=(200, 7))
    decision = Decision(temperature=temperature)
    scores = decision.scores(logits)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(decision.choose(scores), logits.argmax(axis=1))


def test_a_higher_temperature_is_more_modest():
    best = [Decision(temperature=temperature).scores(LOGITS).max() for temperature in (0.5, 1.0, 2.0)]
    assert best[0] > best[1] > best[2] > 0.5


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits_neither_overflow_nor_warn(size):
    scores = Decision().scores(np.array([[size, 0.0]]))
    np.testing.assert_array_equal(scores, [[1.0, 0.0] if size > 0 else [0.0, 1.0]])


def test_a_row_is_scored_alike_alone_and_among_others():
    logits = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
    together = Decision(1.7).scores(logits)
    alone = np.vstack([Decision(1.7).scores(row[None]) for row in logits])
    np.testing.assert_array_equal(together, alone)


def test_logits_are_not_changed():
    before = LOGITS.copy()
    Decision(3.0).scores(LOGITS)
    np.testing.assert_array_equal(LOGITS, before)


def test_of_equal_scores_the_first_label_wins():
    scores = np.array([[0.4, 0.4, 0.2], [0.2, 0.4, 0.4]])
    assert Decision().choose(scores).tolist() == [0, 1]
    assert Decision().ranked(scores, 2).tolist() == [[0, 1], [1, 2]]


def test_ties_stay_in_label_order_among_many_labels():
    assert Decision().ranked(np.full((1, 100), 0.01), 100).tolist() == [list(range(100))]


def test_ranked_is_best_first_and_begins_with_the_choice():
    scores = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    assert Decision().ranked(scores, 3).tolist() == [[2, 1, 0], [0, 1, 2]]
    assert Decision().ranked(scores, 1)[:, 0].tolist() == Decision().choose(scores).tolist()
    assert Decision().ranked(scores[0], 2).tolist() == [2, 1]


def test_no_rows_are_no_rows():
    none = Decision().scores(np.empty((0, 3), dtype=np.float32))
    assert none.shape == (0, 3)
    assert Decision().choose(none).shape == (0,)


def test_several_labels_have_shares_of_their_own():
    decision = Decision("multi", thresholds=(0.5, 0.8))
    scores = decision.scores(LOGITS)
    np.testing.assert_allclose(scores, [[0.5, 0.75], [0.8, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(decision.choose(scores), [[True, False], [True, False]])
    np.testing.assert_array_equal(Decision("multi").choose(scores), [[True, True], [True, True]])


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_huge_logits_of_several_labels_neither_overflow_nor_warn(size):
    np.testing.assert_array_equal(Decision("multi").scores(np.array([[size, 0.0]])), [[float(size > 0), 0.5]])


def test_a_number_is_left_as_it_is():
    decision = Decision("score", temperature=3.0)
    scores = decision.scores(np.array([[1.5], [-2.0]]))
    np.testing.assert_array_equal(decision.choose(scores), [1.5, -2.0])


def expected_f1(scores, truth, threshold):
    given = scores >= threshold
    return 2 * truth[given].sum() / max(given.sum() + truth.sum(), 1)


def drawn_truth(rows, share, seed):
    """Logits (rows, 1) that are calibrated by construction, and truth (rows, 1) drawn by their scores."""
    draw = np.random.default_rng(seed)
    logits = np.round(draw.normal(np.log(share / (1 - share)), 2, size=(rows, 1)), 1)
    return logits, draw.random((rows, 1)) < 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_of_labels_with_many_rows_have_the_best_f1_of_these_rows(seed):
    # Rounded, so that equal scores occur, which no threshold can part.
    logits, true = drawn_truth(40_000, 0.3, seed)
    decision = Decision("multi").fit(logits, true.astype(np.float32))
    scores = decision.scores(logits)[:, 0]
    best = max(expected_f1(scores, true[:, 0], threshold) for threshold in np.unique(scores))
    assert expected_f1(scores, true[:, 0], decision.thresholds[0]) == pytest.approx(best, abs=1e-3)


def test_thresholds_of_labels_with_few_rows_follow_the_scores_more_than_chance():
    kept, best_of_few = [], []
    whole, truth = drawn_truth(20_000, 0.01, 0)
    for seed in range(40):
        logits, true = drawn_truth(300, 0.01, seed + 1)
        if not true.any():
            continue
        decision = Decision("multi").fit(logits, true.astype(np.float32))
        scores = decision.scores(logits)[:, 0]
        chance = max(np.unique(scores), key=lambda one, s=scores, t=true: expected_f1(s, t[:, 0], one))
        for found, threshold in ((kept, decision.thresholds[0]), (best_of_few, chance)):
            found.append(expected_f1(decision.scores(whole)[:, 0], truth[:, 0], threshold))
    assert np.mean(kept) > np.mean(best_of_few) + 0.01


@pytest.mark.parametrize("shift", [-2.0, 3.0])
def test_thresholds_stand_scores_that_are_all_too_low_or_too_high(shift):
    logits, true = drawn_truth(5000, 0.02, 3)
    plain, moved = (Decision("multi").fit(logits + by, true.astype(np.float32)) for by in (0.0, shift))
    f1 = [
        expected_f1(one.scores(logits + by)[:, 0], true[:, 0], one.thresholds[0])
        for one, by in ((plain, 0.0), (moved, shift))
    ]
    assert f1[1] == pytest.approx(f1[0], abs=0.05)


def test_no_label_is_given_that_is_hardly_likely():
    logits = np.linspace(-9, -1.5, 300)[:, None]
    decision = Decision("multi").fit(logits, np.arange(300)[:, None] == 150)
    # One row in three hundred has it, and the scores add up to eight such rows: a score of 0.22 is one of a tenth.
    assert decision.thresholds[0] > 0.2


def test_scores_that_are_far_too_high_leave_the_threshold_where_it_is_best(monkeypatch):
    # As of class weights: fifty times too high, a tenth of them would be above any score.
    logits, true = drawn_truth(1000, 0.02, 5)
    found = Decision("multi").fit(logits + np.log(50), true.astype(np.float32)).thresholds
    monkeypatch.setattr("classifine.decide.LEAST_LIKELY", 0.0)
    assert found == Decision("multi").fit(logits + np.log(50), true.astype(np.float32)).thresholds
    assert found[0] > 0.5


def test_thresholds_where_nothing_is_true():
    assert Decision("multi").fit(np.zeros((9, 2)), np.zeros((9, 2))).thresholds == (0.5, 0.5)


@pytest.mark.parametrize("task", ["single", "score"])
def test_other_tasks_have_no_threshold_to_fit(task):
    decision = Decision(task)
    assert decision.fit(LOGITS, np.array([0, 1])) is decision


def test_a_decision_survives_the_record():
    decision = Decision("multi", 1.5, (0.25, 0.75))
    assert Decision.from_json("multi", decision.as_json()) == decision


def drawn(temperature, rows=4000, labels=4, seed=0):
    """Logits that are `temperature` times too sure, and truth drawn by the scores without."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (rows, labels))
    shares = Decision().scores(logits)
    truth = (draw.random(rows)[:, None] > shares.cumsum(axis=1)).sum(axis=1)
    return temperature * logits, truth


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_and_changes_no_answer(temperature):
    logits, truth = drawn(temperature)
    found = Decision().calibrated(logits, truth)
    assert found.temperature == pytest.approx(temperature, rel=0.05)
    assert np.array_equal(found.choose(found.scores(logits)), Decision().choose(Decision().scores(logits)))
    assert Decision.from_json("single", found.as_json()) == found


def test_each_of_several_labels_has_a_temperature_and_rare_ones_that_of_all():
    draw = np.random.default_rng(1)
    raw = draw.normal(0, 2, (4000, 3)) - [0, 0, 12]
    truth = (draw.random(raw.shape) < Decision("multi").scores(raw)).astype(int)
    assert truth[:, 2].sum() < 5
    found = Decision("multi").calibrated(raw * [0.5, 3.0, 3.0], truth)
    assert found.temperature[:2] == pytest.approx((0.5, 3.0), rel=0.1)
    assert 0.5 < found.temperature[2] < 3
    scores = found.scores(raw * [0.5, 3.0, 3.0])
    assert scores[:, :2] == pytest.approx(Decision("multi").scores(raw)[:, :2], abs=0.02)
    assert Decision.from_json("multi", found.as_json()) == found


def test_few_rows_that_are_all_right_do_not_ask_for_certainty():
    truth = np.array([0, 1, 2] * 4)
    found = Decision().calibrated(3.0 * np.eye(3)[truth], truth)
    assert 0.6 < found.temperature < 1


def test_a_number_has_no_temperature():
    assert Decision("score").calibrated(np.ones((3, 1)), np.ones(3)) == Decision("score")
