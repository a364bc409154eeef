"""Tests that backoffs grow up to a limit and differ between clients."""

from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.storage.retry import Retries


@given(st.integers(1, 12), st.floats(0.01, 5), st.floats(0.01, 20))
def test_backoffs_are_one_fewer_than_tries_doubled_and_bounded(tries: int, first: float, most: float) -> None:
    backoffs = list(Retries(tries, first, most).backoffs())
    assert len(backoffs) == tries - 1
    for attempt, wait in enumerate(backoffs):
        whole = min(most, first * 2**attempt)
        assert whole / 2 <= wait <= whole


def test_no_two_clients_retry_at_the_same_time() -> None:
    assert len({tuple(Retries().backoffs()) for _ in range(20)}) == 20
