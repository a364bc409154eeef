"""Decodes, crops, resizes, mirrors and normalises pictures in threads on the CPU; the backend that runs anywhere.

Where the time goes, for a picture of 256 pixels: decoding 0.4 ms of a core, the resize 0.1, a float copy 0.1, which is
what the memory takes to write it. So the decoder is the fastest that there is (DALI's, which decodes the region of the
window only), the resize is torch's, whose result is bit for bit that of Pillow's and goes straight to its place in the
batch, and batches are made in memory that was used before.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from tagmill.pipeline.augment import Crops
from tagmill.pipeline.batch import normalise
from tagmill.pipeline.buffers import Buffers

Pixels = npt.NDArray[np.uint8]
Group = tuple[Sequence[int], Callable[[int], Pixels | None]]

KEPT = 4  # free buffers of a size: those of the batches that wait, are in work and are at the trainer


class WindowDecoder(Protocol):
    """Decodes the windows of pictures, before they are resized."""

    def groups(self, jpegs: Sequence[bytes | None], crops: Crops, size: int) -> Iterator[Group]:
        """Rows, all of those that are not None in some order, in groups; and what gives the window of each row of the group,
        uint8 [height, width, 3], or None where it cannot be decoded. A window may come smaller where it is to be made
        smaller than `size` anyway. It is valid until the next group is asked for."""

    def close(self) -> None:
        """Ends what runs in the background."""


class CpuBackend:
    """Threads on host memory; both libraries release the interpreter lock while they work."""

    def __init__(self, threads: int, windows: WindowDecoder) -> None:
        self._threads, self._windows = threads, windows
        self._pool = _pool(threads)
        self._buffers = Buffers(KEPT)

    def decode(
        self, jpegs: Sequence[bytes | None], crops: Crops, size: int
    ) -> tuple[torch.Tensor, npt.NDArray[np.bool_]]:
        """See `tagmill.pipeline.backend.Backend.decode`."""
        pixels: Pixels = self._buffers.lend((len(jpegs), size, size, 3), np.uint8)
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        failed = np.zeros(len(jpegs), np.bool_)
        pixels[[row for row, jpeg in enumerate(jpegs) if jpeg is None]] = 0

        def fill(window_of: Callable[[int], Pixels | None], rows: Sequence[int]) -> None:
            scratch = torch.empty((1, size, size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
            for row in rows:
                window = window_of(row)
                failed[row] = window is None
                if window is None:
                    pixels[row] = 0
                else:
                    _resize(window, images[row : row + 1], scratch, mirrored=bool(crops.flip[row]))

        for rows, window_of in self._windows.groups(jpegs, crops, size):
            self._divide(rows, partial(fill, window_of))
        return images, failed

    def normalise(
        self,
        images: torch.Tensor,
        valid: torch.Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """See `tagmill.pipeline.backend.Backend.normalise`."""
        if images.device.type != "cpu":
            return normalise(images, valid, mean, std, dtype)
        filled = valid.tolist()
        count, size = len(images), images.shape[2]
        pixels = images.permute(0, 2, 3, 1).numpy().reshape(count, size, 3 * size)
        scale = 1 / np.array(std)
        scales = np.tile(scale, size).astype(np.float32)  # of a row of pixels
        shifts = np.tile(-np.array(mean) * scale, size).astype(np.float32)
        lent = self._buffers.lend((count, size, 3 * size), np.float32 if dtype == torch.float32 else np.uint16)
        floats = torch.from_numpy(lent).view(dtype)

        def fill(rows: Sequence[int]) -> None:
            scratch = np.empty((size, 3 * size), np.float32)
            for row in rows:
                if not filled[row]:
                    lent[row] = 0
                    continue
                values = lent[row] if dtype == torch.float32 else scratch
                np.multiply(pixels[row], scales, out=values)
                np.add(values, shifts, out=values)  # a second pass, which finds the picture in the cache
                if values is scratch:
                    floats[row].copy_(torch.from_numpy(scratch))

        self._divide(range(count), fill)
        return floats.view(count, size, size, 3).permute(0, 3, 1, 2)

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
        """Does `work` on the rows in all threads. Each takes every n-th, so that long ones spread."""
        parts = [rows[first :: self._threads] for first in range(min(self._threads, len(rows)))]
        for _ in self._pool.map(work, parts):
            pass


def _resize(window: Pixels, place: torch.Tensor, scratch: torch.Tensor, *, mirrored: bool) -> None:
    """Fills `place` [1, 3, size, size] with a window, as Pillow's bilinear filter resizes it."""
    source, size = torch.from_numpy(window[None]).permute(0, 3, 1, 2), list(place.shape[2:])
    target = scratch if mirrored else place
    torch.ops.aten._upsample_bilinear2d_aa.out(source, size, False, None, None, out=target)
    if mirrored:
        torch.ops.aten.flip.out(scratch, [3], out=place)


def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch keeps to the calling one: there are as many of them as cores already."""
    everybody, ours = threading.Barrier(threads), torch.get_num_threads()

    def alone() -> None:
        torch.get_num_threads()  # a thread's first call takes the number of all; only then can it have one of its own
        torch.set_num_threads(1)
        everybody.wait()

    pool = ThreadPoolExecutor(threads, "tagmill-decode", alone)
    for done in [pool.submit(threading.get_ident) for _ in range(threads)]:
        done.result()
    torch.set_num_threads(ours)  # set_num_threads also changed what threads to come will have
    return pool
