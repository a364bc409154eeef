"""Requests for many small objects of a store, several in flight at a time, with the results in order.

A request to a remote store mostly waits: 10,000 markers at 20 ms each are read in more than three minutes one after the
other, and in seconds like this. Memory holds a bounded number of results, whatever the number of objects.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

A = TypeVar("A")
T = TypeVar("T")

REQUESTS_AT_ONCE = 64  # to a remote store; the disk of this machine answers faster than a thread starts
TABLES_AT_ONCE = 8  # of a few megabytes each
RESULTS_AHEAD = 4  # results per request in flight that wait for an earlier one: a slow answer does not stop the others


def in_order(call: Callable[[A], T], items: Iterable[A], at_once: int) -> Generator[T, None, None]:
    """Yields `call(item)` for every item in the order of the items, with at most `at_once` calls at a time in threads
    (1: in the caller's thread).

    Items are taken as they are needed. The first error, in order, is raised and cancels the rest; calls that still run
    end at their next try. So does giving the iterator up.
    """
    if at_once <= 1:
        yield from map(call, items)
        return
    waiting: deque[Future[T]] = deque()
    with DaemonPool(at_once, "tagmill-requests") as pool:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) >= RESULTS_AHEAD * at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def requests_at_once(store: Store) -> int:
    """Returns how many small requests to a store are in flight at a time."""
    return 1 if store.root is not None else REQUESTS_AT_ONCE


def read_many(store: Store, names: Iterable[str], most: int = REQUESTS_AT_ONCE) -> Iterator[bytes]:
    """Yields the content of small objects in the order of `names`, by one request each, at most `most` at a time. Raises
    FileNotFoundError."""
    return in_order(store.read, names, min(most, requests_at_once(store)))


def put_many(store: Store, objects: Iterable[tuple[str, bytes]]) -> None:
    """Writes small objects, in any order, and returns when all are there."""
    for _ in in_order(lambda each: store.put(*each), objects, requests_at_once(store)):
        pass
