"""How long work tells what it is doing: a bar for people, JSON lines for machines, nothing for tests."""

import json
import sys
import time
from collections import Counter
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress(Protocol):
    """What a stage of an ingest calls, from one thread."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage of `total` rows (None: unknown) and ends the one before."""

    def advance(self, n: int, **counts: int) -> None:
        """`n` more rows are done; `counts` says how many of them became what: `ok`, or a reason of a reject."""


class Silent:
    """Says nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        del name, total

    def advance(self, n: int, **counts: int) -> None:
        del n, counts


class _Counts:
    """The state of the stage at hand."""

    def __init__(self, name: str = "", total: int | None = None) -> None:
        self.name, self.total = name, total
        self.begun = time.monotonic()
        self.done = 0
        self.counts: Counter[str] = Counter()

    def add(self, n: int, counts: dict[str, int]) -> None:
        self.done += n
        self.counts.update(counts)

    @property
    def rate(self) -> float:
        """Rows a second since the stage began."""
        return self.done / max(time.monotonic() - self.begun, 1e-3)

    @property
    def rejected(self) -> int:
        return sum(count for name, count in self.counts.items() if name != "ok")

    @property
    def top_reason(self) -> str:
        """The commonest reason of rejects; empty where nothing was rejected."""
        reasons = [(-count, name) for name, count in self.counts.items() if name != "ok" and count]
        return min(reasons)[1] if reasons else ""


class RichProgress:
    """A bar a stage on the terminal, with rate, time to go, and what was rejected and why most."""

    def __init__(self, console: Console | None = None) -> None:
        self._bars = Bars(
            TextColumn("{task.description:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[says]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._now = _Counts()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._complete()
        self._bars.stop()

    def stage(self, name: str, total: int | None = None) -> None:
        self._complete()
        self._now = _Counts(name, total)
        self._task = self._bars.add_task(name, total=total, says="")

    def advance(self, n: int, **counts: int) -> None:
        self._now.add(n, counts)
        if self._task is not None:
            self._bars.update(self._task, advance=n, says=self._says())

    def _complete(self) -> None:
        """A stage that did not count is full when the next begins."""
        if self._task is not None:
            done = max(self._now.done, self._now.total or 1)
            self._bars.update(self._task, total=done, completed=done)

    def _says(self) -> str:
        now = self._now
        rate = f"{now.rate:,.0f}/s"
        if not now.counts:
            return rate
        most = f" (most: {now.top_reason})" if now.top_reason else ""
        return f"{rate}, {now.counts['ok']:,} ok, {now.rejected:,} rejected{most}"


class JsonProgress:
    """One JSON object a line, at most every `interval` seconds, and one at the end of every stage."""

    def __init__(self, stream: TextIO | None = None, interval: float = 1.0) -> None:
        self._stream, self._interval = stream or sys.stderr, interval
        self._now: _Counts | None = None
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(ended=kind is None)

    def stage(self, name: str, total: int | None = None) -> None:
        self._write(ended=True)
        self._now = _Counts(name, total)
        self._last = time.monotonic()

    def advance(self, n: int, **counts: int) -> None:
        if self._now is None:
            return
        self._now.add(n, counts)
        if time.monotonic() - self._last >= self._interval:
            self._write(ended=False)

    def _write(self, *, ended: bool) -> None:
        now = self._now
        if now is None:
            return
        self._last = time.monotonic()
        seconds = self._last - now.begun
        left = (now.total - now.done) / now.rate if now.total is not None and now.done else None
        line = {
            "stage": now.name,
            "done": now.done,
            "total": now.total,
            "seconds": round(seconds, 2),
            "rate": round(now.rate, 1),
            "eta_seconds": None if left is None else round(left, 1),
            "counts": dict(sorted(now.counts.items())),
            "ended": ended,
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
