"""The samples that an extended corpus has already: set work ranks them above all new rows, and never drops them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import GeneratedTable
from tagmill.shards.formats.parquet import read_table
from tagmill.shards.manifest import Corpus
from tagmill.shards.many_requests import TABLES_AT_ONCE, read_many
from tagmill.shards.storage.store import Store

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
TABLES_IN_A_TASK = 64
_SHORT = ["key", "sha256", "pdq0", "pdq1", "pdq2", "pdq3", "original_width", "original_height"]


def existing_rows(corpus: Corpus, path: Path) -> Path:
    """Writes the samples that are not taken down, from the shard tables, to the local Parquet file `path` (schema EXISTING).

    A new image must not become a duplicate of a sample that was taken down, because it would be lost with it.
    """
    with pq.ParquetWriter(path, EXISTING, compression="lz4") as writer:
        for batch in _of_shards(_Shards(corpus.store, tuple(_shards(corpus)))):
            writer.write_batch(batch)
    return path


def existing_table(corpus: Corpus) -> GeneratedTable:
    """Returns the same rows as a table that a cluster generates, from TABLES_IN_A_TASK shard tables in a task."""
    every = list(_shards(corpus))
    starts = range(0, len(every), TABLES_IN_A_TASK)
    items = [_Shards(corpus.store, tuple(every[start : start + TABLES_IN_A_TASK])) for start in starts]
    return GeneratedTable(EXISTING, items, _of_shards)


@dataclass(frozen=True)
class _Shard:
    name: str
    first: int  # row_id of its first sample
    gone: tuple[int, ...]  # ordinals of samples that are taken down


@dataclass(frozen=True)
class _Shards:
    store: Store
    shards: tuple[_Shard, ...]


def _shards(corpus: Corpus) -> Iterator[_Shard]:
    first = -int(corpus.column("samples").sum())
    for entry in corpus.entries:
        yield _Shard(entry.name, first, tuple(corpus.takedown.ordinals(entry.name).tolist()))
        first += entry.samples


def _of_shards(of: _Shards) -> Iterator[pa.RecordBatch]:
    tables = read_many(of.store, (f"shards/{shard.name}.parquet" for shard in of.shards), TABLES_AT_ONCE)
    for shard, data in zip(of.shards, tables, strict=True):
        gone, start = np.array(shard.gone, np.int64), 0
        for batch in read_table(data, _SHORT).to_batches(_BATCH_ROWS):
            stays = np.ones(len(batch), np.bool_)
            stays[gone[(gone >= start) & (gone < start + len(batch))] - start] = False
            ids = np.arange(shard.first + start, shard.first + start + len(batch), dtype=np.int64)
            yield _rows(batch, ids).filter(pa.array(stays))
            start += len(batch)


def _rows(batch: pa.RecordBatch, ids: npt.NDArray[np.int64]) -> pa.RecordBatch:
    sides = [batch[name].cast(pa.int64()) for name in ("original_width", "original_height")]
    made = {"row_id": pa.array(ids), "pdq_quality": pa.nulls(len(batch), pa.int32()), "pixels": pc.multiply(*sides)}
    return pa.record_batch([made[name] if name in made else batch[name] for name in EXISTING.names], schema=EXISTING)
