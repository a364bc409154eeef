"""Worker processes that a parent can watch: a board of shared counters, and workers that leave when their parent does."""

import multiprocessing
import os
import signal
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

import numpy as np

from tagmill.ingest.progress.host_times import FetchStats, HostLatency
from tagmill.ingest.progress.progress import Progress
from tagmill.ingest.workers.process_setup import keep_memory, leave_out_pandas, work_in_long_turns
from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.threads import GRACE_SECONDS

Tell = Callable[[str, int], None]  # told an outcome and its number of rows as they come


T = TypeVar("T")
R = TypeVar("R")

STATUS_BYTES = 4096  # bytes of a worker's note
_HEAD = struct.Struct("<II")  # length and crc32: who reads while it is written sees that they do not fit


def silent(outcome: str, num_rows: int) -> None:
    del outcome, num_rows


# What workers are forked with: all that most of them need, which takes a second to import and is imported once a run.
PRELOADED = ("__main__", "tagmill.ingest.parts.run", "tagmill.ingest.pack.write_shards", "tagmill.ingest.views.count")


@cache
def workers_context() -> BaseContext:
    """Workers come from a server that has one thread and has opened nothing; where there is none they begin from nothing.

    A fork of this process itself would hold copies of its locks and of its engine's threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def warm() -> None:
    """Begins to import what workers need, while this process does something else."""
    if workers_context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


class SharedCounters:
    """Counts of rows by outcome that workers write and the parent reads, without locks: a killed worker can hold none.

    A line a worker: the item that it is at (plus one), then its counts; the first field of the last line says stop. Beside
    it a note a worker: the Traffic of its process so far.
    """

    def __init__(self, workers: int, outcomes: Sequence[str]) -> None:
        self._workers, self._outcomes = workers, tuple(outcomes)
        self._context = workers_context()
        self._shared = self._context.RawArray("q", (workers + 1) * (1 + len(outcomes)))
        self._lines = np.frombuffer(self._shared, np.int64).reshape(workers + 1, -1)
        self._told = np.zeros(len(outcomes), np.int64)
        self._notes = self._context.RawArray("B", workers * STATUS_BYTES)
        self._traffic: dict[int, FetchStats] = {}

    def pool(self) -> ProcessPoolExecutor:
        """The workers, in which `worker_slot()` works."""
        free = self._context.Value("i", 0)
        arguments = (self._shared, self._notes, free, self._workers, self._outcomes, dict(os.environ))
        return ProcessPoolExecutor(self._workers, self._context, _begin, arguments)

    def tell(self, progress: Progress) -> None:
        """Passes on what is new since the last call."""
        now = self._lines[:-1, 1:].sum(axis=0)
        new, self._told = now - self._told, now
        counts = {name: int(count) for name, count in zip(self._outcomes, new, strict=True) if count}
        if counts:
            progress.advance(sum(counts.values()), **counts)
        notes = {number: note for number in range(self._workers) if (note := _note(self._notes, number))}
        traffic = self._traffic | {number: FetchStats.parse(note) for number, note in notes.items()}
        if traffic != self._traffic:
            self._traffic = traffic
            progress.fetched(FetchStats.sum(traffic.values()))

    def each(self, work: Callable[[T], R], tasks: Iterable[T], progress: Progress, doing: str) -> Iterator[R]:
        """What `work` makes of tasks in worker processes, as it comes. Raises TagmillError where one of them dies.

        `doing` is for its message. Whoever stops listening stops the workers.
        """
        todo, running = iter(tasks), set[Future[R]]()
        pool = self.pool()
        try:
            while True:
                running |= {pool.submit(work, task) for task in islice(todo, 2 * self._workers - len(running))}
                if not running:
                    return
                done, running = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                self.tell(progress)
                yield from [future.result() for future in done]
        except BrokenProcessPool as error:
            remedy = (
                "run it again, what is finished stays; if it dies there again give it more memory or fewer --processes"
            )
            where = f"{doing} {self.items() or 'that come first'}"
            raise TagmillError("a worker process died", where, remedy) from error
        except BaseException:
            self.end(pool)
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def items(self) -> str:
        """The items that are being worked at, six digits each; for messages."""
        return ", ".join(f"{item - 1:06d}" for item in sorted(self._lines[:-1, 0].tolist()) if item)

    def end(self, pool: ProcessPoolExecutor) -> None:
        """Ends the workers after an error or Ctrl-C: at their next row, or, those that wait for a store that has stopped
        answering, by a kill; the next run then finds nothing that misleads."""
        self.stop()
        end(pool)

    def stop(self) -> None:
        """Workers end at their next row."""
        self._lines[-1, 0] = 1


def end(pool: ProcessPoolExecutor) -> None:
    """Ends a pool's processes; those that have not ended after GRACE_SECONDS are killed."""
    workers = list((pool._processes or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in workers:
        worker.join(max(0.0, deadline - time.monotonic()))
    for worker in workers:
        if worker.is_alive():
            worker.kill()


class StoppedError(Exception):
    """The parent has asked a worker to stop."""


class WorkerSlot:
    """A worker's own line of the board."""

    def __init__(self, lines: Any, number: int, outcomes: tuple[str, ...], notes: Any = None) -> None:
        self._mine, self._last = lines[number], lines[-1]
        self._notes, self._number = notes, number
        self._waits: HostLatency | None = None
        self._noted = 0.0
        self._field = {outcome: 1 + ordinal for ordinal, outcome in enumerate(outcomes)}

    def during(self, item: int, work: Callable[[Callable[[str, int], None]], T]) -> T:
        """Does some work, which is given `tell(outcome, rows)`, and shows the item as being worked at."""
        self._mine[0] = item + 1
        result = work(self._tell)
        if self._waits is not None:
            self._note(self._waits)
        self._mine[0] = 0
        return result

    def noting(self, tell: Callable[[str, int], None], waits: HostLatency) -> Callable[[str, int], None]:
        """`tell`, which also notes what this process has fetched: at most once a second, and at the end of the work."""
        self._waits = waits

        def both(outcome: str, num_rows: int) -> None:
            tell(outcome, num_rows)
            if time.monotonic() - self._noted >= 1.0:
                self._note(waits)

        return both

    def _note(self, waits: HostLatency) -> None:
        self._noted = time.monotonic()
        data = waits.traffic().json()
        if self._notes is not None and len(data) <= STATUS_BYTES - _HEAD.size:
            start, note = self._number * STATUS_BYTES, _HEAD.pack(len(data), zlib.crc32(data)) + data
            self._notes[start : start + len(note)] = note

    def _tell(self, outcome: str, num_rows: int) -> None:
        if self._last[0]:
            raise StoppedError
        self._mine[self._field[outcome]] += num_rows


def _note(notes: Any, number: int) -> bytes | None:
    """A worker's note; None where there is none, or it is being written."""
    data = bytes(notes[number * STATUS_BYTES : (number + 1) * STATUS_BYTES])
    size, crc = _HEAD.unpack_from(data)
    note = data[_HEAD.size : _HEAD.size + size]
    return note if size and zlib.crc32(note) == crc else None


_line: WorkerSlot | None = None


def worker_slot() -> WorkerSlot:
    """The line of this worker process."""
    assert _line is not None, "not a worker of a board's pool"
    return _line


def _begin(
    shared: Any, notes: Any, free: Any, workers: int, outcomes: tuple[str, ...], environment: dict[str, str]
) -> None:
    """Runs first in every worker process."""
    global _line
    os.environ.clear()
    os.environ.update(environment)  # of now: the server's is of when it was begun
    leave_out_pandas()
    work_in_long_turns()
    keep_memory()
    with free.get_lock():
        number = free.value
        free.value += 1
    _line = WorkerSlot(np.frombuffer(shared, np.int64).reshape(workers + 1, -1), number, outcomes, notes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent tells us through the board
    threading.Thread(target=_leave_with_parent, daemon=True).start()


def _leave_with_parent() -> None:
    """A parent that is killed closes no queue: workers would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
