"""A stream made in another thread: its order, its mistakes, how far it runs ahead, and that it ends when nobody waits."""

import threading
import time

import pytest

from classifine.infer.ahead import BREATH, REST, ahead


def wait_until(true):
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_items_come_in_order_from_another_thread():
    def items():
        for i in range(50):
            yield i, threading.get_ident()

    found = list(ahead(items()))
    assert [i for i, _ in found] == list(range(50))
    assert {thread for _, thread in found}.isdisjoint({threading.get_ident()})


def test_it_runs_only_so_far_ahead():
    made = []

    def items():
        for i in range(50):
            made.append(i)
            yield i

    stream = ahead(items(), room=3)
    assert next(stream) == 0
    wait_until(lambda: len(made) >= 5)
    time.sleep(0.3)
    # One taken, three that wait, one in hand.
    assert len(made) == 5
    stream.close()


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_what_raises_there_raises_here_after_what_came_before(error):
    def items():
        yield 1
        raise error

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(type(error)):
        next(stream)


def test_a_stream_that_nobody_wants_any_more_is_closed():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 1
        finally:
            closed.set()

    stream = ahead(items())
    next(stream)
    stream.close()
    assert closed.is_set()


def test_long_work_is_left_at_a_breath():
    steps = []

    def items():
        yield 1
        for i in range(10_000):
            steps.append(i)
            time.sleep(0.01)
            yield BREATH
        yield 2

    stream = ahead(items())
    next(stream)
    wait_until(lambda: steps)
    stream.close()
    assert len(steps) < 1000


def test_a_breath_and_a_rest_are_no_items():
    assert list(ahead(iter([1, BREATH, REST, BREATH, 2]))) == [1, 2]


def test_a_source_that_says_nothing_more_holds_nobody():
    said, ended, worked = threading.Event(), [], []

    def source():
        yield 1
        yield REST
        ended.append(said.wait(60))
        yield BREATH
        worked.append(True)

    def further():
        yield from ahead(source())

    stream = ahead(further())
    assert next(stream) == 1
    stream.close()
    assert ended == []
    said.set()
    wait_until(lambda: ended)
    assert (ended, worked) == ([True], [])
