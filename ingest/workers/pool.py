"""Worker processes: tasks go out one at a time, results and counts come back, and a worker that dies is named with its
task."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.reduction import ForkingPickler
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from tagmill.ingest.progress.host_times import FetchStats
from tagmill.ingest.workers.worker import TaskError, TaskResult, WorkerReport, WorkerStatus, run_worker
from tagmill.shards.errors import TagmillError
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.storage.threads import GRACE_SECONDS

T = TypeVar("T")
R = TypeVar("R")

# Modules that the fork server imports, so that workers start with them: together they take a second to import.
PRELOADED = ("__main__", "tagmill.ingest.parts.run", "tagmill.ingest.pack.write_shards", "tagmill.ingest.views.count")
TASKS_AHEAD = 4  # tasks per worker that are begun before the oldest result is taken; bounds the results in memory


@cache
def workers_context() -> BaseContext:
    """Starts workers from a fork server with one thread and no open files; from new interpreters where there is no fork
    server.

    A fork of this process itself would hold copies of its locks and of its SQL engine's threads.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def warm() -> None:
    """Starts the fork server, so that it imports what workers need while this process does something else."""
    if workers_context().get_start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


class _Worker:
    """A worker process, as the pool sees it."""

    def __init__(self) -> None:
        context = workers_context()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=run_worker, args=(theirs, dict(os.environ)))  # type: ignore[attr-defined]
        self.process.start()
        theirs.close()  # the worker's copy is the only one left, so its death is the end of the stream
        self.fetched = FetchStats()
        self.number: int | None = None  # of the task that it is doing
        self.task: Any = None

    def begin(self, number: int, work: Callable[[Any, WorkerReport], Any], task: Any) -> None:
        self.number, self.task = number, task
        request = ForkingPickler.dumps((work, task))  # an error of pickling is raised as it is
        try:
            self.connection.send_bytes(request)
        except OSError as error:
            raise _DeadWorkerError(self) from error

    def receive(self) -> TaskResult | TaskError | WorkerStatus:
        try:
            message = self.connection.recv()
        except (EOFError, OSError) as error:
            raise _DeadWorkerError(self) from error
        return cast("TaskResult | TaskError | WorkerStatus", message)


class _DeadWorkerError(Exception):
    def __init__(self, worker: _Worker) -> None:
        self.worker = worker


@dataclass(frozen=True)
class _Unreported:
    """Work that takes a task alone, as work that could report."""

    work: Callable[[Any], Any]

    def __call__(self, task: Any, report: WorkerReport) -> Any:
        return self.work(task)


class WorkerPool:
    """At most `processes` worker processes, started when there are tasks for them and kept from one call to the next.

    A worker gets a task only when it waits for one. Left by an exception, or when a call is given up or fails, workers
    stop at their next report, and are killed where they make none within GRACE_SECONDS.
    """

    def __init__(self, processes: int, doing: str) -> None:
        """`doing` is for the message about a worker that died."""
        self._processes, self._doing = processes, doing
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close(grace=None if kind is None else GRACE_SECONDS)

    def each(
        self, work: Callable[[T, WorkerReport], R], tasks: Iterable[T], progress: Progress, name: Callable[[T], str]
    ) -> Iterator[R]:
        """Yields the result of each task as it comes; the counts that `work` reports go to `progress`.

        Raises what `work` raised, and TagmillError with the name of the task where a worker died.
        """
        try:
            for _, result in self._results(work, tasks, progress):
                yield result
        except _DeadWorkerError as error:
            remedy = (
                "run it again, what is finished stays; if it dies there again, give it more memory or fewer --processes"
            )
            where = f"{self._doing}, {name(error.worker.task)}"
            raise TagmillError("a worker process died", where, remedy) from error

    def map(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Yields the result of each task in the order of the tasks; a pool of one process works in this process.

        Raises what `work` raised, and TagmillError where a worker died.
        """
        if self._processes <= 1:
            yield from map(work, tasks)
            return
        early: dict[int, R] = {}
        following = 0
        try:
            for number, result in self._results(_Unreported(work), tasks, Silent(), early):
                early[number] = result
                while following in early:
                    yield early.pop(following)
                    following += 1
        except _DeadWorkerError as error:
            remedy = "run it again; where memory was short, with fewer --processes"
            raise TagmillError("a worker process died", self._doing, remedy) from error

    def _results(
        self,
        work: Callable[[Any, WorkerReport], Any],
        tasks: Iterable[T],
        progress: Progress,
        early: "dict[int, Any] | None" = None,
    ) -> Iterator[tuple[int, Any]]:
        """(number of the task, its result) as they come. No task is begun while too many results wait in `early`."""
        todo = enumerate(tasks)
        limit = (TASKS_AHEAD - 1) * self._processes
        try:
            while True:
                if early is None or len(early) < limit:
                    self._begin(work, todo)
                busy = {worker.connection: worker for worker in self._workers if worker.number is not None}
                if not busy:
                    return
                for connection in wait(list(busy)):
                    worker = busy[cast("Connection", connection)]
                    message = worker.receive()
                    if isinstance(message, WorkerStatus):
                        self._pass_on(worker, message, progress)
                        continue
                    number, worker.number = worker.number, None
                    if isinstance(message, TaskError):
                        raise message.error
                    assert number is not None
                    yield number, message.value
        except BaseException:
            self._close(GRACE_SECONDS)
            raise

    def _begin(self, work: Callable[[Any, WorkerReport], Any], todo: Iterator[tuple[int, Any]]) -> None:
        """Gives tasks to idle workers, and starts workers while there are more tasks."""
        idle = [worker for worker in self._workers if worker.number is None]
        while idle or len(self._workers) < self._processes:
            following = next(todo, None)
            if following is None:
                return
            if not idle:
                self._workers.append(_Worker())
                idle.append(self._workers[-1])
            idle.pop().begin(following[0], work, following[1])

    def _pass_on(self, worker: _Worker, status: WorkerStatus, progress: Progress) -> None:
        if status.counts:
            progress.advance(sum(status.counts.values()), **status.counts)
        if status.fetched is not None and status.fetched != worker.fetched:
            worker.fetched = status.fetched
            progress.fetched(FetchStats.sum(each.fetched for each in self._workers))

    def _close(self, grace: float | None) -> None:
        """Closes the pipes and waits for the workers to end; kills those that have not ended after `grace` seconds."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.connection.close()
        deadline = None if grace is None else time.monotonic() + grace
        for worker in workers:
            worker.process.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        for worker in workers:
            if worker.process.is_alive():
                worker.process.kill()
