"""The names of the classes and their order."""

import math

import numpy as np
import pandas as pd
import pytest

from classifine.errors import DataError, ModelError
from classifine.labels import Labels, as_name, is_missing, kind_of


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pos", "neg", "pos"], ("neg", "pos")),
        (["10", "2", "1"], ("1", "2", "10")),
        (["-1", "0", "1", "0.5"], ("-1", "0", "0.5", "1")),
        (["10", "2", "x"], ("10", "2", "x")),
        (["b", "B", "a"], ("B", "a", "b")),
        (["1.0", "1"], ("1", "1.0")),
        (["é", "z"], ("z", "é")),
        ([], ()),
    ],
)
def test_order_is_by_value_for_numbers_and_by_code_point_else(names, expected):
    assert Labels.ordered(names).names == expected


def test_order_does_not_depend_on_the_order_of_the_rows():
    names = ["9", "11", "100", "3"]
    assert Labels.ordered(names) == Labels.ordered(reversed(names))


def test_ids_and_names_go_both_ways():
    labels = Labels.ordered(["b", "c", "a"])
    assert len(labels) == 3
    assert labels.id2label == {0: "a", 1: "b", 2: "c"}
    assert labels.label2id == {"a": 0, "b": 1, "c": 2}
    assert labels.encode(["c", "a"]) == [2, 0]
    assert labels.decode([2, 0]) == ["c", "a"]


@pytest.mark.parametrize("strange", ["d", None])
def test_encode_names_the_label_that_is_no_class(strange):
    with pytest.raises(DataError, match=rf"Label {strange!r} is not one of the classes a, b\."):
        Labels(("a", "b")).encode(["a", strange])


def test_from_config_reads_ids_that_json_made_text():
    assert Labels.from_config({"1": "b", "0": "a", "2": "c"}).names == ("a", "b", "c")
    assert Labels.from_config({i: str(i) for i in range(12)}).names[10] == "10"


def test_from_config_refuses_ids_with_a_gap():
    with pytest.raises(ModelError, match=r"\[0, 2\]; expected 0 to 1"):
        Labels.from_config({0: "a", 2: "b"})


@pytest.mark.parametrize(
    ("names", "kind", "values"),
    [
        (("a", "b"), "str", ["a", "b"]),
        (("-1", "2"), "int", [-1, 2]),
        (("False", "True"), "bool", [False, True]),
        (("1", "2"), "str", ["1", "2"]),
    ],
)
def test_values_are_what_they_were_in_the_data(names, kind, values):
    found = Labels(names, kind).values()
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("spam", "spam"),
        ("  spam \n", "spam"),
        ("", None),
        (" \t", None),
        ("#N/A", None),
        (" #DIV/0! ", None),
        ("#VALUES", "#VALUES"),
        (None, None),
        (math.nan, None),
        (np.float64("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (3, "3"),
        (3.0, "3"),
        (np.float64(3.0), "3"),
        (np.int64(3), "3"),
        (-1, "-1"),
        (1.5, "1.5"),
        (0, "0"),
        (True, "True"),
        (False, "False"),
        ("3.0", "3.0"),
    ],
)
def test_as_name(value, name):
    assert as_name(value) == name


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", "b"], "str"),
        ([1, 2], "int"),
        ([1.0, 2.0], "int"),
        ([1, None, 2.0, math.nan, pd.NA], "int"),
        ([1, "#N/A", 2, " "], "int"),
        ([1.5, 2.5], "str"),
        ([True, False, None], "bool"),
        ([True, 1], "str"),
        (["1", 1], "str"),
        ([], "str"),
    ],
)
def test_kind_of(values, kind):
    assert kind_of(values) == kind


def test_only_what_stands_for_nothing_is_missing():
    assert all(map(is_missing, (None, math.nan, np.float64("nan"), pd.NA, pd.NaT)))
    assert not any(map(is_missing, (0, "", False, [], "nan", np.float64(1))))


def test_a_name_that_only_looks_like_a_number_keeps_the_order_fixed():
    for names in (["1", "2", "nan", "0"], ["nan", "0", "2", "1"]):
        assert Labels.ordered(names).names == ("0", "1", "2", "nan")
    assert Labels.ordered(["inf", "10", "9"]).names == ("10", "9", "inf")


def test_targets_of_every_task():
    several = Labels(("a", "b", "c"), task="multi")
    assert Labels(("a", "b", "c")).targets(["b", "a"]).tolist() == [1, 0]
    assert several.targets([["c", "a"], []]).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert Labels(("score",), task="score").targets([0.5, 3.0]).tolist() == [0.5, 3.0]
    with pytest.raises(DataError, match="'d' is not one of the classes"):
        several.targets([["a"], ["d"]])


@pytest.mark.parametrize(
    ("names", "texts"),
    [
        (("Sci/Tech", "World"), ["Sci/Tech", "World"]),
        (("card_payment_fee", "R&D"), ["card payment fee", "R&D"]),
        (("1 star", "2 stars"), ["1 star", "2 stars"]),
        (("正", "負"), ["正", "負"]),
        (("ดี", "แย่"), ["ดี", "แย่"]),
        (("खेल", "राजनीति"), ["खेल", "राजनीति"]),
        (("C", "Go", "Java"), ["C", "Go", "Java"]),  # one that says little, of several
        (("topic",), ["topic"]),
        (("0", "1"), []),
        (("A", "B"), []),
        (("C", "Java"), []),
        (("LABEL_0", "LABEL_1"), []),
        (("Klasse 1", "Klasse 2"), []),
        (("class A", "class B"), []),
        (("False", "True"), []),
        (("No", "Yes"), []),
    ],
)
def test_what_labels_are_called_where_it_says_something(names, texts):
    assert Labels(names).as_texts() == texts
    assert Labels(names, "str", "multi").as_texts() == texts


def test_numbers_and_truth_values_are_not_called_anything():
    assert Labels(("False", "True"), "bool").as_texts() == []
    assert Labels(("score",), "str", "score").as_texts() == []
