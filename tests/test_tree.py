"""A folder of files is labelled file by file, and a job that was stopped goes on with the first that is not finished."""

import gzip
import json
import os
import shutil
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import made_up

from classifine import use
from classifine.errors import DataError, OutputError
from classifine.infer import files, tree
from classifine.infer.files import PredictOptions
from classifine.infer.journal import Journal
from classifine.infer.predict import Wanted
from classifine.model.folder import load

TEXTS = [text for text, _ in made_up(40)]


@pytest.fixture
def lake(tmp_path):
    """Parquet in folders of days, a csv, lines of text, an empty part, and what is no file of rows."""
    place = tmp_path / "lake"
    for day in ("day=1", "day=2"):
        (place / day).mkdir(parents=True)
        for part in range(2):
            rows = pa.table({"text": TEXTS[10 * part : 10 * part + 10], "n": pa.array(range(10), pa.int16())})
            pq.write_table(rows, place / day / f"part-{part}.parquet")
    (place / "more.csv").write_text("text\n" + "\n".join(TEXTS[:5]) + "\n", encoding="utf-8")
    with gzip.open(place / "lines.txt.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(TEXTS[:3]) + "\n")
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), place / "none.parquet")
    (place / "nothing.csv").touch()
    (place / "_SUCCESS").touch()
    (place / ".part.crc").write_bytes(b"\0")
    (place / "notes.md").write_text("not rows")
    return place


FILES = {
    "day=1/part-0.parquet", "day=1/part-1.parquet", "day=2/part-0.parquet", "day=2/part-1.parquet", "more.csv",
    "lines.jsonl.gz",
}  # fmt: skip


def answer(model, source, output, said=None, **options):
    say = (lambda line: None) if said is None else said.append
    return use.predict(model, str(source), output, PredictOptions(**options), None, say)


def below(place):
    """The files of rows; what a job keeps for itself is hidden, as the names of Spark's own files are."""
    every = (item for item in place.rglob("*") if item.is_file() and item.suffix != ".done")
    return {item.relative_to(place).as_posix() for item in every}


def test_every_file_is_labelled_in_its_place(trained, lake, tmp_path):
    said = []
    assert answer(trained, lake, tmp_path / "out", said) == 48
    assert below(tmp_path / "out") == FILES
    whole = pq.read_table(tmp_path / "out" / "day=2" / "part-1.parquet")
    assert whole.column("text").to_pylist() == TEXTS[10:20]
    assert whole.schema.field("n").type == pa.int16()
    answer(trained, lake / "day=2" / "part-1.parquet", tmp_path / "one.parquet")
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "out" / "day=2" / "part-1.parquet").read_bytes()
    lines = gzip.decompress((tmp_path / "out" / "lines.jsonl.gz").read_bytes()).decode().splitlines()
    assert [json.loads(line)["text"] for line in lines] == TEXTS[:3]
    assert f"{lake}: 1 files of other kinds are left out: notes.md" in said
    assert "none.parquet holds no rows, and is left out" in said
    assert "nothing.csv holds no rows, and is left out" in said
    assert said[-1] == f"48 rows of 8 files, in {tmp_path / 'out'}"


def test_what_is_finished_is_not_done_again_but_what_has_changed_is(trained, lake, tmp_path, monkeypatch):
    judged, own = [], tree.predict_file

    def breaking(saved, source, *rest):
        judged.append(source)
        if len(judged) == 4:
            raise KeyboardInterrupt
        return own(saved, source, *rest)

    monkeypatch.setattr(tree, "predict_file", breaking)
    said = []
    with pytest.raises(KeyboardInterrupt):
        answer(trained, lake, tmp_path / "out", said)
    assert said[-1] == "3 of 8 files are finished. The same command goes on from there."
    assert len(below(tmp_path / "out") & FILES) == 3
    # One that was finished changes, another's output is lost, and one more comes.
    (lake / "more.csv").rename(lake / "zz.csv")
    changed = lake / "day=1" / "part-0.parquet"
    os.utime(changed, ns=(1, 1))
    (tmp_path / "out" / "day=1" / "part-1.parquet").unlink()
    first = judged[2]
    judged[:] = [""] * 4
    assert answer(trained, lake, tmp_path / "out", said) == 48
    assert "goes on after 1 of 8 files that were finished before" in said
    assert first not in judged
    assert {str(changed), str(lake / "day=1" / "part-1.parquet"), str(lake / "zz.csv")} < set(judged)
    assert below(tmp_path / "out") == {*FILES, "zz.csv"} - {"more.csv"}


def test_a_file_that_changes_after_a_stop_in_its_middle_is_begun_anew(trained, lake, tmp_path, monkeypatch):
    add = Journal.add

    def broken(self, answers):
        add(self, answers)
        if self.path.name == ".part-1.parquet.answers":
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "CHUNK", 2)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", broken)
        with pytest.raises(KeyboardInterrupt):
            answer(trained, lake, tmp_path / "out")
    half = tmp_path / "out" / "day=1" / ".part-1.parquet.answers"
    assert half.exists()
    changed = lake / "day=1" / "part-1.parquet"
    pq.write_table(pa.table({"text": TEXTS[20:27]}), changed)
    said = []
    assert answer(trained, lake, tmp_path / "out", said) == 45
    assert "goes on after 1 of 8 files that were finished before" in said
    assert pq.read_table(tmp_path / "out" / "day=1" / "part-1.parquet").column("text").to_pylist() == TEXTS[20:27]
    assert not half.exists()


def test_files_that_differ_in_their_endings_alone_do_not_share_what_they_keep(trained, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "a.tsv"):
        (tmp_path / "in" / name).write_text("text\n" + "\n".join(TEXTS[:4]) + "\n", encoding="utf-8")
    (tmp_path / "out").mkdir()
    other = Journal(tmp_path / "out" / "a.csv", {"another": "shard"}, 1, whole_name=True)
    with closing(other):
        other.add([["x", 1.0]])
        assert answer(trained, tmp_path / "in", tmp_path / "out", shard=(2, 2)) == 4
    assert (tmp_path / "out" / "a.tsv").exists()


def test_a_file_that_cannot_be_read_stops_the_job_and_the_rest_stays(trained, lake, tmp_path):
    (lake / "day=2" / "part-0.parquet").write_bytes(b"PAR1 and no more")
    said = []
    with pytest.raises(DataError, match=r"part-0\.parquet is not a Parquet file"):
        answer(trained, lake, tmp_path / "out", said)
    assert said[-1] == "2 of 8 files are finished. The same command goes on from there."
    (lake / "day=2" / "part-0.parquet").unlink()
    assert answer(trained, lake, tmp_path / "out") == 38


def test_another_job_does_not_go_on_with_it(trained, lake, tmp_path, monkeypatch):
    own = tree.predict_file
    with monkeypatch.context() as patch:
        patch.setattr(
            tree, "predict_file", lambda saved, source, *rest: own(saved, source, *rest) // (source[-3:] != "csv")
        )
        with pytest.raises(ZeroDivisionError):
            answer(trained, lake, tmp_path / "out")
    with pytest.raises(OutputError, match="holds 5 answers of another job, which differs in: flags"):
        answer(trained, lake, tmp_path / "out", wanted=Wanted(top_k=2))
    assert answer(trained, lake, tmp_path / "out", wanted=Wanted(top_k=2), start_over=True) == 48
    with pytest.raises(DataError, match="the files of a folder tell theirs by their endings"):
        answer(trained, lake, tmp_path / "out", form="csv")


def test_the_same_job_given_again_does_what_came_or_changed_and_another_job_all(trained, lake, tmp_path, monkeypatch):
    own, judged = tree.predict_file, []

    def counting(saved, source, *rest):
        count = own(saved, source, *rest)  # of a file without rows it raises
        judged.append(source)
        return count

    monkeypatch.setattr(tree, "predict_file", counting)
    assert answer(trained, lake, tmp_path / "out") == 48
    assert len(judged) == 6
    assert answer(trained, lake, tmp_path / "out", said := []) == 48
    assert len(judged) == 6
    assert "goes on after 6 of 8 files that were finished before" in said
    shutil.copy(lake / "more.csv", lake / "new.csv")
    os.utime(lake / "more.csv", ns=(1, 1))
    rows = answer(trained, lake, tmp_path / "out")
    assert sorted(judged[6:]) == [str(lake / "more.csv"), str(lake / "new.csv")]
    assert answer(trained, lake, tmp_path / "out") == rows > 48
    assert len(judged) == 8
    # What ended stands in nobody's way.
    assert answer(trained, lake, tmp_path / "out", wanted=Wanted(top_k=2)) == rows
    assert len(judged) == 15
    assert answer(trained, lake, tmp_path / "out", wanted=Wanted(top_k=2), start_over=True) == rows
    assert len(judged) == 22


def test_shards_are_of_files_and_together_are_all(trained, lake, tmp_path):
    counts = [answer(trained, lake, tmp_path / "out", shard=(i, 3)) for i in (1, 2, 3)]
    assert sum(counts) == 48
    assert below(tmp_path / "out") == FILES


def test_what_cannot_be_done_is_one_sentence_and_nothing_is_written(trained, lake, tmp_path):
    with pytest.raises(OutputError, match="is a folder; expected another for its files"):
        answer(trained, lake, None)
    with pytest.raises(OutputError, match=r"lies in .*lake, whose files are read"):
        answer(trained, lake, lake / "out")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a folder, so -o should be one"):
        answer(trained, lake, tmp_path / "file")
    (lake / "lines.jsonl.gz").touch()
    with pytest.raises(DataError, match=r"lines\.jsonl\.gz and lines\.txt\.gz would both become lines\.jsonl\.gz"):
        answer(trained, lake, tmp_path / "out")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match="bare holds no files of rows"):
        answer(trained, tmp_path / "bare", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_another_has_written_since_is_not_taken_for_ones_own(trained, lake, tmp_path):
    assert answer(trained, lake, tmp_path / "out") == 48
    whole = {item: item.read_bytes() for item in (tmp_path / "out").rglob("*") if item.is_file()}
    # Another job, in two shards, puts its own answers there.
    for part in (1, 2):
        answer(trained, lake, tmp_path / "out", wanted=Wanted(all_scores=True), shard=(part, 2))
    emptied = tmp_path / "out" / "more.csv"
    emptied.write_bytes(b"")
    assert answer(trained, lake, tmp_path / "out") == 48
    for item, content in whole.items():
        if item.suffix in (".csv", ".jsonl"):
            assert item.read_bytes() == content


def test_what_is_called_alike_beside_a_file_stays(trained, lake, tmp_path):
    (tmp_path / ".out.done").write_text("a stamp of make")
    files.predict_file(load(trained), str(lake / "more.csv"), tmp_path / "out.csv", PredictOptions(), None, print)
    assert (tmp_path / ".out.done").read_text() == "a stamp of make"


def test_folders_behind_links_are_read_and_circles_end(trained, lake, tmp_path):
    elsewhere = lake.rename(tmp_path / "disk") / "day=1"
    lake.mkdir()
    (lake / "day=1").symlink_to(elsewhere)
    (elsewhere / "circle").symlink_to(lake)
    answer(trained, lake, tmp_path / "out")
    assert below(tmp_path / "out") == {"day=1/part-0.parquet", "day=1/part-1.parquet"}
