"""Progress that is drawn on a terminal, as an emulator of one shows it."""

import io
import logging
import sys

import pytest
from rich.console import Console

from tagmill.shards.progress.screen import ScreenProgress
from tagmill.shards.progress.stderr_handler import StderrHandler
from tests.shards.progress.use import HOSTILE, Clock, Fetched, Host, use

pyte = pytest.importorskip("pyte")


class Terminal:
    """Shows what is written to `sink`."""

    def __init__(self, width: int = 80) -> None:
        self.sink, self._screen = io.StringIO(), pyte.Screen(width, 40)
        self.console = Console(file=self.sink, force_terminal=True, width=width, legacy_windows=False)
        self._stream = pyte.Stream(self._screen)

    def lines(self) -> list[str]:
        self._stream.feed(self.sink.getvalue().replace("\n", "\r\n"))
        self.sink.seek(0)
        self.sink.truncate()
        return [line.rstrip() for line in self._screen.display if line.strip()]


def drawn(terminal: Terminal, clock: Clock) -> ScreenProgress:
    progress = ScreenProgress(terminal.console, clock)
    progress._live.auto_refresh = False
    return progress


def test_stages_stay_above_the_one_that_is_drawn() -> None:
    terminal, clock = Terminal(), Clock()
    with drawn(terminal, clock) as progress:
        progress.stage("select")
        progress.stage("select: near", 4)
        clock.now += 90
        progress.advance(2)
        progress._live.refresh()
        assert terminal.lines() == [
            "select: near         ━━━━━━──────           2/4    0.0/s  0:01:30 left",
        ]
        progress.advance(2)
        progress.stage("robots", 0)
        progress.stage("pack", 10)
        progress._live.refresh()
        assert terminal.lines() == [
            "select: near         ━━━━━━━━━━━━           4/4    0.0/s    in 0:01:30",
            "pack                 ────────────          0/10            for 0:00:00",
        ]
    assert terminal.lines()[-1].startswith("pack                 ━━━━━━━━━━━━") and len(terminal.lines()) == 2


def test_a_whole_run() -> None:
    terminal = Terminal()
    with drawn(terminal, Clock()) as progress:
        use(progress)
    assert terminal.lines() == [
        "partition            ━━━━━━━━━━━━                           in 0:00:00",
        "fetch                ━━━━━━━━━━━━        40/100 40,000/s    in 0:00:00 80.0 % ok",
        "  top: empty 15 %, timeout 5 %",
        "  slowest: [bold]slow\\x1b.example 2.0 s x 4, b 1.0 s x 1",
        "pack                 ━━━━━━━━━━━━         40/40 40,000/s    in 0:00:00",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_hostile_names_take_their_lines_and_no_more(width: int) -> None:
    terminal = Terminal(width)
    with drawn(terminal, Clock()) as progress:
        progress.stage(HOSTILE, 4)
        progress.advance(3, **{HOSTILE: 2, "ok": 1})
        progress.fetched(Fetched(1, (Host(HOSTILE * 100, 1.0, 1),)))
        progress._live.refresh()
        assert len(terminal.lines()) == 3
        assert not set("\x07\x9b\u202e") & set("".join(terminal.lines()))


def test_a_stop_leaves_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with pytest.raises(KeyboardInterrupt), drawn(terminal, Clock()) as progress:
        progress.stage("fetch", 100)
        progress.advance(40)
        raise KeyboardInterrupt
    (line,) = terminal.lines()
    assert line.startswith("fetch") and "40/100" in line and "in 0" not in line


def test_lines_of_the_log_do_not_tear_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, handler = Terminal(), StderrHandler()
    monkeypatch.setattr(sys, "stderr", terminal.sink)
    log = logging.Logger("test")
    log.addHandler(handler)
    log.warning("before")
    with drawn(terminal, Clock()) as progress:
        progress.stage("fetch", 100)
        progress._live.refresh()
        log.warning("a warning")
        sys.stderr.write("of another library\n")
        progress.advance(40)
        progress._live.refresh()
        shown = terminal.lines()
        assert shown[:3] == ["before", "a warning", "of another library"]
        assert shown[3].startswith("fetch") and len(shown) == 4
    log.warning("after")
    assert terminal.lines()[-1] == "after"
