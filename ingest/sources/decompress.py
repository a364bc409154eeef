"""The bytes of an input list: opened on any store and unpacked as a stream in which no line is longer than LINE_BYTES."""

import codecs
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

import pyarrow as pa

from tagmill.ingest.text.encoding import BYTES_LOOKED_AT, remedy, wide
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store

# A URL, its tags and a caption take a few kilobytes. A line without end, of which a packed file of a few kilobytes can
# hold gigabytes, would have to be held whole before anybody could judge it.
LINE_BYTES = 1 << 20
COMPRESSIONS = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
_BLANK = re.compile(rb"\n\r?(?=\n)")  # a line's end with an empty line behind it
# What the readers raise on bytes that are not what their name says.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, zlib.error, EOFError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def opened_file(url: str) -> Iterator[BinaryIO]:
    """The open file as it lies in the store; whatever reading it raises becomes an InputError that names it."""
    folder, _, name = url.rpartition("/")
    try:
        with Store(folder or "/").open(name) as file:
            yield file
    except _UNREADABLE as error:
        raise InputError(f"cannot be read: {error}", url, "mend or remove this file") from error


@contextmanager
def opened_lines(url: str, packed: str) -> Iterator["BoundedLines"]:
    """The lines of the file, unpacked by the suffix `packed`, or '' for none; bounded, and errors as `opened_file`.

    UTF-16 and UTF-32 are InputErrors.
    """
    with opened_file(url) as file:
        unpacked = pa.CompressedInputStream(pa.PythonFile(file, "r"), COMPRESSIONS[packed]) if packed else file
        lines = BoundedLines(unpacked, url)
        if encoding := wide(lines.head):
            raise InputError(
                f"this is {encoding} (as Excel and PowerShell write text), not UTF-8", url, remedy(encoding)
            )
        yield lines


class BoundedLines(io.RawIOBase):
    """What `file` has, read on in order; raises InputError at a line of more than LINE_BYTES, before it is held."""

    def __init__(self, file: _Readable, url: str) -> None:
        self._file, self._url = file, url
        self._lines = 0  # that are complete
        self._begun = 0  # bytes of the line that is not
        self.last = b""  # the last byte so far that ends no line
        self._end, self._blank = b"\n", 0  # of what was read: the line's end that it ends with, and its empty lines
        self.head = self._rest = self._file.read(BYTES_LOOKED_AT)

    @property
    def empty(self) -> bool:
        """Whether there is nothing but a byte order mark or a line's end."""
        return len(self.head) < BYTES_LOOKED_AT and not self.head.removeprefix(codecs.BOM_UTF8).strip()

    @property
    def filled(self) -> int:
        """The lines so far that are not empty."""
        return self._lines - self._blank + (self._begun > 0)

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
        if self._rest and wanted:
            pieces.append(self._rest[:wanted])
            self._rest = self._rest[wanted:]
            wanted -= len(pieces[0])
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
        whole = self._end + block
        self._blank += len(_BLANK.findall(whole))
        self._end = b"\n\r" if whole.endswith(b"\n\r") else b"\n" if whole.endswith(b"\n") else b""
