"""Three splits: stratified, seeded, copies on one side, and what was given is kept."""

import random
from collections import Counter

import pytest

from classifine.data.check import normalised
from classifine.data.read import Splits, from_lists
from classifine.data.split import MAX_VALIDATION, limited, sampled, split, strata, with_validation
from classifine.errors import DataError


def part(counts, name="train"):
    rows = [(f"{name} {label} {i}", label) for label, count in counts.items() for i in range(count)]
    return from_lists([text for text, _ in rows], [label for _, label in rows], name)


def cut(train, validation=None, test=None, shares=(0.1, 0.1), seed=42):
    return split(Splits(train, validation, test), *shares, seed)


def test_the_classes_keep_their_shares():
    three = cut(part({"a": 700, "b": 200, "c": 100}))
    assert Counter(three.train.labels) == {"a": 560, "b": 160, "c": 80}
    assert Counter(three.validation.labels) == Counter(three.test.labels) == {"a": 70, "b": 20, "c": 10}
    assert [one.name for one in three.all] == ["train", "validation", "test"]


def test_every_row_is_in_exactly_one_split_and_in_its_order():
    train = part({"a": 37, "b": 12, "c": 5})
    three = cut(train)
    ids = [number for one in three.all for number in one.ids]
    assert sorted(ids) == train.ids
    assert all(one.ids == sorted(one.ids) for one in three.all)


@pytest.mark.parametrize("shares", [(0.1, 0.1), (0.2, 0.4), (0.4, 0.05)])
def test_shares_are_of_the_rows_that_were_given(shares):
    three = cut(part({"a": 500, "b": 500}), shares=shares)
    assert (len(three.validation), len(three.test)) == (1000 * shares[0], 1000 * shares[1])


def test_the_seed_decides():
    train = part({"a": 100, "b": 100})
    assert cut(train, seed=1).test.ids == cut(train, seed=1).test.ids
    assert cut(train, seed=1).validation.ids == cut(train, seed=1).validation.ids
    assert len({tuple(cut(train, seed=seed).test.ids) for seed in range(5)}) == 5


@pytest.mark.parametrize("seed", range(10))
def test_copies_stay_on_one_side(seed):
    distinct = [(f"text {i}", "ab"[i % 2]) for i in range(60)]
    rows = [*distinct, *((text.upper() + " !", label) for text, label in distinct[:30])]
    three = cut(from_lists([text for text, _ in rows], [label for _, label in rows]), seed=seed)
    keys = [{normalised(text) for text in one.texts} for one in three.all]
    assert sum(map(len, keys)) == 60
    assert all(len(one) > 3 for one in three.all)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_share_a_text_stay_on_one_side(seed):
    rows = [((f"premise {i // 3}", f"hypothesis {i}"), "ab"[i % 2]) for i in range(90)]
    # A text that very many share, and a chain of pairs that would take all rows along, part nothing.
    rows += [((f"review {i}", "Is it good?"), "ab"[i % 2]) for i in range(60)]
    rows += [((f"question {i}", f"question {i + 1}"), "ab"[i % 2]) for i in range(60)]
    three = cut(from_lists([text for text, _ in rows], [label for _, label in rows]), seed=seed)
    premises = [{text[0] for text in one.texts if text[0].startswith("premise")} for one in three.all]
    assert sum(map(len, premises)) == 30
    for kind in ("review", "question"):
        assert sum(text[0].startswith(kind) for text in three.test.texts) > 1
    assert 17 <= len(three.test) <= 25


@pytest.mark.parametrize("seed", range(10))
def test_train_keeps_every_class(seed):
    # The only row of c is a copy of a text of a.
    rows = [*((f"text {i}", "ab"[i % 2]) for i in range(20)), ("Text 0", "c"), ("rare", "d"), ("rarer", "d")]
    three = cut(from_lists([text for text, _ in rows], [label for _, label in rows]), shares=(0.4, 0.4), seed=seed)
    assert set(three.train.labels) == {"a", "b", "c", "d"}


def test_a_class_of_three_rows_gives_one_to_test():
    three = cut(part({"a": 100, "b": 3}))
    assert Counter(three.test.labels)["b"] == 1
    assert Counter(three.train.labels)["b"] >= 1


def test_what_was_given_is_kept():
    train, validation, test = part({"a": 50, "b": 50}), part({"a": 3, "b": 4}, "validation"), part({"a": 2}, "test")
    three = cut(train, validation, test)
    assert three.all == (train, validation, test)
    assert three.notes == ()


def test_only_what_is_missing_is_cut():
    train, test = part({"a": 50, "b": 50}), part({"a": 5, "b": 5}, "test")
    three = cut(train, test=test)
    assert three.test == test
    assert (len(three.train), len(three.validation)) == (90, 10)
    assert three.notes == ("validation: 10 rows cut from the train texts (--validation FILE gives your own)",)
    three = cut(train, part({"a": 5, "b": 5}, "validation"))
    assert (len(three.train), len(three.validation), len(three.test)) == (90, 10, 10)
    assert three.notes == ("test: 10 rows cut from the train texts (--test FILE gives your own)",)


def test_the_validation_cut_is_bounded():
    train = part({"a": 15_000, "b": 15_000})
    left, validation = with_validation(Splits(train), 0.1, 0)
    assert len(validation) == MAX_VALIDATION
    assert len(left) == 30_000 - MAX_VALIDATION


@pytest.mark.parametrize("counts", [{"a": 2, "b": 2}, {"a": 1, "b": 1}])
def test_too_few_texts_to_cut_from(counts):
    with pytest.raises(DataError, match=rf"too few distinct texts \({sum(counts.values())}\) to cut a test split"):
        cut(part(counts))


def test_nothing_left_to_train_on():
    test = part({"a": 5, "b": 5}, "test")
    with pytest.raises(DataError, match=r"Too few rows of the train texts are left to train on \(6\)\. Add rows"):
        cut(part({"a": 6}), test, test)


@pytest.mark.parametrize("rows", [2, 10, 33, 99])
def test_a_sample_has_exactly_so_many_rows_and_keeps_the_shares(rows):
    whole = part({"a": 60, "b": 30, "c": 10})
    small = sampled(whole, rows, 1)
    assert len(small) == rows
    assert small.ids == sorted(small.ids)
    counts = Counter(small.labels)
    assert len(counts) == min(rows, 3)
    assert all(abs(counts[label] - rows * share) <= 1.5 for label, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)))


def test_the_seed_decides_on_the_sample():
    whole = part({"a": 60, "b": 30})
    assert sampled(whole, 20, 1).ids == sampled(whole, 20, 1).ids != sampled(whole, 20, 2).ids


def test_only_what_is_too_large_is_limited():
    three = cut(part({"a": 500, "b": 500}))
    small = limited(three, 100, 90, 0)
    assert [len(one) for one in small.all] == [100, 90, 90]
    assert small.notes[-3:] == (
        "train: 100 of 800 rows drawn (--max-train-rows)", "validation: 90 of 100 rows drawn (--max-eval-rows)",
        "test: 90 of 100 rows drawn (--max-eval-rows)",
    )  # fmt: skip
    assert limited(three, None, 100, 0) == three


def test_rows_of_several_labels_stand_for_their_rarest_one():
    several = from_lists(["u", "v", "w", "x"], [["a"], ["a", "b"], ["a"], []], task="multi")
    assert strata(several) == ["a", "b", "a", ""]


def test_numbers_are_cut_by_tenths_of_their_order():
    scores = from_lists([f"text {i}" for i in range(100)], [i**2 / 10 for i in range(100)], task="score")
    assert Counter(strata(scores)) == {str(i): 10 for i in range(10)}
    three = cut(scores)
    assert len(three.test) == 10
    assert all(10 * i <= number < 10 * (i + 1) for i, number in enumerate(row - 1 for row in three.test.ids))


def test_several_labels_are_cut_and_none_is_lost_from_train():
    labels = [["a"], ["a", "b"], ["b"], ["a", "c"]] * 25
    three = cut(from_lists([f"text {i}" for i in range(100)], labels, task="multi"))
    assert all({name for found in one.names for name in found} == {"a", "b", "c"} for one in three.all)


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_stand_for_one_label_do_not_take_the_last_of_another(seed):
    """Of many labels that come together each row stands for its rarest one alone."""
    draw = random.Random(seed)
    labels = [[f"l{int(draw.paretovariate(0.35)) % 1500}" for _ in range(draw.randint(1, 4))] for _ in range(800)]
    three = cut(from_lists([f"text {i}" for i in range(800)], labels, task="multi"), shares=(0.25, 0.25), seed=seed)
    train = {name for names in three.train.names for name in names}
    assert {name for names in labels for name in names} == train
