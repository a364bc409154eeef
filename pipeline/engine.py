"""What makes a loader's batches: a decoding backend, and a run that works ahead. Both live on from one `for` to the next."""

from collections.abc import Mapping, Sequence

from tagmill.pipeline.config import LoaderConfig
from tagmill.pipeline.decode.backend import Backend, choose
from tagmill.pipeline.iteration import ReadyBatch, Run
from tagmill.pipeline.meters import Meters
from tagmill.pipeline.order.mixture import MixedSchedule
from tagmill.pipeline.order.schedule import Schedule
from tagmill.pipeline.read.prefetch import SampleReader
from tagmill.shards.errors import TagmillError


class Engine:
    """Used by the trainer's thread; `close` may come from another."""

    def __init__(self, config: LoaderConfig, readers: Sequence[SampleReader], meters: Meters) -> None:
        self._config, self._readers, self._meters = config, readers, meters
        self._backend: Backend | None = None
        self.run: Run | None = None
        """The run of the last iteration."""

    def run_from(self, schedule: Schedule | MixedSchedule, places: int, epoch: int, turn: int) -> Run:
        """A run whose next batch begins at a turn: the present one where it stands at that turn of the same schedule, else a
        new one."""
        run = self.run
        if run is not None and run.schedule is schedule and run.at == (epoch, turn):
            run.resume()
            return run
        self._end_run()
        self._backend = self._backend or choose(self._config)
        run = self.run = Run(
            self._config,
            schedule,
            self._readers,
            self._backend,
            self._meters,
            places=places,
            epoch=epoch,
            turn=turn,
        )
        return run

    def next(self, run: Run) -> ReadyBatch | None:
        """The run's next batch, None at its end. A run that fails is ended. Raises what the making of the batch raised, and
        TagmillError where the failure budget is spent."""
        try:
            made = run.next_made()
            if made is not None:
                self._meters.add_batch(made.batch.count, made.holes)
                self._check_budget(made.holes)
            return made
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
            remedy = f"mostly {self._meters.top_reasons(lost=True)}; run tagmill corpus lint, or raise failure_budget"
            raise TagmillError(what, ", ".join(one.corpus.store.url for one in self._readers), remedy)
