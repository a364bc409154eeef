"""Tests obstore alone: it reads the given ranges again and again, and ends if one cannot be read."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from obstore.store import MemoryStore

from tagmill.bench.peers import obstore_ranges
from tagmill.bench.peers.obstore_ranges import Ranges, by_asyncio, by_threads

GIVEN = [("a", 0, 10, 3), ("b", 5, 6, 0), ("a", 90, 100, 64)]
Way = Callable[[Any, Any, int], Iterator[int]]


@pytest.fixture
def store() -> MemoryStore:
    found = MemoryStore()
    for name in "ab":
        found.put(name, bytes(100))
    return found


@pytest.mark.parametrize("way", [by_threads, by_asyncio])
@pytest.mark.parametrize("in_flight", [1, 4])
def test_every_range_is_read_in_turn(
    store: MemoryStore, way: Way, in_flight: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[tuple[str, int, int]]()
    for name in ("get_range", "get_range_async"):
        call = getattr(obstore_ranges.obstore, name)

        def counted(store: Any, path: str, *, start: int, end: int, call: Any = call) -> Any:
            asked[path, start, end] += 1
            return call(store, path, start=start, end=end)

        monkeypatch.setattr(obstore_ranges.obstore, name, counted)
    pictures = 0
    for found in way(store, Ranges(GIVEN), in_flight):
        pictures += found
        if pictures >= 100 * 67:
            break
    counts = [asked[path, start, stop] for path, start, stop, _ in GIVEN]
    assert min(counts) >= 99 and max(counts) - min(counts) <= 1


@pytest.mark.parametrize("way", [by_threads, by_asyncio])
def test_a_range_that_cannot_be_read_ends_the_run(store: MemoryStore, way: Way) -> None:
    with pytest.raises(FileNotFoundError):
        list(way(store, Ranges([*GIVEN, ("missing", 0, 10, 1)]), 2))


def test_threads_take_different_ranges() -> None:
    ranges = Ranges(GIVEN)
    assert [next(ranges) for _ in range(6)] == list(itertools.islice(itertools.cycle(GIVEN), 6))
