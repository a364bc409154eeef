"""Progress as lines of a log: a stage as it begins and ends, and a line at least every 30 seconds in between."""

import io
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagmill.shards.progress.log_lines import INTERVAL, LogProgress
from tests.shards.progress.use import HOSTILE, Clock, Fetched, Host, assert_plain, use


def logged(sink: io.StringIO, clock: Clock) -> LogProgress:
    return LogProgress(sink, clock=clock, thread=False)


def test_every_stage_has_lines() -> None:
    sink = io.StringIO()
    with logged(sink, Clock()) as progress:
        use(progress)
        progress.stage("robots", 0)
    assert sink.getvalue().splitlines() == [
        *("partition begins", "partition ends  in 0:00:00", "fetch begins  100 in all"),
        "fetch ends  40/100  40,000/s  in 0:00:00  80.0 % ok  top: empty 15 %, timeout 5 %"
        "  slowest: [bold]slow\\x1b.example 2.0 s x 4, b 1.0 s x 1",
        *("pack begins  40 in all", "pack ends  40/40  40,000/s  in 0:00:00"),
    ]


def test_a_long_stage_has_a_line_every_30_seconds() -> None:
    sink, clock = io.StringIO(), Clock()
    progress = logged(sink, clock)
    progress.stage("fetch", 3000)
    for _ in range(7):
        clock.now += 10.0
        progress.advance(100, ok=96, not_found=4)
    assert sink.getvalue().splitlines()[1:] == [
        "fetch 300/3,000  10/s  0:04:30 left  96.0 % ok  top: not_found 4 %",
        "fetch 600/3,000  10/s  0:04:00 left  96.0 % ok  top: not_found 4 %",
    ]


def test_a_stage_that_does_not_advance_has_its_lines_too() -> None:
    sink, clock = io.StringIO(), Clock()
    progress = logged(sink, clock)
    progress.stage("select: near")
    for _ in range(65):
        clock.now += 1.0
        progress.look()
    assert sink.getvalue().splitlines() == [
        *("select: near begins", "select: near for 0:00:30", "select: near for 0:01:00"),
    ]


def test_a_thread_looks_at_the_clock() -> None:
    clock, wrote = Clock(), threading.Event()

    class Sink(io.StringIO):
        def write(self, text: str) -> int:
            if "for" in text:
                wrote.set()
            return super().write(text)

    with LogProgress(Sink(), clock=clock, look_every=0.001) as progress:
        progress.stage("select")
        clock.now += INTERVAL
        assert wrote.wait(60)
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_a_log_without_a_reader_ends_the_thread_and_not_the_work() -> None:
    clock, gone = Clock(), threading.Event()

    class Sink(io.StringIO):
        def write(self, text: str) -> int:
            if "for" in text:
                gone.set()
                raise BrokenPipeError
            return super().write(text)

    sink = Sink()
    with LogProgress(sink, clock=clock, look_every=0.001) as progress:
        progress.stage("select")
        clock.now += INTERVAL
        assert gone.wait(60)
    assert sink.getvalue().splitlines()[-1] == "select ends  in 0:00:30"


def test_what_fails_stops_with_a_line() -> None:
    sink = io.StringIO()
    with pytest.raises(KeyError), logged(sink, Clock()) as progress:
        progress.stage("fetch", 3)
        raise KeyError
    assert sink.getvalue().splitlines() == ["fetch begins  3 in all", "fetch stops  in 0:00:00"]


steps = st.one_of(
    st.tuples(st.just("stage"), st.sampled_from(["fetch", "select", "select: near", HOSTILE]), st.integers(0, 9)),
    st.tuples(st.just("advance"), st.sampled_from(["ok", "not_found", HOSTILE]), st.integers(0, 10**9)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 90)),
)


@given(st.lists(steps, max_size=30))
def test_no_log_has_control_characters_or_is_silent_for_long(given: list[tuple[str, str, int]]) -> None:
    """The thread looks once a second; here the clock goes on by seconds, and each is looked at."""
    clock, times = Clock(), list[float]()

    class Sink(io.StringIO):
        def write(self, text: str) -> int:
            times.append(clock.now)
            return super().write(text)

    sink = Sink()
    with logged(sink, clock) as progress:
        progress.stage("first")
        quiet = False
        for what, name, number in given:
            if what == "stage":
                quiet = number == 0
                progress.stage(name, number)
            elif what == "advance":
                progress.advance(number, **{name: number})
                progress.fetched(Fetched(1, (Host(name, 1.0, 1),)))
            else:
                for _ in range(number):
                    clock.now += 1.0
                    progress.look()
                    assert quiet or clock.now - times[-1] < INTERVAL
    assert_plain(sink.getvalue())
