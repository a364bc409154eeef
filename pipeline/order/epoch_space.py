"""The epoch space: every (sample, copy) that a view assigns to an epoch, as a concatenation of runs, before shuffling.

Copy 0 of every shard comes first, then copy 1 of every shard, ..., then the extras of every shard, so copies of an
image are far apart. No table here grows with the number of samples, and a new epoch costs nothing: only the positions
of the extras depend on it. Columns that grow with the number of shards are shared by the ranks of a machine.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tagmill.shards.arrays import Int32s, Int64s
from tagmill.shards.errors import CorpusError
from tagmill.shards.formats.shared_tables import shared_table
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import ONE, View, extra_offset

EXTRAS = -1  # the copy number of extras

# One row for each copy number that some shard has, ascending, then one for the extras.
SPACE = pa.schema(
    [
        pa.field("copy", pa.int64(), nullable=False),  # or EXTRAS
        pa.field("sums", pa.list_(pa.int64()), nullable=False),  # Runs.ends; for the extras: EpochSpace.fractions
        pa.field("groups", pa.list_(pa.int32()), nullable=False),  # Runs.groups; for the extras: empty
    ]
)
GROUP = 64  # shards whose runs of one copy number are summed; inside a group the view's own counts are searched
SUMMED_SHARDS = 1 << 14  # shards that are summed at a time: whole groups
BINS = 1 << 22  # limit of sums in memory at a time, unless one group has more copies


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive positions of the epoch space within one run of one shard."""

    shard: int  # number in the corpus order
    copy: int  # EXTRAS, or the number of the run
    start: int  # offsets in that run
    stop: int
    before: int  # extras only: fractions of all earlier shards + u_e, the argument of View.extras; else 0

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False, slots=True)
class Runs:
    """The runs of one copy number, summed over GROUP consecutive shards each."""

    copy: int
    ends: Int64s  # [G] the position after each group's runs
    groups: Int32s  # [G] indices of groups of the split's shards, ascending, without groups that lack this copy


@dataclass(frozen=True, eq=False)
class EpochSpace:
    """The runs of a split of a corpus under a view."""

    first: int  # the split's first shard in the corpus order; the others follow it
    runs: tuple[Runs, ...]  # by copy number
    counts: pa.ChunkedArray  # [S] lists: entry j is the number of the shard's samples with at least j + 1 whole copies
    # [S + 1] running sum of fractions in corpus order, before each shard and after the last, in units of 2^-16
    fractions: Int64s
    view_seed: int

    @classmethod
    def of(cls, corpus: Corpus, view: View | None, split: str) -> "EpochSpace":
        """Builds the space. Raises CorpusError if the split has no samples, or the view's shards are not the corpus's."""
        name = f"space{GROUP}-{corpus.digest.hex()}-{view.digest.hex() if view else 'all'}-{split}"
        table = shared_table(corpus.cache, name, SPACE, lambda: _rows_of(corpus, view, split))
        shards = corpus.shards_of(split)
        space = cls._of_rows(shards.start, _counts(corpus, view, shards), table, view.file.seed if view else 0)
        if space.num_whole == 0 and space.fractions[-1] == space.fractions[0]:
            labelling = f"view {view.file.name!r}" if view else "the corpus"
            raise CorpusError(
                f"{labelling} has no samples in split {split!r}", corpus.store.url, "choose another split"
            )
        return space

    @classmethod
    def of_counts(cls, first: int, counts: Int64s, fractions: Int64s, view_seed: int) -> "EpochSpace":
        """Builds the space from counts [copies, S] of the samples that have at least j + 1 whole copies."""
        copies, shards = counts.shape
        offsets = np.arange(shards + 1, dtype=np.int32) * copies
        lists = pa.chunked_array([pa.ListArray.from_arrays(offsets, pa.array(counts.T.ravel()))])
        return cls._of_rows(first, lists, pa.Table.from_batches(_rows(lists, fractions), SPACE), view_seed)

    @classmethod
    def _of_rows(cls, first: int, counts: pa.ChunkedArray, rows: pa.Table, view_seed: int) -> "EpochSpace":
        copies = rows["copy"].to_pylist()
        sums, groups = ([row.values.to_numpy() for row in rows[name]] for name in ("sums", "groups"))
        runs = tuple(map(Runs, copies[:-1], sums, groups))
        return cls(first, runs, counts, sums[-1], view_seed)

    @property
    def shards(self) -> range:
        """The split's shards in the corpus order."""
        return range(self.first, self.first + len(self.fractions) - 1)

    @cached_property
    def copy_ends(self) -> Int64s:
        """The position after the runs of each copy number."""
        return np.array([runs.ends[-1] for runs in self.runs], np.int64)

    @property
    def num_whole(self) -> int:
        """Number of positions that every epoch has."""
        return int(self.copy_ends[-1]) if self.runs else 0

    def copy_of(self, position: int) -> int:
        """Returns which copy a position is, counted from 0; for the extras, the number of copies."""
        return bisect_right(self._copy_ends, position)

    @cached_property
    def _copy_ends(self) -> list[int]:
        return list(self.copy_ends.tolist())

    def num_positions(self, epoch: int) -> int:
        """Returns N_e, the number of positions of an epoch. It differs from epoch to epoch by at most one."""
        u = extra_offset(self.view_seed, epoch)
        return self.num_whole + (int(self.fractions[-1]) + u) // ONE - (int(self.fractions[0]) + u) // ONE

    def spans(self, epoch: int, start: int, stop: int) -> list[Span]:
        """Returns the spans of positions [start, stop), in order."""
        return self.spans_at(epoch, np.arange(start, stop, dtype=np.int64))

    def spans_at(self, epoch: int, positions: Int64s) -> list[Span]:
        """Returns the spans of ascending positions, in order: their lengths sum to the number of positions. Raises
        IndexError outside the epoch."""
        if not len(positions):
            return []
        if positions[0] < 0 or positions[-1] >= self.num_positions(epoch):
            raise IndexError(f"positions {positions[0]} to {positions[-1]} of {self.num_positions(epoch)}")
        first, last = int(positions[0]), int(positions[-1])
        if last - first + 1 == len(positions) and last < self.num_whole and (span := self._within(first, last)):
            return [span]
        split = int(np.searchsorted(positions, self.num_whole))
        whole = self._whole(positions[:split])
        extra = self._extra(extra_offset(self.view_seed, epoch), positions[split:] - self.num_whole)
        shards, copies, offsets_in_run, before = (np.concatenate(pair) for pair in zip(whole, extra, strict=True))
        same = (np.diff(shards) == 0) & (np.diff(copies) == 0) & (np.diff(offsets_in_run) == 1)
        cuts = np.concatenate([[0], np.flatnonzero(~same) + 1, [len(positions)]])
        lengths, heads = np.diff(cuts), cuts[:-1]
        columns = shards[heads], copies[heads], offsets_in_run[heads], offsets_in_run[heads] + lengths, before[heads]
        return [Span(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _within(self, first: int, last: int) -> Span | None:
        """Returns the span of positions [first, last] among whole copies if one run holds them all, as for nearly every
        chunk. This takes a sixth of the time of the array code, which releases the GIL at every step."""
        number = bisect_right(self._copy_ends, first)
        runs = self.runs[number]
        group = bisect_right(runs.ends, first)
        before = int(runs.ends[group - 1]) if group else int(self.copy_ends[number - 1]) if number else 0
        ends = self._run_ends(runs.copy, int(runs.groups[group])).tolist()
        run = bisect_right(ends, first - before)
        if last - before >= ends[run]:
            return None
        before += ends[run - 1] if run else 0
        shard = self.first + int(runs.groups[group]) * GROUP + run
        return Span(shard, runs.copy, first - before, last + 1 - before, 0)

    def _run_ends(self, copy: int, group: int) -> Int64s:
        """Returns the end of the run of each shard of a group, counted from the first run of the group."""
        start = group * GROUP
        stop = min(start + GROUP, len(self.counts))
        chunk = bisect_right(self._chunks, start, key=lambda chunk: chunk[0]) - 1
        found = list[Int64s]()
        while start < stop:
            first, offsets, values = self._chunks[chunk]
            end = min(stop, first + len(offsets) - 1)
            bounds = offsets[start - first : end - first + 1]
            at = bounds[:-1] + copy
            present, counts = at < bounds[1:], np.zeros(end - start, np.int64)  # 0 if a list ends before this copy
            counts[present] = values[at[present]]
            found.append(counts)
            start, chunk = end, chunk + 1
        return np.cumsum(np.concatenate(found))

    @cached_property
    def _chunks(self) -> list[tuple[int, npt.NDArray[np.int32], npt.NDArray[Any]]]:
        """`counts` as arrays without a copy: for each of its chunks the first shard, the offsets, the values."""
        starts = np.cumsum([0, *map(len, self.counts.chunks)]).tolist()
        pairs = ((chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in self.counts.chunks)
        return [(start, *pair) for start, pair in zip(starts, pairs, strict=False) if len(pair[0]) > 1]

    def _whole(self, positions: Int64s) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """Returns (shard, copy, offset in the run, 0) of ascending positions among whole copies."""
        shards, copies, offsets_in_run = (np.empty_like(positions) for _ in range(3))
        edges = np.searchsorted(positions, self.copy_ends).tolist()
        for number, (start, stop) in enumerate(pairwise([0, *edges])):
            if start == stop:
                continue
            runs, inside_copy = self.runs[number], positions[start:stop]
            group = np.searchsorted(runs.ends, inside_copy, side="right")
            before = np.where(group > 0, runs.ends[group - 1], self.copy_ends[number - 1] if number else 0)
            found = self._inside(runs.copy, runs.groups[group], inside_copy - before)
            shards[start:stop], offsets_in_run[start:stop] = found
            copies[start:stop] = runs.copy
        return shards, copies, offsets_in_run, np.zeros_like(positions)

    def _inside(self, copy: int, groups: Int32s, offsets_in_run: Int64s) -> tuple[Int64s, Int64s]:
        """Returns (shard, offset in its run) of offsets in the concatenated runs of ascending groups."""
        shards, inside = np.empty_like(offsets_in_run), offsets_in_run.copy()
        cuts = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
        for start, stop in pairwise(cuts):
            ends = self._run_ends(copy, int(groups[start]))
            run = np.searchsorted(ends, offsets_in_run[start:stop], side="right")
            shards[start:stop] = self.first + int(groups[start]) * GROUP + run
            inside[start:stop] -= np.where(run > 0, ends[run - 1], 0)
        return shards, inside

    def _extra(self, u: int, extras: Int64s) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """Returns (shard, EXTRAS, offset in the shard's extras, fractions before + u) of the epoch's extras by number.

        Extra k is at the (k + 1)-th multiple of 2^16 that the running sum + u reaches.
        """
        skipped = (int(self.fractions[0]) + u) // ONE
        multiple = extras + skipped + 1
        column = np.searchsorted(self.fractions[1:], multiple * ONE - u, side="left")
        before = self.fractions[column] + u
        return self.first + column, np.full_like(extras, EXTRAS), multiple - 1 - before // ONE, before


def _rows_of(corpus: Corpus, view: View | None, split: str) -> Iterator[pa.RecordBatch]:
    """Yields the rows of SPACE. Memory-mapped tables are opened again for this, so that the pages they touch are
    released."""
    if corpus.cache is not None:
        corpus, view = replace(corpus), replace(view) if view else None
    shards = corpus.shards_of(split)
    running = np.zeros(len(shards) + 1, np.int64)
    if view is not None:
        lines, entries = view.table, corpus.table
        if len(lines) != len(entries) or any(not lines[name].equals(entries[name]) for name in ("name", "samples")):
            raise CorpusError(f"view {view.file.name!r} has other shards", view.store.url, "make the view again")
        running = np.concatenate([[0], np.cumsum(lines["fraction_sum"].to_numpy(), dtype=np.int64)])
        running = running[shards.start : shards.stop + 1]
    yield from _rows(_counts(corpus, view, shards), running)


def _counts(corpus: Corpus, view: View | None, shards: range) -> pa.ChunkedArray:
    """Returns for each shard the numbers of samples with at least j + 1 whole copies; without a view every sample has
    one."""
    if view is not None:
        return view.table["counts"].slice(shards.start, len(shards))
    samples = pa.array(corpus.column("samples")[shards.start : shards.stop])
    return pa.chunked_array([pa.ListArray.from_arrays(np.arange(len(shards) + 1, dtype=np.int32), samples)])


def _rows(counts: pa.ChunkedArray, fractions: Int64s) -> Iterator[pa.RecordBatch]:
    """Yields the rows of SPACE."""
    found = [
        _sums(counts.slice(start, SUMMED_SHARDS).combine_chunks(), start // GROUP)
        for start in range(0, len(counts), SUMMED_SHARDS)
    ]
    copies, groups, sums = np.concatenate(found, axis=1) if found else np.empty((3, 0), np.int64)
    order = np.lexsort((groups, copies))
    copies, groups, ends = copies[order], groups[order], np.cumsum(sums[order])
    numbers, starts = np.unique(copies, return_index=True)
    for number, (start, stop) in zip(numbers.tolist(), pairwise([*starts.tolist(), len(copies)]), strict=True):
        yield _row(number, ends[start:stop], groups[start:stop])
    yield _row(EXTRAS, fractions, groups[:0])


def _sums(counts: pa.ListArray, first: int) -> Int64s:
    """Sums the counts of shards, the first of which begins group `first`: (copy, group, sum) where it is not 0, int64
    [3, n]."""
    offsets = counts.offsets.to_numpy().astype(np.int64)
    lengths, most = np.diff(offsets), int(np.diff(offsets).max(initial=0))
    if most == 0:
        return np.empty((3, 0), np.int64)
    num_groups = -(-len(counts) // GROUP)
    if num_groups > 1 and num_groups * most > BINS:
        half = num_groups // 2
        parts = counts.slice(0, half * GROUP), counts.slice(half * GROUP)
        return np.concatenate([_sums(parts[0], first), _sums(parts[1], first + half)], axis=1)
    values = counts.values.to_numpy()[offsets[0] : offsets[-1]]
    own = np.arange(len(counts)) // GROUP * most - (offsets[:-1] - offsets[0])
    bins = np.repeat(own, lengths)
    bins += np.arange(len(values))
    # Weights are added as float64: exact, because a corpus has fewer than 2^53 samples.
    sums = np.bincount(bins, weights=values, minlength=num_groups * most).reshape(num_groups, most)
    groups, copies = np.nonzero(sums)
    return np.stack([copies, first + groups, sums[groups, copies].astype(np.int64)])


def _row(copy: int, sums: Int64s, groups: Int64s) -> pa.RecordBatch:
    lists = [
        pa.ListArray.from_arrays([0, len(values)], pa.array(values, kind.value_type))
        for values, kind in ((sums, SPACE.field("sums").type), (groups, SPACE.field("groups").type))
    ]
    return pa.RecordBatch.from_arrays([pa.array([copy], pa.int64()), *lists], schema=SPACE)
