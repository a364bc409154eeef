"""Compares DuckDB and Spark on the same synthetic rows: seconds of every statement on both, and whether the tables are
equal.

The rows and statements are those of an ingest: deduplication as in `resolve.py` (a tenth of the rows are copies, a
twentieth nearly so, some are in an evaluation set), the selection, and the tag union. Each table is compared as a
sha256 over its sorted rows and its schema. `python bench/engines.py --rows 1000000`
"""

import argparse
import hashlib
import json
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.dedup.decontamination import ENTRIES, EvaluationSets
from tagmill.ingest.dedup.group_selection import DROPPED
from tagmill.ingest.dedup.near_duplicates import NearRules
from tagmill.ingest.dedup.resolve import SetRules, resolve_drops
from tagmill.ingest.dedup.set_stages import SetStages
from tagmill.ingest.engines.engine import Engine, GeneratedTable, Param, Parquet, TableSource, Work, parquet_of
from tagmill.ingest.executor import open_executor
from tagmill.ingest.parts.table import PART_FACTS
from tagmill.ingest.views.sample_locations import SAMPLE_LOCATIONS
from tagmill.ingest.views.tag_union import DUPLICATE_ROWS
from tagmill.shards.storage.store import Store

T = TypeVar("T")
PIECE = 100_000  # rows of a file
HOLDOUT, EVALUATION = 5_000, 500
SCHEMA = PART_FACTS
OF_THE_ROW = ("row_id", "part", "place", "url", "tags")  # whatever the outcome


def is_copy(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Makes a tenth of the rows copies of other images."""
    return np.equal(rows % 10, 3)


def hashes(pictures: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
    """Makes the PDQ hashes of images, [n, 4]; every twentieth is near that of the previous image."""
    near = pictures % 20 == 7
    digests = [hashlib.sha256(b"pdq %d" % number).digest() for number in pictures - near]
    words = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 4).copy()
    words[near, 0] ^= np.uint64(0b1011) << (pictures[near] % 50).astype(np.uint64)
    return words


def facts(start: int, num_rows: int, seed: int = 0) -> pa.Table:
    """Makes rows `start` to `start + num_rows` of an ingest: a tenth copies of images, a tenth failed."""
    dice = np.random.default_rng([seed, start])
    rows = start + np.arange(num_rows)
    picture = np.where(is_copy(rows), dice.integers(0, (start + num_rows) // 10, num_rows) * 10, rows)
    failed = dice.random(num_rows) < 0.1
    keys = [hashlib.sha256(b"%d" % number).hexdigest()[:32] for number in picture]
    words = np.char.add("word", dice.zipf(1.3, 3 * num_rows).clip(0, 1 << 20).astype(str))
    tags = pa.ListArray.from_arrays(
        np.sort(dice.integers(0, 3 * num_rows, num_rows + 1)).astype(np.int32), pa.array(words)
    )
    columns = {
        "row_id": rows,
        "part": rows // 10_000,
        "place": rows % 10_000,
        "url": [f"https://example.org/{row}" for row in rows],
        "tags": tags,
        "reason": ["not_found"] * num_rows,
        "key": keys,
        "original_width": dice.integers(64, 8000, num_rows),
        "original_height": dice.integers(64, 8000, num_rows),
        "sample_bytes": dice.integers(20, 400, num_rows) * 512,
        "holdout_order": [int(key[:15], 16) for key in keys],  # a function of the bytes
        **{f"pdq{word}": column.view(np.int64) for word, column in enumerate(hashes(picture).T.copy())},
        "pdq_quality": np.full(num_rows, 90),
    }
    ok = pa.array(~failed)
    arrays = []
    for field in SCHEMA:
        array = pa.array(columns[field.name]).cast(field.type)
        only = pc.invert(ok) if field.name == "reason" else ok
        arrays.append(array if field.name in OF_THE_ROW else pc.if_else(only, array, pa.scalar(None, field.type)))
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def write(folder: Path, rows: int) -> Parquet:
    """Writes the facts as files of a store."""
    store, names = Store(str(folder)), []
    for start in range(0, rows, PIECE):
        names.append(f"facts/{start:012d}.parquet")
        (folder / "facts").mkdir(parents=True, exist_ok=True)
        pq.write_table(facts(start, min(PIECE, rows - start)), folder / names[-1])
    return parquet_of(store, names, SCHEMA)


def places(source: Parquet, name: str) -> Iterator[pa.RecordBatch]:
    """Makes a location for every image, as a corpus's indexes give it."""
    for batch in source.batches(name):
        ok = batch.filter(pc.and_(batch["key"].is_valid(), pa.array(~is_copy(batch["row_id"].to_numpy()))))
        row_id = ok["row_id"].to_numpy()
        arrays = [ok["key"], row_id // 10_000, row_id % 10_000]
        yield pa.RecordBatch.from_arrays(
            [pa.array(array).cast(field.type) for array, field in zip(arrays, SAMPLE_LOCATIONS, strict=True)],
            schema=SAMPLE_LOCATIONS,
        )


def rejects(source: Parquet, name: str) -> Iterator[pa.RecordBatch]:
    """Makes a tenth of the rows duplicates of their image."""
    for batch in source.batches(name):
        dup = batch.filter(pa.array(is_copy(batch["row_id"].to_numpy())))
        reason = pa.array(["duplicate"] * len(dup), pa.string())
        yield pa.RecordBatch.from_arrays([dup["row_id"], reason, dup["tags"], dup["key"]], schema=DUPLICATE_ROWS)


class Watched:
    """An engine that records for each statement its seconds, the digest of its tables, and their rows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds: dict[str, float] = {}
        self.digests: dict[str, str] = {}
        self.rows: Counter[str] = Counter()

    @property
    def here(self) -> bool:
        return self._engine.here

    def bind(self, name: str, source: TableSource) -> None:
        self._engine.bind(name, source)

    def bind_once(self, name: str, source: TableSource) -> None:
        self._engine.bind_once(name, source)

    def readable(self, source: Parquet) -> Parquet:
        return self._engine.readable(source)

    def keep(self, name: str, statement: str, **params: Param) -> None:
        begun = time.perf_counter()
        self._engine.keep(name, statement, **params)
        self.seconds[statement] = self.seconds.get(statement, 0.0) + time.perf_counter() - begun
        self._note(statement, self._engine.run(statement, **params).read_all())

    def run(self, statement: str, **params: Param) -> pa.RecordBatchReader:
        begun = time.perf_counter()
        table = self._engine.run(statement, **params).read_all()
        self.seconds[statement] = self.seconds.get(statement, 0.0) + time.perf_counter() - begun
        self._note(statement, table)
        return table.to_reader()

    def save(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], **params: Param
    ) -> list[str]:
        begun = time.perf_counter()
        names = self._engine.save(statement, schema, store, name_of, **params)
        self.seconds[statement] = self.seconds.get(statement, 0.0) + time.perf_counter() - begun
        self._note(statement, self._engine.run(statement, **params).read_all())
        return names

    def save_divided(
        self, statement: str, schema: pa.Schema, store: Store, name_of: Callable[[int], str], size: int, **params: Param
    ) -> list[int]:
        begun = time.perf_counter()
        numbers = self._engine.save_divided(statement, schema, store, name_of, size, **params)
        self.seconds[statement] = self.seconds.get(statement, 0.0) + time.perf_counter() - begun
        self._note(statement, self._engine.run(statement, **params).read_all())
        return numbers

    def each(
        self, work: Callable[[T, Path], Work], tasks: Sequence[T], report: Callable[[dict[str, int]], None], what: str
    ) -> list[bytes]:
        return self._engine.each(work, tasks, report, what)

    def close(self) -> None:
        self._engine.close()

    def _note(self, statement: str, table: pa.Table) -> None:
        told = self.digests.get(statement, "") + digest(table)
        self.digests[statement] = hashlib.sha256(told.encode()).hexdigest()
        self.rows[statement] += len(table)
        print(f"  {statement}: {self.seconds[statement]:.2f} s", flush=True)


def work(engine: Watched, source: Parquet, rows: int, spool: Path) -> None:
    """Runs the deduplication of a run, then its tag union."""
    seen = hashes(np.arange(EVALUATION)).view(np.int64)
    entries: dict[str, list[Any]] = {"set": ["val"] * EVALUATION, "name": [str(number) for number in range(EVALUATION)]}
    entries |= {"sha256": [None] * EVALUATION, "pdq_quality": [90] * EVALUATION}
    entries |= {f"pdq{word}": seen[:, word].tolist() for word in range(4)}
    sets = EvaluationSets(pa.Table.from_pydict(entries, ENTRIES))
    rules = SetRules(placeholder_urls=100, near=NearRules(), evaluation=sets)
    store = Store(str(spool / "store"))
    resolve_drops(SetStages(engine, store, spool), source, rules, rows=rows)
    engine.keep("dropped", "dropped")
    engine.keep("heldout", "split", holdout=HOLDOUT)
    engine.save_divided("decided", DROPPED, store, "decided-{:06d}".format, 1 << 6)
    engine.bind("rejects", GeneratedTable(DUPLICATE_ROWS, source.names, partial(rejects, source)))
    engine.bind("sample_locations", GeneratedTable(SAMPLE_LOCATIONS, source.names, partial(places, source)))
    engine.run("duplicates")
    engine.run("union")


def digest(table: pa.Table) -> str:
    """Returns the digest of the rows in any order, and of the columns' names and types."""
    ordered = table.sort_by([(name, "ascending") for name in table.column_names]).combine_chunks()
    found = hashlib.sha256(str(table.schema).encode())
    for start in range(0, len(ordered), PIECE):
        found.update(json.dumps(ordered.slice(start, PIECE).to_pydict()).encode())
    return found.hexdigest()


def compare(rows: int, memory_limit: str, folder: Path) -> dict[str, Any]:
    """Runs both engines; the first seconds of an engine are its start."""
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
        with closing(open_executor(settings, folder / engine)) as place, closing(place.engine()) as made:
            started = time.perf_counter() - begun
            watched = Watched(made)
            work(watched, source, rows, folder / f"{engine}-spool")
        digests[engine] = watched.digests
        found[engine] = {"start": round(started, 2)} | {n: round(t, 2) for n, t in watched.seconds.items()}
        found["result_rows"] = dict(watched.rows)
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
    print(f"{'':18}{'DuckDB':>10}{'Spark':>10}{'rows':>12}")
    for name in found["duckdb"]:
        same = {True: "identical", False: "DIFFERENT", None: ""}[found["identical"].get(name)]
        ours, theirs, num_rows = found["duckdb"][name], found["spark"][name], found["result_rows"].get(name, "")
        print(f"{name:18}{ours:>10}{theirs:>10}{num_rows:>12}  {same}")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    if not all(found["identical"].values()):
        raise SystemExit("the engines do not agree")


if __name__ == "__main__":
    main()
