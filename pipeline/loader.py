"""The loader: streams a corpus as batches. A few numbers of state resume the order exactly on any number of ranks."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from torch.utils.data import IterableDataset

from tagmill.pipeline.batch import DTYPES, Batch
from tagmill.pipeline.config import LoaderConfig, World
from tagmill.pipeline.decode.backend import batches_ahead, working_memory
from tagmill.pipeline.decode.choice.device import resolve
from tagmill.pipeline.engine import Engine
from tagmill.pipeline.headroom.headroom import Headroom
from tagmill.pipeline.headroom.report import HeadroomReport
from tagmill.pipeline.iteration import AHEAD, ended_error
from tagmill.pipeline.memory import over_limit
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.epoch_space import EpochSpace
from tagmill.pipeline.order.mixture import (
    MixedSchedule,
    Mixture,
    MixturePart,
    Pattern,
    check_parts,
    even_mixed_size,
    mixed_batch_size,
)
from tagmill.pipeline.order.plan import even_world_size, local_batch_size, open_samples
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.order.state import LoaderState, check
from tagmill.pipeline.own_world import NO_WORKERS, check_process, own_world
from tagmill.pipeline.read.prefetch import SampleReader
from tagmill.pipeline.start_wait import wait_to_start
from tagmill.shards.errors import ConfigError, TagmillError
from tagmill.shards.manifest import Corpus
from tagmill.shards.storage.node_cache import Cache
from tagmill.shards.storage.store import is_local
from tagmill.shards.view import View
from tagmill.shards.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class Loader(IterableDataset[Batch]):
    """Streams batches of a corpus or of a mixture of corpora.

    One `for` is one epoch, and `len` is its number of batches. A `for` continues where the previous one stopped, also
    in the middle of an epoch, because the state and not the iterator holds the position; with `config.restart` it
    begins at the first batch. At the end of an epoch the state is the beginning of the next. `endless()` is the stream
    of all epochs.

    In a mixture each corpus has its own epochs, which end at different turns. So a mixture has no epoch: `for`, `len`
    and `config.epochs` raise an error, and `endless()` iterates it.

    One iteration runs at a time: a new one, `load_state_dict` and `close` end the previous one. Threads, decoder and
    read-ahead are kept from one `for` to the next, until `close`; a loader that restarts reads ahead only within its
    epoch. Raises TagmillError if the corpus, the configuration or the machine is at fault; a bad sample becomes a hole
    in its batch instead (see `Batch`).

    Without a `world`, rank and world size come from torch.distributed if it is initialised, else from torchrun's
    environment. A Loader is torch's IterableDataset and Stateful, so a DataLoader without workers (batch_size None) can
    wrap it. It cannot be copied or pickled.
    """

    def __init__(
        self, corpus: str | Path | Corpus | Mixture, config: LoaderConfig | None = None, world: World | None = None
    ) -> None:
        config = config or LoaderConfig()
        self.config = replace(config, device=resolve(config.device))
        self._requested_world = world or own_world()
        self._world_given = world is not None
        corpora = corpus.corpora if isinstance(corpus, Mixture) else (corpus,)
        cache = None if self.config.cache is None else Cache(Path(self.config.cache), self.config.cache_limit)
        tables = self.config.cache_folder()
        if not all(is_local(one.store.url if isinstance(one, Corpus) else str(one)) for one in corpora):
            wait_to_start(self._requested_world.size)
        self._readers = [_open(one, self.config, cache, tables) for one in corpora]
        self.corpus = self._readers[0].corpus
        self.view = self._readers[0].view
        self.space = self._readers[0].space
        """Of the first corpus of a mixture."""
        self._pattern = Pattern(corpus.weights) if isinstance(corpus, Mixture) else None
        if self._pattern:
            check_parts([one.corpus for one in self._readers], [one.view for one in self._readers])
            if self.config.epochs is not None:
                what = f"epochs = {self.config.epochs}, but every corpus of a mixture has its own epochs"
                raise ConfigError(what, "loader", "leave epochs at None, and stop after a number of batches")
        self.meters = Meters()
        self._headroom = Headroom(self._requested_world.rank)
        self._engine = Engine(self.config, self._readers, self.meters)
        self._iteration: object = None  # identity of the iteration that may continue
        self._state_loaded = False  # a state was loaded and no iteration has begun yet
        self._set_streams(self.config.resolve_streams(self._requested_world.size))
        self._state = self._start = self._first_state()
        if self.idle:
            log.warning(
                "rank %d is idle: %d ranks share the batches evenly", self._requested_world.rank, self.world.size
            )

    def _set_streams(self, streams: int) -> None:
        """Sets all that depends on the number of streams T: which rank reads what, and the check of the memory limit.
        (A resumed run keeps its first T.)"""
        config, requested = self.config, self._requested_world
        size, pattern = requested.size, self._pattern
        if config.even and pattern:
            size = even_mixed_size(pattern, streams, config.batch_size, requested.size)
        elif config.even:
            size = even_world_size(requested.size, streams, config.batch_size)
        self.idle = requested.rank >= size
        """True if `even` leaves this rank without work: it yields no batches."""
        self.world = World(min(requested.rank, size - 1), size)
        order = (streams, config.batch_size, self.world)
        self.local_batch_size = mixed_batch_size(pattern, *order) if pattern else local_batch_size(*order)
        """Slots of every batch of this rank."""
        self._schedule = self._make_schedule(streams)
        first, most = config.reader_range(self._remote)
        needed = self.memory(first, 1)
        if needed > config.memory_limit:
            raise over_limit(needed, config.memory_limit, self._held, streams, config.window, config.chunk)
        fits = (readers for readers in range(most, first, -1) if self.memory(readers, 1) <= config.memory_limit)
        self._most_readers = readers = next(fits, first)
        needed = self.memory(readers, 1)
        more = (config.memory_limit - needed) // (self.memory(readers, 2) - needed)
        self._ahead = min(1 + max(0, more), batches_ahead(config, self.local_batch_size))

    def _make_schedule(self, streams: int) -> Schedule | MixedSchedule:
        config = self.config
        parts = [
            MixturePart(one.space, one.corpus.digest, one.view.digest if one.view else None) for one in self._readers
        ]
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
            size=None if isinstance(config.size, int) else str(config.size),
        )

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The labels in id order; None without a view."""
        return self.view.vocabulary if self.view else None

    @property
    def num_classes(self) -> int:
        """Number of labels in the vocabulary; 0 without a view."""
        return len(self.vocabulary) if self.vocabulary else 0

    @property
    def samples_per_epoch(self) -> int:
        """Samples of all ranks together in the current epoch (it may differ by one from epoch to epoch). Raises
        ConfigError for a mixture, as `batches_per_epoch` does."""
        return self._single().num_turns(self._epoch())

    def __len__(self) -> int:
        """Returns the number of batches of the whole current epoch; after a resume in its middle a `for` yields only
        the rest. Raises TypeError for a mixture, which has no epochs."""
        if self._pattern:
            raise TypeError("a mixture has no epochs and no length: iterate loader.endless()")
        return self.batches_per_epoch

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the current epoch, the same for every rank. Between two `for` the current epoch is the next one."""
        return self._single().num_batches(self._epoch())

    @property
    def own_epochs(self) -> tuple[int, ...]:
        """The epoch of each corpus after the last batch that was yielded; one number without a mixture."""
        if isinstance(self._schedule, MixedSchedule):
            return self._schedule.own_epochs(self._state.turn)
        return (self._state.epoch,)

    def _single(self) -> Schedule:
        if isinstance(self._schedule, MixedSchedule):
            remedy = "iterate loader.endless(), and read own_epochs for the epochs of its corpora"
            raise ConfigError("a mixture has no epochs", "loader", remedy)
        return self._schedule

    def _epoch(self) -> int:
        if self.config.restarts:
            return self._state.epoch if self._state_loaded or self._state.turn else 0
        last = self._state.epoch if self.config.epochs is None else self.config.epochs - 1
        return min(self._state.epoch, last)

    @property
    def _remote(self) -> bool:
        return any(one.corpus.store.root is None for one in self._readers)

    def memory(self, readers: int | None = None, ahead: int | None = None) -> int:
        """Returns an upper bound of the bytes that this rank needs beyond its imports: open samples (by the mean size
        of their corpus), ranges in flight, batches, and the decoder's own memory. Every corpus of a mixture has its own
        windows. `readers`: chunks read at the same time, `ahead`: batches begun while one is incomplete; None: as many
        as there may be.
        """
        ahead = self._ahead if ahead is None else ahead
        readers = self._most_readers if readers is None else readers
        windows = open_samples(self._schedule.streams, self.config.window, self.config.chunk, self.world)
        windows += self.config.read_ahead(self._remote, readers)
        held, largest = 0.0, 0.0
        for one in self._readers:
            shards = slice(one.space.shards.start, one.space.shards.stop)
            size, samples = (int(one.corpus.column(name)[shards].sum()) for name in ("bytes", "samples"))
            mean = size / max(1, samples)
            # In its only epoch a small corpus is held whole at most; with further epochs its windows are the bound.
            held += mean * (min(windows, one.space.num_positions(0)) if self.config.epochs == 1 else windows)
            largest = max(largest, mean)
        self._held: float = held
        held += readers * self.config.chunk * largest  # ranges, until they are split into samples
        pixels = 3 * self.config.largest_size**2
        # AHEAD batches wait, one is being made and others are begun, and the trainer holds one until it has the next. A
        # batch that is not normalised while it is decoded is uint8 first.
        batches = (AHEAD + 2 + ahead) * (pixels * DTYPES[self.config.output].itemsize + largest)
        batches += pixels if self.config.output != "uint8" else 0
        return int(held + self.local_batch_size * batches) + working_memory(self.config, self.local_batch_size, largest)

    def state_dict(self) -> dict[str, object]:
        """Returns the state after the last batch that was yielded, as plain values; the same on every rank."""
        return self._state.as_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Resumes from a saved state, on any number of ranks. Raises TagmillError that names each value that does not
        match."""
        self.close()
        found = check(state, self._start, adopt=("streams",) if self.config.streams is None else ())
        if self._pattern:
            if found.epoch:
                what = f"epoch {found.epoch} of a mixture, whose state has only a turn"
                raise TagmillError(what, "state", "give the state as the loader saved it")
        elif found.turn > (turns := self.space.num_positions(found.epoch)):
            raise TagmillError(
                f"turn {found.turn} of an epoch of {turns}", "state", "give the state as the loader saved it"
            )
        self._set_streams(found.streams)
        if not self._pattern and found.turn and found.turn >= self._single().num_turns(found.epoch):
            found = replace(found, epoch=found.epoch + 1, turn=0)
        self._state = found
        self._state_loaded = True

    def rewind(self) -> None:
        """Returns to the first batch of the first epoch, to read a corpus again in the same order."""
        self.close()
        self._state = replace(self._start, streams=self._schedule.streams)
        self._state_loaded = False

    def __iter__(self) -> Iterator[Batch]:
        """Yields the rest of the current epoch. Raises ConfigError for a mixture, after the last of `config.epochs`, in
        a worker of a DataLoader, and if torch.distributed has another world than when the loader was created."""
        self._single()
        return self._iterate(endless=False)

    def endless(self) -> "Endless":
        """Returns the stream of all epochs, without end: for loops that do not depend on epochs, and the only way to
        iterate a mixture. Raises ConfigError if `config.epochs` limits them."""
        if self.config.epochs is not None:
            what = f"endless(), and epochs = {self.config.epochs}"
            raise ConfigError(what, "loader", "leave epochs at None, or iterate the loader once an epoch")
        return Endless(self)

    def _iterate(self, *, endless: bool) -> Iterator[Batch]:
        check_process(None if self._world_given else self._requested_world)
        if self.idle:
            return
        self._iteration = own = object()
        self._check_start()
        if not (endless or self._single().num_batches(self._state.epoch)):
            self._state = replace(self._state, epoch=self._state.epoch + 1, turn=0)
            return
        schedule = self._schedule
        if self.config.restarts and not endless:
            schedule = replace(self._single(), epochs=self._state.epoch + 1)  # reads nothing of another epoch ahead
        at = self._state.epoch, self._state.turn
        before = self._engine.run
        run = self._engine.run_from(schedule, self.local_batch_size, *at, self._most_readers, self._ahead)
        self._headroom.begin(fresh=run is not before)
        while (ready := self._headroom.wait(partial(self._engine.next, run))) is not None:
            self._state = replace(self._state, epoch=ready.after[0], turn=ready.after[1])
            yield ready.batch
            if not endless and ready.after[1] == 0:
                return
            if self._iteration is not own:
                raise ended_error()

    def _check_start(self) -> None:
        """Moves the state to the position at which an iteration begins. Raises ConfigError after the last epoch."""
        epochs, restarts = self.config.epochs, self.config.restarts
        over = epochs is not None and self._state.epoch >= epochs
        if restarts and (over or not self._state_loaded):
            self._state = replace(self._state, epoch=0, turn=0)
        elif over:
            what = f"all {epochs} epochs are over" if epochs != 1 else "its one epoch is over"
            raise ConfigError(what, "loader", "raise epochs, set restart, or call rewind() to begin again")
        self._state_loaded = False

    def report(self) -> str:
        """Returns one sentence: how much was loaded, how fast, and what the bottleneck is."""
        return self.meters.report()

    def headroom(self, *, ranks: bool = False, reset: bool = False) -> HeadroomReport:
        """Returns how much faster the loop that takes the batches would run without waits for them: as text, or by its fields.
        With `ranks` it names the rank that waits longest: see `Headroom.report`. With `reset` the next report is of later
        steps alone."""
        found = self._headroom.report(ranks=ranks)
        if reset:
            self._headroom.reset()
        return found

    def close(self) -> None:
        """Ends the iteration and every thread. A pending read gets a grace period and is then abandoned."""
        self._iteration = None
        self._engine.close()

    def __reduce__(self) -> NoReturn:
        _refuse_to_travel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Endless(IterableDataset[Batch]):
    """Stream of the batches of all epochs of a loader, without end or length. Iteration continues from the loader's
    state, or begins at the first batch if the loader restarts. Its state is the loader's."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        return self.loader._iterate(endless=True)

    def state_dict(self) -> dict[str, object]:
        """See `Loader.state_dict`."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """See `Loader.load_state_dict`."""
        self.loader.load_state_dict(state)

    def __reduce__(self) -> NoReturn:
        _refuse_to_travel()


def _refuse_to_travel() -> NoReturn:
    """Raises ConfigError: a worker that spawn or forkserver starts would receive the loader by pickling."""
    what = "a loader cannot be copied or sent to another process such as a worker of a DataLoader"
    raise ConfigError(what, "loader", f"{NO_WORKERS}; in other processes create a Loader of their own")


def _open(corpus: str | Path | Corpus, config: LoaderConfig, cache: Cache | None, tables: Path | None) -> SampleReader:
    """Opens a corpus with the configured view and split. Raises CorpusError if it lacks one."""
    opened = corpus if isinstance(corpus, Corpus) else Corpus.open(str(corpus), tables)
    if taken_down := opened.takedown.num_samples:  # read now, so that a missing list ends the run before it begins
        log.info("%s: %d samples are taken down and will be holes", opened.store.url, taken_down)
    view = None if config.view is None else View.open(opened, config.view)
    return SampleReader(opened, view, EpochSpace.of(opened, view, config.split), cache, config.cache_what)
