"""The loader: streams a corpus as batches, in an order that a few numbers resume exactly on any number of ranks."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import torch.distributed as dist
from torch.utils.data import IterableDataset, get_worker_info

from tagmill.pipeline.backend import Backend, choose, working_memory
from tagmill.pipeline.batch import DTYPES, Batch
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.device import resolve
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.mixture import (
    MixedSchedule,
    Mixture,
    Part,
    Pattern,
    check_parts,
    even_mixed_size,
    mixed_batch_size,
)
from tagmill.pipeline.plan import even_world_size, local_batch_size, open_samples
from tagmill.pipeline.prefetch import SampleReader
from tagmill.pipeline.run import AHEAD, Run
from tagmill.pipeline.schedule import Schedule
from tagmill.pipeline.space import EpochSpace
from tagmill.pipeline.state import LoaderState, check
from tagmill.shards.cache import Cache
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class Loader(IterableDataset[Batch]):
    """Batches of a corpus, without end or for `config.epochs` epochs; or of a mixture of corpora, without end.

    In a mixture each corpus goes through epochs of its own, which end at different turns: `config.epochs` is refused there,
    because to stop at the end of one would cut another's.

    Iterating goes on where the last iteration stopped, so the state, and not the iterator, says where a run is. One
    iteration runs at a time: a new one, `load_state_dict` and `close` end the one before. Raises TagmillError where the
    corpus, the configuration or the machine does not keep a promise; a bad sample is a hole in its batch instead.

    Without a `world`, rank and world size are those of torch.distributed where it is initialised, else torchrun's environment.
    It is torch's IterableDataset and Stateful, so that a DataLoader without workers (batch_size None) can stand around it.
    """

    def __init__(
        self, corpus: str | Path | Corpus | Mixture, config: LoaderConfig | None = None, world: World | None = None
    ) -> None:
        config = config or LoaderConfig()
        self.config = replace(config, device=resolve(config.device))
        self._asked_world = world or _own_world()
        corpora = corpus.corpora if isinstance(corpus, Mixture) else (corpus,)
        cache = None if self.config.cache is None else Cache(Path(self.config.cache), self.config.cache_limit)
        tables = self.config.cache_folder()
        self._readers = [_open(one, self.config, cache, tables) for one in corpora]
        self.corpus, self.view, self.space = self._readers[0].corpus, self._readers[0].view, self._readers[0].space
        """Of a mixture: its first."""
        self._pattern = Pattern(corpus.weights) if isinstance(corpus, Mixture) else None
        if self._pattern:
            check_parts([one.corpus for one in self._readers], [one.view for one in self._readers])
            if self.config.epochs is not None:
                what = f"epochs = {self.config.epochs}, and every corpus of a mixture has epochs of its own"
                raise ConfigError(what, "loader", "leave epochs at None, and stop after a number of batches")
        self.meters = Meters()
        self._backend: Backend | None = None
        self._run: Run | None = None
        self._arrange(self.config.resolve_streams(self._asked_world.size))
        self._state = self._start = self._first_state()
        if self.idle:
            log.warning("rank %d is idle: %d ranks share the batches evenly", self._asked_world.rank, self.world.size)

    def _arrange(self, streams: int) -> None:
        """All that follows from T: who reads what, and whether it fits into memory. (A resumed run keeps its first T.)"""
        config, asked = self.config, self._asked_world
        size, pattern = asked.size, self._pattern
        if config.even and pattern:
            size = even_mixed_size(pattern, streams, config.batch_size, asked.size)
        elif config.even:
            size = even_world_size(asked.size, streams, config.batch_size)
        self.idle = asked.rank >= size
        """True for a rank that `even` leaves without work: it iterates nothing."""
        self.world = World(min(asked.rank, size - 1), size)
        order = (streams, config.batch_size, self.world)
        self.local_batch_size = mixed_batch_size(pattern, *order) if pattern else local_batch_size(*order)
        """Places of every batch of this rank."""
        self._schedule = self._make_schedule(streams)
        needed = self.memory()
        if needed > config.memory_limit:
            what = f"{needed:,} bytes of open samples and batches, memory_limit is {config.memory_limit:,}"
            raise ConfigError(what, "loader", f"set memory_limit to {needed:,}, or lower streams, window or chunk")

    def _make_schedule(self, streams: int) -> Schedule | MixedSchedule:
        config = self.config
        parts = [Part(one.space, one.corpus.digest, one.view.digest if one.view else None) for one in self._readers]
        order = (streams, config.window, config.chunk, config.batch_size)
        if self._pattern:
            return MixedSchedule(self._pattern, tuple(parts), config.seed, *order, self.world)
        (part,) = parts
        digests = (part.manifest_digest, part.view_digest)
        return Schedule(part.space, *digests, config.seed, *order, config.drop_last, config.epochs, self.world)

    def _first_state(self) -> LoaderState:
        config = self.config
        manifests = [one.corpus.digest.hex() for one in self._readers]
        views = [one.view.digest.hex() if one.view else None for one in self._readers]
        return LoaderState(
            epoch=0,
            turn=0,
            seed=config.seed,
            manifest=manifests if self._pattern else manifests[0],
            view=views if self._pattern else views[0],
            weights=list(self._pattern.weights) if self._pattern else None,
            streams=self._schedule.streams,
            window=config.window,
            chunk=config.chunk,
            batch_size=config.batch_size,
            split=config.split,
            augment=config.augment,
            jitter=[float(strength) for strength in config.jitter],
            randaugment=list(config.randaugment),
            mixup=float(config.mixup),
            drop_last=config.drop_last,
        )

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The labels in id order; None without a view."""
        return self.view.vocabulary if self.view else None

    @property
    def num_classes(self) -> int:
        """Labels of the vocabulary; 0 without a view."""
        return len(self.vocabulary) if self.vocabulary else 0

    @property
    def samples_per_epoch(self) -> int:
        """Places that all ranks together are handed in the current epoch (from epoch to epoch it may differ by one).
        Raises ConfigError for a mixture, as `batches_per_epoch` does."""
        return self._single().num_turns(self._epoch())

    def __len__(self) -> int:
        """Batches of the current epoch. Raises TypeError where epochs are endless."""
        if self.config.epochs is None:
            raise TypeError("an endless loader has no length: set epochs, or use batches_per_epoch")
        return self.batches_per_epoch

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the current epoch, the same for every rank."""
        return self._single().num_batches(self._epoch())

    @property
    def own_epochs(self) -> tuple[int, ...]:
        """The epoch that each corpus is in, after the last batch that was handed out; one number without a mixture."""
        if isinstance(self._schedule, MixedSchedule):
            return self._schedule.own_epochs(self._state.turn)
        return (self._state.epoch,)

    def _single(self) -> Schedule:
        if isinstance(self._schedule, MixedSchedule):
            raise ConfigError("a mixture has no epochs", "loader", "ask own_epochs for those of its corpora")
        return self._schedule

    def _epoch(self) -> int:
        last = self._state.epoch if self.config.epochs is None else self.config.epochs - 1
        return min(self._state.epoch, last)

    def memory(self) -> int:
        """Bytes that this rank takes beyond what it has imported, at most: open samples (by their corpus's mean size), ranges
        that are being read, batches, and what the decoder takes for itself. Every corpus of a mixture has windows of its own.
        """
        remote = any(one.corpus.store.root is None for one in self._readers)
        windows = open_samples(self._schedule.streams, self.config.window, self.config.chunk, self.world)
        windows += self.config.read_ahead(remote)
        held, largest = 0.0, 0.0
        for one in self._readers:
            shards = slice(one.space.shards.start, one.space.shards.stop)
            size, samples = (int(one.corpus.column(name)[shards].sum()) for name in ("bytes", "samples"))
            mean = size / max(1, samples)
            # A small corpus is held whole in one epoch; where others follow they are opened into the same windows.
            held += mean * (min(windows, one.space.num_positions(0)) if self.config.epochs == 1 else windows)
            largest = max(largest, mean)
        held += self.config.resolve_readers(remote) * self.config.chunk * largest  # ranges, until they are cut up
        pixels = 3 * self.config.size**2
        # AHEAD wait, two are in work, and the trainer has one until it has the next. Where it is not normalised at once, a
        # batch is uint8 first.
        batches = (AHEAD + 3) * (pixels * DTYPES[self.config.output].itemsize + largest)
        batches += pixels if self.config.output != "uint8" else 0
        return int(held + self.local_batch_size * batches) + working_memory(self.config, self.local_batch_size, largest)

    def state_dict(self) -> dict[str, object]:
        """Where the run stands after the last batch that was handed out, as plain values; the same on every rank."""
        return self._state.as_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Goes on from a saved state, on any number of ranks. Raises TagmillError that names what does not match."""
        self.close()
        found = check(state, self._start, adopt=("streams",) if self.config.streams is None else ())
        turns = self.space.num_positions(found.epoch)
        if self._pattern:
            if found.epoch:
                what = f"epoch {found.epoch} of a mixture, whose state is a turn alone"
                raise TagmillError(what, "state", "give the state as the loader saved it")
        elif found.turn > turns:
            raise TagmillError(
                f"turn {found.turn} of an epoch of {turns}", "state", "give the state as the loader saved it"
            )
        self._arrange(found.streams)
        self._state = found

    def rewind(self) -> None:
        """Back to the first epoch's first batch, to go through a corpus again in the same order."""
        self.close()
        self._state = replace(self._start, streams=self._schedule.streams)

    def __iter__(self) -> Iterator[Batch]:
        if worker := get_worker_info():
            what = f"worker {worker.id + 1} of {worker.num_workers} of a DataLoader: each would give every sample anew"
            raise ConfigError(what, "loader", "set num_workers to 0: the loader has threads of its own")
        self.close()
        if self.idle:
            return
        self._backend = self._backend or choose(self.config)
        run = self._run = Run(
            self.config,
            self._schedule,
            self._readers,
            self._backend,
            self.meters,
            places=self.local_batch_size,
            epoch=self._state.epoch,
            turn=self._state.turn,
        )
        try:
            while (made := run.next_made()) is not None:
                self.meters.add_batch(made.batch.count, made.holes)
                self._check_budget(made.holes)
                self._state = replace(self._state, epoch=made.after[0], turn=made.after[1])
                yield made.batch
        finally:
            run.close()
            if self._run is run:
                self._run = None

    def _check_budget(self, holes: Mapping[str, int]) -> None:
        seen, lost = self.meters.images, self.meters.num_lost
        if holes and lost > self.config.allowed_holes(seen):
            what = f"{lost:,} of {seen:,} samples are holes, beyond failure_budget {self.config.failure_budget}"
            remedy = f"mostly {self.meters.top_reasons(lost=True)}; run tagmill corpus lint, or raise failure_budget"
            raise TagmillError(what, ", ".join(one.corpus.store.url for one in self._readers), remedy)

    def report(self) -> str:
        """One sentence: how much, how fast, and what the bottleneck is."""
        return self.meters.report()

    def close(self) -> None:
        """Ends the iteration and every thread. A read that is under way is waited for."""
        if self._run is not None:
            self._run.close()
            self._run = None
        if self._backend is not None:
            self._backend.close()
            self._backend = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _own_world() -> World:
    """Lightning and others start processes without torchrun's variables, but do initialise torch.distributed."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World.from_environment()


def _open(corpus: str | Path | Corpus, config: LoaderConfig, cache: Cache | None, tables: Path | None) -> SampleReader:
    """A corpus with the configured view and split, which it must have."""
    opened = corpus if isinstance(corpus, Corpus) else Corpus.open(str(corpus), tables)
    if taken_down := opened.takedown.num_samples:  # read now: a list that is missing ends a run before it begins
        log.info("%s: %d samples are taken down and will be holes", opened.store.url, taken_down)
    view = None if config.view is None else View.open(opened, config.view)
    return SampleReader(opened, view, EpochSpace.of(opened, view, config.split), cache)
