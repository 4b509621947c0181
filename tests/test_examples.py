"""The example data are what the README says of them."""

from collections import Counter
from pathlib import Path

import pytest

from classifine.config import Data
from classifine.data.check import check_splits
from classifine.data.read import read_splits
from classifine.data.split import split
from classifine.labels import Labels
from classifine.report.evaluate import baselines

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def tickets():
    return read_splits(Data(source=str(EXAMPLES / "tickets.csv")))


def test_the_tickets_are_many_of_six_classes_and_without_a_fault(tickets):
    assert len(tickets.train) >= 600
    assert len(Counter(tickets.train.labels)) == 6
    assert check_splits(tickets, Data()).faults == ()


def test_the_tickets_are_hard_for_a_bag_of_words(tickets):
    three = split(tickets, 0.1, 0.2, seed=0)
    labels = Labels.ordered(three.train.labels)
    train, test = (labels.targets(part.labels) for part in (three.train, three.test))
    found = baselines(three.train.texts, train, three.test.texts, test, "single")
    majority, tfidf = (baseline.metrics["accuracy"] for baseline in found)
    assert majority < 0.4
    assert majority + 0.2 < tfidf < 0.9
