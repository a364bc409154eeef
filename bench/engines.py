"""DuckDB and Spark on the same synthetic rows: seconds of every statement on both, and whether the tables are identical.

The rows are an ingest's, for the statements of `ingest/sql` in the order in which a run needs them: facts of parts (a tenth
of them copies), their selection, the rejects that it leaves and the tag union. Each table is compared as a sha256 over its
sorted rows and its schema. `python bench/engines.py --rows 1000000`
"""

import argparse
import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config import IngestConfig
from tagmill.ingest.engine import Engine, Made, Parquet, parquet_of
from tagmill.ingest.run import FACTS
from tagmill.ingest.union import PLACES, REJECTS
from tagmill.ingest.workplace import workplace
from tagmill.shards.store import Store

PIECE = 100_000  # rows of a file
HOLDOUT = 5_000
FACTS_TYPES = {
    **dict.fromkeys(["row_id", "sample_bytes", "holdout_order"], pa.int64()),
    **dict.fromkeys(["part", "place", "original_width", "original_height"], pa.int32()),
    "tags": pa.list_(pa.string()),
    "reason": pa.string(),
    "key": pa.string(),
}
SCHEMA = pa.schema([(name, FACTS_TYPES[name]) for name in FACTS if name in FACTS_TYPES])


def is_copy(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Every tenth row has the picture of another."""
    return np.equal(rows % 10, 3)


def facts(start: int, num_rows: int, seed: int = 0) -> pa.Table:
    """Rows `start` to `start + num_rows` of an ingest: a tenth copies of pictures, a tenth failed."""
    dice = np.random.default_rng([seed, start])
    rows = start + np.arange(num_rows)
    picture = np.where(is_copy(rows), dice.integers(0, (start + num_rows) // 10, num_rows) * 10, rows)
    failed = dice.random(num_rows) < 0.1
    keys = pa.array([hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in picture])
    words = np.char.add("word", dice.zipf(1.3, 3 * num_rows).clip(0, 1 << 20).astype(str))
    tags = pa.ListArray.from_arrays(
        np.sort(dice.integers(0, 3 * num_rows, num_rows + 1)).astype(np.int32), pa.array(words)
    )
    ok = pa.array(~failed)
    none: dict[str, Any] = {name: pa.nulls(num_rows, kind) for name, kind in FACTS_TYPES.items()}
    columns = {
        "row_id": rows,
        "part": rows // 10_000,
        "place": rows % 10_000,
        "tags": tags,
        "reason": pa.array(["not_found"] * num_rows),
        "key": keys,
        "original_width": dice.integers(64, 8000, num_rows),
        "original_height": dice.integers(64, 8000, num_rows),
        "sample_bytes": dice.integers(20, 400, num_rows) * 512,
        "holdout_order": dice.integers(-(1 << 62), 1 << 62, num_rows),
    }
    arrays = []
    for name in SCHEMA.names:
        array = pa.array(columns[name]).cast(FACTS_TYPES[name])
        only = pc.invert(ok) if name == "reason" else ok
        kept = array if name in ("row_id", "part", "place", "tags") else pc.if_else(only, array, none[name])
        arrays.append(kept)
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write(folder: Path, rows: int) -> Parquet:
    """The facts as files of a store."""
    store, names = Store(str(folder)), []
    for start in range(0, rows, PIECE):
        names.append(f"facts/{start:012d}.parquet")
        (folder / "facts").mkdir(parents=True, exist_ok=True)
        pq.write_table(facts(start, min(PIECE, rows - start)), folder / names[-1])
    return parquet_of(store, names, SCHEMA)


def places(source: Parquet, name: str) -> Iterator[pa.RecordBatch]:
    """A place for every picture: what a corpus's indexes give."""
    for batch in source.batches(name):
        ok = batch.filter(pc.and_(batch["key"].is_valid(), pa.array(~is_copy(batch["row_id"].to_numpy()))))
        row_id = ok["row_id"].to_numpy()
        arrays = [ok["key"], row_id // 10_000, row_id % 10_000]
        yield pa.RecordBatch.from_arrays(
            [pa.array(array).cast(field.type) for array, field in zip(arrays, PLACES, strict=True)], schema=PLACES
        )


def rejects(source: Parquet, name: str) -> Iterator[pa.RecordBatch]:
    """A tenth of the rows as duplicates that yield to their picture."""
    for batch in source.batches(name):
        dup = batch.filter(pa.array(is_copy(batch["row_id"].to_numpy())))
        reason = pa.array(["duplicate"] * len(dup), pa.string())
        yield pa.RecordBatch.from_arrays([dup["row_id"], reason, dup["tags"], dup["key"]], schema=REJECTS)


def statements(engine: Engine, source: Parquet) -> Iterator[tuple[str, float, str, int]]:
    """(statement, seconds, digest of its table, rows) in the order of a run."""
    engine.bind("facts", source)
    engine.bind("rejects", Made(REJECTS, source.names, partial(rejects, source)))
    engine.bind("places", Made(PLACES, source.names, partial(places, source)))
    steps = [("exact", "ranked", {}), ("split", "heldout", {"holdout": HOLDOUT})]
    steps += [("selection", "", {}), ("duplicates", "", {}), ("union", "", {})]
    for statement, keep, params in steps:
        begun = time.perf_counter()
        if keep:
            engine.keep(keep, statement, **params)
            seconds = time.perf_counter() - begun
            table = engine.run(statement, **params).read_all()
        else:
            table = engine.run(statement, **params).read_all()
            seconds = time.perf_counter() - begun
        print(f"  {statement}: {seconds:.2f} s", flush=True)
        yield statement, seconds, digest(table), len(table)


def digest(table: pa.Table) -> str:
    """Of the rows whatever their order, and of the columns' names and types."""
    ordered = table.sort_by([(name, "ascending") for name in table.column_names]).combine_chunks()
    found = hashlib.sha256(str(table.schema).encode())
    for start in range(0, len(ordered), PIECE):
        found.update(json.dumps(ordered.slice(start, PIECE).to_pydict()).encode())
    return found.hexdigest()


def compare(rows: int, memory_limit: str, folder: Path) -> dict[str, Any]:
    """Runs both; the first seconds of an engine are its start."""
    source = write(folder / "store", rows)
    found: dict[str, Any] = {
        "rows": rows,
        "memory_limit": memory_limit,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    digests: dict[str, dict[str, str]] = {}
    for engine in ("duckdb", "spark"):
        settings = IngestConfig(
            input=("-",), output="-", engine=engine, spark_master="local[2]", processes=2, memory_limit=memory_limit
        )
        begun = time.perf_counter()
        with closing(workplace(settings, folder / engine)) as place, closing(place.engine()) as made:
            seconds = {"start": round(time.perf_counter() - begun, 2)}
            digests[engine] = {}
            for statement, spent, told, num_rows in statements(made, source):
                seconds[statement], digests[engine][statement] = round(spent, 2), told
                found.setdefault("result_rows", {})[statement] = num_rows
        found[engine] = seconds
    found["identical"] = {name: told == digests["spark"][name] for name, told in digests["duckdb"].items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--memory-limit", default="2GB")
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        found = compare(options.rows, options.memory_limit, Path(folder))
    print(f"{options.rows:,} rows, {found['cores']} cores, memory limit {options.memory_limit}; seconds")
    print(f"{'':12}{'DuckDB':>10}{'Spark':>10}{'rows':>12}")
    for name in found["duckdb"]:
        same = {True: "identical", False: "DIFFERENT", None: ""}[found["identical"].get(name)]
        ours, theirs, num_rows = found["duckdb"][name], found["spark"][name], found["result_rows"].get(name, "")
        print(f"{name:12}{ours:>10}{theirs:>10}{num_rows:>12}  {same}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    if not all(found["identical"].values()):
        raise SystemExit("the engines do not agree")


if __name__ == "__main__":
    main()
