"""Backoff between tries, Retry-After, and the budget of retries."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.ingest.http.retries import FIRST_WAIT, FREE_RETRIES, MAX_WAIT, RetryBudget, backoff, retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("attempt", [0, 1, 2, 3, 10, 10_000])
def test_waits_double_up_to_a_limit_and_half_of_each_is_random(attempt: int) -> None:
    whole = min(MAX_WAIT, FIRST_WAIT * 2 ** min(attempt, 20))
    waits = [backoff(attempt) for _ in range(200)]
    assert all(whole / 2 <= wait <= whole for wait in waits)
    assert max(waits) - min(waits) > whole / 4


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[("0", 0.0), ("7", 7.0), (" 120 ", 120.0), ("9" * 400, 999_999_999_999.0)],
        *[("Sun, 01 Mar 2026 12:00:30 GMT", 30.0), ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0)],
        *[("Sunday, 01-Mar-26 12:01:00 GMT", 60.0), ("Sun Mar  1 12:00:05 2026", 5.0)],  # the older forms of RFC 9110
    ],
)
def test_retry_after_headers(value: str, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("value", [None, "", "soon", "-5", "1.5", "\u0663", "Sun, 99 Foo 2026 12:00:00 GMT", "nan"])
def test_invalid_retry_after_headers(value: str | None) -> None:
    assert retry_after(value, NOW) is None


@given(st.text(max_size=40))
def test_any_text_gives_seconds_or_none(value: str) -> None:
    seconds = retry_after(value)
    assert seconds is None or seconds >= 0


def test_a_date_is_compared_with_the_clock() -> None:
    assert retry_after("Wed, 01 Jan 2200 00:00:00 GMT") > 1e9  # type: ignore[operator]


def test_retries_are_a_share_of_the_requests() -> None:
    budget = RetryBudget(0.25)
    assert [budget.take_retry() for _ in range(FREE_RETRIES + 1)] == [True] * FREE_RETRIES + [False]
    for _ in range(3):
        budget.count_request()
        assert not budget.take_retry()
    budget.count_request()
    assert budget.take_retry() and not budget.take_retry()


def test_a_share_of_zero_leaves_the_free_retries() -> None:
    budget = RetryBudget(0.0)
    for _ in range(1000):
        budget.count_request()
    assert sum(budget.take_retry() for _ in range(1000)) == FREE_RETRIES
