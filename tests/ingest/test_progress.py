"""Progress for people and for machines says the same."""

import io
import json
import re

import pytest
from rich.console import Console

from tagmill.ingest import progress
from tagmill.ingest.progress import JsonProgress, Progress, RichProgress, Silent


def use(said: Progress) -> None:
    said.advance(1)  # before any stage: nobody minds
    said.stage("deal")
    said.stage("fetch", 100)
    said.advance(10, ok=7, timeout=2, empty=1)
    said.advance(30, ok=25, empty=5)
    said.stage("pack", 40)
    said.advance(40)


def test_a_bar_for_people() -> None:
    sink = io.StringIO()
    with RichProgress(Console(file=sink, force_terminal=True, width=140)) as said:
        use(said)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", sink.getvalue())
    assert "80.0% ok, 8 rejected (empty 6, timeout 2)" in text
    assert {"deal", "fetch", "pack"} <= set(text.split())
    assert "40/40" in text


def test_lines_for_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 2))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    sink = io.StringIO()
    with JsonProgress(sink) as said:
        use(said)
    lines = [json.loads(line) for line in sink.getvalue().splitlines()]
    ends = {line["stage"]: line for line in lines if line["ended"]}
    assert list(ends) == ["deal", "fetch", "pack"]
    assert ends["fetch"]["counts"] == {"ok": 32, "timeout": 2, "empty": 6}
    assert (ends["fetch"]["done"], ends["fetch"]["total"]) == (40, 100)
    first = next(line for line in lines if line["stage"] == "fetch")
    assert first["done"] == 10 and first["rate"] > 0 and first["eta_seconds"] > 0
    assert ends["deal"]["eta_seconds"] is None


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
