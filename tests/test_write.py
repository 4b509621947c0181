"""Rows out: every form, as a stream, whole or not at all."""

import csv
import gzip
import json
from datetime import date, datetime

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from classifine.config import Data
from classifine.data import write
from classifine.data.formats import form_of, open_table
from classifine.data.write import (
    check_room,
    check_target,
    column_types,
    in_one,
    output_form,
    remove_leftovers,
    write_rows,
)
from classifine.errors import OutputError

NAMES = ["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.xlsx", "a.csv.gz", "a.jsonl.gz"]
ROWS = [{"text": 'one, "two"', "score": 0.5}, {"text": "三\nvier", "score": 1.0}]


def broken(count):
    yield from ({"text": f"row {i}", "score": 0.5} for i in range(count))
    raise RuntimeError("stopped in the middle")


def content(path):
    return {item.name: item.read_bytes() for item in path.iterdir()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1, 5000])
def test_an_exception_midway_leaves_nothing_behind(tmp_path, name, count):
    with pytest.raises(RuntimeError, match="stopped in the middle"):
        write_rows(broken(count), tmp_path / name, form_of(tmp_path / name))
    assert content(tmp_path) == {}


@pytest.mark.parametrize("name", NAMES)
def test_an_exception_midway_leaves_what_was_there(tmp_path, name):
    (tmp_path / name).write_bytes(b"before")
    with pytest.raises(RuntimeError):
        write_rows(broken(3), tmp_path / name, form_of(tmp_path / name))
    assert content(tmp_path) == {name: b"before"}


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_replaced_as_a_whole(tmp_path, name):
    (tmp_path / name).write_bytes(b"before")
    assert write_rows(iter(ROWS), tmp_path / name, form_of(tmp_path / name)) == 2
    assert [item.name for item in tmp_path.iterdir()] == [name]
    rows = list(open_table(tmp_path / name, Data()).rows())
    assert [row["text"] for row in rows] == ['one, "two"', "三\nvier"]
    assert [float(row["score"]) for row in rows] == [0.5, 1.0]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet", "a.xlsx", "a.csv.gz"])
def test_rows_are_taken_one_after_the_other(tmp_path, name):
    taken = []

    def rows():
        for i in range(10_000):
            taken.append(i)
            yield {"text": f"row {i}", "n": i}

    assert write_rows(rows(), tmp_path / name, form_of(tmp_path / name)) == 10_000
    assert taken == list(range(10_000))
    last = list(open_table(tmp_path / name, Data()).rows())[-1]
    assert (last["text"], int(last["n"])) == ("row 9999", 9999)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", 'text,score\n"one, ""two""",0.5\n"三\nvier",1.0\n'),
        ("tsv", 'text\tscore\n"one, ""two"""\t0.5\n"三\nvier"\t1.0\n'),
        ("jsonl", '{"text": "one, \\"two\\"", "score": 0.5}\n{"text": "三\\nvier", "score": 1.0}\n'),
        ("json", '[\n{"text": "one, \\"two\\"", "score": 0.5},\n{"text": "三\\nvier", "score": 1.0}\n]\n'),
    ],
)
def test_text_forms_letter_by_letter(tmp_path, capsys, form, expected):
    path = tmp_path / f"a.{form}"
    write_rows(ROWS, path, form)
    assert path.read_bytes().decode() == expected
    assert write_rows(ROWS, None, form) == 2
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize("form", ["jsonl", "csv", "json", "parquet", "xlsx"])
def test_no_rows_make_a_file_without_rows(tmp_path, form):
    assert write_rows([], tmp_path / f"a.{form}", form) == 0
    assert [item.name for item in tmp_path.iterdir()] == [f"a.{form}"]
    if form == "json":
        assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.xlsx"])
def test_none_stays_none(tmp_path, name):
    write_rows([{"text": "x", "label": None}, {"text": None, "label": "y"}], tmp_path / name, form_of(tmp_path / name))
    rows = list(open_table(tmp_path / name, Data()).rows())
    assert rows == [{"text": "x", "label": None}, {"text": None, "label": "y"}]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.xlsx"])
def test_tables_have_the_columns_of_the_first_row(tmp_path, name):
    rows = [{"a": "x", "b": "y", "c": "z"}, {"c": "w", "d": "?", "a": "v"}]
    write_rows(rows, tmp_path / name, form_of(tmp_path / name))
    assert list(open_table(tmp_path / name, Data()).rows())[1] == {"a": "v", "b": None, "c": "w"}


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.xlsx"])
def test_tables_have_the_columns_that_are_named(tmp_path, name):
    write_rows([{"a": "x"}, {"b": "y"}], tmp_path / name, form_of(tmp_path / name), columns=("a", "b"))
    assert list(open_table(tmp_path / name, Data()).rows()) == [{"a": "x", "b": None}, {"a": None, "b": "y"}]


def test_gzip_is_gzip(tmp_path):
    write_rows(ROWS[:1], tmp_path / "a.jsonl.gz", "jsonl")
    assert json.loads(gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())) == ROWS[0]


@pytest.mark.parametrize("text", ["=1+1", "=) happy", "+49 30 1234", "-", "@me"])
def test_a_text_in_xlsx_is_never_a_formula(tmp_path, text):
    write_rows([{"=text": text, "n": 1}], tmp_path / "a.xlsx", "xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    assert [[cell.value for cell in line] for line in sheet.iter_rows()] == [["=text", "n"], [text, 1]]
    assert [cell.data_type for cell in sheet[2]] == ["s", "n"]


def test_xlsx_drops_the_control_characters_that_it_cannot_hold(tmp_path):
    write_rows([{"text": "a\x08b\x1fc\td"}], tmp_path / "a.xlsx", "xlsx")
    assert list(open_table(tmp_path / "a.xlsx", Data()).rows()) == [{"text": "abc\td"}]


def test_parquet_takes_an_empty_beginning_for_text(tmp_path):
    rows = [*({"text": "x", "note": None} for _ in range(4096)), {"text": "y", "note": "late"}]
    assert write_rows(rows, tmp_path / "a.parquet", "parquet") == 4097
    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column("note").null_count == 4096
    assert table.to_pylist()[-1] == {"text": "y", "note": "late"}


def test_parquet_keeps_types(tmp_path):
    rows = [{"text": "x", "n": 3, "score": 0.5, "flag": True}]
    write_rows(rows, tmp_path / "a.parquet", "parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == rows


@pytest.mark.parametrize(
    ("first", "later", "count"),
    [
        (1, "x", 1), (1, "x", 4096), (1, 1.5, 4096), ([1], [1.5], 4096), ({"a": 1}, {"a": 1, "b": 2}, 4096),
        (None, 7, 4096), (1, 2**70, 1), (2**70, 1, 1), (1, True, 1), (1, float("nan"), 4096),
        (date(2020, 1, 1), datetime(2020, 1, 1, 12, 30), 1),
    ],
)  # fmt: skip
def test_a_value_that_parquet_would_change_is_not_written(tmp_path, first, later, count):
    (tmp_path / "a.parquet").write_bytes(b"before")
    with pytest.raises(OutputError, match=r"values that no one type of Parquet holds .*Write \.jsonl instead"):
        write_rows([*[{"n": first}] * count, {"n": later}], tmp_path / "a.parquet", "parquet")
    assert content(tmp_path) == {"a.parquet": b"before"}


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.5], [1.5, 2], [{"a": 1}, {"b": 2}, {}], [[1], [2.5], []], [float("inf"), -1.5, None],
        [date(2020, 1, 1), None], [*[1.5] * 4096, 2],
    ],
)  # fmt: skip
def test_values_that_parquet_can_hold_together_are_written(tmp_path, values):
    write_rows([{"n": value} for value in values], tmp_path / "a.parquet", "parquet")
    read = [row["n"] for row in open_table(tmp_path / "a.parquet", Data()).rows()]
    plain = [{k: v for k, v in one.items() if v is not None} if isinstance(one, dict) else one for one in read]
    assert plain == values


@pytest.mark.parametrize(("kind", "value"), [(pa.float64(), float("nan")), (pa.float32(), 3.7)])
def test_parquet_takes_no_number_and_the_nearest_short_float(tmp_path, kind, value):
    write_rows([{"n": value}], tmp_path / "a.parquet", "parquet", {"n": kind})
    read = pq.read_table(tmp_path / "a.parquet")
    assert read.schema.field("n").type == kind
    assert read.to_pylist()[0]["n"] == pytest.approx(value, rel=1e-6, nan_ok=True)


def test_a_folder_that_is_gone_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match=r"a\.jsonl cannot be written: No such file or directory"):
        write_rows(ROWS, tmp_path / "gone" / "a.jsonl", "jsonl")


def test_check_target(tmp_path):
    check_target(tmp_path / "a.csv")
    with pytest.raises(OutputError, match=r"is a folder; expected a file such as .*predictions\.csv"):
        check_target(tmp_path)
    with pytest.raises(OutputError, match=r"does not exist\. Make it or change -o"):
        check_target(tmp_path / "gone" / "a.csv")


@pytest.mark.parametrize("count", [9, 10, 12])
def test_rows_that_a_sheet_cannot_hold_are_counted_first(monkeypatch, count):
    monkeypatch.setattr(write, "MAX_XLSX_ROWS", 10)
    check_room("csv", broken(count), count)
    check_room("xlsx", broken(count), 5)
    rows = ({"text": "x"} for _ in range(count))
    if count == 9:
        check_room("xlsx", rows, count)
    else:
        with pytest.raises(OutputError, match=r"holds 10 lines, and there are more\. Write \.csv instead"):
            check_room("xlsx", rows, count)


def test_only_what_was_not_finished_is_removed(tmp_path):
    other = [".a.csv.0123456", ".a.csv.0123abcg", ".a.csv.0123abcd.gz", ".b.csv.0123abcd", ".aXcsv.0123abcd", "a.csv"]
    for name in [*other, ".a.csv.0123abcd"]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".a.csv.00000000").mkdir()
    (tmp_path / ".a.csv.00000001").symlink_to("a.csv")
    remove_leftovers(tmp_path / "a.csv")
    assert {item.name for item in tmp_path.iterdir()} == {*other, ".a.csv.00000000", ".a.csv.00000001"}


@pytest.mark.parametrize(("name", "form"), [("a.csv", "csv"), ("a.jsonl.gz", "jsonl"), ("a.pq", "parquet")])
def test_output_form(tmp_path, name, form):
    assert output_form(tmp_path / name) == form


def test_parquet_takes_numbers_that_the_first_rows_lack(tmp_path):
    rows = [{"text": "", "score": None}] * 4097 + [{"text": "a", "score": 0.5}]
    assert write_rows(rows, tmp_path / "out.parquet", "parquet", {"score": pa.float64()}) == 4098
    assert list(open_table(tmp_path / "out.parquet", Data()).rows())[-1] == {"text": "a", "score": 0.5}


@pytest.mark.parametrize("name", ["out.txt", "out", "out.doc"])
def test_an_ending_that_cannot_be_written(tmp_path, name):
    with pytest.raises(OutputError, match=r"should end in \.jsonl.*Change -o"):
        check_target(tmp_path / name)


@pytest.mark.parametrize(
    ("first", "later", "kind"),
    [
        ([], ["q"], pa.list_(pa.string())), (1, 1.5, pa.float64()), (None, 7, pa.int64()), (None, None, pa.string()),
        ({"a": 1}, {"a": 1, "b": "x"}, pa.struct([("a", pa.int64()), ("b", pa.string())])),
    ],
)  # fmt: skip
def test_the_types_of_columns_hold_all_rows(first, later, kind):
    assert column_types([{"n": first}] * 5000 + [{"n": later}], ["n"]) == {"n": kind}


@pytest.mark.parametrize(("first", "later"), [(1, "n/a"), (1, 2**70), ({}, {}), (1, [1])])
def test_columns_that_no_type_holds_are_named(first, later):
    with pytest.raises(OutputError, match=r"Column 'n' holds values .* Write \.jsonl instead"):
        column_types([{"n": first}] * 5000 + [{"n": later}], ["n"])


def test_cells_can_be_read_by_others(tmp_path):
    rows = [
        {
            "a": {"b": [1, None]},
            "c": ["x", "y"],
            "d": [1, None],
            "e": b"\xff\x00",
            "f": [{"g": "é"}],
            "h": date(2024, 1, 2),
        }
    ]
    write_rows(rows, tmp_path / "a.csv", "csv")
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        found = next(csv.DictReader(file))
    assert found == {
        "a": '{"b": [1, null]}', "c": "x|y", "d": "[1, null]", "e": "/wA=", "f": '[{"g": "é"}]', "h": "2024-01-02",
    }  # fmt: skip
    write_rows(rows, tmp_path / "a.jsonl", "jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text("utf-8"))["e"] == "/wA="


def test_a_map_in_a_cell_is_json():
    assert in_one([("a", 1), ("b", None)]) == '[["a", 1], ["b", null]]'


def test_half_a_letter_is_told_before_anything_is_written():
    with pytest.raises(OutputError, match="Column 'note' holds values that no one type of Parquet holds"):
        column_types([{"note": "\ud83d"}], ["note"])


def test_xlsx_keeps_every_digit_and_every_letter_or_says_so(tmp_path):
    rows = [{"id": 1234567890123456789, "n": 7}, {"id": 1234567890123456790, "n": 2**53}]
    write_rows(iter(rows), tmp_path / "a.xlsx", "xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    found = [[cell.value for cell in row] for row in sheet.iter_rows(min_row=2)]
    assert found == [["1234567890123456789", 7], ["1234567890123456790", 2**53]]
    with pytest.raises(OutputError, match=r"A text of 40000 characters .* longer than the 32767 .*\.csv"):
        write_rows(iter([{"text": "x" * 40_000}]), tmp_path / "b.xlsx", "xlsx")
    assert not (tmp_path / "b.xlsx").exists()


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_lone_carriage_return_stays_in_its_cell(tmp_path, name):
    rows = [{"text": "one\rtwo", "label": "a"}, {"text": "three", "label": "b"}]
    write_rows(rows, tmp_path / name, form_of(tmp_path / name))
    assert list(open_table(tmp_path / name, Data()).rows()) == rows
    assert pd.read_csv(tmp_path / name, sep=None, engine="python").label.tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_number_that_is_none_is_null_in_json(tmp_path, name):
    write_rows(
        [{"text": "x", "n": float("nan"), "more": [float("inf"), 1.5]}], tmp_path / name, form_of(tmp_path / name)
    )
    assert "NaN" not in (tmp_path / name).read_text()
    assert list(open_table(tmp_path / name, Data()).rows()) == [{"text": "x", "n": None, "more": [None, 1.5]}]
