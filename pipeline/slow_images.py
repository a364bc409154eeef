"""Counts images that take much longer to decode than others, and keeps which were the slowest."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FACTOR = 30  # times the mean from which an image is slow
LEAST_SECONDS = 0.005  # shorter times are elapsed time, and a thread that was suspended is not a slow image
KNOWN = 200  # images after which the mean is used
NAMED = 3  # slowest images that are named


class SlowImage(NamedTuple):
    """An image that was slow, ordered by its time."""

    seconds: float
    key: str  # as in the names of its files
    num_bytes: int


class SlowImages:
    """Adds up the times of images, batch by batch. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds, self._images = 0.0, 0
        self._count = 0
        self._slowest = list[SlowImage]()

    def add(self, seconds: npt.NDArray[np.float64], keys: npt.NDArray[np.uint8], jpegs: Sequence[bytes | None]) -> None:
        """Adds the seconds of the images of a batch [n], 0 for those that were not decoded, with keys [n, 16]."""
        with self._lock:
            self._seconds += float(seconds.sum())
            self._images += int(np.count_nonzero(seconds))
            if self._images < KNOWN:
                return
            least = max(LEAST_SECONDS, FACTOR * self._seconds / self._images)
            if seconds.max(initial=0) < least:
                return
            rows = np.flatnonzero(seconds >= least).tolist()
            self._count += len(rows)
            found = [SlowImage(float(seconds[row]), keys[row].tobytes().hex(), len(jpegs[row] or b"")) for row in rows]
            self._slowest = sorted(self._slowest + found, reverse=True)[:NAMED]

    def as_dict(self) -> dict[str, object]:
        """Returns plain values for a log: the number of slow images, the mean time of all, the slowest ones."""
        with self._lock:
            mean = self._seconds / max(1, self._images)
            slowest = [one._asdict() for one in self._slowest]
            return {"slow_images": self._count, "image_seconds": mean, "slowest_images": slowest}

    def summary(self) -> str:
        """Returns the same as text; empty if no image was slow."""
        with self._lock:
            if not self._count:
                return ""
            mean = 1000 * self._seconds / self._images
            slowest = ", ".join(
                f"{one.key} ({1000 * one.seconds:,.0f} ms, {one.num_bytes:,} bytes)" for one in self._slowest
            )
            images = "image" if self._count == 1 else "images"
            return (
                f"{self._count:,} {images} took over {FACTOR} times the mean of {mean:,.2f} ms, the slowest: {slowest}"
            )
