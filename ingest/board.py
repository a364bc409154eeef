"""Worker processes that a parent can watch: a board of shared counters, and workers that leave when their parent does."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import numpy as np

from tagmill.ingest.progress import Progress

T = TypeVar("T")


class Board:
    """Counts of rows by outcome that workers write and the parent reads, without locks: a killed worker can hold none.

    A line a worker: the item that it is at (plus one), then its counts; the first field of the last line says stop.
    """

    def __init__(self, workers: int, outcomes: Sequence[str]) -> None:
        self._workers, self._outcomes = workers, tuple(outcomes)
        self._context = multiprocessing.get_context("spawn")
        self._shared = self._context.RawArray("q", (workers + 1) * (1 + len(outcomes)))
        self._lines = np.frombuffer(self._shared, np.int64).reshape(workers + 1, -1)
        self._told = np.zeros(len(outcomes), np.int64)

    def pool(self) -> ProcessPoolExecutor:
        """The workers, in which `line()` works."""
        free = self._context.Value("i", 0)
        arguments = (self._shared, free, self._workers, self._outcomes)
        return ProcessPoolExecutor(self._workers, self._context, _begin, arguments)

    def tell(self, progress: Progress) -> None:
        """Passes on what is new since the last call."""
        now = self._lines[:-1, 1:].sum(axis=0)
        new, self._told = now - self._told, now
        counts = {name: int(count) for name, count in zip(self._outcomes, new, strict=True) if count}
        if counts:
            progress.advance(sum(counts.values()), **counts)

    def items(self) -> str:
        """The items that are being worked at, six digits each; for messages."""
        return ", ".join(f"{item - 1:06d}" for item in sorted(self._lines[:-1, 0].tolist()) if item)

    def stop(self) -> None:
        """Workers end at their next row."""
        self._lines[-1, 0] = 1


class StoppedError(Exception):
    """The parent has asked a worker to stop."""


class Line:
    """A worker's own line of the board."""

    def __init__(self, lines: Any, number: int, outcomes: tuple[str, ...]) -> None:
        self._mine, self._last = lines[number], lines[-1]
        self._field = {outcome: 1 + ordinal for ordinal, outcome in enumerate(outcomes)}

    def during(self, item: int, work: Callable[[Callable[[str, int], None]], T]) -> T:
        """Does some work, which is given `tell(outcome, rows)`, and shows the item as being worked at."""
        self._mine[0] = item + 1
        result = work(self._tell)
        self._mine[0] = 0
        return result

    def _tell(self, outcome: str, num_rows: int) -> None:
        if self._last[0]:
            raise StoppedError
        self._mine[self._field[outcome]] += num_rows


_line: Line | None = None


def line() -> Line:
    """The line of this worker process."""
    assert _line is not None, "not a worker of a board's pool"
    return _line


def _begin(shared: Any, free: Any, workers: int, outcomes: tuple[str, ...]) -> None:
    """Runs first in every worker process."""
    global _line
    with free.get_lock():
        number = free.value
        free.value += 1
    _line = Line(np.frombuffer(shared, np.int64).reshape(workers + 1, -1), number, outcomes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells us through the board
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A parent that is killed closes no queue: workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
