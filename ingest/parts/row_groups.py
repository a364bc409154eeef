"""Reads the row groups of a Parquet object one after the other; from a remote store each byte once, by large requests."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.shards.storage.seekable import Seekable
from tagmill.shards.storage.store import Store
from tagmill.shards.storage.threads import DaemonPool

IMAGE = "jpeg"  # the last column: without it a row group is read up to its images
FOOTER_READ = 1 << 17  # bytes at the end of an object that are read first. Arrow asks for 64 kB; footers may be longer
WHOLE_READ = 1 << 22  # bytes; a shorter object is read by one request
READ_AHEAD_MOST = 1 << 24  # bytes of the next row group that are requested while one is used; a longer one is not


class StoredTable(NamedTuple):
    """A Parquet object and its length in bytes."""

    name: str
    size: int


class RowGroups:
    """The row groups of an open Parquet file."""

    def __init__(self, parquet: pq.ParquetFile, window: "_Window | None") -> None:
        self._parquet, self._window = parquet, window
        self.schema: pa.Schema = parquet.schema_arrow
        self.rows: list[int] = [parquet.metadata.row_group(n).num_rows for n in range(parquet.num_row_groups)]

    def read(self, with_images: Sequence[bool]) -> Iterator[pa.Table]:
        """Yields every row group with all columns, or without IMAGE where `with_images` is false."""
        plain = [name for name in self.schema.names if name != IMAGE]
        columns = [self.schema.names if images else plain for images in with_images]
        if self._window is None:
            yield from (self._read(number, columns[number]) for number in range(len(self.rows)))
            return
        ranges = [self._range(number, columns[number]) for number in range(len(self.rows))]
        with DaemonPool(1, "tagmill-row-group") as pool:
            ahead: Future[bytes] | None = None
            for number, (start, stop) in enumerate(ranges):
                self._window.show(start, self._window.fetch(start, stop) if ahead is None else ahead.result())
                following = ranges[number + 1] if number + 1 < len(ranges) else (0, 0)
                fits = 0 < following[1] - following[0] <= READ_AHEAD_MOST
                ahead = pool.submit(self._window.fetch, *following) if fits else None
                table = self._read(number, columns[number])
                self._window.show(0, b"")
                yield table

    def _read(self, number: int, columns: list[str]) -> pa.Table:
        return self._parquet.read_row_group(number, columns, use_threads=False)

    def _range(self, number: int, columns: list[str]) -> tuple[int, int]:
        """Returns the stretch of the object that contains these columns of a row group."""
        group, starts, stops = self._parquet.metadata.row_group(number), list[int](), list[int]()
        for at in range(group.num_columns):
            chunk = group.column(at)
            if chunk.path_in_schema.split(".")[0] in columns:
                first = chunk.dictionary_page_offset if chunk.has_dictionary_page else None
                starts.append(chunk.data_page_offset if first is None else min(first, chunk.data_page_offset))
                stops.append(starts[-1] + chunk.total_compressed_size)
        return min(starts), max(stops)


class _Window:
    """Two stretches of an object in memory, its end and one other; what is in neither is requested."""

    def __init__(self, store: Store, table: StoredTable) -> None:
        self._store, self._table = store, table
        self._end = 0 if table.size <= WHOLE_READ else max(0, table.size - FOOTER_READ)
        self._tail = self._request(self._end, table.size)
        self._start, self._data = 0, b""

    def _request(self, start: int, stop: int) -> bytes:
        return self._store.read_range(self._table.name, start, stop, self._table.size)

    def fetch(self, start: int, stop: int) -> bytes:
        """Returns bytes [start, stop); those that are in the end of the object are not requested again."""
        before = self._request(start, min(stop, self._end)) if start < self._end else b""
        return before + self._tail[max(start - self._end, 0) : max(stop - self._end, 0)]

    def show(self, start: int, data: bytes) -> None:
        """Holds `data`, which begins at `start`, in place of what was held before."""
        self._start, self._data = start, data

    def read(self, start: int, stop: int) -> bytes:
        if self._start <= start and stop <= self._start + len(self._data):
            return self._data[start - self._start : stop - self._start]
        return self.fetch(start, stop)


@contextmanager
def open_row_groups(store: Store, table: StoredTable) -> Iterator[RowGroups]:
    """Opens a Parquet object. Raises FileNotFoundError, and IntegrityError where a remote object has another length."""
    if store.root is not None:
        with store.open(table.name) as file:
            yield RowGroups(pq.ParquetFile(file), None)
        return
    window = _Window(store, table)
    yield RowGroups(pq.ParquetFile(Seekable(window.read, table.size)), window)
