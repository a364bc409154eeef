"""Tests the decoding threads: the oldest batch first, short calls before it, and batches begun ahead."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tagmill.pipeline.decode.threads.pool import DecodePool, Filling
from tagmill.pipeline.decode.threads.turns import Turns


def filling_of(count: int, work: Callable[[int], None]) -> Filling:
    turns = Turns(count)

    def fill() -> list[int]:
        lost = []
        for number in turns:
            work(number)
            lost.append(number)
        return lost

    return Filling(fill, turns)


def test_batches_are_filled_in_order_and_each_is_begun_when_the_one_before_is_reached() -> None:
    pool, order = DecodePool(1), list[tuple[int, int]]()
    batches = [filling_of(3, lambda image, batch=batch: order.append((batch, image))) for batch in range(4)]  # type: ignore[misc]
    waiting = list(batches)

    def begin_next() -> bool:
        if waiting:
            pool.begin(waiting.pop(0))
            return True
        return False

    for batch in batches:
        assert sorted(pool.wait(batch, begin_next)) == [0, 1, 2]
    assert order == [(batch, image) for batch in range(4) for image in range(3)]
    pool.shutdown()


def test_no_batch_is_begun_before_a_thread_reached_the_last_one() -> None:
    pool, gate, begun = DecodePool(1), threading.Event(), list[Filling]()
    reached = threading.Event()

    def work(_: int) -> None:
        reached.set()
        assert gate.wait(30)

    first = filling_of(2, work)
    pool.begin(first)
    assert reached.wait(30)

    def begin_next() -> bool:
        if len(begun) < 5:
            begun.append(filling_of(1, lambda _: None))
            pool.begin(begun[-1])
            return True
        return False

    with ThreadPoolExecutor(1) as other:
        waited = other.submit(pool.wait, first, begin_next)
        pool.wake()
        pool.wake()
        gate.set()
        assert waited.result() == [0, 1]
    spare = [one for one in begun if not one.reached]
    assert len(spare) <= 1
    for one in begun:
        pool.wait(one, lambda: False)
    pool.shutdown()


def test_an_error_ends_its_batch_and_no_other() -> None:
    def fail(number: int) -> None:
        raise ZeroDivisionError

    pool = DecodePool(2)
    bad, good = filling_of(9, fail), filling_of(9, lambda _: None)
    pool.begin(bad)
    pool.begin(good)
    with pytest.raises(ZeroDivisionError):
        pool.wait(bad, lambda: False)
    assert sorted(pool.wait(good, lambda: False)) == list(range(9))
    pool.shutdown()


def test_calls_return_their_result_or_error() -> None:
    pool = DecodePool(2)
    found = [pool.submit(lambda number=number: 1 // number) for number in (1, 0, 1)]  # type: ignore[misc]
    assert (found[0].result(), found[2].result()) == (1, 1)
    with pytest.raises(ZeroDivisionError):
        found[1].result()
    pool.shutdown()


def test_shutdown_leaves_what_no_thread_has_taken() -> None:
    pool, gate, taken = DecodePool(2), threading.Event(), list[int]()
    held = threading.Barrier(3)

    def work(number: int) -> None:
        taken.append(number)
        held.wait()
        assert gate.wait(30)

    pool.begin(filling_of(50, work))
    held.wait()
    closer = threading.Thread(target=pool.shutdown)
    closer.start()
    while pool._fillings:
        time.sleep(0.001)
    gate.set()
    closer.join()
    assert sorted(taken) == [0, 1] and not any(thread.is_alive() for thread in pool._executor._threads)


def test_a_dropped_pool_ends_its_threads() -> None:
    pool = DecodePool(2)
    pool.submit(lambda: None).result()
    threads = list(pool._executor._threads)
    del pool
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
