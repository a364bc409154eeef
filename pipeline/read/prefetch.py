"""Reads ahead: opens visits in the order of the plan, as many as fit into the memory that taken samples have freed."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise, repeat
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tagmill.pipeline.meters import READ, Meters
from tagmill.pipeline.order.epoch_space import EXTRAS, EpochSpace, Span
from tagmill.pipeline.order.plan import Visit
from tagmill.pipeline.read.jpeg_header import END_OF_IMAGE, is_whole
from tagmill.pipeline.read.reader_size import ReaderSize
from tagmill.pipeline.read.reading_pool import Reading, ReadingPool
from tagmill.pipeline.waits import CHUNK
from tagmill.shards.arrays import Int32s, Int64s
from tagmill.shards.errors import TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.reader import ShardReader, Unreadable
from tagmill.shards.storage.node_cache import Cache, CachedStore
from tagmill.shards.takedown import TAKEN_DOWN
from tagmill.shards.view import LINES_KEPT, View

# Rows of an index or label file that one read may fetch for nothing between two samples. A row takes about 100 bytes
# and an image 20,000: a larger gap would let indexes exceed 3 % of the bytes read if a run is sparse.
ROW_GAP = 6
READ_TIMEOUT_SECONDS = 600.0  # longer than all retries of a store together
HELD_NUMBERS = 500  # for more numpy releases the GIL, and has to wait for it among all reading threads
NO_LABELS = np.empty(0, np.int32)


class Encoded(NamedTuple):  # a third of the construction time of a frozen dataclass
    """One sample as stored. `jpeg` is None if it must not be used; `reason` says why."""

    key: bytes  # 16
    jpeg: bytes | None
    width: int
    height: int
    labels: Int32s  # [k]
    reason: str = ""  # 'altered', 'cut' or 'taken_down'


@dataclass(frozen=True)
class SampleReader:
    """Reads positions of the epoch space: resolves them to samples and reads their images and labels."""

    corpus: Corpus
    view: View | None
    space: EpochSpace
    cache: Cache | None = None
    cache_what: Literal["all", "facts"] = "all"

    @cached_property
    def _cached_view(self) -> View | None:
        """The view, read through the cache if there is one."""
        if self.view is None or self.cache is None:
            return self.view
        return replace(self.view, store=CachedStore.of(self.view.store, self.cache))

    def read(self, epoch: int, positions: Int64s) -> list[Encoded]:
        """Reads ascending positions of an epoch. Raises IntegrityError for a missing or truncated file of a shard or
        view."""
        return [sample for span in self.space.spans_at(epoch, positions) for sample in self._read_span(span)]

    def objects(self, epoch: int, positions: Int64s) -> list[str]:
        """Returns the URLs of the tars that hold ascending positions of an epoch."""
        shards = sorted({span.shard for span in self.space.spans_at(epoch, positions)})
        return [ShardReader.of(self.corpus, self.corpus.entry(shard)).where for shard in shards]

    def _read_span(self, span: Span) -> list[Encoded]:
        """Reads the samples of one span; its ordinals are ascending and distinct, because a run is in tar order."""
        reader, index_reader = self._shard(span.shard)
        found: list[Encoded] = []
        ordinals, records, labels = self._facts(span) or self._scattered_facts(span, index_reader)
        keys, widths, heights = records["key"].tobytes(), records["width"].tolist(), records["height"].tolist()
        taken_down = reader.is_taken_down(ordinals)
        pictures: Iterable[bytes | Unreadable] = reader.pictures(records[~taken_down])
        if taken_down.any():
            read, gone = iter(pictures), Unreadable("", TAKEN_DOWN)
            pictures = [gone if one else next(read) for one in taken_down.tolist()]
        for slot, (picture, row, width, height) in enumerate(zip(pictures, labels, widths, heights, strict=True)):
            key = keys[16 * slot : 16 * slot + 16]
            if isinstance(picture, Unreadable):
                found.append(Encoded(key, None, width, height, NO_LABELS, picture.reason))
            elif picture.endswith(END_OF_IMAGE) or is_whole(picture):
                found.append(Encoded(key, picture, width, height, row))
            else:
                found.append(Encoded(key, None, width, height, NO_LABELS, "cut"))
        return found

    def _shard(self, number: int) -> tuple[ShardReader, ShardReader]:
        """Returns the readers of a shard's images and of its index, through the cache if there is one. Recent ones are
        kept, because a shard is read chunk by chunk."""
        found = self._shards.get(number)
        if found is None:
            images = index = ShardReader.of(self.corpus, self.corpus.entry(number))
            if self.cache is not None:
                index = replace(index, store=CachedStore.of(index.store, self.cache))
                images = index if self.cache_what == "all" else images
            if len(self._shards) >= LINES_KEPT:
                self._shards.clear()
            found = self._shards[number] = images, index
        return found

    @cached_property
    def _shards(self) -> dict[int, tuple[ShardReader, ShardReader]]:
        return {}

    def _facts(self, span: Span) -> tuple[Int64s, npt.NDArray[Any], list[Int32s]] | None:
        """Reads (ordinals, records, labels) of a span together; None if the view has no facts of the shard."""
        view = self._cached_view
        if view is None:
            return None
        if span.copy == EXTRAS:
            facts = view.extra_facts(span.shard, span.before, span.start, span.stop)
        else:
            facts = view.facts(span.shard, span.copy, span.start, span.stop)
        return None if facts is None else (facts["ordinal"].astype(np.int64), facts, _present(facts["labels"]))

    def _scattered_facts(self, span: Span, reader: ShardReader) -> tuple[Int64s, npt.NDArray[Any], list[Int32s]]:
        """Reads (ordinals, records, labels) of a span from the view's runs, the shard's index and the view's labels."""
        ordinals = self._ordinals(span)
        cuts = np.flatnonzero(np.diff(ordinals) > ROW_GAP + 1) + 1
        groups = [(int(group[0]), int(group[-1]) + 1, group) for group in np.split(ordinals, cuts)]
        records = np.concatenate([reader.index(start, stop)[group - start] for start, stop, group in groups])
        return ordinals, records, self._labels(span.shard, groups)

    def _ordinals(self, span: Span) -> Int64s:
        view = self._cached_view
        if view is None:
            return np.arange(span.start, span.stop, dtype=np.int64)
        if span.copy == EXTRAS:
            return view.extras(span.shard, span.before, span.start, span.stop).astype(np.int64)
        return view.run(span.shard, span.copy, span.start, span.stop).astype(np.int64)

    def _labels(self, shard: int, groups: list[tuple[int, int, Int64s]]) -> list[Int32s]:
        view = self._cached_view
        if view is None:
            return [NO_LABELS] * sum(len(group) for _, _, group in groups)
        return _present(
            np.concatenate([view.labels(shard, start, stop)[group - start] for start, stop, group in groups])
        )


def _present(rows: Int32s) -> list[Int32s]:
    """Returns the ids of each row of labels [n, K], which are padded with -1."""
    found = list[Int32s]()
    step = max(1, HELD_NUMBERS // rows.shape[1])
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        present = part >= 0
        ids, ends = part[present], np.cumsum(present.sum(axis=1)).tolist()
        found += [ids[low:high] for low, high in pairwise([0, *ends])]
    return found


_Samples = list[Encoded | None]  # a sample that was taken leaves None


@dataclass(frozen=True, eq=False)
class _VisitReader:
    """Reads visits. Not a method of the prefetcher: the threads would refer to it, and it would not be freed when it is
    dropped."""

    readers: Sequence[SampleReader]
    meters: Meters

    def __call__(self, wanted: tuple[int, Visit]) -> _Samples:
        epoch, visit = wanted
        with self.meters.timed(READ):
            samples: _Samples = [*self.readers[visit.source].read(epoch, visit.positions)]
        self.meters.add_bytes(sum([len(sample.jpeg) for sample in samples if sample and sample.jpeg]))
        return samples


class Prefetcher:
    """Opens (epoch, visit) pairs in threads, in order, at most `capacity` samples of a corpus at a time, and returns
    their samples. `readers` is one reader, or those of a mixture in its order: each corpus has its own `capacity`.

    A visit is opened only into capacity that taken samples have freed, so memory stays bounded from block to block.
    Because visits come in the order in which they are needed, the one that holds the next sample always fits. `threads`
    is the number of visits that are read at a time, or (first, most) of a number that adapts. Used by one thread;
    another thread may call `close`.
    """

    def __init__(
        self,
        readers: SampleReader | Sequence[SampleReader],
        visits: Iterable[tuple[int, Visit]],
        capacity: int,
        threads: int | tuple[int, int],
        meters: Meters,
        begin: Callable[[], object] | None = None,
        timeout_seconds: float = READ_TIMEOUT_SECONDS,
    ) -> None:
        """`begin` is called first in every reading thread."""
        self._readers = [readers] if isinstance(readers, SampleReader) else list(readers)
        self._meters = meters
        self._timeout = timeout_seconds
        self._visits: Iterator[tuple[int, Visit]] = iter(visits)
        self._free = [capacity] * len(self._readers)
        self._next = next(self._visits, None)
        # (source, epoch) -> position -> the visit that holds the sample. Tuples as keys or values would be an object for
        # each sample that the garbage collector visits.
        self._open: dict[tuple[int, int], dict[int, _Opened]] = {}
        first, most = (threads, threads) if isinstance(threads, int) else threads
        remote = any(one.corpus.store.root is None for one in self._readers)
        self._size = ReaderSize(first, most)
        self._pool = ReadingPool(_VisitReader(self._readers, meters), self._size, most, repeats=remote, begin=begin)
        self._open_what_fits()

    @property
    def num_open(self) -> int:
        """Number of samples that are read, being read, or queued."""
        return sum(map(len, self._open.values()))

    def take(self, epoch: int | Int64s, positions: Int64s, sources: Int64s | None = None) -> list[Encoded]:
        """Returns the samples at `positions` in that order, which must be the order of their turns, and frees their
        memory. `epoch` is one number or one for each position (int64 [n]); without `sources`, all are of the first
        corpus.

        Raises the error of a read once its sample is due, and TagmillError if a store does not answer within the
        timeout.
        """
        self._open_what_fits()
        self._pool.repeat_late()
        taken, free = list[Encoded](), self._free
        of: Iterable[tuple[int, int]] = repeat((0, epoch)) if isinstance(epoch, int) else ()
        if not (isinstance(epoch, int) and sources is None):
            source_of = [0] * len(positions) if sources is None else sources.tolist()
            of = zip(source_of, np.broadcast_to(epoch, positions.shape).tolist(), strict=True)
        for source_epoch, position in zip(of, positions.tolist()):
            opened = self._open[source_epoch].pop(position)  # visits come in the order of need; a block's fit together
            samples = opened.samples or self._wait(opened)
            slot = position - opened.first if opened.slots is None else opened.slots[position]
            sample, samples[slot] = samples[slot], None
            assert sample is not None, "a sample is taken once"
            taken.append(sample)
            free[source_epoch[0]] += 1
            if free[self._next_source] >= self._next_size:
                self._open_what_fits()
        self._meters.set_readers(self._size.size, self._size.latency)
        return taken

    def close(self) -> None:
        """Ends the threads: queued reads are cancelled, pending ones get a grace period (`DaemonPool.stop`), and a
        `take` that waits for one of them raises CancelledError."""
        self._pool.close()

    def _open_what_fits(self) -> None:
        while self._next is not None and len(self._next[1].positions) <= self._free[self._next[1].source]:
            epoch, visit = self._next
            kind = self._readers[visit.source].space.copy_of(int(visit.positions[0]))  # later copies are further apart
            opened = _Opened.of(self._pool.submit(self._next, kind), visit)
            if (visit.source, epoch) not in self._open:
                self._open = {key: left for key, left in self._open.items() if left} | {(visit.source, epoch): {}}
            self._open[visit.source, epoch].update(dict.fromkeys(visit.positions.tolist(), opened))
            self._free[visit.source] -= len(visit.positions)
            self._next = next(self._visits, None)
        if self._next is None:
            self._next_source, self._next_size = 0, sys.maxsize
        else:
            self._next_source, self._next_size = self._next[1].source, len(self._next[1].positions)

    def _wait(self, opened: "_Opened") -> _Samples:
        try:
            with self._meters.waits.on(CHUNK, partial(self._objects, opened)):
                opened.samples = self._pool.wait(opened.reading, self._timeout)
            return opened.samples
        except TimeoutError as error:
            if opened.reading.future.done():  # the store's own timeout, after its retries
                raise
            what = f"no answer for {self._timeout:.0f} s"
            remedy = "check whether the store can be reached; the run resumes from its state"
            raise TagmillError(what, self._objects(opened), remedy) from error

    def _objects(self, opened: "_Opened") -> str:
        """Returns the URLs of the tars of a visit, as text."""
        epoch, visit = opened.reading.item
        reader = self._readers[visit.source]
        return ", ".join(reader.objects(epoch, visit.positions))


@dataclass(eq=False, slots=True)
class _Opened:
    """A visit that was read or is being read."""

    reading: Reading[tuple[int, Visit], _Samples]
    first: int  # position
    slots: dict[int, int] | None  # position -> index among its samples; None if the positions are consecutive
    samples: _Samples | None = None  # a copy of its result, whose future takes a lock at each call

    @classmethod
    def of(cls, reading: Reading[tuple[int, Visit], _Samples], visit: Visit) -> "_Opened":
        positions = visit.positions
        first, last = int(positions[0]), int(positions[-1])
        if last - first + 1 == len(positions):
            return cls(reading, first, None)
        return cls(reading, first, {position: slot for slot, position in enumerate(positions.tolist())})
