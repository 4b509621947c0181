"""Every bad input is answered with a sentence: what was found, what was expected, what to do."""

import gzip
import json
import re

import pytest
from datasets import Dataset

from classifine.config import Data, build
from classifine.data.check import check_splits, clean
from classifine.data.read import read_splits
from classifine.data.split import split
from classifine.errors import ClassifineError, ConfigError, DataError
from classifine.labels import Labels
from classifine.settings import load_toml, merge, nested, parse_assignment

TEXTS = [f"message {i} about the {word} we sent" for i, word in enumerate(["parcel", "bill", "shirt", "card"] * 6)]
LABELS = ["delivery", "payment", "return", "payment"] * 6
ROWS = list(zip(TEXTS, LABELS, strict=True))
GOOD = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)


def lines(rows, header="text,label"):
    return "\n".join([header, *(",".join(row) for row in rows)]) + "\n"


def records(rows, text="text", label="label"):
    return "\n".join(json.dumps({text: first, label: second}) for first, second in rows)


def workbook(path):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Codes"
    for row in [("text", "label"), *ROWS]:
        book.active.append(row)
    book.save(path)


def parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), path)


def laid_out(folder, files):
    """Write files: text or bytes as they are, a function by calling it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if callable(content):
            content(path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)


def prepared(folder, source, settings):
    """What `train` does before it trains: read, check, clean, split."""
    paths = {key: str(folder / value) if key in ("test", "validation") else value for key, value in settings.items()}
    config = Data(source=str(folder / source), **paths)
    splits = read_splits(config)
    report = check_splits(splits, config)
    report.raise_errors()
    return split(clean(splits, report.faults), config.validation_share, config.test_share, 42)


# name: (files, source, settings, words that the message must hold)
PAIRED = "premise,hypothesis,label\n" + "".join(f"{text},{text[::-1]},{label}\n" for text, label in ROWS)
FLAGGED = "text,delivery,payment\n" + "".join(f"{text},{i % 2},{1 - i % 2}\n" for i, text in enumerate(TEXTS))
BAD_DATA = {
    "no such file, with a near name": ({"reviews.csv": GOOD}, "review.csv", {}, ["No such file", "Did you mean", "reviews.csv"]),
    "no such file": ({}, "zzz.csv", {}, ["No such file", "zzz.csv", "Check the path"]),
    "missing folder": ({}, "absent/a.csv", {}, ["No such file", "The folder", "absent does not exist either"]),
    "no such test file": ({"a.csv": GOOD}, "a.csv", {"test": "b.csv"}, ["No such file", "b.csv"]),
    "empty file": ({"a.csv": ""}, "a.csv", {}, ["a.csv is empty", "expected rows of texts"]),
    "blank lines only": ({"a.csv": "\n\n\n"}, "a.csv", {}, ["a.csv holds no rows", "expected a header line"]),
    "header only": ({"a.csv": "text,label\n"}, "a.csv", {}, ["a.csv holds no rows", "expected some with a text in each", "Check the file"]),
    "empty list": ({"a.json": "[]"}, "a.json", {}, ["a.json holds no rows", "Check the file"]),
    "empty gzip": ({"a.csv.gz": gzip.compress(b"")}, "a.csv.gz", {}, ["holds no rows", "expected a header line"]),
    "one column": ({"a.csv": "text\nhello there\nhow are you\n"}, "a.csv", {}, ["one column, 'text'", "--delimiter"]),
    "wrong delimiter": ({"a.csv": GOOD}, "a.csv", {"delimiter": ";"}, ["one column, 'text,label'", "--delimiter"]),
    "delimiter of two characters": ({"a.csv": GOOD}, "a.csv", {"delimiter": ";;"}, ["--delimiter is ';;'", "single character"]),
    "plain lines": ({"a.txt": "hello\nyou\n"}, "a.txt", {}, ["one column, 'text'", "a label column"]),
    "binary file as csv": ({"a.csv": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20}, "a.csv", {}, ["a.csv holds NUL bytes", "not a text file", "Save it as csv"]),
    "NUL bytes among text": ({"a.csv": GOOD.encode() + b"ab\x00cd,payment\n"}, "a.csv", {}, ["a.csv holds NUL bytes", "Save it"]),
    "no known encoding": ({"a.csv": b"\x81\x8d\xff\x8f\x9d\xff\xfd\x90" * 50}, "a.csv", {}, ["in no encoding that we know", "--encoding"]),
    "xlsx renamed to csv": ({"a.csv": workbook}, "a.csv", {}, ["a.csv", "not a text file", "xlsx with that ending"]),
    "csv renamed to xlsx": ({"a.xlsx": GOOD}, "a.xlsx", {}, ["a.xlsx is not an xlsx file", "Save it as xlsx or csv"]),
    "csv renamed to parquet": ({"a.parquet": GOOD}, "a.parquet", {}, ["a.parquet is not a Parquet file", "Write it again"]),
    "csv renamed to gz": ({"a.csv.gz": GOOD}, "a.csv.gz", {}, ["a.csv.gz is not a whole gzip file", "Compress it again"]),
    "gzip cut short": ({"a.csv.gz": gzip.compress(GOOD.encode())[:-20]}, "a.csv.gz", {}, ["not a whole gzip file", "Compress it again"]),
    "gzip cut short, encoding named": ({"a.csv.gz": gzip.compress(GOOD.encode())[:40]}, "a.csv.gz", {"encoding": "utf-8"}, ["not a whole gzip file", "Compress it again"]),
    "damaged gzip of json": ({"a.json.gz": gzip.compress(b"[]")[:10] + b"\xff" * 30}, "a.json.gz", {"encoding": "utf-8"}, ["not a whole gzip file", "Compress it again"]),
    "ragged rows": ({"a.csv": GOOD + "well, yes,payment\nshort\n"}, "a.csv", {}, ["header (2)", "row 25 (3), 26 (1)", "quotation marks"]),
    "a quotation mark that is never closed": ({"a.csv": lines([(label, text) for text, label in ROWS], "label,text") + 'payment,"and so\non\n'}, "a.csv", {}, ["inside a quotation mark that row 25 opens", "Close it"]),
    "a huge cell": ({"a.csv": 'text,label\n"' + "long text, payment\n" * 60_000}, "a.csv", {}, ["more than 1,000,000 characters", "quotation mark that is opened and never closed"]),
    "two columns of one name": ({"a.csv": lines([(*row, "x") for row in ROWS], "text,label,label")}, "a.csv", {}, ["two columns named 'label'", "Rename one"]),
    "no header, numbers": ({"a.csv": lines([(text, "1") for text in TEXTS], "message about a parcel,0")}, "a.csv", {}, ["no header", "'message about a parcel, 0'", "Add a line such as text,label"]),
    "no header, names": ({"a.csv": lines(ROWS, "message about a parcel,delivery")}, "a.csv", {}, ["no header", "'delivery'", "Add a line such as text,label"]),
    "one class": ({"a.csv": lines([(text, "same") for text in TEXTS])}, "a.csv", {}, ["only the label 'same'", "expected two classes or more", "--label"]),
    "all labels missing": ({"a.csv": lines([(text, "") for text in TEXTS])}, "a.csv", {}, ["no column that looks like a label", "'text', 'label'", "--label"]),
    "all labels missing in a named column": ({"a.csv": lines([(text, "") for text in TEXTS])}, "a.csv", {"label": "label"}, ["no row with both text and label", "--label"]),
    "all texts missing": ({"a.jsonl": records([(None, label) for label in LABELS])}, "a.jsonl", {}, ["no column with texts", "--text"]),
    "no text column": ({"a.csv": lines([(str(i), label) for i, label in enumerate(LABELS)], "age,label")}, "a.csv", {}, ["no column with texts", "It has 'age'", "--text"]),
    "no label column": ({"a.csv": lines([(text, str(i)) for i, text in enumerate(TEXTS)], "text,number")}, "a.csv", {}, ["no column that looks like a label", "'text', 'number'", "--label"]),
    "unknown label column": ({"a.csv": GOOD}, "a.csv", {"label": "lable"}, ["no column 'lable'", "It has 'text', 'label'", "Did you mean 'label'", "--label"]),
    "unknown text column": ({"a.csv": GOOD}, "a.csv", {"text": ("body",)}, ["no column 'body'", "It has 'text', 'label'", "--text"]),
    "two texts": ({"a.csv": lines([(text, text[::-1], label) for text, label in ROWS], "foo,bar,label")}, "a.csv", {}, ["several columns that could be the text", "'foo'", "'bar'", "--text"]),
    "two labels": ({"a.csv": lines([(text, label, "xyyx"[i % 4] + "z" * (i % 3)) for i, (text, label) in enumerate(ROWS)], "text,foo,bar")}, "a.csv", {}, ["several columns that could be the label: 'foo', 'bar'", "--label"]),
    "invalid json": ({"a.json": '[{"text": "x", "label": 1},'}, "a.json", {}, ["a.json is not valid JSON", "line 1", "Mend it"]),
    "json of another encoding": ({"a.json": '[{"text": "café", "label": 1}]'.encode("latin-1")}, "a.json", {"encoding": "utf-8"}, ["a.json is not utf-8 (byte 0xe9)", "--encoding"]),
    "jsonl named json": ({"a.json": records(ROWS)}, "a.json", {}, ["a.json is not valid JSON", "name it .jsonl"]),
    "json columns of different lengths": ({"a.json": '{"text": ["x", "y"], "label": ["a"]}'}, "a.json", {}, ["columns of different lengths", "'text' 2, 'label' 1", "as many labels as texts"]),
    "json that is a number": ({"a.json": "3"}, "a.json", {}, ["neither records nor columns", '{"text": [...], "label": [...]}']),
    "json of lists": ({"a.json": '[["x", "a"], ["y", "b"]]'}, "a.json", {}, ["neither records nor columns", "Expected"]),
    "broken jsonl line": ({"a.jsonl": records(ROWS[:2]) + '\n{"text": "x\n'}, "a.jsonl", {}, ["a.jsonl is not JSON in line 3", "one object a line"]),
    "jsonl line that is a list": ({"a.jsonl": records(ROWS[:2]) + '\n["x", "a"]\n'}, "a.jsonl", {}, ["no object in line 3", "expected one such as"]),
    "unknown ending": ({"a.docx": "text"}, "a.docx", {}, ["ends in '.docx'", "Expected one of .csv, .tsv"]),
    "folder without train": ({"d/test.csv": GOOD, "d/notes.md": "x"}, "d", {}, ["no train file", "test.csv", "train.csv"]),
    "empty folder": ({"d/x": ""}, "d", {}, ["no train file", "It has x", "give its path"]),
    "folder with valid and dev": ({"d/train.csv": GOOD, "d/valid.csv": GOOD, "d/dev.csv": GOOD}, "d", {}, ["2 files for validation: dev.csv, valid.csv", "Keep one"]),
    "folder with train twice": ({"d/train.csv": GOOD, "d/train.jsonl": records(ROWS)}, "d", {}, ["2 files for train: train.csv, train.jsonl", "Keep one"]),
    "folder as test": ({"a.csv": GOOD, "d/b.csv": GOOD}, "a.csv", {"test": "d"}, ["is a folder", "expected a file"]),
    "test of other columns": ({"a.csv": GOOD, "b.csv": lines([("x", "payment")], "body,label")}, "a.csv", {"test": "b.csv"}, ["b.csv has no column 'text'", "a.csv has", "'body', 'label'", "Rename it"]),
    "test labels unseen in train": ({"a.csv": GOOD, "b.csv": lines([("x", "spam"), ("y", "payment")])}, "a.csv", {"test": "b.csv"}, ["1 row (1)", "b.csv has a label that train lacks: 'spam'", "--drop-unseen"]),
    "all rows shared with test": ({"a.csv": GOOD, "b.csv": GOOD}, "a.csv", {"test": "b.csv"}, ["Every row of", "a.csv is also in a later split", "--keep-shared"]),
    "wrong encoding named": ({"a.csv": lines([("café", "payment")]).encode("cp1252")}, "a.csv", {"encoding": "utf-8"}, ["a.csv is not utf-8 (byte 0xe9)", "--encoding"]),
    "unknown encoding": ({"a.csv": GOOD}, "a.csv", {"encoding": "utf-9"}, ["--encoding is 'utf-9'", "such as utf-8 or cp1252"]),
    "encoding of bytes": ({"a.csv": GOOD}, "a.csv", {"encoding": "base64"}, ["--encoding is 'base64'", "such as utf-8 or cp1252"]),
    "missing sheet": ({"a.xlsx": workbook}, "a.xlsx", {"sheet": "Sheet1"}, ["no sheet 'Sheet1'", "It has 'Codes'", "--sheet"]),
    "list labels": ({"a.jsonl": records([(text, [label]) for text, label in ROWS])}, "a.jsonl", {"task": "single"}, ["lists in 'label'", "one label a row, as --task is single", "--label"]),
    "list labels in a named column": ({"a.jsonl": records([(text, [label]) for text, label in ROWS])}, "a.jsonl", {"label": "label", "task": "single"}, ["lists in 'label'", "one label a row", "--label"]),
    "a list far down among labels": ({"a.jsonl": records([*ROWS * 50, ("both", ["payment", "praise"])])}, "a.jsonl", {}, ["row 1201 of", "a list as label", "--task multi"]),
    "words as scores": ({"a.csv": GOOD}, "a.csv", {"task": "score"}, ["has 'delivery' in 'label'", "expected a number, as --task is score", "Correct it or --task"]),
    "a word far down among scores": ({"a.jsonl": records([*((f"text {i}", i / 10) for i in range(1100)), ("x", "high")])}, "a.jsonl", {}, ["row 1101 of", "has 'high' as score", "expected a number"]),
    "the same score everywhere": ({"a.jsonl": records([(text, 1.5) for text in TEXTS])}, "a.jsonl", {}, ["has only the label '1.5'", "expected numbers that differ"]),
    "the same labels everywhere": ({"a.jsonl": records([(text, ["a", "b"]) for text in TEXTS])}, "a.jsonl", {}, ["has only the label 'a, b'", "expected two classes or more"]),
    "the same labels everywhere in either order": ({"a.jsonl": records([(text, [["a", "b"], ["b", "a"]][i % 2]) for i, text in enumerate(TEXTS)])}, "a.jsonl", {}, ["has only the label '", "expected two classes or more"]),
    "several labels unseen in train": ({"a.jsonl": records([(text, [label]) for text, label in ROWS]), "b.jsonl": records([("x", ["spam", "payment"]), ("y", ["payment"])])}, "a.jsonl", {"test": "b.jsonl"}, ["1 row (1)", "b.jsonl has a label that train lacks: 'spam'", "--drop-unseen"]),
    "no such pair column": ({"a.csv": GOOD}, "a.csv", {"text_pair": "sentence2"}, ["no column 'sentence2'", "Change --text-pair"]),
    "a pair column missing in test": ({"a.csv": PAIRED, "b.csv": GOOD}, "a.csv", {"test": "b.csv"}, ["b.csv has no column 'premise'", "Rename it"]),
    "two columns set where one is to be chosen": ({"a.csv": FLAGGED + "late,1,1\n"}, "a.csv", {"label": ("delivery", "payment"), "task": "single"}, ["row 25 of", "has 1 for delivery, payment", "--task multi"]),
    "label columns that hold words": ({"a.csv": PAIRED}, "a.csv", {"label": ("premise", "label")}, ["other values than 0 and 1 in 'premise'", "Name one --label"]),
    "id column as label": ({"a.csv": lines([(text, f"n{i}") for i, text in enumerate(TEXTS)], "text,id")}, "a.csv", {"label": "id"}, ["24 classes in 24 rows", "expected a label that repeats", "--label"]),
    "one text": ({"a.csv": lines([("same", label) for label in LABELS])}, "a.csv", {}, ["carry the same text", "--text"]),
    "four rows": ({"a.csv": lines([*ROWS[:3], ("two words", "payment")])}, "a.csv", {"label": "label"}, ["too few distinct texts (4)", "to cut a test split from", "Add rows"]),
}  # fmt: skip


def assert_clear(message, words):
    assert not [word for word in words if word not in message], message
    for line in message.splitlines():
        assert len(line) <= 400, line
        assert line.endswith((".", "?")), line
    assert "Traceback" not in message
    assert not re.search(r"\w(Error|Exception)\b|<class|\bobject at 0x|NoneType", message), message


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(tmp_path, name):
    files, source, settings, words = BAD_DATA[name]
    laid_out(tmp_path, files)
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, source, settings)
    assert_clear(str(caught.value).replace(str(tmp_path), "/data"), words)
    assert caught.value.__cause__ is None


def test_the_same_rows_without_a_mistake_are_taken(tmp_path):
    laid_out(tmp_path, {"a.csv": GOOD, "b.xlsx": workbook, "c.parquet": parquet, "d.jsonl": records(ROWS)})
    three = [prepared(tmp_path, name, {}) for name in ("a.csv", "b.xlsx", "c.parquet", "d.jsonl")]
    assert {tuple(one.test.texts) for one in three} == {tuple(three[0].test.texts)}
    assert sum(len(part) for part in three[0].all) == 24


def test_several_faults_of_the_data_are_listed_at_once(tmp_path):
    laid_out(tmp_path, {"a.csv": lines([("same", f"n{i}") for i in range(24)]), "b.csv": lines([("other", "z")])})
    with pytest.raises(DataError) as caught:
        prepared(tmp_path, "a.csv", {"label": "label", "test": "b.csv"})
    message = str(caught.value)
    assert_clear(message.replace(str(tmp_path), "/data"), ["24 classes", "the same text", "a label that train lacks"])
    assert len(message.splitlines()) == 3


def test_no_data_is_named():
    with pytest.raises(DataError) as caught:
        read_splits(Data())
    assert_clear(str(caught.value), ["No data is named", "Give a file"])


def toml(text):
    return lambda path: build(load_toml(laid(path, text)))


def laid(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# name: (what is done with the path of a settings file, words that the message must hold)
BAD_SETTINGS = {
    "unknown option": (toml("[train]\nepoch = 3\n"), ["no setting 'train.epoch'", "Did you mean 'epochs'"]),
    "option of another section": (toml("[model]\nseed = 3\n"), ["no setting 'model.seed'", "It is 'train.seed'"]),
    "unknown section": (toml("[trian]\nepochs = 3\n"), ["no section [trian]", "Did you mean 'train'"]),
    "wrong type": (toml('[train]\nepochs = "many"\n'), ["train.epochs is 'many'", "expected whole number", "Change it"]),
    "text without quotes": (toml("[data]\nlabel = label\n"), ["run.toml is not valid TOML", 'name = "value"']),
    "out of bounds": (toml("[train]\nlearning_rate = 3\n"), ["train.learning_rate is 3", "expected number", "less than or equal to 1"]),
    "not one of the words": (toml('[train]\nmetric = "f1"\n'), ["train.metric is 'f1'", "macro_f1"]),
    "broken TOML": (toml("[train\nepochs = 3\n"), ["run.toml is not valid TOML", "line 1"]),
    "TOML of another encoding": (toml('[data]\nlabel = "é"\n'.encode("cp1252")), ["run.toml is not valid TOML"]),
    "missing TOML": (load_toml, ["No such settings file", "run.toml", "Give the path"]),
    "a folder as TOML": (lambda path: load_toml(path.parent), ["cannot be read", "Give the path of a .toml file"]),
    "setting outside a section": (toml("epochs = 3\n"), ["sets 'epochs' outside a section", "[data], [model], [train]"]),
    "a section that is a list": (toml("[[train]]\nepochs = 3\n"), ["sets 'train' outside a section", "[data], [model], [train]"]),
    "--set without section": (lambda path: parse_assignment("epochs=3"), ["--set got 'epochs=3'", "section.key=value"]),
    "--set without value": (lambda path: parse_assignment("train.epochs"), ["--set got 'train.epochs'", "section.key=value"]),
    "--set of an unknown setting": (lambda path: build(parse_assignment("train.lr=1")), ["no setting 'train.lr'"]),
    "--set of a text for a number": (lambda path: build(parse_assignment("train.seed=x")), ["train.seed is 'x'", "expected whole number"]),
    "unknown keyword": (lambda path: nested({"learning_rat": 1}), ["no setting 'learning_rat'", "Did you mean 'learning_rate'"]),
    "several mistakes": (
        lambda path: build(merge({"train": {"epochs": 0}}, {"train": {"sede": 1}, "data": {"test_share": 0.9}})),
        ["train.epochs is 0", "no setting 'train.sede'", "data.test_share is 0.9"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings(tmp_path, name):
    act, words = BAD_SETTINGS[name]
    with pytest.raises(ConfigError) as caught:
        act(tmp_path / "run.toml")
    assert_clear(str(caught.value).replace(str(tmp_path), "/data"), words)
    assert caught.value.__cause__ is None


def test_a_label_that_is_no_class():
    with pytest.raises(ClassifineError) as caught:
        Labels(("a", "b")).encode(["c"])
    assert_clear(str(caught.value), ["Label 'c'", "not one of the classes a, b"])


def test_the_inputs_are_as_many_as_promised():
    assert len(BAD_DATA) + len(BAD_SETTINGS) >= 35


def test_a_path_too_long_to_exist():
    with pytest.raises(DataError, match="cannot be read"):
        read_splits(Data(source="a text of many letters " * 30))


def test_a_parquet_file_that_is_damaged_inside(tmp_path):
    path = tmp_path / "in.parquet"
    rows = [{"text": f"{i} {i * 7919}", "label": "ab"[i % 2]} for i in range(5000)]
    Dataset.from_list(rows).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[200:1200] = bytes(1000)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"in\.parquet"):
        read_splits(Data(source=str(path)))


def test_json_nested_without_end(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": ' + "[" * 200_000 + "]" * 200_000 + "}\n")
    with pytest.raises(DataError, match=r"in\.jsonl"):
        read_splits(Data(source=str(path)))


def test_utf8_but_for_a_stray_byte(tmp_path):
    path = tmp_path / "in.csv"
    lines = [f"straße grün {i},{'ab'[i % 2]}".encode() for i in range(30)]
    path.write_bytes(b"text,label\n" + b"\n".join(lines[:15]) + b"\nstray \xff,a\n" + b"\n".join(lines[15:]))
    with pytest.raises(DataError, match="UTF-8 but for 1 bytes, the first 0xff in line 17"):
        read_splits(Data(source=str(path)))
