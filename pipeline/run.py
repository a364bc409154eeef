"""One iteration of a loader: threads that read ahead of one thread that makes batches ahead of the trainer."""

import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from tagmill.pipeline.alter import alter
from tagmill.pipeline.augment import Crops, Int32s, Int64s, eval_crops, train_crops
from tagmill.pipeline.backend import Backend
from tagmill.pipeline.batch import PADDING, Batch
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.meters import DECODE, OUTPUT, TRAINER, Meters
from tagmill.pipeline.mixture import MixedSchedule
from tagmill.pipeline.plan import open_samples
from tagmill.pipeline.prefetch import NO_LABELS, PATIENCE_SECONDS, Encoded, Prefetcher, SampleReader
from tagmill.pipeline.schedule import Schedule, Step
from tagmill.shards.errors import TagmillError

AHEAD = 2  # decoded batches that wait for the trainer, while another is in work
BATCH_PATIENCE_SECONDS = 2 * PATIENCE_SECONDS  # reads have their own limit inside this one
UNDECODABLE = "undecodable"  # the reason of a hole whose bytes are those that were stored


@dataclass(frozen=True, eq=False, slots=True)
class Made:
    """A batch, the state (epoch, turn) that it leads to, and its holes by reason."""

    batch: Batch
    after: tuple[int, int]
    holes: Mapping[str, int]


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
        self._config, self._backend, self._meters, self._places = config, backend, meters, places
        self._steps = schedule.steps(epoch, turn)
        capacity = open_samples(schedule.streams, schedule.window, schedule.chunk, schedule.world)
        sources = [readers] if isinstance(readers, SampleReader) else readers
        threads = config.resolve_readers(any(one.corpus.store.root is None for one in sources))
        self._prefetcher = Prefetcher(readers, schedule.visits(epoch, turn), capacity, threads, meters)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="tagmill-batch")
        self._idle_since: float | None = None
        self._closed = False
        self._pending: deque[Future[Made | None]] = deque()
        for _ in range(AHEAD + 1):
            self._pending.append(self._worker.submit(self._make))

    def next_made(self) -> Made | None:
        """The next batch, None at the end. Raises what the making of it raised, and TagmillError after `close`."""
        ended = TagmillError("this iteration was ended", "loader", "iterate anew: the loader goes on from its state")
        if self._closed:
            raise ended
        future = self._pending.popleft()
        with self._meters.timed(TRAINER):
            try:
                made = future.result(BATCH_PATIENCE_SECONDS)
                self._pending.append(self._worker.submit(self._make))
            except (CancelledError, RuntimeError) as error:
                if self._closed:  # by another thread, while we waited
                    raise ended from error
                raise
            except TimeoutError as error:
                if future.done():
                    raise
                what = f"no batch for {BATCH_PATIENCE_SECONDS:.0f} s"
                raise TagmillError(what, "loader", self._meters.report()) from error
        return made

    def close(self) -> None:
        """Ends the threads; a read or a batch that is under way is waited for."""
        self._closed = True
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._prefetcher.close()
        self._worker.shutdown(wait=True)

    def _make(self) -> Made | None:
        if self._idle_since is not None:
            self._meters.add_seconds(OUTPUT, time.perf_counter() - self._idle_since)
        step = next(self._steps, None)
        if step is None:
            return None
        samples = self._prefetcher.take(step.epoch, step.positions, step.sources)
        with self._meters.timed(DECODE):
            made = self._decode(step, samples)
        self._idle_since = time.perf_counter()
        return made

    def _decode(self, step: Step, samples: list[Encoded]) -> Made:
        """Pictures, windows and facts of all places: first those of the samples, then padding."""
        config, count = self._config, len(samples)
        padding = self._places - count
        unused = np.full(padding, PADDING)
        positions = np.append(step.positions, unused)
        sources = None if step.sources is None else np.append(step.sources, unused)
        epoch = step.epoch if isinstance(step.epoch, int) else np.append(step.epoch, unused)
        keys = np.frombuffer(b"".join(sample.key for sample in samples) + bytes(16 * padding), np.uint8).reshape(-1, 16)
        widths = np.array([sample.width for sample in samples] + [1] * padding, np.int32)
        heights = np.array([sample.height for sample in samples] + [1] * padding, np.int32)
        jpegs = [sample.jpeg for sample in samples] + [None] * padding
        images, failed = self._backend.decode(jpegs, self._crops(epoch, positions, widths, heights), config.size)
        valid = np.array([jpeg is not None for jpeg in jpegs]) & ~failed
        labels = [sample.labels if valid[row] else NO_LABELS for row, sample in enumerate(samples)]
        reasons = [
            UNDECODABLE if failed[row] else sample.reason for row, sample in enumerate(samples) if not valid[row]
        ]
        batch = Batch.of(images, labels + [NO_LABELS] * padding, valid, count, keys.copy(), positions, sources)
        if config.device != "cpu":
            batch = batch.pin_memory().to(config.device, non_blocking=True)
        batch = alter(batch, config, epoch, positions, valid)
        batch = batch.normalised(config.output, config.mean, config.std, self._backend.normalise)
        return Made(batch, step.after, Counter(reasons))

    def _crops(self, epoch: int | Int64s, positions: Int64s, widths: Int32s, heights: Int32s) -> Crops:
        if self._config.augment == "train":
            return train_crops(self._config.seed, epoch, positions, widths, heights)
        return eval_crops(widths, heights, self._config.size)
