"""Progress on a terminal and as JSON says the same."""

import io
import json
import re

import pytest
from rich.console import Console

from tagmill.ingest.progress import progress
from tagmill.ingest.progress.host_times import FetchStats, HostTime
from tagmill.ingest.progress.progress import JsonProgress, Progress, ProgressCounts, RichProgress, Silent


def use(said: Progress) -> None:
    said.advance(1)  # before any stage: ignored
    said.stage("partition")
    said.stage("fetch", 100)
    said.advance(10, ok=7, timeout=2, empty=1)
    said.fetched(FetchStats(5_000_000, 9.0, (HostTime("[bold]slow.example", 8.0, 4), HostTime("b", 1.0, 1))))
    said.advance(30, ok=25, empty=5)
    said.stage("pack", 40)
    said.advance(40)


def test_a_bar_for_people() -> None:
    sink = io.StringIO()
    with RichProgress(Console(file=sink, force_terminal=True, width=140)) as said:
        use(said)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sink.getvalue())
    assert "80.0% ok, 8 rejected (empty 6, timeout 2)" in text
    assert "slowest: [bold]slow.example 2.0 s x 4, b 1.0 s x 1" in text  # a host's name is no markup
    assert {"partition", "fetch", "pack"} <= set(text.split())
    assert "40/40" in text


def test_a_bar_says_how_long_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    said = RichProgress(Console(file=io.StringIO()))
    said.stage("fetch", 4000)
    now[0] = 10.0
    said.advance(100, ok=99, timeout=1)
    assert said._says() == "10/s, 0:06:30 to go, 99.0% ok, 1 rejected (timeout 1)"


def test_lines_for_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    sink = io.StringIO()
    with JsonProgress(sink) as said:
        use(said)
    lines = [json.loads(line) for line in sink.getvalue().splitlines()]
    ends = {line["stage"]: line for line in lines if line["ended"]}
    assert list(ends) == ["partition", "fetch", "pack"]
    assert ends["fetch"]["counts"] == {"ok": 32, "timeout": 2, "empty": 6}
    assert (ends["fetch"]["done"], ends["fetch"]["total"]) == (40, 100)
    first = next(line for line in lines if line["stage"] == "fetch")
    assert first["done"] == 10 and first["rate"] > 0 and first["eta_seconds"] > 0
    assert ends["partition"]["eta_seconds"] is None
    assert ends["fetch"]["success"] == 0.8 and ends["fetch"]["fetched_bytes"] == 5_000_000
    assert list(ends["fetch"]["top_reasons"].items()) == [("empty", 6), ("timeout", 2)]
    assert ends["fetch"]["slowest"][0] == {"host": "[bold]slow.example", "seconds": 8.0, "urls": 4}
    assert ends["pack"]["slowest"] == [] and ends["pack"]["success"] is None


def test_the_three_most_frequent_reasons_are_shown() -> None:
    now = ProgressCounts("fetch", 100)
    now.add(60, {"ok": 10, "a": 1, "d": 9, "c": 9, "b": 31})
    assert list(now.top_reasons.items()) == [("b", 31), ("c", 9), ("d", 9)]


def test_the_rate_is_that_of_late_so_that_what_was_done_before_a_resume_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    counts = ProgressCounts("fetch", 1_001_000)
    counts.add(1_000_000, {})  # found done
    for _ in range(100):
        now[0] += 0.5
        counts.add(5, {})
    assert counts.rate == pytest.approx(10.0, rel=0.02) and counts.eta == pytest.approx(50.0, rel=0.02)
    assert counts.mean_rate == pytest.approx(1_000_500 / 50)


def test_at_most_one_line_an_interval() -> None:
    sink = io.StringIO()
    with JsonProgress(sink, interval=3600.0) as said:
        said.stage("fetch", 1000)
        for _ in range(1000):
            said.advance(1, ok=1)
    assert len(sink.getvalue().splitlines()) == 1  # the end's


def test_a_stage_that_breaks_off_has_not_ended() -> None:
    sink = io.StringIO()
    with pytest.raises(KeyError), JsonProgress(sink) as said:
        said.stage("fetch", 3)
        raise KeyError
    assert json.loads(sink.getvalue())["ended"] is False


def test_silence() -> None:
    use(Silent())
