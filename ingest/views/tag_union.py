"""The tag union: tags of duplicates, joined to the samples that they duplicate by the SQL engine, and split by shard."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import Engine, GeneratedTable, parquet_of
from tagmill.shards.manifest import Named, ShardEntry
from tagmill.shards.reader import ShardReader
from tagmill.shards.side_tables import REJECTS, of_runs
from tagmill.shards.storage.store import Store

UNION = pa.schema([("ordinal", pa.int32()), ("tag", pa.string()), ("copies", pa.int64())])
SAMPLE_LOCATIONS = pa.schema([("key", pa.string()), ("shard", pa.int32()), ("ordinal", pa.int32())])
DUPLICATE_ROWS = pa.schema(
    [REJECTS.field(name).with_nullable(True) for name in ("row_id", "reason", "tags", "yields_to")]
)


@dataclass(frozen=True)
class Union:
    """The tags of duplicates: a local file (schema UNION) for each shard that has any."""

    files: dict[str, Path]  # by name of the shard
    sha256: str  # of the content, independent of the engine; part of a view's recipe


def tag_union(
    engine: Engine, store: Store, manifest: Named, entries: list[ShardEntry], spool: Path, runs: int = 1
) -> Union:
    """Joins the rejects of a corpus, made by `runs` runs, with its samples. Returns at once if no duplicate has a tag."""
    digest = hashlib.sha256()
    files = {}
    sizes = dict(store.listing("rejects"))
    names = of_runs(sorted(sizes), runs)
    engine.bind_once("rejects", parquet_of(store, names, DUPLICATE_ROWS, [sizes[name] for name in names]))
    (total,) = engine.run("duplicates").read_all()["total"].to_pylist()
    if total:
        engine.bind("sample_locations", _sample_locations(store, manifest, entries))
        for number, table in _by_shard(engine.run("union")):
            name = entries[number].name
            files[name] = spool / f"union-{name}.parquet"
            pq.write_table(table, files[name])
            digest.update(json.dumps([name, *table.to_pydict().values()]).encode())
    return Union(files, digest.hexdigest())


def _sample_locations(store: Store, manifest: Named, entries: list[ShardEntry]) -> GeneratedTable:
    """Returns the table (key, shard, ordinal) of all samples, read from the shards' indexes."""
    corpus = bytes.fromhex(manifest.sha256)
    return GeneratedTable(
        SAMPLE_LOCATIONS, list(enumerate(entries)), partial(_locations_in_shard, store.within("shards"), corpus)
    )


def _locations_in_shard(shards: Store, corpus: bytes, item: tuple[int, ShardEntry]) -> Iterator[pa.RecordBatch]:
    number, entry = item
    index = ShardReader(shards, entry, corpus).index(0, entry.samples)
    keys = np.frombuffer(np.ascontiguousarray(index["key"]).tobytes().hex().encode(), "S32")
    columns = [pa.array(keys).cast(pa.string()), np.full(entry.samples, number), np.arange(entry.samples)]
    arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, SAMPLE_LOCATIONS, strict=True)]
    yield pa.RecordBatch.from_arrays(arrays, schema=SAMPLE_LOCATIONS)


def _by_shard(batches: pa.RecordBatchReader) -> Iterator[tuple[int, pa.Table]]:
    """Splits rows that are ordered by shard into each shard's number and rows (schema UNION)."""

    def pieces() -> Iterator[tuple[int, pa.RecordBatch]]:
        for batch in batches:
            shards = batch["shard"].to_numpy()
            cuts = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
            for first, last in pairwise(cuts):
                if last > first:
                    yield int(shards[first]), batch.slice(first, last - first)

    for number, group in groupby(pieces(), key=lambda piece: piece[0]):
        table = pa.Table.from_batches([piece for _, piece in group])
        yield number, table.select(UNION.names).cast(UNION)
