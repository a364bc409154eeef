"""A remote object as a seekable file, for table readers that pick columns."""

import io
import os
from collections.abc import Callable
from typing import Any


class Seekable(io.RawIOBase):
    """A file of `size` bytes; each read calls `read(start, stop)`: a ranged read of the store, with retries."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._offset = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._offset = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: self._size}[whence] + offset
        return self._offset

    def readinto(self, buffer: Any) -> int:
        stop = min(self._size, self._offset + len(buffer))
        data = self._read(self._offset, stop) if stop > self._offset else b""
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)
