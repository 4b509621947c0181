"""Answers that outlive the process: whole chunks of the same job go on, all else begins anew."""

import pytest

from classifine.errors import OutputError
from classifine.infer.journal import Journal

JOB = {"input": "a.csv", "size": 12}
ROWS = [["a", 0.25], [None, None], [["x", "y"], 1e-06], ["é\n", 0.1]]


def kept(target, job=JOB, chunk=2):
    journal = Journal(target, job, chunk)
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
    return target.with_name(".out.csv.answers")


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


def test_another_job_begins_anew(stopped, target):
    assert kept(target, {**JOB, "size": 13}) == []
    assert not stopped.exists()
    assert kept(target) == []


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
    with pytest.raises(OutputError, match=r"Another process is writing to \.out\.csv\.answers\. Wait"):
        Journal(target, JOB, 2)
    journal.close()
    assert kept(target) == ROWS


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"cannot be written.*Change -o"):
        Journal(tmp_path / "none" / "out.csv", JOB, 2)
