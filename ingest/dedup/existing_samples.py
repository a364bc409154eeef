"""The samples that an extended corpus has already: set work ranks them above all new rows, and never drops them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.shards.formats.parquet import read_table
from tagmill.shards.manifest import Corpus
from tagmill.shards.many_requests import TABLES_AT_ONCE, read_many

# Rows are in the order of the corpus. row_id is negative and ascending, so that old rows come before new ones; it is not the
# row_id of the list, which shard tables do not have. pdq_quality is null, because shard tables do not have it either: it was
# checked when the row was new.
EXISTING = pa.schema(
    [
        pa.field("row_id", pa.int64(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        *(pa.field(f"pdq{word}", pa.int64()) for word in range(4)),
        pa.field("pdq_quality", pa.int32()),
        pa.field("pixels", pa.int64(), nullable=False),  # of the source image
    ]
)
_BATCH_ROWS = 16_384
_SHORT = ["key", "sha256", "pdq0", "pdq1", "pdq2", "pdq3", "original_width", "original_height"]


def existing_rows(corpus: Corpus, path: Path) -> Path:
    """Writes the samples that are not taken down, from the shard tables, to the local Parquet file `path` (schema EXISTING).

    A new image must not become a duplicate of a sample that was taken down, because it would be lost with it.
    """
    row, store, entries = -int(corpus.column("samples").sum()), corpus.store, corpus.entries
    names = (f"shards/{entry.name}.parquet" for entry in entries)
    with pq.ParquetWriter(path, EXISTING, compression="lz4") as writer:
        for entry, data in zip(entries, read_many(store, names, TABLES_AT_ONCE), strict=True):
            gone = corpus.takedown.ordinals(entry.name).astype(np.int64)
            start = 0
            for batch in read_table(data, _SHORT).to_batches(_BATCH_ROWS):
                stays = np.ones(len(batch), np.bool_)
                stays[gone[(gone >= start) & (gone < start + len(batch))] - start] = False
                ids = np.arange(row, row + len(batch), dtype=np.int64)
                writer.write_batch(_rows(batch, ids).filter(pa.array(stays)))
                start, row = start + len(batch), row + len(batch)
    return path


def _rows(batch: pa.RecordBatch, ids: npt.NDArray[np.int64]) -> pa.RecordBatch:
    sides = [batch[name].cast(pa.int64()) for name in ("original_width", "original_height")]
    made = {"row_id": pa.array(ids), "pdq_quality": pa.nulls(len(batch), pa.int32()), "pixels": pc.multiply(*sides)}
    return pa.record_batch([made[name] if name in made else batch[name] for name in EXISTING.names], schema=EXISTING)
