"""Memory for batches that is used again once nobody holds the batch that it was lent for.

A batch of 256 float images takes 154 MB. Fresh memory of that size comes from the system page by page, which costs as much
time as filling it; memory that was touched before costs nothing.
"""

import mmap
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Buffers:
    """Lends arrays and takes their memory back by itself. Used by one thread; what it lent may be dropped by any."""

    def __init__(self, kept: int) -> None:
        """`kept`: free blocks of one size that are kept; those above it go back to the system."""
        self._kept = kept
        self._free: dict[int, list[mmap.mmap]] = {}

    def lend(self, shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array whose content is undefined. Its memory is lent again after the array, and every tensor or view that was
        made of it, are gone."""
        size = max(1, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize)
        free = self._free.setdefault(size, [])
        block = free.pop() if free else _fresh(size)
        lent: npt.NDArray[Any] = np.ndarray(shape, dtype, block)
        weakref.finalize(lent, _take_back, free, block, self._kept).atexit = False
        return lent

    def clear(self) -> None:
        """Gives free memory back to the system."""
        for free in self._free.values():
            free.clear()


def _fresh(size: int) -> mmap.mmap:
    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)  # a page of 2 MB where the system has one: fewer faults, fewer misses
    return block


def _take_back(free: list[mmap.mmap], block: mmap.mmap, kept: int) -> None:
    if len(free) < kept:
        free.append(block)
