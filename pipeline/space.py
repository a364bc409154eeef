"""The epoch space: every (sample, copy) that a view asks for in an epoch, as the concatenation of runs, before shuffling.

Copy 0 of every shard comes first, then copy 1 of every shard, ..., then the extras of every shard: copies of a picture lie
far apart. Nothing here grows with the samples, and an epoch costs nothing: only the extras' places depend on it. What
grows with the shards is columns that the ranks of a machine share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.shared import shared_table
from tagmill.shards.view import ONE, View, extra_offset

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

EXTRAS = -1  # the copy number of extras

# One row a copy number that some shard has, ascending, then one for the extras.
SPACE = pa.schema(
    [
        pa.field("copy", pa.int64(), nullable=False),  # or EXTRAS
        pa.field("first", pa.int64(), nullable=False),  # the split's first shard
        pa.field("sums", pa.list_(pa.int64()), nullable=False),  # Runs.ends; of the extras: EpochSpace.fractions
        pa.field("columns", pa.list_(pa.int32())),  # Runs.columns
    ]
)


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive positions of the epoch space within one run of one shard."""

    shard: int  # number in the corpus order
    copy: int  # EXTRAS, or which run
    start: int  # places in that run
    stop: int
    before: int  # extras only: fractions of all earlier shards + u_e, the argument of View.extras; else 0

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """The runs of one copy number."""

    copy: int
    ends: Int64s  # [R] the position after each run
    columns: Int32s | None  # [R] whose run it is, counted from the split's first shard; None: every shard has a place


@dataclass(frozen=True, eq=False)
class EpochSpace:
    """The runs of a split of a corpus under a view."""

    first: int  # the split's first shard in the corpus order; the others follow
    runs: tuple[Runs, ...]  # by copy number
    fractions: Int64s  # [S + 1] running sum of fractions in corpus order, before each shard and after the last; 2^-16
    view_seed: int

    @classmethod
    def of(cls, corpus: Corpus, view: View | None, split: str) -> "EpochSpace":
        """Raises CorpusError where the split has no samples, or the view's shards are not the corpus's."""
        name = f"space-{corpus.digest.hex()}-{view.digest.hex() if view else 'all'}-{split}"
        table = shared_table(corpus.cache, name, SPACE, lambda: _rows_of(corpus, view, split))
        space = cls._of_rows(table.to_batches(), view.file.seed if view else 0)
        if space.num_whole == 0 and space.fractions[-1] == space.fractions[0]:
            labelling = f"view {view.file.name!r}" if view else "the corpus"
            raise CorpusError(
                f"{labelling} has no samples in split {split!r}", corpus.store.url, "choose another split"
            )
        return space

    @classmethod
    def of_counts(cls, first: int, counts: Int64s, fractions: Int64s, view_seed: int) -> "EpochSpace":
        """From counts [copies, S] of the samples that have at least j + 1 whole copies, all shards having a place in it."""
        return cls._of_rows([*_rows(first, iter(counts), fractions)], view_seed)

    @classmethod
    def _of_rows(cls, batches: list[pa.RecordBatch], view_seed: int) -> "EpochSpace":
        rows = [batch.slice(number, 1) for batch in batches for number in range(batch.num_rows)]
        sums = [row["sums"][0].values.to_numpy() for row in rows]
        columns = [row["columns"][0].values for row in rows]
        runs = tuple(
            Runs(row["copy"][0].as_py(), ends, None if found is None else found.to_numpy())
            for row, ends, found in zip(rows[:-1], sums, columns, strict=False)
        )
        return cls(rows[-1]["first"][0].as_py(), runs, sums[-1], view_seed)

    @property
    def shards(self) -> range:
        """The split's shards in the corpus order."""
        return range(self.first, self.first + len(self.fractions) - 1)

    @cached_property
    def copy_ends(self) -> Int64s:
        """The position after each copy number's runs."""
        return np.array([runs.ends[-1] for runs in self.runs], np.int64)

    @property
    def num_whole(self) -> int:
        """Positions that are there in every epoch."""
        return int(self.copy_ends[-1]) if self.runs else 0

    def num_positions(self, epoch: int) -> int:
        """N_e. It differs from epoch to epoch by at most one."""
        u = extra_offset(self.view_seed, epoch)
        return self.num_whole + (int(self.fractions[-1]) + u) // ONE - (int(self.fractions[0]) + u) // ONE

    def spans(self, epoch: int, start: int, stop: int) -> list[Span]:
        """Positions [start, stop), in order."""
        return self.spans_at(epoch, np.arange(start, stop, dtype=np.int64))

    def spans_at(self, epoch: int, positions: Int64s) -> list[Span]:
        """Ascending positions, in order: their spans' lengths sum to their number. Raises IndexError outside the epoch."""
        if not len(positions):
            return []
        if positions[0] < 0 or positions[-1] >= self.num_positions(epoch):
            raise IndexError(f"positions {positions[0]} to {positions[-1]} of {self.num_positions(epoch)}")
        split = int(np.searchsorted(positions, self.num_whole))
        whole = self._whole(positions[:split])
        extra = self._extra(extra_offset(self.view_seed, epoch), positions[split:] - self.num_whole)
        shards, copies, places, before = (np.concatenate(pair) for pair in zip(whole, extra, strict=True))
        same = (np.diff(shards) == 0) & (np.diff(copies) == 0) & (np.diff(places) == 1)
        cuts = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(positions)]])
        lengths, first = np.diff(cuts), cuts[:-1]
        columns = shards[first], copies[first], places[first], places[first] + lengths, before[first]
        return [Span(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _whole(self, positions: Int64s) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """(shard, copy, place in the run, 0) of ascending positions among whole copies."""
        shards, copies, places = (np.empty_like(positions) for _ in range(3))
        edges = np.searchsorted(positions, self.copy_ends).tolist()
        for number, (start, stop) in enumerate(pairwise([0, *edges])):
            if start == stop:
                continue
            runs, mine = self.runs[number], positions[start:stop]
            run = np.searchsorted(runs.ends, mine, side="right")
            before = np.where(run > 0, runs.ends[run - 1], self.copy_ends[number - 1] if number else 0)
            shards[start:stop] = self.first + (run if runs.columns is None else runs.columns[run])
            copies[start:stop] = runs.copy
            places[start:stop] = mine - before
        return shards, copies, places, np.zeros_like(positions)

    def _extra(self, u: int, extras: Int64s) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """(shard, EXTRAS, place in the shard's extras, fractions before + u) of the epoch's extras by number.

        Extra k stands at the (k + 1)-th multiple of 2^16 that the running sum + u reaches.
        """
        skipped = (int(self.fractions[0]) + u) // ONE
        multiple = extras + skipped + 1
        column = np.searchsorted(self.fractions[1:], multiple * ONE - u, side="left")
        before = self.fractions[column] + u
        return self.first + column, np.full_like(extras, EXTRAS), multiple - 1 - before // ONE, before


def _rows_of(corpus: Corpus, view: View | None, split: str) -> Iterator[pa.RecordBatch]:
    """The rows of SPACE. Where the tables are mapped, mappings of our own go back to the system with what they touched."""
    if corpus.cache is not None:
        corpus, view = replace(corpus), replace(view) if view else None
    shards = corpus.shards_of(split)
    if view is None:
        yield from _rows(shards.start, iter([corpus.column("samples")[shards.start : shards.stop]]), _nothing(shards))
        return
    lines, entries = view.table, corpus.table
    if len(lines) != len(entries) or any(not lines[name].equals(entries[name]) for name in ("name", "samples")):
        raise CorpusError(f"view {view.file.name!r} has other shards", view.store.url, "make the view again")
    running = np.concatenate([[0], np.cumsum(lines["fraction_sum"].to_numpy(), dtype=np.int64)])
    chunks = lines["counts"].slice(shards.start, len(shards)).chunks
    yield from _rows(shards.start, _counts(chunks), running[shards.start : shards.stop + 1])


def _nothing(shards: range) -> Int64s:
    return np.zeros(len(shards) + 1, np.int64)


def _counts(chunks: list[pa.ListArray]) -> Iterator[Int64s]:
    """From a view's column of lists, one a shard: [S] counts for each copy number."""
    offsets = [chunk.offsets.to_numpy() for chunk in chunks]
    values = [chunk.values.to_numpy() for chunk in chunks]
    lengths = [np.diff(each) for each in offsets]
    for copy in range(max((int(each.max(initial=0)) for each in lengths), default=0)):
        counts = [np.zeros(len(each), np.int64) for each in lengths]
        for count, start, length, value in zip(counts, offsets, lengths, values, strict=True):
            there = np.flatnonzero(length > copy)
            count[there] = value[start[there] + copy]
        yield np.concatenate(counts)


def _rows(first: int, copies: Iterator[Int64s], fractions: Int64s) -> Iterator[pa.RecordBatch]:
    """The rows of SPACE: a copy number that few shards have takes places for these alone."""
    total = 0
    for copy, counts in enumerate(copies):
        columns = np.flatnonzero(counts).astype(np.int32)
        if not len(columns):
            continue
        dense = len(columns) * (8 + 4) >= len(counts) * 8  # bytes of a sum, and of a column
        ends = total + np.cumsum(counts if dense else counts[columns], dtype=np.int64)
        total = int(ends[-1])
        yield _row(copy, first, ends, None if dense else columns)
    yield _row(EXTRAS, first, fractions, None)


def _row(copy: int, first: int, sums: Int64s, columns: Int32s | None) -> pa.RecordBatch:
    lists = [
        pa.array([None], kind) if values is None else pa.ListArray.from_arrays([0, len(values)], pa.array(values))
        for values, kind in ((sums, SPACE.field("sums").type), (columns, SPACE.field("columns").type))
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array([copy], pa.int64()), pa.array([first], pa.int64()), *lists], schema=SPACE
    )
