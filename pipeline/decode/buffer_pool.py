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
    """Lends arrays, and reclaims their memory when they are dropped. One thread borrows; any thread may drop an array.

    Each dtype has blocks of its own, all as large as the largest array so far, so that any of them serves the next batch
    whatever the size of its images: batches of many sizes keep no more memory than as many of the largest.
    """

    def __init__(self, kept: int, fresh: Fresh = paged) -> None:
        """`kept`: number of free blocks of one dtype to keep; further ones are returned to the system. `fresh` allocates
        them."""
        self._kept = kept
        self._fresh = fresh
        self._blocks: dict[np.dtype[Any], _Blocks] = {}

    def lend(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Returns an array with undefined content. Its memory is reused once the array, and every tensor or view made
        of it, are dropped."""
        kind = np.dtype(dtype)
        blocks = self._blocks.setdefault(kind, _Blocks(self._kept, self._fresh))
        block = blocks.take(max(1, int(np.prod(shape, dtype=np.int64)) * kind.itemsize))
        lent: npt.NDArray[Any] = np.ndarray(shape, kind, block)
        weakref.finalize(lent, blocks.take_back, block).atexit = False
        return lent

    def keep(self, kept: int) -> None:
        """Keeps at least `kept` free blocks of a dtype from now on: as many batches were in progress at a time."""
        self._kept = max(self._kept, kept)
        for blocks in self._blocks.values():
            blocks.kept = self._kept

    def clear(self) -> None:
        """Returns free memory to the system."""
        for blocks in self._blocks.values():
            blocks.free.clear()


class _Blocks:
    """The free blocks of one dtype."""

    def __init__(self, kept: int, fresh: Fresh) -> None:
        self.free: list[Block] = []
        self.kept = kept
        self._fresh = fresh
        self._largest = 0  # bytes

    def take(self, size: int) -> Block:
        """Returns a block of at least `size` bytes."""
        self._largest = max(self._largest, size)
        while self.free:
            block = self.free.pop()
            if len(block) >= size:  # a smaller one may have come back while the largest size grew
                return block
        return self._fresh(self._largest)

    def take_back(self, block: Block) -> None:
        """Keeps a block that is as large as any batch needs, unless there are enough of them."""
        if len(self.free) < self.kept and len(block) == self._largest:
            self.free.append(block)
