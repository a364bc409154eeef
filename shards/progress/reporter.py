"""What every display of progress shares: the current stage, its counts, and how it ends."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tagmill.shards.progress.counts import ProgressCounts
from tagmill.shards.progress.layout import place_text
from tagmill.shards.progress.protocol import NoTraffic, Traffic


class Reporter:
    """Keeps the current stage; a subclass shows it. A context manager, whose exit ends the last stage.

    A stage that is left by an exception has not ended. Where the exception is a stop (KeyboardInterrupt), it gets a note that
    says where the work was. Threads of a subclass read `_now` and `_traffic` under `_lock`.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds that never go back."""
        self._clock = clock
        self._lock = threading.RLock()
        self._now: ProgressCounts | None = None
        self._traffic: Traffic = NoTraffic()

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._now is not None and error is None:
                self._end(idle=self._now.total == 0)
            elif self._now is not None and error is not None:
                if isinstance(error, KeyboardInterrupt):
                    error.add_note(place_text(self._now))
                self._break_off()
        finally:
            self._now = None
            self._close()

    def stage(self, name: str, total: int | None = None) -> None:
        now = self._now
        if now is not None:
            idle = now.total == 0 or name.startswith(f"{now.name}:")
            self._end(idle=idle and not now.done)
        with self._lock:
            self._now, self._traffic = ProgressCounts(name, total, self._clock), NoTraffic()
        self._begin()

    def advance(self, n: int, **counts: int) -> None:
        with self._lock:
            if self._now is None:
                return
            self._now.add(n, counts)
        self._moved()

    def fetched(self, traffic: Traffic) -> None:
        with self._lock:
            self._traffic = traffic

    def _open(self) -> None:
        """Begins to show."""

    def _close(self) -> None:
        """Shows nothing from now on."""

    def _begin(self) -> None:
        """A stage has begun."""

    def _moved(self) -> None:
        """The current stage has advanced."""

    def _end(self, *, idle: bool) -> None:
        """The current stage has ended. `idle`: it had nothing to do, or its parts, which follow, do it."""

    def _break_off(self) -> None:
        """The current stage has been left by an exception."""
