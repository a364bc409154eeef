"""A run of batches: threads that read, one that assembles samples into batches and one that decodes them, each ahead of
the next. The run is kept from one `for` of the loader to the next."""

import time
import weakref
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial

import numpy as np

from tagmill.pipeline.augment.apply import apply_augmentations, has_augmentations
from tagmill.pipeline.augment.draws import Crops
from tagmill.pipeline.batch import DTYPES, Batch, Normalisation
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import Backend
from tagmill.pipeline.decode.cpu_affinity import pin, rank_cores
from tagmill.pipeline.decode.cuda_stream import SideStream
from tagmill.pipeline.decode.in_turn import InTurn
from tagmill.pipeline.meters import DECODE, INPUT, OUTPUT, TRAINER, Meters
from tagmill.pipeline.order.mixture import MixedSchedule
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.assemble import AssembledBatch
from tagmill.pipeline.read.batch_source import BatchSource, StoreSource
from tagmill.pipeline.read.prefetch import NO_LABELS, READ_TIMEOUT_SECONDS, SampleReader
from tagmill.pipeline.waits import DECODING, DELIVERY, READING
from tagmill.shards.errors import TagmillError
from tagmill.shards.storage.threads import DaemonPool

AHEAD = 2  # decoded batches that wait for the trainer, while another is being made
BATCH_TIMEOUT_SECONDS = 2 * READ_TIMEOUT_SECONDS  # reads have a shorter limit of their own
UNDECODABLE = "undecodable"  # reason of a hole whose bytes are as stored


@dataclass(frozen=True, eq=False, slots=True)
class ReadyBatch:
    """A batch, the state (epoch, turn) after it, and its holes by reason."""

    batch: Batch
    after: tuple[int, int]
    holes: Mapping[str, int]


def ended_error() -> TagmillError:
    """Returns the error of an iteration that a newer one, `load_state_dict` or `close` ended."""
    return TagmillError("this iteration was ended", "loader", "iterate again: the loader goes on from its state")


def _wake(backend: weakref.ref[Backend], _: object) -> None:
    if (found := backend()) is not None:
        found.wake()


class Run:
    """Makes the batches of a schedule from a turn on. Batches in progress are futures: an error is raised when its
    batch is due, after all earlier batches were yielded."""

    def __init__(
        self,
        config: LoaderConfig,
        schedule: Schedule | MixedSchedule,
        readers: SampleReader | Sequence[SampleReader],
        backend: Backend,
        meters: Meters,
        *,
        slots: int,
        epoch: int,
        turn: int,
        most_readers: int | None = None,
        ahead: int = 1,
        source: BatchSource | None = None,
    ) -> None:
        """`ahead`: number of batches that the decoder may begin while another is incomplete. `source`: the inputs of the
        batches; None: read by `readers` from the store."""
        self.schedule = schedule
        self.at = (epoch, turn)
        """(epoch, turn) at which the next batch begins."""
        self._config = config
        self._backend = backend
        self._meters = meters
        # Each thread is pinned when it begins; those that the decoder starts from the batch thread inherit its cores.
        begin = partial(pin, rank_cores(budget=config.cores)) if config.pin else None
        self._source = source or StoreSource(
            config,
            schedule,
            readers,
            meters,
            slots=slots,
            epoch=epoch,
            turn=turn,
            most_readers=most_readers,
            begin=begin,
        )
        self._assembly_thread = DaemonPool(1, "tagmill-gather", begin)
        self._batch_thread = DaemonPool(1, "tagmill-batch", begin)
        self._stream = SideStream(config.device)
        self._idle_since: float | None = None
        self._closed = False
        self._wake_decoder = partial(_wake, weakref.ref(backend))  # does not keep a run that was dropped
        self._assembling: deque[Future[AssembledBatch | None]] = deque()  # batches that the decoder has not begun
        self._pending: deque[Future[ReadyBatch | None]] = deque()
        for _ in range(ahead - 1):
            self._assemble_next()
        for _ in range(AHEAD + 1):
            self._pending.append(self._submit_next())

    def next_batch(self) -> ReadyBatch | None:
        """Returns the next batch, None at the end. Raises the error that making it raised, and TagmillError after
        `close`."""
        if self._closed:
            raise ended_error()
        future = self._pending.popleft()
        with self._meters.timed(TRAINER):
            try:
                ready = future.result(BATCH_TIMEOUT_SECONDS)
                self._pending.append(self._submit_next())
            except (CancelledError, RuntimeError) as error:
                if self._closed:  # by another thread, while this one waited
                    raise ended_error() from error
                raise
            except TimeoutError as error:
                if future.done():
                    raise
                what = f"no batch for {BATCH_TIMEOUT_SECONDS:.0f} s"
                raise TagmillError(what, "loader", self._meters.report()) from error
        if ready is not None:
            self._stream.hand_over(ready.batch)
            self.at = ready.after
        return ready

    def resume(self) -> None:
        """Restarts the clock where a `for` continues: the time since the previous `for` does not count as waiting for
        the trainer."""
        if self._idle_since is not None:
            self._idle_since = time.perf_counter()
            self._meters.waits.begin(DELIVERY)

    def close(self) -> None:
        """Ends the threads. Waits for a batch that is being decoded; a pending read gets a grace period and is then
        abandoned, because a store may have stopped responding."""
        self._closed = True
        for pool in (self._batch_thread, self._assembly_thread):
            pool.shutdown(wait=False, cancel_futures=True)
        self._source.close()
        self._assembly_thread.stop()
        self._batch_thread.shutdown()
        self._meters.waits.end(DELIVERY)

    def _submit_next(self) -> Future[ReadyBatch | None]:
        self._assemble_next()
        return self._batch_thread.submit(self._make)

    def _assemble_next(self) -> None:
        assembling = self._assembly_thread.submit(self._source.next)
        self._assembling.append(assembling)
        assembling.add_done_callback(self._wake_decoder)

    def _make(self) -> ReadyBatch | None:
        meters = self._meters
        idle, self._idle_since = self._idle_since, None
        meters.waits.end(DELIVERY)
        if idle is not None:
            meters.add_seconds(OUTPUT, time.perf_counter() - idle)
        with meters.timed(INPUT), meters.waits.on(READING):
            assembled = self._assembling.popleft().result()  # reads have a limit of their own
        if assembled is None:
            return None
        slowest = partial(self._slowest, assembled)
        with meters.timed(DECODE), meters.waits.on(DECODING, slowest), self._stream.work():
            ready = self._decode(assembled)
        if (seconds := self._backend.seconds()) is not None:
            meters.slow.add(seconds, assembled.keys, assembled.jpegs)
        self._idle_since = time.perf_counter()
        meters.waits.begin(DELIVERY)
        return ready

    def _slowest(self, assembled: AssembledBatch) -> str:
        """Returns which image of a batch has been decoded for longest, as text; empty if that is not known."""
        seconds = self._backend.seconds()
        if seconds is None or len(seconds) != len(assembled.jpegs) or seconds.min(initial=0) >= 0:
            return ""
        row = int(seconds.argmin())
        key, size = assembled.keys[row].tobytes().hex(), len(assembled.jpegs[row] or b"")
        return f"sample {key} ({size:,} bytes), {-seconds[row]:,.1f} s"

    def _upcoming(self, ahead: int) -> tuple[Sequence[bytes | None], Crops, int] | None:
        """Returns JPEGs, crops and size of the next batch (`ahead` 0) or of one after it (1, 2, ...), if it is assembled
        already."""
        found = self._upcoming_number(ahead)
        return found and found[1:]

    def _upcoming_number(self, ahead: int) -> tuple[int, Sequence[bytes | None], Crops, int] | None:
        """Returns the same with the batch's number first."""
        waiting = list(self._assembling)
        after = waiting[ahead] if ahead < len(waiting) else None
        if after is None or not after.done() or after.cancelled() or after.exception() is not None:
            return None
        assembled = after.result()
        if assembled is None:
            return None
        return assembled.number, assembled.jpegs, assembled.crops, assembled.size

    def _decode(self, assembled: AssembledBatch) -> ReadyBatch:
        config, jpegs, normalisation = self._config, assembled.jpegs, self._backend_normalisation()
        order = jpegs, assembled.crops, assembled.size, normalisation
        if isinstance(self._backend, InTurn):
            images, failed = self._backend.decode_number(assembled.number, *order, self._upcoming_number)
        else:
            images, failed = self._backend.decode(*order, self._upcoming)
        valid = np.array([jpeg is not None for jpeg in jpegs]) & ~failed
        labels = [row if whole else NO_LABELS for row, whole in zip(assembled.labels, valid.tolist(), strict=True)]
        lost = np.flatnonzero(~valid[: assembled.count]).tolist()
        reasons = Counter(UNDECODABLE if failed[row] else assembled.reasons[row] for row in lost)
        facts = assembled.keys, assembled.positions, assembled.sources
        batch = Batch.of(images, labels, valid, assembled.count, *facts)
        if config.device != "cpu":
            batch = batch.carried(config.device)
        if normalisation is None:
            batch = apply_augmentations(batch, config, assembled.epoch, assembled.positions, valid, self._backend.share)
            batch = batch.normalised(config.output, config.mean, config.std, self._backend.normalise)
        return ReadyBatch(batch, assembled.after, reasons)

    def _backend_normalisation(self) -> Normalisation | None:
        """Returns the normalisation that the backend can do while it decodes: possible if no augmentation comes between
        and images need not travel as uint8."""
        config = self._config
        if (
            config.output == "uint8"
            or has_augmentations(config)
            or (config.device != "cpu" and not self._backend.on_device)
        ):
            return None
        return Normalisation(config.mean, config.std, DTYPES[config.output])
