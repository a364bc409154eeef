"""`tagmill transfer vtab`: judges a model on the tasks of VTAB that are there, and gives their means."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext

from tagmill.shards import Store
from tagmill.shards.progress.protocol import Silent
from tagmill.shards.progress.shown import progress_shown
from tagmill.shards.settings.options import CommandLine, JsonOutput
from tagmill.shards.terminal.lines import columns, print_lines
from tagmill.shards.terminal.safe_text import safe_text
from tagmill.transfer.command.ranks import Ranks, joined_ranks, one_process
from tagmill.transfer.features.backbone import read_model
from tagmill.transfer.outcome.canonical import canonical_json
from tagmill.transfer.report.report_facts import Judged
from tagmill.transfer.vtab.task_lists import tasks_below
from tagmill.transfer.vtab.task_runs import TaskBench, judged_task, task_sets
from tagmill.transfer.vtab.vtab_facts import vtab_values
from tagmill.transfer.vtab.vtab_means import VtabMeans, vtab_means
from tagmill.transfer.vtab.vtab_options import VtabOptions
from tagmill.transfer.vtab.vtab_page import vtab_page
from tagmill.transfer.vtab.vtab_tasks import vtab_task

VTAB_FILE, VTAB_PAGE = "vtab.json", "vtab.html"
VTAB_COMMAND = CommandLine(
    "tagmill transfer vtab",
    "Judge a trained model on the tasks of VTAB-1k that are there, by linear probes or by fine-tuning.",
    (VtabOptions, JsonOutput),
)


def vtab_command(arguments: Sequence[str]) -> None:
    """Runs one `tagmill transfer vtab` command line. Raises TagmillError."""
    options, shown = VTAB_COMMAND.parse(arguments)
    if options.protocol == "linear":
        one_process("tagmill transfer vtab by linear probes")
    with ExitStack() as stack:
        _vtab(options, joined_ranks(options.device, stack), json=shown.json)


def _vtab(options: VtabOptions, ranks: Ranks, *, json: bool) -> None:
    """All processes find the outcomes; the first one reports."""
    trained = read_model(options.model, options.network)
    tasks = {task.folder: task_sets(options.tasks, task) for task in tasks_below(options.tasks)}
    with nullcontext(Silent()) if json or not ranks.first else progress_shown() as progress:
        bench = TaskBench(trained, options, progress, ranks)
        found = {name: judged_task(bench, vtab_task(name), sets) for name, sets in tasks.items()}
    if not ranks.first:
        return
    means = vtab_means(
        {name: each.outcome for name, each in found.items()}, tuple(name for name, sets in tasks.items() if sets.ours)
    )
    values = vtab_values(trained, options, tasks, found, means)
    data, store = canonical_json(values, indent=1), Store(options.output)
    store.put(VTAB_PAGE, vtab_page(values))
    store.put(VTAB_FILE, data)
    if json:
        sys.stdout.write(data.decode())
    else:
        print_lines(vtab_lines(found, means, options.output))


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
        f"report: {safe_text(f'{where}/{VTAB_PAGE}', 400)}",
    ]
