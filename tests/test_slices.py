"""Parts of the rows: quarters by length, languages, and what is too little to be told."""

import numpy as np
import pytest

from classifine.data.language import languages_of
from classifine.report.slices import LEAST, slices


def test_quarters_by_length_hold_every_row_once():
    texts = ["a" * length for length in range(1, 201)]
    truth = np.zeros(200, dtype=np.int64)
    answers = (np.arange(200) >= 150).astype(np.int64)
    found = slices(texts[::-1], truth, answers[::-1], "single")
    assert [(part.name, part.rows) for part in found] == [
        ("up to 50 characters", 50), ("51 to 100 characters", 50), ("101 to 150 characters", 50), ("more than 150 characters", 50),
    ]  # fmt: skip
    assert [part.value for part in found] == [1, 1, 1, 0]
    assert {(part.kind, part.metric) for part in found} == {("length", "accuracy")}


def test_texts_of_one_length_are_one_part():
    (part,) = slices(["abc"] * 200, np.zeros(200), np.zeros(200), "score")
    assert (part.name, part.rows, part.metric, part.value) == ("up to 3 characters", 200, "mae", 0)


def test_few_rows_have_no_parts():
    assert slices(["a", "bb"] * LEAST, np.zeros(2 * LEAST), np.zeros(2 * LEAST), "single") == ()


@pytest.mark.parametrize(("given", "value"), [([[1, 1]], 2 / 3), ([[0, 1]], 0), ([[1, 0]], 1)])
def test_several_labels_are_judged_by_the_f1_of_each_row(given, value):
    rows = 4 * LEAST
    truth, answers = np.tile([[1.0, 0.0]], (rows, 1)), np.tile(np.array(given, dtype=bool), (rows, 1))
    (part,) = slices([("a", "b")] * rows, truth, answers, "multi")
    assert (part.metric, part.value) == ("sample_f1", pytest.approx(value))


def test_languages_with_too_few_rows_are_left_out():
    languages = ["de"] * 40 + ["en"] * 60 + ["fr"] * 5 + [None] * 5
    truth = np.zeros(110, dtype=np.int64)
    answers = np.array([code == "de" for code in languages], dtype=np.int64)
    found = slices(["text"] * 110, truth, answers, "single", languages)
    assert [(part.kind, part.name, part.rows, part.value) for part in found] == [
        ("language", "en", 60, 1),
        ("language", "de", 40, 0),
    ]


def test_the_language_of_each_text():
    texts = ["The weather is very nice in the mountains today.", "Das Wetter ist heute in den Bergen sehr schön.", "ok"]
    assert languages_of(texts) == ["en", "de", None]
