"""Which column is the text and which the label."""

import pytest

from classifine.data.columns import Columns, find_columns, find_text
from classifine.errors import DataError

SENTENCES = [
    "the parcel is late",
    "i was charged twice",
    "great shop thank you",
    "where is my box",
    "card refused",
    "ok",
]
NAMES = ["a", "b", "a", "b", "b", "a"]
NUMBERS = ["0", "1", "0", "1", "1", "0"]
IDS = ["17", "18", "19", "20", "21", "22"]


def rows(**columns):
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def found(**columns):
    result = find_columns(rows(**columns), (), None, "a.csv")
    return result.text, result.label


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"text": SENTENCES, "label": NAMES}, (("text",), "label")),
        ({"Text": SENTENCES, "Labels": NAMES}, (("Text",), "Labels")),
        ({"label": NAMES, "text": SENTENCES}, (("text",), "label")),
        ({"sentence": SENTENCES, "label": [0, 1, 0, 1, 1, 0]}, (("sentence",), "label")),
        ({"id": IDS, "tweet": SENTENCES, "sentiment": NAMES}, (("tweet",), "sentiment")),
        ({"foo": SENTENCES, "bar": NAMES}, (("foo",), "bar")),
        ({"": IDS, "kommentar": SENTENCES, "urteil": NAMES}, (("kommentar",), "urteil")),
        ({"label": NAMES, "topic": list("xyxyyy"), "text": SENTENCES}, (("text",), "label")),
        ({"review": SENTENCES, "stars": [5.0, 1.0, 5.0, 1.0, 1.0, 5.0]}, (("review",), "stars")),
        ({"text": SENTENCES, "label": [True, False, True, False, False, True]}, (("text",), "label")),
    ],
)
def test_by_name_and_content(columns, expected):
    assert found(**columns) == expected


@pytest.mark.parametrize(
    ("heading", "body"), [("title", "description"), ("Title", "Text"), ("subject", "body"), ("headline", "content")]
)
def test_a_heading_and_its_body_are_one_text(heading, body):
    result = find_columns(rows(**{body: SENTENCES, heading: SENTENCES[::-1], "label": NAMES}), (), None, "a.csv")
    assert result.text == (heading, body)
    assert f"texts from columns '{heading}' and '{body}', joined (--text changes it)" in result.notes


def test_a_title_alone_is_the_text():
    assert found(title=SENTENCES, label=NAMES) == (("title",), "label")


@pytest.mark.parametrize("columns", [{"label": NUMBERS, "label_text": NAMES}, {"label_text": NAMES, "label": NUMBERS}])
def test_of_a_number_and_its_name_the_name_is_the_label(columns):
    assert found(text_=SENTENCES, **columns)[1] == "label_text"


def test_twins_without_telling_names():
    assert found(foo=SENTENCES, bar=NUMBERS, baz=NAMES)[1] == "baz"


def test_a_number_that_is_no_twin_of_the_name_stays_the_label():
    assert found(text=SENTENCES, label=NUMBERS, topic=["x", "x", "y", "y", "x", "x"])[1] == "label"


def test_given_names_win():
    columns = {"text": SENTENCES, "label": NAMES, "other": SENTENCES[::-1], "topic": list("xyxyyy")}
    assert found(**columns)[0] == ("text",)
    result = find_columns(rows(**columns), ("other", "text"), "topic", "a.csv")
    assert result == Columns(("other", "text"), "topic", ())


def test_what_was_found_is_said_with_the_flag_that_changes_it():
    notes = find_columns(rows(text=SENTENCES, label=NAMES), (), None, "a.csv").notes
    assert notes == ("labels from column 'label' (--label changes it)", "texts from column 'text' (--text changes it)")


def test_missing_values_do_not_count():
    columns = {"text": [None, "", *SENTENCES[2:]], "label": [*NAMES[:4], None, float("nan")]}
    assert found(**columns) == (("text",), "label")


@pytest.mark.parametrize("distinct", [IDS, SENTENCES])
def test_a_column_that_never_repeats_is_no_label(distinct):
    with pytest.raises(DataError, match="no column that looks like a label"):
        found(text=SENTENCES, label=distinct)


def test_measurements_are_no_label():
    with pytest.raises(DataError, match=r"few distinct values.*It has 'text', 'length'\. Name it with --label"):
        found(text=SENTENCES, length=[1.5, 2.5, 1.5, 2.5, 2.5, 1.5])


@pytest.mark.parametrize(
    ("columns", "given", "words"),
    [
        ({"text": SENTENCES, "label": NAMES}, {"label": "lable"}, r"no column 'lable'\. It has 'text', 'label'\. Did you mean 'label'\? Change --label"),
        ({"text": SENTENCES, "label": NAMES}, {"text": ("boddy",)}, r"no column 'boddy'\. It has 'text', 'label'\. Change --text"),
        ({"text": SENTENCES}, {}, r"one column, 'text'; expected at least a text and a label column"),
        ({"foo": SENTENCES, "bar": SENTENCES[::-1], "label": NAMES}, {}, r"several columns that could be the text: .*Name one with --text"),
        ({"text": SENTENCES, "foo": NAMES, "bar": list("xyxyyy")}, {}, r"several columns that could be the label: 'foo', 'bar'\. Name one with --label"),
        ({"n": IDS, "label": NAMES}, {}, r"no column with texts\. It has 'n'\. Name it with --text"),
        ({"text": SENTENCES, "labels": [["a"], ["b"], ["a", "b"], [], [], []]}, {}, r"lists in 'labels'; expected one label a row"),
        ({"the box is late": SENTENCES, "b": NAMES}, {}, r"seems to have no header: its first line holds 'b'"),
    ],
)  # fmt: skip
def test_where_there_is_no_choice_or_two_the_flag_is_named(columns, given, words):
    with pytest.raises(DataError, match=words):
        find_columns(rows(**columns), given.get("text", ()), given.get("label"), "a.csv")


@pytest.mark.parametrize(
    ("columns", "trained", "expected"),
    [
        ({"body": SENTENCES, "text": SENTENCES[::-1]}, ("body",), ("body",)),
        ({"whatever": SENTENCES}, ("body",), ("whatever",)),
        ({"id": IDS, "tweet": SENTENCES}, ("body",), ("tweet",)),
        ({"title": SENTENCES, "text": SENTENCES}, ("text",), ("text",)),
        ({"title": SENTENCES, "text": SENTENCES}, (), ("title", "text")),
    ],
)
def test_find_text_where_there_are_no_labels(columns, trained, expected):
    assert find_text(rows(**columns), trained, "a.csv") == expected


def test_a_text_that_is_a_number_does_not_hide_the_column():
    rows = [{"text": f"message number {i}", "label": "ab"[i % 2]} for i in range(20)] + [{"text": 42, "label": "a"}]
    assert find_columns(rows, (), None, "in").text == ("text",)
