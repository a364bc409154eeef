"""What the report on VTAB says, as data: figures of each task, means, settings, and what differs from BiT's protocol."""

from collections.abc import Mapping

from tagmill.training.trained.model import Trained
from tagmill.transfer.report.report_facts import Judged, library_versions
from tagmill.transfer.report.verified import VERIFIED, PaperSetting
from tagmill.transfer.vtab.task_runs import TaskSets
from tagmill.transfer.vtab.vtab_means import VtabMeans
from tagmill.transfer.vtab.vtab_options import VtabOptions
from tagmill.transfer.vtab.vtab_tasks import VTAB_TASKS, vtab_task

VTAB_FORMAT = 1
_APPENDIX = "BiT (1912.11370v3), appendix F"
_RULE_OF_PAPER = (
    PaperSetting(
        "BiT-HyperRule for fewer than 20,000 images: 500 steps of 512 images, no mixup; SGD, learning rate 0.003, momentum "
        "0.9, no weight decay, a last layer of zeros",
        "BiT, and google-research/big_transfer",
        "paper",
    ),
    PaperSetting("rate drops at 30, 60 and 90 % of the steps", "BiT", "paper"),
    PaperSetting("warm-up of 100 steps", "google-research/big_transfer", "code"),
    PaperSetting(
        "160 pixels and crops of 128 below 96 x 96; else 448 and crops of 384, for R152x4 512 and 480", "BiT", "paper"
    ),
)
_OF_TASKS = (
    PaperSetting("no flips for dSprites-orientation, dSprites-location and SmallNORB-azimuth", _APPENDIX, "paper"),
    PaperSetting(
        "no random crops for Clevr-count, Clevr-distance, DMLab, KITTI-distance and dSprites-location",
        _APPENDIX,
        "paper",
    ),
    PaperSetting(
        "training on all 1,000 images of a task, without choosing anything on the 200 of validation",
        "BiT",
        "not verified",
    ),
    PaperSetting("the mean over tasks of top-1 accuracies on whole test sets", "BiT", "not verified"),
)


def vtab_values(
    trained: Trained,
    options: VtabOptions,
    tasks: Mapping[str, TaskSets],
    found: Mapping[str, Judged],
    means: VtabMeans,
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
            "interval": each.figures.interval,
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
        "protocol": options.protocol,
        "model": options.model,
        "network": trained.network,
        "model_digest": trained.digest,
        "tasks": rows,
        "groups": dict(means.groups),
        "mean": means.mean,
        "mean_of_groups": means.mean_of_groups,
        "absent": list(means.absent),
        "ours": list(means.ours),
        "papers": [each._asdict() for each in settings_of_papers(options)],
        "differs": differences(options, found, means),
        "versions": library_versions(),
    }


def settings_of_papers(options: VtabOptions) -> tuple[PaperSetting, ...]:
    """Returns what a run takes from papers."""
    if options.protocol == "linear":
        return VERIFIED["linear"]
    return (*(VERIFIED["hyperrule"] if options.rule == "code" else _RULE_OF_PAPER), *_OF_TASKS)


def differences(options: VtabOptions, found: Mapping[str, Judged], means: VtabMeans) -> list[str]:
    """Returns in which ways a result is not BiT's on VTAB-1k, as sentences; empty where none is known."""
    said = list[str]()
    if options.protocol == "linear":
        said.append("A linear probe on features that stay as they are: BiT fine-tunes all weights.")
    else:
        said += _tuning_differences(options)
    if means.absent:
        said.append(f"{len(means.absent)} of {len(VTAB_TASKS)} tasks are absent: the means are over the others.")
    if means.ours:
        said.append(f"The split is drawn here, and is not that of VTAB-1k, for {len(means.ours)} tasks.")
    if left := sum(sum(each.outcome.skipped.values()) for each in found.values()):
        said.append(f"{left:,} test images could not be judged and are left out.")
    if left := sum(_untrained(each) for each in found.values()):
        said.append(f"{left:,} training images could not be used.")
    return said


def _tuning_differences(options: VtabOptions) -> list[str]:
    said = list[str]()
    if options.rule == "code":
        said.append(
            "Where the released code and the paper differ, the numbers are the code's: rate drops at 40, 60 and 80 % of the "
            "steps, and crops of 480 pixels of 512 for images of 96 x 96 and more."
        )
    if options.scale != 1:
        said.append(f"The schedule has {options.scale:g} of its steps.")
    changed = {
        "pixels of a side": options.fine_tune_size,
        "images of a step": options.fine_tune_batch,
        "learning rate": options.fine_tune_lr,
    }
    said += [f"Changed: {what} is {value:g}." for what, value in changed.items() if value is not None]
    return said


def _untrained(judged: Judged) -> int:
    skipped = judged.outcome.settings.get("train_skipped")
    return sum(skipped.values()) if isinstance(skipped, Mapping) else 0
