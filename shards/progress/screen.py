"""Shows progress on a terminal: the current stage as lines that are drawn again, and above them those that have ended."""

import sys
import time
from collections.abc import Callable

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from tagmill.shards.progress.counts import ProgressCounts
from tagmill.shards.progress.layout import screen_lines
from tagmill.shards.progress.reporter import Reporter

REDRAWS = 4  # a second


class ScreenProgress(Reporter):
    """Draws the stage at the bottom of the terminal. What is written to standard error meanwhile, and to standard output
    where that is a terminal too, appears above it."""

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock)
        self._console = console or Console(stderr=True)
        self._live = Live(
            self,
            console=self._console,
            refresh_per_second=REDRAWS,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yields the lines of the current stage, at the width that the terminal has now."""
        with self._lock:
            now = self._now
            lines = [] if now is None or now.total == 0 else self._lines(now, options.max_width, ended=False)
        yield from self._texts(lines)

    def _open(self) -> None:
        self._live.start()

    def _close(self) -> None:
        self._live.stop()

    def _begin(self) -> None:
        self._live.refresh()

    def _end(self, *, idle: bool) -> None:
        self._leave(ended=True, shown=not idle)

    def _break_off(self) -> None:
        self._leave(ended=False, shown=True)

    def _leave(self, *, ended: bool, shown: bool) -> None:
        """Prints the stage above the lines that are drawn again. Not under the lock: the thread that draws takes the
        console's first."""
        with self._lock:
            now, self._now = self._now, None
            assert now is not None
            lines = self._lines(now, self._console.width, ended=ended) if shown else []
        for text in self._texts(lines):
            self._console.print(text, no_wrap=True, crop=True)

    def _lines(self, now: ProgressCounts, width: int, *, ended: bool) -> list[str]:
        return screen_lines(now, self._traffic, width, ended=ended, unicode=self._console.encoding.startswith("utf"))

    @staticmethod
    def _texts(lines: list[str]) -> list[Text]:
        """Reasons and hosts are paler than the stage."""
        return [
            Text(line, style="dim" if number else "", no_wrap=True, overflow="crop")
            for number, line in enumerate(lines)
        ]
