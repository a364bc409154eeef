"""Tests reads in threads: their number, second tries of late ones, and the end."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

import pytest

from tagmill.pipeline.read.reader_size import ReaderSize
from tagmill.pipeline.read.reading_pool import INTERVAL_READS, LOOKED_AT, ReadingPool
from tagmill.shards.storage.counters import STORE_COUNTERS
from tagmill.shards.storage.hedge import BURST, FIRST_SECONDS, KNOWN, LATE_FACTOR

LONG = 60.0  # seconds, against hanging


class Clock:
    """A clock that only the test moves."""

    now = 1.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pools() -> Iterator[list[ReadingPool[int, int]]]:
    made: list[ReadingPool[int, int]] = []
    yield made
    for pool in made:
        pool.close()


def test_results_come_by_item_and_no_more_than_the_size_run_at_once(pools: list[ReadingPool[int, int]]) -> None:
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(3)

    def read(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if item < 3:
            together.wait(LONG)  # three do run at once
        with lock:
            running -= 1
        return 10 * item

    pools.append(ReadingPool(read, ReaderSize(3, 3), 3, repeats=False))
    readings = [pools[0].submit(item) for item in range(50)]
    assert [pools[0].wait(each, LONG) for each in readings] == [10 * item for item in range(50)]
    assert most == 3


def test_the_number_of_readers_follows_what_was_measured(pools: list[ReadingPool[int, int]]) -> None:
    """After the interval the size says six: six run at once. Then two, and the others end."""
    clock, gate, entered = Clock(), threading.Event(), threading.Semaphore(0)
    seen: list[tuple[int, float, float, float]] = []

    class Told(ReaderSize):
        def update(self, chunks: int, seconds: float, latency: float, waited: float) -> None:
            seen.append((chunks, seconds, latency, waited))
            self.size = 6 if len(seen) == 1 else 2

    def read(item: int) -> int:
        if item == INTERVAL_READS - 1:
            clock.now += 2.0
        if item >= INTERVAL_READS:
            entered.release()
            gate.wait(LONG)
        return item

    size = Told(1, 8)
    pools.append(ReadingPool(read, size, 8, repeats=False, clock=clock))
    for item in range(INTERVAL_READS + 10):
        last = pools[0].submit(item)
    for _ in range(6):
        assert entered.acquire(timeout=LONG)
    assert not entered.acquire(timeout=0.05)
    assert seen == [(INTERVAL_READS, 2.0, 2.0 / INTERVAL_READS, 0.0)]
    gate.set()
    assert pools[0].wait(last, LONG) == INTERVAL_READS + 9


def late_pool(
    read: Callable[[int], int], pools: list[ReadingPool[int, int]], readers: int = 2
) -> tuple[ReadingPool[int, int], Clock]:
    clock = Clock()
    pools.append(ReadingPool(read, ReaderSize(readers, readers), readers, repeats=True, clock=clock))
    return pools[-1], clock


def test_a_late_read_is_repeated_once_and_the_first_result_is_used(pools: list[ReadingPool[int, int]]) -> None:
    begun, silent = [threading.Event(), threading.Event()], threading.Event()
    tries = iter(range(9))

    def read(item: int) -> int:
        number = next(tries)
        begun[number].set()
        if number == 0:
            silent.wait(LONG)
        return number

    pool, clock = late_pool(read, pools)
    before = STORE_COUNTERS.counts()["hedges"]
    reading = pool.submit(7)
    assert begun[0].wait(LONG)
    pool.repeat_late()
    assert not begun[1].is_set()  # it is not late yet
    clock.now += FIRST_SECONDS + 0.1
    pool.repeat_late()
    pool.repeat_late()
    assert pool.wait(reading, LONG) == 1
    silent.set()
    assert next(tries) == 2 and STORE_COUNTERS.counts()["hedges"] == before + 1


def test_a_silent_store_keeps_no_reader(pools: list[ReadingPool[int, int]]) -> None:
    """The only reader waits for an answer; the second try takes its place, and it ends when the answer comes."""
    begun, silent, running, lock = threading.Event(), threading.Event(), [0, 0], threading.Lock()
    tries = iter([True, False])

    def read(item: int) -> int:
        if item == 0 and next(tries):
            begun.set()
            silent.wait(LONG)
            return item
        with lock:
            running[0] += 1
            running[1] = max(running)
        if item == 5:
            silent.set()  # from now on two threads could take the rest
        threading.Event().wait(0.001)
        with lock:
            running[0] -= 1
        return item

    pool, clock = late_pool(read, pools, readers=1)
    readings = [pool.submit(item) for item in range(30)]
    assert begun.wait(LONG)
    clock.now += FIRST_SECONDS + 0.1
    pool.repeat_late()
    assert [pool.wait(each, LONG) for each in readings] == list(range(30))
    assert running[1] == 1


def test_a_slow_kind_is_not_late(pools: list[ReadingPool[int, int]]) -> None:
    """Reads of kind 1 take 100 times as long as those of kind 0."""
    pool, clock = late_pool(lambda item: clock_at(clock, item), pools, readers=1)

    def clock_at(clock: Clock, item: int) -> int:
        clock.now += item
        return item

    for _ in range(KNOWN):
        pool.wait(pool.submit(1, 0), LONG)
        pool.wait(pool.submit(100, 1), LONG)
    lates = [pool.submit(0, kind).tracker.late for kind in (0, 1)]
    assert lates == [LATE_FACTOR * 1, LATE_FACTOR * 100]


@pytest.mark.parametrize("second_fails", [False, True])
def test_an_error_counts_only_if_no_other_try_runs(pools: list[ReadingPool[int, int]], second_fails: bool) -> None:
    begun, fail_first, go = [threading.Event(), threading.Event()], threading.Event(), threading.Event()
    tries = iter(range(2))

    def read(item: int) -> int:
        number = next(tries)
        begun[number].set()
        if number == 0:
            fail_first.wait(LONG)
            raise OSError("first")
        go.wait(LONG)
        if second_fails:
            raise OSError("second")
        return 5

    pool, clock = late_pool(read, pools)
    reading = pool.submit(0)
    assert begun[0].wait(LONG)
    clock.now += FIRST_SECONDS + 0.1
    pool.repeat_late()
    assert begun[1].wait(LONG)
    fail_first.set()
    while reading.running == 2:
        threading.Event().wait(0.001)
    with pytest.raises(TimeoutError):
        pool.wait(reading, 0.0)
    go.set()
    if second_fails:
        with pytest.raises(OSError, match="second"):
            pool.wait(reading, LONG)
    else:
        assert pool.wait(reading, LONG) == 5


def test_there_are_few_second_tries(pools: list[ReadingPool[int, int]]) -> None:
    gate, tries, lock = threading.Event(), [0], threading.Lock()

    def read(item: int) -> int:
        with lock:
            tries[0] += 1
        gate.wait(LONG)
        return item

    pool, clock = late_pool(read, pools, readers=LOOKED_AT)
    readings = [pool.submit(item) for item in range(LOOKED_AT)]
    while tries[0] < LOOKED_AT:
        threading.Event().wait(0.001)
    clock.now += 100.0
    before = STORE_COUNTERS.counts()["hedges"]
    for _ in range(5):
        pool.repeat_late()
    assert STORE_COUNTERS.counts()["hedges"] - before == BURST
    gate.set()
    assert [pool.wait(each, LONG) for each in readings] == list(range(LOOKED_AT))


def test_errors_are_those_of_the_read(pools: list[ReadingPool[int, int]]) -> None:
    def read(item: int) -> int:
        raise TimeoutError("of the store") if item else ValueError("bad")

    pools.append(ReadingPool(read, ReaderSize(1, 1), 1, repeats=False))
    with pytest.raises(ValueError, match="bad"):
        pools[0].wait(pools[0].submit(0), LONG)
    with pytest.raises(TimeoutError, match="of the store"):
        pools[0].wait(pools[0].submit(1), LONG)


def test_close_cancels_what_waits_and_abandons_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagmill.shards.storage.threads.GRACE_SECONDS", 0.05)
    begun, silent = threading.Event(), threading.Event()

    def read(item: int) -> int:
        begun.set()
        silent.wait(LONG)
        return item

    pool: ReadingPool[int, int] = ReadingPool(read, ReaderSize(1, 1), 1, repeats=True)
    readings = [pool.submit(item) for item in range(3)]
    assert begun.wait(LONG)
    pool.close()
    for reading in readings:
        with pytest.raises(CancelledError):
            pool.wait(reading, LONG)
    with pytest.raises(RuntimeError, match="after close"):
        pool.submit(4)
    silent.set()


def test_results_that_were_taken_are_not_kept(pools: list[ReadingPool[int, int]]) -> None:
    pools.append(ReadingPool(lambda item: item, ReaderSize(2, 2), 2, repeats=False))
    for item in range(300):
        assert pools[0].wait(pools[0].submit(item), LONG) == item
    assert len(pools[0]._started) <= 4
