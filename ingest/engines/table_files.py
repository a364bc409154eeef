"""Tables as local Parquet files in row groups of bounded size, whatever the sizes of the batches that they come in."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_ROW_GROUP = 1 << 16  # rows of a row group, at least but for the last, and less than twice as many
FILE_ROWS = 1 << 22  # rows of a file, about: a cluster reads a file in one task


class TableWriter:
    """One Parquet file of `schema`. Memory holds the rows of one row group."""

    def __init__(self, path: Path, schema: pa.Schema, row_group: int = _ROW_GROUP) -> None:
        self.path, self.rows = path, 0
        self._schema, self._row_group = schema, row_group
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._waiting_rows += len(batch)
        self.rows += len(batch)
        if self._waiting_rows >= self._row_group:
            self._flush()

    def _flush(self) -> None:
        if self._waiting_rows:
            whole = self._waiting_rows < 2 * self._row_group
            size = self._waiting_rows if whole else self._row_group
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), size)
        self._waiting, self._waiting_rows = [], 0


class TableFiles:
    """A table in as many files as it needs, FILE_ROWS rows each: `stem-000000.parquet` and so on; none without rows."""

    def __init__(self, folder: Path, stem: str, schema: pa.Schema, file_rows: int = FILE_ROWS) -> None:
        self.paths: list[Path] = []
        self.rows = 0
        self._folder, self._stem, self._schema, self._file_rows = folder, stem, schema, file_rows
        self._writer: TableWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, trace)

    def write(self, batch: pa.RecordBatch) -> None:
        if not len(batch):
            return
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.paths.append(self._folder / f"{self._stem}-{len(self.paths):06d}.parquet")
            self._writer = TableWriter(self.paths[-1], self._schema)
        self._writer.write(batch)
        self.rows += len(batch)
        if self._writer.rows >= self._file_rows:
            self._writer.__exit__(None, None, None)
            self._writer = None


def write_divisions(
    batches: Iterable[pa.RecordBatch],
    schema: pa.Schema,
    size: int,
    row_group: int,
    folder: Path,
    put: Callable[[int, Path], None],
) -> list[int]:
    """Writes rows, which come in order of the column `part`, into one file for each `size` consecutive parts.

    Calls `put` with the number of a division (part // size) and its complete file in `folder`; returns the numbers of
    those that have rows.
    """
    found: list[int] = []
    writer: TableWriter | None = None

    def complete() -> None:
        if writer is not None:
            writer.__exit__(None, None, None)
            put(found[-1], writer.path)

    try:
        for number, batch in _divided(batches, size):
            if writer is None or number != found[-1]:
                complete()
                found.append(number)
                writer = TableWriter(folder / f"division-{number:06d}.parquet", schema, row_group)
            writer.write(batch)
        complete()
    except BaseException:
        if writer is not None:
            writer.path.unlink(missing_ok=True)
        raise
    return found


def _divided(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    for batch in batches:
        numbers = batch["part"].to_numpy() // size
        for number in np.unique(numbers):
            start, stop = np.searchsorted(numbers, [number, number + 1])
            yield int(number), batch.slice(start, stop - start)
