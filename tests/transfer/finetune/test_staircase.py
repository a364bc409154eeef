"""Tests the learning rate that falls by a factor of ten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.transfer.finetune.staircase import Staircase, scaled


def test_rates_of_a_short_run() -> None:
    schedule = Staircase(8, 0.5, 2, (4, 6))
    assert [schedule.rate(step) for step in range(8)] == [0.0, 0.25, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005]


@given(st.integers(0, 50), st.lists(st.integers(50, 200), max_size=4, unique=True).map(sorted), st.floats(1e-6, 10))
def test_after_the_warm_up_rates_never_rise_and_fall_as_often_as_there_are_drops(
    warmup: int, drops: list[int], peak: float
) -> None:
    rates = [Staircase(201, peak, warmup, tuple(drops)).rate(step) for step in range(201)]
    assert rates[warmup] == (peak if warmup not in drops else peak / 10)
    assert all(0 <= rate <= peak for rate in rates)
    falls = [step for step in range(warmup + 1, 201) if rates[step] != rates[step - 1]]
    assert falls == [drop for drop in drops if drop > warmup]
    assert rates[-1] == pytest.approx(peak * 0.1 ** len(drops))


@given(st.integers(0, 10**6), st.floats(1e-4, 4))
def test_a_scaled_number_is_the_nearest_one(steps: int, scale: float) -> None:
    assert abs(scaled(steps, scale) - steps * scale) <= 0.5
    assert scaled(steps, 1.0) == steps
