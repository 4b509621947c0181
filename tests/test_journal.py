"""Answers that outlive the process: whole chunks of the same job go on, those of another job are not lost unasked."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from classifine.errors import OutputError
from classifine.infer.journal import Journal

JOB = {"input": "a.csv", "size": 12}
ROWS = [["a", 0.25], [None, None], [["x", "y"], 1e-06], ["é\n", 0.1]]


def kept(target, job=JOB, chunk=2, **more):
    journal = Journal(target, job, chunk, **more)
    found = list(journal.before())
    journal.close()
    return found


@pytest.fixture
def target(tmp_path):
    return tmp_path / "out.csv"


@pytest.fixture
def stopped(target):
    journal = Journal(target, JOB, 2)
    journal.add(ROWS[:2])
    journal.add(ROWS[2:])
    journal.close()
    return target.with_name(".out.answers")


def test_answers_come_back_as_they_were(stopped, target):
    assert kept(target) == ROWS
    assert not target.exists()


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_chunk_that_is_not_whole_is_answered_again(stopped, target, cut):
    stopped.write_bytes(stopped.read_bytes()[:-cut])
    assert kept(target) == ROWS[:2]
    journal = Journal(target, JOB, 2)
    journal.add(ROWS[2:])
    journal.close()
    assert kept(target) == ROWS


def test_another_job_does_not_wipe_the_answers_unasked(stopped, target):
    sentence = r"\.out\.answers holds 4 answers of another job, which differs in: more, size\. .*--start-over"
    before = stopped.read_bytes()
    with pytest.raises(OutputError, match=sentence):
        kept(target, {"input": "a.csv", "size": 13, "more": 1})
    assert stopped.read_bytes() == before
    assert kept(target) == ROWS
    assert kept(target, {**JOB, "size": 13}, start_over=True) == []
    assert not stopped.exists()


def test_another_job_that_answered_nothing_is_no_obstacle(stopped, target):
    stopped.write_bytes(stopped.read_bytes().splitlines(keepends=True)[0])
    assert kept(target, {**JOB, "size": 13}) == []


def test_the_same_job_may_begin_anew(stopped, target):
    assert kept(target, start_over=True) == []


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv.gz", "out.parquet"])
def test_a_job_goes_on_in_another_form(stopped, target, name):
    assert kept(target.with_name(name)) == ROWS
    assert kept(target.with_name("out.2.csv")) == []


def test_what_is_no_journal_is_no_obstacle(stopped, target):
    for damage in (b"", b"\n\n", b"\xff\x00", b'{"input"'):
        stopped.write_bytes(damage)
        assert kept(target) == []


def test_a_finished_job_leaves_nothing(stopped, target, tmp_path):
    journal = Journal(target, JOB, 2)
    journal.remove()
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_to_one_file(stopped, target):
    journal = Journal(target, JOB, 2)
    with pytest.raises(OutputError, match=r"Another process is writing to \.out\.answers\. Wait"):
        Journal(target, JOB, 2)
    journal.close()
    assert kept(target) == ROWS


def test_what_may_differ_begins_anew_and_what_may_not_is_refused(stopped, target):
    other = {**JOB, next(iter(JOB)): "another"}
    with pytest.raises(OutputError, match="answers of another job"):
        Journal(target, other, 2)
    journal = Journal(target, other, 2, may_differ=[next(iter(JOB))])
    assert (journal.done, list(journal.before())) == (0, [])
    journal.close()


def test_a_disk_that_is_full_is_one_sentence(target, monkeypatch):
    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"\.out\.answers cannot be written: No space left on device"):
        Journal(target, JOB, 2)


@pytest.mark.parametrize("reason", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_files_have_no_locks_it_goes_on_without(stopped, target, monkeypatch, reason):
    def refused(file, how):
        raise OSError(reason, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refused)
    journal = Journal(target, JOB, 2)
    assert (list(journal.before()), journal.after_a_kill) == (ROWS, False)
    journal.close()


def test_a_file_that_was_removed_before_it_was_locked_keeps_nothing(stopped, target, monkeypatch):
    lock, waited = fcntl.flock, []

    def slow(file, how):
        if not waited:
            waited.append(stopped.unlink())
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", slow)
    journal = Journal(target, JOB, 2)
    journal.add(ROWS[:2])
    journal.close()
    assert kept(target) == ROWS[:2]


def test_what_cannot_be_removed_while_it_is_open_is_closed_first(stopped, target, monkeypatch):
    journal, remove, tried = Journal(target, JOB, 2), Path.unlink, []

    def strict(path, missing_ok=False):
        tried.append(path)
        if len(tried) == 1:
            raise PermissionError(errno.EACCES, "in use")
        assert journal._file.closed
        remove(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", strict)
    journal.remove()
    assert not stopped.exists()


def test_it_tells_whether_somebody_was_here_before(stopped, target):
    for begun in (True, False):
        journal = Journal(target, JOB, 2)
        assert journal.after_a_kill is begun
        journal.remove()


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be written.*Change -o"):
        Journal(tmp_path / "none" / "out.csv", JOB, 2)
