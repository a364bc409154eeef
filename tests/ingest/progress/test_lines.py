"""Progress as lines of a log: each stage as it begins and ends, and in between what is done of what."""

import io

import pytest

from tagmill.ingest.progress import lines
from tagmill.ingest.progress.lines import LineProgress
from tests.ingest.progress.test_progress import use


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(lines.time, "monotonic", lambda: self.now)


def test_every_stage_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    sink = io.StringIO()
    with LineProgress(sink) as said:
        use(said)
    assert sink.getvalue().splitlines() == [
        *("partition: begins", "partition: ends after 0:00:00", "fetch: begins, 100 in all"),
        "fetch: ends after 0:00:00, 40 of 100, 80.0% ok, 8 rejected (empty 6, timeout 2)",
        *("pack: begins, 40 in all", "pack: ends after 0:00:00, 40 of 40"),
    ]


def test_a_long_stage_says_what_is_done_every_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sink = Clock(monkeypatch), io.StringIO()
    said = LineProgress(sink, interval=10.0)
    said.stage("select: near", 9)
    for _ in range(4):
        clock.now += 6.0
        said.advance(1)
    told = ["select: near: 2 of 9, 0/s, 0:00:42 to go", "select: near: 4 of 9, 0/s, 0:00:30 to go"]
    assert sink.getvalue().splitlines()[1:] == told


def test_what_fails_ends_without_a_line() -> None:
    sink = io.StringIO()
    with pytest.raises(KeyError), LineProgress(sink) as said:
        said.stage("fetch", 3)
        raise KeyError
    assert sink.getvalue() == "fetch: begins, 3 in all\n"
