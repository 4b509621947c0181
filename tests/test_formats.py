"""Files of rows, in every form and spelling."""

import codecs
import gzip
import io
import json
import os
import re
import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl.chart import BarChart

from classifine.config import Data
from classifine.data.formats import FORMS, form_of, open_table, stream_table
from classifine.data.write import write_rows
from classifine.errors import DataError

ROWS = [
    {"text": "Grüße, aus \"Köln\"", "label": "a"},
    {"text": "zwei\nZeilen; und\tTab", "label": "b"},
    {"text": "日本語 🎉", "label": "a"},
]  # fmt: skip


def opened(path, **settings):
    table = open_table(path, Data(**settings))
    return list(table.rows()), table.notes


def saved(folder, name, content):
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize(
    "name",
    ["a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.xlsx", "a.csv.gz", "a.tsv.gz", "a.json.gz", "a.jsonl.gz"],
)
def test_what_is_written_is_read_again(tmp_path, name):
    path = tmp_path / name
    assert write_rows(ROWS, path, form_of(path)) == 3
    assert opened(path) == (ROWS, ())
    assert list(open_table(path, Data()).rows()) == ROWS


def test_a_table_can_be_read_twice(tmp_path):
    table = open_table(saved(tmp_path, "a.csv", "text,label\nx,a\ny,b\n"), Data())
    assert list(table.rows()) == list(table.rows()) == [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}]


@pytest.mark.parametrize("columns", [{"text": ["x", "y"], "label": [1, 2]}, {"Text": ["x", "y"], "Labels": ["a", "b"]}])
def test_json_columns(tmp_path, columns):
    rows, _ = opened(saved(tmp_path, "a.json", json.dumps(columns)))
    first, second = columns
    assert rows == [
        {first: columns[first][0], second: columns[second][0]},
        {first: columns[first][1], second: columns[second][1]},
    ]


def test_json_records_under_one_key(tmp_path):
    assert opened(saved(tmp_path, "a.json", json.dumps({"data": ROWS})))[0] == ROWS


def test_json_values_keep_their_types(tmp_path):
    path = saved(tmp_path, "a.jsonl", '{"text": "x", "label": 1}\n\n{"text": null, "label": true, "more": [1]}')
    assert opened(path)[0] == [{"text": "x", "label": 1}, {"text": None, "label": True, "more": [1]}]


def test_ndjson_pq_and_plain_lines(tmp_path):
    assert opened(saved(tmp_path, "a.ndjson", '{"text": "x"}\n'))[0] == [{"text": "x"}]
    assert opened(saved(tmp_path, "a.txt", "one, two\r\n\r\nthree"))[0] == [
        {"text": "one, two"}, {"text": ""}, {"text": "three"},
    ]  # fmt: skip
    pq.write_table(pa.table({"text": ["x"], "label": [7]}), tmp_path / "a.pq")
    assert opened(tmp_path / "a.pq")[0] == [{"text": "x", "label": 7}]


def test_endings_are_read_in_any_case(tmp_path):
    assert opened(saved(tmp_path, "A.CSV", "text,label\nx,a\n"))[0] == [{"text": "x", "label": "a"}]


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("report.final.docx", "'.docx'"),
        ("rows", "''"),
        ("rows.parquet.gz", "'.parquet.gz'"),
        ("rows.gz", "'.gz'"),
        ("rows.xls", "'.xls'"),
    ],
)
def test_an_unknown_ending_is_named_with_the_known_ones(tmp_path, name, ending):
    with pytest.raises(DataError) as caught:
        form_of(tmp_path / name)
    assert f"ends in {ending}. " in str(caught.value)
    assert all(form in str(caught.value) for form in FORMS)


# --- csv ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "note"),
    [
        ('text;label\n"a, b, c";x\n"d, e";y\n', "';'"),
        ('text;label\na, b, c;x\n"d;, e";y\n', "';'"),
        ("text|label\na b|x\nc, d|y\n", "'|'"),
    ],
)
def test_the_delimiter_is_guessed_and_said(tmp_path, content, note):
    rows, notes = opened(saved(tmp_path, "a.csv", content))
    assert [row["label"] for row in rows] == ["x", "y"]
    assert set(rows[0]) == {"text", "label"}
    assert notes == (f"columns separated by {note} (--delimiter changes it)",)


@pytest.mark.parametrize("content", ["text,label\na; b; c,x\nd; e; f,y\n", "text\tlabel\na, b\tx\nc, d\ty\n"])
def test_commas_and_tabs_need_no_note(tmp_path, content):
    rows, notes = opened(saved(tmp_path, "a.csv", content))
    assert [row["label"] for row in rows] == ["x", "y"]
    assert notes == ()


def test_a_named_delimiter_is_taken(tmp_path):
    rows, notes = opened(saved(tmp_path, "a.csv", "text#label\na, b#x\n"), delimiter="#")
    assert rows == [{"text": "a, b", "label": "x"}]
    assert notes == ()


def test_a_tsv_file_with_quotation_marks_and_commas(tmp_path):
    assert opened(saved(tmp_path, "a.tsv", 'text\tlabel\n"a\tb, c"\tx\n'))[0] == [{"text": "a\tb, c", "label": "x"}]


def test_of_two_delimiters_that_fit_the_ending_decides(tmp_path):
    content = "text, full\tlabel\none, two\ta\n"
    assert opened(saved(tmp_path, "a.tsv", content))[0] == [{"text, full": "one, two", "label": "a"}]
    assert opened(saved(tmp_path, "a.csv", content))[0] == [{"text": "one", " full\tlabel": " two\ta"}]


def test_a_single_column_with_commas_in_quotes(tmp_path):
    assert opened(saved(tmp_path, "a.csv", 'text\n"a, b"\nc\n'))[0] == [{"text": "a, b"}, {"text": "c"}]


def test_an_empty_cell_is_no_value_and_a_blank_one_is_a_value(tmp_path):
    rows, _ = opened(saved(tmp_path, "a.csv", 'text,label\n,a\n"",b\n"  ",\n'))
    assert rows == [{"text": None, "label": "a"}, {"text": None, "label": "b"}, {"text": "  ", "label": None}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems_and_blank_lines(tmp_path, end):
    content = end.join(["", "text,label", "x,a", "", "y,b"])
    assert opened(saved(tmp_path, "a.csv", content))[0] == [{"text": "x", "label": "a"}, {"text": "y", "label": "b"}]


def test_a_long_text_is_no_mistake(tmp_path):
    rows, _ = opened(saved(tmp_path, "a.csv", f"text,label\n{'word ' * 60_000},a\n"))
    assert len(rows[0]["text"]) == 300_000


def test_ragged_rows_are_listed_together(tmp_path):
    path = saved(tmp_path, "a.csv", "text,label\nx,a\nhello, you,a\ny,b\nz\n")
    with pytest.raises(DataError, match=r"than its header \(2\): row 2 \(3\), 4 \(1\)\. Put quotation marks"):
        opened(path)


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_mark_that_is_never_closed_swallows_no_rows(tmp_path, end):
    path = saved(tmp_path, "a.csv", f'label,text\na,x\nb,"never closed\nc,y\nd,z{end}')
    with pytest.raises(DataError, match=r"ends inside a quotation mark that row 2 opens"):
        opened(path)


@pytest.mark.parametrize("last", ['a,"two\nlines\n"', 'a,"he said ""so""\nand left"', 'a,6" long', 'a,"x"'])
def test_marks_that_are_closed_are_no_mistake(tmp_path, last):
    assert len(opened(saved(tmp_path, "a.csv", f"label,text\nb,x\n{last}\n"))[0]) == 2


# --- encodings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_is_recognised_by_its_mark_or_its_shape(tmp_path, name, encoding):
    rows, notes = opened(saved(tmp_path, name, "text,label\nCafé crème,a\nThé,b\n".encode(encoding)))
    assert rows == [{"text": "Café crème", "label": "a"}, {"text": "Thé", "label": "b"}]
    guessed = encoding in ("utf-16-le", "utf-16-be")
    assert notes == ((f"read as {encoding}, a guess (--encoding changes it)",) if guessed else ())


def test_a_big_endian_mark(tmp_path):
    data = codecs.BOM_UTF16_BE + "text,label\nThé,b\n".encode("utf-16-be")
    assert opened(saved(tmp_path, "a.csv", data))[0] == [{"text": "Thé", "label": "b"}]


@pytest.mark.parametrize("named", ["utf-8", "UTF8", "utf-8-sig"])
def test_a_mark_stays_out_of_the_header_also_where_utf_8_is_named(tmp_path, named):
    path = saved(tmp_path, "a.csv", "text,label\nThé,b\n".encode("utf-8-sig"))
    assert opened(path, encoding=named) == ([{"text": "Thé", "label": "b"}], ())


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_with_a_mark(tmp_path, name):
    content = json.dumps(ROWS[0], ensure_ascii=False)
    path = saved(tmp_path, name, (content if name == "a.jsonl" else f"[{content}]").encode("utf-8-sig"))
    assert opened(path)[0] == ROWS[:1]


@pytest.mark.parametrize(
    "text",
    [
        "Le café était très bon – déjà “vu”",
        "Ça ne marche pas, je suis déçu",
        "As informações não estão certas",
        "Größe passt überhaupt nicht",
        "¿Dónde está mi pedido? Llegó mañana",
        "Färgen är inte som på bilden",
        "I can’t say – it’s “fine”",
    ],
)
def test_western_texts_of_an_office_are_read_as_cp1252_and_it_is_said(tmp_path, text):
    rows, notes = opened(saved(tmp_path, "a.csv", f'text,label\n"{text}",a\n"{text} !",b\n'.encode("cp1252")))
    assert [row["text"] for row in rows] == [text, f"{text} !"]
    assert notes == ("read as cp1252, a guess (--encoding changes it)",)


@pytest.mark.parametrize(
    ("encoding", "texts"),
    [
        ("cp1251", ["Привет, где мой заказ?", "Очень плохое качество", "Спасибо большое"]),
        ("cp1250", ["Przesyłka dotarła bardzo szybko", "Świetna jakość, polecam", "Żądam zwrotu pieniędzy"]),
        ("cp1253", ["Πού είναι το δέμα μου", "Πολύ καλή ποιότητα", "Θέλω τα χρήματά μου πίσω"]),
    ],
)
def test_other_code_pages_are_guessed_by_their_letters(tmp_path, encoding, texts):
    content = "text;label\n" + "".join(f"{text};a\n" for text in texts)
    rows, notes = opened(saved(tmp_path, "a.csv", content.encode(encoding)))
    assert [row["text"] for row in rows] == texts
    assert notes[0] == f"read as {encoding}, a guess (--encoding changes it)"


def test_a_named_encoding_is_taken_without_a_note(tmp_path):
    path = saved(tmp_path, "a.csv", "text,label\nдобрый день,a\n".encode("koi8-r"))
    assert opened(path, encoding="koi8-r") == ([{"text": "добрый день", "label": "a"}], ())


# --- parquet and xlsx --------------------------------------------------------------------------------------------


def test_class_names_and_their_order_come_from_the_metadata_of_datasets(tmp_path):
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["World", "Sports", "Business"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["x", "y", "z"], "label": [2, 0, -1]}, features=features)
    rows.to_parquet(tmp_path / "a.parquet")
    table = open_table(tmp_path / "a.parquet", Data())
    assert table.declared == {"label": ("World", "Sports", "Business")}
    assert [row["label"] for row in table.rows()] == ["Business", "World", None]


def test_parquet_without_metadata_declares_nothing(tmp_path):
    pq.write_table(pa.table({"text": ["x"], "label": [1]}), tmp_path / "a.parquet")
    assert open_table(tmp_path / "a.parquet", Data()).declared == {}


def workbook(path, **sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in sheets.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    book.save(path)
    return path


def test_xlsx_skips_empty_lines_and_cells_beyond_the_header(tmp_path):
    lines = [[], ["text", "label"], ["x", 1, "remark"], [None, None], [None, 2.0]]
    path = workbook(tmp_path / "a.xlsx", only=lines)
    assert opened(path) == ([{"text": "x", "label": 1}, {"text": None, "label": 2}], ())


def test_xlsx_takes_the_first_sheet_and_says_so(tmp_path):
    path = workbook(tmp_path / "a.xlsx", first=[["text"], ["x"]], second=[["text"], ["y"]])
    assert opened(path) == ([{"text": "x"}], ("sheet 'first' of 2 (--sheet changes it)",))
    assert opened(path, sheet="second")[0] == [{"text": "y"}]


def test_xlsx_passes_over_charts_and_sheets_that_are_hidden(tmp_path):
    path = workbook(tmp_path / "a.xlsx", lists=[["text"], ["x"]], data=[["text"], ["y"]])
    book = openpyxl.load_workbook(path)
    book["lists"].sheet_state = "hidden"
    book.active = book["data"]
    book.create_chartsheet("chart", 0).add_chart(BarChart())
    book.save(path)
    assert opened(path) == ([{"text": "y"}], ("sheet 'data' of 2 (--sheet changes it)",))
    assert opened(path, sheet="lists")[0] == [{"text": "x"}]
    with pytest.raises(DataError, match=r"has no sheet 'chart'\. It has 'data, lists'\. Change --sheet"):
        opened(path, sheet="chart")


def test_xlsx_with_charts_alone(tmp_path):
    book = openpyxl.Workbook()
    book.create_chartsheet("chart").add_chart(BarChart())
    book.remove(book.active)
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match=r"has charts alone; expected a sheet with rows"):
        opened(tmp_path / "a.xlsx")


# --- streams -----------------------------------------------------------------------------------------------------


def streamed(content, form, **settings):
    with io.BytesIO(content) as stream:
        return list(stream_table(stream, "standard input", form, Data(**settings)))


@pytest.mark.parametrize(
    ("content", "form", "settings", "expected"),
    [
        ("one, two\nthree", "lines", {}, [{"text": "one, two"}, {"text": "three"}]),
        ('{"text": "x"}\n', "jsonl", {}, [{"text": "x"}]),
        ('text,n\n"a, b",1\n', "csv", {}, [{"text": "a, b", "n": "1"}]),
        ("text\tn\na, b\t1\n", "tsv", {}, [{"text": "a, b", "n": "1"}]),
        ("text;n\na, b;1\n", "csv", {"delimiter": ";"}, [{"text": "a, b", "n": "1"}]),
    ],
)
def test_a_stream_in_each_form(content, form, settings, expected):
    assert streamed(content.encode(), form, **settings) == expected
    assert streamed(content.encode("utf-8-sig"), form, **settings) == expected


def test_a_stream_in_a_named_encoding():
    assert streamed("Thé\n".encode("cp1252"), "lines", encoding="cp1252") == [{"text": "Thé"}]


def test_a_stream_is_read_as_it_comes():
    source, sink = os.pipe()
    with open(source, "rb") as stream, open(sink, "wb", buffering=0) as pipe:
        pipe.write(b"one\ntwo\n")  # and the pipe stays open
        rows = stream_table(stream, "standard input", "lines", Data())
        assert [next(rows), next(rows)] == [{"text": "one"}, {"text": "two"}]
        rows.close()


@pytest.mark.parametrize(
    ("content", "form", "settings", "words"),
    [
        (b"caf\xe9\n", "lines", {}, r"standard input is not utf-8 \(byte 0xe9\)\. Save it as UTF-8 or name its --enc"),
        (b"{\n", "jsonl", {}, "standard input is not JSON in line 1"),
        (b"a,b\n1,2,3\n", "csv", {}, r"standard input has rows with another number of columns .* row 1 \(3\)"),
        (b"a\n", "csv", {"encoding": "utf-9"}, "--encoding is 'utf-9'; expected a name such as utf-8"),
        (b"a\n", "csv", {"delimiter": ";;"}, "--delimiter is ';;'; expected a single character"),
    ],
)
def test_mistakes_of_a_stream_are_sentences(content, form, settings, words):
    with pytest.raises(DataError, match=words):
        streamed(content, form, **settings)


def test_a_column_of_parquet_that_arrow_cannot_read_is_one_sentence(tmp_path):
    lists = pa.array([[1.0, 2.0], [3.0, 4.0], None], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"text": ["a", "b", "c"], "vector": lists}), tmp_path / "in.parquet")
    table = open_table(tmp_path / "in.parquet", Data())
    try:
        rows = list(table.rows())
    except DataError as error:
        assert re.search(r"in\.parquet has a column that cannot be read: .*Write it again without it", str(error))
    else:  # a later pyarrow may read it
        assert rows[2]["vector"] is None


def test_a_near_name_is_one_that_can_be_read(tmp_path):
    for name in ("tickets.csv", "tickets.html", "tickets.csv.bak", ".tickets.answers", "one.csv"):
        (tmp_path / name).write_text("text,label\n")
    for wrong, near in (("ticket.csv", "tickets.csv"), ("tickets.xlsx", "tickets.csv"), ("nofile.csv", None)):
        with pytest.raises(DataError) as found:
            open_table(tmp_path / wrong, Data())
        assert (f"Did you mean {tmp_path / near}?" in str(found.value)) if near else "Did you" not in str(found.value)


@pytest.mark.parametrize("end", ['he called it "great" and left\tpos', 'he called it "great"\tpos'])
def test_a_mark_that_another_one_closes_by_chance_swallows_no_rows(tmp_path, end):
    path = saved(tmp_path, "a.tsv", f'text\tlabel\n"I said it is bad\tneg\nfine\tpos\n{end}\nmore\tneg\n')
    with pytest.raises(
        DataError, match=r"opens a quotation mark in row 1 that takes the lines below .* save it as \.jsonl"
    ):
        opened(path)


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.tsv", ['"I said it is bad\tneg', "fine\tpos", 'so it is called great"\tpos']),
        ("a.tsv", ['"I said it is bad\tneg', 'so it is called great"\tpos']),
        ("b.tsv", ['neg\t"I said it is bad', 'pos\tso it is called great"']),
        ("a.csv", ['"I said it is bad,neg', "fine,pos", "good,pos", "bad,neg", 'it is called great",pos']),
    ],
)
@pytest.mark.parametrize("more", [[], ["more\tneg"]])
def test_rows_between_two_marks_by_chance_are_not_swallowed(tmp_path, name, lines, more):
    header = {"a.tsv": "text\tlabel", "b.tsv": "label\ttext", "a.csv": "text,label"}[name]
    more = [line.replace("\t", ",") if name == "a.csv" else line for line in more]
    with pytest.raises(DataError, match=r"opens a quotation mark in row 1 that takes the lines below"):
        opened(saved(tmp_path, name, "\n".join([header, *lines, *more, ""])))


POEM = "the rose, so red\nthe sea, so blue\nthe snow, so white\nthe night, so long\nand you"


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.csv", POEM), ("a.csv", "well, bad\nvery bad"), ("a.tsv", "def f():\n\treturn 1"), ("a.tsv", "a\tb\nc\td")],
)
def test_texts_of_several_lines_are_whole(tmp_path, name, text):
    for columns in (("text", "label"), ("label", "text")):
        rows = [{key: {"text": text, "label": "a"}[key] for key in columns}] * 2
        write_rows(rows, tmp_path / name, name[2:])
        assert opened(tmp_path / name)[0] == rows


def test_bytes_that_hold_text_are_text_and_others_stay_bytes(tmp_path):
    path = tmp_path / "a.parquet"
    columns = {
        "text": ["café".encode(), None],
        "label": [b"a", b"b"],
        "picture": [b"\xff\xd8", b"x"],
        "none": [None, None],
    }
    pq.write_table(pa.table({name: pa.array(values, pa.binary()) for name, values in columns.items()}), path)
    rows, _ = opened(path)
    assert rows == [
        {"text": "café", "label": "a", "picture": b"\xff\xd8", "none": None},
        {"text": None, "label": "b", "picture": b"x", "none": None},
    ]
    assert open_table(path, Data()).types["text"] == pa.large_string()
    later = pa.table({"text": pa.array([b"good"] * 5000 + [b"\xff"], pa.binary())})
    pq.write_table(later, path)
    with pytest.raises(DataError, match="has a column that cannot be read: Invalid UTF8"):
        opened(path)


DECLARED = json.dumps({"info": {"features": {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}}})


def declared(path, **columns):
    pq.write_table(pa.table(columns).replace_schema_metadata({"huggingface": DECLARED}), path)
    return path


def test_words_of_datasets_on_columns_that_changed_since_are_passed_over(tmp_path):
    assert opened(declared(tmp_path / "a.parquet", text=["x"], label=[1]))[0] == [{"text": "x", "label": "yes"}]
    assert opened(declared(tmp_path / "b.parquet", text=["x"]))[0] == [{"text": "x"}]
    assert opened(declared(tmp_path / "c.parquet", text=["x"], label=["a"]))[0] == [{"text": "x", "label": "a"}]
    with pytest.raises(DataError, match="'label' holds class 2, and 2 classes are declared"):
        opened(declared(tmp_path / "d.parquet", text=["x"], label=[2]))


def test_parquet_that_no_row_of_python_holds_is_a_sentence(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["x"], "day": pa.array([10**8], pa.int32()).cast(pa.date32())}), path)
    with pytest.raises(DataError, match=r"has a column that cannot be read: .* Write it again without it"):
        opened(path)
    pq.write_table(pa.Table.from_arrays([pa.array(["x"]), pa.array(["y"])], ["text", "text"]), path)
    with pytest.raises(DataError, match="two columns named 'text'"):
        opened(path)


def test_a_sheet_is_read_beyond_the_size_that_the_file_tells(tmp_path):
    path = workbook(tmp_path / "a.xlsx", one=[("text", "label"), *((f"row {i}", "a") for i in range(20))])
    stale = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stale, "w") as new:
        for name in old.namelist():
            content = old.read(name).decode()
            new.writestr(name, re.sub(r'<dimension ref="[^"]*"', '<dimension ref="A1:B5"', content))
    assert len(opened(stale)[0]) == 20
