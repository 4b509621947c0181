"""What is wrong with labelled texts, and that `clean` does what was said."""

import re
from pathlib import Path

import pytest

from classifine.config import Data
from classifine.data.check import check_splits, clean, normalised
from classifine.data.read import Splits, from_lists, read_splits
from classifine.errors import DataError

MESSY = Path(__file__).parents[1] / "examples" / "messy.csv"


def numbered(label, count=12):
    return [(f"text {i} of {label}", label) for i in range(count)]


GOOD = [*numbered("a"), *numbered("b")]


def part(rows, name="train"):
    return from_lists([text for text, _ in rows], [label for _, label in rows], name)


def given(train=GOOD, validation=None, test=None):
    return Splits(
        part(train),
        None if validation is None else part(validation, "validation"),
        None if test is None else part(test, "test"),
    )


def checked(splits, **settings):
    return check_splits(splits, Data(**settings))


def kinds(report):
    return [fault.kind for fault in report.faults]


def only(report, kind, split="train"):
    (fault,) = (fault for fault in report.faults if (fault.kind, fault.split) == (kind, split))
    return fault


def words(texts):
    return [len(text.split()) for text in texts]


@pytest.fixture(scope="module")
def messy():
    splits = read_splits(Data(source=str(MESSY)))
    return splits, check_splits(splits, Data(), words, 256)


def test_the_messy_example_holds_each_fault_of_a_single_file_once(messy):
    _, report = messy
    assert {fault.kind: fault.rows for fault in report.faults} == {
        "missing-text": (5,),
        "empty-text": (10,),
        "missing-label": (17,),
        "few-rows": (),
        "label-spelling": (),
        "duplicate": (40, 42),
        "near-duplicate": (41,),
        "conflicting-labels": (11, 42),
        "too-long": (44,),
    }
    assert len(report.faults) == 9
    assert report.errors == ()


def test_the_row_numbers_of_the_messy_example_are_those_of_its_lines(messy):
    splits, report = messy
    train = splits.train
    assert [train.texts[row - 1] for row in (5, 10)] == [None, "   "]
    assert train.labels[17 - 1] is None
    repeated = [train.texts[row - 1] for row in only(report, "duplicate").rows]
    assert all(train.texts.count(text) == 2 for text in repeated)
    assert {train.labels[row - 1] for row in only(report, "conflicting-labels").rows} == {"return", "payment"}
    assert len(train.texts[44 - 1].split()) > 256


def test_the_messy_example_loses_only_the_rows_without_text_or_label(messy):
    splits, report = messy
    assert len(splits.train) == 44
    assert sorted(set(splits.train.ids) - set(clean(splits, report.faults).train.ids)) == [5, 10, 17]


def test_good_rows_have_no_faults():
    report = checked(given())
    assert report.faults == ()
    assert clean(given(), report.faults) == given()


def test_each_kind_of_missing_is_told_apart_and_left_out():
    rows = [*GOOD, (None, "a"), ("", "b"), (" \n", "b"), ("some text", None), ("other text", " ")]
    report = checked(given(rows))
    found = {fault.kind: fault.rows for fault in report.warnings}
    assert found == {"missing-text": (25,), "empty-text": (26, 27), "missing-label": (28, 29)}
    assert clean(given(rows), report.faults).train.ids == list(range(1, 25))
    assert str(only(report, "empty-text")) == "2 rows (26, 27) of the train texts have an empty text. Left out."
    assert str(only(report, "missing-text")) == "1 row (25) of the train texts has no text. Left out."


COPIES = [(None, "a"), *GOOD, ("", "b"), ("text 0 of a", "a"), ("TEXT 0, of a!", "a"), ("text 0 of a", "a")]


def test_copies_are_counted_in_rows_of_the_source_also_behind_missing_ones():
    report = checked(given(COPIES))
    assert only(report, "duplicate").rows == (27, 29)
    assert only(report, "near-duplicate").rows == (28,)
    assert [COPIES[row - 1][0] for row in (27, 28, 29)] == ["text 0 of a", "TEXT 0, of a!", "text 0 of a"]
    assert only(report, "duplicate").action == "Kept; --drop-duplicates leaves them out."


@pytest.mark.parametrize("drop", [False, True])
def test_duplicates_are_left_out_only_when_asked(drop):
    splits = given(COPIES)
    left = clean(splits, checked(splits, drop_duplicates=drop).faults).train
    assert left.ids == [*range(2, 26), *([] if drop else [27, 28, 29])]


@pytest.mark.parametrize("drop", [False, True])
def test_one_text_with_several_labels(drop):
    rows = [(None, "a"), *GOOD, ("Text 3 of a", "b")]
    report = checked(given(rows), drop_conflicts=drop)
    fault = only(report, "conflicting-labels")
    assert fault.rows == (5, 26)
    assert fault.message == "2 rows (5, 26) of the train texts share a text but not its label (1 such text)."
    left = clean(given(rows), report.faults).train.ids
    assert left == [row for row in range(2, 27) if not drop or row not in (5, 26)]


def test_the_same_labels_in_another_order_are_no_conflict():
    texts = ["one text", "one text", "another", "another", *(f"text {i}" for i in range(10))]
    labels = [["a", "b"], ["b", "a"], ["a"], ["a", "b"], *(["a"] if i % 2 else ["b"] for i in range(10))]
    splits = Splits(from_lists(texts, labels, task="multi"), task="multi")
    assert only(check_splits(splits, Data(drop_conflicts=True)), "conflicting-labels").rows == (3, 4)


def test_which_label_stays_where_copies_are_left_out_is_said():
    rows = [*GOOD, ("Text 3 of a", "b")]
    splits, actions = given(rows), {}
    for conflicts in (False, True):
        report = checked(splits, drop_duplicates=True, drop_conflicts=conflicts)
        actions[conflicts] = only(report, "conflicting-labels").action
        left = clean(splits, report.faults).train
        assert [label for text, label in zip(left.texts, left.labels, strict=True) if "3 of a" in text] == (
            [] if conflicts else ["a"]
        )
    assert actions[False].startswith("The first row of each text stays, with its label;")
    assert actions[True] == "Left out (--drop-conflicts)."


def test_copies_with_one_label_are_no_conflict():
    assert "conflicting-labels" not in kinds(checked(given(COPIES)))


def test_copies_in_test_are_said_and_kept():
    rows = [("new text", "a"), ("new text", "b"), ("more", "a")]
    report = checked(given(test=rows), drop_duplicates=True, drop_conflicts=True)
    assert only(report, "duplicate", "test").action == "Kept."
    assert only(report, "conflicting-labels", "test").action == "Kept."
    assert len(clean(given(test=rows), report.faults).test) == 3


def test_a_class_with_few_rows():
    report = checked(given([*GOOD, *numbered("c", 9), ("one more", "d")]))
    assert only(report, "few-rows").message == "2 of 4 classes have fewer than 10 rows: 'd' 1, 'c' 9."
    assert only(checked(given([*GOOD, *numbered("c", 9)])), "few-rows").message.startswith("1 of 3 classes has fewer")
    assert "few-rows" not in kinds(checked(given([*GOOD, *numbered("c", 10)])))


def test_labels_that_differ_in_spelling_only():
    rows = [*numbered("not sure"), *numbered("Not_Sure"), *numbered("b"), *numbered("NOT sure.", 1)]
    message = only(checked(given(rows)), "label-spelling").message
    assert message.endswith("only: 'NOT sure.' (1 row), 'Not_Sure' (12 rows), 'not sure' (12 rows).")
    assert "label-spelling" not in kinds(checked(given([*numbered("-1"), *numbered("1"), *numbered("b")])))


def test_labels_of_a_row_or_two_that_are_nearly_a_frequent_one():
    rows = [*numbered("delivery"), *numbered("Payment"), *numbered("paymnet", 2), *numbered("payments", 1)]
    fault = only(checked(given([*rows, *numbered("praise", 1)])), "label-spelling")
    assert str(fault) == (
        "Labels that are nearly the same: 'Payment' (12 rows), 'payments' (1 row), 'paymnet' (2 rows). "
        "They are kept apart; write them alike if they are one class."
    )


@pytest.mark.parametrize(
    "rare",
    [
        numbered("deliverys", 3),  # rows enough to be a class of its own
        numbered("grade 12", 1),
        numbered("1000001", 1),
        numbered("-1000000", 1),
        numbered("coloured", 2),  # two rows against nine may be two classes
        numbered("dilevary", 1),
    ],
)
def test_labels_that_are_not_nearly_the_same(rare):
    rows = [
        *numbered("delivery", 20),
        *numbered("grade 11", 20),
        *numbered("1000000", 20),
        *numbered("colours", 9),
        *numbered("coloure", 9),
    ]
    assert "label-spelling" not in kinds(checked(given([*rows, *rare])))


def test_the_error_of_a_cell_is_a_missing_label():
    report = checked(given([*GOOD, ("some text", "#N/A"), ("other text", " #REF! ")]))
    assert only(report, "missing-label").rows == (25, 26)
    assert list(report.as_json()["splits"]["train"]["classes"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("rows", "kind", "sentence"),
    [
        (numbered("a"), "constant-label", "has only the label 'a'; expected two classes or more."),
        ([("x", None), (None, "a")], "constant-label", "has no row with both text and label"),
        ([(f"text {i}", f"class {i}") for i in range(21)], "too-many-classes", "has 21 classes in 21 rows"),
        ([("Same text", "a"), ("same text!", "b")] * 6, "one-text", "carry the same text"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(rows, kind, sentence):
    report = checked(given(rows))
    assert [fault.kind for fault in report.errors] == [kind]
    assert sentence in report.errors[0].message
    with pytest.raises(DataError, match=re.escape(sentence)):
        report.raise_errors()


def test_a_small_file_may_have_as_many_classes_as_it_likes():
    assert "too-many-classes" not in kinds(checked(given([(f"text {i}", f"class {i}") for i in range(20)])))


def test_texts_beyond_the_maximum_length():
    rows = [(None, "a"), *GOOD, ("word " * 21, "a"), ("word " * 20, "b")]
    report = check_splits(given(rows), Data(), words, 20)
    fault = only(report, "too-long")
    assert fault.rows == (26,)
    assert fault.message == "1 row of the train texts (3.8%) has more than 20 tokens, such as row 26."
    assert "too-long" not in kinds(check_splits(given(rows), Data(), words, 21))


# --- several splits ----------------------------------------------------------------------------------------------

TEST = [("judged one", "a"), ("judged two", "b")]


def test_rows_that_are_also_in_test_are_left_out_of_train():
    splits = given([(None, "b"), *GOOD], test=[("TEXT 2 of a.", "a"), *TEST])
    report = checked(splits)
    fault = only(report, "shared-rows")
    assert fault.rows == (4,)
    assert fault.message == "1 row (4) of the train texts has a text that is also in validation or test."
    left = clean(splits, report.faults)
    assert left.train.ids == [*range(2, 4), *range(5, 26)]
    assert len(left.test) == 3


def test_validation_gives_way_to_test_and_train_to_both():
    splits = given(validation=[*TEST, ("text 5 of b", "b"), ("only here", "a")], test=[*TEST, ("more", "a")])
    report = checked(splits)
    assert only(report, "shared-rows", "validation").rows == (1, 2)
    assert only(report, "shared-rows").rows == (18,)
    left = clean(splits, report.faults)
    assert [len(split) for split in left.all] == [23, 2, 3]


def test_shared_rows_stay_where_the_user_says_so():
    splits = given(test=GOOD[:3])
    report = checked(splits, keep_shared=True)
    assert only(report, "shared-rows").rows == (1, 2, 3)
    assert only(report, "shared-rows").action == "Kept (--keep-shared): the report will flatter."
    assert len(clean(splits, report.faults).train) == 24


def test_where_every_row_is_shared_nothing_could_be_trained():
    report = checked(given(test=GOOD))
    assert [fault.kind for fault in report.errors] == ["shared-rows"]
    assert "Every row of the train texts is also in a later split." in str(report.errors[0])


UNSEEN = [(None, "a"), *TEST, ("judged three", "z"), ("judged four", "b")]


def test_a_class_that_train_lacks_is_an_error():
    report = checked(given(test=UNSEEN))
    (fault,) = report.errors
    assert (fault.kind, fault.split, fault.rows) == ("unseen-class", "test", (4,))
    assert fault.message == "1 row (4) of the test texts has a label that train lacks: 'z'."
    assert "--drop-unseen" in fault.action


def test_or_its_rows_are_left_out():
    splits = given(test=UNSEEN)
    report = checked(splits, drop_unseen=True)
    assert report.errors == ()
    assert clean(splits, report.faults).test.ids == [2, 3, 5]


def test_a_class_is_unseen_also_where_the_check_takes_its_last_row_from_train():
    splits = given([*GOOD, ("rare text", "c")], test=[("rare text", "c"), *TEST])
    assert [fault.kind for fault in checked(splits).errors] == ["unseen-class"]
    kept = checked(splits, keep_shared=True)
    assert kept.errors == ()
    left = clean(splits, checked(splits, drop_unseen=True).faults)
    assert (len(left.train), left.test.ids) == (24, [2, 3])


def test_a_class_that_test_lacks_is_a_warning():
    report = checked(given(test=TEST[:1]))
    assert only(report, "absent-class", "test").message == (
        "the test texts has no row of 1 of the 2 classes of train: 'b'."
    )
    assert report.errors == ()


def test_rows_without_label_in_test():
    splits = given(test=[*TEST, ("judged three", None)])
    report = checked(splits)
    assert only(report, "unlabelled-rows", "test").rows == (3,)
    assert clean(splits, report.faults).test.ids == [1, 2]


def test_a_split_without_any_label_is_left_out():
    splits = given(test=[("one", None), ("two", None)])
    report = checked(splits)
    assert kinds(report) == ["unlabelled-split"]
    assert clean(splits, report.faults).test is None
    assert len(clean(splits, report.faults).train) == 24


def test_all_faults_are_found_at_once():
    report = checked(given([*GOOD, (None, "a"), ("text 0 of a", "b")], validation=TEST, test=[("new", "z")]))
    assert set(kinds(report)) == {
        "missing-text", "duplicate", "conflicting-labels", "unseen-class", "absent-class",
    }  # fmt: skip


def test_nothing_that_is_given_is_changed():
    splits = given(COPIES, test=[("text 0 of a", "a"), *TEST])
    before = [split.table.to_pylist() for split in splits.all]
    clean(splits, checked(splits, drop_duplicates=True).faults)
    assert [split.table.to_pylist() for split in splits.all] == before


def test_long_lists_of_rows_are_cut_in_the_message_alone():
    fault = only(checked(given([*GOOD, *[(None, "a")] * 30])), "missing-text")
    assert "30 rows (25, 26, 27, 28, 29, 30, 31, 32, 33, 34, ...)" in fault.message
    assert fault.as_json()["rows"] == tuple(range(25, 55))


def test_the_report_as_json():
    found = checked(given([*GOOD, (None, "a")], test=TEST)).as_json()
    assert found["splits"]["train"] == {
        "source": "the train texts", "rows": 25, "classes": {"a": 13, "b": 12},
        "characters": {"median": 11, "longest": 12},
    }  # fmt: skip
    assert found["splits"]["test"]["rows"] == 2
    assert [fault["kind"] for fault in found["faults"]] == ["missing-text"]
    assert set(found["faults"][0]) == {"kind", "severity", "split", "message", "action", "rows"}


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Hello, World!", "hello world", True),
        ("ﬁne", "FINE", True),
        ("Straße", "STRASSE", True),
        ("cafe\u0301", "CAFÉ", True),
        ("你好。", "你好", True),
        ("no", "no no", False),
        ("cafe", "café", False),
        (":-)", ":-(", False),
        ("!!", "!!", True),
    ],
)
def test_normalised(one, other, alike):
    assert (normalised(one) == normalised(other)) is alike
