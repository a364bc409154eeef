"""Runs parts of the loader for some seconds: reading alone, decoding alone, and the whole."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from types import TracebackType
from typing import Self

from tagmill.pipeline.batch import Batch
from tagmill.pipeline.bench.rates import MeasuredRound
from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import choose
from tagmill.pipeline.decode.choice.pictures import pictures_of
from tagmill.pipeline.iteration import Run
from tagmill.pipeline.loader import Loader
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.read.assemble import AssembledBatch
from tagmill.pipeline.read.batch_source import StoreSource
from tagmill.shards.errors import CorpusError

WARM_SHARE = 0.25  # of a measurement's seconds, before it: threads start, queues fill
WARM_BATCHES = 4
LEAST_BATCHES = 4  # of a measurement, however long they take
KEPT_BATCHES, KEPT_BYTES = 8, 256_000_000  # in memory, for decoding alone


class ResidentSource:
    """Gives batches that are in memory, in turn and without end."""

    def __init__(self, batches: Sequence[AssembledBatch]) -> None:
        self._batches, self._numbers = batches, count()

    def next(self) -> AssembledBatch:
        """Returns the next batch."""
        number = next(self._numbers)
        return replace(self._batches[number % len(self._batches)], number=number)

    def close(self) -> None:
        """Nothing works ahead."""


class Stages:
    """Measures one corpus. Each measurement starts the threads that it needs, and ends them: nothing works ahead while another
    is measured. Reading goes on where it stopped, so that it reads new images as long as the corpus has some."""

    def __init__(self, corpus: str, config: LoaderConfig, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._loaders: dict[str, Loader] = {config.backend: Loader(corpus, config)}
        self._loader = self._loaders[config.backend]
        self._at = 0, 0  # (epoch, turn) at which reading goes on
        self._kept: list[AssembledBatch] = []
        self.corpus, self.config = self._loader.corpus, self._loader.config
        self.images_read = 0
        """Images of all measurements from the store, with those of warm-ups."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def reading(self, seconds: float) -> MeasuredRound:
        """Reads and assembles batches, and decodes none."""
        loader, (epoch, turn) = self._loader, self._at
        source = StoreSource(
            loader.config,
            loader._schedule,
            loader._readers,
            Meters(),
            slots=loader.local_batch_size,
            epoch=epoch,
            turn=turn,
        )

        def take() -> tuple[int, int]:
            batch = source.next()
            if batch is None:
                raise CorpusError("an epoch without samples", loader.corpus.store.url, "choose another view")
            self._at = batch.after
            self._keep(batch)
            return self._read(batch.count), sum(map(len, filter(None, batch.jpegs)))

        try:
            return self._measured(take, seconds)
        finally:
            source.close()

    def decoding(self, backend: str, seconds: float) -> MeasuredRound:
        """Makes batches of images that are in memory, with all that belongs to it but the store. `reading` comes before."""
        loader = self._loader_of(backend)
        run = Run(
            loader.config,
            loader._schedule,
            loader._readers,
            choose(loader.config, pictures_of([loader.corpus])),
            Meters(),
            slots=loader.local_batch_size,
            epoch=0,
            turn=0,
            ahead=loader._ahead,
            source=ResidentSource(self._kept),
        )

        def take() -> tuple[int, int]:
            ready = run.next_batch()
            assert ready is not None, "a resident source has no end"
            return ready.batch.count, int(self._mean_bytes * ready.batch.count)

        try:
            return self._measured(take, seconds)
        finally:
            run.close()
            run._backend.close()

    def whole(self, backend: str, seconds: float) -> MeasuredRound:
        """Takes the batches of the loader, and does nothing with them."""
        loader = self._loader_of(backend)
        batches = iter(loader.endless())

        def take() -> tuple[int, int]:
            batch: Batch = next(batches)
            return self._read(batch.count), int(self._mean_bytes * batch.count)

        try:
            return self._measured(take, seconds)
        finally:
            loader.close()

    def close(self) -> None:
        """Ends all threads."""
        for loader in self._loaders.values():
            loader.close()

    @property
    def _mean_bytes(self) -> float:
        images = [jpeg for batch in self._kept for jpeg in batch.jpegs if jpeg is not None]
        return sum(map(len, images)) / max(1, len(images))

    def _loader_of(self, backend: str) -> Loader:
        if backend not in self._loaders:
            config = replace(self._loader.config, backend=backend)  # type: ignore[arg-type]
            self._loaders[backend] = Loader(self.corpus, config)
        return self._loaders[backend]

    def _read(self, images: int) -> int:
        self.images_read += images
        return images

    def _keep(self, batch: AssembledBatch) -> None:
        held = sum(len(jpeg) for kept in self._kept for jpeg in kept.jpegs if jpeg is not None)
        if not self._kept or (len(self._kept) < KEPT_BATCHES and held < KEPT_BYTES):
            self._kept.append(batch)

    def _measured(self, take: Callable[[], tuple[int, int]], seconds: float) -> MeasuredRound:
        """Takes batches for a warm-up and then for `seconds`. `take` returns the images and bytes of a batch."""
        begun, batches = self._clock(), 0
        while batches < WARM_BATCHES or self._clock() - begun < WARM_SHARE * seconds:
            take()
            batches += 1
        begun, cpu = self._clock(), time.process_time()
        images = num_bytes = batches = 0
        while batches < LEAST_BATCHES or self._clock() - begun < seconds:
            more, more_bytes = take()
            images, num_bytes, batches = images + more, num_bytes + more_bytes, batches + 1
        took = self._clock() - begun
        if not images:
            raise CorpusError("batches without images", self.corpus.store.url, "run tagmill corpus lint")
        return MeasuredRound(images, num_bytes, took, time.process_time() - cpu)
