"""The means of VTAB: over tasks, over the tasks of each group, and over groups."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tagmill.shards import ConfigError
from tagmill.transfer.outcome.outcome import Outcome
from tagmill.transfer.outcome.right_classes import right_at
from tagmill.transfer.vtab.vtab_tasks import VTAB_GROUPS, VTAB_TASKS, VtabGroup, vtab_task


@dataclass(frozen=True)
class VtabMeans:
    """What a model reaches on the tasks of VTAB: shares of test images whose class is right."""

    name: str  # VTAB-1k; VTAB-like where a split is ours
    tasks: Mapping[str, float]  # by folder, in VTAB's order
    groups: Mapping[VtabGroup, float]  # mean of the tasks of each group that has some
    mean: float  # of the tasks, which BiT reports
    mean_of_groups: float  # of the groups, which later papers report too
    absent: tuple[str, ...]  # tasks without an outcome: with some, the means are not VTAB's
    ours: tuple[str, ...]  # tasks whose split is ours


def vtab_means(outcomes: Mapping[str, Outcome], ours: tuple[str, ...] = ()) -> VtabMeans:
    """Returns the means of outcomes by folder of their task. `ours`: the tasks whose split is ours and not VTAB's. Raises
    ConfigError for a task that VTAB does not have, outcomes without images, and those of several models or protocols."""
    if not outcomes:
        raise ConfigError("no outcome of a task of VTAB", "vtab", "run at least one task")
    for folder in [*outcomes, *ours]:
        vtab_task(folder)
    for what in ("model", "protocol"):
        if len(several := {str(getattr(found, what)) for found in outcomes.values()}) > 1:
            raise ConfigError(f"outcomes of {len(several)} {what}s", "vtab", "give outcomes of one model and protocol")
    tasks = {task.folder: _accuracy(outcomes[task.folder]) for task in VTAB_TASKS if task.folder in outcomes}
    groups: dict[VtabGroup, float] = {}
    for group in VTAB_GROUPS:
        if own := [share for folder, share in tasks.items() if vtab_task(folder).group == group]:
            groups[group] = float(np.mean(own))
    return VtabMeans(
        "VTAB-like" if set(ours) & set(tasks) else "VTAB-1k",
        tasks,
        groups,
        float(np.mean(list(tasks.values()))),
        float(np.mean(list(groups.values()))),
        tuple(task.folder for task in VTAB_TASKS if task.folder not in outcomes),
        tuple(folder for folder in tasks if folder in ours),
    )


def _accuracy(outcome: Outcome) -> float:
    if not len(outcome.truth):
        raise ConfigError("an outcome without images", outcome.set, "run the task again")
    return float(np.mean(right_at(outcome)[:, 0]))
