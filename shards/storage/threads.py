"""Threads for work that waits for others, as for a store: a pool of them can be ended at any time, whatever it waits for, and
the interpreter's end does not wait for a store that has stopped answering.

The standard library's pools are joined at exit, and what runs in them cannot be left. These threads are daemons. A pool that is
stopped gives what is under way a moment to end, and leaves it to itself after that; `pause` keeps such work from trying again.
"""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Executor, Future, InvalidStateError
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

GRACE_SECONDS = 1.5  # that work under way has to end by itself, when its pool is stopped and when the interpreter ends
STOPPED = "its pool was stopped"

_Work = tuple[Future[Any], Callable[[], Any]]


class _Crew:
    """What the threads of a pool share. They do not hold the pool, so a pool without references can be ended."""

    def __init__(self, grace: float) -> None:
        self.grace, self.lock = grace, threading.Lock()
        self.work = SimpleQueue[_Work | None]()
        self.idle = threading.Semaphore(0)  # threads that wait for work, less the work that waits for them
        self.threads, self.running = list[threading.Thread](), set[Future[Any]]()
        self.closed, self.forgotten, self.left = False, False, False
        self.stopped = threading.Event()

    def close(self, *, cancel: bool) -> None:
        """No more work is taken; threads end when there is none left, `cancel`led or done."""
        waiting: list[Future[Any]] = []
        with self.lock:
            self.closed = True
            with suppress(Empty):
                while cancel:
                    if (item := self.work.get_nowait()) is not None:
                        waiting.append(item[0])
            self.work.put(None)
        for future in waiting:
            if future.cancel():
                future.set_running_or_notify_cancel()

    def join(self, deadline: float | None) -> None:
        for thread in list(self.threads):
            if thread is not threading.current_thread():
                thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def leave(self) -> None:
        """Wakes threads that wait for work that is still under way."""
        self.left = True
        with self.lock:
            running = list(self.running)
        for future in running:
            with suppress(InvalidStateError):
                future.set_exception(CancelledError(STOPPED))

    def forget(self) -> None:
        """Ends the threads of a pool without references. It takes no lock: the collector calls it from anywhere."""
        self.forgotten = True
        self.work.put(None)


_CREWS = weakref.WeakSet[_Crew]()
_MINE = threading.local()


class DaemonPool(Executor):
    """`max_workers` threads at most, as of a ThreadPoolExecutor, but daemons.

    Left by an exception, or with `stop`, it is ended at once: what waits is cancelled, and what is under way after `grace`
    seconds is left to itself; its futures raise CancelledError.
    """

    def __init__(
        self,
        max_workers: int,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        grace: float | None = None,
    ) -> None:
        """`initializer(*initargs)` is called first in every thread; what it raises is raised for all of the pool's work."""
        self._max, self._name = max_workers, thread_name_prefix
        self._begin = partial(initializer, *initargs) if initializer else None
        self._crew = crew = _Crew(GRACE_SECONDS if grace is None else grace)
        _CREWS.add(crew)
        weakref.finalize(self, crew.forget).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The future of a call. Raises RuntimeError after `shutdown`, and when the interpreter ends."""
        crew, future = self._crew, Future[T]()
        with crew.lock:
            if crew.closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            crew.work.put((future, partial(fn, *args, **kwargs)))
            if not crew.idle.acquire(blocking=False) and len(crew.threads) < self._max:
                name = f"{self._name}_{len(crew.threads)}"
                thread = threading.Thread(target=_serve, args=(crew, self._begin), name=name, daemon=True)
                crew.threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of every executor: with `wait` until all work is done, however long that takes; interrupted, it stops."""
        self._crew.close(cancel=cancel_futures)
        if wait:
            try:
                self._crew.join(None)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Ends it within `grace` seconds; a call that needs longer goes on in its thread, and its result is dropped."""
        crew = self._crew
        crew.stopped.set()
        crew.close(cancel=True)
        try:
            crew.join(time.monotonic() + crew.grace)
        finally:
            crew.leave()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.shutdown()
        else:
            self.stop()


def pause(seconds: float = 0.0) -> None:
    """Sleeps before another try. Raises CancelledError, then or meanwhile, in a thread whose pool was stopped or forgotten."""
    crew: _Crew | None = getattr(_MINE, "crew", None)
    if crew is None:
        time.sleep(seconds)
    elif crew.stopped.is_set() or crew.forgotten or (seconds and crew.stopped.wait(seconds)):
        raise CancelledError(STOPPED)


def _serve(crew: _Crew, begin: Callable[[], object] | None) -> None:
    """A thread's life."""
    _MINE.crew = crew
    failed: BaseException | None = None
    try:
        if begin is not None:
            begin()
    except BaseException as error:  # noqa: BLE001
        failed = error
    while (item := crew.work.get()) is not None:
        future, call = item
        if crew.stopped.is_set() or crew.forgotten:
            future.cancel()
        if future.set_running_or_notify_cancel():
            _answer(crew, future, call, failed)
        del item, future, call  # nothing of it is held while the thread waits
        crew.idle.release()
    crew.work.put(None)  # for the others


def _answer(crew: _Crew, future: Future[Any], call: Callable[[], Any], failed: BaseException | None) -> None:
    with crew.lock:
        crew.running.add(future)
    with suppress(InvalidStateError):  # it was left
        try:
            if failed is not None:
                raise failed
            result = call()
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        else:
            future.set_result(result)
    with crew.lock:
        crew.running.discard(future)
    del future, call  # an error holds this frame, and the future holds the error


def _end(crews: Iterable[_Crew]) -> None:
    """At the interpreter's end: nothing is tried again, and what is under way has `grace` seconds; who waited for what is then
    left has as much again."""
    crews = [crew for crew in crews if not crew.left]
    for crew in crews:
        crew.stopped.set()
        crew.close(cancel=True)
    for _ in range(2):
        begun = time.monotonic()
        for crew in crews:
            crew.join(begun + crew.grace)
        for crew in crews:
            crew.leave()


atexit.register(lambda: _end(list(_CREWS)))
os.register_at_fork(after_in_child=_CREWS.clear)
