"""The tag union: tags of duplicates, joined to the samples that they duplicate by the SQL engine, and split by shard."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.engines.engine import Engine, parquet_of
from tagmill.ingest.views.sample_locations import by_shard, sample_locations
from tagmill.shards.manifest import Named, ShardEntry
from tagmill.shards.side_tables import REJECTS, of_runs
from tagmill.shards.storage.store import Store

UNION = pa.schema([("ordinal", pa.int32()), ("tag", pa.string()), ("copies", pa.int64())])
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
        engine.bind("sample_locations", sample_locations(store, manifest, entries))
        for number, table in by_shard(engine.run("union"), UNION):
            name = entries[number].name
            files[name] = spool / f"union-{name}.parquet"
            pq.write_table(table, files[name])
            digest.update(json.dumps([name, *table.to_pydict().values()]).encode())
    return Union(files, digest.hexdigest())
