"""Tables as Parquet bytes: the same rows give the same bytes, and reading leaves no thread behind."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


def table_bytes(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> bytes:
    """Returns the file for rows of `schema`, without metadata of pandas or Arrow."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(list(rows), schema), sink, compression="zstd", store_schema=False)
    return bytes(sink.getvalue())


def read_table(data: bytes, columns: list[str] | None = None) -> pa.Table:
    """Returns the table of a file's bytes, read by the calling thread alone: an Arrow thread that still holds a Python
    object at exit aborts the process ('terminate called without an active exception')."""
    return pq.ParquetFile(pa.BufferReader(data), pre_buffer=False).read(columns=columns, use_threads=False)
