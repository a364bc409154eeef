"""Where samples are: the table that statements join keys with, and results that are split by shard again."""

from collections.abc import Iterator
from functools import partial
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.ingest.engines.engine import GeneratedTable
from tagmill.shards.manifest import Named, ShardEntry
from tagmill.shards.reader import ShardReader
from tagmill.shards.storage.store import Store

SAMPLE_LOCATIONS = pa.schema([("key", pa.string()), ("shard", pa.int32()), ("ordinal", pa.int32())])


def sample_locations(store: Store, manifest: Named, entries: list[ShardEntry]) -> GeneratedTable:
    """Returns the table (key, shard, ordinal) of all samples, read from the shards' indexes."""
    corpus = bytes.fromhex(manifest.sha256)
    return GeneratedTable(
        SAMPLE_LOCATIONS, list(enumerate(entries)), partial(_locations_in_shard, store.within("shards"), corpus)
    )


def _locations_in_shard(shards: Store, corpus: bytes, item: tuple[int, ShardEntry]) -> Iterator[pa.RecordBatch]:
    number, entry = item
    index = ShardReader(shards, entry, corpus).index(0, entry.samples)
    columns = [hex_keys(index["key"]), np.full(entry.samples, number), np.arange(entry.samples)]
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, SAMPLE_LOCATIONS, strict=True)]
    yield pa.RecordBatch.from_arrays(arrays, schema=SAMPLE_LOCATIONS)


def hex_keys(keys: npt.NDArray[Any]) -> pa.StringArray:
    """Returns binary keys of 16 bytes as text of 32 hex digits."""
    text = np.ascontiguousarray(keys).tobytes().hex().encode()
    return pa.array(np.frombuffer(text, "S32")).cast(pa.string())


def by_shard(batches: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[tuple[int, pa.Table]]:
    """Splits rows that are ordered by shard into each shard's number and rows of `schema`."""

    def pieces() -> Iterator[tuple[int, pa.RecordBatch]]:
        for batch in batches:
            shards = batch["shard"].to_numpy()
            cuts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
            for first, last in pairwise(cuts):
                if last > first:
                    yield int(shards[first]), batch.slice(first, last - first)

    for number, group in groupby(pieces(), key=lambda piece: piece[0]):
        table = pa.Table.from_batches([piece for _, piece in group])
        yield number, table.select(schema.names).cast(schema)
