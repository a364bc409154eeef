"""Runs several iterators ahead in threads, and yields what they yield in the order of the iterators."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

from tagmill.shards.storage.threads import DaemonPool

A = TypeVar("A")
T = TypeVar("T")

STREAMS_BEGUN = 2  # iterators per thread that are begun or ended before the first of them is used up


def streams_in_order(
    make: Callable[[A], Iterator[T]], items: Iterable[A], *, at_once: int, size: Callable[[T], int], limit: int
) -> Iterator[T]:
    """Yields all results of `make(item)` for each item, in the order of the items. `at_once` iterators run at a time.

    While results of more than `limit`, as `size` counts them, wait, only the iterator whose turn it is goes on, one result
    at a time; so memory is bounded by the limit and one result for each thread. An error is raised in its turn, after the
    results before it, and ends the others, as does giving this iterator up.
    """
    room = _Room(limit)
    begun: deque[_Stream[T]] = deque()
    todo = iter(items)
    with DaemonPool(at_once, "tagmill-stream") as pool:
        try:
            while True:
                for item in islice(todo, STREAMS_BEGUN * at_once - len(begun)):
                    stream = _Stream[T](room, size)
                    pool.submit(stream.run, make, item)
                    begun.append(stream)
                if not begun:
                    return
                yield from begun[0].results()
                begun.popleft()
        finally:
            room.close()


class _Room:
    """The size of all results that wait."""

    def __init__(self, limit: int) -> None:
        self.changed = threading.Condition()
        self.limit, self.used = limit, 0
        self.closed = False

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class _Stream(Generic[T]):
    """One iterator, and its results that wait."""

    def __init__(self, room: _Room, size: Callable[[T], int]) -> None:
        self._room, self._size = room, size
        self._waiting: deque[T] = deque()
        self._is_first = False
        self._ended = False
        self._error: BaseException | None = None

    def run(self, make: Callable[[A], Iterator[T]], item: A) -> None:
        """Runs in a thread."""
        room, made = self._room, None
        try:
            made = make(item)
            for result in made:
                size = self._size(result)
                with room.changed:
                    room.changed.wait_for(self._may_add)
                    if room.closed:
                        return
                    room.used += size
                    self._waiting.append(result)
                    room.changed.notify_all()
        except BaseException as error:  # noqa: BLE001
            self._error = error
        finally:
            if close := getattr(made, "close", None):
                close()
            with room.changed:
                self._ended = True
                room.changed.notify_all()

    def _may_add(self) -> bool:
        first = self._is_first and not self._waiting
        return first or self._room.used < self._room.limit or self._room.closed

    def results(self) -> Iterator[T]:
        """Yields the results as they come. Raises what the iterator raised."""
        room = self._room
        while True:
            with room.changed:
                self._is_first = True
                room.changed.notify_all()
                room.changed.wait_for(lambda: self._waiting or self._ended)
                if not self._waiting:
                    break
                result = self._waiting.popleft()
                room.used -= self._size(result)
            yield result
        if self._error is not None:
            raise self._error
