"""Near duplicates: pairs of pictures whose PDQ hashes differ in few bits, found table by table and streamed to the spool.

Equal hashes are put together first, because they have the same neighbours; what is left is compared within the buckets of
each table of `bands`. What is in memory does not depend on the number of rows: a table is dealt into piles on the spool.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

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
ALIKE = pa.schema([("row_id", pa.int64()), ("head", pa.int64())])  # equal hashes; the head stands for the others
_EVERY_BIT = np.full(4, 0xFFFFFFFFFFFFFFFF, np.uint64)
_ROW_BYTES = 80  # of a pile while it is worked on: its record, the key, and an order while that is made
_PAIRS = 1 << 20  # compared at a time
_LARGEST = 1 << 12  # piles
Rows: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NearRules:
    """What is a near duplicate, and how hard they are looked for."""

    threshold: int = 31  # bits of 256 that may differ
    bits: int | None = None  # of a table; None goes by the number of hashes
    tables: int | None = None  # None takes as many as find 95 of 100 pairs that differ in 16 bits
    quality: int = 50  # hashes of lower PDQ quality are left out
    bucket: int = 100  # members of a bucket beyond which only so many are compared with all


@dataclass
class NearCounts:
    """What was looked at and what was found."""

    hashes: int = 0  # compared, equal ones once
    low_quality: int = 0  # rows left out
    bits: int = 0
    tables: int = 0
    predicted: list[float] = field(default_factory=list)  # recall by distance, 0 to the threshold
    crowded_buckets: int = 0  # over all tables
    crowded_rows: int = 0  # memberships in them
    spilled: int = 0  # bytes written to the spool and given back


@dataclass(frozen=True)
class NearFound:
    """Local Parquet files: pairs (schema EDGES, a pair as often as tables found it) and rows of equal hash (ALIKE)."""

    edges: Path
    alike: Path
    counts: NearCounts


def find_near(
    hashes: HashFile, rules: NearRules, *, gone: Rows, seed: int, memory: int, threads: int, spool: Path
) -> NearFound:
    """Pairs within the threshold among the records whose row is not in `gone`, sorted int64; with about `memory` bytes.

    Which pairs are found depends on records, rules and seed alone. Raises TagmillError where the spool is full, or so many
    hashes agree on the bits of a table that they do not fit into memory.
    """
    spool.mkdir(parents=True, exist_ok=True)
    counts = NearCounts()
    share = memory // max(1, threads)
    found = NearFound(spool / "edges.parquet", spool / "alike.parquet", counts)
    with _Sink(found.alike, ALIKE) as alike:
        single = _singled(hashes, rules.quality, gone, memory, spool, alike, counts)
    counts.hashes = single.rows
    counts.bits = default_bits(single.rows) if rules.bits is None else rules.bits
    counts.tables = default_tables(counts.bits, seed) if rules.tables is None else rules.tables
    bands = draw_lsh_tables(counts.bits, counts.tables, seed)
    counts.predicted = bands.predicted()[: rules.threshold + 1]
    with _Sink(found.edges, EDGES) as edges, ThreadPoolExecutor(max(1, threads)) as pool:
        groups = [_Group(single, bands, group, rules, share, spool, edges) for group in range(len(bands.shared))]
        for group in pool.map(_Group.run, groups):
            counts.spilled += group.spilled
            for table in group.tables:
                counts.crowded_buckets += table.crowded_buckets
                counts.crowded_rows += table.crowded_rows
                counts.spilled += table.spilled
    single.unlink()
    return found


def _singled(
    hashes: HashFile, quality: int, gone: Rows, memory: int, spool: Path, alike: "_Sink", counts: NearCounts
) -> HashFile:
    """Each different hash once, with the row that has most weight; the others are told to `alike`."""
    single = HashFile(spool / "single.hashes")
    single.unlink()
    single.append(np.empty(0, RECORD))

    def wanted() -> Iterator[Records]:
        for records in hashes.blocks():
            plain = quality_of(records) < quality
            counts.low_quality += int(plain.sum())
            yield records[~(plain | np.isin(records["row_id"], gone))]

    for pile in _of_equal(wanted(), hashes.rows, memory, spool, counts):
        _fits(len(pile), memory, spool)
        packed = PackedHashes(mixed_bits(pile["pdq"], _EVERY_BIT))
        alone = np.ones(len(pile), np.bool_)
        at = packed.repeated()
        alone[packed.positions[at]] = alone[packed.positions[at + 1]] = False
        single.append(pile[alone])
        some = pile[~alone]
        some = some[np.lexsort((some["row_id"], -some["weight"], *some["pdq"].T[::-1]))]
        first = np.ones(len(some), np.bool_)
        first[1:] = (some["pdq"][1:] != some["pdq"][:-1]).any(axis=1)
        single.append(some[first])
        heads = some["row_id"][first][first.cumsum() - 1]
        alike.write(some["row_id"][~first], heads[~first])
    return single


def _of_equal(blocks: Iterator[Records], most: int, memory: int, spool: Path, counts: NearCounts) -> Iterable[Records]:
    """The records of blocks, `most` at most, in piles that fit into memory; equal hashes lie in the same."""
    number = _piles(most, memory)
    if number == 1:
        whole, rows = np.empty(most, RECORD), 0
        for records in blocks:
            whole[rows : rows + len(records)] = records
            rows += len(records)
        return [whole[:rows]]
    piles = SpillPartitions(spool, "alike", number)
    counts.spilled += piles.write(blocks, partition_by_key(_EVERY_BIT, number))
    return map(HashFile.read, piles)


def _piles(rows: int, memory: int) -> int:
    """A power of two, so that a pile of even size takes at most `memory` bytes."""
    needed = max(1, -(-rows * _ROW_BYTES // max(1, memory)))
    return min(1 << (needed - 1).bit_length(), _LARGEST)


def _fits(rows: int, memory: int, spool: Path) -> None:
    if rows > BLOCK and rows * _ROW_BYTES > 4 * memory:
        what = f"{rows} hashes agree on the bits of a table, which is more than the memory given holds"
        raise TagmillError(what, spool, "raise memory_limit, or near_bits")


class _Pile:
    """Some of the hashes of a table, as columns; read block by block, so that they are in memory once."""

    def __init__(self, hashes: HashFile, mask: Words) -> None:
        self.row_id, self.weight = np.empty(hashes.rows, np.int64), np.empty(hashes.rows, np.int64)
        self.pdq, self.key = np.empty((hashes.rows, 4), np.uint64), np.empty(hashes.rows, np.uint64)
        start = 0
        for records in hashes.blocks():
            here = slice(start, start := start + len(records))
            self.row_id[here], self.weight[here], self.pdq[here] = records["row_id"], records["weight"], records["pdq"]
            self.key[here] = mixed_bits(self.pdq[here], mask)


class _Group:
    """Tables with bits in common: hashes are dealt into cells by these once, and every table goes through each cell."""

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
        cells = 1 << int(np.bitwise_count(self._shared).sum())
        if cells == 1:
            for table in self.tables:
                table.run(self._hashes)
            return self
        dealt = SpillPartitions(self._spool, f"group-{self._number:03d}", cells)
        self.spilled = dealt.write(self._hashes.blocks(), lambda pdq: partition_numbers(pdq, self._shared))
        for cell in dealt.files:
            for table in self.tables:
                table.run(cell)
            cell.unlink()
        return self


class _Table:
    """One table: hashes, dealt into piles where they are too many, each pile sorted, and the pairs of every bucket compared."""

    def __init__(self, mask: Words, name: str, rules: NearRules, memory: int, spool: Path, edges: "_Sink") -> None:
        self._mask, self._name = mask, name
        self._rules, self._memory, self._spool, self._edges = rules, memory, spool, edges
        self.crowded_buckets = self.crowded_rows = self.spilled = 0

    def run(self, hashes: HashFile) -> None:
        """Whatever has the same key must be in these hashes."""
        number = _piles(hashes.rows, self._memory)
        if number == 1:
            self._compare(_Pile(hashes, self._mask))
            return
        piles = SpillPartitions(self._spool, f"table-{self._name}", number)
        self.spilled += piles.write(hashes.blocks(), partition_by_key(self._mask, number))
        for pile in piles:
            _fits(pile.rows, self._memory, self._spool)
            self._compare(_Pile(pile, self._mask))

    def _compare(self, pile: _Pile) -> None:
        """Sorts by key and compares neighbours at every lag, a run of equal keys being a bucket."""
        packed, cap = PackedHashes(pile.key), self._rules.bucket
        prefix, places, at = packed.prefix, packed.positions, packed.repeated()
        crowded = packed.repeated(cap)
        if len(crowded):
            at = at[~self._runs(pile, packed, np.unique(prefix[crowded]))[at]]
        lag = 1
        while len(at):
            for start in range(0, len(at), _PAIRS):
                block = at[start : start + _PAIRS]
                self._pairs(pile, places.take(block), places.take(block + lag))
            lag += 1
            at = at[at + lag < len(prefix)]
            at = at[prefix.take(at) == prefix.take(at + lag)]

    def _pairs(self, pile: _Pile, left: Positions, right: Positions) -> None:
        near, apart = near_pairs(pile.pdq.take(left, axis=0), pile.pdq.take(right, axis=0), self._rules.threshold)
        left, right = left[near], right[near]
        same = pile.key[left] == pile.key[right]  # the prefix alone may be equal by chance
        self._tell(pile.row_id[left[same]], pile.row_id[right[same]], apart[same])

    def _tell(self, left: Positions, right: Positions, apart: npt.NDArray[np.uint16]) -> None:
        if len(left):
            self._edges.write(np.minimum(left, right), np.maximum(left, right), apart)

    def _runs(self, pile: _Pile, packed: PackedHashes, found: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Compares within the runs of these prefixes, which are long; tells which positions belong to such runs."""
        done = np.zeros(len(packed.prefix), np.bool_)
        starts, stops = (np.searchsorted(packed.prefix, found, side) for side in ("left", "right"))
        for start, stop in zip(starts, stops, strict=True):
            done[start:stop] = True
            run = packed.positions[start:stop]
            run = run[np.lexsort((pile.row_id[run], -pile.weight[run], pile.key[run]))]
            cuts = np.flatnonzero(pile.key[run[1:]] != pile.key[run[:-1]]) + 1
            for bucket in np.split(run, cuts):
                self._bucket(pile, bucket)
        return done

    def _bucket(self, pile: _Pile, bucket: Positions) -> None:
        """All pairs of the heaviest; each of the others is paired with the first of these that is near enough, if any is."""
        heads, others = bucket[: self._rules.bucket], bucket[self._rules.bucket :]
        left, right = np.triu_indices(len(heads), 1)
        self._pairs(pile, heads[left], heads[right])
        if not len(others):
            return
        self.crowded_buckets += 1
        self.crowded_rows += len(bucket)
        pdq = pile.pdq.take(others, axis=0)
        for head in heads:
            if not len(others):
                break
            near, apart = near_pairs(pdq, pile.pdq[[head]], self._rules.threshold)
            self._tell(pile.row_id[others[near]], np.full(len(near), pile.row_id[head]), apart)
            if len(near):
                far = np.ones(len(others), np.bool_)
                far[near] = False
                others, pdq = others[far], pdq[far]


class _Sink:
    """A local Parquet file that several threads write columns to."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path, self._schema, self._lock = path, schema, Lock()
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with explain_full_disk(self._path):
            self._writer.close()

    def write(self, *columns: npt.NDArray[np.generic]) -> None:
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        with self._lock, explain_full_disk(self._path):
            self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
