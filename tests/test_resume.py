"""A long prediction: killed and begun again it gives the same bytes, and its parts joined are the whole."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import made_up
from rich.console import Console

from classifine import use
from classifine.errors import DataError, OutputError
from classifine.infer import files, meter, predict
from classifine.infer.choose import open_engine
from classifine.infer.files import PredictOptions
from classifine.infer.journal import Journal
from classifine.infer.meter import Meter
from classifine.infer.predict import Wanted

ROWS = 9000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A Parquet file of many rows, with columns of several types and a few rows without text."""
    texts = [text for text, _ in made_up(500)]
    table = pa.table(
        {
            "text": [texts[i % 500] if i % 97 else None for i in range(ROWS)],
            "number": pa.array(range(ROWS), pa.int32()),
            "when": pa.array([datetime(2024, 1, 1 + i % 28) for i in range(ROWS)], pa.timestamp("ms")),
        }
    )
    path = tmp_path_factory.mktemp("many") / "many.parquet"
    pq.write_table(table, path)
    return path


def answer(model, source, output, said=None, **options):
    say = (lambda line: None) if said is None else said.append
    return use.predict(model, str(source), output, PredictOptions(**options), None, say)


def rows_in(journal):
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


@pytest.mark.parametrize(("ending", "ends"), [("parquet", (2000, 5000)), ("csv.gz", (3000,))])
def test_killed_at_random_points_it_gives_the_same_bytes(trained, many, tmp_path, ending, ends):
    whole, output = tmp_path / f"whole.{ending}", tmp_path / f"again.{ending}"
    answer(trained, many, whole)
    journal = tmp_path / ".again.answers"
    draw, before = random.Random(7), 0
    command = [sys.executable, "-m", "classifine", "predict", str(trained), str(many), "-o", str(output)]
    for end in ends:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while rows_in(journal) < end and process.poll() is None:
            time.sleep(0.005)
        time.sleep(draw.random() / 20)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not output.exists()
        assert rows_in(journal) >= before > -1
        before = rows_in(journal) // predict.CHUNK * predict.CHUNK
        assert 0 < before < ROWS
    # What a killed process had written of the file, whether it was killed while it wrote or not.
    (tmp_path / f".{output.name}.0123abcd").write_bytes(b"PAR1")
    said = []
    assert answer(trained, many, output, said) == ROWS
    assert sorted(item.name for item in tmp_path.iterdir()) == [output.name, whole.name]
    assert f"goes on after the {before} rows that were answered before" in said
    assert output.read_bytes() == whole.read_bytes()
    assert not journal.exists()


def test_what_was_answered_is_not_answered_again(trained, many, tmp_path, monkeypatch):
    judged = []
    tokenise = predict.tokenise
    monkeypatch.setattr(predict, "tokenise", lambda texts, *rest: judged.extend(texts) or tokenise(texts, *rest))

    def broken(self, answers):
        if self.kept >= 4 * predict.CHUNK:
            raise KeyboardInterrupt
        add(self, answers)

    add = Journal.add
    with monkeypatch.context() as patch:
        patch.setattr(files.Journal, "add", broken)
        said = []
        with pytest.raises(KeyboardInterrupt):
            answer(trained, many, tmp_path / "out.parquet", said)
    assert "4096 rows are answered. The same command goes on from there." in said
    judged.clear()
    answer(trained, many, tmp_path / "out.parquet")
    assert len(judged) == sum(1 for i in range(4096, ROWS) if i % 97)
    assert [item.name for item in tmp_path.iterdir() if not item.name.startswith(".whole")] == ["out.parquet"]


def test_types_of_columns_stay(trained, many, tmp_path):
    answer(trained, many, tmp_path / "out.parquet")
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.field("number").type == pa.int32()
    assert found.schema.field("when").type == pa.timestamp("ms")
    assert found.select(["text", "number", "when"]).equals(pq.read_table(many))
    assert found.column("label")[0].as_py() is None
    assert found.schema.field("score").type == pa.float64()


def test_another_job_does_not_go_on_with_the_answers_of_the_first(trained, many, tmp_path):
    said = []
    journal = Journal(tmp_path / "out.jsonl", {"some": "other job"}, predict.CHUNK)
    journal.add([["praise", 1.0]] * predict.CHUNK)
    journal.close()
    with pytest.raises(OutputError, match="holds 1024 answers of another job"):
        answer(trained, many, tmp_path / "out.jsonl", said)
    answer(trained, many, tmp_path / "out.jsonl", said, start_over=True)
    assert not any("goes on" in line for line in said)
    assert [item.name for item in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize(
    "options", [{"wanted": Wanted(top_k=2)}, {"wanted": Wanted(all_scores=True)}, {"precision": "bf16"}]
)
def test_another_flag_makes_another_job(saved, many, options):
    jobs = [
        files.job_of(saved, open_engine(saved, one.engine, one.precision), [str(many)], one, (("text",), None))
        for one in (PredictOptions(), PredictOptions(**options))
    ]
    assert jobs[0] != jobs[1]
    again = PredictOptions(start_over=True)
    assert files.job_of(saved, open_engine(saved), [str(many)], again, (("text",), None)) == jobs[0]


def test_what_one_form_cannot_hold_goes_on_in_another(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "CHUNK", 32)
    monkeypatch.setattr(files, "CHUNK", 32)
    source, said = tmp_path / "in.jsonl", []
    rows = [{"text": text, "number": i} for i, (text, _) in enumerate(made_up(64))]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def refusing(rows, path, *rest):
        list(rows)
        raise OutputError("This form does not hold such rows. Write .jsonl instead.")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_rows", refusing)
        with pytest.raises(OutputError):
            answer(trained, source, tmp_path / "mix.parquet", said)
    told = "64 rows are answered. The same command goes on from there, also with another ending of -o."
    assert said[-1] == told
    assert answer(trained, source, tmp_path / "mix.jsonl", said) == 64
    assert "goes on after the 64 rows that were answered before" in said
    assert sorted(item.name for item in tmp_path.iterdir()) == ["in.jsonl", "mix.jsonl"]


def test_standard_input_and_a_file_do_not_write_to_one_output(trained, tmp_path):
    held = Journal(tmp_path / "out.jsonl", {}, predict.CHUNK)
    with pytest.raises(OutputError, match="Another process is writing"):
        use.predict(
            trained, "-", tmp_path / "out.jsonl", PredictOptions(), io.BytesIO(b"a parcel\n"), lambda line: None
        )
    held.close()
    use.predict(trained, "-", tmp_path / "out.jsonl", PredictOptions(), io.BytesIO(b"a parcel\n"), lambda line: None)
    assert [item.name for item in tmp_path.iterdir()] == ["out.jsonl"]


@pytest.mark.parametrize("parts", [1, 3, 4])
def test_parts_in_order_are_the_whole(trained, tmp_path, parts):
    rows = [text for text, _ in made_up(50)]
    source = tmp_path / "in.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in rows)])
    found = []
    for i in range(1, parts + 1):
        count = answer(trained, source, tmp_path / f"{i}.jsonl", shard=(i, parts))
        lines = (tmp_path / f"{i}.jsonl").read_text("utf-8").splitlines()
        assert len(lines) == count == 50 * i // parts - 50 * (i - 1) // parts
        found += lines
    assert [json.loads(line)["text"] for line in found] == rows


def test_standard_input_has_no_parts(trained):
    with pytest.raises(DataError, match="--shard is for files"):
        use.predict(trained, "-", None, PredictOptions(shard=(1, 2)), None, lambda line: None)


def test_progress_is_said_of_a_long_job(trained, many, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "QUICK", 0.0)
    said = []
    answer(trained, many, tmp_path / "out.jsonl", said)
    told = [line for line in said if line.startswith("predicting:")]
    assert 5 < len(told) <= 10
    assert told[-1].startswith("predicting: 100 %, ")
    assert told[-1].endswith("rows/s, 0 s left")


def test_the_bar_of_a_job_that_goes_on_reaches_its_end(monkeypatch):
    monkeypatch.setattr(meter, "Console", lambda stderr: Console(file=io.StringIO(), force_terminal=True))
    with closing(Meter("predicting", 9000, lambda line: None)) as told:
        told.skip(6000)
        told.add(3000)
        assert told._bar.tasks[0].percentage == 100


def test_memory_does_not_grow_with_the_rows(trained, many, tmp_path):
    """Three times the rows take no more memory than a chunk or two of them."""
    table = pq.read_table(many)
    pq.write_table(pa.concat_tables([table] * 3), tmp_path / "more.parquet")
    peaks = []
    for source in (many, tmp_path / "more.parquet"):
        code = (
            "import resource, sys; from pathlib import Path; from classifine import use\n"
            "from classifine.infer.files import PredictOptions\n"
            "use.predict(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), PredictOptions(), None, lambda line: None)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        command = [sys.executable, "-c", code, str(trained), str(source), str(tmp_path / "out.parquet")]
        peaks.append(float(subprocess.run(command, capture_output=True, check=True, env=os.environ).stdout))
    assert peaks[1] < peaks[0] + 60


def stopped(model, source, output, monkeypatch, **options):
    """A job that ends after some chunks."""
    add = Journal.add

    def broken(self, answers):
        if self.kept >= 2 * predict.CHUNK:
            raise KeyboardInterrupt
        add(self, answers)

    with monkeypatch.context() as patch:
        patch.setattr(files.Journal, "add", broken)
        with pytest.raises(KeyboardInterrupt):
            answer(model, source, output, **options)


def test_the_content_of_the_input_counts_and_not_its_time(trained, tmp_path, monkeypatch):
    source = tmp_path / "in.csv"
    source.write_text("text\n" + "my parcel is late\n" * 4000, encoding="utf-8")
    stopped(trained, source, tmp_path / "out.csv", monkeypatch)
    os.utime(source, (1, 1))
    said = []
    assert answer(trained, source, tmp_path / "out.csv", said) == 4000
    assert any("goes on after the 2048 rows" in line for line in said)
    stopped(trained, source, tmp_path / "out.csv", monkeypatch)
    source.write_text("text\n" + "my parcel is lost\n" * 4000, encoding="utf-8")
    os.utime(source, (1, 1))  # as tools do that keep the time of what they copy
    with pytest.raises(OutputError, match=r"another job, which differs in: input\."):
        answer(trained, source, tmp_path / "out.csv")


def test_the_engine_that_a_stopped_job_ran_with_is_told(trained, tmp_path):
    journal = Journal(tmp_path / "out.csv", {"engine": "openvino int8"}, 1)
    journal.add([["praise", 1.0]])
    journal.close()
    with pytest.raises(OutputError, match=r"differs in: engine \(then openvino int8\)\. Give the same"):
        Journal(tmp_path / "out.csv", {"engine": "torch float32"}, 1)
