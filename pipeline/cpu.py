"""Decodes, crops, resizes, mirrors and normalises pictures in threads on the CPU; the backend that runs anywhere.

Where the time goes, for a picture of 256 pixels: four fifths of it is decoding. So the decoder is the fastest that there is
(DALI's, which decodes the region of the window only), the rest is one pass over the window (`resample.py`) straight to its
place in the batch, batches are made in memory that was used before, and the next batch is begun before one is done.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment import Crops
from tagmill.pipeline.batch import Mix, Normalisation, Normalise, mixed, normalise
from tagmill.pipeline.buffers import Buffers
from tagmill.pipeline.cores import pin
from tagmill.pipeline.resample import MEMORY, Pixels, fill

Jpegs = Sequence[bytes | None]
Coming = Callable[[int], tuple[Jpegs, Crops] | None]  # what comes after the present batch, 0 being the next, if known
Group = tuple[Sequence[int], Callable[[int], Pixels | None]]

KEPT = 4  # free buffers of a size: those of the batches that wait, are in work and are at the trainer
# Windows that are decoded at a time while those before them are resized: enough that threads are seldom without work (64 cost
# 2 to 5 % of the speed, 32 cost 10 %), few enough that both groups stay in the processor's cache.
GROUP = 128
TURNS = 2  # groups that have memory: one is decoded, one is resized
PIECES = 4  # a thread, of a group: so that one that was held up leaves its rows to the others


class WindowDecoder(Protocol):
    """Decodes the windows of pictures, before they are resized."""

    def groups(self, jpegs: Jpegs, crops: Crops, size: int, coming: Coming | None = None) -> Iterator[Group]:
        """Rows, all of those that are not None in some order, in groups; and what gives the window of each row of the group,
        uint8 [height, width, 3], or None where it cannot be decoded. A window may come smaller where it is to be made
        smaller than `size` anyway. It is valid until the next group is asked for. `coming`: see `Backend.decode`."""

    def close(self) -> None:
        """Ends what runs in the background."""


class CpuBackend:
    """Threads on host memory; decoding and resizing release the interpreter lock."""

    on_device = False

    def __init__(
        self,
        threads: int,
        windows: WindowDecoder,
        elsewhere: Normalise = normalise,
        cores: set[int] | None = None,
    ) -> None:
        """`elsewhere` normalises images that are on another device; threads keep to `cores`, if any are given."""
        self._threads, self._windows, self._elsewhere = threads, windows, elsewhere
        self._pool = _pool(threads, cores)
        self._buffers = Buffers(KEPT)

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.backend.Backend.decode`."""
        dtype = how.dtype if how else torch.uint8
        batch = self._buffers.lend((len(jpegs), size, size, 3), MEMORY[dtype])
        failed = np.zeros(len(jpegs), np.bool_)
        batch[[row for row, jpeg in enumerate(jpegs) if jpeg is None]] = 0

        def work(window_of: Callable[[int], Pixels | None], rows: Sequence[int]) -> None:
            found = {row: window for row in rows if (window := window_of(row)) is not None}
            for row in rows:
                if row not in found:
                    failed[row] = True
                    batch[row] = 0
            fill(batch, list(found), list(found.values()), crops.flip[list(found)].tolist(), how)

        for rows, window_of in self._windows.groups(jpegs, crops, size, coming):
            self._divide(rows, partial(work, window_of))
        return torch.from_numpy(batch).view(dtype).permute(0, 3, 1, 2), failed

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """See `tagmill.pipeline.backend.Backend.normalise`."""
        if images.device.type != "cpu":
            return self._elsewhere(images, valid, how, mix)
        if mix:
            floats = self.normalise(images, valid, replace(how, dtype=torch.float32))
            return mixed(floats, mix).to(how.dtype, memory_format=torch.channels_last)
        pixels = images.permute(0, 2, 3, 1).numpy()
        batch = self._buffers.lend(pixels.shape, MEMORY[how.dtype])
        batch[~valid.numpy()] = 0

        def work(rows: Sequence[int]) -> None:
            fill(batch, list(rows), [pixels[row] for row in rows], [False] * len(rows), how)

        self._divide(valid.nonzero().flatten().tolist(), work)
        return torch.from_numpy(batch).view(how.dtype).permute(0, 3, 1, 2)

    def share(self, rows: npt.NDArray[np.bool_], work: Callable[[npt.NDArray[np.bool_]], None]) -> None:
        """See `tagmill.pipeline.backend.Backend.share`."""
        numbers = np.arange(len(rows)) % self._threads
        for _ in self._pool.map(work, [rows & (numbers == number) for number in range(self._threads)]):
            pass

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)
        self._windows.close()
        self._buffers.clear()

    def _divide(self, rows: Sequence[int], work: Callable[[Sequence[int]], None]) -> None:
        """Does `work` on the rows in all threads."""
        pieces = [rows[first :: PIECES * self._threads] for first in range(min(PIECES * self._threads, len(rows)))]
        for _ in self._pool.map(work, pieces):
            pass


def _pool(threads: int, cores: set[int] | None) -> ThreadPoolExecutor:
    """Threads in which torch keeps to the calling one: there are as many of them as cores already."""
    everybody, ours = threading.Barrier(threads), torch.get_num_threads()

    def alone() -> None:
        if cores:
            pin(cores)
        torch.get_num_threads()  # a thread's first call takes the number of all; only then can it have one of its own
        torch.set_num_threads(1)
        everybody.wait()

    pool = ThreadPoolExecutor(threads, "tagmill-decode", alone)
    for done in [pool.submit(threading.get_ident) for _ in range(threads)]:
        done.result()
    torch.set_num_threads(ours)  # set_num_threads also changed what threads to come will have
    return pool
