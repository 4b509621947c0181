"""A stream made in a thread of its own, a few items ahead of its use: reading, tokenising, the network and writing overlap.

Whoever stops taking waits for the thread to end, unless it rests: what waits for somebody to type can wait for ever.
"""

import threading
import time
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
BREATH: Any = (
    object()
)  # what a stream may yield in the middle of long work, to be stopped there if nobody waits any more
REST: Any = object()  # what a stream may yield before it waits for its source; what it yields next ends the rest
ROOM = 2  # items that wait at once: enough to keep both sides busy, little enough for memory
_PATIENCE = 0.1  # seconds after which a waiting thread looks whether it is still wanted
_GRACE = 0.5  # seconds that a resting thread is given, so that one which only reads a file is seen to its end
_mine = threading.local()  # in a thread that makes a stream: `unwanted`, the event that tells it to stop


def ahead(items: Iterator[T], room: int = ROOM) -> Iterator[T]:
    """The items in their order, up to `room` of them made before they are asked for; what raises there raises here.

    The items may themselves come from such a stream; both end when nobody takes from the outer one.
    """
    waiting: Queue[tuple[str, Any]] = Queue(room)
    unwanted, resting = threading.Event(), threading.Event()
    # A thread that waits here for another one must still hear that it is not wanted any more.
    outer: threading.Event | None = getattr(_mine, "unwanted", None)

    def hand_over(kind: str, item: Any) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put((kind, item), timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        _mine.unwanted = unwanted
        try:
            for item in items:
                if item is REST:
                    resting.set()
                else:
                    resting.clear()
                silent = item is REST or item is BREATH
                if unwanted.is_set() or not (silent or hand_over("item", item)):
                    break
            else:
                hand_over("end", None)
        except BaseException as error:  # it belongs to the one who asks, whatever it is
            hand_over("error", error)
        finally:
            close = getattr(items, "close", None)
            if close:
                close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while outer is None or not outer.is_set():
            try:
                kind, item = waiting.get(timeout=_PATIENCE)
            except Empty:
                continue
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        unwanted.set()
        _leave(thread, resting)


def _leave(thread: threading.Thread, resting: threading.Event) -> None:
    """Wait for a thread that is not wanted any more to end; one that rests is left to itself after a grace."""
    end = time.monotonic() + _GRACE
    while thread.is_alive() and not (resting.is_set() and time.monotonic() > end):
        thread.join(_PATIENCE)
