"""Reads ranges of a local file, each into its own bytes object: `ranged_reads.c` does it with one release of the GIL.

Python's calls to open, stat, read and close a file release the GIL four times and have to re-acquire it among all
threads that read and decode (bench/feed.py). Ranges that are read directly need not be copied out of a larger one.
"""

import importlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Ranges = Sequence[tuple[int, int]]  # ranges [start, stop), ascending and disjoint

try:
    _compiled: Any = importlib.import_module("tagmill.shards.storage._pieces")
except ImportError:
    _compiled = None


class RangesRead(NamedTuple):
    """The result of a read."""

    found: list[bytes]  # of every range; complete if `reached` says so
    reached: int  # where reading ended: less than the last range's end if the file ends before it
    size: int  # of the file, in bytes


def is_compiled() -> bool:
    """Returns whether ranged_reads.c was compiled when the package was installed."""
    return _compiled is not None


def read(path: str | os.PathLike[str], ranges: Ranges) -> RangesRead:
    """Reads all ranges, and small gaps between them, in one pass. Raises OSError."""
    if _compiled is not None:
        return RangesRead(*_compiled.read(path, np.array(ranges, np.int64)))
    start, stop = ranges[0][0], ranges[-1][1]
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, data = os.fstat(file).st_size, _read_at(file, start, stop)
    finally:
        os.close(file)
    return RangesRead(cut(data, ranges), start + len(data), size)


def cut(data: bytes | memoryview, ranges: Ranges) -> list[bytes]:
    """Cuts ranges of an object from its bytes, which begin at the first range's start. A part of a memoryview is copied
    once; the whole of a bytes object is not copied."""
    base = ranges[0][0]
    return [bytes(data[start - base : stop - base]) for start, stop in ranges]


def _read_at(file: int, start: int, stop: int) -> bytes:
    """Reads bytes [start, stop), fewer if the file ends before. One system call returns at most 2 GiB."""
    data = os.pread(file, stop - start, start)
    if 0 < len(data) < stop - start:
        return data + _read_at(file, start + len(data), stop)
    return data
