"""The rows of a partition on the local disk, for readers that pick columns or read them twice."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from tagmill.ingest.engines.engine import parquet_of
from tagmill.ingest.layout import rows_file
from tagmill.shards.storage.store import Store


@contextmanager
def local_rows(store: Store, part: int, spool: str | None) -> Iterator[Store]:
    """Yields a local store that has the `rows_file` of a partition: `store` itself, or one with a copy, made by one
    request, in a temporary folder below `spool`. Raises FileNotFoundError."""
    if store.root is not None:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix=f"rows-{part:06d}-", dir=spool) as folder:
        yield parquet_of(store, [rows_file(part)], pa.schema([])).copied(Path(folder), threads=1).store
