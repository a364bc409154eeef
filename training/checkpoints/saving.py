"""The checkpoints of a run: saved in the background, one after the other, and only if every number is finite."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_saver import async_save

from tagmill.shards import Store, TagmillError, Vocabulary
from tagmill.training.checkpoints.divergence import diverged
from tagmill.training.checkpoints.failures import first_failure
from tagmill.training.checkpoints.keeping import remove, superfluous
from tagmill.training.checkpoints.layout import DONE, VOCABULARY, Done, Sized, best, folder_of
from tagmill.training.checkpoints.resuming import identity
from tagmill.training.checkpoints.state import all_finite, own_share, tensors_of, values_of
from tagmill.training.checkpoints.together import on_first
from tagmill.training.checkpoints.writer import CheckpointWriter
from tagmill.training.run import StepRun


class Checkpoints:
    """Saves the checkpoints of a run. Every process calls the methods at the same steps.

    The steps wait only while the state is copied to the memory of the host. The next checkpoint waits for the one before.
    """

    def __init__(
        self, run: StepRun, store: Store, vocabulary: Vocabulary, beside: Mapping[str, bytes] | None = None
    ) -> None:
        """`beside`: further objects of every checkpoint, by name."""
        self.store = store
        self.records: dict[int, Done] = {}
        """The whole checkpoints of the output, by step; on process 0."""
        self.given_up: set[int] = set()
        """Steps whose checkpoints are removed when the next one is whole: those of a run that starts again, or went back to
        an earlier step."""
        self.best: float | None = None
        """The best score so far, of this run."""
        self.group: Any = dist.new_group(backend="gloo") if run.several else None
        """The processes, for what is agreed in the background: collectives of the training must not meet those of a save."""
        self._run, self._vocabulary = run, vocabulary
        self._beside = {VOCABULARY: vocabulary.json(), **(beside or {})} if run.world.rank == 0 else {}
        gpu = run.device != "cpu"
        # The buffers are kept from one save to the next; on a GPU they are page-locked.
        self._stager = DefaultStager(StagingOptions(gpu, False, False, gpu))
        self._writing: tuple[int, Future[Any]] | None = None
        self.saved: int | None = None
        """The step of the checkpoint that was saved last, or from which the run continues."""
        self._scored: tuple[int, float] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the last checkpoint, also after an error, which then is the one that is raised."""
        try:
            if kind is None or issubclass(kind, Exception):
                self.wait()
        except TagmillError:
            if kind is None:
                raise
        finally:
            self._stager.close()

    def due(self) -> bool:
        """Returns whether a checkpoint is saved after this step."""
        run = self._run
        at_end = run.config.checkpoint_epochs and run.loader.state_dict()["turn"] == 0
        return run.step % run.config.checkpoint_every == 0 or bool(at_end)

    def score(self, value: float) -> bool:
        """Notes the accuracy of the weights at this step. Returns whether a checkpoint of this step is to be saved because it
        is the best so far; one that is saved already gets the score. The best is kept until a better one is whole. Raises
        TagmillError as `wait`."""
        if self.best is not None and value <= self.best:
            return False
        self.best, step = value, self._run.step
        if step != self.saved:
            self._scored = step, value
            return True
        self.wait()
        on_first(self.group, partial(self._add_score, step, value))
        return False

    def failed(self) -> bool:
        """Returns whether the last save has failed. `wait` raises its error on all processes; it is for them to agree when."""
        return self._writing is not None and self._writing[1].done() and self._writing[1].exception() is not None

    def wait(self) -> None:
        """Waits until the last checkpoint is whole. Raises TagmillError if it could not be written; those before it are as
        they were."""
        if self._writing is None:
            return
        (step, future), self._writing = self._writing, None
        try:
            future.result()
        except (CheckpointException, Exception) as error:
            self.saved = None  # so that it may be saved again
            first = first_failure(error)
            remedy = "older checkpoints are whole, and the same command continues from them"
            remedy = "; ".join(filter(None, (first.remedy, remedy)))
            raise TagmillError(
                f"the checkpoint of step {step:,} was not saved: {first.what}", first.where, remedy
            ) from error

    def save(self) -> None:
        """Copies the state of the run, and saves it in the background, unless there is a checkpoint of this step, which the
        run has made or continues from: it is not removed to be written again. Raises TagmillError for weights, or an optimiser,
        that are not finite, and if the save before this one has failed."""
        self.wait()
        run = self._run
        if run.step == self.saved:
            return
        state = own_share(run, tensors_of(run))
        if not all_finite(run, state):
            where = f"step {run.step:,} of {run.steps:,}"
            raise diverged(run.config, "weights or the optimiser's state are not finite", where)
        scored = self._scored[1] if self._scored and self._scored[0] == run.step else None
        record = partial(
            Done,
            step=run.step,
            images=run.images,
            steps=run.steps,
            serial=1 + max((done.serial for done in self.records.values()), default=0),
            score=scored,
            world=run.world.size,
            identity=identity(run.config, self._vocabulary),
            loader=run.loader.state_dict(),
            values=values_of(run),
        )
        writer = CheckpointWriter(self.store, run.step, partial(_made, record), self._beside, self._clear, self._tidy)
        planner = DefaultSavePlanner(flatten_state_dict=False)
        options: dict[str, Any] = {"process_group": self.group, "no_dist": self.group is None}
        future = async_save(state, storage_writer=writer, planner=planner, async_stager=self._stager, **options)
        assert isinstance(future, Future)
        self._writing, self.saved = (run.step, future), run.step

    def _clear(self, step: int) -> None:
        """Removes what there is of a step before it is written again, on process 0."""
        self.records.pop(step, None)
        remove(self.store, step)

    def _add_score(self, step: int, value: float) -> None:
        done = self.records[step] = replace(self.records[step], score=value)
        self.store.put(f"{folder_of(step)}/{DONE}", done.json())

    def _tidy(self, done: Done) -> None:
        """Removes the checkpoints that are not kept, after a new one is whole, on process 0."""
        self.records[done.step] = done
        own = {step: each for step, each in self.records.items() if step not in self.given_up - {done.step}}
        for step in sorted((self.given_up - {done.step}) | superfluous(own, self._run.config.keep)):
            self.records.pop(step, None)
            remove(self.store, step)
        self.given_up = set()


def best_until(records: Mapping[int, Done], step: int) -> float | None:
    """Returns the best score of the checkpoints up to a step."""
    past = {each: done for each, done in records.items() if each <= step}
    found = best(past)
    return None if found is None else past[found].score


def _made(record: "partial[Done]", objects: Mapping[str, Sized]) -> Done:
    return record(objects=dict(objects))
