"""Judges a model on a task of VTAB: by a linear probe on its features, or by fine-tuning as BiT does."""

from dataclasses import dataclass
from functools import cached_property, partial

from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress
from tagmill.training.trained.model import Trained
from tagmill.transfer.command.outcomes import kept_outcome, model_name, outcome_name
from tagmill.transfer.command.ranks import Ranks
from tagmill.transfer.features.backbone import Backbone, open_backbone
from tagmill.transfer.features.extract import Sharing, extract
from tagmill.transfer.finetune.fine_tune import fine_tune
from tagmill.transfer.finetune.options import FineTuneOptions
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.linear import LINEAR, linear_probe
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.report.report_facts import Judged
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.single_label import with_one_label
from tagmill.transfer.vtab.like_split import like_split
from tagmill.transfer.vtab.task_lists import LISTS, has_lists, open_task, rows_of
from tagmill.transfer.vtab.vtab_options import VtabOptions
from tagmill.transfer.vtab.vtab_tasks import VtabTask

OUTCOME_VERSION = 1  # increased with every change of what a run on a task computes
_TUNING = ("rule", "scale", "fine_tune_size", "fine_tune_batch", "fine_tune_lr", "fine_tune_parts", "seed")


@dataclass(frozen=True)
class TaskSets:
    """The sets of a task."""

    trainval: LabelledSet
    val: LabelledSet | None  # images of `trainval` to choose settings on; None: a fifth of them
    test: LabelledSet
    ours: bool  # whether the split is ours and not VTAB's


@dataclass(frozen=True, eq=False)
class TaskBench:
    """A model with what its runs on tasks share."""

    trained: Trained
    options: VtabOptions
    shown: Progress
    ranks: Ranks

    @cached_property
    def backbone(self) -> Backbone:
        """What gives features."""
        return open_backbone(self.trained, self.options.resolution, device=self.options.device)


def task_sets(url: str, task: VtabTask) -> TaskSets:
    """Opens the sets of a task: by VTAB's lists where they are there, else any labelled set in its folder, divided as VTAB
    does. Raises TagmillError for sets that cannot be read, and for one without lists that has fewer than 1,000 images."""
    if has_lists(url, task):
        val = open_task(url, task, "val") if Store(url).within(task.folder).exists(LISTS["val"]) else None
        return TaskSets(open_task(url, task, "trainval"), val, open_task(url, task, "test"), ours=False)
    whole, _ = with_one_label(open_set(f"{url.rstrip('/')}/{task.folder}"))
    split = like_split(whole)
    return TaskSets(split.trainval, split.val, split.test, ours=True)


def judged_task(bench: TaskBench, task: VtabTask, sets: TaskSets) -> Judged:
    """Returns the outcome on a task; one that is in the output is read and not made again, and a fine-tuning that was stopped
    goes on after its last checkpoint."""
    bench.shown.stage(f"judge: {task.folder}")
    if bench.options.protocol == "linear":
        used, facts = [sets.trainval, *([sets.val] if sets.val else []), sets.test], {}
        run, resolution = partial(_linear, bench, sets), bench.options.resolution
    else:
        used, facts = [sets.trainval, sets.test], tuning_facts(bench.options, task)
        run, resolution = partial(_fine_tune, bench, task, sets), None
    protocol = LINEAR if bench.options.protocol == "linear" else bench.options.protocol
    name = outcome_name(bench.trained, resolution, used, protocol, {"vtab": OUTCOME_VERSION, **facts})
    store, model = Store(bench.options.output), model_name(bench.trained)
    return kept_outcome(store, f"outcomes/{name}.parquet", model, run, ranks=bench.ranks)


def tuning_facts(options: VtabOptions, task: VtabTask) -> dict[str, object]:
    """Returns the settings of fine-tuning on a task: those of the options, and BiT's exceptions."""
    return {**{name: getattr(options, name) for name in _TUNING}, "crop": task.crop, "flip": task.flip}


def _linear(bench: TaskBench, sets: TaskSets) -> Outcome:
    kept = Sharing(Store(bench.options.output).within("features"))
    train, test = (
        extract(bench.backbone, each, kept, threads=bench.options.threads, progress=bench.shown)
        for each in (sets.trainval, sets.test)
    )
    held = None if sets.val is None else rows_of(train, sets.val)
    return linear_probe(ProbeInput(bench.trained.where, sets.test.name, train, test), held=held)


def _fine_tune(bench: TaskBench, task: VtabTask, sets: TaskSets) -> Outcome:
    options = bench.options
    chosen = FineTuneOptions(
        recipe="bit",
        rule=options.rule,
        scale=options.scale,
        size=options.fine_tune_size,
        batch_size=options.fine_tune_batch,
        lr=options.fine_tune_lr,
        crop=task.crop,
        flip=task.flip,
        accumulation=options.fine_tune_parts,
        device=options.device,
        threads=options.threads,
        seed=options.seed,
    )
    return fine_tune(bench.trained, sets.trainval, sets.test, chosen, options.output, bench.shown)
