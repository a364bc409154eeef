"""A second request for an answer that is late: the slow tail of an object store costs a little traffic in place of time.

Of what asks several stores in parallel for one batch the slowest answer counts, and one request in a hundred or a thousand
takes many times the usual (Dean and Barroso, "The Tail at Scale", 2013).
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

from tagmill.shards.storage.counters import TRAFFIC
from tagmill.shards.storage.threads import DaemonPool

T = TypeVar("T")

SHARE = 0.05  # second requests for every request
BURST = 5.0  # second requests that may come before their share has grown
SLOTS = 160  # requests in flight through here; what comes on top is asked for once, by its own thread
FLOOR_SECONDS = 0.05  # an answer that comes sooner is never late
FIRST_SECONDS = 1.0  # what is late while nothing is known
TIMES_USUAL = 3.0  # an answer is late that takes so many times what 95 of 100 take
REMEMBERED = 200  # answers of a size that say what is usual
KNOWN = 20  # of them, before they are believed


class Usual:
    """How long answers of one size usually take, from the last REMEMBERED."""

    def __init__(self) -> None:
        self._seconds, self._seen, self._late = deque[float](maxlen=REMEMBERED), 0, FIRST_SECONDS

    def add(self, seconds: float) -> None:
        """An answer came after so long."""
        self._seconds.append(seconds)
        self._seen += 1
        if self._seen % KNOWN == 0:
            usual = sorted(self._seconds)[int(len(self._seconds) * 0.95)]
            self._late = max(FLOOR_SECONDS, TIMES_USUAL * usual)

    @property
    def late(self) -> float:
        """Seconds after which an answer is late."""
        return self._late


class Hedge:
    """Asks again for what is late, at most SHARE of all requests and BURST; the first answer is taken.

    The request that loses is left to its own time limit, in its own thread: there are never more than SLOTS.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usual: dict[int, Usual] = {}
        self._allowance, self._busy = BURST, 0
        self._pool = DaemonPool(SLOTS, "tagmill-request", grace=0)  # a request that is left has its own time limit

    def once(self, request: Callable[[], T]) -> T:
        """What `request`, which may run once at a time, gives or raises. It has a thread of its own like all others, as Ctrl-C
        reaches no thread that is inside a request."""
        with self._lock:
            alone = self._busy >= SLOTS
            self._busy += not alone
        return request() if alone else self._begin(None, request).result()

    def call(self, size: int, request: Callable[[], T]) -> T:
        """What `request`, which reads about `size` bytes and may run twice at a time, gives or raises."""
        kind = max(0, size.bit_length() - 12) // 2  # 4 KB and less, 16 KB, 64 KB, ...
        with self._lock:
            usual = self._usual.setdefault(kind, Usual())
            self._allowance = min(self._allowance + SHARE, 2 * BURST)
            if self._busy >= SLOTS:
                late = None
            else:
                self._busy, late = self._busy + 1, usual.late
        if late is None:
            return request()
        first = self._begin(usual, request)
        if wait([first], late).done or not self._may_ask_again():
            return first.result()
        TRAFFIC.add(hedges=1)
        return _first_answer([first, self._begin(usual, request)])

    def _may_ask_again(self) -> bool:
        with self._lock:
            if self._allowance < 1 or self._busy >= SLOTS:
                return False
            self._allowance, self._busy = self._allowance - 1, self._busy + 1
            return True

    def _begin(self, usual: Usual | None, request: Callable[[], T]) -> Future[T]:
        try:
            return self._pool.submit(self._timed, usual, request)
        except RuntimeError:  # the interpreter ends
            self._end()
            raise

    def _timed(self, usual: Usual | None, request: Callable[[], T]) -> T:
        begun = time.perf_counter()
        try:
            answer = request()
        finally:
            self._end()
        if usual is not None:
            with self._lock:
                usual.add(time.perf_counter() - begun)
        return answer

    def _end(self) -> None:
        with self._lock:
            self._busy -= 1


def _first_answer(asked: list[Future[T]]) -> T:
    """The answer of the first that has one; where none has, what the last to end raised."""
    waiting = set(asked)
    while True:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            if future.exception() is None or not waiting:
                return future.result()


_OF_PROCESS: dict[int, Hedge] = {}


def hedged(size: int | None, request: Callable[[], T]) -> T:
    """`Hedge.call` of this process's own hedge, or `once` where there is no size. A process that was forked makes another:
    threads are not inherited."""
    found = _OF_PROCESS.get(os.getpid())
    if found is None:
        _OF_PROCESS.clear()
        found = _OF_PROCESS.setdefault(os.getpid(), Hedge())
    return found.once(request) if size is None else found.call(size, request)
