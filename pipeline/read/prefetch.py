"""Reads ahead: opens visits in the order of the plan, as many as fit into the memory that taken samples have left."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from tagmill.pipeline.meters import READ, Meters
from tagmill.pipeline.order.epoch_space import EXTRAS, EpochSpace, Span
from tagmill.pipeline.order.plan import Visit
from tagmill.pipeline.read.jpeg_header import is_whole
from tagmill.shards.arrays import Int32s, Int64s
from tagmill.shards.errors import TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import ShardReader, Unreadable
from tagmill.shards.storage.node_cache import Cache, CachedStore
from tagmill.shards.storage.threads import DaemonPool
from tagmill.shards.takedown import TAKEN_DOWN
from tagmill.shards.view import View

# Rows of an index or label file that one read may fetch for nothing between two samples. A row takes about 100 bytes and a
# picture 20,000: more would let facts grow beyond 3 % of what is read where a run is sparse.
ROW_GAP = 6
PATIENCE_SECONDS = 600.0  # longer than all retries of a store together
NO_LABELS = np.empty(0, np.int32)


class Encoded(NamedTuple):  # which is made in a third of a frozen dataclass's time
    """One sample as it is stored. `jpeg` is None where it must not be used; `reason` says why."""

    key: bytes  # 16
    jpeg: bytes | None
    width: int
    height: int
    labels: Int32s  # [k]
    reason: str = ""  # 'altered', 'cut' or 'taken_down'


@dataclass(frozen=True)
class SampleReader:
    """Reads positions of the epoch space: which samples they are, their pictures and their labels."""

    corpus: Corpus
    view: View | None
    space: EpochSpace
    cache: Cache | None = None

    @cached_property
    def _labelling(self) -> View | None:
        """The view, read through the cache."""
        if self.view is None or self.cache is None:
            return self.view
        return replace(self.view, store=CachedStore.of(self.view.store, self.cache))

    def read(self, epoch: int, positions: Int64s) -> list[Encoded]:
        """Ascending positions of an epoch. Raises IntegrityError for a shard or a view's file that is missing or cut."""
        return [sample for span in self.space.spans_at(epoch, positions) for sample in self._read_span(span)]

    def _read_span(self, span: Span) -> list[Encoded]:
        """The samples of one span; its ordinals ascend and are distinct, because a run is in tar order."""
        reader = ShardReader.of(self.corpus, self.corpus.entry(span.shard))
        if self.cache is not None:
            reader = replace(reader, store=CachedStore.of(reader.store, self.cache))
        found: list[Encoded] = []
        ordinals = self._ordinals(span)
        cuts = np.flatnonzero(np.diff(ordinals) > ROW_GAP + 1) + 1
        groups = [(int(group[0]), int(group[-1]) + 1, group) for group in np.split(ordinals, cuts)]
        records = np.concatenate([reader.index(start, stop)[group - start] for start, stop, group in groups])
        labels = self._labels(span.shard, groups)
        keys, sides = records["key"].tobytes(), zip(records["width"].tolist(), records["height"].tolist(), strict=True)
        gone = reader.is_taken_down(ordinals)
        pictures = iter(reader.pictures(records[~gone]))
        for place, (taken_down, row, (width, height)) in enumerate(zip(gone.tolist(), labels, sides, strict=True)):
            key = keys[16 * place : 16 * place + 16]
            if taken_down:
                found.append(Encoded(key, None, width, height, NO_LABELS, TAKEN_DOWN))
                continue
            picture = next(pictures)
            if isinstance(picture, Unreadable):
                found.append(Encoded(key, None, width, height, NO_LABELS, picture.reason))
            elif not is_whole(picture):
                found.append(Encoded(key, None, width, height, NO_LABELS, "cut"))
            else:
                found.append(Encoded(key, picture, width, height, row))
        return found

    def _ordinals(self, span: Span) -> Int64s:
        view = self._labelling
        if view is None:
            return np.arange(span.start, span.stop, dtype=np.int64)
        if span.copy == EXTRAS:
            return view.extras(span.shard, span.before, span.start, span.stop).astype(np.int64)
        return view.run(span.shard, span.copy, span.start, span.stop).astype(np.int64)

    def _labels(self, shard: int, groups: list[tuple[int, int, Int64s]]) -> list[Int32s]:
        view = self._labelling
        if view is None:
            return [NO_LABELS] * sum(len(group) for _, _, group in groups)
        rows = np.concatenate([view.labels(shard, start, stop)[group - start] for start, stop, group in groups])
        there = rows >= 0
        ids, ends = rows[there], np.cumsum(there.sum(axis=1)).tolist()
        return [ids[start:end] for start, end in pairwise([0, *ends])]


@dataclass(eq=False, slots=True)
class _Reading:
    """A visit that is read, or being read."""

    future: Future[list[Encoded | None]]  # a sample that was taken leaves None
    samples: list[Encoded | None] | None = (
        None  # the future's, once it was waited for: to ask it takes a lock each time
    )


class Prefetcher:
    """Opens (epoch, visit) pairs in threads, in order, at most `capacity` samples of a corpus at a time, and hands samples
    out. `readers` is the corpus's, or those of a mixture in its order: each corpus has `capacity` of its own.

    A visit is opened only into room that taken samples have left, so memory stays bounded from block to block; and because
    visits come in the order in which they are needed, the one that holds the next sample always finds room. Used by one
    thread; `close` may come from another.
    """

    def __init__(
        self,
        readers: SampleReader | Sequence[SampleReader],
        visits: Iterable[tuple[int, Visit]],
        capacity: int,
        threads: int,
        meters: Meters,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._readers = [readers] if isinstance(readers, SampleReader) else list(readers)
        self._meters, self._patience = meters, patience_seconds
        self._visits: Iterator[tuple[int, Visit]] = iter(visits)
        self._room = [capacity] * len(self._readers)
        self._next = next(self._visits, None)
        # (source, epoch, position) -> the read that brings it, and its place there
        self._open: dict[tuple[int, int, int], tuple[_Reading, int]] = {}
        self._pool = DaemonPool(threads, "tagmill-read")
        self._open_what_fits()

    @property
    def num_open(self) -> int:
        """Samples that are read, being read, or waiting to be."""
        return len(self._open)

    def take(self, epoch: int | Int64s, positions: Int64s, sources: Int64s | None = None) -> list[Encoded]:
        """The samples at positions, in the order given, which must be that of their turns; their memory is given up.
        `epoch` is one number or each position's own (int64 [n]); without `sources`, all are of the first corpus.

        Raises what the reading of one of them raised, when its turn has come, and TagmillError where a store gives no
        answer for longer than the patience.
        """
        taken, room = [], self._room
        epochs = np.broadcast_to(epoch, positions.shape).tolist()
        whence = [0] * len(positions) if sources is None else sources.tolist()
        self._open_what_fits()
        for wanted in zip(whence, epochs, positions.tolist(), strict=True):
            assert wanted in self._open, "visits come in the order of need, and a block's fit together"
            reading, place = self._open.pop(wanted)
            samples = reading.samples or self._wait(reading, wanted[0])
            sample, samples[place] = samples[place], None
            assert sample is not None, "a sample is taken once"
            taken.append(sample)
            room[wanted[0]] += 1
            if self._next is not None and len(self._next[1].positions) <= room[self._next[1].source]:
                self._open_what_fits()
        return taken

    def close(self) -> None:
        """Ends the threads: reads that wait are cancelled, those under way have a moment (`DaemonPool.stop`), and a `take` that
        waits for one of them raises CancelledError."""
        self._pool.stop()

    def _open_what_fits(self) -> None:
        while self._next is not None and len(self._next[1].positions) <= self._room[self._next[1].source]:
            epoch, visit = self._next
            reading = _Reading(self._pool.submit(self._read, epoch, visit))
            places = enumerate(visit.positions.tolist())
            self._open.update({(visit.source, epoch, position): (reading, place) for place, position in places})
            self._room[visit.source] -= len(visit.positions)
            self._next = next(self._visits, None)

    def _read(self, epoch: int, visit: Visit) -> list[Encoded | None]:
        with self._meters.timed(READ):
            samples: list[Encoded | None] = [*self._readers[visit.source].read(epoch, visit.positions)]
        self._meters.add_bytes(sum(len(sample.jpeg) for sample in samples if sample and sample.jpeg))
        return samples

    def _wait(self, reading: "_Reading", source: int) -> list[Encoded | None]:
        try:
            reading.samples = reading.future.result(self._patience)
            return reading.samples
        except TimeoutError as error:
            if reading.future.done():  # the store's own, after its retries
                raise
            what = f"no answer for {self._patience:.0f} s"
            where = self._readers[source].corpus.store.url
            raise TagmillError(
                what, where, "see whether the store can be reached; the run resumes from its state"
            ) from error
