"""Decodes, crops, resizes, flips and normalises images in threads on the CPU; the backend that runs on every machine.

Most of the time goes into decoding, and most of that into undoing the Huffman code. So the rest is one pass over the
window while it is in the CPU cache (`libjpeg.py`), directly into its row of the batch; batches reuse memory, and the
next batch is started before the current one is complete.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import Mix, Normalisation, Normalise, mixed, normalise
from tagmill.pipeline.decode.buffer_pool import Buffers, Fresh, paged
from tagmill.pipeline.decode.cpu_affinity import pin
from tagmill.pipeline.decode.resize import MEMORY, normalise_rows

Jpegs = Sequence[bytes | None]
Coming = Callable[
    [int], tuple[Jpegs, Crops, int] | None
]  # returns JPEGs, crops and size of a later batch, 0 being the next, if known
T = TypeVar("T")
Fill = Callable[[npt.NDArray[Any], Sequence[int], Sequence[bytes], Crops, Normalisation | None], list[int]]

KEPT = 5  # free buffers of a size: those of waiting batches, of the two in progress and of the trainer's
TASKS_A_THREAD = 4  # tasks of a batch for each thread, so that other threads take over the rows of one that is delayed


@dataclass(frozen=True, eq=False, slots=True)
class _Work:
    """A batch that threads fill task by task; each task returns the rows that it lost."""

    jpegs: Jpegs
    wanted: tuple[int, Normalisation | None]  # side in pixels, and the normalisation
    batch: npt.NDArray[Any]
    tasks: list[Future[list[int]]]


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
        self._pool = _pool(threads, cores)
        self._buffers = Buffers(KEPT, fresh)
        self._begun: _Work | None = None  # the next batch, started early

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`."""
        work, self._begun = self._begun, None
        if work is not None and (work.jpegs is not jpegs or work.wanted != (size, how)):
            _cancel(work)
            work = None
        work = work or self._begin(jpegs, crops, size, how)
        failed = np.zeros(len(jpegs), np.bool_)
        for task in work.tasks:
            if self._begun is None and coming and (found := coming(0)):
                self._begun = self._begin(*found, how)
            failed[task.result()] = True
        return torch.from_numpy(work.batch).view(how.dtype if how else torch.uint8).permute(0, 3, 1, 2), failed

    def begin(self, coming: Coming, how: Normalisation | None) -> None:
        """Starts the next batch, unless it is in progress already."""
        if self._begun is None and (found := coming(0)):
            self._begun = self._begin(*found, how)

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

        for _ in self._pool.map(work, self._task_lists(valid.nonzero().flatten().tolist())):
            pass
        return torch.from_numpy(batch).view(how.dtype).permute(0, 3, 1, 2)

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """See `tagmill.pipeline.decode.backend.Backend.share`."""
        numbers = np.arange(len(rows)) % self._threads
        for _ in self._pool.map(work, [rows & (numbers == number) for number in range(self._threads)]):
            pass

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)
        self._begun = None
        self._buffers.clear()

    def _begin(self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None) -> _Work:
        batch = self._buffers.lend((len(jpegs), size, size, 3), MEMORY[how.dtype if how else torch.uint8])
        found = [(row, jpeg) for row, jpeg in enumerate(jpegs) if jpeg is not None]
        batch[[row for row, jpeg in enumerate(jpegs) if jpeg is None]] = 0
        tasks = []
        for task in self._task_lists(found):
            rows = [row for row, _ in task]
            chosen = crops.take(np.array(rows, np.int64))
            tasks.append(self._pool.submit(self._fill, batch, rows, [jpeg for _, jpeg in task], chosen, how))
        return _Work(jpegs, (size, how), batch, tasks)

    def _task_lists(self, parts: Sequence[T]) -> list[Sequence[T]]:
        """Splits parts of a batch into tasks for all threads."""
        return [
            parts[first :: TASKS_A_THREAD * self._threads]
            for first in range(min(TASKS_A_THREAD * self._threads, len(parts)))
        ]


def _cancel(work: _Work) -> None:
    """Cancels the tasks of a batch; running ones finish into memory that is not used."""
    for task in work.tasks:
        task.cancel()


def _pool(threads: int, cores: set[int] | None) -> ThreadPoolExecutor:
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
