"""Which column is the text and which the label."""

import pytest

from classifine.config import Data
from classifine.data.columns import Columns, find_columns, find_text
from classifine.data.lists import WRITTEN
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
LISTS = [["a"], ["b"], ["a", "b"], [], [], []]
FLAGS = [0, 0, 1, 0, 1, 0]
IDS = ["17", "18", "19", "20", "21", "22"]


def rows(**columns):
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def found(**columns):
    result = find_columns(rows(**columns), Data(), "a.csv")
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
    result = find_columns(rows(**{body: SENTENCES, heading: SENTENCES[::-1], "label": NAMES}), Data(), "a.csv")
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
    result = find_columns(rows(**columns), Data(text=("other", "text"), label="topic"), "a.csv")
    assert result == Columns(("other", "text"), "topic", ())


def test_what_was_found_is_said_with_the_flag_that_changes_it():
    notes = find_columns(rows(text=SENTENCES, label=NAMES), Data(), "a.csv").notes
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
        ({"text": SENTENCES, "labels": LISTS}, {"task": "single"}, r"lists in 'labels'; expected one label a row, as --task is single"),
        ({"text": SENTENCES, "score": [1, 2, "many", 2, 1, 1]}, {"task": "score"}, r"has 'many' in 'score'; expected a number, as --task is score"),
        ({"text": SENTENCES, "sentence3": SENTENCES, "label": NAMES}, {"text_pair": "sentence2"}, r"no column 'sentence2'.*Did you mean 'sentence3'\? Change --text-pair"),
        ({"text": SENTENCES, "a": NUMBERS, "b": IDS}, {"label": ("a", "b")}, r"other values than 0 and 1 in 'b'"),
        ({"text": SENTENCES, "a": NUMBERS, "b": NUMBERS}, {"label": ("a", "b"), "task": "score"}, r"--task is score, and --label names 2 columns"),
        ({"the box is late": SENTENCES, "b": NAMES}, {}, r"seems to have no header: its first line holds 'b'"),
    ],
)  # fmt: skip
def test_where_there_is_no_choice_or_two_the_flag_is_named(columns, given, words):
    with pytest.raises(DataError, match=words):
        find_columns(rows(**columns), Data(**given), "a.csv")


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
    assert find_columns(rows, Data(), "in").text == ("text",)


def asked(columns, **given):
    result = find_columns(rows(**columns), Data(**given), "a.csv")
    return result.task, result.separator, result.label, result.indicators


@pytest.mark.parametrize(
    ("columns", "given", "expected"),
    [
        ({"label": NAMES}, {}, ("single", None, "label", ())),
        ({"labels": LISTS}, {}, ("multi", None, "labels", ())),
        ({"topics": LISTS, "label_ids": NUMBERS}, {}, ("multi", None, "topics", ())),
        ({"tags": ["a", "b", "a;b", "b; c", "a", "c"]}, {}, ("multi", ";", "tags", ())),
        ({"label": ["a,b", "b", "a", "a,b", "a", "b,a"]}, {}, ("multi", ",", "label", ())),
        ({"label": ["a,b", "b", "a", "a,b", "a", "b"]}, {"task": "single"}, ("single", None, "label", ())),
        # Names with a mark in them are names: nothing is put together from parts that return.
        ({"label": ["Fed | Banks", "Stocks", "Fed | Banks", "Oil | Gas", "Stocks", "Oil | Gas"]}, {}, ("single", None, "label", ())),
        ({"label": NAMES}, {"task": "multi"}, ("multi", None, "label", ())),
        ({"score": [0.5, 1.0, 4.2, 3.3, 5.0, 2.0]}, {}, ("score", None, "score", ())),
        ({"score": ["0.5", "1.0", "4.2", "3.3", "5.0", "2.0"]}, {}, ("score", None, "score", ())),
        ({"stars": [1, 2, 1, 2, 3, 3]}, {}, ("single", None, "stars", ())),
        ({"stars": [1, 2, 1, 2, 3, 3]}, {"task": "score"}, ("score", None, "stars", ())),
        ({"length": [1, 2, 3, 4, 5, 6]}, {"task": "score"}, ("score", None, "length", ())),
        ({"toxic": FLAGS, "insult": NUMBERS, "threat": [0] * 6}, {}, ("multi", None, None, ("toxic", "insult", "threat"))),
        ({"toxic": FLAGS, "insult": NUMBERS}, {"label": ("toxic", "insult")}, ("multi", None, None, ("toxic", "insult"))),
        ({"good": FLAGS, "bad": [1 - flag for flag in FLAGS]}, {"label": ("good", "bad")}, ("single", None, None, ("good", "bad"))),
        ({"label": FLAGS, "checked": NUMBERS, "kept": [0] * 6}, {}, ("single", None, "label", ())),
    ],
)  # fmt: skip
def test_what_is_asked(columns, given, expected):
    assert asked({"text": SENTENCES, **columns}, **given) == expected


CODED = [
    "price",
    "price; staff",
    "staff;waiting time",
    "waiting time",
    "price;staff",
    "staff",
    "price;waiting time",
] * 3
ANSWERS = [f"answer {i}, with a comma, as people write in their own words" for i in range(len(CODED))]


@pytest.mark.parametrize("mark", [";", "|", ","])
@pytest.mark.parametrize("name", ["Codes", "themes", "was_gesagt", "Q7"])
def test_several_labels_in_a_cell_are_found_under_any_name(name, mark):
    cells = [cell.replace(";", mark) for cell in CODED]
    result = find_columns(rows(id=range(len(CODED)), antwort=ANSWERS, **{name: cells}), Data(), "a.csv")
    assert (result.task, result.separator, result.label, result.text) == ("multi", mark, name, ("antwort",))
    assert f"several labels a row, parted by '{mark}': each is decided on its own (--task changes it)" in result.notes


@pytest.mark.parametrize(
    "cells",
    [
        ANSWERS,
        # Words of people: too many of the parts are found once.
        ["yes", "no", "yes, no", "no, yes", "yes"] + [f"yes, {word}ly" for word in "abcdefgh"] + ["yes"] * 8,
        # Parts that return, as long as sentences are.
        ["i was there for a very long time, they were friendly and helped me a lot", "i was there for a very long time",
         "they were friendly and helped me a lot"] * 7,
    ],
)  # fmt: skip
def test_texts_with_commas_are_no_labels(cells):
    given = rows(notes=cells, antwort=[f"{text} at length, and at greater length" for text in ANSWERS])
    with pytest.raises(DataError, match="no column that looks like a label"):
        find_columns(given, Data(), "a.csv")


def test_a_column_that_is_named_as_text_is_not_taken_for_labels():
    short = ["good, fast", "slow", "good", "fast", "slow, good", "fast, slow", "good, fast, slow"] * 3
    result = find_columns(rows(review=short, urteil=list("xyz") * 7), Data(), "a.csv")
    assert (result.text, result.label) == (("review",), "urteil")


def test_of_two_columns_that_could_have_the_labels_one_is_to_be_named():
    given = rows(antwort=ANSWERS, gesagt=CODED, welle=list("xyz") * 7)
    with pytest.raises(DataError, match=r"several columns that could be the label: 'gesagt', 'welle'\. Name one"):
        find_columns(given, Data(), "a.csv")


@pytest.mark.parametrize(
    ("values", "given", "hinted"),
    [
        ([1, 2, 3, 4, 5, 7] * 2, {}, True),
        (["0", "2", "3", "4", "5", "6"] * 2, {}, True),
        ([1.0, 2.0, 3.0, 4.0, 5.0, None] * 2, {}, True),
        ([1, 2, 3, 4] * 3, {}, False),
        ([1, 2, 3, 4, 5, "many"] * 2, {}, False),
        ([1, 2, 3, 4, 5, 7] * 2, {"task": "single"}, False),
        ([1, 2, 3, 4, 5, 7] * 2, {"task": "score"}, False),
    ],
)
def test_a_rating_in_whole_numbers_could_be_learned_as_a_number(values, given, hinted):
    result = find_columns(rows(text=SENTENCES * 2, label=values), Data(**given), "a.csv")
    assert any("whole numbers" in note and "--task score" in note for note in result.notes) is hinted
    assert result.task == given.get("task", "single")


@pytest.mark.parametrize(
    ("first", "second"),
    [("sentence1", "sentence2"), ("Question", "Sentence"), ("premise", "hypothesis"), ("#1 String", "#2 String")],
)
def test_two_texts_that_are_judged_together(first, second):
    result = find_columns(rows(**{second: SENTENCES, first: SENTENCES[::-1], "label": NAMES}), Data(), "a.csv")
    assert (result.text, result.pair) == ((first,), second)
    assert f"pairs of texts from columns '{first}' and '{second}' (--text, --text-pair change it)" in result.notes


def test_a_pair_that_is_named():
    columns = rows(heading=SENTENCES, claim=SENTENCES[::-1], label=NAMES)
    result = find_columns(columns, Data(text="heading", text_pair="claim"), "a.csv")
    assert (result.text, result.pair, result.needed) == (("heading",), "claim", ("heading", "claim", "label"))
    assert find_columns(columns, Data(text_pair="claim"), "a.csv").text == ("heading",)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["3,7", "1,5", "2,0", "3,7", "1,5", "4,2"], ("score", None)),  # decimal commas
        (["a;", "b;", "a;b;", "b;c;", "a;", "c;"], ("multi", ";")),
    ],
)
def test_commas_of_numbers_and_marks_at_the_end(values, expected):
    assert asked({"text": SENTENCES, "label": values})[:2] == expected


def test_a_column_in_two_roles():
    with pytest.raises(DataError, match=r"'text' of a\.csv is named twice"):
        find_columns(rows(text=SENTENCES, label=NAMES), Data(text="text", text_pair="text"), "a.csv")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1,250", "950", "12,000", "700"], r"'1,250' in 'score', .*Write 1250 \(1\.2500 if .*\) or --task multi\.$"),
        (["1.250", "950", "12.000", "700"], r"'1\.250' in 'score', .*Write 1250 \(1\.2500 if .* number\)\.$"),
        (["1,250", "950", "12,000", "7", "0"], "'1,250' in 'score'"),
        (["-1,234", "950", "0"], "'-1,234' in 'score'"),
        (["1,250,000", "950", "1,250"], r"'1,250,000' in 'score', .*Write 1250000 or --task multi\.$"),
        (["1.250.000", "2.250.000"], r"'1\.250\.000' in 'score', .*Write 1250000\.$"),
        ([700, "1,250", 950.0], "'1,250' in 'score'"),
    ],
)
@pytest.mark.parametrize("given", [{}, {"task": "score"}])
def test_numbers_with_a_mark_of_thousands_are_not_read_as_decimals(values, words, given):
    with pytest.raises(DataError, match=words):
        asked({"text": SENTENCES * 7, "score": (values * 42)[:42]}, **given)


@pytest.mark.parametrize(
    "values",
    [
        ["0.125", "950", "0.375"],
        ["3.500", "2.75", "950"],
        ["1.250", "2.375", "3.125"],
        ["1,250", "2,375", "3,125"],
        ["1.125", "2.375", "3", "4"],
        ["1.125", "2.375", "3", "100"],
        ["1.250", "950", 0.5],
        [1.25, 950.0, 12.0],
    ],
)
def test_decimals_with_three_digits_are_decimals(values):
    assert asked({"text": SENTENCES * 7, "score": (values * 42)[:42]})[:2] == ("score", None)


def test_codes_of_three_digits_are_several_where_several_are_asked_for():
    codes = {"text": SENTENCES, "label": ["100,200", "300", "100", "200", "300,100", "200"]}
    assert asked(codes, task="multi")[:2] == asked(codes, label_separator=",")[:2] == ("multi", ",")


PYTHON = ["['anger', 'joy']", "['joy']", "[]", "['anger']", "['joy', 'anger']", "[\"it's\", 'joy']"]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (PYTHON, ("multi", WRITTEN)),
        (['["anger", "joy"]', '["joy"]', "[]", '["anger"]', '["anger"]', " [ ] "], ("multi", WRITTEN)),
        (["[3, 10]", "[3]", "[10]", "[]", "[3]", "[10,3]"], ("multi", WRITTEN)),
        (["[3]", "[]", "[10]", "[3]", "[3]", "[10]"], ("multi", WRITTEN)),
        # Names in brackets, which might be lists of one, are names.
        (["[spam]", "[ham]", "[spam]", "[ham]", "[ham]", "[]"], ("single", None)),
        (["[3]", "[10]", "[3]", "[10]", "[3]", "[3]"], ("single", None)),
        (["['anger', 'joy']", "joy", "joy", "anger", "anger", "joy"], ("single", None)),
    ],
)
@pytest.mark.parametrize("name", ["label", "was_gesagt"])
def test_lists_that_were_written_into_cells(cells, expected, name):
    found = asked({"antwort": ANSWERS[:12], name: cells * 2})
    assert found == (*expected, name, ())


def test_lists_in_cells_are_names_where_one_label_is_asked_for_and_lists_of_one_where_several_are():
    assert asked({"text": SENTENCES, "label": PYTHON}, task="single", label="label")[:2] == ("single", None)
    assert asked({"text": SENTENCES, "label": ["[3]", "[10]"] * 3}, task="multi")[:2] == ("multi", WRITTEN)
    assert asked({"text": SENTENCES, "label": PYTHON}, label_separator=",")[:2] == ("multi", ",")


@pytest.mark.parametrize("odd", ["['anger' 'joy']", "[anger]", "[nan]", "['joy', None]"])
def test_lists_in_cells_some_of_which_are_none(odd):
    with pytest.raises(DataError, match=r"in 'label', and lists such as \['anger', 'joy'\] beside it; .* Write it so"):
        asked({"text": ANSWERS[:18], "label": [*PYTHON[:5], odd] * 3})


@pytest.mark.parametrize("form", [str, list])
def test_of_lists_of_numbers_and_of_their_names_the_names_are_the_labels(form):
    ids = [[0], [1], [0, 1], [1], [0], [1]]
    names = [[("anger", "joy")[one] for one in row] for row in ids]
    columns = {"label": list(map(form, ids)), "label_name": list(map(form, names))}
    assert asked({"text": SENTENCES, **columns})[2] == "label_name"
