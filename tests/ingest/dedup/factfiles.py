"""Facts of made-up rows in a store, an object a part, as the parts of an ingest leave them."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.dedup.selection import select
from tagmill.ingest.engines.engine import Engine, Parquet, parquet_of
from tagmill.shards.storage.store import Store

FACTS = pa.schema(
    [
        ("row_id", pa.int64()),
        ("part", pa.int32()),
        ("place", pa.int32()),
        ("reason", pa.string()),
        ("key", pa.string()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("sample_bytes", pa.int64()),
        ("holdout_order", pa.int64()),
        ("url", pa.string()),
        *((f"pdq{word}", pa.int64()) for word in range(4)),
        ("pdq_quality", pa.int32()),
    ]
)


def put_facts(store: Store, rows: list[dict[str, Any]], num_parts: int) -> Parquet:
    """Puts rows, which have part and place, as `facts/N.parquet`."""
    names, sizes = [], []
    for part in range(num_parts):
        own = sorted((row for row in rows if row["part"] == part), key=lambda row: row["place"])
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(own, FACTS), file, compression="zstd")
        names.append(f"facts/{part:06d}.parquet")
        sizes.append(len(file.getvalue()))
        store.put(names[-1], file.getvalue())
    return parquet_of(store, names, FACTS, sizes)


def in_parts(rows: list[dict[str, Any]], num_parts: int, seed: int = 0) -> list[dict[str, Any]]:
    """Gives each row a part and a place."""
    draw, places = np.random.default_rng(seed), [0] * num_parts
    placed = []
    for row, part in zip(rows, draw.integers(0, num_parts, len(rows)).tolist(), strict=True):
        words = {f"pdq{word}": value for word, value in enumerate(row["pdq"])}
        sizes = {"original_width": row["pixels"], "original_height": 1, "pdq_quality": row["quality"]}
        line = {**row, **words, **sizes, "part": part, "place": places[part], "reason": None}
        placed.append({**line, "sample_bytes": 512, "holdout_order": int(row["key"][:8], 16)})
        places[part] += 1
    return placed


def files_of(store: Store) -> dict[str, bytes]:
    """Returns what a selection left."""
    return {name: store.read(name) for name in store.names("") if not name.startswith("facts/")}


def selection_of(engine: Engine, store: Store, facts: Parquet, **more: Any) -> dict[str, bytes]:
    """Selects, two parts a group, and returns what is left."""
    rows = sum(len(batch) for name in facts.names for batch in facts.batches(name))
    select(engine, store, facts, rows=rows, num_parts=len(facts.names), parts_per_group=2, **more)
    return files_of(store)
