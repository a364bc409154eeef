"""Where a run of batches has its inputs from: from a store, ahead of need."""

from collections.abc import Callable, Sequence
from typing import Protocol

from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.mixture import MixedSchedule
from tagmill.pipeline.order.plan import held_samples, open_samples
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.assemble import AssembledBatch, Assembler
from tagmill.pipeline.read.prefetch import Prefetcher, SampleReader


class BatchSource(Protocol):
    """The inputs of a run's batches, one after the other."""

    def next(self) -> AssembledBatch | None:
        """Returns the next batch, None at the end. Called by one thread."""

    def close(self) -> None:
        """Ends what works ahead."""


class StoreSource:
    """Reads the batches of a schedule from a turn on. Closing gives a pending read a grace period; then it is abandoned."""

    def __init__(
        self,
        config: LoaderConfig,
        schedule: Schedule | MixedSchedule,
        readers: SampleReader | Sequence[SampleReader],
        meters: Meters,
        *,
        slots: int,
        epoch: int,
        turn: int,
        most_readers: int | None = None,
        begin: Callable[[], object] | None = None,
    ) -> None:
        """`begin` is called in each reading thread when it begins."""
        capacity = open_samples(schedule.streams, schedule.window, schedule.chunk, schedule.world)
        sources = [readers] if isinstance(readers, SampleReader) else readers
        remote = any(one.corpus.store.root is None for one in sources)
        first, most = config.reader_range(remote)
        most = most if most_readers is None else max(first, min(most, most_readers))
        longest = max(one.space.num_positions(0) for one in sources)
        capacity = held_samples(capacity + config.read_ahead(remote, most), longest, slots)
        visits = schedule.visits(epoch, turn)
        self._prefetcher = Prefetcher(readers, visits, capacity, (first, most), meters, begin)
        self._assembler = Assembler(config, schedule.steps(epoch, turn), self._prefetcher, slots)

    def next(self) -> AssembledBatch | None:
        """See `Assembler.next`."""
        return self._assembler.next()

    def close(self) -> None:
        """See `Prefetcher.close`."""
        self._prefetcher.close()
