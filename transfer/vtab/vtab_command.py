"""`tagmill transfer vtab`: linear probes on the tasks of VTAB that are there, and their means."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal

import tyro

from tagmill.shards import Store
from tagmill.shards.progress.protocol import Progress, Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.settings.ranges import Count
from tagmill.shards.terminal.lines import columns, print_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.training.trained.model import Trained
from tagmill.transfer.command.outcomes import kept_outcome, model_name, outcome_name
from tagmill.transfer.features.backbone import Backbone, open_backbone, read_model
from tagmill.transfer.features.extract import Sharing, extract
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.probes.linear import LINEAR, linear_probe
from tagmill.transfer.probes.probe_input import ProbeInput
from tagmill.transfer.report.report_facts import Judged, library_versions
from tagmill.transfer.sets.labelled_set import LabelledSet
from tagmill.transfer.sets.open_set import open_set
from tagmill.transfer.sets.single_label import with_one_label
from tagmill.transfer.vtab.like_split import like_split
from tagmill.transfer.vtab.task_lists import LISTS, has_lists, open_task, rows_of, tasks_below
from tagmill.transfer.vtab.vtab_means import VtabMeans, vtab_means
from tagmill.transfer.vtab.vtab_tasks import VtabTask, vtab_task

VTAB_FILE = "vtab.json"
VTAB_FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class VtabOptions:
    """Which model is judged, on which tasks, and how."""

    model: tyro.conf.Positional[str]
    """Exported folder, output of a run, checkpoint, .safetensors file (paths or URLs), or timm:NAME."""
    tasks: tyro.conf.Positional[str]
    """Folder with a folder for each task, such as cifar: with VTAB's lists of images, or any labelled set."""
    output: str
    """Folder or bucket prefix for features, outcomes and vtab.json."""
    network: str | None = None
    """Name of the network in timm, for a .safetensors file that does not say it."""
    resolution: Count | None = None
    """Pixels of a side for features; by default the model's own."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device of the network; auto is a GPU if there is one."""
    threads: Count | None = None
    """Threads that read and decode; by default the cores of this process."""


VTAB_COMMAND = CommandLine(
    "tagmill transfer vtab",
    "Judge a trained model by linear probes on the tasks of VTAB-1k that are there.",
    (VtabOptions, JsonOutput),
)


@dataclass(frozen=True)
class TaskSets:
    """The sets of a task."""

    trainval: LabelledSet
    val: LabelledSet | None  # images of `trainval` to choose settings on; None: a fifth of them
    test: LabelledSet
    ours: bool  # whether the split is ours and not VTAB's


def vtab_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer vtab` command line. Raises TagmillError."""
    options, shown = VTAB_COMMAND.parse(arguments)
    trained = read_model(options.model, options.network)
    tasks = {task.folder: task_sets(options.tasks, task) for task in tasks_below(options.tasks)}
    backbone = open_backbone(trained, options.resolution, device=options.device)
    with nullcontext(Silent()) if shown.json else progress_shown() as progress:
        found = {name: judged_task(backbone, sets, options, progress) for name, sets in tasks.items()}
    means = vtab_means(
        {name: each.outcome for name, each in found.items()}, tuple(name for name, sets in tasks.items() if sets.ours)
    )
    data = canonical_json(vtab_values(trained, tasks, found, means), indent=1)
    Store(options.output).put(VTAB_FILE, data)
    if shown.json:
        sys.stdout.write(data.decode())
    else:
        print_lines(vtab_lines(found, means, options.output))


def task_sets(url: str, task: VtabTask) -> TaskSets:
    """Opens the sets of a task: by VTAB's lists where they are there, else any labelled set in its folder, divided as VTAB
    does. Raises TagmillError for sets that cannot be read, and for one without lists that has fewer than 1,000 images."""
    if has_lists(url, task):
        val = open_task(url, task, "val") if Store(url).within(task.folder).exists(LISTS["val"]) else None
        return TaskSets(open_task(url, task, "trainval"), val, open_task(url, task, "test"), ours=False)
    whole, _ = with_one_label(open_set(f"{url.rstrip('/')}/{task.folder}"))
    split = like_split(whole)
    return TaskSets(split.trainval, split.val, split.test, ours=True)


def judged_task(backbone: Backbone, sets: TaskSets, options: VtabOptions, shown: Progress) -> Judged:
    """Returns the outcome of the linear probe on a task; one that is in the output is read and not made again."""
    used = [sets.trainval, *([sets.val] if sets.val else []), sets.test]
    name = outcome_name(backbone.trained, options.resolution, used, LINEAR, {"vtab": VTAB_FORMAT})
    run = partial(_linear, backbone, sets, options, shown)
    return kept_outcome(Store(options.output), f"outcomes/{name}.parquet", model_name(backbone.trained), run)


def _linear(backbone: Backbone, sets: TaskSets, options: VtabOptions, shown: Progress) -> Outcome:
    kept = Sharing(Store(options.output).within("features"))
    train, test = (
        extract(backbone, each, kept, threads=options.threads, progress=shown) for each in (sets.trainval, sets.test)
    )
    held = None if sets.val is None else rows_of(train, sets.val)
    return linear_probe(ProbeInput(backbone.trained.where, sets.test.name, train, test), held=held)


def vtab_values(
    trained: Trained, tasks: dict[str, TaskSets], found: dict[str, Judged], means: VtabMeans
) -> dict[str, object]:
    """Returns the report for JSON: the same for the same outcomes, without times. Shares are 0 to 1."""
    rows = [
        {
            "task": name,
            "title": vtab_task(name).title,
            "group": vtab_task(name).group,
            "ours": tasks[name].ours,
            "train_digest": tasks[name].trainval.digest,
            "test_digest": tasks[name].test.digest,
            "images": each.figures.images,
            "right": each.figures.right,
            "top1": each.figures.top1._asdict(),
            "skipped": dict(each.outcome.skipped),
            "settings": dict(each.outcome.settings),
            "file": each.file,
            "sha256": each.digest,
        }
        for name, each in found.items()
    ]
    return {
        "format": VTAB_FORMAT,
        "name": means.name,
        "protocol": LINEAR,
        "network": trained.network,
        "model_digest": trained.digest,
        "tasks": rows,
        "groups": dict(means.groups),
        "mean": means.mean,
        "mean_of_groups": means.mean_of_groups,
        "absent": list(means.absent),
        "ours": list(means.ours),
        "versions": library_versions(),
    }


def vtab_lines(found: dict[str, Judged], means: VtabMeans, output: str) -> list[str]:
    """Returns what is printed at the end, at most 25 lines."""
    rows = [["task", "group", "images", "top-1, %", "95 % interval"]]
    for name, each in found.items():
        value, low, high = each.figures.top1
        ends = f"{100 * low:.1f} to {100 * high:.1f}"
        rows.append([name, vtab_task(name).group, f"{each.figures.images:,}", f"{100 * value:.1f}", ends])
    groups = ", ".join(f"{group} {100 * share:.1f}" for group, share in means.groups.items())
    absent = (
        f"; {len(means.absent)} of 19 tasks are absent, so this is not the mean of {means.name}" if means.absent else ""
    )
    ours = [f"the split is ours: {', '.join(means.ours)}"] if means.ours else []
    where = output.rstrip("/")
    return [
        *columns(rows, (2, 3)),
        f"{means.name}: mean of tasks {100 * means.mean:.1f}, of groups {100 * means.mean_of_groups:.1f}{absent}",
        f"groups: {groups}",
        *ours,
        f"report: {safe_text(f'{where}/{VTAB_FILE}', 400)}",
    ]
