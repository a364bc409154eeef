"""Iterators that run ahead: results in order, several at a time, bounded, and ended by an error in its turn."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.ingest.sources.streams import streams_in_order

PATIENCE = 60.0


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=12), st.integers(1, 5), st.integers(1, 12))
@settings(max_examples=80, deadline=None)
def test_results_come_in_the_order_of_the_iterators(lists: list[list[int]], at_once: int, limit: int) -> None:
    found = streams_in_order(iter, lists, at_once=at_once, size=lambda result: result, limit=limit)
    assert list(found) == [each for some in lists for each in some]


def test_iterators_run_together() -> None:
    met = threading.Barrier(8)

    def make(number: int) -> Iterator[int]:
        met.wait(PATIENCE)
        yield number

    assert list(streams_in_order(make, range(16), at_once=8, size=lambda _: 1, limit=100)) == list(range(16))


def test_what_waits_is_bounded_and_the_first_goes_on() -> None:
    made, lock, first_may_end = [0] * 6, threading.Lock(), threading.Event()
    most = 0

    def make(number: int) -> Iterator[int]:
        nonlocal most
        for _ in range(50):
            with lock:
                made[number] += 1
                most = max(most, sum(made[1:]))
            yield number
        if number == 0:
            assert first_may_end.wait(PATIENCE)

    results = streams_in_order(make, range(6), at_once=6, size=lambda _: 1, limit=20)
    assert [next(results) for _ in range(50)] == [0] * 50
    assert most <= 20 + 5  # five threads hold one each that does not fit
    first_may_end.set()
    assert list(results) == [number for number in range(1, 6) for _ in range(50)]


def test_an_error_is_raised_in_its_turn_and_ends_the_others() -> None:
    closed, broken = [], threading.Event()

    def make(number: int) -> Iterator[int]:
        try:
            if number == 0:
                assert broken.wait(PATIENCE)
            yield number
            if number == 2:
                broken.set()
                raise ValueError("two")
            yield from range(1000)
        finally:
            closed.append(number)

    results = streams_in_order(make, range(4), at_once=4, size=lambda _: 1, limit=5000)
    found = []
    with pytest.raises(ValueError, match="two"):
        found.extend(iter(partial(next, results), None))
    assert found == [0, *range(1000), 1, *range(1000), 2] and set(closed) == {0, 1, 2, 3}


def test_giving_up_ends_the_threads() -> None:
    def make(number: int) -> Iterator[int]:
        while True:
            yield number

    results = streams_in_order(make, range(9), at_once=3, size=lambda _: 1, limit=10)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tagmill-stream")]


def test_an_iterator_that_cannot_be_made_is_an_error() -> None:
    def make(number: int) -> Iterator[int]:
        raise OSError(number)

    with pytest.raises(OSError, match="0"):
        list(streams_in_order(make, range(3), at_once=2, size=lambda _: 1, limit=1))
