"""Batches from one place on: threads that read, one that gathers what they read into batches, and one that makes these, each
ahead of the next. It lives on from one `for` of the loader to the next."""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass

import numpy as np

from tagmill.pipeline.augment.apply import alter, alters
from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import DTYPES, Batch, Normalisation
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import Backend
from tagmill.pipeline.decode.cpu_affinity import pin, rank_cores
from tagmill.pipeline.decode.cuda_stream import Lane
from tagmill.pipeline.meters import DECODE, INPUT, OUTPUT, TRAINER, Meters
from tagmill.pipeline.order.mixture import MixedSchedule
from tagmill.pipeline.order.plan import open_samples
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.assemble import Gathered, Gatherer
from tagmill.pipeline.read.prefetch import NO_LABELS, PATIENCE_SECONDS, Prefetcher, SampleReader
from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.threads import DaemonPool

AHEAD = 2  # decoded batches that wait for the trainer, while another is in work
BATCH_PATIENCE_SECONDS = 2 * PATIENCE_SECONDS  # reads have their own limit inside this one
UNDECODABLE = "undecodable"  # the reason of a hole whose bytes are those that were stored


@dataclass(frozen=True, eq=False, slots=True)
class ReadyBatch:
    """A batch, the state (epoch, turn) that it leads to, and its holes by reason."""

    batch: Batch
    after: tuple[int, int]
    holes: Mapping[str, int]


def ended() -> TagmillError:
    """What an iteration says that another one, `load_state_dict` or `close` ended."""
    return TagmillError("this iteration was ended", "loader", "iterate again: the loader goes on from its state")


class Run:
    """Makes the batches of a schedule from a turn on. The batches in work are futures, so whatever goes wrong in making
    one is raised when its turn has come, and all before it are handed out."""

    def __init__(
        self,
        config: LoaderConfig,
        schedule: Schedule | MixedSchedule,
        readers: SampleReader | Sequence[SampleReader],
        backend: Backend,
        meters: Meters,
        *,
        places: int,
        epoch: int,
        turn: int,
    ) -> None:
        self.schedule, self.at = schedule, (epoch, turn)
        """Where the next batch begins."""
        self._config, self._backend, self._meters = config, backend, meters
        capacity = open_samples(schedule.streams, schedule.window, schedule.chunk, schedule.world)
        sources = [readers] if isinstance(readers, SampleReader) else readers
        remote = any(one.corpus.store.root is None for one in sources)
        threads, capacity = config.resolve_readers(remote), capacity + config.read_ahead(remote)
        self._prefetcher = Prefetcher(readers, schedule.visits(epoch, turn), capacity, threads, meters)
        self._gatherer = Gatherer(config, schedule.steps(epoch, turn), self._prefetcher, places)
        self._gathering = DaemonPool(1, "tagmill-gather")
        begin = (pin, (rank_cores(),)) if config.pin else (None, ())  # and what the decoder starts from that thread
        self._worker = DaemonPool(1, "tagmill-batch", *begin)
        self._lane = Lane(config.device)
        self._idle_since: float | None = None
        self._closed = False
        self._gatherings: deque[Future[Gathered | None]] = deque()  # of batches that are not in work yet
        self._pending: deque[Future[ReadyBatch | None]] = deque()
        for _ in range(AHEAD + 1):
            self._pending.append(self._ahead())

    def next_made(self) -> ReadyBatch | None:
        """The next batch, None at the end. Raises what the making of it raised, and TagmillError after `close`."""
        if self._closed:
            raise ended()
        future = self._pending.popleft()
        with self._meters.timed(TRAINER):
            try:
                made = future.result(BATCH_PATIENCE_SECONDS)
                self._pending.append(self._ahead())
            except (CancelledError, RuntimeError) as error:
                if self._closed:  # by another thread, while we waited
                    raise ended() from error
                raise
            except TimeoutError as error:
                if future.done():
                    raise
                what = f"no batch for {BATCH_PATIENCE_SECONDS:.0f} s"
                raise TagmillError(what, "loader", self._meters.report()) from error
        if made is not None:
            self._lane.hand_over(made.batch)
            self.at = made.after
        return made

    def resume(self) -> None:
        """Called where a `for` goes on: the time since the one before is no time that the decoder waited for the trainer."""
        if self._idle_since is not None:
            self._idle_since = time.perf_counter()

    def close(self) -> None:
        """Ends the threads. A batch that is being decoded is waited for; a read that is under way has a moment and is then
        left: a store may have stopped answering."""
        self._closed = True
        for pool in (self._worker, self._gathering):
            pool.shutdown(wait=False, cancel_futures=True)
        self._prefetcher.close()
        self._gathering.stop()
        self._worker.shutdown()

    def _ahead(self) -> Future[ReadyBatch | None]:
        self._gatherings.append(self._gathering.submit(self._gatherer.next))
        return self._worker.submit(self._make)

    def _make(self) -> ReadyBatch | None:
        idle, self._idle_since = self._idle_since, None
        if idle is not None:
            self._meters.add_seconds(OUTPUT, time.perf_counter() - idle)
        with self._meters.timed(INPUT):
            gathered = self._gatherings.popleft().result()  # reads have a limit of their own
        if gathered is None:
            return None
        with self._meters.timed(DECODE), self._lane.making():
            made = self._decode(gathered)
        self._idle_since = time.perf_counter()
        return made

    def _coming(self, ahead: int) -> tuple[Sequence[bytes | None], Crops] | None:
        """What will be decoded next (0), or after that, if it has been gathered."""
        waiting = list(self._gatherings)
        after = waiting[ahead] if ahead < len(waiting) else None
        if after is None or not after.done() or after.cancelled() or after.exception() is not None:
            return None
        gathered = after.result()
        return None if gathered is None else (gathered.jpegs, gathered.crops)

    def _decode(self, gathered: Gathered) -> ReadyBatch:
        config, jpegs, how = self._config, gathered.jpegs, self._at_once()
        images, failed = self._backend.decode(jpegs, gathered.crops, config.size, how, self._coming)
        valid = np.array([jpeg is not None for jpeg in jpegs]) & ~failed
        labels = [row if whole else NO_LABELS for row, whole in zip(gathered.labels, valid.tolist(), strict=True)]
        lost = np.flatnonzero(~valid[: gathered.count]).tolist()
        reasons = Counter(UNDECODABLE if failed[row] else gathered.reasons[row] for row in lost)
        facts = gathered.keys, gathered.positions, gathered.sources
        batch = Batch.of(images, labels, valid, gathered.count, *facts)
        if config.device != "cpu":
            batch = batch.carried(config.device)
        if how is None:
            batch = alter(batch, config, gathered.epoch, gathered.positions, valid, self._backend.share)
            batch = batch.normalised(config.output, config.mean, config.std, self._backend.normalise)
        return ReadyBatch(batch, gathered.after, reasons)

    def _at_once(self) -> Normalisation | None:
        """How the backend can normalise while it decodes: where nothing comes between, and images need not travel as uint8."""
        config = self._config
        if config.output == "uint8" or alters(config) or (config.device != "cpu" and not self._backend.on_device):
            return None
        return Normalisation(config.mean, config.std, DTYPES[config.output])
