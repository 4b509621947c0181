"""Prediction: a stream in order, every form in and out, and columns that do not overwrite what is there."""

import csv
import gzip
import io
import json
import shutil
from dataclasses import fields

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifine import use
from classifine.config import Data
from classifine.data import write
from classifine.doubt import Doubt
from classifine.errors import ConfigError, DataError, OutputError
from classifine.infer import files
from classifine.infer import predict as predicting
from classifine.infer.files import PredictOptions
from classifine.infer.predict import Answer, Wanted, scored_chunks
from classifine.infer.torch_engine import TorchEngine
from classifine.model.folder import load

TEXTS = ["my parcel is late", "charged twice, refund the fee", "love it, wonderful", "tracking says shipped"]


def label(model, source, output=None, stdin=b"", said=None, **options):
    say = (lambda line: None) if said is None else said.append
    data = Data(text=options.pop("text", ()))
    names = {field.name for field in fields(Wanted)} & options.keys()
    wanted = Wanted(**{name: options.pop(name) for name in names})
    return use.predict(model, str(source), output, PredictOptions(wanted, data=data, **options), io.BytesIO(stdin), say)


def jsonl(text):
    return [json.loads(line) for line in text.splitlines()]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def scores_of(saved, rows):
    chunks = scored_chunks(saved, TorchEngine(saved.network), rows, ("text",), None)
    return [judged.scores for chunk in chunks for _, judged in chunk]


def test_rows_are_pulled_a_few_chunks_ahead(saved, monkeypatch):
    monkeypatch.setattr(predicting, "CHUNK", 8)
    read = []

    def source():
        for i in range(1000):
            read.append(i)
            yield {"text": f"parcel {i}", "n": i}

    chunks = scored_chunks(saved, TorchEngine(saved.network), source(), ("text",), None)
    first = next(chunks)
    assert [row["n"] for row, _ in first] == list(range(8))
    # What waits: two chunks before the network, two behind it, and one in each pair of hands.
    assert len(read) <= 8 * 8
    assert [row["n"] for chunk in chunks for row, _ in chunk] == list(range(8, 1000))


def test_chunks_change_no_score(saved, monkeypatch):
    rows = [{"text": text} for text in TEXTS * 5]
    whole = scores_of(saved, rows)
    monkeypatch.setattr(predicting, "CHUNK", 3)
    for one, other in zip(whole, scores_of(saved, rows), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_texts_without_words_stay_in_place_unlabelled(trained, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in ("a parcel", "", None, "  \t", "great")])
    said = []
    assert label(trained, source, tmp_path / "out.jsonl", said=said) == 5
    found = jsonl((tmp_path / "out.jsonl").read_text())
    assert [row["label"] is None for row in found] == [False, True, True, True, False]
    assert [row["score"] is None for row in found] == [False, True, True, True, False]
    assert [row["text"] for row in found] == ["a parcel", "", None, "  \t", "great"]
    assert "5 rows, 3 without text left unlabelled" in said[-1]


@pytest.fixture
def expected(trained, tmp_path):
    """The labels of TEXTS."""
    label(trained, write_jsonl(tmp_path / "e.jsonl", [{"text": text} for text in TEXTS]), tmp_path / "expected.jsonl")
    return [row["label"] for row in jsonl((tmp_path / "expected.jsonl").read_text())]


def write_delimited(path, delimiter):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([["id", "text"], *([i, text] for i, text in enumerate(TEXTS))])
    return path


def write_parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": range(len(TEXTS)), "text": TEXTS}), path)
    return path


def write_xlsx(path):
    from openpyxl import Workbook

    book = Workbook()
    for line in [["id", "text"], *([i, text] for i, text in enumerate(TEXTS))]:
        book.active.append(line)
    book.save(path)
    return path


def write_lines(path):
    path.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    return path


def read_back(path):
    if path.suffix in (".csv", ".tsv"):
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="," if path.suffix == ".csv" else "\t"))
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path).to_pylist()
    if path.suffix == ".xlsx":
        from openpyxl import load_workbook

        header, *rows = load_workbook(path).active.iter_rows(values_only=True)
        return [dict(zip(header, row, strict=True)) for row in rows]
    return jsonl(path.read_text("utf-8"))


SOURCES = {
    "in.csv": lambda path: write_delimited(path, ","),
    "in.tsv": lambda path: write_delimited(path, "\t"),
    "in.jsonl": lambda path: write_jsonl(path, [{"id": i, "text": text} for i, text in enumerate(TEXTS)]),
    "in.parquet": write_parquet,
    "in.xlsx": write_xlsx,
    "in.txt": write_lines,
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_form_in(name, trained, expected, tmp_path):
    assert label(trained, SOURCES[name](tmp_path / name), tmp_path / "out.jsonl") == len(TEXTS)
    found = jsonl((tmp_path / "out.jsonl").read_text("utf-8"))
    assert [row["text"] for row in found] == TEXTS
    assert [row["label"] for row in found] == expected
    assert list(found[0]) == (["text"] if name == "in.txt" else ["id", "text"]) + ["label", "score"]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_every_form_out(ending, trained, expected, tmp_path):
    output = tmp_path / f"out.{ending}"
    label(trained, SOURCES["in.csv"](tmp_path / "in.csv"), output)
    found = read_back(output)
    assert [row["text"] for row in found] == TEXTS
    assert [row["label"] for row in found] == expected
    assert all(1 / 3 <= float(row["score"]) <= 1 for row in found)
    assert sorted(item.name for item in tmp_path.iterdir() if item.name.startswith((".", "out"))) == [output.name]


def test_gzipped_in_and_out(trained, expected, tmp_path):
    with gzip.open(tmp_path / "in.csv.gz", "wt", encoding="utf-8") as file:
        file.write(write_delimited(tmp_path / "in.csv", ",").read_text("utf-8"))
    label(trained, tmp_path / "in.csv.gz", tmp_path / "out.jsonl.gz")
    with gzip.open(tmp_path / "out.jsonl.gz", "rt", encoding="utf-8") as file:
        assert [json.loads(line)["label"] for line in file] == expected


def test_a_file_may_be_labelled_in_place(trained, expected, tmp_path):
    source = SOURCES["in.csv"](tmp_path / "in.csv")
    label(trained, source, source)
    assert [row["label"] for row in read_back(source)] == expected


@pytest.mark.parametrize(
    ("form", "stdin"),
    [
        (None, "\n".join(TEXTS)),
        ("lines", "\r\n".join(TEXTS) + "\r\n"),
        ("jsonl", "\n".join(json.dumps({"text": text}) for text in TEXTS)),
        ("tsv", "text\n" + "\n".join(TEXTS)),
        ("csv", "text\n" + "\n".join(f'"{text}"' for text in TEXTS)),
    ],
)
def test_standard_input_to_standard_output(form, stdin, trained, expected, capsys):
    assert label(trained, "-", stdin=stdin.encode(), form=form) == len(TEXTS)
    out = capsys.readouterr().out
    if form in ("csv", "tsv"):
        found = list(csv.DictReader(io.StringIO(out), delimiter="," if form == "csv" else "\t"))
    else:
        found = jsonl(out)
    assert [row["text"] for row in found] == TEXTS
    assert [row["label"] for row in found] == expected


def test_lines_are_texts_whatever_is_in_them(trained, capsys):
    stdin = b'he said "late, so late\n\n{"text": 1}\n'
    assert label(trained, "-", stdin=stdin) == 3
    found = jsonl(capsys.readouterr().out)
    assert [row["text"] for row in found] == ['he said "late, so late', "", '{"text": 1}']
    assert [row["label"] is None for row in found] == [False, True, False]


def test_top_k_and_all_scores(trained, tmp_path):
    source = SOURCES["in.txt"](tmp_path / "in.txt")
    label(trained, source, tmp_path / "out.jsonl", top_k=2, all_scores=True)
    for row in jsonl((tmp_path / "out.jsonl").read_text()):
        every = {name.removeprefix("score:"): row[name] for name in row if name.startswith("score:")}
        assert list(every) == ["delivery", "payment", "praise"]
        assert sum(every.values()) == pytest.approx(1, abs=1e-5)
        best, second, _ = sorted(every, key=every.get, reverse=True)
        assert (row["label"], row["label_2"]) == (best, second)
        assert (row["score"], row["score_2"]) == (every[best], every[second])


def test_top_k_beyond_the_number_of_labels(trained, tmp_path):
    label(trained, SOURCES["in.txt"](tmp_path / "in.txt"), tmp_path / "out.jsonl", top_k=99)
    assert list(jsonl((tmp_path / "out.jsonl").read_text())[0]) == [
        "text", "label", "score", "label_2", "score_2", "label_3", "score_3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("taken", "columns"),
    [
        (["text"], ["label", "score"]),
        (["text", "label"], ["predicted_label", "predicted_score"]),
        (["text", "score"], ["predicted_label", "predicted_score"]),
        (["label", "predicted_score"], ["predicted_predicted_label", "predicted_predicted_score"]),
    ],
)
def test_names_avoid_those_that_the_rows_have(saved, taken, columns):
    assert Answer(saved, taken).columns == columns


def test_labelling_an_answer_again_keeps_the_first_one(trained, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text, "label": "mine"} for text in TEXTS])
    label(trained, source, tmp_path / "once.jsonl", all_scores=True)
    label(trained, tmp_path / "once.jsonl", tmp_path / "twice.jsonl", all_scores=True)
    once, twice = (jsonl((tmp_path / name).read_text()) for name in ("once.jsonl", "twice.jsonl"))
    for first, second in zip(once, twice, strict=True):
        assert first["label"] == "mine"
        assert {name: second[name] for name in first} == first
        assert second["predicted_predicted_label"] == first["predicted_label"]
        assert len(second) == len(first) + 5


def test_another_text_column(trained, tmp_path):
    rows = [{"headline": text, "by": "somebody else with many words"} for text in TEXTS]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    said = []
    label(trained, source, tmp_path / "out.jsonl", said=said, text=("by",))
    assert f"judging by of {source} with {trained} (torch float32)" in said
    with pytest.raises(DataError, match=r"has no column 'head'\. It has headline, by\. Change --text"):
        label(trained, source, tmp_path / "out2.jsonl", text=("head",))
    assert not (tmp_path / "out2.jsonl").exists()


def test_a_mistake_halfway_leaves_no_file(trained, tmp_path):
    lines = [json.dumps({"text": text}) for text in TEXTS * 400]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, "not json"]))
    with pytest.raises(DataError, match="is not JSON in line 1601"):
        label(trained, tmp_path / "in.jsonl", tmp_path / "out.csv")
    assert [item.name for item in tmp_path.iterdir()] == ["in.jsonl"]


def test_nothing_on_standard_input(trained):
    with pytest.raises(DataError, match="Standard input is empty"):
        label(trained, "-")


def test_outputs_that_cannot_be(trained, tmp_path):
    source = SOURCES["in.txt"](tmp_path / "in.txt")
    (tmp_path / "folder.csv").mkdir()
    for output, words in (
        ("folder.csv", "is a folder"),
        ("none/out.csv", "does not exist"),
        ("o.txt", "should end in .jsonl"),
    ):
        with pytest.raises(OutputError, match=words):
            label(trained, source, tmp_path / output)


@pytest.mark.parametrize("name", ["in.csv", "in.parquet"])
def test_rows_that_a_sheet_cannot_hold_are_refused_before_the_work(name, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "MAX_XLSX_ROWS", len(TEXTS))
    monkeypatch.setattr(files, "open_engine", None)
    source = SOURCES[name](tmp_path / name)
    with pytest.raises(OutputError, match=r"An xlsx sheet holds 4 lines, and there are more\. Write \.csv"):
        label(trained, source, tmp_path / "out.xlsx")
    monkeypatch.undo()
    assert label(trained, source, tmp_path / "out.xlsx", shard=(1, 2)) == 2


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "xlsx"])
def test_a_part_without_rows_has_the_columns_of_the_others(ending, trained, tmp_path):
    source, said = write_jsonl(tmp_path / "in.jsonl", [{"id": "1", "text": "my parcel"}]), []
    counts = [label(trained, source, tmp_path / f"{i}.{ending}", said=said, shard=(i, 2)) for i in (1, 2)]
    assert counts == [0, 1]
    assert f"{source}: no rows of 1 (--shard 1/2)" in said
    empty, full = tmp_path / f"1.{ending}", tmp_path / f"2.{ending}"
    if ending == "csv":
        assert empty.read_text("utf-8") == full.read_text("utf-8").splitlines(keepends=True)[0]
    elif ending == "parquet":
        assert pq.read_schema(empty).equals(pq.read_schema(full))
    else:
        assert read_back(empty) == []


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_a_key_that_comes_late_is_a_column_of_its_own(trained, tmp_path, ending):
    rows = [{"text": f"parcel {i}"} for i in range(1200)] + [{"text": "late", "label": "mine"}]
    source = write_jsonl(tmp_path / "in.jsonl", rows)
    assert label(trained, source, tmp_path / f"out.{ending}") == 1201
    answered = read_back(tmp_path / f"out.{ending}")
    assert [row["label"] or None for row in answered[-2:]] == [None, "mine"]
    assert all(row["predicted_label"] for row in answered)


def test_half_a_letter_pair_is_read_and_written(trained, tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text('{"text": "great parcel \\ud83d"}\n')
    assert label(trained, source, tmp_path / "out.jsonl") == 1
    assert json.loads((tmp_path / "out.jsonl").read_text())["text"] == "great parcel \ud83d"


def test_what_is_too_unsure_is_left_unanswered_and_said(trained, tmp_path):
    source, said = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS, "", "zzz"]]), []
    doubt = load(trained).doubt
    label(trained, source, tmp_path / "all.jsonl")
    expected = jsonl((tmp_path / "all.jsonl").read_text("utf-8"))
    accuracy = 0.6  # twelve validation rows show no more than 12 of 13
    label(trained, source, tmp_path / "sure.jsonl", said=said, accuracy=accuracy)
    threshold, share, reached = doubt.threshold(accuracy)
    for one, other in zip(jsonl((tmp_path / "sure.jsonl").read_text("utf-8")), expected, strict=True):
        sure = one["score"] is not None and one["score"] >= threshold - 1e-6
        assert one == {**other, "label": other["label"] if sure else None}
    told = (
        f"answers from a score of {threshold:.4f} on: {share:.1%} of validation rows, of which {reached:.1%} were right"
    )
    assert told in said


def test_unsure_rows_have_no_labels_at_all_and_what_was_reached_is_said(saved, trained, tmp_path, monkeypatch):
    source, said = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in TEXTS]), []
    monkeypatch.setattr(Doubt, "threshold", lambda doubt, accuracy: (1.1, 0.25, 0.97))
    label(trained, source, tmp_path / "out.jsonl", said=said, accuracy=0.9, top_k=2)
    for row in jsonl((tmp_path / "out.jsonl").read_text("utf-8")):
        assert (row["label"], row["label_2"]) == (None, None)
        assert row["score"] > row["score_2"] > 0
    assert "answers from a score of 1.1000 on: 25.0% of validation rows, of which 97.0% were right" in said
    assert "4 rows, 4 too unsure" in said[-1]


def test_sets_and_texts_that_are_unlike(trained, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS, ""]])
    label(trained, source, tmp_path / "out.jsonl", coverage=0.999, unlike=True)
    *rows, blank = jsonl((tmp_path / "out.jsonl").read_text("utf-8"))
    # Twelve validation rows cannot vouch for so much: every label is in.
    assert all(row["set"] == ["delivery", "payment", "praise"] for row in rows)
    assert {row["unlike"] for row in rows} <= {True, False}
    assert (blank["set"], blank["unlike"]) == (None, None)
    label(trained, source, tmp_path / "out.parquet", coverage=0.6, unlike=True)
    found = pq.read_table(tmp_path / "out.parquet")
    assert (found.schema.field("set").type, found.schema.field("unlike").type) == (pa.list_(pa.string()), pa.bool_())
    held = list(map(len, found.column("set").to_pylist()[:-1]))
    assert max(held) < 3


def test_a_classifier_without_doubt_is_one_sentence(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "model")
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    (folder / "classifine.json").write_text(json.dumps({**record, "doubt": None}), encoding="utf-8")
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in TEXTS])
    with pytest.raises(
        ConfigError, match=r"does not know when to doubt, as an older version.*Drop --accuracy.*or train it again"
    ):
        label(folder, source, tmp_path / "out.jsonl", accuracy=0.9)
    assert not (tmp_path / "out.jsonl").exists()


def test_types_that_later_rows_ask_for_are_known_before_any_row_is_judged(trained, tmp_path, monkeypatch):
    rows = [{"text": "my parcel is late", "n": 1, "tags": []} for _ in range(4200)]
    source = write_jsonl(tmp_path / "in.jsonl", [*rows, {"text": "love it", "n": 1.5, "tags": ["a"]}])
    assert label(trained, source, tmp_path / "out.parquet") == 4201
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.field("n").type == pa.float64()
    assert found.column("tags")[4200].as_py() == ["a"]
    write_jsonl(source, [*rows, {"text": "love it", "n": "none", "tags": []}])
    monkeypatch.setattr(files, "open_engine", lambda *given: pytest.fail("a network was loaded"))
    with pytest.raises(OutputError, match="Column 'n' holds values that no one type of Parquet holds"):
        label(trained, source, tmp_path / "other.parquet")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in.jsonl", "out.parquet"]


def test_that_a_file_is_replaced_is_said(trained, tmp_path):
    source, said = write_jsonl(tmp_path / "in.jsonl", [{"text": "my parcel is late"}]), []
    for _ in range(2):
        label(trained, source, tmp_path / "out.jsonl", said=said)
    assert sum("is there already, and is replaced" in line for line in said) == 1


def test_texts_that_are_cut_are_counted(trained, tmp_path):
    long = "parcel " * 40  # 32 tokens are read
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in [*TEXTS, long, long + "late"]])
    label(trained, source, tmp_path / "out.jsonl", said=(said := []))
    assert said[-1].startswith("warning: 2 texts fill all 32 tokens that are read, and what is beyond was not")
    label(trained, write_jsonl(source, [{"text": text} for text in TEXTS]), tmp_path / "out.jsonl", said=(said := []))
    assert said[-1].startswith("4 rows")


@pytest.mark.parametrize("first", [b"text", b'"id","text"', b"Text;id", b"id\ttext"])
def test_a_table_that_comes_in_as_lines_is_hinted_at(trained, first, capsys):
    said = []
    label(trained, "-", stdin=first + b"\nmy parcel is late\n", said=said)
    assert any("looks like the header of a table" in line and "--format csv" in line for line in said)
    label(trained, "-", stdin=b"my text is late\n" + first, said=(said := []))
    assert not any("header" in line for line in said)
    label(trained, "-", stdin=b"text\nmy parcel is late\n", form="lines", said=(said := []))
    assert not any("header" in line for line in said)


def test_why_there_is_no_doubt_is_told(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "model")
    record = json.loads((folder / "classifine.json").read_text("utf-8"))
    (folder / "classifine.json").write_text(
        json.dumps({**record, "doubt": None, "distilled": {"teachers": ["x"]}}), encoding="utf-8"
    )
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": text} for text in TEXTS])
    with pytest.raises(ConfigError, match=r"as it was taught by another classifier.* and --unlike\.$"):
        label(folder, source, tmp_path / "out.jsonl", coverage=0.9)
