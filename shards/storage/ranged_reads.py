"""Ranges of a local file, each read into bytes of its own: by `pieces.c`, in one turn without the interpreter's lock.

To open a file, look at it, read and close it by Python's calls gives the lock away four times, and it is waited for anew each
time, among all threads that read and decode (bench/feed.py). And what is read in place need not be cut out by copying.
"""

import importlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Places = Sequence[tuple[int, int]]  # ranges [start, stop), ascending; none begins before the one before it ends

try:
    _compiled: Any = importlib.import_module("tagmill.shards.storage._pieces")
except ImportError:
    _compiled = None


class Pieces(NamedTuple):
    """What a read gave."""

    found: list[bytes]  # of every place; whole where `reached` says so
    reached: int  # where reading ended: less than the last place's end where the file ends before that
    size: int  # of the file, in bytes


def is_compiled() -> bool:
    """Whether pieces.c was compiled when the package was installed."""
    return _compiled is not None


def read(path: str | os.PathLike[str], places: Places) -> Pieces:
    """Reads all places in one go, and what lies between them where that is little. Raises OSError."""
    if _compiled is not None:
        return Pieces(*_compiled.read(path, np.array(places, np.int64)))
    start, stop = places[0][0], places[-1][1]
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, data = os.fstat(file).st_size, _read_at(file, start, stop)
    finally:
        os.close(file)
    return Pieces(cut(data, places), start + len(data), size)


def cut(data: bytes, places: Places) -> list[bytes]:
    """The places of an object, out of its bytes from the first one's start on."""
    base = places[0][0]
    return [data[start - base : stop - base] for start, stop in places]


def _read_at(file: int, start: int, stop: int) -> bytes:
    """Bytes [start, stop), fewer where the file ends before. One system call gives at most 2 GiB."""
    data = os.pread(file, stop - start, start)
    if 0 < len(data) < stop - start:
        return data + _read_at(file, start + len(data), stop)
    return data
