"""Shows the progress of long work as lines of text, for logs: what a bar on a terminal says."""

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Self, TextIO

from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.progress.progress import ProgressCounts


class LineProgress:
    """Writes a line when a stage begins, at most one every `interval` seconds while it counts, and one at its end."""

    def __init__(self, stream: TextIO | None = None, interval: float = 10.0) -> None:
        self._stream, self._interval = stream or sys.stderr, interval
        self._now: ProgressCounts | None = None
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._end()

    def stage(self, name: str, total: int | None = None) -> None:
        self._end()
        self._now, self._last = ProgressCounts(name, total), time.monotonic()
        self._write(f"{name}: begins" if total is None else f"{name}: begins, {total:,} in all")

    def advance(self, n: int, **counts: int) -> None:
        now = self._now
        if now is None:
            return
        now.add(n, counts)
        if time.monotonic() - self._last >= self._interval:
            self._last = time.monotonic()
            eta = "" if not (left := now.eta) else f", {timedelta(seconds=round(left))} to go"
            self._write(f"{now.name}: {self._done(now)}, {now.rate:,.0f}/s{eta}{self._outcomes(now)}")

    def fetched(self, traffic: FetchStats) -> None:
        """Does nothing: a bar has room for the slowest hosts, a log does not."""
        del traffic

    def _end(self) -> None:
        if (now := self._now) is None:
            return
        counted = f", {self._done(now)}" if now.done else ""
        took = timedelta(seconds=round(time.monotonic() - now.begun))
        self._write(f"{now.name}: ends after {took}{counted}{self._outcomes(now)}")
        self._now = None

    @staticmethod
    def _done(now: ProgressCounts) -> str:
        return f"{now.done:,}" + ("" if now.total is None else f" of {now.total:,}")

    @staticmethod
    def _outcomes(now: ProgressCounts) -> str:
        if now.success is None:
            return ""
        reasons = ", ".join(f"{name} {count:,}" for name, count in now.top_reasons.items())
        return f", {now.success:.1%} ok, {now.rejected:,} rejected" + (f" ({reasons})" if reasons else "")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()
