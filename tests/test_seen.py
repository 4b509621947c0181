"""Texts that were trained on are counted when they are judged again."""

import pytest

from classifine.data.seen import count_seen, train_texts
from classifine.errors import DataError

TEXTS = [f"text number {i}" for i in range(50)]


def test_copies_are_found_however_they_are_written():
    known = train_texts([*TEXTS, *TEXTS])
    assert known == train_texts(reversed(TEXTS))
    assert count_seen(["Text number 7!", "text  NUMBER 8", "text number 8", "another"], known) == 3
    assert count_seen(["another", "one more"], known) == 0
    assert count_seen([], known) == count_seen(TEXTS, train_texts([])) == 0


def test_pairs_are_seen_as_pairs():
    known = train_texts([("a box", "a parcel"), ("late", "too late")])
    assert count_seen([("A box.", "a parcel"), ("a parcel", "a box"), ("late", "never")], known) == 1


def test_what_is_kept_grows_by_four_bytes_a_text():
    assert [len(train_texts(TEXTS[:count])) for count in (0, 3, 30)] == [0, 16, 160]


def test_as_many_as_chance_gives_are_not_told():
    known = train_texts(f"known {i}" for i in range(200_000))
    # 20,000 new texts against 200,000 hashes of 32 bits: one in 4,000 million pairs, so about one of them.
    assert count_seen([f"new {i}" for i in range(20_000)], known) == 0
    assert count_seen([f"known {i}" for i in range(20)], known) == 20


@pytest.mark.parametrize("damaged", ["a", "not base64!", "YWJj"])
def test_what_is_no_list_of_hashes_is_refused(damaged):
    with pytest.raises(DataError, match="the train texts is damaged"):
        count_seen(TEXTS, damaged)
