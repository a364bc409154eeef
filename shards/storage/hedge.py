"""Hedged requests: sends a second request if an answer is late, which cuts the latency tail of an object store for a
little traffic.

A batch that needs several requests in parallel waits for the slowest, and one request in a hundred or a thousand takes
many times as long as usual (Dean and Barroso, "The Tail at Scale", 2013).
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from typing import TypeVar

from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.threads import DaemonPool

T = TypeVar("T")

SHARE = 0.05  # second requests for each request
BURST = 5.0  # second requests allowed in advance of that share
SLOTS = 160  # requests in flight here; further ones are not hedged and run in the caller's thread
FLOOR_SECONDS = 0.05  # faster answers are never late
FIRST_SECONDS = 1.0  # limit while there are no measurements
LATE_FACTOR = 3.0  # an answer is late if it takes that many times the 95th percentile
LATENCIES_KEPT = 200  # recent answers of a size that are measured
KNOWN = 20  # of them, before they are used


class LatencyTracker:
    """Tracks the latency of answers of one size, from the last LATENCIES_KEPT."""

    def __init__(self) -> None:
        self._seconds = deque[float](maxlen=LATENCIES_KEPT)
        self._seen = 0
        self._late = FIRST_SECONDS

    def add(self, seconds: float) -> None:
        """Records the latency of an answer."""
        self._seconds.append(seconds)
        self._seen += 1
        if self._seen % KNOWN == 0:
            tracker = sorted(self._seconds)[int(len(self._seconds) * 0.95)]
            self._late = max(FLOOR_SECONDS, LATE_FACTOR * tracker)

    @property
    def late(self) -> float:
        """Seconds after which an answer is late."""
        return self._late


class Hedge:
    """Repeats late requests, at most SHARE of all requests and BURST; returns the first answer.

    The request that loses runs on to its own time limit, in its own thread: there are never more than SLOTS.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._trackers: dict[int, LatencyTracker] = {}
        self._allowance = BURST
        self._busy = 0
        self._pool = DaemonPool(SLOTS, "tagmill-request", grace=0)  # an abandoned request has its own time limit

    def once(self, request: Callable[[], T]) -> T:
        """Returns or raises the result of `request`, which must not run twice at a time. It gets its own thread like
        all others, because Ctrl-C does not interrupt a thread inside a request."""
        with self._lock:
            unhedged = self._busy >= SLOTS
            self._busy += not unhedged
        return request() if unhedged else self._begin(None, request).result()

    def call(self, size: int, request: Callable[[], T]) -> T:
        """Returns or raises the result of `request`, which reads about `size` bytes and may run twice at a time."""
        kind = max(0, size.bit_length() - 12) // 2  # 4 KB and less, 16 KB, 64 KB, ...
        with self._lock:
            tracker = self._trackers.setdefault(kind, LatencyTracker())
            self._allowance = min(self._allowance + SHARE, 2 * BURST)
            if self._busy >= SLOTS:
                late = None
            else:
                self._busy, late = self._busy + 1, tracker.late
        if late is None:
            return request()
        first = self._begin(tracker, request)
        if wait([first], late).done or not self._may_ask_again():
            return first.result()
        STORE_COUNTERS.add(hedges=1)
        return _first_answer([first, self._begin(tracker, request)])

    def _may_ask_again(self) -> bool:
        with self._lock:
            if self._allowance < 1 or self._busy >= SLOTS:
                return False
            self._allowance = self._allowance - 1
            self._busy = self._busy + 1
            return True

    def _begin(self, tracker: LatencyTracker | None, request: Callable[[], T]) -> Future[T]:
        try:
            return self._pool.submit(self._timed, tracker, request)
        except RuntimeError:  # the interpreter exits
            self._finish()
            raise

    def _timed(self, tracker: LatencyTracker | None, request: Callable[[], T]) -> T:
        begun = time.perf_counter()
        try:
            answer = request()
        finally:
            self._finish()
        if tracker is not None:
            with self._lock:
                tracker.add(time.perf_counter() - begun)
        return answer

    def _finish(self) -> None:
        with self._lock:
            self._busy -= 1


def _first_answer(requests: list[Future[T]]) -> T:
    """Returns the first answer; if no request succeeds, raises the last error."""
    waiting = set(requests)
    while True:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            if future.exception() is None or not waiting:
                return future.result()


_OF_PROCESS: dict[int, Hedge] = {}
_DIRECT = threading.local()


@contextmanager
def unhedged() -> Iterator[None]:
    """Runs the requests of the `with` block in the calling thread, each once: for a daemon thread whose work is repeated
    as a whole if it is late. It saves the change to another thread and back, half the time of a small request."""
    before = getattr(_DIRECT, "on", False)
    _DIRECT.on = True
    try:
        yield
    finally:
        _DIRECT.on = before


def hedged(size: int | None, request: Callable[[], T]) -> T:
    """Calls `Hedge.call` of this process's hedge, or `once` if there is no size. A forked process creates its own:
    threads are not inherited."""
    if getattr(_DIRECT, "on", False):
        return request()
    found = _OF_PROCESS.get(os.getpid())
    if found is None:
        _OF_PROCESS.clear()
        found = _OF_PROCESS.setdefault(os.getpid(), Hedge())
    return found.once(request) if size is None else found.call(size, request)
