"""Many small requests: in order, many in flight, bounded, and ended by the first error."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagmill.shards.errors import StoreError
from tagmill.shards.many_requests import (
    REQUESTS_AT_ONCE,
    RESULTS_AHEAD,
    in_order,
    put_many,
    read_many,
    requests_at_once,
)
from tagmill.shards.storage.store import Store
from tests.shards.countedstore import counted_store

NAMES = [f"markers/{number:06d}.json" for number in range(2000)]


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 9), st.randoms())
@settings(max_examples=60, deadline=None)
def test_results_come_in_order_whatever_finishes_first(items: list[int], at_once: int, dice) -> None:  # type: ignore[no-untyped-def]
    """Calls wait for one another at random: a call may end only after some that came later."""
    waits = {number: threading.Event() for number in range(len(items))}
    later = {number: dice.randrange(number, min(number + at_once, len(items))) for number in range(len(items))}

    def call(number: int) -> tuple[int, int]:
        waits[number].set()
        if at_once > 1:
            assert waits[later[number]].wait(60)
        return number, items[number]

    assert list(in_order(call, range(len(items)), at_once)) == list(enumerate(items))


def test_requests_are_in_flight_together_and_one_each(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, store = counted_store(monkeypatch), Store("s3://counted")
    driver.together = 32
    put_many(store, ((name, name.encode()) for name in NAMES))
    assert list(read_many(store, NAMES)) == [name.encode() for name in NAMES]
    store.delete_many(NAMES)
    deletions = len(NAMES) // driver.bulk
    assert driver.counts == {"put": len(NAMES), "read": len(NAMES), "delete_many": deletions} and not driver.objects
    assert 32 <= driver.most_in_flight <= REQUESTS_AT_ONCE


def test_the_first_error_in_order_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    driver, store = counted_store(monkeypatch), Store("s3://counted")
    driver.objects = dict.fromkeys(NAMES, b"x")
    driver.fail = {NAMES[1000], NAMES[100]}
    found = read_many(store, NAMES)
    assert [next(found) for _ in range(100)] == [b"x"] * 100
    with pytest.raises(StoreError, match=NAMES[100]):
        next(found)
    assert driver.counts["read"] <= 100 + RESULTS_AHEAD * REQUESTS_AT_ONCE + 1
    with pytest.raises(FileNotFoundError):
        list(read_many(store, ["absent"]))


def test_items_are_taken_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(10_000):
            taken += 1
            yield number

    results = in_order(lambda number: number, items(), 8)
    assert next(results) == 0 and taken <= RESULTS_AHEAD * 8
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tagmill-requests")]


def test_a_disk_needs_no_threads(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert requests_at_once(store) == 1
    put_many(store, [("a", b"1"), ("b", b"2")])
    seen = list(in_order(lambda name: (threading.current_thread(), store.read(name)), ["b", "a"], 1))
    assert seen == [(threading.current_thread(), b"2"), (threading.current_thread(), b"1")]
    store.delete_many(["a", "b", "c"])
    assert store.names("") == []
