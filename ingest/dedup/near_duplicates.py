"""Finds near duplicates: pairs of images whose PDQ hashes differ in few bits, by LSH, one table after the other.

Equal hashes are collapsed first, because they have the same neighbours. The others are compared within the buckets of
each LSH table (similarity/lsh.py). Memory does not depend on the number of rows: a table is split into partitions on
the spool, and pairs are streamed to a file there.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.ingest.engines.table_files import TableFiles
from tagmill.ingest.similarity.hamming_index import Positions
from tagmill.ingest.similarity.hash_files import (
    BLOCK,
    RECORD,
    HashFile,
    PackedHashes,
    Records,
    SpillPartitions,
    Words,
    explain_full_disk,
    mixed_bits,
    near_pairs,
    partition_by_key,
    quality_of,
)
from tagmill.ingest.similarity.lsh import (
    GROUP,
    LshTables,
    default_bits,
    default_tables,
    draw_lsh_tables,
    partition_numbers,
)
from tagmill.shards.errors import TagmillError

EDGES = pa.schema([("row_a", pa.int64()), ("row_b", pa.int64()), ("distance", pa.int32())])  # row_a < row_b
ALIKE = pa.schema([("row_id", pa.int64()), ("head", pa.int64())])  # equal hashes: only the head is compared
_EVERY_BIT = np.full(4, 0xFFFFFFFFFFFFFFFF, np.uint64)
_ROW_BYTES = 80  # memory per row of a spill partition: its record, its key, and a sort order
_PAIRS = 1 << 20  # pairs that are compared at a time
_MOST_PARTITIONS = 1 << 12
Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NearRules:
    """What is a near duplicate, and the parameters of the search."""

    threshold: int = 31  # bits of 256 that may differ
    bits: int | None = None  # hash bits per LSH table; None: chosen by the number of hashes
    tables: int | None = None  # LSH tables; None: enough for 96 % recall at Hamming distance 16 (similarity/lsh.py)
    quality: int = 50  # hashes of lower PDQ quality are not compared
    bucket: int = 100  # in larger buckets only so many images are compared with all others


@dataclass
class NearCounts:
    """What was compared, and how."""

    hashes: int = 0  # different hashes that were compared
    low_quality: int = 0  # rows that were not
    bits: int = 0
    tables: int = 0
    predicted: list[float] = field(default_factory=list)  # recall by distance, 0 to the threshold
    crowded_buckets: int = 0  # larger than `bucket`, over all tables
    crowded_rows: int = 0  # their members, over all tables
    spilled: int = 0  # bytes written to the spool, and deleted


@dataclass(frozen=True)
class NearFound:
    """Local Parquet files: pairs (schema EDGES, a pair as often as tables found it) and rows of equal hash (ALIKE)."""

    edges: TableFiles
    alike: TableFiles
    counts: NearCounts


def _unseen(name: str, total: int | None = None) -> None:
    del name, total


def find_near(
    hashes: HashFile,
    rules: NearRules,
    *,
    gone: Rows,
    seed: int,
    memory: int,
    threads: int,
    spool: Path,
    begin: Callable[[str, int | None], None] = _unseen,
    advance: Callable[[int], None] = lambda tables: None,
) -> NearFound:
    """Finds pairs within the threshold among the records whose row_id is not in `gone` (sorted int64), in about `memory` bytes.

    Which pairs are found depends only on records, rules and seed. `begin` and `advance` show the LSH tables that are
    done. Raises TagmillError where the spool is full, or where so many
    hashes have the same bits in a table that they do not fit into memory.
    """
    spool.mkdir(parents=True, exist_ok=True)
    counts = NearCounts()
    share = memory // max(1, threads)
    found = NearFound(TableFiles(spool, "edges", EDGES), TableFiles(spool, "alike", ALIKE), counts)
    begin("equal hashes", None)
    with _Sink(found.alike, spool, ALIKE) as alike:
        single = _collapse(hashes, rules.quality, gone, memory, spool, alike, counts)
    counts.hashes = single.rows
    counts.bits = default_bits(single.rows) if rules.bits is None else rules.bits
    counts.tables = default_tables(counts.bits, seed) if rules.tables is None else rules.tables
    bands = draw_lsh_tables(counts.bits, counts.tables, seed)
    counts.predicted = bands.predicted()[: rules.threshold + 1]
    begin("near", counts.tables)
    with _Sink(found.edges, spool, EDGES) as edges, ThreadPoolExecutor(max(1, threads)) as pool:
        groups = [_Group(single, bands, group, rules, share, spool, edges) for group in range(len(bands.shared))]
        for group in pool.map(_Group.run, groups):
            counts.spilled += group.spilled
            for table in group.tables:
                counts.crowded_buckets += table.crowded_buckets
                counts.crowded_rows += table.crowded_rows
                counts.spilled += table.spilled
            advance(len(group.tables))
    single.unlink()
    return found


def _collapse(
    hashes: HashFile, quality: int, gone: Rows, memory: int, spool: Path, alike: "_Sink", counts: NearCounts
) -> HashFile:
    """Collapses equal hashes to the row of highest weight; writes the other rows to `alike`."""
    single = HashFile(spool / "single.hashes")
    single.unlink()
    single.append(np.empty(0, RECORD))

    def wanted() -> Iterator[Records]:
        for records in hashes.blocks():
            low_quality = quality_of(records) < quality
            counts.low_quality += int(low_quality.sum())
            yield records[~(low_quality | np.isin(records["row_id"], gone))]

    for records in _by_equality(wanted(), hashes.rows, memory, spool, counts):
        _check_memory(len(records), memory, spool)
        packed = PackedHashes(mixed_bits(records["pdq"], _EVERY_BIT))
        alone = np.ones(len(records), np.bool_)
        at = packed.repeated()
        alone[packed.positions[at]] = alone[packed.positions[at + 1]] = False
        single.append(records[alone])
        equal = records[~alone]  # or equal in the mixed bits by chance
        equal = equal[np.lexsort((equal["row_id"], -equal["weight"], *equal["pdq"].T[::-1]))]
        first = np.ones(len(equal), np.bool_)
        first[1:] = (equal["pdq"][1:] != equal["pdq"][:-1]).any(axis=1)
        single.append(equal[first])
        heads = equal["row_id"][first][first.cumsum() - 1]
        alike.write(equal["row_id"][~first], heads[~first])
    return single


def _by_equality(
    blocks: Iterator[Records], most: int, memory: int, spool: Path, counts: NearCounts
) -> Iterable[Records]:
    """Splits records, `most` at most, into partitions that fit into memory; equal hashes are in the same."""
    number = _num_partitions(most, memory)
    if number == 1:
        whole, rows = np.empty(most, RECORD), 0
        for records in blocks:
            whole[rows : rows + len(records)] = records
            rows += len(records)
        return [whole[:rows]]
    spills = SpillPartitions(spool, "alike", number)
    counts.spilled += spills.write(blocks, partition_by_key(_EVERY_BIT, number))
    return map(HashFile.read, spills)


def _num_partitions(rows: int, memory: int) -> int:
    """Returns a power of two; partitions of equal size need at most `memory` bytes each."""
    needed = max(1, -(-rows * _ROW_BYTES // max(1, memory)))
    return min(1 << (needed - 1).bit_length(), _MOST_PARTITIONS)


def _check_memory(rows: int, memory: int, spool: Path) -> None:
    if rows > BLOCK and rows * _ROW_BYTES > 4 * memory:
        what = f"{rows} hashes have the same bits in an LSH table, and do not fit into the memory limit"
        raise TagmillError(what, spool, "raise memory_limit, or near_bits")


class _Columns:
    """A spill partition of a table, as columns; read block by block, so that it is in memory once."""

    def __init__(self, hashes: HashFile, mask: Words) -> None:
        self.row_id, self.weight = np.empty(hashes.rows, np.int64), np.empty(hashes.rows, np.int64)
        self.pdq, self.key = np.empty((hashes.rows, 4), np.uint64), np.empty(hashes.rows, np.uint64)
        start = 0
        for records in hashes.blocks():
            here = slice(start, start := start + len(records))
            self.row_id[here], self.weight[here], self.pdq[here] = records["row_id"], records["weight"], records["pdq"]
            self.key[here] = mixed_bits(self.pdq[here], mask)


class _Group:
    """LSH tables with bits in common: hashes are split by these bits once, and each table is searched within each partition."""

    def __init__(
        self,
        hashes: HashFile,
        bands: LshTables,
        number: int,
        rules: NearRules,
        memory: int,
        spool: Path,
        edges: "_Sink",
    ) -> None:
        self._hashes, self._shared, self._spool, self._number = hashes, bands.shared[number], spool, number
        numbers = range(number * GROUP, min((number + 1) * GROUP, len(bands.masks)))
        self.tables = [_Table(bands.masks[table], f"{table:03d}", rules, memory, spool, edges) for table in numbers]
        self.spilled = 0

    def run(self) -> Self:
        partitions = 1 << int(np.bitwise_count(self._shared).sum())
        if partitions == 1:
            for table in self.tables:
                table.run(self._hashes)
            return self
        spills = SpillPartitions(self._spool, f"group-{self._number:03d}", partitions)
        self.spilled = spills.write(self._hashes.blocks(), lambda pdq: partition_numbers(pdq, self._shared))
        for spill in spills.files:
            for table in self.tables:
                table.run(spill)
            spill.unlink()
        return self


class _Table:
    """One LSH table: splits hashes into partitions that fit into memory, sorts each by key, and compares pairs within
    buckets."""

    def __init__(self, mask: Words, name: str, rules: NearRules, memory: int, spool: Path, edges: "_Sink") -> None:
        self._mask, self._name = mask, name
        self._rules, self._memory, self._spool, self._edges = rules, memory, spool, edges
        self.crowded_buckets = self.crowded_rows = self.spilled = 0

    def run(self, hashes: HashFile) -> None:
        """Searches `hashes`, which must have all hashes of a key or none."""
        number = _num_partitions(hashes.rows, self._memory)
        if number == 1:
            self._compare(_Columns(hashes, self._mask))
            return
        spills = SpillPartitions(self._spool, f"table-{self._name}", number)
        self.spilled += spills.write(hashes.blocks(), partition_by_key(self._mask, number))
        for spill in spills:
            _check_memory(spill.rows, self._memory, self._spool)
            self._compare(_Columns(spill, self._mask))

    def _compare(self, rows: _Columns) -> None:
        """Sorts by key, and compares pairs within each bucket, that is, each run of equal keys: neighbours at lag 1, 2
        and so on."""
        packed, cap = PackedHashes(rows.key), self._rules.bucket
        prefix, places = packed.prefix, packed.positions
        at = packed.repeated()
        crowded = packed.repeated(cap)
        if len(crowded):
            at = at[~self._crowded(rows, packed, np.unique(prefix[crowded]))[at]]
        lag = 1
        while len(at):
            for start in range(0, len(at), _PAIRS):
                block = at[start : start + _PAIRS]
                self._pairs(rows, places.take(block), places.take(block + lag))
            lag += 1
            at = at[at + lag < len(prefix)]
            at = at[prefix.take(at) == prefix.take(at + lag)]

    def _pairs(self, rows: _Columns, left: Positions, right: Positions) -> None:
        near, apart = near_pairs(rows.pdq.take(left, axis=0), rows.pdq.take(right, axis=0), self._rules.threshold)
        left, right = left[near], right[near]
        same = rows.key[left] == rows.key[right]  # the prefix alone may be equal by chance
        self._write(rows.row_id[left[same]], rows.row_id[right[same]], apart[same])

    def _write(self, left: Positions, right: Positions, apart: npt.NDArray[np.uint16]) -> None:
        if len(left):
            self._edges.write(np.minimum(left, right), np.maximum(left, right), apart)

    def _crowded(self, rows: _Columns, packed: PackedHashes, found: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Compares within the large buckets, whose key prefixes are `found`; returns which positions are in them, bool
        [positions]."""
        done = np.zeros(len(packed.prefix), np.bool_)
        starts, stops = (np.searchsorted(packed.prefix, found, side) for side in ("left", "right"))
        for start, stop in zip(starts, stops, strict=True):
            done[start:stop] = True
            run = packed.positions[start:stop]
            run = run[np.lexsort((rows.row_id[run], -rows.weight[run], rows.key[run]))]
            cuts = np.flatnonzero(rows.key[run[1:]] != rows.key[run[:-1]]) + 1
            for bucket in np.split(run, cuts):
                self._bucket(rows, bucket)
        return done

    def _bucket(self, rows: _Columns, bucket: Positions) -> None:
        """Compares the `bucket` heaviest rows pairwise; pairs every other row with the first of them within the threshold."""
        heads, others = bucket[: self._rules.bucket], bucket[self._rules.bucket :]
        left, right = np.triu_indices(len(heads), 1)
        self._pairs(rows, heads[left], heads[right])
        if not len(others):
            return
        self.crowded_buckets += 1
        self.crowded_rows += len(bucket)
        pdq = rows.pdq.take(others, axis=0)
        for head in heads:
            if not len(others):
                break
            near, apart = near_pairs(pdq, rows.pdq[[head]], self._rules.threshold)
            self._write(rows.row_id[others[near]], np.full(len(near), rows.row_id[head]), apart)
            if len(near):
                far = np.ones(len(others), np.bool_)
                far[near] = False
                others, pdq = others[far], pdq[far]


class _Sink:
    """Local Parquet files that several threads write columns to."""

    def __init__(self, files: TableFiles, spool: Path, schema: pa.Schema) -> None:
        self._files, self._spool, self._schema, self._lock = files, spool, schema, Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with explain_full_disk(self._spool / "pairs"):
            self._files.__exit__(kind, error, trace)

    def write(self, *columns: npt.NDArray[np.generic]) -> None:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        with self._lock, explain_full_disk(self._spool / "pairs"):
            self._files.write(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
