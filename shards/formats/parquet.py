"""Tables as Parquet bytes: the same rows give the same bytes, and reading them leaves no thread behind."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def table_bytes(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> bytes:
    """The file for rows of `schema`, without pandas' or Arrow's own metadata."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), sink, compression="zstd", store_schema=False)
    return bytes(sink.getvalue())


def read_table(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table of a file's bytes, read by this thread alone: one of Arrow's that still holds a Python object when the
    interpreter ends takes the process down with it ('terminate called without an active exception')."""
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns=columns, use_threads=False)
