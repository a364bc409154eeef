"""Shows progress as plain lines, for a log: each stage as it begins and ends, and every 30 s what is done of it."""

import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO

from tagmill.shards.progress.layout import log_line
from tagmill.shards.progress.reporter import Reporter

INTERVAL = 30.0  # seconds between two lines of a stage
LOOK = 1.0  # seconds between two looks at the clock


class LogProgress(Reporter):
    """Writes lines without control characters.

    A line is due `interval` seconds after the last one. That is seen when the stage advances, and by a thread that looks at
    the clock once a second, so that a stage that does not advance has its lines too. `thread=False` leaves the looks to
    calls of `look`.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        *,
        thread: bool = True,
        look_every: float = LOOK,
    ) -> None:
        super().__init__(clock)
        self._stream, self._interval, self._look_every = stream or sys.stderr, interval, look_every
        self._last = 0.0
        self._over = threading.Event()
        self._looker = threading.Thread(target=self._keep_looking, name="progress", daemon=True) if thread else None

    def look(self) -> None:
        """Writes a line of the current stage if one is due. Raises OSError."""
        with self._lock:
            if self._now is not None and self._now.total != 0 and self._clock() - self._last >= self._interval:
                self._write()

    def _open(self) -> None:
        if self._looker is not None:
            self._looker.start()

    def _close(self) -> None:
        self._over.set()
        if self._looker is not None:
            self._looker.join()

    def _begin(self) -> None:
        with self._lock:
            self._last = self._clock()
            if self._now is not None and self._now.total != 0:
                self._write("begins")

    def _moved(self) -> None:
        self.look()

    def _end(self, *, idle: bool) -> None:
        with self._lock:
            if not idle:
                self._write("ends")
            self._now = None

    def _break_off(self) -> None:
        with self._lock:
            self._write("stops")
            self._now = None

    def _write(self, verb: str = "") -> None:
        assert self._now is not None
        self._last = self._clock()
        self._stream.write(log_line(self._now, self._traffic, verb=verb, hosts=bool(verb)) + "\n")
        self._stream.flush()

    def _keep_looking(self) -> None:
        while not self._over.wait(self._look_every):
            try:
                self.look()
            except (OSError, ValueError):  # the log has lost its reader; the next stage finds out
                return
