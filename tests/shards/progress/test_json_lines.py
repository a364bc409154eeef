"""Progress as JSON lines, for programs."""

import io
import json
from dataclasses import dataclass

import pytest

from tagmill.shards.progress.json_lines import JsonProgress
from tests.shards.progress.use import use


@dataclass
class Ticking:
    """A clock that goes on by two seconds each time it is read."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def test_lines_for_machines() -> None:
    sink = io.StringIO()
    with JsonProgress(sink, clock=Ticking()) as progress:
        use(progress)
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
    assert ends["fetch"]["slowest"][0] == {"host": "[bold]slow\x1b.example", "seconds": 8.0, "urls": 4}
    assert ends["pack"]["slowest"] == [] and ends["pack"]["success"] is None


def test_at_most_one_line_an_interval() -> None:
    sink = io.StringIO()
    with JsonProgress(sink, clock=lambda: 5.0) as progress:
        progress.stage("fetch", 1000)
        for _ in range(1000):
            progress.advance(1, ok=1)
    assert len(sink.getvalue().splitlines()) == 1  # the end's


def test_a_stage_that_breaks_off_has_not_ended() -> None:
    sink = io.StringIO()
    with pytest.raises(KeyError), JsonProgress(sink) as progress:
        progress.stage("fetch", 3)
        raise KeyError
    assert json.loads(sink.getvalue())["ended"] is False
