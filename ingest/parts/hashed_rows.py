"""Rows with the hash of their URL, which decides their partition and their order in it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.http.urls import url_hash
from tagmill.ingest.sources.inputs import ROW_BITS
from tagmill.ingest.sources.rows import row_schema

HASH = "url_hash"


def partition_schema(config: IngestConfig) -> pa.Schema:
    """Returns the columns of `rows.parquet`: those of the sources, and the hash that decides the partition."""
    return row_schema(config).append(pa.field(HASH, pa.binary(32), nullable=False))


def partition_bits(num_rows: int, rows_per_part: int) -> int:
    """Returns how many bits of the hash are the number of a partition: at most `rows_per_part` rows in each on average."""
    return max(0, -(-num_rows // rows_per_part) - 1).bit_length()


def hashed(batches: Iterator[pa.RecordBatch], config: IngestConfig, first_file: int) -> Iterator[pa.RecordBatch]:
    """Yields batches of `partition_schema` from those of `sources.rows`, with row_ids past those of the files of earlier
    runs."""
    schema = partition_schema(config)
    for batch in batches:
        hashes = [url_hash(url or "", config.seed) for url in batch["url"].to_pylist()]
        columns = [*_numbered(batch, first_file).columns, pa.array(hashes, pa.binary(32))]
        yield pa.record_batch(columns, schema=schema)


def _numbered(batch: pa.RecordBatch, first_file: int) -> pa.RecordBatch:
    if not first_file:
        return batch
    column = batch.schema.get_field_index("row_id")
    return batch.set_column(column, batch.schema.field(column), pc.add(batch["row_id"], first_file << ROW_BITS))


def words_of(batch: pa.RecordBatch | pa.Table) -> npt.NDArray[np.uint64]:
    """Returns the hashes as four words each, the most significant first; uint64 [rows, 4]."""
    array = batch[HASH]
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    data = np.frombuffer(b"".join(array.to_pylist()), ">u8")
    return data.reshape(-1, 4).astype(np.uint64)


def top_bits(words: npt.NDArray[np.uint64], bits: int, skip: int = 0) -> npt.NDArray[np.int64]:
    """Returns `bits` bits of every hash, after the first `skip`, int64 [rows]; skip + bits is at most 64."""
    if bits == 0:
        return np.zeros(len(words), np.int64)
    mask = np.uint64((1 << bits) - 1)
    return ((words[:, 0] >> np.uint64(64 - skip - bits)) & mask).astype(np.int64)


def by_hash(table: pa.Table) -> pa.Table:
    """Sorts the rows of a partition by hash, then by row_id."""
    words = words_of(table)
    return table.take(pa.array(np.lexsort([table["row_id"].to_numpy(), *words.T[::-1]])))
