"""A worker process of a pool: receives tasks over its pipe, and sends back counts, what it fetched, and results.

The pipe has one writer at each end and needs no lock, so a worker that is killed leaves nothing locked and no
half-written counter: the pool reads the messages that were sent before, and then the end of the stream.
"""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

from tagmill.ingest.progress.host_times import FetchStats, HostLatency
from tagmill.ingest.workers.process_setup import keep_memory, leave_out_pandas, use_batch_scheduling

ReportRows = Callable[[str, int], None]  # called with an outcome and a number of rows that have come to it

SECONDS_BETWEEN_STATUS = 0.2  # at least


def no_report(outcome: str, num_rows: int) -> None:
    """A `ReportRows` that drops its counts."""
    del outcome, num_rows


@dataclass(frozen=True)
class WorkerStatus:
    """What a worker has done since its last status; what it has fetched since it started."""

    counts: dict[str, int]  # rows by outcome
    fetched: FetchStats | None = None


@dataclass(frozen=True)
class TaskResult:
    """What a task returned."""

    value: Any


@dataclass(frozen=True)
class TaskError:
    """What a task raised."""

    error: BaseException


class StoppedError(Exception):
    """The pool has closed its end of the pipe: the worker ends."""


class WorkerReport:
    """The `ReportRows` of a worker process. Counts are sent a few times a second, and at the end of each task."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._counts: Counter[str] = Counter()
        self._latency: HostLatency | None = None
        self._sent = 0.0

    def __call__(self, outcome: str, num_rows: int) -> None:
        """Raises StoppedError where the pool has been closed meanwhile."""
        self._counts[outcome] += num_rows
        if time.monotonic() - self._sent >= SECONDS_BETWEEN_STATUS:
            self.send()

    def with_fetched(self, latency: HostLatency) -> Self:
        """Sends what `latency` has measured with the counts, from now on."""
        self._latency = latency
        return self

    def send(self) -> None:
        """Sends the status. Raises StoppedError where the pool has been closed."""
        self._sent = time.monotonic()
        if self._connection.poll():  # no task comes before the result of this one: it can only be the end of the stream
            raise StoppedError
        fetched = self._latency.traffic() if self._latency else None
        status = WorkerStatus(dict(self._counts), fetched)
        self._counts.clear()
        if status.counts or status.fetched:
            try:
                self._connection.send(status)
            except OSError as error:
                raise StoppedError from error


def run_worker(connection: Connection, environment: dict[str, str]) -> None:
    """Runs in a worker process: does one task after the other until the pool closes the pipe."""
    _set_up(environment)
    report = WorkerReport(connection)
    with suppress(StoppedError, EOFError, OSError):
        while True:
            answer = _answer(connection.recv_bytes(), report)
            report.send()
            connection.send_bytes(answer)


def _answer(request: bytes, report: WorkerReport) -> bytes:
    """The pickled result or error of a pickled (work, task). What cannot be pickled or imported is an error too."""
    try:
        work, task = ForkingPickler.loads(request)
        return bytes(ForkingPickler.dumps(TaskResult(work(task, report))))
    except StoppedError:
        raise
    except BaseException as error:  # noqa: BLE001
        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return bytes(ForkingPickler.dumps(TaskError(error)))


def _set_up(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)  # the fork server's is that of its own start
    leave_out_pandas()
    use_batch_scheduling()
    keep_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which closes the pipe
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """A worker in the middle of a long task does not see that its parent was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
