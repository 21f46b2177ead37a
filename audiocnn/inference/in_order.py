"""Several iterators advanced side by side by threads, their items handed on in order and in bounded memory."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")

_AHEAD = 256  # items of one iterator that wait for those before it
_POLL = 0.1  # seconds between two looks at whether anybody still wants the items
_END = object()


def in_order(sources: Sequence[Iterable[T]], workers: int) -> Iterator[T]:
    """The items of the first source, as they come, then of the second and so on. An exception of one is raised here.

    workers: threads; with one, no thread is started. They are daemons: one that waits for a pipe holds up nobody.
    """
    if workers == 1:
        for source in sources:
            yield from source
        return
    queues: list[Queue[Any]] = [Queue(_AHEAD) for _ in sources]
    todo, stopped = iter(list(zip(sources, queues, strict=True))), threading.Event()
    lock = threading.Lock()
    threads = [threading.Thread(target=_work, args=(todo, lock, stopped), daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for queue in queues:
            yield from _items(queue)
    finally:
        stopped.set()


def _work(todo: Iterator[tuple[Iterable[Any], "Queue[Any]"]], lock: threading.Lock, stopped: threading.Event) -> None:
    while not stopped.is_set():
        with lock:
            source, queue = next(todo, (None, None))
        if source is None or queue is None:
            return
        try:
            for item in source:
                if not _put(queue, item, stopped):
                    return
        except BaseException as error:  # noqa: BLE001  # raised again by whoever takes the items
            _put(queue, error, stopped)
        _put(queue, _END, stopped)


def _put(queue: "Queue[Any]", item: Any, stopped: threading.Event) -> bool:
    """Puts an item where it is still wanted; returns whether it is."""
    while not stopped.is_set():
        try:
            queue.put(item, timeout=_POLL)
        except Full:
            continue
        return True
    return False


def _items(queue: "Queue[Any]") -> Iterator[Any]:
    while True:
        try:
            item = queue.get(timeout=_POLL)  # with a time limit, Ctrl-C is seen at once everywhere
        except Empty:
            continue
        if item is _END:
            return
        if isinstance(item, BaseException):
            raise item
        yield item
