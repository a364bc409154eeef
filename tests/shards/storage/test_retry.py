"""Tests the retry policy: backoffs that grow up to a limit, waits that a store asks for, and what ends the tries."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.errors import StoreError
from tagmill.shards.storage import retry
from tagmill.shards.storage.retry import LONGEST_WAIT, Retries, tried


@given(st.integers(1, 12), st.floats(0.01, 5), st.floats(0.01, 20))
def test_backoffs_are_one_fewer_than_tries_doubled_and_bounded(tries: int, first: float, most: float) -> None:
    backoffs = list(Retries(tries, first, most).backoffs())
    assert len(backoffs) == tries - 1
    for attempt, wait in enumerate(backoffs):
        whole = min(most, first * 2**attempt)
        assert whole / 2 <= wait <= whole


def test_no_two_clients_retry_at_the_same_time() -> None:
    assert len({tuple(Retries().backoffs()) for _ in range(20)}) == 20


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(retry, "pause", lambda seconds=0.0: found.append(seconds) if seconds else None)
    return found


def failing(*errors: Exception) -> Callable[[], str]:
    left = list(errors)

    def ask() -> str:
        if left:
            raise left.pop(0)
        return "answer"

    return ask


def asks_for(seconds: float) -> OSError:
    error = OSError("busy")
    error.retry_after = seconds  # type: ignore[attr-defined]
    return error


def test_a_wait_that_a_store_asks_for_replaces_a_shorter_backoff(pauses: list[float]) -> None:
    assert tried(Retries(first=0.001), "here", failing(asks_for(4), asks_for(0), OSError(), asks_for(1e6))) == "answer"
    first, second, third, fourth = pauses
    assert 4 <= first <= 5 and second < 0.01 and third < 0.01 and fourth == LONGEST_WAIT


def test_keys_that_were_renewed_are_tried_at_once(pauses: list[float]) -> None:
    renewed = iter([True, None])
    with pytest.raises(StoreError, match=r"refuses: .*check the credentials"):
        tried(Retries(), "here", failing(PermissionError("a"), PermissionError("b")), lambda: next(renewed))
    assert pauses == []


def test_a_refusal_may_have_its_own_remedy(pauses: list[float]) -> None:
    error = PermissionError("elsewhere")
    error.remedy = "look there"  # type: ignore[attr-defined]
    with pytest.raises(StoreError, match="look there"):
        tried(Retries(), "here", failing(error))
