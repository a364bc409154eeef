"""Decodes, crops, resizes, mirrors and normalises pictures in threads on the CPU; the backend that runs anywhere.

Where the time goes, for a picture of 256 pixels: three quarters of it is decoding, most of that undoing the Huffman code. So
the rest is one pass over the window while it lies in the cache (`libjpeg.py`), straight to its place in the batch; batches are
made in memory that was used before, and the next batch is begun before one is done.
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
from tagmill.pipeline.decode.buffer_pool import Buffers
from tagmill.pipeline.decode.cpu_affinity import pin
from tagmill.pipeline.decode.resize import MEMORY, normalise_rows

Jpegs = Sequence[bytes | None]
Coming = Callable[[int], tuple[Jpegs, Crops] | None]  # what comes after the present batch, 0 being the next, if known
T = TypeVar("T")
Fill = Callable[[npt.NDArray[Any], Sequence[int], Sequence[bytes], Crops, Normalisation | None], list[int]]

KEPT = 5  # free buffers of a size: those of the batches that wait, of the two that are in work and of the trainer's
PIECES = 4  # a thread, of a batch: so that one that was held up leaves its rows to the others


@dataclass(frozen=True, eq=False, slots=True)
class _Work:
    """A batch that threads fill, piece by piece; each piece returns the rows that it lost."""

    jpegs: Jpegs
    asked: tuple[int, Normalisation | None]  # the side, and which floats
    batch: npt.NDArray[Any]
    pieces: list[Future[list[int]]]


class CpuBackend:
    """Threads on host memory; decoding and resizing release the interpreter lock."""

    on_device = False

    def __init__(
        self,
        threads: int,
        fill_windows: Fill,
        elsewhere: Normalise = normalise,
        cores: set[int] | None = None,
    ) -> None:
        """`fill_windows`: see `libjpeg.fill_with_libjpeg`. `elsewhere` normalises images that are on another device; threads
        keep to `cores`, if any are given."""
        self._threads, self._fill, self._elsewhere = threads, fill_windows, elsewhere
        self._pool = _pool(threads, cores)
        self._buffers = Buffers(KEPT)
        self._begun: _Work | None = None  # the batch that is coming

    def decode(
        self, jpegs: Jpegs, crops: Crops, size: int, how: Normalisation | None = None, coming: Coming | None = None
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.decode.backend.Backend.decode`."""
        work, self._begun = self._begun, None
        if work is not None and (work.jpegs is not jpegs or work.asked != (size, how)):
            _give_up(work)
            work = None
        work = work or self._begin(jpegs, crops, size, how)
        failed = np.zeros(len(jpegs), np.bool_)
        for piece in work.pieces:
            if self._begun is None and coming and (found := coming(0)):
                self._begun = self._begin(*found, size, how)
            failed[piece.result()] = True
        return torch.from_numpy(work.batch).view(how.dtype if how else torch.uint8).permute(0, 3, 1, 2), failed

    def normalise(
        self, images: torch.Tensor, valid: torch.Tensor, how: Normalisation, mix: Mix | None = None
    ) -> torch.Tensor:
        """See `tagmill.pipeline.decode.backend.Backend.normalise`."""
        if images.device.type != "cpu":
            return self._elsewhere(images, valid, how, mix)
        if mix:
            floats = self.normalise(images, valid, replace(how, dtype=torch.float32))
            return mixed(floats, mix).to(how.dtype, memory_format=torch.channels_last)
        pixels = images.permute(0, 2, 3, 1).numpy()
        batch = self._buffers.lend(pixels.shape, MEMORY[how.dtype])
        batch[~valid.numpy()] = 0

        def work(rows: Sequence[int]) -> None:
            normalise_rows(batch, rows, [pixels[row] for row in rows], how)

        for _ in self._pool.map(work, self._pieces(valid.nonzero().flatten().tolist())):
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
        pieces = []
        for piece in self._pieces(found):
            rows = [row for row, _ in piece]
            chosen = crops.take(np.array(rows, np.int64))
            pieces.append(self._pool.submit(self._fill, batch, rows, [jpeg for _, jpeg in piece], chosen, how))
        return _Work(jpegs, (size, how), batch, pieces)

    def _pieces(self, parts: Sequence[T]) -> list[Sequence[T]]:
        """Parts of a batch, divided among all threads."""
        return [parts[first :: PIECES * self._threads] for first in range(min(PIECES * self._threads, len(parts)))]


def _give_up(work: _Work) -> None:
    """Pieces that are in work are finished, into memory that nobody looks at."""
    for piece in work.pieces:
        piece.cancel()


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
