"""What a fine-tuned network says of a test set."""

from collections import Counter
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist

from tagmill.shards import ConfigError, TagmillError
from tagmill.shards.arrays import Int64s
from tagmill.shards.progress.protocol import Progress
from tagmill.training.checkpoints.together import from_all, on_all
from tagmill.training.metrics.evaluation import judged, scores
from tagmill.training.run import StepRun
from tagmill.transfer.finetune.recipe import Recipe
from tagmill.transfer.finetune.set_images import SetImages, count_reasons, eval_windows
from tagmill.transfer.sets.labelled_set import LabelledSet

BATCH = 64  # images; fixed, because the last bits of a score may depend on it
TOP = 5


class Judgement(NamedTuple):
    """The classes of n test images."""

    keys: npt.NDArray[np.str_]  # [n]
    truth: Int64s  # [n]
    top: Int64s  # [n, min(5, classes)], best first; of equal scores the class that comes first
    skipped: dict[str, int]  # images left out, by reason
    groups: npt.NDArray[np.str_]  # [n]


class _Part(NamedTuple):
    """What one process says: of each of its blocks of images."""

    kept: dict[int, list[int]]  # places of images that could be used, by number of the block
    best: dict[int, Int64s]  # [n, k], their best classes
    skipped: Counter[str]


def judge(
    run: StepRun, images: SetImages, test: LabelledSet, recipe: Recipe, shown: Progress, group: Any = None
) -> Judgement:
    """Returns the best classes of the images of a test set, each with one class. The processes of `group` (gloo; None: one
    process) divide the images, and each gets the whole. Raises TagmillError for scores that are not finite, and ConfigError if
    no image can be used."""
    rank, size = (dist.get_rank(group), dist.get_world_size(group)) if group is not None else (0, 1)
    numbers = range(rank, -(-len(test) // BATCH), size)
    parts = from_all(group, on_all(group, lambda: _own_part(run, images, test, recipe, shown, numbers)))
    kept = {number: places for part in parts for number, places in part.kept.items()}
    best = {number: classes for part in parts for number, classes in part.best.items()}
    places = [place for number in sorted(kept) for place in kept[number]]
    skipped = sum((part.skipped for part in parts), Counter[str]())
    if not places:
        raise ConfigError("no test image can be used", test.where, "look at the files of the set")
    examples = [test.examples[place] for place in places]
    return Judgement(
        np.array([example.key for example in examples]),
        np.array([example.labels[0] for example in examples], np.int64),
        np.concatenate([best[number] for number in sorted(best)]),
        dict(sorted(skipped.items())),
        np.array([example.group or example.key for example in examples]),
    )


def _own_part(
    run: StepRun, images: SetImages, test: LabelledSet, recipe: Recipe, shown: Progress, numbers: range
) -> _Part:
    made = _Part({}, {}, Counter())
    top = min(TOP, len(test.classes))
    shown.stage("judge", min(len(test), len(numbers) * BATCH))
    with torch.no_grad(), judged(run.model):
        for item, number in enumerate(numbers, 1):
            run.progress.at("evaluation", run.step, item)
            places = range(number * BATCH, min((number + 1) * BATCH, len(test)))
            found = images.batch(places, partial(eval_windows, recipe))
            batch = found.batch.to(run.device).normalised("float32", run.mean, run.std)
            logits = scores(run.model, batch.images, run.config).float()[batch.valid]
            if not logits.isfinite().all():
                raise TagmillError(
                    "scores that are not finite", test.where, "give a lower --fine-tune-lr; there is no outcome"
                )
            made.best[number] = logits.sort(dim=1, descending=True, stable=True).indices[:, :top].cpu().numpy()
            made.kept[number] = [place for place, reason in zip(places, found.reasons, strict=True) if not reason]
            count_reasons(made.skipped, found, [True] * len(places))
            shown.advance(len(places))
    return made
