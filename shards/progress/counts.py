"""Counts what a stage is done with, and measures how fast it goes."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tagmill.shards.progress.protocol import Progress

T = TypeVar("T")

RATE_SECONDS = 30.0  # over which a rate is measured
TOP_REASONS = 3
OK = "ok"


class ProgressCounts:
    """The counts of the current stage. `clock` returns seconds that never go back."""

    def __init__(self, name: str = "", total: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.name, self.total, self._clock = name, total, clock
        self.begun = clock()
        self.done = 0
        self.counts: Counter[str] = Counter()
        self._recent: deque[tuple[float, int]] = deque([(self.begun, 0)])  # (when, done by then), a second apart

    def add(self, n: int, counts: dict[str, int]) -> None:
        self.done += n
        self.counts.update(counts)
        now = self._clock()
        if now - self._recent[-1][0] >= 1.0:
            self._recent.append((now, self.done))
            while len(self._recent) > 1 and now - self._recent[1][0] >= RATE_SECONDS:
                self._recent.popleft()

    @property
    def seconds(self) -> float:
        """How long the stage has taken so far."""
        return self._clock() - self.begun

    @property
    def rate(self) -> float:
        """Rows per second over the last `RATE_SECONDS`: rows that a resumed run finds done count only for that long."""
        when, done = self._recent[0]
        return (self.done - done) / max(self._clock() - when, 1e-3)

    @property
    def eta(self) -> float | None:
        """Estimated seconds until the stage is done; None where the total or the rate is unknown."""
        rate = self.rate
        return max(0, self.total - self.done) / rate if self.total is not None and rate > 0 else None

    @property
    def mean_rate(self) -> float:
        """Rows per second since the stage began."""
        return self.done / max(self.seconds, 1e-3)

    @property
    def rejected(self) -> int:
        return sum(count for name, count in self.counts.items() if name != OK)

    @property
    def success(self) -> float | None:
        """The share of rows with the outcome `ok`, 0 to 1; None where no outcomes are counted."""
        counted = self.counts.total()
        return self.counts[OK] / counted if counted else None

    @property
    def top_reasons(self) -> dict[str, int]:
        """The most frequent reasons of rejects, with their numbers of rows."""
        reasons = [(-count, name) for name, count in self.counts.items() if name != OK and count]
        return {name: -count for count, name in sorted(reasons)[:TOP_REASONS]}


def counted(progress: Progress, items: Iterable[T]) -> Iterator[T]:
    """Yields the items, and adds one to the progress after each."""
    for item in items:
        yield item
        progress.advance(1)
