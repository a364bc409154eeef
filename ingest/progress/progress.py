"""Shows the progress of long work: as bars on a terminal, as JSON lines, or not at all."""

import json
import sys
import time
from collections import Counter, deque
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from tagmill.ingest.progress.host_times import FetchStats

RATE_SECONDS = 30.0  # over which a rate is measured
TOP_REASONS = 3
SLOWEST = 3  # hosts that a bar shows


class Progress(Protocol):
    """What a stage of an ingest reports to, from one thread."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begins a stage of `total` rows, or of other units (None: unknown), and ends the one before."""

    def advance(self, n: int, **counts: int) -> None:
        """Adds `n` of them that are done; `counts` has their number by outcome: `ok`, or the reason of a reject."""

    def fetched(self, traffic: FetchStats) -> None:
        """Sets what the run has fetched so far, and which hosts took the most time."""


class Silent:
    """Shows nothing."""

    def stage(self, name: str, total: int | None = None) -> None:
        del name, total

    def advance(self, n: int, **counts: int) -> None:
        del n, counts

    def fetched(self, traffic: FetchStats) -> None:
        del traffic


class ProgressCounts:
    """The counts of the current stage."""

    def __init__(self, name: str = "", total: int | None = None) -> None:
        self.name, self.total = name, total
        self.begun = time.monotonic()
        self.done = 0
        self.counts: Counter[str] = Counter()
        self._recent: deque[tuple[float, int]] = deque([(self.begun, 0)])  # (when, done by then), a second apart

    def add(self, n: int, counts: dict[str, int]) -> None:
        now = time.monotonic()
        if now - self._recent[-1][0] >= 1.0:
            self._recent.append((now, self.done))
            while len(self._recent) > 1 and now - self._recent[1][0] >= RATE_SECONDS:
                self._recent.popleft()
        self.done += n
        self.counts.update(counts)

    @property
    def rate(self) -> float:
        """Rows per second over the last `RATE_SECONDS`: rows that a resumed run finds done count only for that long."""
        when, done = self._recent[0]
        return (self.done - done) / max(time.monotonic() - when, 1e-3)

    @property
    def eta(self) -> float | None:
        """Estimated seconds until the stage is done; None where the total or the rate is unknown."""
        rate = self.rate
        return (self.total - self.done) / rate if self.total is not None and rate > 0 else None

    @property
    def mean_rate(self) -> float:
        """Rows per second since the stage began."""
        return self.done / max(time.monotonic() - self.begun, 1e-3)

    @property
    def rejected(self) -> int:
        return sum(count for name, count in self.counts.items() if name != "ok")

    @property
    def success(self) -> float | None:
        """The share of rows with the outcome `ok`, 0 to 1; None where no outcomes are counted."""
        counted = self.counts.total()
        return self.counts["ok"] / counted if counted else None

    @property
    def top_reasons(self) -> dict[str, int]:
        """The most frequent reasons of rejects, with their numbers of rows."""
        reasons = [(-count, name) for name, count in self.counts.items() if name != "ok" and count]
        return {name: -count for count, name in sorted(reasons)[:TOP_REASONS]}


class RichProgress:
    """Shows a bar per stage on the terminal, with rate, remaining time, rejects by reason, and the slowest hosts."""

    def __init__(self, console: Console | None = None) -> None:
        self._bars = Bars(
            TextColumn("{task.description:20}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[says]}", markup=False),  # host names are not trusted as markup
            TimeElapsedColumn(),
            console=console or Console(stderr=True),
        )
        self._task: TaskID | None = None
        self._now = ProgressCounts()
        self._traffic = FetchStats()

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
        self._now, self._traffic = ProgressCounts(name, total), FetchStats()
        self._task = self._bars.add_task(name, total=total, says="")

    def advance(self, n: int, **counts: int) -> None:
        self._now.add(n, counts)
        if self._task is not None:
            self._bars.update(self._task, advance=n, says=self._says())

    def fetched(self, traffic: FetchStats) -> None:
        self._traffic = traffic
        if self._task is not None:
            self._bars.update(self._task, says=self._says())

    def _complete(self) -> None:
        """A stage that did not count is full when the next begins."""
        if self._task is not None:
            done = max(self._now.done, self._now.total or 1)
            self._bars.update(self._task, total=done, completed=done, says=self._says(ended=True))

    def _says(self, *, ended: bool = False) -> str:
        now = self._now
        said = [] if ended and not now.done else [f"{now.mean_rate if ended else now.rate:,.0f}/s"]
        if not ended and (eta := now.eta):
            said.append(f"{timedelta(seconds=round(eta))} to go")
        if now.success is not None:
            reasons = ", ".join(f"{name} {count:,}" for name, count in now.top_reasons.items())
            said += [f"{now.success:.1%} ok", f"{now.rejected:,} rejected" + (f" ({reasons})" if reasons else "")]
        lines = [", ".join(said)]
        if slow := self._traffic.slowest[:SLOWEST]:
            hosts = ", ".join(f"{each.host} {each.mean:.1f} s x {each.urls:,}" for each in slow)
            lines.append(f"slowest: {hosts}")
        return "\n".join(lines)


class JsonProgress:
    """Writes JSON lines: at most one every `interval` seconds, and one at the end of every stage."""

    def __init__(self, stream: TextIO | None = None, interval: float = 1.0) -> None:
        self._stream, self._interval = stream or sys.stderr, interval
        self._now: ProgressCounts | None = None
        self._traffic = FetchStats()
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(ended=kind is None)

    def stage(self, name: str, total: int | None = None) -> None:
        self._write(ended=True)
        self._now, self._traffic = ProgressCounts(name, total), FetchStats()
        self._last = time.monotonic()

    def advance(self, n: int, **counts: int) -> None:
        if self._now is None:
            return
        self._now.add(n, counts)
        if time.monotonic() - self._last >= self._interval:
            self._write(ended=False)

    def fetched(self, traffic: FetchStats) -> None:
        self._traffic = traffic

    def _write(self, *, ended: bool) -> None:
        now = self._now
        if now is None:
            return
        self._last = time.monotonic()
        seconds, left, traffic = self._last - now.begun, now.eta, self._traffic
        line = {
            "stage": now.name,
            "done": now.done,
            "total": now.total,
            "seconds": round(seconds, 2),
            "rate": round(now.mean_rate if ended else now.rate, 1),
            "eta_seconds": None if left is None else round(left, 1),
            "counts": dict(sorted(now.counts.items())),
            "success": None if now.success is None else round(now.success, 4),
            "top_reasons": now.top_reasons,
            "fetched_bytes": traffic.size,
            "slowest": [
                {"host": each.host, "seconds": round(each.seconds, 1), "urls": each.urls} for each in traffic.slowest
            ],
            "ended": ended,
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()
