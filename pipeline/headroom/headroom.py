"""Head-room of a training loop: how much faster the same loop would run without its waits for batches.

It is total time / (total time - time that was waited for batches). What it cannot see: a loader's threads that take cores
from the loop's own work, as in training on processors. With batches that cost no time such a loop gains more than is said
here.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch.distributed as dist

from tagmill.pipeline.headroom.device_idle import DeviceWait, DeviceWaits, device_wait
from tagmill.pipeline.headroom.report import HeadroomReport
from tagmill.pipeline.headroom.step_times import StepTimes

T = TypeVar("T")
FIRST_STEPS = 3  # of a loop that begins: the loader starts, and the first steps of a network are slow
MOST_PENDING = 1024  # steps that a GPU may be behind; more are counted by the time of the host


class Headroom:
    """Times a loop's steps and waits: `for batch in headroom.over(loader)`, for any iterable. Loaders of tagmill have one of
    their own, which `Loader.headroom` reports.

    On a GPU a wait counts as far as the current CUDA stream was idle meanwhile. The first FIRST_STEPS steps of an iteration
    do not count, and neither does the time between two iterations. `rank`: None is torch.distributed's. `clock` returns
    seconds; `waits_of_device` begins a wait on the GPU.
    """

    def __init__(
        self,
        rank: int | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        waits_of_device: DeviceWaits = device_wait,
    ) -> None:
        self._rank, self._clock, self._waits_of_device = rank, clock, waits_of_device
        self._lock = threading.Lock()
        self._pending: deque[tuple[float, float, DeviceWait]] = deque()  # (waited, worked, on the device), not read yet
        self._uncounted = FIRST_STEPS
        self._times = StepTimes()
        self._step: tuple[float, float, DeviceWait | None] | None = None  # when its batch came, waited, on the device

    def begin(self, *, fresh: bool = True) -> None:
        """Begins an iteration: the time since the last batch does not count. `fresh`: its first steps do not either."""
        with self._lock:
            self._step = None
            self._uncounted = FIRST_STEPS if fresh else self._uncounted

    def over(self, batches: Iterable[T]) -> Iterator[T]:
        """Yields the batches of an iterable, and times the loop that takes them."""
        self.begin()
        iterator, end = iter(batches), object()
        while (batch := self.wait(lambda: next(iterator, end))) is not end:
            yield batch  # type: ignore[misc]

    def wait(self, take: Callable[[], T]) -> T:
        """Returns what `take` returns, as the next batch of the loop; the step before it is over."""
        asked, on_device = self._clock(), self._waits_of_device()
        with self._lock:
            self._end_step(asked)
        taken = take()
        if on_device is not None:
            on_device.end()
        came = self._clock()
        with self._lock:
            self._step = came, came - asked, on_device
        return taken

    def reset(self) -> None:
        """Forgets the steps so far, to measure a part of a run, for example since the last line of a log."""
        with self._lock:
            self._pending.clear()
            self._times = StepTimes()

    def report(self, *, ranks: bool = False) -> HeadroomReport:
        """Returns the head-room of the steps so far.

        `ranks`: of all processes of torch.distributed, each with its waits. All of them must then call it after the same
        step, as they do for a line of the log; it exchanges some hundred bytes. Without torch.distributed it is of this
        process.
        """
        several = dist.is_available() and dist.is_initialized()
        rank = (dist.get_rank() if several else 0) if self._rank is None else self._rank
        with self._lock:
            self._read_pending()
            own = HeadroomReport.of(self._times, rank)
        if not (ranks and several):
            return own
        found: list[HeadroomReport | None] = [None] * dist.get_world_size()
        dist.all_gather_object(found, own)
        return HeadroomReport.of_ranks([one for one in found if one is not None])

    def _end_step(self, now: float) -> None:
        step, self._step = self._step, None
        if step is None:
            return
        if self._uncounted > 0:
            self._uncounted -= 1
            return
        came, waited, on_device = step
        if on_device is None:
            self._times.add(waited, now - came)
        else:
            self._pending.append((waited, now - came, on_device))
        self._read_pending()

    def _read_pending(self) -> None:
        """Counts the steps whose waits the device has passed. Steps are of one time; only the part that was waited changes."""
        while self._pending:
            waited, worked, on_device = self._pending[0]
            idle = on_device.idle_seconds()
            if idle is None and len(self._pending) <= MOST_PENDING:
                return
            idle = waited if idle is None else min(waited, idle)
            self._times.add(idle, waited - idle + worked)
            self._pending.popleft()
