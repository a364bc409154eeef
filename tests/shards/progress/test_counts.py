"""What is counted of a stage, and how fast it goes."""

import pytest

from tagmill.shards.progress.counts import ProgressCounts, counted
from tests.shards.progress.recorded import Recorded
from tests.shards.progress.use import Clock


def test_the_three_most_frequent_reasons_are_shown() -> None:
    now = ProgressCounts("fetch", 100)
    now.add(60, {"ok": 10, "a": 1, "d": 9, "c": 9, "b": 31})
    assert list(now.top_reasons.items()) == [("b", 31), ("c", 9), ("d", 9)]
    assert now.rejected == 50 and now.success == pytest.approx(1 / 6)


def test_the_rate_is_the_recent_one_so_that_what_was_done_before_a_resume_is_forgotten() -> None:
    clock = Clock()
    counts = ProgressCounts("fetch", 1_001_000, clock)
    counts.add(1_000_000, {})  # found done
    for _ in range(100):
        clock.now += 0.5
        counts.add(5, {})
    assert counts.rate == pytest.approx(10.0, rel=0.02) and counts.eta == pytest.approx(50.0, rel=0.02)
    assert counts.mean_rate == pytest.approx(1_000_500 / 50)


def test_more_than_the_total_leaves_no_time() -> None:
    clock = Clock()
    counts = ProgressCounts("fetch", 10, clock)
    clock.now += 1
    counts.add(12, {})
    assert counts.eta == 0 and ProgressCounts("fetch", 10, clock).eta is None


def test_items_are_counted_as_they_are_done() -> None:
    progress = Recorded()
    progress.stage("lint", 3)
    items = counted(progress, "abc")
    assert next(items) == "a" and progress.done["lint"] == 0  # it is not done before the next is asked for
    assert list(items) == ["b", "c"] and progress.done["lint"] == 3
