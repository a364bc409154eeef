"""Thread pools for blocking work such as store requests: they can be stopped at any time, and the exit of the
interpreter does not wait for a store that has stopped answering.

The standard library joins its pools at exit, and their running calls cannot be abandoned. These threads are daemons. A
stopped pool gives running calls a grace period and then abandons them; `pause` prevents them from retrying.
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

GRACE_SECONDS = 1.5  # grace period of running calls when their pool is stopped and at the exit of the interpreter
STOPPED = "its pool was stopped"

_Work = tuple[Future[Any], Callable[[], Any]]


class _PoolState:
    """State shared by the threads of a pool. It does not refer to the pool, so a pool without references can be ended."""

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.lock = threading.Lock()
        self.work = SimpleQueue[_Work | None]()
        self.idle = threading.Semaphore(0)  # number of waiting threads minus queued work
        self.threads = list[threading.Thread]()
        self.running = set[Future[Any]]()
        self.closed = False
        self.forgotten = False
        self.abandoned = False
        self.stopped = threading.Event()

    def close(self, *, cancel: bool) -> None:
        """Accepts no more work; threads end once the queue is empty, `cancel`led or done."""
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

    def abandon(self) -> None:
        """Wakes threads that wait for the result of a running call."""
        self.abandoned = True
        with self.lock:
            running = list(self.running)
        for future in running:
            with suppress(InvalidStateError):
                future.set_exception(CancelledError(STOPPED))

    def forget(self) -> None:
        """Ends the threads of a pool without references. Takes no lock, because the garbage collector calls it from any
        thread."""
        self.forgotten = True
        self.work.put(None)


_POOLS = weakref.WeakSet[_PoolState]()
_THREAD = threading.local()


class DaemonPool(Executor):
    """At most `max_workers` threads, like a ThreadPoolExecutor, but daemons.

    An exception in the `with` block, or `stop`, ends the pool at once: queued work is cancelled; calls that still run
    after `grace` seconds are abandoned, and their futures raise CancelledError.
    """

    def __init__(
        self,
        max_workers: int,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        grace: float | None = None,
    ) -> None:
        """`initializer(*initargs)` is called first in every thread; its error is raised for all work of the pool."""
        self._max = max_workers
        self._name = thread_name_prefix
        self._begin = partial(initializer, *initargs) if initializer else None
        self._state = state = _PoolState(GRACE_SECONDS if grace is None else grace)
        _POOLS.add(state)
        weakref.finalize(self, state.forget).atexit = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Returns the future of a call. Raises RuntimeError after `shutdown`, and at the exit of the interpreter."""
        state, future = self._state, Future[T]()
        with state.lock:
            if state.closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            state.work.put((future, partial(fn, *args, **kwargs)))
            if not state.idle.acquire(blocking=False) and len(state.threads) < self._max:
                name = f"{self._name}_{len(state.threads)}"
                thread = threading.Thread(target=_serve, args=(state, self._begin), name=name, daemon=True)
                state.threads.append(thread)
                thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shuts down like every executor: with `wait` until all work is done, however long that takes; if interrupted,
        it stops."""
        self._state.close(cancel=cancel_futures)
        if wait:
            try:
                self._state.join(None)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Ends the pool within `grace` seconds; a longer call continues in its thread, and its result is dropped."""
        state = self._state
        state.stopped.set()
        state.close(cancel=True)
        try:
            state.join(time.monotonic() + state.grace)
        finally:
            state.abandon()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.shutdown()
        else:
            self.stop()


def pause(seconds: float = 0.0) -> None:
    """Sleeps before another try. Raises CancelledError, then or during the sleep, in a thread whose pool was stopped or
    dropped."""
    state: _PoolState | None = getattr(_THREAD, "state", None)
    if state is None:
        if seconds:  # a sleep of nothing would hand the GIL to another thread, before every request
            time.sleep(seconds)
    elif state.stopped.is_set() or state.forgotten or (seconds and state.stopped.wait(seconds)):
        raise CancelledError(STOPPED)


def _serve(state: _PoolState, begin: Callable[[], object] | None) -> None:
    """Runs the queued calls; the main function of a thread."""
    _THREAD.state = state
    failed: BaseException | None = None
    try:
        if begin is not None:
            begin()
    except BaseException as error:  # noqa: BLE001
        failed = error
    while (item := state.work.get()) is not None:
        future, call = item
        if state.stopped.is_set() or state.forgotten:
            future.cancel()
        if future.set_running_or_notify_cancel():
            _run_call(state, future, call, failed)
        del item, future, call  # no references are kept while the thread waits
        state.idle.release()
    state.work.put(None)  # wakes the other threads


def _run_call(state: _PoolState, future: Future[Any], call: Callable[[], Any], failed: BaseException | None) -> None:
    with state.lock:
        state.running.add(future)
    with suppress(InvalidStateError):  # the call was abandoned
        try:
            if failed is not None:
                raise failed
            result = call()
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        else:
            future.set_result(result)
    with state.lock:
        state.running.discard(future)
    del future, call  # an error refers to this frame, and the future to the error


def _stop_at_exit(pools: Iterable[_PoolState]) -> None:
    """Stops all pools at the exit of the interpreter: nothing is retried, and running calls have `grace` seconds;
    threads that wait for an abandoned call get as much again."""
    pools = [state for state in pools if not state.abandoned]
    for state in pools:
        state.stopped.set()
        state.close(cancel=True)
    for _ in range(2):
        begun = time.monotonic()
        for state in pools:
            state.join(begun + state.grace)
        for state in pools:
            state.abandon()


atexit.register(lambda: _stop_at_exit(list(_POOLS)))
os.register_at_fork(after_in_child=_POOLS.clear)
