"""Threads that fill several batches at a time, the oldest first, and do short calls before that.

The threads belong to an executor, which ends them at the interpreter's exit and when it is dropped; what they do next is
decided here, whenever one of them is free.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from tagmill.pipeline.decode.cpu_affinity import pin
from tagmill.pipeline.decode.threads.turns import Turns

T = TypeVar("T")


class Filling:
    """A batch that threads fill together. Each calls `fill`, which takes `turns` until none is left or they are stopped,
    and returns the rows that it lost."""

    def __init__(self, fill: Callable[[], list[int]], turns: Turns) -> None:
        self.fill = fill
        self.turns = turns
        self.lost = list[int]()
        self.error: BaseException | None = None
        self.reached = False  # by a thread
        self.inside = 0  # threads

    @property
    def is_done(self) -> bool:
        return not (self.inside or self.turns.are_left)


class DecodePool:
    """At most `threads` threads, pinned to `cores` if given. One thread begins batches and waits for them; any thread may
    call `submit` and `wake`."""

    def __init__(self, threads: int, cores: set[int] | None = None) -> None:
        self._threads = threads
        self._executor = _executor(threads, cores)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._events = 0  # reasons to look again at what `wait` waits for
        self._calls = deque[Callable[[], None]]()
        self._fillings = deque[Filling]()  # in the order of their batches, until they are done
        self._serving = 0  # threads

    def begin(self, filling: Filling) -> None:
        """Gives the threads a further batch."""
        with self._lock:
            if filling.turns.are_left:
                self._fillings.append(filling)
                self._start(self._threads)

    def wait(self, filling: Filling, begin_next: Callable[[], bool]) -> list[int]:
        """Waits until a batch is full and returns the rows that were lost. Raises the error of a thread.

        As soon as a thread has reached the last of the batches begun, `begin_next` is called to begin a further one; it
        returns whether it did. If not, it is called again after the next change or `wake`.
        """
        while True:
            with self._lock:
                seen, done = self._events, filling.is_done
                hungry = all(one.reached for one in self._fillings)
            begun = hungry and begin_next()
            if done:
                break
            if begun:
                continue
            with self._changed:
                while self._events == seen:
                    self._changed.wait()
        if filling.error is not None:
            raise filling.error
        return filling.lost

    def cancel(self, filling: Filling) -> None:
        """Leaves the rest of a batch. Images in progress are finished into memory that is not used."""
        with self._lock:
            filling.turns.end()
            if filling in self._fillings:
                self._fillings.remove(filling)

    def wake(self) -> None:
        """Makes `wait` ask again whether there is a further batch."""
        with self._lock:
            self._notify()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Returns the future of a call, which the first free thread makes. Threads leave a batch for it after the image
        at which they are."""
        future = Future[T]()

        def run() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001
                future.set_exception(error)

        with self._lock:
            self._calls.append(run)
            if self._serving == self._threads:
                for filling in self._fillings:
                    filling.turns.stop()
            self._start(1)
        return future

    def shutdown(self) -> None:
        """Ends the threads, after the image or call at which each is."""
        with self._lock:
            for filling in self._fillings:
                filling.turns.end()
            self._fillings.clear()
        self._executor.shutdown()

    def _start(self, most: int) -> None:
        """Lets up to `most` further threads serve. Needs the lock."""
        for _ in range(min(most, self._threads - self._serving)):
            self._executor.submit(self._serve)
            self._serving += 1

    def _serve(self) -> None:
        while (found := self._next()) is not None:
            if isinstance(found, Filling):
                self._fill(found)
            else:
                found()
            del found  # a thread that ends keeps no batch

    def _next(self) -> Filling | Callable[[], None] | None:
        with self._lock:
            if self._calls:
                return self._calls.popleft()
            for filling in self._fillings:
                if filling.turns.are_left:
                    filling.turns.resume()
                    filling.inside += 1
                    if not filling.reached:
                        filling.reached = True
                        self._notify()
                    return filling
            self._serving -= 1
            return None

    def _fill(self, filling: Filling) -> None:
        lost, error = list[int](), None
        try:
            lost = filling.fill()
        except BaseException as caught:  # noqa: BLE001
            error = caught
        with self._lock:
            filling.inside -= 1
            filling.lost += lost
            if error is not None:
                filling.error = filling.error or error
                filling.turns.end()
            if filling.is_done:
                if filling in self._fillings:
                    self._fillings.remove(filling)
                self._notify()

    def _notify(self) -> None:
        """Needs the lock."""
        self._events += 1
        self._changed.notify_all()


def _executor(threads: int, cores: set[int] | None) -> ThreadPoolExecutor:
    """Starts threads in which torch uses one thread only: there is one of them for each core already."""
    barrier, num_before = threading.Barrier(threads), torch.get_num_threads()

    def begin_thread() -> None:
        if cores:
            pin(cores)
        # the first call in a thread adopts the global number; only afterwards can the thread have its own
        torch.get_num_threads()
        torch.set_num_threads(1)
        barrier.wait()

    pool = ThreadPoolExecutor(threads, "tagmill-decode", begin_thread)
    for done in [pool.submit(threading.get_ident) for _ in range(threads)]:
        done.result()
    torch.set_num_threads(num_before)  # set_num_threads also changed the number for threads of the future
    return pool
