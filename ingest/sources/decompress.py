"""Opens input lists on any store and decompresses them as a stream whose lines are at most LINE_BYTES long."""

import codecs
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

import pyarrow as pa

from tagmill.ingest.text.encoding import BYTES_EXAMINED, encoding_remedy, wide_encoding
from tagmill.shards.errors import InputError
from tagmill.shards.storage.store import Store

# A URL, its tags and a caption take a few kilobytes. A line without end, of which a small compressed file can hold
# gigabytes, would have to be held in memory before it could be checked.
LINE_BYTES = 1 << 20
COMPRESSIONS = {"gz": "gzip", "zst": "zstd", "bz2": "bz2"}
_BLANK = re.compile(rb"\n\r?(?=\n)")  # a line end followed by an empty line
# What the readers raise on invalid content.
_UNREADABLE = (OSError, pa.ArrowException, UnicodeDecodeError, zlib.error, EOFError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@contextmanager
def naming_input(url: str) -> Iterator[None]:
    """Raises what reading a file raises as an InputError that names it."""
    try:
        yield
    except _UNREADABLE as error:
        raise InputError(f"cannot be read: {error}", url, "mend or remove this file") from error


@contextmanager
def open_input(url: str) -> Iterator[BinaryIO]:
    """Opens a file of a store. Whatever reading it raises becomes an InputError that names the file."""
    folder, _, name = url.rpartition("/")
    with naming_input(url), Store(folder or "/").open(name) as file:
        yield file


@contextmanager
def open_lines(url: str, packed: str) -> Iterator["BoundedLines"]:
    """Opens the lines of a file, decompressed by the suffix `packed` ('' for none); bounded, with errors as `open_input`.

    Raises InputError for UTF-16 and UTF-32.
    """
    with open_input(url) as file:
        yield lines_of(file, url, packed)


def lines_of(file: _Readable, url: str, packed: str) -> "BoundedLines":
    """Returns the lines of an open file as `open_lines`."""
    unpacked = pa.CompressedInputStream(pa.PythonFile(file, "r"), COMPRESSIONS[packed]) if packed else file
    lines = BoundedLines(unpacked, url)
    if encoding := wide_encoding(lines.head):
        raise InputError(
            f"this is {encoding} (as Excel and PowerShell write text), not UTF-8", url, encoding_remedy(encoding)
        )
    return lines


class BoundedLines(io.RawIOBase):
    """Reads `file` in order; raises InputError at a line of more than LINE_BYTES before it is held in memory."""

    def __init__(self, file: _Readable, url: str) -> None:
        self._file = file
        self._url = url
        self._lines = 0  # complete lines so far
        self._begun = 0  # bytes of the incomplete line
        self.last = b""  # the last byte so far that is no line end
        self._end = b"\n"  # the line end that the bytes so far end with
        self._blank = 0  # empty lines so far
        self.head = self._file.read(BYTES_EXAMINED)
        self._rest = self.head

    @property
    def empty(self) -> bool:
        """Whether the file is empty but for a byte order mark or line ends."""
        return len(self.head) < BYTES_EXAMINED and not self.head.removeprefix(codecs.BOM_UTF8).strip()

    @property
    def filled(self) -> int:
        """Number of non-empty lines so far."""
        return self._lines - self._blank + (self._begun > 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def read(self, size: int = -1) -> bytes:
        """Returns `size` bytes, at most LINE_BYTES; fewer only at the end, as a CSV row may not span three blocks."""
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
        """Counts lines. A block is no longer than a line may be, so only its first and last lines can become too long."""
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
