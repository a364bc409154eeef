"""Resolves drops, the set work over all images: exact duplicates, placeholders, evaluation sets, near duplicates, in
this order.

The result is the engine's table `dropped`: row_id, reason and yields_to of every image that does not become a sample.
Joins are SQL; hashes are compared outside of it, on files of the spool.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.memory import bytes_of, shared
from tagmill.ingest.dedup.decontamination import MATCHES, EvaluationSets, find_leaks
from tagmill.ingest.dedup.existing_samples import EXISTING
from tagmill.ingest.dedup.greedy_mis import YIELDED, greedy_independent_set
from tagmill.ingest.dedup.near_duplicates import ALIKE, EDGES, NearCounts, NearRules, find_near
from tagmill.ingest.dedup.placeholders import Crowd, find_crowds
from tagmill.ingest.engines.engine import Engine, TableSource, parquet_of
from tagmill.ingest.layout import SETS_FOLDER
from tagmill.ingest.similarity.hash_files import HashFile
from tagmill.shards.storage.store import Store


@dataclass(frozen=True)
class SetRules:
    """What set work removes, and its memory budget."""

    placeholder_urls: int = 0  # an image with so many different URLs is a placeholder, see placeholders.py; 0: none is
    near: NearRules | None = field(default_factory=NearRules)
    evaluation: EvaluationSets = field(default_factory=EvaluationSets)
    seed: int = 0
    memory: int = 1 << 30  # bytes, in addition to the engine's
    threads: int = 1

    @classmethod
    def of(cls, config: IngestConfig, evaluation: EvaluationSets) -> Self:
        """Returns the rules of a config."""
        near = NearRules(
            threshold=config.near_threshold,
            bits=config.near_bits,
            tables=config.near_tables,
            quality=config.near_quality,
            bucket=config.near_bucket,
        )
        return cls(
            placeholder_urls=config.placeholder_urls,
            near=near if config.near_threshold >= 0 else None,
            evaluation=evaluation,
            seed=config.seed,
            memory=shared(bytes_of(config.memory_limit))[1],
            threads=config.processes,
        )


@dataclass
class SetCounts:
    """How many rows each step looked at, and what it found."""

    placeholders: int = 0  # images
    # The other images with the most URLs, including those that were dropped because of their tags.
    crowds: list[Crowd] = field(default_factory=list)
    known: int = 0  # rows whose image is in the extended corpus
    compared: int = 0  # different images with a hash, including those of the extended corpus
    evaluation: dict[str, dict[str, int]] = field(default_factory=dict)  # by set
    equal_hashes: int = 0  # rows with the PDQ hash of another row, but other bytes
    pairs: dict[str, int] = field(default_factory=dict)  # of near duplicates, by Hamming distance
    near: NearCounts | None = None
    spilled: int = 0  # bytes that set work wrote to the spool, in addition to the engine's

    @classmethod
    def of(cls, fields: dict[str, Any]) -> Self:
        """Reads what `asdict` returns."""
        near = fields["near"]
        crowds = [Crowd(**crowd) for crowd in fields.get("crowds", ())]
        return cls(**{**fields, "crowds": crowds, "near": None if near is None else NearCounts(**near)})


def resolve_drops(
    engine: Engine,
    facts: TableSource,
    rules: SetRules,
    spool: Path,
    existing: "TableSource | None" = None,
    store: Store | None = None,
    tagged: "TableSource | None" = None,
) -> tuple[SetCounts, pa.Table]:
    """Makes the table `dropped` in the engine; returns counts, and the pairs with evaluation sets (MATCHES).

    `tagged` has the tags of the rows (`placeholders.TAGGED`); without it rows have no tags. `store` is needed for engines that
    cannot read local files: results from outside the engine are passed through it.
    """
    spool.mkdir(parents=True, exist_ok=True)
    counts = SetCounts()
    engine.bind("facts", facts)
    engine.bind("existing", EXISTING.empty_table() if existing is None else existing)
    _exact(engine, rules, counts, tagged)
    hashes = HashFile(spool / "survivors.hashes")
    hashes.unlink()
    leaks = MATCHES.empty_table()
    if rules.near is not None or rules.evaluation:
        hashes.write(engine.run("survivors"))
        counts.compared, counts.spilled = hashes.rows, hashes.bytes
    if rules.evaluation:
        leaks, counts.evaluation = find_leaks(engine, hashes, rules.evaluation, rules.memory, rules.threads)
    leaked = _rows_of(leaks) if rules.evaluation.remove else np.zeros(0, np.int64)
    engine.bind("leaked", pa.table({"row_id": leaked}))
    _near(engine, rules, hashes, leaked, counts, spool, store)
    engine.keep("dropped", "dropped")
    hashes.unlink()
    return counts, leaks


def _exact(engine: Engine, rules: SetRules, counts: SetCounts, tagged: "TableSource | None") -> None:
    engine.keep("repeated", "repeated")
    engine.keep("exact", "exact")
    engine.keep("known", "known")
    counts.known = _total(engine, "known_total")
    placeholders, counts.crowds = find_crowds(engine, rules.placeholder_urls, tagged)
    counts.placeholders = len(placeholders)
    engine.bind("placeholders", placeholders)
    engine.keep("early", "early")
    engine.keep("removed", "removed")


def readable_table(engine: Engine, path: Path, schema: pa.Schema, store: Store | None) -> "TableSource":
    """Returns a local Parquet file as a table that the engine can read; copies it to the store where the engine is remote."""
    if engine.here:
        import pyarrow.dataset as ds  # not at the top: it imports pandas where that is installed

        return ds.dataset(path, schema=schema)
    assert store is not None, "a run on a cluster has a store"
    name = f"{SETS_FOLDER}/{path.name}"
    store.put(name, path)
    return parquet_of(store, [name], schema)


def _near(
    engine: Engine,
    rules: SetRules,
    hashes: HashFile,
    leaked: npt.NDArray[np.int64],
    counts: SetCounts,
    spool: Path,
    store: Store | None,
) -> None:
    engine.bind("edges", EDGES.empty_table())
    engine.bind("alike", ALIKE.empty_table())
    if rules.near is not None:
        found = find_near(
            hashes,
            rules.near,
            gone=leaked,
            seed=rules.seed,
            memory=rules.memory,
            threads=rules.threads,
            spool=spool,
        )
        counts.near = found.counts
        counts.spilled += found.counts.spilled
        counts.equal_hashes = pq.ParquetFile(found.alike).metadata.num_rows
        engine.bind("edges", readable_table(engine, found.edges, EDGES, store))
        engine.bind("alike", readable_table(engine, found.alike, ALIKE, store))
    engine.keep("near_rows", "near_rows")
    engine.keep("ranks", "ranks")
    engine.keep("heads", "heads")
    total, known = _total(engine, "ranks_total"), _total(engine, "known_ranks")
    by_distance = greedy_independent_set(engine.run("ordered", existing=known), total, spool / "yielded.parquet")
    counts.pairs = {str(distance): by_distance[distance] for distance in sorted(by_distance)}
    engine.bind("yielded", readable_table(engine, spool / "yielded.parquet", YIELDED, store))
    engine.keep("near", "near")


def _total(engine: Engine, statement: str) -> int:
    (total,) = engine.run(statement).read_all()["total"].to_pylist()
    return int(total)


def _rows_of(matches: pa.Table) -> npt.NDArray[np.int64]:
    return np.unique(matches["row_id"].to_numpy())
