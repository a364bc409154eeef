"""Resolves drops, the set work over all images: exact duplicates, placeholders, evaluation sets, near duplicates, in
this order.

Each is a stage (set_stages.py). What they leave is small: rows that are dropped, with the part that each is in, and pairs
of near duplicates. Joins are SQL; hashes are compared outside of it, on files of the spool.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from tagmill.ingest.config.ingest import IngestConfig
from tagmill.ingest.config.memory import bytes_of, shared
from tagmill.ingest.dedup.decontamination import LEAKED, LEAKS_FILE, EvaluationSets, find_leaks
from tagmill.ingest.dedup.existing_samples import EXISTING
from tagmill.ingest.dedup.greedy_mis import YIELDED, greedy_independent_set
from tagmill.ingest.dedup.group_selection import DROPPED
from tagmill.ingest.dedup.near_duplicates import ALIKE, EDGES, NearCounts, NearRules, find_near
from tagmill.ingest.dedup.placeholders import Crowd, find_crowds
from tagmill.ingest.dedup.set_stages import SetStages
from tagmill.ingest.engines.engine import GeneratedTable, Parquet, TableSource
from tagmill.ingest.engines.table_files import TableFiles
from tagmill.ingest.similarity.hash_files import HashFile

# What the stages leave. Rows have their part, by which the selection is divided.
EXACT_COPIES = pa.schema([("row_id", pa.int64()), ("part", pa.int32()), ("keeper", pa.int64()), ("key", pa.string())])
NEAR = pa.schema([("row_id", pa.int64()), ("part", pa.int32()), ("yields_to", pa.string())])


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
    stages: SetStages,
    facts: TableSource,
    rules: SetRules,
    *,
    rows: int,
    existing: "Callable[[], TableSource | Path] | None" = None,
    tagged: "TableSource | None" = None,
    leaks: str = LEAKS_FILE,
) -> SetCounts:
    """Runs the stages exact, evaluation, near and yields; the statement `dropped` joins the tables that they leave.

    `facts` has `rows` rows. `existing` returns the samples of an extended corpus (EXISTING), and is called only where a
    stage needs them. `tagged` has the tags of the rows (`placeholders.TAGGED`); without it rows have no tags. Pairs with
    evaluation sets are put as the object `leaks`.
    """
    stages.spool.mkdir(parents=True, exist_ok=True)
    stages.engine.bind_once("facts", facts)
    resolver = _Resolver(stages, rules, stages.spool)
    if not all(map(stages.complete, resolver.names())):
        _bind_existing(stages, existing)
    resolver.exact(rows, tagged)
    resolver.hash()
    resolver.evaluation(leaks)
    resolver.near()
    resolver.hashes.unlink()
    resolver.yields()
    return resolver.counts


def _bind_existing(stages: SetStages, existing: "Callable[[], TableSource | Path] | None") -> None:
    old = EXISTING.empty_table() if existing is None else existing()
    if isinstance(old, Path):
        stages.bind_files("existing", [old], EXISTING)
    elif isinstance(old, GeneratedTable):
        stages.engine.bind_once("existing", old)
    else:
        stages.engine.bind("existing", old)


class _Resolver:
    """The stages of one run, in the order in which they are called. A complete stage brings its counts and tables."""

    def __init__(self, stages: SetStages, rules: SetRules, spool: Path) -> None:
        self.stages, self.rules, self.spool, self.engine = stages, rules, spool, stages.engine
        self.counts = SetCounts()
        self.hashes = HashFile(spool / "survivors.hashes")
        self.hashes.unlink()

    def names(self) -> list[str]:
        """Returns the stages that these rules need."""
        near = ["near", "yields"] if self.rules.near is not None else []
        return ["exact", *(["evaluation"] if self.rules.evaluation else []), *near]

    def _run(self, name: str, tables: dict[str, pa.Schema], make: Callable[[], None]) -> None:
        def made() -> dict[str, Any]:
            make()
            return asdict(self.counts)

        self.counts = SetCounts.of(self.stages.run(name, tables, made))

    def exact(self, rows: int, tagged: "TableSource | None") -> None:
        """Finds exact groups, rows whose image is in the extended corpus, and placeholders."""

        def make() -> None:
            for table in ("repeated", "exact", "known"):
                self.engine.keep(table, table)
            self.counts.known = self._total("known_total")
            placeholders, crowds = find_crowds(self.engine, self.rules.placeholder_urls, tagged, rows)
            self.counts.crowds, self.counts.placeholders = crowds, len(placeholders)
            self.engine.bind("placeholders", placeholders)
            self.stages.save("copies", EXACT_COPIES)
            self.stages.save("early", DROPPED)

        self._run("exact", {"copies": EXACT_COPIES, "early": DROPPED}, make)

    def hash(self) -> None:
        """Writes the hashes of the remaining images to the spool, where a stage is left that compares them."""
        searches = set(self.names()) - {"exact", "yields"}
        if all(map(self.stages.complete, searches)):
            return
        self.stages.begin("hashes")
        self.engine.keep("removed", "removed")
        self.hashes.write(self._counted(self.engine.run("survivors")))
        self.counts.compared, self.counts.spilled = self.hashes.rows, self.hashes.bytes

    def evaluation(self, leaks: str) -> None:
        """Finds images of evaluation sets, and leaves those that are to be removed."""
        if not self.rules.evaluation:
            self.engine.bind("leaked", LEAKED.empty_table())
            return

        def make() -> None:
            rules = self.rules
            matches, leaked, self.counts.evaluation = find_leaks(
                self.engine, self.hashes, rules.evaluation, rules.memory, rules.threads
            )
            path = self.spool / "leaks.parquet"
            pq.write_table(matches, path, compression="zstd", store_schema=False)
            self.stages.store.put(leaks, path, give=True)
            with TableFiles(self.spool, "leaked", LEAKED) as files:
                for batch in (leaked if rules.evaluation.remove else LEAKED.empty_table()).to_batches():
                    files.write(batch)
            self.stages.give("leaked", files.paths)

        self._run("evaluation", {"leaked": LEAKED}, make)

    def near(self) -> None:
        """Searches for pairs of near duplicates."""
        if self.rules.near is None:
            return

        def make() -> None:
            rules = self.rules
            assert rules.near is not None
            gone = self.stages.left("evaluation", "leaked", LEAKED) if rules.evaluation else None
            found = find_near(
                self.hashes,
                rules.near,
                gone=np.zeros(0, np.int64) if gone is None else _row_ids(gone),
                seed=rules.seed,
                memory=rules.memory,
                threads=rules.threads,
                spool=self.spool,
                begin=self.stages.begin,
                advance=self.stages.progress.advance,
            )
            self.counts.near = found.counts
            self.counts.spilled += found.counts.spilled
            self.counts.equal_hashes = found.alike.rows
            self.stages.give("edges", found.edges.paths)
            self.stages.give("alike", found.alike.paths)

        self._run("near", {"edges": EDGES, "alike": ALIKE}, make)

    def yields(self) -> None:
        """Decides which near duplicates are dropped, and for which image."""
        if self.rules.near is None:
            self.engine.bind("near", NEAR.empty_table())
            return

        def make() -> None:
            for table in ("near_rows", "ranks", "heads"):
                self.engine.keep(table, table)
            total, known, path = self._total("ranks_total"), self._total("known_ranks"), self.spool / "yielded.parquet"
            pairs = self._counted(self.engine.run("ordered", existing=known))
            by_distance = greedy_independent_set(pairs, total, path)
            self.counts.pairs = {str(distance): by_distance[distance] for distance in sorted(by_distance)}
            self.stages.bind_files("yielded", [path], YIELDED)
            self.stages.save("near", NEAR)

        self._run("yields", {"near": NEAR}, make)

    def _counted(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch
            self.stages.progress.advance(len(batch))

    def _total(self, statement: str) -> int:
        (total,) = self.engine.run(statement).read_all()["total"].to_pylist()
        return int(total)


def _row_ids(table: Parquet) -> npt.NDArray[np.int64]:
    found = [batch["row_id"].to_numpy() for name in table.names for batch in table.batches(name)]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
