"""Shows progress as JSON lines, for programs."""

import json
import sys
import time
from collections.abc import Callable
from typing import TextIO

from tagmill.shards.progress.reporter import Reporter


class JsonProgress(Reporter):
    """Writes JSON lines: at most one every `interval` seconds, and one at the end of every stage."""

    def __init__(
        self, stream: TextIO | None = None, interval: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(clock)
        self._stream, self._interval = stream or sys.stderr, interval
        self._last = 0.0

    def _begin(self) -> None:
        self._last = self._clock()

    def _moved(self) -> None:
        if self._clock() - self._last >= self._interval:
            self._write(ended=False)

    def _end(self, *, idle: bool) -> None:
        self._write(ended=True)

    def _break_off(self) -> None:
        self._write(ended=False)

    def _write(self, *, ended: bool) -> None:
        now, traffic = self._now, self._traffic
        assert now is not None
        self._last = self._clock()
        left = now.eta
        line = {
            "stage": now.name,
            "done": now.done,
            "total": now.total,
            "seconds": round(self._last - now.begun, 2),
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
