"""Feeds the real trainer from memory, and measures it from there.

A loader's iterator is asked for a batch when the trainer has completed the step before, with all that belongs to it. So
between two requests there is exactly one turn of the trainer's loop, and an iterator of ours in place of the loader's sees
every turn without any change of the trainer. Between two requests the trainer does nothing, and something else may run.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from unittest import mock

from tagmill.bench.processes import cpu_seconds
from tagmill.pipeline import Batch, Loader
from tagmill.pipeline.batch import Labels

RESIDENT = 4  # batches in memory
Feed = Callable[[Loader, Iterator[Batch]], Iterator[Batch]]
"""Makes the iterator of the trainer's loader of that loader and its own iterator."""


@dataclass(frozen=True)
class Cost:
    """What some turns of the trainer cost."""

    turns: int
    seconds: float
    cpu_seconds: float  # of the process with its threads
    tree_seconds: float  # of its child processes too, to a hundredth of a second


class Clock:
    """Measures from its creation, or from the last call of `read`."""

    def __init__(self) -> None:
        self._before = self._now()

    def read(self, turns: int) -> Cost:
        """Returns the cost since the last reading."""
        now = self._now()
        took = [after - before for after, before in zip(now, self._before, strict=True)]
        self._before = self._now()
        return Cost(turns, *took)

    @staticmethod
    def _now() -> tuple[float, float, float]:
        return time.perf_counter(), time.process_time(), cpu_seconds(os.getpid())


@contextmanager
def fed(feed: Feed) -> Iterator[None]:
    """Within it, every loader of training images yields what `feed` makes of its own batches. It ends with `feed`."""
    usual = Loader.__iter__

    def iterate(loader: Loader) -> Iterator[Batch]:
        own = usual(loader)
        return feed(loader, own) if loader.config.split == "train" else own

    with mock.patch.object(Loader, "__iter__", iterate):
        yield


def resident(own: Iterator[Batch], device: str, count: int = RESIDENT) -> list[Batch]:
    """Takes full batches of a loader and copies them to the device."""
    found = [copied(batch, device) for batch in itertools.islice(own, count)]
    assert found and all(batch.filled == len(batch) for batch in found), "too few images for whole batches"
    return found


def copied(batch: Batch, device: str) -> Batch:
    """Returns a copy on the device, which shares no memory with the loader's buffers."""
    there = batch.to(device)
    labels = Labels(there.labels.ids.clone(), there.labels.offsets.clone())
    return replace(there, images=there.images.clone(), labels=labels, valid=there.valid.clone())


def turns(batches: list[Batch], number: int) -> Iterator[Batch]:
    """Yields a number of batches, in turn."""
    return itertools.islice(itertools.cycle(batches), number)
