"""Reuses the memory of batches once nothing refers to them.

Fresh memory of the size of a batch (154 MB for 256 float images) comes from the system page by page, which costs as
much time as filling it.
"""

import mmap
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Block = mmap.mmap | npt.NDArray[np.uint8]
Fresh = Callable[[int], Block]  # allocates a block of that many bytes


def paged(size: int) -> Block:
    """Allocates ordinary memory."""
    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)  # pages of 2 MB if the system has them: fewer faults, fewer misses
    return block


def page_locked(size: int) -> Block:
    """Allocates page-locked memory, from which a GPU copies by itself. Torch rounds its size up to a power of two. Its
    content may be copied until the copying stream is waited for: do that before the array is dropped.

    Raises RuntimeError without a GPU."""
    block: npt.NDArray[np.uint8] = torch.empty(size, dtype=torch.uint8, pin_memory=True).numpy()
    return block


class Buffers:
    """Lends arrays, and reclaims their memory when they are dropped. One thread borrows; any thread may drop an array."""

    def __init__(self, kept: int, fresh: Fresh = paged) -> None:
        """`kept`: number of free blocks of one size to keep; further ones are returned to the system. `fresh` allocates
        them."""
        self._kept = kept
        self._fresh = fresh
        self._free: dict[int, list[Block]] = {}

    def lend(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Returns an array with undefined content. Its memory is reused once the array, and every tensor or view made
        of it, are dropped."""
        size = max(1, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        free = self._free.setdefault(size, [])
        block = free.pop() if free else self._fresh(size)
        lent: npt.NDArray[Any] = np.ndarray(shape, dtype, block)
        weakref.finalize(lent, _take_back, free, block, self._kept).atexit = False
        return lent

    def keep(self, kept: int) -> None:
        """Keeps at least `kept` free blocks of a size from now on: as many batches were in progress at a time."""
        self._kept = max(self._kept, kept)

    def clear(self) -> None:
        """Returns free memory to the system."""
        for free in self._free.values():
            free.clear()


def _take_back(free: list[Block], block: Block, kept: int) -> None:
    if len(free) < kept:
        free.append(block)
