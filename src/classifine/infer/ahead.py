"""A stream made in a thread of its own, a few items ahead of its use: reading, tokenising, the network and writing overlap."""

import threading
from collections.abc import Iterator
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
BREATH: Any = (
    object()
)  # what a stream may yield in the middle of long work, to be stopped there if nobody waits any more
ROOM = 2  # items that wait at once: enough to keep both sides busy, little enough for memory
_PATIENCE = 0.1  # seconds after which a waiting thread looks whether it is still wanted


def ahead(items: Iterator[T], room: int = ROOM) -> Iterator[T]:
    """The items in their order, up to `room` of them made before they are asked for; what raises there raises here."""
    waiting: Queue[tuple[str, Any]] = Queue(room)
    unwanted = threading.Event()

    def hand_over(kind: str, item: Any) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put((kind, item), timeout=_PATIENCE)
            except Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if unwanted.is_set() or (item is not BREATH and not hand_over("item", item)):
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
        while True:
            kind, item = waiting.get()
            if kind == "end":
                return
            if kind == "error":
                raise item
            yield item
    finally:
        unwanted.set()
        while thread.is_alive():
            try:
                waiting.get(timeout=_PATIENCE)
            except Empty:
                thread.join(_PATIENCE)
