"""Intervals: their published values, exactness where all was measured, and that they narrow."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.dry_run.intervals import Interval, mean_interval, share_interval


def test_the_score_interval_is_the_published_one() -> None:
    """Newcombe, Statistics in Medicine 17 (1998), Table I: 81 of 263 and 15 of 148."""
    for hits, sample, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        found = share_interval(hits, sample, 1 << 60)
        assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 1000))
def test_a_share_is_inside_its_interval_and_exact_where_all_was_seen(hits: int, misses: int, unseen: int) -> None:
    sample = hits + misses
    found = share_interval(hits, sample, sample + unseen)
    assert 0 <= found.low <= found.value <= found.high <= 1
    if sample and not unseen:
        assert found.low == found.high == hits / sample
    wider = share_interval(hits, sample, sample + unseen + 1)
    assert wider.low <= found.low + 1e-12 and found.high <= wider.high + 1e-12


@given(st.lists(st.floats(0, 1e9), max_size=30), st.integers(0, 1000))
def test_a_mean_is_inside_its_interval(values: list[float], unseen: int) -> None:
    found = mean_interval(values, len(values) + unseen)
    assert 0 <= found.low <= found.value <= found.high
    if values and not unseen:
        assert found.low == found.high
    if len(values) < 2 and unseen:
        assert found.high == math.inf


def test_a_mean_of_equal_values_is_certain() -> None:
    assert mean_interval([3.0] * 9, 1000) == Interval(3.0, 3.0, 3.0)
    assert Interval(1.0, 2.0, 3.0).times(10) == Interval(10.0, 20.0, 30.0)
