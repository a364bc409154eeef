"""What every display shares: which stages end, which are left out, and what a stop notes."""

import pytest

from tagmill.shards.progress.reporter import Reporter
from tests.shards.progress.use import HOSTILE


class Heard(Reporter):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[object] = []

    def _close(self) -> None:
        self.calls.append("closed")

    def _begin(self) -> None:
        assert self._now is not None
        self.calls.append(self._now.name)

    def _end(self, *, idle: bool) -> None:
        self.calls.append("idle" if idle else "ended")

    def _break_off(self) -> None:
        self.calls.append("broken off")


def test_a_stage_without_work_and_one_whose_parts_follow_are_idle() -> None:
    heard = Heard()
    with heard:
        heard.stage("robots", 0)
        heard.stage("select")
        heard.stage("select: near", 4)
        heard.advance(4)
        heard.stage("selected")
        heard.stage("label")
        heard.advance(1)
        heard.stage("label: write")
    ends = ["robots", "idle", "select", "idle", "select: near", "ended", "selected", "ended", "label", "ended"]
    assert heard.calls == [*ends, "label: write", "ended", "closed"]


def test_a_stop_notes_where_the_work_was() -> None:
    heard = Heard()
    with pytest.raises(KeyboardInterrupt) as stop, heard:
        heard.stage(HOSTILE, 3_000_000)
        heard.advance(120_000)
        raise KeyboardInterrupt
    (note,) = stop.value.__notes__
    assert note.endswith(", 120,000 of 3,000,000") and note.isprintable()
    assert heard.calls[1:] == ["broken off", "closed"]


def test_an_error_has_no_note_and_a_stop_before_the_first_stage_neither() -> None:
    for error in (KeyError(), KeyboardInterrupt()):
        heard = Heard()
        with pytest.raises(type(error)) as caught, heard:
            if isinstance(error, KeyError):
                heard.stage("fetch")
            raise error
        assert not hasattr(caught.value, "__notes__") and heard.calls[-1] == "closed"
