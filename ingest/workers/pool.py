"""Worker processes for passes over shards: results in the order of the tasks, a few tasks ahead, gone with their parent."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from types import TracebackType
from typing import Self, TypeVar

from tagmill.ingest.workers.shared_counters import SharedCounters, end
from tagmill.shards.errors import TagmillError

T = TypeVar("T")
R = TypeVar("R")

TASKS_AHEAD = 4  # tasks a worker that are handed out before they are done


class Workers:
    """The same processes for several passes, so that what they have read once serves all; with one, this process itself."""

    def __init__(self, processes: int, doing: str) -> None:
        """`doing` is for the message of a worker that died."""
        self._processes, self._doing = processes, doing
        self._pool: ProcessPoolExecutor | None = SharedCounters(processes, ()).pool() if processes > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None and kind is not None:
            end(self._pool)
        elif self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def each(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """What `work` makes of each task. Raises what it raised, and TagmillError where a process died."""
        if self._pool is None:
            yield from map(work, tasks)
            return
        waiting = iter(tasks)
        try:
            running: list[Future[R]] = [
                self._pool.submit(work, task) for task in islice(waiting, TASKS_AHEAD * self._processes)
            ]
            while running:
                result = running.pop(0).result()
                running += [self._pool.submit(work, task) for task in islice(waiting, 1)]
                yield result
        except BrokenProcessPool as error:
            remedy = "run it again; where memory was short, with fewer processes"
            raise TagmillError("a worker process died", self._doing, remedy) from error
