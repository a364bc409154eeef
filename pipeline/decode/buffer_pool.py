"""Reuses the memory of batches once nothing refers to them.

Fresh memory of the size of a batch (154 MB for 256 float images) comes from the system page by page, which costs as
much time as filling it.
"""

import mmap
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Buffers:
    """Lends arrays, and reclaims their memory when they are dropped. One thread borrows; any thread may drop an array."""

    def __init__(self, kept: int) -> None:
        """`kept`: number of free blocks of one size to keep; further ones are returned to the system."""
        self._kept = kept
        self._free: dict[int, list[mmap.mmap]] = {}

    def lend(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Returns an array with undefined content. Its memory is reused once the array, and every tensor or view made
        of it, are dropped."""
        size = max(1, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        free = self._free.setdefault(size, [])
        block = free.pop() if free else _fresh(size)
        lent: npt.NDArray[Any] = np.ndarray(shape, dtype, block)
        weakref.finalize(lent, _take_back, free, block, self._kept).atexit = False
        return lent

    def clear(self) -> None:
        """Returns free memory to the system."""
        for free in self._free.values():
            free.clear()


def _fresh(size: int) -> mmap.mmap:
    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)  # pages of 2 MB if the system has them: fewer faults, fewer misses
    return block


def _take_back(free: list[mmap.mmap], block: mmap.mmap, kept: int) -> None:
    if len(free) < kept:
        free.append(block)
