"""Tests the pretended decoder: it is never faster than its rate, nor slower if it is fed in time."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.bench.peers import pretended
from tagmill.bench.peers.pretended import TRIPS, Pretended


class Clock:
    """A clock that advances when it sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0, 0.5)), min_size=1, max_size=20), st.floats(10, 1000))
def test_it_takes_its_time_and_no_more(batches: list[tuple[int, float]], rate: float) -> None:
    """One batch may wait while another is decoded: `take` returns once only one is left."""
    with pytest.MonkeyPatch.context() as patched:
        clock = Clock()
        # Of this module alone: hypothesis measures its own time, garbage collections among it.
        patched.setattr(pretended, "time", SimpleNamespace(perf_counter=lambda: clock.now, sleep=clock.sleep))
        decoder, done = Pretended(rate), clock.now
        for count, late in batches:
            clock.now += late
            before, begun = done, clock.now
            decoder.take(count)
            done = max(done, begun) + count / rate
            assert clock.now == pytest.approx(max(begun, before))
        assert decoder.totals()["lock_trips"] == TRIPS * len(batches)


def test_a_decoder_without_a_rate_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretended.time, "sleep", lambda _: pytest.fail("it slept"))
    decoder = Pretended(0)
    for _ in range(10):
        decoder.take(1000)
    assert decoder.trips == 10 * TRIPS and 0 < decoder.waited < 10
