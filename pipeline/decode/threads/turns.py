"""Deals the images of a batch to threads, one at a time, and keeps how long each took.

An image that takes long then delays no other: its thread takes no further one, and the others take the rest.
"""

import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

NEXT, STOP, TIMES = range(3)  # fields of `cells`, as libjpeg.c numbers them
SECOND = 1e9  # nanoseconds


class Turns:
    """The turns of `count` images. Threads iterate it at the same time: each image is yielded once.

    An image's time is processor time where it took long, else elapsed time, which costs less to ask for.
    """

    def __init__(self, count: int) -> None:
        self.cells = np.zeros(TIMES + count, np.int64)
        """The next image, whether threads shall stop, and for each image 0, minus the monotonic time in nanoseconds at
        which it was begun, or the nanoseconds that it took. libjpeg.c takes turns here without the GIL; one batch is filled
        by it or by Python, not by both."""
        self._count = count
        self._lock = threading.Lock()

    @property
    def are_left(self) -> bool:
        """Whether no thread has taken some of the images yet."""
        return int(self.cells[NEXT]) < self._count

    def stop(self) -> None:
        """Makes threads return after the image at which each is, until `resume`."""
        self.cells[STOP] = 1

    def resume(self) -> None:
        """Ends `stop`."""
        self.cells[STOP] = 0

    def end(self) -> None:
        """Leaves the images that no thread has taken."""
        self.cells[NEXT] = self._count
        self.stop()

    def seconds(self) -> npt.NDArray[np.float64]:
        """Returns the seconds that each image took [count]; of one in progress minus its seconds so far; 0: not begun."""
        times, now = self.cells[TIMES:].copy(), time.monotonic_ns()
        return np.where(times < 0, np.minimum(-1, -(now + times)), times) / SECOND

    def __iter__(self) -> Iterator[int]:
        while not self.cells[STOP]:
            with self._lock:
                number = int(self.cells[NEXT])
                if number >= self._count:
                    return
                self.cells[NEXT] = number + 1
            for _ in self.again([number]):
                yield number

    def again(self, numbers: Sequence[int]) -> Iterator[int]:
        """Yields the index in `numbers` of each of these images, and keeps the time of each instead of an earlier one."""
        for index, number in enumerate(numbers):
            worked = time.thread_time_ns()
            self.cells[TIMES + number] = -time.monotonic_ns()
            yield index
            self.cells[TIMES + number] = max(1, time.thread_time_ns() - worked)
