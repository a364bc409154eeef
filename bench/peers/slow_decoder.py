"""A pretended decoder of which some images take long. Its threads wait and take no processor time, so that a few cores can
pretend to be many."""

import random
import threading
import time
import weakref
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

FACTOR = 100  # a slow image takes so many times the cost of another
EVERY = 100  # one image of so many is slow
CLUMP = 10  # with clumps, one batch of so many has all slow images


def is_slow(number: int, batch: int, *, clumped: bool) -> bool:
    """Returns whether an image is slow, by random numbers of image and batch: one of EVERY, independently, or with
    `clumped` one of EVERY / CLUMP in one batch of CLUMP."""
    if clumped:
        return batch % CLUMP == 0 and number % (EVERY // CLUMP) == 0
    return number % EVERY == 0


class SlowDecoder:
    """Fills rows as `libjpeg.fill_with_libjpeg`, but only waits `cost` seconds for an image, or FACTOR times that."""

    def __init__(self, cost: float, *, clumped: bool) -> None:
        self._cost = cost
        self._clumped = clumped
        self._lock = threading.Lock()
        self._seconds, self._images = 0.0, 0
        self._draw, self._batches = random.Random(0), dict[int, int]()  # id of a batch's memory: its random number

    def fill(
        self,
        batch: Any,
        rows: Sequence[int],
        jpegs: Sequence[bytes],
        crops: Any,
        how: object = None,
        turns: Iterable[int] | None = None,
    ) -> list[int]:
        """Waits for each of the images, in the order of `turns`. (A loader without turns gives only images of a thread.)"""
        drawn_batch = self._number_of(batch)
        for number in range(len(rows)) if turns is None else turns:
            # crops are drawn for each turn, so that an image is not slow in every epoch
            drawn = zlib.crc32(
                b"%d %d %d" % (crops.x[number], crops.y[number], crops.width[number]), len(jpegs[number])
            )
            slow = is_slow(drawn, drawn_batch, clumped=self._clumped)
            begun = time.perf_counter()
            time.sleep(self._cost * (FACTOR if slow else 1))
            seconds = time.perf_counter() - begun
            with self._lock:
                self._seconds += seconds
                self._images += 1
        return []

    def _number_of(self, batch: Any) -> int:
        """Returns a random number that is the same for all images of a batch, whose memory is used again later."""
        with self._lock:
            if id(batch) not in self._batches:
                self._batches[id(batch)] = self._draw.randrange(1 << 30)
                weakref.finalize(batch, self._batches.pop, id(batch)).atexit = False
            return self._batches[id(batch)]

    def totals(self) -> dict[str, float]:
        """Returns counters for `stopwatch.run`."""
        with self._lock:
            return {"decoder_seconds": self._seconds, "decoded": float(self._images)}
