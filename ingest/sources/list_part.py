"""A part of a list, spread over it: some row groups of Parquet, some stretches of lines of other formats.

An estimate reads a part in place of a whole list. The readers of `tables.py` read it as they read a list.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import pyarrow.parquet as pq

from tagmill.ingest.sources.decompress import LINE_BYTES, BoundedLines, lines_of, open_input

STRETCHES = 8  # of one list
STRETCH_LENGTH = 1 << 16
WHOLE_BYTES = 1 << 20  # a smaller list of lines is read whole
PAGE_BYTES = 1 << 18  # of a column of Parquet that are read at a time, in place of the column's whole row group


@dataclass
class ListPart:
    """Which part of a list is read, at most about `rows` rows, and what was found about the list on the way.

    With `spread` the part is spread over the list; otherwise it is the beginning. Compressed lines cannot be entered in
    the middle, so of these the part is always the beginning.
    """

    rows: int
    spread: bool = True
    columns: list[str] = field(default_factory=list)  # all that the list has
    whole: bool = False  # nothing is left out
    num_rows: int | None = None  # of the whole list, where it says so
    size: int = 0  # bytes of the whole list
    bytes_read: int = 0  # of these, those that the rows were made from; of compressed lists about so many
    is_bounded: bool = True  # the part itself has about so many rows; otherwise its reader must stop

    def row_groups(self, parquet: pq.ParquetFile) -> list[tuple[int, int]]:
        """Returns (row group, rows of it from its beginning) to read."""
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        self.num_rows = sum(sizes)
        if self.num_rows <= self.rows:
            self.whole = True
            return list(enumerate(sizes))
        chosen = [group * len(sizes) // STRETCHES for group in range(STRETCHES)] if self.spread else range(len(sizes))
        groups = [group for group in dict.fromkeys(chosen) if sizes[group]]
        share = -(-self.rows // len(groups)) if self.spread else self.rows
        found, left = list[tuple[int, int]](), self.rows
        for group in groups:
            if left > 0:
                found.append((group, min(sizes[group], share, left)))
                left -= found[-1][1]
        return found

    @contextmanager
    def open_lines(self, url: str, packed: str) -> Iterator[BoundedLines]:
        """Opens the lines of the part as one file; errors as `decompress.open_lines`."""
        with open_input(url) as file:
            self.size = file.seek(0, io.SEEK_END)
            file.seek(0)
            through = bool(packed) or not self.spread or self.size <= WHOLE_BYTES
            self.is_bounded = not packed and self.spread
            read = _CountingFile(file if through else _Stretches(file, self.size))
            try:
                yield lines_of(read, url, packed)
                self.whole = through  # the reader came to the end
            finally:
                self.bytes_read = read.bytes_read


class _CountingFile(io.RawIOBase):
    """Passes reads on, and counts bytes."""

    def __init__(self, file: "BinaryIO | _Stretches") -> None:
        self._file = file
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        block = self._file.read(size)
        self.bytes_read += len(block)
        return block


class _Stretches:
    """Whole lines from several places of a file, in order, as one file; the first stretch begins the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._stretches = self._lines(file, size)
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        while not self._rest and (stretch := next(self._stretches, None)) is not None:
            self._rest = stretch
        size = len(self._rest) if size < 0 else size
        block, self._rest = self._rest[:size], self._rest[size:]
        return block

    @staticmethod
    def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
        """Yields the whole lines of each stretch.

        A stretch inside one long line has none and is left out. The first is read on until it has a line after the one
        with the names of the columns, up to the length at which readers refuse a line.
        """
        end = 0  # of the lines so far
        for stretch in range(STRETCHES):
            start = max(end, stretch * size // STRETCHES)
            file.seek(start)
            block = file.read(STRETCH_LENGTH)
            while not stretch and block.count(b"\n") < 2 and len(block) <= LINE_BYTES:
                if not (more := file.read(STRETCH_LENGTH)):
                    break
                block += more
            first = 0 if start == end else block.find(b"\n") + 1
            last = block.rfind(b"\n") + 1 or (0 if stretch else len(block))
            if last > first:
                end = start + last
                yield block[first:last]
