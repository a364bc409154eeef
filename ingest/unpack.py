"""The bytes of an input list: opened on any store and unpacked as a stream in which no line is longer than LINE_BYTES."""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

import pyarrow as pa

from tagmill.shards.errors import InputError
from tagmill.shards.store import Store

# A URL, its tags and a caption take a few kilobytes. A line without end, of which a packed file of a few kilobytes can
# hold gigabytes, would have to be held whole before anybody could judge it.
LINE_BYTES = 1 << 20
PACKED = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
# What the readers raise on bytes that are not what their name says.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, zlib.error, EOFError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def opened(url: str) -> Iterator[BinaryIO]:
    """The open file as it lies in the store; whatever reading it raises becomes an InputError that names it."""
    folder, _, name = url.rpartition("/")
    try:
        with Store(folder or "/").open(name) as file:
            yield file
    except _UNREADABLE as error:
        raise InputError(f"cannot be read: {error}", url, "mend or remove this file") from error


@contextmanager
def opened_lines(url: str, packed: str) -> Iterator["BoundedLines"]:
    """The lines of the file, unpacked by the suffix `packed`, or '' for none; bounded, and errors as `opened`."""
    with opened(url) as file:
        unpacked = pa.CompressedInputStream(pa.PythonFile(file, "r"), PACKED[packed]) if packed else file
        yield BoundedLines(unpacked, url)


class BoundedLines(io.RawIOBase):
    """What `file` has, read on in order; raises InputError at a line of more than LINE_BYTES, before it is held."""

    def __init__(self, file: _Readable, url: str) -> None:
        self._file, self._url = file, url
        self._lines = 0  # that are complete
        self._begun = 0  # bytes of the line that is not
        self.last = b""  # the last byte so far that ends no line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, at most LINE_BYTES; fewer only at the end, as a CSV row may not span three blocks."""
        wanted = LINE_BYTES if size < 0 else min(size, LINE_BYTES)
        pieces: list[bytes] = []
        while wanted and (piece := self._file.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        block = b"".join(pieces)
        self._count(block)
        return block

    def _count(self, block: bytes) -> None:
        """A block is no longer than a line may be, so of its lines only the first and the last can become too long."""
        first = block.find(b"\n")
        if self._begun + (first if first >= 0 else len(block)) > LINE_BYTES:
            what = f"line {self._lines + 1} has more than {LINE_BYTES} bytes"
            raise InputError(what, self._url, "shorten it or take it out; a list has one row a line")
        self._begun = self._begun + len(block) if first < 0 else len(block) - block.rfind(b"\n") - 1
        self._lines += block.count(b"\n")
        self.last = block.rstrip(b"\r\n")[-1:] or self.last
