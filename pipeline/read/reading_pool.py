"""Reads in threads, a few at a time and in order; a late one is read a second time."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from itertools import islice
from typing import Generic, TypeVar

from tagmill.pipeline.read.reader_size import ReaderSize
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.hedge import BURST, SHARE, LatencyTracker, unhedged
from tagmill.shards.storage.threads import STOPPED, DaemonPool

Item = TypeVar("Item")
Result = TypeVar("Result")

SPARE = 32  # threads more than readers: a read that was repeated keeps its thread until the store gives up
LOOKED_AT = 16  # of the oldest reads, for late ones
INTERVAL_SECONDS = 1.0  # after which the number of readers is set again
INTERVAL_READS = 16  # at least, in an interval, and twice the readers


class Reading(Generic[Item, Result]):
    """One read that waits, runs or is done. A first and a second try share the future."""

    __slots__ = ("begun", "future", "item", "repeated", "running", "settled", "tracker")

    def __init__(self, item: Item, tracker: LatencyTracker) -> None:
        self.item = item
        self.tracker = tracker  # of its kind
        self.future: Future[Result] = Future()
        self.begun = 0.0  # time; 0.0 before
        self.running = 0  # tries
        self.repeated = False
        self.settled = False


class ReadingPool(Generic[Item, Result]):
    """Calls `read(item)` in at most `size.size` threads, in the order of `submit`, and adapts that number.

    With `repeats`, a read that takes much longer than others of its kind is begun a second time, for at most 5 % of the
    reads, and the first result is used: a request that is late is asked again, and none needs a thread of its own.
    `size` belongs to the pool. One thread submits and waits; another may call `close`.
    """

    def __init__(
        self,
        read: Callable[[Item], Result],
        size: ReaderSize,
        most: int,
        *,
        repeats: bool,
        clock: Callable[[], float] = time.monotonic,
        begin: Callable[[], object] | None = None,
    ) -> None:
        """`begin` is called first in every thread."""
        self._read = read
        self._size = size
        self._repeats = repeats
        self._clock = clock
        self._lock = threading.Lock()
        self._pool = DaemonPool(most + (SPARE if repeats else 0), "tagmill-read", begin)
        self._queue: deque[Reading[Item, Result]] = deque()
        self._started: deque[Reading[Item, Result]] = deque()  # in order; settled ones are dropped at its left end
        self._threads = 0  # that work on the queue
        self._closed = False
        self._trackers, self._allowance = dict[int, LatencyTracker](), BURST
        self._since, self._reads, self._read_seconds, self._waited = clock(), 0, 0.0, 0.0

    def submit(self, item: Item, kind: int = 0) -> Reading[Item, Result]:
        """Returns the read of `item`, which begins when a thread is free. Reads of one `kind` take about as long as each
        other. Raises RuntimeError after `close`."""
        with self._lock:
            reading: Reading[Item, Result] = Reading(item, self._trackers.setdefault(kind, LatencyTracker()))
            if self._closed:
                raise RuntimeError("cannot read after close")
            self._queue.append(reading)
            self._start_threads()
        return reading

    def wait(self, reading: Reading[Item, Result], timeout: float) -> Result:
        """Returns or raises the result of a read. Raises TimeoutError if there is none after `timeout` seconds."""
        future, begun = reading.future, self._clock()
        while not future.done() and (left := begun + timeout - self._clock()) > 0:
            self.repeat_late()
            wait([future], min(left, reading.tracker.late) if self._repeats else left)
        with self._lock:
            self._waited += self._clock() - begun
        return future.result(0)

    def repeat_late(self) -> None:
        """Begins the second try of reads that are late."""
        if not self._repeats:
            return
        now, late = self._clock(), list[Reading[Item, Result]]()
        with self._lock:
            for reading in islice(self._started, LOOKED_AT):
                if self._allowance < 1 or self._closed:
                    break
                if not (reading.settled or reading.repeated) and now - reading.begun > reading.tracker.late:
                    reading.repeated = True
                    reading.running += 1
                    self._allowance -= 1
                    late.append(reading)
            for reading in late:
                self._pool.submit(self._try_again, reading)
        if late:
            STORE_COUNTERS.add(hedges=len(late))

    def close(self) -> None:
        """Cancels reads that wait. Those that run get a grace period (`DaemonPool.stop`); then they are abandoned, and
        a `wait` for one of them raises CancelledError."""
        with self._lock:
            self._closed = True
            waiting = list(self._queue)
            self._queue.clear()
        self._cancel(waiting)
        self._pool.stop()
        self._cancel(list(self._started))

    def _cancel(self, readings: list[Reading[Item, Result]]) -> None:
        with self._lock:
            left = [reading for reading in readings if not reading.settled]
            for reading in left:
                reading.settled = True
        for reading in left:
            reading.future.set_exception(CancelledError(STOPPED))

    def _start_threads(self) -> None:
        """Starts as many threads as the queue can use. Needs the lock."""
        for _ in range(min(self._size.size - self._threads, len(self._queue))):
            self._pool.submit(self._serve)
            self._threads += 1

    def _serve(self) -> None:
        """Works on the queue until it is empty, or there are fewer readers, or a read was repeated: then the thread of
        the second try has taken this one's place."""
        with unhedged():
            while (reading := self._next()) is not None:
                self._try(reading)
                if reading.repeated:
                    return

    def _next(self) -> Reading[Item, Result] | None:
        with self._lock:
            if not self._queue or self._threads > self._size.size:
                self._threads -= 1
                return None
            while self._started and self._started[0].settled:
                self._started.popleft()
            reading = self._queue.popleft()
            reading.begun, reading.running = self._clock(), 1
            self._started.append(reading)
            self._allowance = min(self._allowance + SHARE, 2 * BURST)
            return reading

    def _try_again(self, reading: Reading[Item, Result]) -> None:
        with unhedged():
            self._try(reading)
        self._serve()

    def _try(self, reading: Reading[Item, Result]) -> None:
        begun = self._clock()
        try:
            result = self._read(reading.item)
        except BaseException as error:  # noqa: BLE001
            with self._lock:
                reading.running -= 1
                is_last = not reading.running and not reading.settled
                reading.settled |= is_last
            if is_last:
                reading.future.set_exception(error)
            return
        now = self._clock()
        with self._lock:
            reading.running -= 1
            is_first, reading.settled = not reading.settled, True
            reading.tracker.add(now - begun)
            self._note(now, now - begun)
        if is_first:
            reading.future.set_result(result)

    def _note(self, now: float, seconds: float) -> None:
        """Counts a read, and sets the number of readers at the end of an interval. Needs the lock."""
        self._reads += 1
        self._read_seconds += seconds
        if now - self._since >= INTERVAL_SECONDS and self._reads >= max(INTERVAL_READS, 2 * self._size.size):
            self._size.update(self._reads, now - self._since, self._read_seconds / self._reads, self._waited)
            self._since, self._reads, self._read_seconds, self._waited = now, 0, 0.0, 0.0
            self._start_threads()
