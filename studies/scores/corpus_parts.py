"""How the samples of a corpus are divided into parts: fixed ranges, a function of the manifest only."""

from dataclasses import dataclass

import numpy as np

from tagmill.shards import ConfigError, Corpus, InputError
from tagmill.shards.arrays import Ordinals
from tagmill.shards.manifest import SPLITS, ShardLine
from tagmill.shards.takedown import Takedown
from tagmill.studies.scores.score_files import ScoredSplit

LEAST_SAMPLES, MOST_SAMPLES = 1024, 16384  # of a part: what a kill costs at most
WANTED_PARTS = 4096  # from which on parts become larger: each is an object of the store


@dataclass(frozen=True)
class ShardRange:
    """Consecutive samples of a shard."""

    shard: ShardLine
    start: int
    stop: int
    taken_down: Ordinals  # of this shard, ascending


@dataclass(frozen=True)
class CorpusPart:
    """The samples of a part, in the order of the corpus."""

    number: int
    samples: int
    ranges: tuple[ShardRange, ...]


def usual_part_samples(samples: int) -> int:
    """Returns the samples of a part of a split with so many: LEAST_SAMPLES, doubled while there would be more than WANTED_PARTS
    parts, at most MOST_SAMPLES."""
    size = LEAST_SAMPLES
    while size < MOST_SAMPLES and samples > size * WANTED_PARTS:
        size *= 2
    return size


class CorpusParts:
    """The parts of a split of a corpus."""

    def __init__(self, corpus: Corpus, split: ScoredSplit, part_samples: int | None = None) -> None:
        """`part_samples`: samples of a part; None: the usual ones. Raises InputError for a split without samples."""
        if part_samples is not None and part_samples < 1:
            raise ConfigError(f"parts of {part_samples} samples", "scores", "give at least 1")
        self._corpus = corpus
        self._shards = range(len(corpus.table)) if split == "all" else corpus.shards_of(split)
        self._ends = np.cumsum(corpus.column("samples")[self._shards.start : self._shards.stop])
        self.samples = int(self._ends[-1]) if len(self._ends) else 0
        """Samples of the split, with those that are taken down."""
        if not self.samples:
            what = "a corpus without samples" if split == "all" else f"no samples in split {split}"
            remedy = f"give a corpus with samples, or another --split: {', '.join((*SPLITS, 'all'))}"
            raise InputError(what, corpus.store.url, remedy)
        self.part_samples = part_samples or usual_part_samples(self.samples)

    def __len__(self) -> int:
        return -(-self.samples // self.part_samples)

    def part(self, number: int, takedown: Takedown) -> CorpusPart:
        """Returns where the samples of a part are, and which of them must not be read."""
        start = number * self.part_samples
        stop = min(start + self.part_samples, self.samples)
        found, place = list[ShardRange](), int(np.searchsorted(self._ends, start, side="right"))
        while start < stop:
            shard = self._corpus.entry(self._shards[place])
            first = int(self._ends[place]) - shard.samples
            last = min(int(self._ends[place]), stop)
            if last > start:
                gone = takedown.ordinals(shard.name)
                found.append(ShardRange(shard, start - first, last - first, gone))
            start, place = last, place + 1
        return CorpusPart(number, stop - number * self.part_samples, tuple(found))
