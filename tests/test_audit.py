"""Faults that were planted are found, listed in order, and mended as the reviewed list says."""

import csv
import json
import random
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import TOPICS, made_up, write_csv

from classifine import audit as auditing
from classifine import cli
from classifine.config import build
from classifine.data.copies import families, near_copies
from classifine.data.formats import open_table
from classifine.data.read import Splits, from_lists, read_splits
from classifine.data.write import write_rows
from classifine.errors import ConfigError, DataError, OutputError
from classifine.labels import Labels
from classifine.report import suspects
from classifine.report.audit import COLUMNS, Finding, Rows
from classifine.report.audit import audit as look
from classifine.report.curve import gain_of_doubling, learning_curve

STORY = "The committee of the northern harbour approved a new budget on Thursday evening after a long debate about {}"
SUBJECTS = ("ferries", "the lighthouse", "fishing quotas", "cranes from Rotterdam", "a museum of ropes", "night trains")


def quiet(line):
    """Say nothing."""


def clouds(rows, classes, width=8, seed=0):
    """(vectors of length 1, class ids): each class around a direction of its own."""
    draw = np.random.default_rng(seed)
    targets = np.arange(rows) % classes
    vectors = 3 * np.eye(width)[targets] + draw.normal(size=(rows, width)) * 0.5
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), targets


def alone(rows):
    return np.arange(rows)


def config(source, base, **data):
    return build({"data": {"source": str(source), **data}, "model": {"base": str(base), "max_length": 32}})


def lines_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows_of(path):
    """The rows of a file of any form."""
    return list(open_table(path, build({}).data).rows())


def write_any(path, rows):
    """A file of rows (dictionaries), in the form that its ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def applied(source, suggested, output, row=2, **data):
    """The rows of `source` after the row numbered `row` (from 1) was labelled `suggested`, by way of the file `output`."""
    text = rows_of(source)[row - 1]["text"]
    line = {"row": row, "suggested": suggested, "text": text, "action": "relabel"}
    reviewed = write_any(source.with_name("reviewed.jsonl"), [line])
    given = build({"data": {"source": str(source), "text": "text", "label": "label", **data}})
    auditing.apply(given, reviewed, output, False, quiet)
    return rows_of(output)


def texts(count):
    return [f"text number {i}" for i in range(count)]


def decide(path, actions):
    """Fill in the column `action` of a list: a function from its lines (dictionaries) to a word."""
    lines = lines_of(path)
    for line in lines:
        line["action"] = actions(line)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return lines


@pytest.fixture(scope="module")
def flipped(tmp_path_factory):
    """(file, numbers of the rows that got a wrong label): 240 tickets, 12 of them wrong."""
    rows = made_up(240, seed=3)
    wrong = sorted(random.Random(0).sample(range(240), 12))
    names = list(TOPICS)
    for i in wrong:
        rows[i] = (rows[i][0], names[(names.index(rows[i][1]) + 1) % 3])
    return write_csv(tmp_path_factory.mktemp("flipped") / "tickets.csv", rows), {i + 1 for i in wrong}


# --- near duplicates ----------------------------------------------------------------------------------------------


def test_typing_errors_case_and_added_words_are_found():
    whole = STORY.format("ferries and their timetable")
    altered = [
        whole.replace("committee", "comittee").replace("budget", "bugdet"),
        whole.upper(),
        f"Breaking: {whole}, as we hear",
    ]
    others = [f"{subject} in the news of {number} towns" for number, subject in enumerate(SUBJECTS)]
    found = near_copies([whole, *others, *altered])
    places = {pair.first for pair in found} | {pair.second for pair in found}
    assert places == {0, len(others) + 1, len(others) + 2, len(others) + 3}


def test_many_wrong_letters_still_make_a_copy():
    whole = " ".join(STORY.format(subject) for subject in SUBJECTS[:2])
    letters = list(whole)
    letters[5::13] = "x" * len(letters[5::13])
    assert [(pair.first, pair.second) for pair in near_copies([whole, "".join(letters)])] == [(0, 1)]


def test_what_differs_in_case_and_marks_alone_is_alike_in_full_and_exact_copies_are_not_listed():
    found = near_copies(["Where is my parcel?", "Where is my parcel?", "where is my PARCEL", "i was charged twice"])
    assert [(pair.first, pair.second, pair.likeness) for pair in found] == [(0, 2, 1.0)]


def test_texts_of_one_subject_are_no_copies():
    assert near_copies(["the ferry was late again", "ferries are hardly ever late", "", "!", "ok", "no"]) == []


def test_each_of_many_copies_is_found():
    family = [f"{STORY.format('ferries')} and trains, {number}" for number in range(40)]
    found = near_copies(family)
    assert {pair.second for pair in found} | {pair.first for pair in found} == set(range(40))
    assert len(set(families(family, found))) == 1


def test_families_join_exact_copies_too():
    texts = ["one text", "One text!", "quite another thing"]
    assert families(texts, [])[0] == families(texts, [])[1] != families(texts, [])[2]


# --- labels -------------------------------------------------------------------------------------------------------


def test_flipped_labels_come_first_with_the_right_suggestion():
    vectors, truth = clouds(300, 3)
    targets = truth.copy()
    wrong = np.arange(0, 300, 20)
    targets[wrong] = (truth[wrong] + 1) % 3
    found = suspects.judge_labels([vectors], targets, "single", alone(300), 1).errors
    assert len({one.row for one in found[:15]} & set(wrong)) >= 13
    assert all(one.suggested == truth[one.row] for one in found[:13])
    assert [one.score for one in found] == sorted(one.score for one in found)


def test_columns_follow_the_class_ids_also_where_a_fold_lacks_some():
    vectors, targets = clouds(60, 3)
    targets = np.where(targets == 2, 4, targets)  # ids 2 and 3 have no row
    scores = suspects.out_of_sample([vectors], targets, "single", np.arange(60) % 5)
    assert scores.shape == (60, 5)
    assert (scores.argmax(axis=1) == targets).all()
    assert not scores[:, 2:4].any()


def test_names_are_right_where_their_order_is_not_the_alphabet():
    vectors, truth = clouds(90, 3)
    names = np.array(["10", "9", "2"])[truth]  # Labels has 2, 9, 10; sorted as text they are 10, 2, 9
    wrong = range(0, 90, 18)  # of class 0, "10"
    names[wrong] = "2"
    texts = [text for text, _ in made_up(90)]  # of three topics in turn, as the classes are
    rows = Rows.of(Splits(from_lists(texts, [str(name) for name in names])))
    assert rows.labels.names == ("2", "9", "10")
    first = look(rows, vectors, False, 1).findings[:4]
    assert {one.row for one in first} <= {i + 1 for i in wrong}
    assert {(one.kind, one.label, one.suggested) for one in first} == {("label-error", "2", "10")}


def test_rare_classes_are_told_and_not_judged():
    vectors, targets = clouds(100, 3)
    targets = np.where(np.arange(100) == 7, 3, targets)
    found = suspects.judge_labels([vectors], targets, "single", alone(100), 1)
    assert found.rare == (3,)
    assert 7 not in {one.row for one in found.errors}


def test_a_copy_does_not_vouch_for_a_wrong_label():
    fold = suspects.folds([0] * 20, np.repeat(np.arange(10), 2), 1)
    assert (fold[::2] == fold[1::2]).all()
    assert sorted(np.bincount(fold)) == [4] * 5


def test_rows_by_a_template_are_spread_over_the_folds():
    fold = suspects.folds([i % 2 for i in range(40)], np.zeros(40, dtype=np.int64), 1)
    assert sorted(np.bincount(fold)) == [8] * 5
    few = suspects.folds([0] * 30 + [1] * 5, np.r_[np.arange(30), [30, 30, 31, 31, 31]], 1)
    assert len(set(few[30:])) > 1


def test_a_wrong_one_of_several_labels():
    vectors, truth = clouds(200, 3)
    targets = np.eye(3, dtype=np.float32)[truth]
    targets[5, 0] = 1  # one too many
    targets[9] = 0  # none left
    found = {one.row: one for one in suspects.judge_labels([vectors], targets, "multi", alone(200), 1).errors}
    assert found[5].suggested == (int(truth[5]),)
    assert found[9].suggested == (int(truth[9]),)


def test_a_number_far_from_what_the_text_says():
    vectors, truth = clouds(200, 3)
    targets = (truth + np.random.default_rng(0).normal(scale=0.1, size=200)).astype(np.float32)
    targets[4] += 9
    found = suspects.judge_labels([vectors], targets, "score", alone(200), 1).errors
    assert found[0].row == 4
    assert abs(found[0].suggested - truth[4]) < 1


def test_outliers_lie_apart():
    vectors, _ = clouds(200, 3)
    vectors[11] = -np.ones(8) / np.sqrt(8)
    found = suspects.outliers(vectors, 1)
    assert found[0].row == 11
    assert 0 < found[0].score < 1
    assert suspects.outliers(vectors[:10], 1) == []


def test_classes_that_overlap():
    vectors, targets = clouds(300, 3)
    mixed = np.where((targets == 1) & (np.arange(300) % 4 == 0), 2, targets)
    found = suspects.judge_labels([vectors], mixed, "single", alone(300), 1).overlaps
    assert {found[0].one, found[0].other} == {1, 2}


# --- the learning curve -------------------------------------------------------------------------------------------


def test_the_curve_grows_on_nested_parts():
    vectors, targets = clouds(400, 3)
    vectors = vectors + np.random.default_rng(1).normal(scale=0.4, size=vectors.shape)
    curve = learning_curve(vectors, targets, Labels(("a", "b", "c")), alone(400), 1)
    assert [point.rows for point in curve.points] == [40, 80, 160, 320]
    assert curve.points[0].value < curve.points[-1].value
    assert 0 <= curve.gain < 1 - curve.points[-1].value
    assert len(curve.class_gains) == 3
    assert sum("f1" in line for line in curve.lines()) >= 3


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("single", ["a"]), ("single", ["a", "b"]), ("single", ["a", "b", "a"]), ("score", [0.5]), ("score", [0.5, 2.0, 1.0]),
        ("multi", [[]] * 24),
    ],
)  # fmt: skip
def test_a_few_labels_are_neither_judged_nor_drawn(task, labels):
    vectors, _ = clouds(24, 3)
    words = [text for text, _ in made_up(24)]
    given = [*labels, *[None] * (24 - len(labels))]
    found = look(Rows.of(Splits(from_lists(words, given, task=task), task=task)), vectors, True, 1)
    assert found.curve is None
    assert found.counts["label-error"] == 0


def test_the_gain_of_doubling_goes_on_as_a_power_of_the_rows():
    rows = [100, 200, 400, 800]
    values = [1 - 2 * n**-0.5 for n in rows]
    assert gain_of_doubling(rows, values) == pytest.approx(2 * 800**-0.5 - 2 * 1600**-0.5)
    assert gain_of_doubling(rows, [0.9, 0.9, 0.8, 0.8]) == 0


# --- the list, and what is made of it -----------------------------------------------------------------------------


def test_planted_flips_are_listed_first_and_mended(flipped, base, tmp_path):
    source, wrong = flipped
    before = source.read_bytes()
    out, mended = tmp_path / "audit.csv", tmp_path / "mended.csv"
    found = auditing.audit(config(source, base), out, False, False, quiet)
    lines = lines_of(out)
    assert tuple(lines[0]) == COLUMNS
    assert tuple(lines[0])[:6] == ("row", "kind", "label", "suggested", "score", "text")
    assert len(lines) == sum(found.counts.values())
    first = {int(line["row"]) for line in lines[:12]}
    assert len(first & wrong) >= 8
    decide(out, lambda line: "Relabel" if line["kind"] == "label-error" and int(line["row"]) in wrong else "")
    auditing.apply(config(source, base), out, mended, False, quiet)
    truth, rows = dict(made_up(240, seed=3)), [(line["text"], line["label"]) for line in lines_of(mended)]
    listed = {int(line["row"]) for line in lines if line["kind"] == "label-error"}
    assert len(rows) == 240
    assert sum(truth[text] != label for text, label in rows) == len(wrong - listed)
    assert source.read_bytes() == before


def test_near_duplicates_across_splits_of_a_folder(base, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = made_up(60)
    write_csv(folder / "train.csv", [*rows[:50], (STORY.format(SUBJECTS[1]), "praise")])
    write_csv(folder / "test.csv", [*rows[50:], (STORY.format(SUBJECTS[1]).replace("Thursday", "Thrusday"), "praise")])
    out = tmp_path / "list.csv"
    auditing.audit(config(folder, base), out, False, False, quiet)
    near = {(line["split"], line["row"]): line for line in lines_of(out) if line["kind"] == "near-duplicate"}
    assert near["test", "11"]["suggested"] == "row 51 of train"
    assert near["train", "51"]["suggested"] == "row 11 of test"
    decide(out, lambda line: "drop" if (line["split"], line["row"]) == ("train", "51") else "keep")
    auditing.apply(config(folder, base), out, tmp_path / "clean", False, quiet)
    cleaned = read_splits(config(tmp_path / "clean", base).data)
    assert sorted(path.name for path in (tmp_path / "clean").iterdir()) == ["test.csv", "train.csv"]
    assert (len(cleaned.train), len(cleaned.test)) == (50, 11)


@pytest.mark.parametrize(
    ("rows", "header", "label", "suggested", "expected"),
    [
        ([("a b c", "x;y", "1"), ("d e f", "x", "2"), ("g h i", "y;x", "3"), ("j k l", "y", "4")] * 3,
         ("text", "labels", "more"), ["labels"], "y|x", {"labels": "y;x"}),
        ([("a b c", 1, 0), ("d e f", 1, 1), ("g h i", 0, 1), ("j k l", 0, 0)] * 3,
         ("text", "late", "broken"), ["late", "broken"], "broken", {"late": "0", "broken": "1"}),
        ([("a b c", "TRUE", "false"), ("d e f", "TRUE", "true"), ("g h i", "FALSE", "true")] * 3,
         ("text", "late", "broken"), ["late", "broken"], "broken", {"late": "FALSE", "broken": "true"}),
        ([("a b c", 0.5), ("d e f", 1.5), ("g h i", 2.25)] * 3, ("text", "score"), ["score"], "4.5", {"score": "4.5"}),
    ],
)  # fmt: skip
def test_labels_of_every_kind_are_written_in_the_form_of_the_data(rows, header, label, suggested, expected, tmp_path):
    source = write_csv(tmp_path / "data.csv", rows, header)
    reviewed = write_csv(
        tmp_path / "r.csv", [(2, "label-error", suggested, rows[1][0], "relabel")],
        ("row", "kind", "suggested", "text", "action"),
    )  # fmt: skip
    given = build({"data": {"source": str(source), "text": "text", "label": label}})
    auditing.apply(given, reviewed, tmp_path / "new.csv", False, quiet)
    before, after = lines_of(source), lines_of(tmp_path / "new.csv")
    assert after[1] == {**before[1], **expected}
    assert after[:1] + after[2:] == before[:1] + before[2:]


@pytest.mark.parametrize(
    ("labels", "suggested", "expected"),
    [
        ([1, 2, "other"], "other", "other"),
        ([1, 2, "other"], 1, 1),
        ([1, None, 2], "2", 2),
        ([0.0, 1.0], 0, 0.0),
        ([True, False], "True", True),
        ([["x"], ["x", "y"], None], ["y"], ["y"]),
        ([["x"], None, ["y"]], "x|y", ["x", "y"]),
        ([["x"], ["x", "y"], []], "", []),
        ([["x"], ["x", "y"], []], [], []),
        ([[1], [1, 2], []], "2|1", [2, 1]),
        ([["a|b"], ["c"], ["a"]], "a|b|c", ["a|b", "c"]),
        ([["a|b"], ["c"], ["a"]], ["a|b"], ["a|b"]),
        (["x;y", "x", "y", "y;x"], "y|x", "y;x"),
        (["['x', 'y']", "['x']", "[]", "['y', '[]']"], "y|x", "['y', 'x']"),
        (["['x', 'y']", "['x']", "[]", "['y', '[]']"], "[]|x", "['[]', 'x']"),
        (["['x', 'y']", "['x']", "[]", None], "", "[]"),
        (['["x", "y"]', '["x"]', "[]", '["y"]'], "y|x", '["y", "x"]'),
        (["[1, 2]", "[1]", "[]", "[2]"], "2|1", "[2, 1]"),
        ([0.5, 1, 2.25], 3.7, 3.7),
        (["0.5", "1", "2.25"], 3.5, "3.5"),
        ([0.5, 1, 2.25], "3", 3),
    ],
)  # fmt: skip
def test_a_new_label_is_written_as_the_others_are(labels, suggested, expected, tmp_path):
    rows = [{"text": text, "label": labels[i % len(labels)]} for i, text in enumerate(texts(12))]
    source = write_any(tmp_path / "data.jsonl", rows)
    given = {"task": "score"} if 2.25 in labels or "2.25" in labels else {}
    after = applied(source, suggested, tmp_path / "new.jsonl", **given)
    assert repr(after[1]["label"]) == repr(expected)
    assert after[:1] + after[2:] == rows[:1] + rows[2:]


@pytest.mark.parametrize(
    ("kind", "labels", "suggested", "expected", "after"),
    [
        (pa.int32(), [0, 1], "0", 0, pa.int32()),
        (pa.float64(), [0.0, 1.0], "0", 0.0, pa.float64()),
        (pa.int32(), [1, 2], "3.5", 3.5, pa.float64()),
        (pa.float32(), [1.5, 2.5], "3.7", pytest.approx(3.7), pa.float32()),
        (pa.list_(pa.int8()), [[1], [1, 2]], "2", [2], pa.list_(pa.int8())),
    ],
)
def test_one_parquet_file_keeps_the_types_of_its_columns(kind, labels, suggested, expected, after, tmp_path):
    words = texts(4200)
    late = pa.array([None] * 4199 + [0.5], pa.float32())
    given = pa.array([labels[i % 2] for i in range(4200)], kind)
    pq.write_table(pa.table({"text": words, "label": given, "late": late}), tmp_path / "data.parquet")
    task = {"task": "score"} if "." in suggested else {}
    rows = applied(tmp_path / "data.parquet", suggested, tmp_path / "new.parquet", **task)
    schema = pq.read_schema(tmp_path / "new.parquet")
    assert rows[1]["label"] == expected
    assert rows[2]["label"] == labels[0]
    assert (schema.field("label").type, schema.field("late").type) == (after, pa.float32())


@pytest.mark.parametrize(
    ("labels", "output", "suggested", "told"),
    [
        (
            ["x;y", "x", "y", "y;x"],
            "new.jsonl",
            "",
            "asks for none of the labels, .*Choose another label, or drop the row",
        ),
        ([["x"], ["x", "y"], ["y"]], "new.csv", "", r"asks for none of the labels, .*Write \.jsonl instead"),
        ([["x"], ["x", "y"], ["a|b"]], "new.jsonl", "a|b|z", "label 'z'"),
        ([["x"], ["x", "y"], []], "new.csv", "x", r"Row 3 of .* has none of the labels, .*Write \.jsonl instead"),
        ([["x"], ["x", "y"], ["a|b"]], "new.csv", "x", r"Row 3 of .* has the label 'a\|b', which '\|' would part"),
        (["x", "y"], "new.csv", "x|y", "asks for 2 labels, .* holds one.*--label-separator"),
    ],
)
def test_labels_that_the_new_file_could_not_say_are_refused(labels, output, suggested, told, tmp_path):
    rows = [{"text": text, "label": labels[i % len(labels)]} for i, text in enumerate(texts(12))]
    source = write_any(tmp_path / "data.jsonl", rows)
    with pytest.raises((DataError, OutputError), match=told):
        applied(source, suggested, tmp_path / output, task="multi")
    assert not (tmp_path / output).exists()


def test_columns_that_later_rows_bring_are_in_the_new_table(tmp_path):
    rows = [
        {"text": text, "label": "ab"[i % 2], **({"note": "late"} if i == 9 else {})} for i, text in enumerate(texts(10))
    ]
    after = applied(write_any(tmp_path / "data.jsonl", rows), "a", tmp_path / "new.csv")
    assert [row["note"] for row in after] == [None] * 9 + ["late"]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "xlsx"])
def test_labels_in_the_list_are_text_in_every_form(form, tmp_path):
    findings = [
        Finding(1, "label-error", ("x",), ("x", "y"), 0.5, "one", "train"),
        Finding(2, "label-error", 1.5, 3.0, 0.5, "two", "train"),
        Finding(3, "near-duplicate", None, "row 1 of train", 0.5, "three", "train"),
    ]
    write_rows((one.as_row() for one in findings), tmp_path / f"list.{form}", form)
    read = rows_of(tmp_path / f"list.{form}")
    assert [(row["label"], row["suggested"]) for row in read] == [
        ("x", "x|y"), ("1.5", "3"), (None, "row 1 of train")
    ]  # fmt: skip


@pytest.mark.parametrize("there", ["thesis.docx", "runs/train.csv", "train.csv/notes", ""])
def test_a_folder_with_other_things_is_never_replaced(there, tmp_path):
    data, out = tmp_path / "data", tmp_path / "out"
    for folder in (data, out):
        folder.mkdir()
        write_csv(folder / "test.csv", made_up(9))
    write_csv(data / "train.csv", made_up(30))
    if there:
        (out / there).parent.mkdir(exist_ok=True)
        (out / there).write_text("mine")
    reviewed = write_csv(
        tmp_path / "r.csv", [(1, "", made_up(1)[0][0], "drop")], ("row", "suggested", "text", "action")
    )
    given = build({"data": {"source": str(data)}})
    if there:
        with pytest.raises(
            OutputError, match=f"holds {there.partition('/')[0]}; expected a folder with nothing but files"
        ):
            auditing.apply(given, reviewed, out, True, quiet)
        assert (out / there).read_text() == "mine"
    else:
        auditing.apply(given, reviewed, out, True, quiet)
        assert len(lines_of(out / "train.csv")) == 29
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="it is a file"):
        auditing.apply(given, reviewed, tmp_path / "file", True, quiet)


def test_every_mistake_of_a_reviewed_list_is_told_and_nothing_written(tickets, tmp_path):
    texts = [line["text"] for line in lines_of(tickets)]
    reviewed = write_csv(
        tmp_path / "r.csv",
        [
            (1, "label-error", "nonsense", texts[0], "relabel"),
            (2, "label-error", "praise", texts[1], "erase"),
            (3, "label-error", "praise", "some other text", "drop"),
            ("x", "label-error", "praise", texts[3], "drop"),
            (5, "label-error", "praise", texts[4], "relabel"),
            (5, "label-error", "payment", texts[4], "relabel"),
            (6, "near-duplicate", "row 2 of train", texts[5], "relabel"),
            (9999, "label-error", "praise", texts[6], "drop"),
        ],
        ("row", "kind", "suggested", "text", "action"),
    )
    with pytest.raises(DataError) as caught:
        auditing.apply(build({"data": {"source": str(tickets)}}), reviewed, tmp_path / "new.csv", False, quiet)
    told = str(caught.value).splitlines()
    words = ("nonsense", "'erase'", "another text", "'x'", "another label", "row 2 of train", "row 9999 of train")
    assert len(told) == len(words)
    for number, word in enumerate(words):
        assert word in told[number]
    assert not (tmp_path / "new.csv").exists()


def test_drop_goes_before_relabel(tickets, tmp_path):
    text = lines_of(tickets)[0]["text"]
    columns = ("row", "kind", "suggested", "text", "action", "split")
    reviewed = write_csv(
        tmp_path / "r.csv", [(1, "a", "praise", text, "relabel", "train"), (1, "b", "", text, "drop", "train")], columns
    )
    auditing.apply(build({"data": {"source": str(tickets)}}), reviewed, tmp_path / "new.csv", False, quiet)
    assert lines_of(tmp_path / "new.csv") == lines_of(tickets)[1:]


def test_errors_before_any_work(tickets, base, tmp_path, monkeypatch):
    there = tmp_path / "audit.csv"
    there.write_text("decisions")
    with pytest.raises(OutputError, match="exists already"):
        auditing.audit(config(tickets, base), there, False, False, quiet)
    plain = write_csv(tmp_path / "plain.csv", [("a", "b")])
    given = build({"data": {"source": str(tickets)}})
    with pytest.raises(DataError, match="no column 'row'"):
        auditing.apply(given, plain, tmp_path / "new.csv", False, quiet)
    with pytest.raises(OutputError, match="would replace"):
        auditing.apply(given, plain, tickets, True, quiet)
    monkeypatch.setattr(auditing, "PACKAGES", ("cleanlab_that_is_not_there",))
    with pytest.raises(ConfigError, match=r"pip install 'classifine\[audit\]'"):
        auditing.audit(config(tickets, base), tmp_path / "new.csv", False, False, quiet)


def test_the_command_line_offline(socket_disabled, flipped, base, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["classifine", "audit", str(flipped[0]), "--base", str(base), "--curve"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    out = capsys.readouterr().out
    assert "label-error" in out
    assert "twice as many labels" in out
    assert (tmp_path / "audit.csv").exists()
