"""Decodes, crops, resizes, flips and normalises images in threads on the CPU; the backend that runs on every machine.

Most of the time goes into decoding, and most of that into undoing the Huffman code. So the rest is one pass over the
window while it is in the CPU cache (`libjpeg.py`), directly into its row of the batch; batches reuse memory. Threads
take one image at a time, and go on with the next batches, as many as are assembled, while one takes long.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Mix, Normalisation, Normalise, mixed, normalise
from tagmill.pipeline.decode.buffer_pool import Buffers, Fresh, paged
from tagmill.pipeline.decode.resize import MEMORY, normalise_rows
from tagmill.pipeline.decode.threads.pool import DecodePool, Filling
from tagmill.pipeline.decode.threads.turns import Turns

Jpegs = Sequence[bytes | None]
Coming = Callable[
    [int], tuple[Jpegs, Crops, int] | None
]  # returns JPEGs, crops and size of a later batch, 0 being the next, if known
T = TypeVar("T")
Fill = Callable[[npt.NDArray[Any], Sequence[int], Sequence[bytes], Crops, Normalisation | None, Turns], list[int]]

KEPT = 5  # free buffers of a dtype: those of waiting batches, of the two in progress and of the trainer's
TASKS_A_THREAD = 4  # of normalising, so that other threads take over the rows of one that is delayed


@dataclass(frozen=True, eq=False, slots=True)
class _Work:
    """A batch that threads fill."""

    jpegs: Jpegs
    wanted: tuple[int, Normalisation | None]  # side in pixels, and the normalisation
    batch: npt.NDArray[Any]
    rows: list[int]  # that have a JPEG, in the order of the turns
    filling: Filling


class CpuBackend:
    """Decodes in threads on host memory; decoding and resizing release the GIL."""

    on_device = False

    def __init__(
        self,
        threads: int,
        fill_windows: Fill,
        normalise_on_device: Normalise = normalise,
        cores: set[int] | None = None,
        fresh: Fresh = paged,
    ) -> None:
        """`fill_windows`: see `libjpeg.fill_with_libjpeg`. `normalise_on_device` normalises images that are on another
        device. The threads are pinned to `cores`, if given. `fresh` allocates the memory of batches."""
        self._threads = threads
        self._fill = fill_windows
        self._normalise_on_device = normalise_on_device
        self._pool = DecodePool(threads, cores)
        self._buffers = Buffers(KEPT, fresh)
        self._begun = deque[_Work]()  # the next batches, started early
        self._last: tuple[int, list[int], Turns] | None = None  # slots, rows and turns of the batch that was asked for

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`."""
        work = self._begun.popleft() if self._begun else None
        if work is not None and (work.jpegs is not jpegs or work.wanted != (size, how)):
            self._pool.cancel(work.filling)
            self._cancel_begun()
            work = None
        work = work or self._begin(jpegs, crops, size, how)
        self._last = len(jpegs), work.rows, work.filling.turns

        def begin_next() -> bool:
            found = coming(len(self._begun)) if coming else None
            if found:
                self._begun.append(self._begin(*found, how))
            return found is not None

        failed = np.zeros(len(jpegs), np.bool_)
        failed[self._pool.wait(work.filling, begin_next)] = True
        return torch.from_numpy(work.batch).view(how.dtype if how else torch.uint8).permute(0, 3, 1, 2), failed

    def begin(self, coming: Coming, how: Normalisation | None) -> None:
        """Starts the next batches, as far as they are known, so that two are incomplete: then no thread is idle when the
        first one ends. At most two are started, also where they end at once: nothing else bounds how many wait."""
        for _ in range(2 - sum(not work.filling.is_done for work in self._begun)):
            found = coming(len(self._begun))
            if found is None:
                return
            self._begun.append(self._begin(*found, how))

    def wake(self) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.wake`."""
        self._pool.wake()

    def seconds(self) -> npt.NDArray[np.float64] | None:
        """See `tagmill.pipeline.decode.backend.Backend.seconds`."""
        if self._last is None:
            return None
        slots, rows, turns = self._last
        found = np.zeros(slots)
        found[rows] = turns.seconds()
        return found

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """See `tagmill.pipeline.decode.backend.Backend.normalise`."""
        if images.device.type != "cpu":
            return self._normalise_on_device(images, valid, how, mix)
        if mix:
            floats = self.normalise(images, valid, replace(how, dtype=torch.float32))
            return mixed(floats, mix).to(how.dtype, memory_format=torch.channels_last)
        pixels = images.permute(0, 2, 3, 1).numpy()
        batch = self._buffers.lend(pixels.shape, MEMORY[how.dtype])
        batch[~valid.numpy()] = 0

        def work(rows: Sequence[int]) -> None:
            normalise_rows(batch, rows, [pixels[row] for row in rows], how)

        self._share([partial(work, rows) for rows in self._task_lists(valid.nonzero().flatten().tolist())])
        return torch.from_numpy(batch).view(how.dtype).permute(0, 3, 1, 2)

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.share`."""
        numbers = np.arange(len(rows)) % self._threads
        self._share([partial(work, rows & (numbers == number)) for number in range(self._threads)])

    def close(self) -> None:
        """Ends the threads."""
        self._cancel_begun()
        self._pool.shutdown()
        self._last = None
        self._buffers.clear()

    def _share(self, calls: Sequence[Callable[[], None]]) -> None:
        for done in [self._pool.submit(call) for call in calls]:
            done.result()

    def _cancel_begun(self) -> None:
        for work in self._begun:
            self._pool.cancel(work.filling)
        self._begun.clear()

    def _begin(self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None) -> _Work:
        self._buffers.keep(KEPT + len(self._begun))
        batch = self._buffers.lend((len(jpegs), size, size, 3), MEMORY[how.dtype if how else torch.uint8])
        rows = [row for row, jpeg in enumerate(jpegs) if jpeg is not None]
        batch[[row for row, jpeg in enumerate(jpegs) if jpeg is None]] = 0
        given, turns = [jpeg for jpeg in jpegs if jpeg is not None], Turns(len(rows))
        fill = partial(self._fill, batch, rows, given, crops.take(np.array(rows, np.int64)), how, turns)
        filling = Filling(fill, turns)
        self._pool.begin(filling)
        return _Work(jpegs, (size, how), batch, rows, filling)

    def _task_lists(self, parts: Sequence[T]) -> list[Sequence[T]]:
        """Splits parts of a batch into tasks for all threads."""
        return [
            parts[first :: TASKS_A_THREAD * self._threads]
            for first in range(min(TASKS_A_THREAD * self._threads, len(parts)))
        ]
