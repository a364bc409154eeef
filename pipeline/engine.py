"""Owns a loader's decoding backend and its read-ahead run. Both are kept from one `for` to the next."""

from collections.abc import Mapping, Sequence

from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import Backend, choose
from tagmill.pipeline.decode.choice.pictures import pictures_of
from tagmill.pipeline.iteration import ReadyBatch, Run
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.mixture import MixedSchedule
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.prefetch import SampleReader
from tagmill.shards.errors import TagmillError


class Engine:
    """Backend and run of one loader. The trainer's thread uses it; another thread may call `close`."""

    def __init__(self, config: LoaderConfig, readers: Sequence[SampleReader], meters: Meters) -> None:
        self._config = config
        self._readers = readers
        self._meters = meters
        self._backend: Backend | None = None
        self.run: Run | None = None
        """The run of the last iteration."""

    def run_from(
        self,
        schedule: Schedule | MixedSchedule,
        slots: int,
        epoch: int,
        turn: int,
        most_readers: int | None = None,
        ahead: int = 1,
    ) -> Run:
        """Returns a run whose next batch begins at `turn`: the current one if it is at that turn of the same schedule,
        else a new one. `slots` is the length of a batch; `most_readers` limits the chunks that are read at a time, and `ahead`
        the batches that are begun while one is incomplete."""
        run = self.run
        if run is not None and run.schedule is schedule and run.at == (epoch, turn):
            run.resume()
            return run
        self._end_run()
        self._backend = self._backend or choose(self._config, pictures_of([one.corpus for one in self._readers]))
        run = self.run = Run(
            self._config,
            schedule,
            self._readers,
            self._backend,
            self._meters,
            slots=slots,
            epoch=epoch,
            turn=turn,
            most_readers=most_readers,
            ahead=ahead,
        )
        return run

    def next(self, run: Run) -> ReadyBatch | None:
        """Returns the run's next batch, None at its end. Ends a run that fails. Raises the error that making the batch
        raised, and TagmillError if the failure budget is exceeded."""
        try:
            ready = run.next_batch()
            if ready is not None:
                self._meters.add_batch(ready.batch.count, ready.holes)
                self._check_budget(ready.holes)
            return ready
        except BaseException:
            if self.run is run:
                self._end_run()
            raise

    def close(self) -> None:
        """Ends the run and the backend. See `Run.close`."""
        self._end_run()
        backend, self._backend = self._backend, None
        if backend is not None:
            backend.close()

    def _end_run(self) -> None:
        run, self.run = self.run, None
        if run is not None:
            run.close()

    def _check_budget(self, holes: Mapping[str, int]) -> None:
        seen, lost = self._meters.images, self._meters.num_lost
        if holes and lost > self._config.allowed_holes(seen):
            what = f"{lost:,} of {seen:,} samples are holes, beyond failure_budget {self._config.failure_budget}"
            remedy = f"most frequent: {self._meters.top_reasons(lost=True)}; run tagmill corpus lint, or raise failure_budget"
            raise TagmillError(what, ", ".join(one.corpus.store.url for one in self._readers), remedy)
