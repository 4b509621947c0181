"""From files, folders, frames and lists to splits with fixed columns."""

import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from classifine.config import Data
from classifine.data.columns import Columns
from classifine.data.read import from_lists, from_rows, read_splits, read_to_judge
from classifine.data.row import text_of
from classifine.errors import DataError
from classifine.labels import Labels

TEXTS = ["late parcel", "charged twice", "great shop", "lost box", "card refused", "thank you all"]
LABELS = ["a", "b", "a", "b", "b", "a"]


def jsonl(path, texts=TEXTS, labels=LABELS, **names):
    text, label = names.get("text", "text"), names.get("label", "label")
    lines = [json.dumps({text: t, label: y}) for t, y in zip(texts, labels, strict=True)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(path, **settings):
    return read_splits(Data(source=str(path), **settings))


def test_every_split_has_the_fixed_columns(tmp_path):
    splits = read(jsonl(tmp_path / "a.jsonl", text="tweet", label="sentiment"))
    train = splits.train
    assert train.table.schema.names == ["id", "text", "text_pair", "labels"]
    assert (train.ids, train.texts, train.labels) == ([1, 2, 3, 4, 5, 6], TEXTS, LABELS)
    assert (train.name, train.source, len(train)) == ("train", str(tmp_path / "a.jsonl"), 6)
    assert (splits.columns.text, splits.columns.label) == (("tweet",), "sentiment")
    assert splits.all == (train,)


def test_take_keeps_row_numbers(tmp_path):
    part = read(jsonl(tmp_path / "a.jsonl")).train.take([4, 1], "test")
    assert (part.name, part.ids, part.texts) == ("test", [5, 2], [TEXTS[4], TEXTS[1]])


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [
        (["10", "2", "1", "2", "10", "1"], "str", ("1", "2", "10")),
        ([10, 2, 1, 2, 10, 1], "int", ("1", "2", "10")),
        ([3.0, 1.0, 3.0, 1.0, 1.0, None], "int", ("1", "3")),
        ([True, False, True, False, False, True], "bool", ("False", "True")),
        ([" b", "b", "a ", "a", "b", "a"], "str", ("a", "b")),
    ],
)
def test_labels_of_every_type(tmp_path, values, kind, names):
    splits = read(jsonl(tmp_path / "a.jsonl", labels=values))
    assert splits.label_set == Labels(names, kind)
    assert splits.train.labels == [None if value is None else str(value).strip().removesuffix(".0") for value in values]


def features(names):
    import datasets

    return datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})


def test_declared_classes_keep_their_order(tmp_path):
    import datasets

    columns = {"text": TEXTS, "label": [2, 0, 2, 0, 0, -1]}
    rows = datasets.Dataset.from_dict(columns, features=features(["World", "Sports", "Business"]))
    rows.to_parquet(tmp_path / "a.parquet")
    splits = read(tmp_path / "a.parquet")
    assert splits.train.labels == ["Business", "World", "Business", "World", "World", None]
    assert splits.declared == ("World", "Sports", "Business")
    assert splits.label_set.names == ("World", "Business")


def test_two_columns_are_joined_and_empty_ones_left_out(tmp_path):
    lines = [
        "title,description,label",
        "Late,It is late,a",
        ",Only a body,b",
        "Only a title,,a",
        ",,b",
        " ,Blank title,b",
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    splits = read(tmp_path / "a.csv")
    assert splits.columns.text == ("title", "description")
    assert splits.train.texts == ["Late It is late", "Only a body", "Only a title", None, "Blank title"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"a": "x"}, "x"),
        ({"a": " x "}, " x "),
        ({"a": "  "}, "  "),
        ({"a": None}, None),
        ({}, None),
        ({"a": float("nan"), "b": "y"}, "y"),
        ({"a": pd.NA, "b": None}, None),
        ({"a": "x", "b": 3}, "x 3"),
        ({"a": "x", "b": ""}, "x"),
    ],
)
def test_text_of(row, expected):
    assert text_of(row, ("a", "b") if "b" in row else ("a",)) == expected


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train.jsonl", "validation.jsonl", "test.jsonl"),
        ("Training.jsonl", "dev.jsonl", "TEST.jsonl"),
        ("train.jsonl", "val.jsonl", None),
        ("train.jsonl", "valid.jsonl", None),
        ("train.jsonl", None, None),
    ],
)
def test_a_folder_of_split_files(tmp_path, train, validation, test):
    for name, count in ((train, 6), (validation, 4), (test, 2)):
        if name:
            jsonl(tmp_path / name, TEXTS[:count], LABELS[:count])
    (tmp_path / "README.md").write_text("about", encoding="utf-8")
    splits = read(tmp_path)
    assert [len(split) for split in splits.all] == [6] + [4] * bool(validation) + [2] * bool(test)
    assert [split.name for split in splits.all] == ["train"] + ["validation"] * bool(validation) + ["test"] * bool(test)


def test_shards_are_one_split_in_order(tmp_path):
    jsonl(tmp_path / "train-00001-of-00002.jsonl", TEXTS[4:], LABELS[4:])
    jsonl(tmp_path / "train-00000-of-00002.jsonl", TEXTS[:4], LABELS[:4])
    splits = read(tmp_path)
    assert (splits.train.texts, splits.train.ids) == (TEXTS, [1, 2, 3, 4, 5, 6])


def test_named_files_stand_in_for_those_of_the_folder(tmp_path):
    jsonl(tmp_path / "train.jsonl")
    jsonl(tmp_path / "test.jsonl")
    other = jsonl(tmp_path / "other.jsonl", TEXTS[:2], LABELS[:2])
    splits = read(tmp_path, test=str(other), validation=str(other))
    assert [len(split) for split in splits.all] == [6, 2, 2]
    assert splits.test.source == str(other)


def test_splits_may_be_of_different_forms(tmp_path):
    jsonl(tmp_path / "train.jsonl")
    (tmp_path / "test.csv").write_text("label,text\na,new one\n", encoding="utf-8")
    assert read(tmp_path).test.texts == ["new one"]


def test_a_split_without_the_column_is_named(tmp_path):
    jsonl(tmp_path / "train.jsonl")
    jsonl(tmp_path / "test.jsonl", text="body")
    with pytest.raises(DataError, match=r"test\.jsonl has no column 'text', which .*train\.jsonl has\. It has 'body'"):
        read(tmp_path)


def test_minus_one_in_a_test_file_is_no_label(tmp_path):
    jsonl(tmp_path / "train.jsonl", labels=[0, 1, 0, 1, 1, 0])
    jsonl(tmp_path / "test.jsonl", labels=[-1] * 6)
    splits = read(tmp_path)
    assert splits.test.labels == [None] * 6
    assert splits.label_set.names == ("0", "1")


def test_minus_one_is_a_class_where_train_has_it(tmp_path):
    jsonl(tmp_path / "train.jsonl", labels=[-1, 1, -1, 1, 1, -1])
    jsonl(tmp_path / "test.jsonl", labels=[-1, 1, -1, 1, 1, -1])
    splits = read(tmp_path)
    assert splits.label_set.names == ("-1", "1")
    assert splits.test.labels == ["-1", "1", "-1", "1", "1", "-1"]


def test_notes_say_what_was_guessed(tmp_path):
    (tmp_path / "a.csv").write_bytes("text;label\nCafé, thé;a\nThé;b\n".encode("cp1252"))
    path = tmp_path / "a.csv"
    assert read(path).notes == (
        f"{path}: read as cp1252, a guess (--encoding changes it)",
        f"{path}: columns separated by ';' (--delimiter changes it)",
        "labels from column 'label' (--label changes it)",
        "texts from column 'text' (--text changes it)",
    )


def test_a_data_frame():
    frame = pd.DataFrame({"text": [*TEXTS[:5], None], "label": [1, 2, 1, 2, np.nan, 1]})
    splits = from_rows(frame.to_dict("records"), Data())
    assert splits.train.labels == ["1", "2", "1", "2", None, "1"]
    assert splits.train.texts == [*TEXTS[:5], None]
    assert splits.kind == "int"
    assert splits.train.source == "the data frame"


def test_a_data_frame_of_nullable_types():
    frame = pd.DataFrame(
        {"text": pd.array([*TEXTS[:5], pd.NA], "string"), "label": pd.array([1, 2, 1, 2, None, 1], "Int64")}
    )
    splits = from_rows(frame.to_dict("records"), Data())
    assert splits.train.labels == ["1", "2", "1", "2", None, "1"]
    assert splits.train.texts[5] is None
    assert splits.kind == "int"


def test_lists():
    split = from_lists(["x", "y"], [True, 3.0], "validation")
    assert (split.name, split.source, split.labels) == ("validation", "the validation texts", ["True", "3"])
    with pytest.raises(DataError, match="Got 2 texts and 1 labels"):
        from_lists(["x", "y"], [1])


def test_the_hub_is_asked_for_a_set_and_its_declared_classes(monkeypatch):
    import datasets

    rows = datasets.Dataset.from_dict({"text": TEXTS, "label": [1, 0, 1, 0, 0, 1]}, features=features(["zero", "an"]))
    asked = []
    found = datasets.DatasetDict({"train": rows, "dev": rows, "unsupervised": rows})
    monkeypatch.setattr(datasets, "load_dataset", lambda *names: asked.append(names) or found)
    splits = read("me/tickets:small")
    assert asked == [("me/tickets", "small")]
    assert [split.name for split in splits.all] == ["train", "validation"]
    assert splits.label_set.names == ("zero", "an")
    assert splits.train.labels == ["an", "zero", "an", "zero", "zero", "an"]


def test_a_mistyped_path_below_a_folder_that_is_here_is_not_asked_for(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setattr(datasets, "load_dataset", lambda *names: pytest.fail("nobody's folder names go to the Hub"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "customers").mkdir()
    with pytest.raises(DataError, match="customers/acme"):
        read("customers/acme")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError("nothing there\nat all"), r"no set of this name came from the Hub: me/x \(nothing there\)"),
        (ConnectionError("offline"), r"me/x \(offline\)\. Check the name"),
        (ValueError("Config name is missing."), "did not load: Config name is missing. Add a subset as me/x:SUBSET"),
    ],
)
def test_what_the_hub_answers_becomes_a_sentence(monkeypatch, error, words):
    import datasets

    def fail(*names):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=words):
        read("me/x")


def test_a_set_without_train_says_what_it_has(monkeypatch):
    import datasets

    rows = datasets.Dataset.from_dict({"text": TEXTS, "label": LABELS})
    monkeypatch.setattr(datasets, "load_dataset", lambda *names: datasets.DatasetDict({"corpus": rows}))
    with pytest.raises(
        DataError, match=r"me/x has no train split, nor one to judge on\. It has corpus\. Choose another set"
    ):
        read("me/x")


def test_rows_to_judge_come_from_the_test_file_alone(tmp_path):
    (tmp_path / "test.csv").write_text("body,team\none two,a\nthree four,b\nfive six,a\n")
    found = read_to_judge(Data(source=str(tmp_path)), Columns(("body",), "team"))
    rows = found.train
    assert rows.texts == ["one two", "three four", "five six"]
    assert rows.labels == ["a", "b", "a"]
    assert found.notes == (f"judged on {tmp_path / 'test.csv'} (3 rows)",)


def test_rows_to_judge_may_have_other_columns_than_those_trained_on(tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("text,label\none two,a\nthree four,b\nfive six,a\nseven eight,b\n")
    found = read_to_judge(Data(source=str(path)), Columns(("body",), "team"))
    assert (found.train.labels, found.columns.label) == (["a", "b", "a", "b"], "label")
    assert "labels from column 'label', as there is no 'team' (--label changes it)" in found.notes
    named = read_to_judge(Data(source=str(path), label="label"), Columns(("body",), "team"))
    assert not any("labels from" in note for note in named.notes)


def test_columns_of_0_and_1_in_the_place_of_a_label_are_said(tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("body,a,b\none two,1,0\nthree four,0,1\nfive six,1,0\n")
    notes = read_to_judge(Data(source=str(path)), Columns(("body",), "team")).notes
    assert "a label in each of the columns 'a', 'b', as there is no 'team' (--label changes it)" in notes


def test_the_error_of_a_cell_is_no_label_and_says_neither_yes_nor_no(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    for row in [("text", "team"), *zip(TEXTS, ["a", "b", "#DIV/0!", "#REF!", "b", "a"], strict=True)]:
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read(tmp_path / "a.xlsx").train.labels == ["a", "b", None, None, "b", "a"]
    flags = "text,rude,late\n" + "".join(f"{text},{i % 2},{'#N/A' if i == 4 else 1}\n" for i, text in enumerate(TEXTS))
    (tmp_path / "flags.csv").write_text(flags, "utf-8")
    with pytest.raises(DataError, match="has '#N/A' in 'late'; expected 0 or 1"):
        read(tmp_path / "flags.csv")


@pytest.mark.parametrize(("yes", "no"), [("TRUE", "FALSE"), ("true", "false"), ("True ", " False")])
@pytest.mark.parametrize("named", [(), ("rude", "late")])
def test_truth_is_known_in_every_spelling(yes, no, named, tmp_path):
    flags = [(no, yes), (yes, yes), (no, no), (yes, no), (no, yes), (no, no)]
    lines = [f"{text},{rude},{late}" for text, (rude, late) in zip(TEXTS, flags, strict=True)]
    (tmp_path / "a.csv").write_text("\n".join(["text,rude,late", *lines]), "utf-8")
    found = read(tmp_path / "a.csv", label=named)
    assert found.train.labels == [("late",), ("rude", "late"), (), ("rude",), ("late",), ()]


def test_a_mark_of_thousands_is_found_in_every_row(tmp_path):
    prices = [str(300 + i) for i in range(1100)] + ["1,250"]
    path = jsonl(tmp_path / "a.jsonl", [f"text {i}" for i in range(1101)], prices)
    with pytest.raises(DataError, match=r"a\.jsonl has '1,250' in 'label', where a mark seems to part thousands"):
        read(path, task="score")
    with pytest.raises(DataError, match=r"Write 1250 \(1\.2500 if it is a decimal number\)\.$"):
        read_to_judge(Data(source=str(path)), Columns(("text",), "label", task="score"))


@pytest.mark.parametrize(
    ("lists", "names", "kind"),
    [
        ([["a|b", "it's"], ["it's"], [], ["a|b"], ["c, d"], ["c, d", "é\n"]], ("a|b", "c, d", "it's", "é\n"), "str"),
        ([[3, 10], [3], [], [10], [10, 3], [3]], ("3", "10"), "int"),
    ],
)
@pytest.mark.parametrize("form", [str, json.dumps])
def test_lists_are_the_same_in_a_cell_of_csv(lists, names, kind, form, tmp_path):
    pd.DataFrame({"text": TEXTS, "labels": map(form, lists)}).to_csv(tmp_path / "a.csv", index=False)
    in_csv, in_json = read(tmp_path / "a.csv"), read(jsonl(tmp_path / "a.jsonl", labels=lists, label="labels"))
    assert in_csv.train.labels == in_json.train.labels
    assert in_csv.label_set == in_json.label_set
    assert (set(in_csv.label_set.names), in_csv.kind) == ({name.strip() for name in names}, kind)
    judged = read_to_judge(Data(source=str(tmp_path / "a.csv")), in_csv.columns)
    assert judged.train.labels == in_csv.train.labels
    judged = read_to_judge(Data(source=str(tmp_path / "a.jsonl")), in_csv.columns)
    assert judged.train.labels == in_csv.train.labels


def test_a_cell_without_a_list_among_lists_is_named(tmp_path):
    cells = ["['a', 'b']", "['a']", None] * 400 + ["a"]
    path = jsonl(tmp_path / "a.jsonl", [f"text {i}" for i in range(1201)], cells)
    with pytest.raises(DataError, match=r"row 1201 of .* has 'a' as labels; expected a list such as \['a', 'b'\]"):
        read(path)
    splits = read(jsonl(tmp_path / "b.jsonl", [f"text {i}" for i in range(1200)], cells[:1200]))
    assert splits.train.labels[:3] == [("a", "b"), ("a",), None]


def test_a_folder_without_train_cannot_be_trained_on(tmp_path):
    (tmp_path / "test.csv").write_text("text,label\none,a\ntwo,b\n")
    with pytest.raises(DataError, match="has no train file"):
        read_splits(Data(source=str(tmp_path)))


PAIR = Columns(("sentence1",), "label", pair="sentence2")


@pytest.mark.parametrize(
    ("header", "trained", "wanted", "words"),
    [
        ("sentence1,hyp,label", PAIR, {}, "no column 'sentence2'; the classifier judges pairs of texts"),
        ("text,hyp,label", Columns(("text",), "label"), {"text_pair": "hyp"}, r"--text-pair is hyp, .* Drop --text-pair"),
        ("premise,hypothesis,label", Columns(("text",), "label"), {}, r"the second in 'hypothesis'; .* Name the --text"),
    ],
)  # fmt: skip
def test_pairs_and_single_texts_are_not_judged_as_one_another(header, trained, wanted, words, tmp_path):
    path = tmp_path / "judge.csv"
    path.write_text(
        f"{header}\n" + "one text of some words,another text,yes\nmore of the words,and other ones,no\n" * 3
    )
    with pytest.raises(DataError, match=words):
        read_to_judge(Data(source=str(path), **wanted), trained)


def test_pairs_are_judged_by_the_columns_that_hold_them(tmp_path):
    path = tmp_path / "judge.csv"
    path.write_text("premise,hypothesis,label\n" + "some words of one,another text,yes\nmore,and other ones,no\n" * 3)
    assert read_to_judge(Data(source=str(path)), PAIR).columns.pair == "hypothesis"
    assert read_to_judge(Data(source=str(path), text_pair="hypothesis"), PAIR).columns.text == ("premise",)


def test_shards_of_text_are_read_together_also_gzipped(tmp_path):
    for part in range(2):
        with gzip.open(tmp_path / f"train-0000{part}-of-00002.jsonl.gz", "wt") as file:
            file.writelines(
                json.dumps({"text": text, "label": y}) + "\n" for text, y in zip(TEXTS, LABELS, strict=True)
            )
    assert len(read(tmp_path).train) == 2 * len(TEXTS)


def test_half_a_letter_in_a_label_is_no_letter(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f'{{"text": "{text}", "label": "good\\ud83d"}}\n' for text in TEXTS))
    assert set(read(path, label=("label",)).train.labels) == {"good?"}
    path.write_text("".join(f'{{"text": "{text}", "label": ["good\\ud83d", "b"]}}\n' for text in TEXTS))
    assert set(read(path).train.labels) == {("good?", "b")}


def test_codes_with_commas_are_several_where_several_are_asked_for(tmp_path):
    codes = ["1,2", "3", "2,4", "1", "1,4", "2,3"]
    path = jsonl(tmp_path / "a.jsonl", labels=codes)
    assert read(path).task == "score"
    assert read(path, task="multi").train.labels == [tuple(cell.split(",")) for cell in codes]
    one = read(jsonl(tmp_path / "b.jsonl"), task="multi")
    assert "'label' has one label in each row (--label-separator tells what parts several)" in one.notes


def test_more_text_than_a_plain_column_of_arrow_holds():
    texts = from_lists(["x", "y"], ["a", "b"]).table.schema.field("text").type
    assert texts == pa.large_string()  # its offsets have 64 bits; those of plain strings end at two gibibytes
