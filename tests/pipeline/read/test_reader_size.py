"""Tests the number of readers on modelled stores: it reaches what latency and rate need, and no more than helps."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.pipeline.read.reader_size import GAIN, HELD, LEAST, ReaderSize

FIRST, MOST = 32, 128


def run(size: ReaderSize, trainer: float, latency: Callable[[int], float], intervals: int) -> list[int]:
    """Returns the size after each interval of 1 s: a chunk takes `latency(readers)` seconds, the trainer takes at most
    `trainer` chunks/s."""
    found = []
    for _ in range(intervals):
        seconds = latency(size.size)
        rate = min(trainer, size.size / seconds)
        size.update(round(rate), 1.0, seconds, 1.0 - rate / trainer)
        found.append(size.size)
    return found


@pytest.mark.parametrize(("trainer", "seconds"), [(390, 0.2), (390, 0.1), (390, 0.3), (50, 0.5), (312, 0.04)])
def test_it_grows_until_the_trainer_does_not_wait(trainer: float, seconds: float) -> None:
    size = ReaderSize(FIRST, MOST)
    sizes = run(size, trainer, lambda readers: seconds, 20)
    assert min(sizes[2:]) >= trainer * seconds - 1  # two doublings reach the limit
    assert max(sizes) <= max(FIRST, min(MOST, 2 * trainer * seconds + 1))  # and no more than the slack
    assert size.latency == seconds


def test_it_shrinks_where_few_are_enough() -> None:
    sizes = run(ReaderSize(FIRST, MOST), 20, lambda readers: 0.05, 20)
    assert sizes == sorted(sizes, reverse=True) and sizes[0] >= FIRST / 2 and sizes[-1] == LEAST


def test_more_readers_are_given_up_where_processor_or_network_are_the_limit() -> None:
    """20 readers reach 200 chunks/s, and with more each chunk takes longer: 64 do not help and 16 are slower."""
    sizes = run(ReaderSize(FIRST, MOST), 1000, lambda readers: max(0.1, readers / 200), 2 * HELD)
    assert sizes[:4] == [64, 16, 32, 32]
    assert sum(each != FIRST for each in sizes) <= 4  # tried again once after HELD intervals


def test_fewer_readers_are_kept_if_they_are_as_fast() -> None:
    """A store without latency: 5 readers are enough for 200 chunks/s."""
    sizes = run(ReaderSize(FIRST, MOST), 1000, lambda readers: max(0.025, readers / 200), HELD)
    assert sizes[:5] == [64, 16, 8, 4, 8] and set(sizes[5:]) == {8}


def test_a_doubling_that_helps_is_kept() -> None:
    sizes = run(ReaderSize(FIRST, MOST), 1000, lambda readers: max(0.1, readers / 600), HELD)
    assert sizes[:4] == [64, 128, 32, 64] and set(sizes[4:]) == {64}  # 128 are as fast as 64, and 32 slower
    assert run(ReaderSize(FIRST, MOST), 10_000, lambda readers: 0.1, HELD)[2:] == [MOST] * (HELD - 2)
    assert GAIN < 2


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 3), st.floats(0, 5), st.floats(0, 3)), max_size=60))
def test_it_stays_within_its_bounds(intervals: list[tuple[int, float, float, float]]) -> None:
    size, fixed = ReaderSize(FIRST, MOST), ReaderSize(7, 7)
    for interval in intervals:
        size.update(*interval)
        fixed.update(*interval)
        assert LEAST <= size.size <= MOST and fixed.size == 7
    assert fixed.is_fixed and not size.is_fixed


def test_bounds_below_the_least_are_kept() -> None:
    assert run(ReaderSize(2, 8), 1, lambda readers: 0.01, 10)[-1] == 2
