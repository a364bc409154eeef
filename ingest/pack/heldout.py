"""Held-out rows on their way to the held-out group: each train group puts its own aside while it packs, so that no part
is read twice."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.layout import heldout_file
from tagmill.ingest.parts.row_groups import StoredTable, open_row_groups
from tagmill.ingest.parts.table import ROW_GROUP, pictures_writer
from tagmill.shards.errors import CorpusError
from tagmill.shards.storage.store import Store

_STAMP = b"tagmill.stamp"  # metadata key of the stamp of the pack stage


class HeldOutFile:
    """Writes the held-out rows of a group, with all columns of their parts, to a local file; no file without rows.

    Memory holds one row group.
    """

    def __init__(self, path: Path, stamp: str) -> None:
        self.rows = 0
        self._path, self._stamp = path, stamp
        self._writer: pq.ParquetWriter | None = None
        self._held: pa.Table | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._held is not None and len(self._held):
            self._write(self._held)
        if self._writer is not None:
            self._writer.close()

    def add(self, rows: pa.Table) -> None:
        """Takes rows of a part, in order."""
        if not len(rows):
            return
        self.rows += len(rows)
        self._held = rows if self._held is None else pa.concat_tables([self._held, rows])
        while len(self._held) >= ROW_GROUP:
            self._write(self._held.slice(0, ROW_GROUP))
            self._held = self._held.slice(ROW_GROUP)

    def put(self, store: Store, label: str) -> int:
        """Puts the closed file of the group `label`, and returns its length in bytes; 0 without rows."""
        if not self.rows:
            return 0
        size = self._path.stat().st_size
        store.put(heldout_file(label), self._path, give=True)
        return size

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None:
            self._writer = pictures_writer(self._path, rows.schema.with_metadata({_STAMP: self._stamp.encode()}))
        self._writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)


def heldout_rows(store: Store, label: str, size: int, stamp: str) -> Iterator[pa.Table]:
    """Yields the rows that the group `label` put aside, a row group at a time.

    Raises CorpusError where they were put under another stamp, or are gone.
    """
    where = f"{store.url.rstrip('/')}/{heldout_file(label)}"
    try:
        with open_row_groups(store, StoredTable(heldout_file(label), size)) as groups:
            if (groups.schema.metadata or {}).get(_STAMP, b"").decode() != stamp:
                remedy = "one run at a time makes a corpus: end the other, and run the command again"
                raise CorpusError("another run packs here", where, remedy)
            yield from groups.read([True] * len(groups.rows))
    except FileNotFoundError as error:
        what = "the held-out rows of a pack group are gone"
        raise CorpusError(what, where, "the folder parts/ was modified: remove it and start over") from error
