"""The epoch space: every (sample, copy) that a view asks for in an epoch, as the concatenation of runs, before shuffling.

Copy 0 of every shard comes first, then copy 1 of every shard, ..., then the extras of every shard: copies of a picture lie
far apart. Nothing here grows with the samples, and an epoch costs nothing: only the extras' places depend on it.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tagmill.shards.errors import CorpusError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import ONE, View, extra_offset

Int64s = npt.NDArray[np.int64]

EXTRAS = -1  # the copy number of extras


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


@dataclass(frozen=True, eq=False)
class EpochSpace:
    """The runs of a split of a corpus under a view."""

    shards: Int64s  # [S] numbers in the corpus order
    counts: Int64s  # [copies, S] samples with at least j + 1 whole copies
    fractions: Int64s  # [S + 1] running sum of fractions in corpus order, before each shard and after the last; 2^-16
    view_seed: int

    @classmethod
    def of(cls, corpus: Corpus, view: View | None, split: str) -> "EpochSpace":
        """Raises CorpusError where the split has no samples, or the view's shards are not the corpus's."""
        entries = corpus.entries
        chosen = np.array([number for number, entry in enumerate(entries) if entry.split == split], np.int64)
        if view is None:
            counts = np.array([[entries[number].samples for number in chosen]], np.int64)
            space = cls(chosen, counts, np.zeros(len(chosen) + 1, np.int64), 0)
        else:
            lines = view.shards
            if [(line.name, line.samples) for line in lines] != [(entry.name, entry.samples) for entry in entries]:
                raise CorpusError(f"view {view.file.name!r} has other shards", view.store.url, "make the view again")
            counts = np.zeros((max((len(lines[number].counts) for number in chosen), default=0), len(chosen)), np.int64)
            for column, number in enumerate(chosen):
                counts[: len(lines[number].counts), column] = lines[number].counts
            running = np.cumsum([0, *(line.fraction_sum for line in lines)], dtype=np.int64)
            first = int(chosen[0]) if len(chosen) else 0
            fractions = running[first : first + len(chosen) + 1]  # a split's shards are consecutive in a manifest
            space = cls(chosen, counts, fractions, view.file.seed)
        if space.num_whole == 0 and space.fractions[-1] == space.fractions[0]:
            labelling = f"view {view.file.name!r}" if view else "the corpus"
            raise CorpusError(
                f"{labelling} has no samples in split {split!r}", corpus.store.url, "choose another split"
            )
        return space

    @cached_property
    def ends(self) -> Int64s:
        """[copies x S] the position after each run of whole copies."""
        return np.cumsum(self.counts.ravel(), dtype=np.int64)

    @property
    def num_whole(self) -> int:
        """Positions that are there in every epoch."""
        return int(self.ends[-1]) if len(self.ends) else 0

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
        """(shard, copy, place in the run, 0) of positions among whole copies."""
        run = np.searchsorted(self.ends, positions, side="right")
        copy, column = np.divmod(run, len(self.shards))
        place = positions - self.ends[run] + self.counts[copy, column]
        return self.shards[column], copy, place, np.zeros_like(place)

    def _extra(self, u: int, extras: Int64s) -> tuple[Int64s, Int64s, Int64s, Int64s]:
        """(shard, EXTRAS, place in the shard's extras, fractions before + u) of the epoch's extras by number.

        Extra k stands at the (k + 1)-th multiple of 2^16 that the running sum + u reaches.
        """
        skipped = (int(self.fractions[0]) + u) // ONE
        multiple = extras + skipped + 1
        column = np.searchsorted(self.fractions[1:], multiple * ONE - u, side="left")
        before = self.fractions[column] + u
        return self.shards[column], np.full_like(extras, EXTRAS), multiple - 1 - before // ONE, before
